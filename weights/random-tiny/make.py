"""Makes this folder's model: random weights from a fixed seed, a character tokenizer. Needs Python alone.

    python3 weights/random-tiny/make.py
"""
import json
import random
import struct
from pathlib import Path

HERE = Path(__file__).parent
SPECIAL = ["<unk>", "<s>", "</s>"]
CHARACTERS = ["\n"] + [chr(c) for c in range(0x20, 0x7F)]
VOCABULARY = SPECIAL + CHARACTERS
HIDDEN, MLP, LAYERS, HEADS, KV_HEADS, WINDOW = 64, 160, 2, 4, 2, 32
HEAD_DIM = HIDDEN // HEADS

config = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "dtype": "bfloat16",
    "head_dim": HEAD_DIM,
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "initializer_range": 0.02,
    "intermediate_size": MLP,
    "max_position_embeddings": 1024,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": KV_HEADS,
    "rms_norm_eps": 1e-05,
    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
    "sliding_window": WINDOW,
    "tie_word_embeddings": True,
    "vocab_size": len(VOCABULARY),
}
generation_config = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "do_sample": True,
    "temperature": 1.0,
    "top_k": 50,
}
tokenizer = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, token in enumerate(SPECIAL)
    ],
    "normalizer": None,
    "pre_tokenizer": None,
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    },
    "decoder": {"type": "Fuse"},
    "model": {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {token: i for i, token in enumerate(VOCABULARY)},
        "merges": [],
    },
}


def bf16(value):
    """The two bytes of the nearest bfloat16, ties to even."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def tensors():
    """Name, shape and values of every tensor; norms are 1, all else is normal with deviation 1/sqrt(columns)."""
    rng = random.Random(20261120)

    def matrix(rows, columns):
        return [rows, columns], [rng.gauss(0, columns**-0.5) for _ in range(rows * columns)]

    def ones():
        return [HIDDEN], [1.0] * HIDDEN

    yield "model.embed_tokens.weight", *matrix(len(VOCABULARY), HIDDEN)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", *ones()
        yield at + "self_attn.q_proj.weight", *matrix(HEADS * HEAD_DIM, HIDDEN)
        yield at + "self_attn.k_proj.weight", *matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        yield at + "self_attn.v_proj.weight", *matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        yield at + "self_attn.o_proj.weight", *matrix(HIDDEN, HEADS * HEAD_DIM)
        yield at + "post_attention_layernorm.weight", *ones()
        yield at + "mlp.gate_proj.weight", *matrix(MLP, HIDDEN)
        yield at + "mlp.up_proj.weight", *matrix(MLP, HIDDEN)
        yield at + "mlp.down_proj.weight", *matrix(HIDDEN, MLP)
    yield "model.norm.weight", *ones()


header, data = {"__metadata__": {"format": "pt"}}, b""
for name, shape, values in tensors():
    blob = b"".join(map(bf16, values))
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(blob)]}
    data += blob
head = json.dumps(header).encode()
head += b" " * (-len(head) % 8)
(HERE / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data)
for name, value in [("config", config), ("generation_config", generation_config), ("tokenizer", tokenizer)]:
    (HERE / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")
