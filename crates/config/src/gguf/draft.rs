//! The fields of a `config.json` on their way: those that all architectures have.

use glass_gguf::Gguf;
use serde_json::{Map, Value, json};

use super::architectures::GgufArchitecture;
use super::keys::Keys;
use super::rope;
use crate::error::ConfigError;

pub(crate) struct Draft<'a> {
    pub gguf: &'a Gguf,
    pub keys: Keys<'a>,
    pub fields: Map<String, Value>,
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub context: usize,
}

impl<'a> Draft<'a> {
    pub fn of(gguf: &'a Gguf) -> Result<Self, ConfigError> {
        let metadata = gguf.metadata();
        let nameless = Keys::new(metadata, "general");
        let Some(name) = metadata.string("general.architecture").map_err(|error| nameless.problem(error))? else {
            return Err(nameless.problem("there is no general.architecture; this is no model, or a damaged file"));
        };
        let architecture = GgufArchitecture::named(name).ok_or_else(|| {
            let known: Vec<&str> = GgufArchitecture::ALL.iter().map(|known| known.name()).collect();
            let known = known.join(", ");
            nameless.problem(format!("general.architecture = {name:?} is not supported; supported are {known}"))
        })?;
        let mut keys = Keys::new(metadata, architecture.name());
        let layers = keys.size("block_count")?;
        let hidden = keys.size("embedding_length")?;
        let heads = keys.size_of_layers("attention.head_count")?;
        let heads = heads.ok_or_else(|| keys.refused("attention.head_count", "it must be there"))?;
        let head_dim = match keys.size_of_layers("attention.key_length")? {
            Some(length) => length,
            None => hidden.checked_div(heads).unwrap_or(0),
        };
        if keys.usize("attention.value_length")?.is_some_and(|length| length != head_dim) {
            return Err(keys.refused("attention.value_length", "values are as long as keys here"));
        }
        let context = keys.size("context_length")?;
        let mut draft = Self { gguf, keys, fields: Map::new(), layers, hidden, heads, head_dim, context };
        draft.common(architecture)?;
        (architecture.fields)(&mut draft)?;
        let rope = rope::parameters(&mut draft)?;
        draft.set("rope_parameters", rope);
        Ok(draft)
    }

    fn common(&mut self, architecture: &GgufArchitecture) -> Result<(), ConfigError> {
        let Some(embedding) = self.gguf.get("token_embd.weight") else {
            return Err(self
                .keys
                .problem("there is no tensor token_embd.weight, the embedding; is this a whole model?"));
        };
        let vocabulary = embedding.shape.first().copied().unwrap_or(0);
        let (layers, hidden, heads) = (self.layers, self.hidden, self.heads);
        let (head_dim, context) = (self.head_dim, self.context);
        let tied = !self.has("output.weight");
        self.set("model_type", architecture.families[0].to_string());
        self.set("vocab_size", vocabulary);
        self.set("hidden_size", hidden);
        self.set("num_hidden_layers", layers);
        self.set("num_attention_heads", heads);
        self.set("head_dim", head_dim);
        self.set("max_position_embeddings", context);
        self.set("tie_word_embeddings", tied);
        let kv_heads = self.keys.size_of_layers("attention.head_count_kv")?;
        self.set("num_key_value_heads", kv_heads.unwrap_or(heads));
        let eps = self.keys.needed_float("attention.layer_norm_rms_epsilon")?;
        self.set("rms_norm_eps", eps);
        // A size that no tensor has would take memory before any is looked at.
        let rows = self.gguf.get("blk.0.attn_q.weight").and_then(|q| q.shape.first().copied());
        if let Some(rows) = rows.filter(|rows| heads.checked_mul(head_dim) != Some(*rows)) {
            let why = format!("with {head_dim} numbers in a head, it is not the {rows} rows of blk.0.attn_q.weight");
            return Err(self.keys.refused("attention.head_count", &why));
        }
        // Files of experts alone may leave it out.
        let width = self.keys.size_of_layers("feed_forward_length")?;
        let expert_width = self.keys.usize("expert_feed_forward_length")?;
        match width.filter(|&width| width > 0).or(expert_width) {
            Some(width) => self.set("intermediate_size", width),
            None => return Err(self.keys.refused("feed_forward_length", "it must be there")),
        }
        for (name, field) in [("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "pad_token_id")] {
            let id = self.keys.token(name)?;
            self.set(field, id);
        }
        if self.keys.bool("attention.causal")? == Some(false) {
            return Err(self.keys.refused("attention.causal", "attention is causal here"));
        }
        for key in ["nextn_predict_layers", "leading_dense_block_count", "expert_shared_count"] {
            if self.keys.usize(key)?.is_some_and(|count| count > 0) {
                return Err(self.keys.refused(key, "models with such layers are not built here"));
            }
        }
        Ok(())
    }

    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    pub fn has(&self, tensor: &str) -> bool {
        self.gguf.get(tensor).is_some()
    }

    /// Sets `field` if the file has the key.
    pub fn copy_float(&mut self, key: &str, field: &str) -> Result<(), ConfigError> {
        if let Some(value) = self.keys.float(key)? {
            self.set(field, value);
        }
        Ok(())
    }

    /// The window, `absent` where there is no key and none where it is 0, and which layers have it: of each `period` all but
    /// the last, unless the file says which.
    pub fn sliding(&mut self, absent: Option<usize>, period: usize) -> Result<Option<usize>, ConfigError> {
        let window = self.keys.usize("attention.sliding_window")?.or(absent).filter(|&window| window > 0);
        let slides = self.keys.pattern("attention.sliding_window_pattern", self.layers, period)?;
        let slides = slides.iter().map(|&slides| slides && window.is_some());
        let types: Vec<&str> =
            slides.map(|slides| if slides { "sliding_attention" } else { "full_attention" }).collect();
        self.set("layer_types", types);
        self.set("sliding_window", window);
        Ok(window)
    }

    /// How many experts there are and how many of them each token is sent to; none: no layer has experts.
    pub fn experts(&mut self) -> Result<Option<(usize, usize)>, ConfigError> {
        let Some(count) = self.keys.usize("expert_count")?.filter(|&count| count > 0) else {
            return Ok(None);
        };
        if self.keys.float("expert_weights_scale")?.is_some_and(|scale| scale != 0.0 && scale != 1.0) {
            return Err(self.keys.refused("expert_weights_scale", "the weights of experts are not scaled here"));
        }
        let used = self.keys.size("expert_used_count")?;
        self.fields
            .extend([("num_local_experts".to_owned(), json!(count)), ("num_experts_per_tok".to_owned(), json!(used))]);
        Ok(Some((count, used)))
    }
}
