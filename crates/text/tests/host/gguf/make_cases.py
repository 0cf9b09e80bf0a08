#!/usr/bin/env python3
"""Small vocabularies as GGUF files hold them, and what transformers 5.23 makes of them: cases.json.

usage: make_cases.py TEXT FIXTURES    (needs transformers, tokenizers, gguf; TEXT: anything to learn vocabularies from;
FIXTURES: a folder with llama-f16/model.gguf and gemma3-q8_0/model.gguf, small files written by llama.cpp)

transformers reads the keys with `integrations.gguf.gguf_tokenizer_mapping`. Where that knows less than the models' own
`tokenizer.json` says (NFC, digits, `ignore_merges`), the reference is set as there."""
import json, pathlib, sys, types

from gguf import GGUFReader
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

# The package's reader of files imports torch, which is not needed here.
sys.modules["transformers.integrations.gguf.reader"] = types.ModuleType("reader")
from transformers.integrations.gguf import gguf_tokenizer_mapping as mapping
from transformers.tokenization_utils_tokenizers import TokenizersBackend

TEXTS = [
    "", "a", " ", "  ", "Hello world", " leading", "  two", "trailing ", "two  spaces", "a   b    c", "\n", "\n\n\n", "tab\tand\nnewline\n\n",
    "a \n b", "\r\n x", "I'm here, you'll see; WE'RE IT'S", "1234567890 3.14159 12 345", "x1y22z333", "émigré naïve café",
    "한국어 문장을 나눕니다.", "日本語のテキスト", "Привет, мир", "مرحبا بالعالم", "हिन्दी में", "😀👩‍👩‍👧 family", "Ｆｕｌｌwidth ﬁ ligature",
    "x = [1, 2, 3]; print(x[0])", "def f(a, b):\n    return a + b\n", "http://example.org/?q=a&b=c#d", "CamelCase HTTPServer iPhone",
    "▁ marks ▁▁ spaces", "<0x0A> <0x41>", "<s> and </s>", "<|endoftext|>a", "<think>hm</think> b", " <think> ", "[PAD9] [PAD400]",
    "... !!! ???---", "a\u00a0b\u2003c\u200bd", "\u0000\u0001", "mixed 漢字 and かな, ok?", "the the the the", "…—“quotes”",
]
DECOMPOSED = "e\u0301a\u0308o\u0302 \u1112\u1161\u11ab"


def transformers(keys):
    tokenizer = {n: keys[f"tokenizer.{k}"] for k, n in mapping.GGUF_TOKENIZER_MAPPING["tokenizer"].items() if f"tokenizer.{k}" in keys}
    config = {}
    if tokenizer["tokenizer_type"] == "llama":
        config["add_bos_token"] = True
    for flag in ("add_bos_token", "add_eos_token"):
        if f"tokenizer.ggml.{flag}" in keys:
            config[flag] = keys[f"tokenizer.ggml.{flag}"]
    for name, key in mapping._SPECIAL_TOKENS.items():
        at = keys.get(f"tokenizer.ggml.{key}")
        config[name] = None if at is None else tokenizer["tokens"][at]
    built, _ = mapping.convert_gguf_tokenizer(keys["general.architecture"], tokenizer)
    model = json.loads(built.to_str())
    pre = keys.get("tokenizer.ggml.pre")
    if pre == "llama-bpe":
        model["model"]["ignore_merges"] = True
    built = Tokenizer.from_str(json.dumps(model))
    if pre == "qwen2":
        built.normalizer = normalizers.NFC()
    if pre == "smollm":
        built.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return TokenizersBackend(tokenizer_object=built, **config)


def learn(text, size, cut, alphabet):
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = cut
    learned.train_from_iterator([text], trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    model = json.loads(learned.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(m) for m in model["merges"]]


def byte_level(text, pre, **more):
    split = mapping.GGUF_PRE_TOKENIZER_SPLITS.get(pre)
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    cut = last if split is None else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), last])
    tokens, merges = learn(text, 420, cut, pre_tokenizers.ByteLevel.alphabet())
    added = ["<|endoftext|>", "<|end|>", "<think>", "</think>"]
    count = len(tokens)
    tokens = tokens + added + [f"[PAD{count + 4}]"]
    return {
        "general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * count + [3, 3, 4, 4, 5], "tokenizer.ggml.merges": [" ".join(m) for m in merges],
        "tokenizer.ggml.bos_token_id": count, "tokenizer.ggml.eos_token_id": count + 1, "tokenizer.ggml.padding_token_id": count,
        "tokenizer.ggml.add_bos_token": False, **more,
    }


def pieces(text, architecture, **more):
    marked = text.replace(" ", "▁")
    learned, merges = learn(marked, 330, pre_tokenizers.Split("▁", "merged_with_next"), [])
    rank = {a + b: -float(i) for i, (a, b) in reversed(list(enumerate(merges)))}
    learned = [t for t in rank] [::-1] + [t for t in learned if t not in rank]
    gemma = architecture.startswith("gemma")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] if gemma else ["<unk>", "<s>", "</s>"]
    kinds = [3] * 5 if gemma else [2, 3, 3]
    # llama.cpp writes Gemma's tokens of spaces as spaces.
    user = ["<think>", "</think>", "\n\n", "\n\n\n"] + (["  ", "   "] if gemma else [])
    learned = [t for t in learned if t not in user and t not in ("▁▁", "▁▁▁")]
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    tokens = special + user + bytes_ + learned
    named = {n: tokens.index(t) for n, t in (("bos", special[2] if gemma else "<s>"), ("eos", "<eos>" if gemma else "</s>"), ("unknown", "<unk>"))}
    return {
        "general.architecture": architecture, "tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [-1000.0] * (len(special) + len(user)) + [0.0] * 256 + [rank.get(t, -5000.0) for t in learned],
        "tokenizer.ggml.token_type": kinds + [4] * len(user) + [6] * 256 + [1] * len(learned),
        **{f"tokenizer.ggml.{n}_token_id": i for n, i in named.items()}, **({"tokenizer.ggml.add_space_prefix": False} if gemma else {}), **more,
    }


def of_file(path):
    keys = {k: f.contents() for k, f in GGUFReader(path).fields.items() if k.startswith("tokenizer.") or k == "general.architecture"}
    if keys["general.architecture"].startswith("gemma"):
        # The class adds tokens that this file does not have, unless it is told that it has others.
        for name in ("<bos>", "<eos>", "<pad>", "<mask>"):
            keys["tokenizer.ggml.tokens"].append(name)
            keys["tokenizer.ggml.scores"].append(-1000.0)
            keys["tokenizer.ggml.token_type"].append(3)
    return keys


text, fixtures = pathlib.Path(sys.argv[1]).read_text()[:60_000] + " ".join(TEXTS) * 3, pathlib.Path(sys.argv[2])
files = {
    "written by llama.cpp": of_file(fixtures / "llama-f16/model.gguf"),
    "written by llama.cpp, gemma": of_file(fixtures / "gemma3-q8_0/model.gguf"),
    "llama": pieces(text, "llama"),
    "llama, no BOS, EOS": pieces(text, "llama", **{"tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.add_eos_token": True}),
    "gemma": pieces(text, "gemma2"),
    "phi3": pieces(text, "phi3"),
    "gpt-2": byte_level(text, "gpt-2"),
    "llama-bpe": byte_level(text, "llama-bpe", **{"tokenizer.ggml.add_bos_token": True}),
    "qwen2": byte_level(text, "qwen2"),
    "qwen35": byte_level(text, "qwen35"),
    "tekken": byte_level(text, "tekken", **{"tokenizer.ggml.add_bos_token": True}),
    "gpt-4o": byte_level(text, "gpt-4o"),
    "smollm": byte_level(text, "smollm"),
}
cases = []
for name, keys in files.items():
    reference = transformers(keys)
    # Phi-3's own tokens drop the whitespace behind them, which transformers does not know of a GGUF file.
    texts = [t for t in TEXTS if not (name == "phi3" and ("think>" in t or "</s>" in t or "\n\n" in t))]
    texts += [DECOMPOSED] * (name != "qwen35")
    encoded = [(t, reference.encode(t, add_special_tokens=False), reference.encode(t)) for t in texts]
    cases.append({"name": name, "keys": keys, "texts": [[t, plain, around, reference.decode(plain)] for t, plain, around in encoded]})
out = pathlib.Path(__file__).with_name("cases.json")
out.write_text("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
print(len(cases), out.stat().st_size)
