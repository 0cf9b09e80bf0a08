"""Compares random tiny models of every family with transformers: log-probabilities, and greedy texts, in float32.

    pip install "transformers==5.23.*" torch safetensors
    python random_models.py GLASS [--seed N] [--rounds N] [--families a,b]

A round draws one model of each family from its seed. Its config is read by both sides as save_pretrained writes it
("saved"), as it was drawn, without the fields that it leaves to the class ("drawn"), and in the words of version 4
("version-4"). A difference is one line and the folder that shows it. The exit code is then 1, and so it is where a side
fails and nothing is compared: the draw should be narrower. The seed and the family draw a model again.

Where the reference surprises, and what is therefore not drawn or not compared:

- A sliding window of 1. Its cache keeps the last `window - 1` keys by the slice [-0:], which is all of them.
- recurrent_gemma keeps its state in its modules, not in the cache: a pass of one token goes on from the call before.
  No prompt has one token alone.
- Mamba-2's steps from a cache do not clamp the time step; whole passes do. No continuations where it is clamped.
- A cache without an attention layer: jamba and recurrent_gemma end with an error. At least one layer attends.
- `dynamic` keeps the longest length that it has seen until a text is shorter than the context. Texts are read from the
  shortest to the longest. It divides by the number of rotated values less two.
- An odd number of rotated values is rotated with one more. Partial rotation is of heads of 8 and 16 values.
- A sliding layer without a `sliding_window` ends with an error.
- Integers where a class declares floats are refused (`logit_scale`, `attention_multiplier`).
- A prompt that is longer than the model's context: glass does not continue it.
- The class' `eos_token_id` does not end a text there, and does here. Both write on after it.
- Experts in groups round otherwise than one after the other ("eager").

Not here: gemma3 and mistral3 (of text and images), and exaone, samba and retnet, which transformers does not have.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

transformers.logging.disable_progress_bar()

NEW_TOKENS = 20
# Relative to the text's largest log-probability, if above 1. Two tokens that are nearer than TIE may change places.
WHOLE, STEP, TIE = 1e-4, 1e-3, 1e-3
R = random.Random()


# Parts of configs

BOTH, FULL, SLIDING = (True, False), "full_attention", "sliding_attention"
EPS = (1e-6, 1e-5, 1e-3, 0.1)
WINDOWS = (2, 3, 5, 8, 16, 33)
ACTIVATIONS = ("silu", "gelu", "gelu_pytorch_tanh", "relu", "relu2", "gelu_new", "swish")
ROPES = ("default", "default", "linear", "dynamic", "yarn", "yarn", "llama3", "longrope")


def pick(*values):
    return R.choice(values)


def some(config, chance_of_each=0.5, **fields):
    """Sets some of the fields, each to one of its values. What is left out is the class' default, here as there."""
    for name, values in fields.items():
        if R.random() < chance_of_each:
            config[name] = pick(*values)


def rope(types, rotated, context):
    """One RoPE of `rotated` values per head, in version 5's words."""
    kind = pick(*(kind for kind in types if kind != "dynamic" or rotated > 2))
    it = {"rope_type": kind, "rope_theta": pick(10000.0, 500.0, 1000000, 100.0)}
    original = context // pick(1, 2, 4)
    if kind in ("linear", "dynamic"):
        it["factor"] = pick(1.0, 2, 2.5, 8.0)
    elif kind == "yarn":
        it["factor"] = pick(1.0, 2.0, 4, 7.3, 40.0)
        some(it, beta_fast=(32, 16.0, 3.0, 0), beta_slow=(1, 2.0, 0.5, 0))
        some(it, mscale=(1.0, 0.707, 0, 2.0), mscale_all_dim=(1.0, 0.5, 0, 0.0))
        some(it, 0.3, attention_factor=(0.7, 1.3, None), truncate=BOTH)
        if R.random() < 0.1:  # Then it follows from the two lengths.
            it.update(factor=None, original_max_position_embeddings=original)
    elif kind == "llama3":
        it.update(factor=pick(2.0, 8, 32.0), low_freq_factor=pick(1.0, 0.5, 2), high_freq_factor=pick(4.0, 2.5, 16))
    elif kind == "longrope":
        it["short_factor"] = [round(R.uniform(0.8, 2), 3) for _ in range(rotated // 2)]
        it["long_factor"] = [round(R.uniform(1, 30), 3) for _ in range(rotated // 2)]
        some(it, 0.3, factor=(4.0, 1.0, 0.5, None), attention_factor=(0.9, 1.2))
    if kind in ("yarn", "llama3", "longrope"):
        some(it, 0.8, original_max_position_embeddings=(original,))
    return it


def common(**fields):
    c = dict(fields, vocab_size=pick(97, 100, 128, 211), num_hidden_layers=pick(1, 2, 2, 3, 4), bos_token_id=1,
             eos_token_id=pick(2, [2, 3], None), pad_token_id=pick(0, None))
    some(c, tie_word_embeddings=BOTH)
    return c


def decoder(own=1.0, rotated=(1.0,), ropes=ROPES, activation="hidden_act", eps="rms_norm_eps", **optional):
    """What most families have. `own` is how often the file says `head_dim`; else it is hidden_size / heads. `rotated`
    are the parts of a head that may be rotated. `optional` fields are set half of the times."""
    heads = pick(1, 2, 3, 4, 6)
    has_own = R.random() < own
    head_dim = pick(8, 16) if len(rotated) > 1 else pick(2, 4, 8, 10, 16) if has_own else pick(8, 10, 16)
    c = common(
        hidden_size=heads * (pick(8, 12, 16) if has_own else head_dim), intermediate_size=pick(17, 32, 48, 80),
        max_position_embeddings=pick(24, 32, 64, 128), num_attention_heads=heads,
        num_key_value_heads=pick(*(n for n in range(1, heads + 1) if heads % n == 0)))
    if has_own:
        c["head_dim"] = head_dim
    if R.random() < 0.9:
        part = pick(*rotated)
        c["rope_parameters"] = rope(ropes, int(head_dim * part), c["max_position_embeddings"])
        if len(rotated) > 1:
            c["rope_parameters"]["partial_rotary_factor"] = part
    some(c, 0.35, **{name: ACTIVATIONS for name in [activation] if name})
    some(c, **{eps: EPS}, **optional)
    return c


def kinds(c, *patterns):
    """Which layers slide: as listed, by a pattern, or as the class has it."""
    if R.random() < 0.4:
        c["layer_types"] = [pick(FULL, SLIDING) for _ in range(c["num_hidden_layers"])]
    elif patterns:
        some(c, sliding_window_pattern=patterns)
    return c


def experts(c, name="num_local_experts", in_some_layers=False):
    c[name] = pick(1, 2, 4, 5, 8)
    c["num_experts_per_tok"] = R.randint(1, c[name])
    if in_some_layers:
        c["moe_intermediate_size"] = pick(16, 24)
        some(c, norm_topk_prob=BOTH, decoder_sparse_step=(1, 2, 3), mlp_only_layers=([], [0], None))
    return c


def qwen_windows(c):
    if R.random() < 0.7:
        c["use_sliding_window"] = pick(True, True, False)
        some(c, 0.8, sliding_window=WINDOWS, max_window_layers=(0, 1, 2, 3))
    return kinds(c) if c.get("use_sliding_window") else c


def rope_of_each_kind(c):
    """olmo3 and gemma3_text have a RoPE for full layers and one for sliding ones, and do not read a flat object."""
    c.pop("rope_parameters", None)
    head_dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    a, b = (rope(ROPES, head_dim, c["max_position_embeddings"]) for _ in range(2))
    form = pick({FULL: a, SLIDING: b}, {FULL: a, SLIDING: b}, {FULL: a}, {SLIDING: b, FULL: None}, a, None)
    return c | ({"rope_parameters": form} if form else {})


def state_space(**optional):
    c = common(hidden_size=pick(16, 24, 32))
    some(c, 0.3, hidden_act=ACTIVATIONS)
    some(c, conv_kernel=(2, 3, 4, 5), use_bias=BOTH, use_conv_bias=BOTH, layer_norm_epsilon=(1e-5, 1e-2), **optional)
    return c


# Families: what each has of its own

def phi3():
    c = decoder(own=0, rotated=(1.0, 0.5, 0.75), ropes=("default", "longrope", "longrope"), **ANY_WINDOW)
    its = c.get("rope_parameters", {})
    if "original_max_position_embeddings" in its and R.random() < 0.8:  # Its class reads it outside of the object.
        c["original_max_position_embeddings"] = its.pop("original_max_position_embeddings")
    return c


def exaone4():
    c = kinds(decoder(own=0.5, sliding_window=WINDOWS), 1, 2, 3)
    windowless = dict(sliding_window=None, layer_types=[FULL] * c["num_hidden_layers"])  # The model of 1.2B is so.
    return c | pick({}, {}, windowless)


def ministral3():
    c = decoder(ropes=("yarn", "yarn", *ROPES), **ANY_WINDOW)
    if "rope_parameters" in c:
        c["rope_parameters"]["llama_4_scaling_beta"] = pick(0.1, 0.5, 0.0)
        c["rope_parameters"].setdefault("original_max_position_embeddings", pick(8, 16, 32))
    return c


def mamba2():
    c = state_space(chunk_size=(8, 16, 256, 7), time_step_limit=([0.0, 1000.0], [0.01, 0.5]))
    c.update(state_size=pick(4, 8, 16), expand=pick(1, 2), head_dim=pick(4, 8))
    c["num_heads"] = c["hidden_size"] * c["expand"] // c["head_dim"]
    c["n_groups"] = pick(*(n for n in (1, 2, 4) if c["num_heads"] % n == 0))
    return c


def jamba():
    c = experts(decoder(own=0, mamba_d_state=(4, 8), mamba_d_conv=(2, 3, 4), mamba_expand=(1, 2),
                        mamba_dt_rank=("auto", 2), mamba_conv_bias=BOTH, mamba_proj_bias=BOTH), "num_experts")
    c.pop("rope_parameters", None)
    for name, longest in (("attn", c["num_hidden_layers"]), ("expert", 3)):
        period = R.randint(1, longest)
        c.update({f"{name}_layer_period": period, f"{name}_layer_offset": R.randrange(period)})
    return dict(c, use_mamba_kernels=False)


def recurrent_gemma():
    c = decoder(own=0, rotated=(0.5, 1.0, 0.25), ropes=("default",), **GEMMA, conv1d_width=(2, 3, 4),
                attention_window_size=WINDOWS, logits_soft_cap=(5.0, 30.0))
    del c["max_position_embeddings"]
    c.update(num_hidden_layers=pick(3, 4), intermediate_size=pick(32, 48, 80))
    r, a = "recurrent", "attention"
    some(c, block_types=([a], [r, a], [a, r], [r, r, a]), lru_width=(None, c["hidden_size"], 2 * c["hidden_size"]))
    return c


BIASES = dict(attention_bias=BOTH, mlp_bias=BOTH)
ANY_WINDOW = dict(sliding_window=(None, *WINDOWS))
CAPS = dict(attn_logit_softcapping=(5.0, 50.0, None, 1.5), final_logit_softcapping=(5.0, 30.0, None, 3.0))
MULTIPLIERS = dict(embedding_multiplier=(12.0, 2.0, 0.5), logits_scaling=(8.0, 0.5, 3.0),
                   residual_multiplier=(0.22, 0.5, 2.0), attention_multiplier=(0.1, 0.5, 1.0))
GEMMA = dict(activation="hidden_activation", attention_bias=BOTH)
GEMMA2 = dict(GEMMA, **CAPS, query_pre_attn_scalar=(4, 17, 144), sliding_window=WINDOWS)
MAMBA = dict(state_size=(1, 4, 8, 16), expand=(1, 2, 3), time_step_rank=("auto", 1, 3, 8), intermediate_size=(16, 40))
GLM = dict(rotated=(0.5, 1.0, 0.25), attention_bias=BOTH)

FAMILIES = dict(
    llama=lambda: decoder(**BIASES),
    mistral=lambda: decoder(**ANY_WINDOW),
    qwen2=lambda: qwen_windows(decoder(own=0.5)),
    qwen3=lambda: qwen_windows(decoder(attention_bias=BOTH)),
    gemma=lambda: decoder(**GEMMA),
    gemma2=lambda: kinds(decoder(**GEMMA2)),
    gemma3_text=lambda: rope_of_each_kind(kinds(decoder(**GEMMA2), 1, 2, 3)),
    olmo2=lambda: decoder(own=0.4, attention_bias=BOTH),
    olmo3=lambda: rope_of_each_kind(kinds(decoder(own=0.4, attention_bias=BOTH, sliding_window=WINDOWS))),
    smollm3=lambda: qwen_windows(decoder(own=0.3, **BIASES, no_rope_layer_interval=(1, 2, 3))),
    granite=lambda: decoder(own=0.5, **BIASES, **MULTIPLIERS),
    hyperclovax=lambda: decoder(**BIASES, **MULTIPLIERS, use_post_norm=BOTH),
    mixtral=lambda: experts(decoder(**ANY_WINDOW)),
    qwen2_moe=lambda: experts(qwen_windows(decoder(
        own=0.3, qkv_bias=BOTH, shared_expert_intermediate_size=(8, 24))), "num_experts", True),
    qwen3_moe=lambda: experts(decoder(attention_bias=BOTH, use_sliding_window=BOTH, sliding_window=WINDOWS),
                              pick("num_experts", "num_local_experts"), True),
    # Its experts have an activation of their own, and no field for it.
    gpt_oss=lambda: kinds(experts(decoder(
        activation=None, attention_bias=BOTH, sliding_window=WINDOWS, swiglu_limit=(7.0, 1.0, 0.5)))),
    cohere2=lambda: kinds(decoder(own=0, eps="layer_norm_eps", logit_scale=(0.0625, 1.0, 2.0), attention_bias=BOTH,
                                  sliding_window=WINDOWS), 1, 2, 3),
    glm=lambda: decoder(**GLM),
    glm4=lambda: decoder(**GLM),
    stablelm=lambda: decoder(own=0, rotated=(0.25, 0.5, 1.0), eps="layer_norm_eps", use_qkv_bias=BOTH,
                             qk_layernorm=BOTH, use_parallel_residual=BOTH),
    starcoder2=lambda: decoder(own=0.3, eps="norm_epsilon", use_bias=BOTH, **ANY_WINDOW),
    arcee=lambda: decoder(**BIASES),
    seed_oss=lambda: decoder(**BIASES, attention_out_bias=BOTH, residual_dropout=(0.0, 0.1)),
    # Its heads share hidden_size, but its class has a head_dim of 128.
    helium=lambda: (c := decoder(own=0, **BIASES)) | dict(head_dim=c["hidden_size"] // c["num_attention_heads"]),
    nemotron=lambda: decoder(rotated=(0.5, 0.25, 1.0), eps="norm_eps", **BIASES),
    # qk_norm and post_norm are in the published files; the class has the one and not the other, whatever they say.
    apertus=lambda: decoder(own=0.5, attention_bias=BOTH, qk_norm=(True,), post_norm=(False,)),
    mamba=lambda: state_space(**MAMBA),
    falcon_mamba=lambda: state_space(**MAMBA, mixer_rms_eps=(1e-6, 1e-2)),
    **{draw.__name__: draw for draw in (phi3, exaone4, ministral3, mamba2, jamba, recurrent_gemma)},
)


# What the files say

def version_4(c):
    """The config as version 4 of transformers wrote it."""
    c = json.loads(json.dumps(c))
    its = c.pop("rope_parameters", None)
    if its and "rope_type" not in its:  # One of each kind: version 4 has the object of full layers.
        if its.get(SLIDING):  # Of olmo3 it is not read.
            c["rope_local_base_freq"] = its[SLIDING]["rope_theta"]
        its = its.get(FULL)
    if its:
        c.update({name: its.pop(name) for name in ("rope_theta", "partial_rotary_factor") if name in its})
        # Where the class has a scaling of its own, null leaves it, and "default" is none.
        own = c["model_type"] in ("apertus", "gpt_oss", "ministral3")
        if its["rope_type"] == "default" and (not own or R.random() < 0.5):
            its = None
        elif R.random() < 0.6:
            its["type"] = its["rope_type"]
            if R.random() < 0.7:
                del its["rope_type"]
        c["rope_scaling"] = its
    return dict(c, transformers_version="4.41.2", torch_dtype="bfloat16", use_cache=True, initializer_range=0.02)


def randomize(model):
    """Weights with which every part of the model shows: norms that are not 1, biases that are not 0."""
    gain, generator = pick(1.0, 1.5, 2.0), torch.Generator().manual_seed(R.randrange(1 << 30))
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        # Norms and what stands in exponents stay near what they are.
        if weight.ndim == 1 or any(part in name for part in ("A_log", "recurrent_param", "dt_", "alpha_", "norm")):
            weight.data.add_(0.3 * noise)
        elif "bias" in name or "conv" in name:
            weight.data.copy_(0.5 * noise)
        elif "embed" in name:
            weight.data.copy_(noise)
        else:
            # Experts of gpt_oss are inputs x outputs.
            inputs = weight.shape[-2 if weight.ndim == 3 and model.config.model_type == "gpt_oss" else -1]
            weight.data.copy_(gain * noise / inputs**0.5)


# The two sides

class Difference(Exception):
    """What the two sides say differs."""


class Comparison:
    def __init__(self, glass):
        self.glass = glass
        self.root = Path(tempfile.mkdtemp(prefix="random-models-"))
        self.counts = Counter({"passes": 0, "continuations": 0, "differences": 0, "not compared": 0})
        self.warned, self.largest = set(), 0.0

    def ask(self, command, folder, ids, *options):
        texts = ["--ids", ",".join(map(str, ids)), "--device", "flex", "--dtype", "f32", "-q", *options]
        done = subprocess.run([self.glass, command, folder, *texts], capture_output=True, text=True, timeout=300)
        said = done.stderr.strip().replace(f"{folder}/", "")
        if done.returncode != 0:
            raise Difference(f"exit code {done.returncode}: {said}; ids {ids}")
        for line in said.splitlines():
            # Each reason once, whatever the numbers.
            if (kind := re.sub(r"[\d.]+", "N", line.rsplit(": ", 1)[-1])) not in self.warned:
                self.warned.add(kind)
                print(f"  {folder.name}: {line}", flush=True)
        return done.stdout

    def whole(self, folder, model, ids):
        """Log-probabilities of one pass."""
        theirs = model(torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1)
        self.counts["passes"] += 1
        self.ask("logits", folder, ids, "--force", "-o", self.root / "logits.safetensors")
        ours = load_file(self.root / "logits.safetensors")["logits"][0].log_softmax(-1)
        scale = max(1.0, theirs.abs().max().item())
        off = (theirs - ours).abs().amax(-1) / scale
        if not (off < WHOLE).all():  # Not a number is a difference too.
            # Some models multiply rounding. transformers in float64 says by how much.
            exact = model.double()(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
            model.float()
            if not off.max() < 8 * (theirs - exact).abs().max() / scale:
                first = (~(off < WHOLE)).nonzero()[0, 0]
                raise Difference(f"{off.max():.2g} of {scale:.3g} from position {first} on; ids {ids}")
        self.largest = max(self.largest, off.max().item())

    def text(self, folder, model, ids):
        """A greedy continuation, each token from the cache of those before it."""
        model.generation_config.eos_token_id = model.config.eos_token_id = None
        rules = GenerationConfig(max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0)
        there = model.generate(torch.tensor([ids]), generation_config=rules, return_dict_in_generate=True,
                               output_logits=True, attention_mask=torch.ones(1, len(ids), dtype=torch.long))
        options = ["--temperature", "0", "--ignore-eos", "-n", str(NEW_TOKENS), "--logprobs", "1", "--json"]
        here = json.loads(self.ask("generate", folder, ids, *options))["sequences"][0]
        self.counts["continuations"] += 1
        ours, theirs = here["ids"], there.sequences[0, len(ids):].tolist()
        for step, logits in enumerate(there.logits):
            logprobs = logits[0].float().log_softmax(-1)
            first, second = logprobs.topk(2).values.tolist()
            if ours[step:step + 1] != theirs[step:step + 1]:
                if first - second < TIE:
                    return
                raise Difference(f"token {step} of the text {ours} instead of {theirs}; prompt {ids}")
            own = here["logprobs"][step]["logprob"]
            if not abs(own - first) < STEP * max(1.0, logprobs.abs().max().item()):
                raise Difference(f"log-probability {own:.5f} instead of {first:.5f} of token {step}; prompt {ids}")

    def folder(self, folder, c, every_length):
        """Compares what is computed of what the files say."""
        eager = {"attn_implementation": "eager", "experts_implementation": "eager"}
        if "num_experts_per_tok" not in c:
            del eager["experts_implementation"]
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **eager).eval()
        # Beyond each length at which something changes: the window, the original length, the context.
        context = c.get("max_position_embeddings", 64)
        beyond = max(context, c.get("sliding_window") or 0, c.get("attention_window_size") or 0) + R.randint(1, 20)
        for length in sorted([1, 5, 40, beyond] if every_length else [40, beyond]):
            self.whole(folder, model, [R.randrange(4, c["vocab_size"]) for _ in range(length)])
        if c.get("time_step_limit", [0.0, 1000.0])[1] < 1000:
            return
        lengths = [5, 20, 40] if c["model_type"] == "recurrent_gemma" else [1, 5, 20, 40]
        for length in R.sample([length for length in lengths if length <= context], 2 if every_length else 1):
            self.text(folder, model, [R.randrange(4, c["vocab_size"]) for _ in range(length)])

    def case(self, name, seed):
        R.seed(f"{name}-{seed}")
        c = dict(FAMILIES[name](), model_type=name)
        folder = self.root / f"{name}-{seed}"
        file = folder / "config.json"
        folder.mkdir()
        file.write_text(json.dumps(c))
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
        randomize(model)
        model.to(pick(torch.float32, torch.float32, torch.bfloat16, torch.float16))
        model.save_pretrained(folder, max_shard_size=pick("20KB", "5GB"))
        (folder / "generation_config.json").unlink(missing_ok=True)  # Both go by the rules of `text` alone.
        saved, drawn, old = file.read_text(), json.dumps(c, indent=1), json.dumps(version_4(c), indent=1)
        for dialect, text in (("saved", saved), ("drawn", drawn), ("version-4", old)):
            file.write_text(text)
            try:
                self.folder(folder, c, dialect == "saved")
            except Difference as difference:
                kept = self.root / f"{folder.name}-{dialect}"
                shutil.copytree(folder, kept)
                (kept / "difference.txt").write_text(f"{difference}\n")
                self.counts["differences"] += 1
                print(f"DIFFERENCE {name}, seed {seed}, {dialect}: {str(difference)[:300]}\n  {kept}", flush=True)
        shutil.rmtree(folder)


def one_round(run, families, seed):
    start, before = time.time(), run.counts.copy()
    for name in families:
        try:
            run.case(name, seed)
        except Exception as error:
            run.counts["not compared"] += 1
            print(f"NOT COMPARED {name}, seed {seed}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            shutil.rmtree(run.root / f"{name}-{seed}", ignore_errors=True)
    counts = ", ".join(f"{run.counts[what] - before[what]} {what}" for what in run.counts)
    print(f"round {seed}: {len(families)} models; {counts}; largest so far that is no difference {run.largest:.1e}; "
          f"{time.time() - start:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Compares random tiny models of every family with transformers.")
    parser.add_argument("glass", help="the program")
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each next round has the next one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--families", type=lambda names: names.split(","), default=list(FAMILIES))
    asked = parser.parse_args()
    if unknown := set(asked.families) - set(FAMILIES):
        parser.error(f"no family {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    print(f"transformers {transformers.__version__}; the reference is 5.23")
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    run = Comparison(asked.glass)
    try:
        for seed in range(asked.seed, asked.seed + asked.rounds):
            one_round(run, asked.families, seed)
    finally:
        (run.root / "logits.safetensors").unlink(missing_ok=True)
        if not run.counts["differences"]:
            shutil.rmtree(run.root)
    sys.exit(1 if run.counts["differences"] or run.counts["not compared"] else 0)


if __name__ == "__main__":
    main()
