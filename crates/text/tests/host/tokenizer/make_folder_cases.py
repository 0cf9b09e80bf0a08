"""Writes folder_cases.json: tokenizer.json with other files beside it, and what transformers makes of both.

    pip install transformers==5.23.0
    python make_folder_cases.py > folder_cases.json
"""

import json
import os
import random
import sys
import tempfile

from transformers import AutoTokenizer

random.seed(14)
LETTERS = "abcdefghij"
FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"]


def added(i, content, **flags):
    return {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}


def template(bos):
    special = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [special] * bos + [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}} if bos else {}}


def pieces(prepend=True):
    """As SentencePiece's: blanks are U+2581, other bytes have tokens of their own."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "\u2581", *LETTERS]
    merges = [["\u2581", x] for x in LETTERS] + [["a", "b"], ["\u2581a", "b"]]
    vocab = {w: i for i, w in enumerate([*words, *("".join(m) for m in merges)])}
    normalizers = [{"type": "Prepend", "prepend": "\u2581"}] * prepend + [{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(i, t) for i, t in enumerate(words[:3])],
            "normalizer": {"type": "Sequence", "normalizers": normalizers}, "pre_tokenizer": None, "post_processor": template(1),
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                         {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                      "byte_fallback": True, "vocab": vocab, "merges": merges}}


def bytes_level(tokens=("<s>", "</s>", "<|end|>"), prefix=False):
    own = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    vocab, n = {}, 0
    for b in range(256):
        vocab[chr(b) if b in own else chr(256 + n)] = b
        n += b not in own
    merges = [["a", "b"], ["\u0120", "a"], ["1", "2"]]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(259 + i, t) for i, t in enumerate(tokens)], "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True}, "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                      "byte_fallback": False, "vocab": vocab, "merges": merges}}


BASES = {"pieces": pieces(), "bytes": bytes_level(), "bare": bytes_level(())}
TEXTS = ["ab cd", " ab  cd ", "a<|tool|>b", "a <|tool|> b", "x<extra>y <extra>", "<|pad|>ab", "ab</s>cd\n", "<s>ab", "[PAD] a[MASK]b", "a12 3b é", "abc<|tool|>", "don't A\u0301 e\u0301", "<|end|>a<unk>b", ""]
TOKENS = ["<|tool|>", "<extra>", "<|pad|>", "[PAD]", "[MASK]", "<|end|>", "ab"]
NAMES = ["pad_token", "mask_token", "eos_token", "bos_token", "unk_token", "cls_token", "sep_token", "image_token", "eot_token"]


def flags(token):
    chosen = {flag: random.random() < 0.4 for flag in FLAGS}
    return {"content": token, **chosen}


def token(typed=True):
    text = random.choice(TOKENS)
    if random.random() < 0.5:
        return text
    return {**({"__type": "AddedToken"} if typed else {}), **flags(text)}


def folders():
    plain = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for base in BASES:
        first = 262 if base == "bytes" else 259 if base == "bare" else max(BASES["pieces"]["model"]["vocab"].values()) + 1
        yield base, {"tokenizer_config.json": plain}, None
        yield base, {}, None
        for _ in range(14):
            files = {"tokenizer_config.json": dict(plain)}
            config = files["tokenizer_config.json"]
            if random.random() < 0.6:
                chosen = random.sample(TOKENS, random.randint(1, 4))
                config["added_tokens_decoder"] = {str(first + i): flags(t) for i, t in enumerate(chosen)}
                if random.random() < 0.4:
                    config["added_tokens_decoder"].update({str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in BASES[base]["added_tokens"]})
            for name in random.sample(NAMES, random.randint(0, 3)):
                config[name] = token() if name not in ("image_token", "eot_token") else random.choice(TOKENS)
            if random.random() < 0.3:
                config[random.choice(["additional_special_tokens", "extra_special_tokens"])] = [token() for _ in range(2)]
            if random.random() < 0.15:
                config["extra_special_tokens"] = {"image_token": random.choice(TOKENS), "audio_token": random.choice(TOKENS)}
            if random.random() < 0.4:
                files["special_tokens_map.json"] = {name: token(False) for name in random.sample(NAMES, random.randint(1, 3))}
                if random.random() < 0.3:
                    files["special_tokens_map.json"]["additional_special_tokens"] = random.sample(TOKENS, 2)
            if random.random() < 0.4:
                files["added_tokens.json"] = {t: first + i for i, t in enumerate(random.sample(TOKENS, random.randint(1, 3)))}
            if random.random() < 0.1:
                config["split_special_tokens"] = True
            yield base, files, None
    # Classes that are built anew, by their options and the family of the model.
    for name in ["LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer", "GemmaTokenizer", "GPT2Tokenizer", "GPT2TokenizerFast", "GPTNeoXTokenizerFast", "Qwen2Tokenizer", "CohereTokenizerFast", "Qwen3_5Tokenizer", "NoSuchTokenizer"]:
        for base in ["pieces", "bytes"]:
            yield base, {"tokenizer_config.json": {"tokenizer_class": name}}, None
            for option in [{"add_prefix_space": True}, {"add_prefix_space": False}, {"legacy": True}, {"legacy": False}, {"legacy": None, "add_prefix_space": None}, {"add_bos_token": True}, {"add_bos_token": False, "add_eos_token": True},
                           {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, {"pad_token": "</s>", "unk_token": None, "legacy": True, "add_prefix_space": False}]:
                if random.random() < 0.7 or name == "LlamaTokenizer":
                    yield base, {"tokenizer_config.json": {"tokenizer_class": name, **option}}, None
    for family in ["llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "cohere2", "starcoder2", "olmo2", "smollm3", "nemotron"]:
        for name in ["LlamaTokenizer", "Qwen2TokenizerFast", "GemmaTokenizer", "GPT2Tokenizer", "PreTrainedTokenizerFast"]:
            yield random.choice(["pieces", "bytes"]), {"tokenizer_config.json": {"tokenizer_class": name, "legacy": False, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}}, family
    for legacy in [True, False]:
        yield "pieces", {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "added_tokens_decoder": {"0": flags("<unk>"), "1": flags("<s>"), "2": flags("</s>"), "300": flags("<|tool|>")}}}, "llama"
        yield "pieces", {"config.json": {"model_type": "llama", "tokenizer_class": "LlamaTokenizer"}, "tokenizer_config.json": {"legacy": legacy}}, None
    # Folders that name no class: that of the family counts.
    for family in ["llama", "mistral", "qwen3", "gemma2", "phi3", "cohere2", "starcoder2", "mamba", "recurrent_gemma", "jamba"]:
        for base in ["pieces", "bytes"]:
            yield base, {"tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}}, family
    yield "pieces", {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": False}}, "jamba"
    # A named token with flags.
    for name in ["CohereTokenizer", "Qwen2Tokenizer", "GPT2Tokenizer"]:
        for more in [{}, {"added_tokens_decoder": {"259": {"content": "<s>", "special": True}}}]:
            yield "bytes", {"tokenizer_config.json": {"tokenizer_class": name, "pad_token": {"__type": "AddedToken", "content": "<|tool|>", "lstrip": True, "rstrip": True}, **more}}, None


def main():
    done, failed = [], 0
    for base, files, family in folders():
        files = {"config.json": {"model_type": family} if family else {}, **files}
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {"tokenizer.json": BASES[base], **files}.items():
                json.dump(content, open(os.path.join(folder, name), "w"))
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder)
                cases = []
                for text in TEXTS:
                    ids = tokenizer(text).input_ids
                    plain = tokenizer(text, add_special_tokens=False).input_ids
                    cases.append([text, ids, plain, tokenizer.decode(plain, skip_special_tokens=True), tokenizer.decode(plain, skip_special_tokens=False)])
                done.append(dict(base=base, files={k: v for k, v in files.items() if v or k == "tokenizer_config.json"}, names=tokenizer.special_tokens_map, cases=cases))
            except Exception as error:
                failed += 1
                print(type(error).__name__, str(error)[:100], files, file=sys.stderr)
    print(len(done), "folders,", failed, "refused", file=sys.stderr)
    print('{"bases":', json.dumps(BASES), ',\n"folders": [\n' + ",\n".join(json.dumps(x) for x in done) + "\n]}")


main()
