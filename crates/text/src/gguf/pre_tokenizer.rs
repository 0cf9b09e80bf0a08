//! How a byte-level vocabulary cuts text into words before it merges: what the names of `tokenizer.ggml.pre` stand for
//! (`llama_vocab::impl::load` and `llm_tokenizer_bpe` in <https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp>,
//! and `tokenizer.json` of the models that they are named after).

use serde_json::{Value, json};

use crate::tokenizer::{QWEN, QWEN_3_5};

/// A way to cut text, and what goes with it.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    /// All that stand for it; the first is the one that is written.
    pub names: &'static [&'static str],
    /// Each cuts the pieces of the one before it.
    regexes: &'static [&'static str],
    /// GPT-2's own regex comes last.
    gpt2: bool,
    /// A word that is a token is that token, whatever merges make of it.
    pub ignore_merges: bool,
    /// Text is composed first (NFC). llama.cpp does not do that.
    pub nfc: bool,
    /// BOS comes before a text where the file does not say.
    pub bos: bool,
}

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SEED_CODER: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Every digit by itself.
const DIGIT: &str = r"\p{N}";

const DEFAULTS: PreTokenizer =
    PreTokenizer { names: &[], regexes: &[], gpt2: false, ignore_merges: false, nfc: false, bos: false };

pub(super) const ALL: [PreTokenizer; 15] = [
    PreTokenizer {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        regexes: &[LLAMA_3],
        ignore_merges: true,
        bos: true,
        ..DEFAULTS
    },
    PreTokenizer { names: &["glm4"], regexes: &[LLAMA_3], ignore_merges: true, ..DEFAULTS },
    PreTokenizer { names: &["dbrx", "smaug-bpe", "chatglm-bpe"], regexes: &[LLAMA_3], ..DEFAULTS },
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"],
        regexes: &[QWEN],
        nfc: true,
        ..DEFAULTS
    },
    PreTokenizer { names: &["stablelm2", "hunyuan", "solar-open", "grok-2"], regexes: &[QWEN], ..DEFAULTS },
    PreTokenizer { names: &["qwen35"], regexes: &[QWEN_3_5], nfc: true, ..DEFAULTS },
    PreTokenizer { names: &["tekken"], regexes: &[TEKKEN], ignore_merges: true, bos: true, ..DEFAULTS },
    PreTokenizer { names: &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], regexes: &[GPT_4O], ..DEFAULTS },
    PreTokenizer { names: &["seed-coder"], regexes: &[SEED_CODER], ..DEFAULTS },
    PreTokenizer {
        names: &["smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"],
        regexes: &[DIGIT],
        gpt2: true,
        ..DEFAULTS
    },
    PreTokenizer { names: &["command-r"], regexes: &[DIGIT], gpt2: true, nfc: true, ..DEFAULTS },
    PreTokenizer {
        names: &["gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "jais", "trillion", "granite-docling", "exaone4"],
        gpt2: true,
        ..DEFAULTS
    },
    PreTokenizer { names: &["olmo", "mpt"], gpt2: true, nfc: true, ..DEFAULTS },
    PreTokenizer {
        names: &["deepseek-coder"],
        regexes: &["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", DIGIT],
        ..DEFAULTS
    },
    // Files from before there were names, and those whose converter did not know the model.
    PreTokenizer { names: &["default"], gpt2: true, ..DEFAULTS },
];

impl PreTokenizer {
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|pre| pre.names.contains(&name))
    }

    /// Every name, for messages.
    pub fn known() -> String {
        ALL.iter().flat_map(|pre| pre.names).copied().collect::<Vec<_>>().join(", ")
    }

    /// As `tokenizer.json` has it. `prefix`: a space is put before the text.
    pub fn json(&self, prefix: bool) -> Value {
        let split = |regex: &&str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let bytes =
            json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": self.gpt2});
        if self.regexes.is_empty() {
            return bytes;
        }
        let parts: Vec<Value> = self.regexes.iter().map(split).chain([bytes]).collect();
        json!({"type": "Sequence", "pretokenizers": parts})
    }

    /// The way that a `tokenizer.json` cuts text, if it has a name. Names differ in `nfc` and `ignore_merges` too: the best
    /// one is the first of those that agree in most.
    pub fn recognize(pre_tokenizer: &Value, nfc: bool, ignore_merges: bool) -> Option<&'static Self> {
        let (regexes, gpt2) = parse(pre_tokenizer)?;
        let same = |pre: &&Self| pre.regexes == regexes && pre.gpt2 == gpt2;
        let agree = |pre: &&Self| u8::from(pre.nfc == nfc) + u8::from(pre.ignore_merges == ignore_merges);
        // Of equals, `max_by_key` gives the last.
        ALL.iter().rev().filter(same).max_by_key(agree)
    }
}

/// The regexes of a pre-tokenizer, and whether GPT-2's follows; `None` where it is of another kind.
pub(super) fn parse(pre_tokenizer: &Value) -> Option<(Vec<&str>, bool)> {
    let whole = std::slice::from_ref(pre_tokenizer);
    let parts = pre_tokenizer.get("pretokenizers").and_then(Value::as_array).map_or(whole, Vec::as_slice);
    let (last, cuts) = parts.split_last()?;
    let gpt2 = last.get("use_regex").is_none_or(|regex| regex == true);
    if last["type"] != "ByteLevel" {
        return None;
    }
    let regex = |part: &'_ Value| match part["type"].as_str()? {
        "Digits" if part["individual_digits"] == true => Some(DIGIT),
        "Split" => {
            // What the regex matches is kept, and so is what lies between, if anything does.
            let keeps = matches!(
                (part["behavior"].as_str()?, part["invert"].as_bool()?),
                ("Isolated", false) | ("Removed", true)
            );
            ALL.iter().flat_map(|pre| pre.regexes).copied().find(|known| keeps && part["pattern"]["Regex"] == **known)
        }
        _ => None,
    };
    Some((cuts.iter().map(regex).collect::<Option<_>>()?, gpt2))
}
