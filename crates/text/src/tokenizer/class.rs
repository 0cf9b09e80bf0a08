//! Tokenizer classes that `transformers` 5.23 builds anew: it takes vocabulary, merges and post-processor of
//! `tokenizer.json`, and how text is cut from the class and its options. Where a folder names no class, that of its family
//! counts; where this takes the file as it is, the file decides here.

use serde_json::{Map, Value, json};

/// A class, with what its options say.
#[derive(Debug)]
pub(crate) struct Class {
    name: &'static str,
    /// Tokens that it has where the files name no others.
    pub defaults: Vec<(&'static str, &'static str)>,
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    /// Fields of the model beside vocabulary and merges.
    model: Value,
}

/// What a post-processor becomes.
pub(crate) enum PostProcessor {
    OfFile,
    /// BOS before the text, or nothing at all.
    Anew {
        bos: bool,
    },
}

/// The classes of families (`TOKENIZER_MAPPING_NAMES`), and whether their hub folders name a wrong one
/// (`MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS`). `File`: `tokenizer.json` as it is.
const FAMILIES: [(&str, &str, bool); 27] = [
    ("mistral", "File", false),
    ("qwen2", "Qwen2Tokenizer", true),
    ("qwen3", "Qwen2Tokenizer", false),
    ("qwen2_moe", "Qwen2Tokenizer", false),
    ("qwen3_moe", "Qwen2Tokenizer", false),
    ("gemma", "GemmaTokenizer", false),
    ("gemma2", "GemmaTokenizer", false),
    ("gemma3", "GemmaTokenizer", false),
    ("gemma3_text", "GemmaTokenizer", false),
    ("phi3", "File", true),
    ("hyperclovax", "File", true),
    ("nemotron", "File", true),
    ("olmo2", "File", false),
    ("olmo3", "File", false),
    ("granite", "File", false),
    ("ministral3", "File", false),
    ("mistral3", "File", false),
    ("mixtral", "File", false),
    ("cohere2", "CohereTokenizer", false),
    ("glm4", "File", false),
    ("stablelm", "File", false),
    ("starcoder2", "GPT2Tokenizer", false),
    ("mamba", "GPTNeoXTokenizer", false),
    ("mamba2", "GPTNeoXTokenizer", false),
    ("falcon_mamba", "GPTNeoXTokenizer", false),
    ("jamba", "File", true),
    ("recurrent_gemma", "GemmaTokenizer", false),
];

/// Classes that are built anew there, and not here.
const OTHERS: [&str; 12] = [
    "AlbertTokenizer",
    "BartTokenizer",
    "BertTokenizer",
    "BigBirdTokenizer",
    "CamembertTokenizer",
    "DebertaV2Tokenizer",
    "OpenAIGPTTokenizer",
    "RobertaTokenizer",
    "T5Tokenizer",
    "XGLMTokenizer",
    "XLMRobertaTokenizer",
    "XLNetTokenizer",
];

/// How Qwen 2 cuts text, and Qwen 3.5.
pub(crate) const QWEN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(crate) const QWEN_3_5: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Class {
    /// The class of a folder, by its `tokenizer_config.json` and `config.json`; an error where it is one that is not known
    /// here. `byte_level`: `tokenizer.json` has a part of this type.
    pub fn find(
        tokenizer_config: &Map<String, Value>,
        config: &Map<String, Value>,
        byte_level: bool,
    ) -> Result<Option<Self>, String> {
        let family = config.get("model_type").and_then(Value::as_str);
        let family = FAMILIES.iter().find(|(name, ..)| Some(*name) == family);
        let declared = [tokenizer_config, config].iter().find_map(|file| file.get("tokenizer_class")?.as_str());
        let Some(declared) = declared.map(|name| name.strip_suffix("Fast").unwrap_or(name)) else {
            return Ok(family.and_then(|(_, class, _)| Self::new(class, tokenizer_config)));
        };
        // Llama 3 and others name the class of Llama 2, and have bytes where that has SentencePiece's pieces.
        if declared == "LlamaTokenizer" && byte_level && family.is_none_or(|(.., wrong)| !wrong) {
            return Ok(None);
        }
        // Of a file without bytes, a class of bytes would read nothing at all, as it does in transformers.
        if declared == "PreTrainedTokenizer" && !byte_level {
            return Ok(None);
        }
        let name = match family {
            Some(&(_, "File", _)) => return Ok(None),
            Some(&(_, right, true)) => right,
            _ => declared,
        };
        if OTHERS.contains(&name) {
            return Err(name.to_owned());
        }
        Ok(Self::new(name, tokenizer_config))
    }

    fn new(name: &str, options: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str, default: &'static str| match options.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(fields)) => fields.get("content").and_then(Value::as_str).unwrap_or(default).to_owned(),
            _ => default.to_owned(),
        };
        let is_true = |key: &str, default: bool| match options.get(key) {
            None | Some(Value::Null) => default,
            Some(value) => value.as_bool().unwrap_or(true),
        };
        let byte_level = |prefix: bool, trim: bool, regex: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": trim, "use_regex": regex});
        let metaspace =
            |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
        let pieces = |strip: bool| {
            let mut decoders = vec![
                json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
                json!({"type": "ByteFallback"}),
                json!({"type": "Fuse"}),
            ];
            if strip {
                decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
            }
            json!({"type": "Sequence", "decoders": decoders})
        };
        let bytes_model = || json!({"continuing_subword_prefix": "", "end_of_word_suffix": ""});
        let pieces_model =
            |unknown: Option<String>| json!({"unk_token": unknown, "fuse_unk": true, "byte_fallback": true});
        let nfc = || json!({"type": "NFC"});
        let sequence = |parts: Value| json!({"type": "Sequence", "pretokenizers": parts});
        let qwen = |pattern: &str| {
            let split =
                json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
            sequence(json!([split, byte_level(is_true("add_prefix_space", false), true, false)]))
        };
        let llama = [("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")];
        let of_gpt = [("bos_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>")];
        let of_qwen = [("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>")];
        Some(match name {
            "LlamaTokenizer" => {
                let prefix = is_true("add_prefix_space", true);
                let scheme = match (prefix, is_true("legacy", false)) {
                    (false, _) => "never",
                    (true, true) => "always",
                    (true, false) => "first",
                };
                Self {
                    name: "LlamaTokenizer",
                    defaults: llama.to_vec(),
                    normalizer: Value::Null,
                    pre_tokenizer: metaspace(scheme),
                    decoder: pieces(prefix),
                    model: pieces_model(None),
                }
            }
            "CodeLlamaTokenizer" => {
                let own = [
                    ("prefix_token", "▁<PRE>"),
                    ("middle_token", "▁<MID>"),
                    ("suffix_token", "▁<SUF>"),
                    ("eot_token", "▁<EOT>"),
                    ("fill_token", "<FILL_ME>"),
                ];
                let scheme = if is_true("add_prefix_space", true) { "first" } else { "never" };
                Self {
                    name: "CodeLlamaTokenizer",
                    defaults: [llama.as_slice(), &own].concat(),
                    normalizer: Value::Null,
                    pre_tokenizer: metaspace(scheme),
                    decoder: pieces(true),
                    model: pieces_model(Some(text("unk_token", "<unk>"))),
                }
            }
            "GemmaTokenizer" => Self {
                name: "GemmaTokenizer",
                defaults: vec![
                    ("bos_token", "<bos>"),
                    ("eos_token", "<eos>"),
                    ("unk_token", "<unk>"),
                    ("pad_token", "<pad>"),
                    ("mask_token", "<mask>"),
                ],
                normalizer: json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
                pre_tokenizer: json!({
                    "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false
                }),
                decoder: pieces(false),
                model: pieces_model(Some(text("unk_token", "<unk>"))),
            },
            "GPT2Tokenizer" => Self {
                name: "GPT2Tokenizer",
                defaults: of_gpt.to_vec(),
                normalizer: Value::Null,
                pre_tokenizer: byte_level(is_true("add_prefix_space", false), true, true),
                decoder: byte_level(true, true, true),
                model: bytes_model(),
            },
            "GPTNeoXTokenizer" => Self {
                name: "GPTNeoXTokenizer",
                defaults: [of_gpt.as_slice(), &[("pad_token", "<|padding|>")]].concat(),
                normalizer: nfc(),
                pre_tokenizer: byte_level(is_true("add_prefix_space", false), is_true("trim_offsets", true), true),
                decoder: byte_level(true, true, true),
                model: bytes_model(),
            },
            "Qwen2Tokenizer" | "Qwen3_5Tokenizer" => Self {
                name: if name == "Qwen2Tokenizer" { "Qwen2Tokenizer" } else { "Qwen3_5Tokenizer" },
                defaults: of_qwen.to_vec(),
                normalizer: nfc(),
                pre_tokenizer: qwen(if name == "Qwen2Tokenizer" { QWEN } else { QWEN_3_5 }),
                decoder: byte_level(true, true, true),
                model: bytes_model(),
            },
            "CohereTokenizer" => {
                let prefix = is_true("add_prefix_space", false);
                let digits = json!({"type": "Digits", "individual_digits": true});
                Self {
                    name: "CohereTokenizer",
                    defaults: vec![
                        ("bos_token", "<BOS_TOKEN>"),
                        ("eos_token", "<|END_OF_TURN_TOKEN|>"),
                        ("unk_token", "<UNK>"),
                        ("sep_token", "<SEP>"),
                        ("pad_token", "<PAD>"),
                        ("cls_token", "<CLS>"),
                        ("mask_token", "<MASK_TOKEN>"),
                    ],
                    normalizer: nfc(),
                    pre_tokenizer: sequence(json!([digits, byte_level(prefix, true, true)])),
                    decoder: byte_level(prefix, true, true),
                    model: bytes_model(),
                }
            }
            _ => return None,
        })
    }

    /// `tokenizer.json` as the class has it, without added tokens; `None` where its vocabulary is not of byte-pair encoding.
    pub fn rebuild(&self, tokenizer: &Map<String, Value>) -> Option<Value> {
        let model = tokenizer.get("model")?.as_object()?;
        let is_bpe = model.get("type").is_none_or(|kind| kind == "BPE") && model.get("vocab")?.is_object();
        let merges = model.get("merges").filter(|_| is_bpe)?;
        let mut rebuilt = json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        });
        for (key, value) in self.model.as_object().into_iter().flatten() {
            rebuilt[key] = value.clone();
        }
        rebuilt["vocab"] = model.get("vocab")?.clone();
        rebuilt["merges"] = merges.clone();
        Some(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": self.normalizer, "pre_tokenizer": self.pre_tokenizer, "decoder": self.decoder,
            "post_processor": tokenizer.get("post_processor"), "model": rebuilt,
        }))
    }

    pub fn post_processor(&self) -> PostProcessor {
        match self.name {
            // Their constructors set it, whatever the file has.
            "CodeLlamaTokenizer" => PostProcessor::Anew { bos: true },
            "GPTNeoXTokenizer" => PostProcessor::Anew { bos: false },
            _ => PostProcessor::OfFile,
        }
    }

    /// The named tokens lose their flags.
    pub fn resets_named(&self) -> bool {
        self.name == "Qwen2Tokenizer"
    }
}
