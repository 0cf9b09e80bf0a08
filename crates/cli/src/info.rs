//! `glass info`: a model's architecture, parameters and memory, from its config and the headers of its files.

mod contents;
mod json;
mod layers;

use std::collections::BTreeMap;

use glass_bench::costs;
use glass_checkpoint::Precision;
use glass_config::{AttentionConfig, DenseMlpConfig, IgnoredField, LayerConfig, LlamaConfig, MlpConfig};
use glass_kv_cache::{KvDtype, Window};

use contents::{Contents, Held};

use crate::{
    args,
    error::CliError,
    load,
    say::{print_line, warn},
    table,
    terminal::Stream,
};

/// Columns of the names.
const NAMES: usize = 22;

pub fn run(args: args::Info) -> Result<(), CliError> {
    let files = load::files(&args.model.source)?;
    let mut config = files.config(&args.model.overrides)?;
    let harmless = files.harmless_fields(&args.model.overrides)?;
    let contents = Contents::of(&files)?;
    warn(&contents.warnings);
    let (stored, own_head) = files.stored(&mut config)?;
    warn(own_head);
    let precision = args.dtype.unwrap_or(stored);
    let cache_dtype = args.cache_dtype.unwrap_or(precision.cache_dtype().into());
    let facts = facts(&config, &contents, stored, precision, cache_dtype);
    let text = if args.json {
        format!("{:#}", facts.json(&config, &contents, &harmless))
    } else {
        facts.text(&config, &contents, &harmless, args.tensors)
    };
    print_line(text.trim_end())
}

struct Facts {
    /// Parts of the model and how many parameters they have.
    parameters: Vec<(&'static str, u64)>,
    /// Window, number of layers with it, bytes per token, bytes at full context.
    caches: Vec<(Window, u64, u64, u64)>,
    /// Bytes of the state of each recurrent layer.
    states: Vec<u64>,
    /// How many positions back a token can influence the last one; `None`: all of them.
    reach: Option<u64>,
    /// Stored type, number of tensors, bytes.
    stored: BTreeMap<String, (u64, u64)>,
    weight_bytes: u64,
    /// What weights are counted in.
    precision: Precision,
    /// What keys and values are counted in.
    cache_dtype: KvDtype,
    /// Bits of the matrices in the files, ascending; empty if none is quantized.
    bits: Vec<usize>,
}

fn facts(
    config: &LlamaConfig,
    contents: &Contents,
    as_stored: Precision,
    precision: Precision,
    cache_dtype: KvDtype,
) -> Facts {
    let bytes = precision.dtype.bytes() as u64;
    let parameters: Vec<_> = config.parameters_by_part().into_iter().map(|(part, n)| (part, n as u64)).collect();

    let context = config.context() as u64;
    let mut caches: Vec<(Window, u64, u64, u64)> = Vec::new();
    for layer in attentions(config) {
        let window = Window::from(layer.window);
        let of_token = 2 * (layer.num_key_value_heads * cache_dtype.vector_bytes(layer.head_dim)) as u64;
        match caches.iter_mut().find(|(known, ..)| *known == window) {
            Some((_, count, token, _)) => (*count, *token) = (*count + 1, *token + of_token),
            None => caches.push((window, 1, of_token, 0)),
        }
    }
    for (window, _, token, full) in &mut caches {
        let kept = window.span().map_or(context, |span| context.min(span as u64));
        *full = *token * kept;
    }
    let states: Vec<u64> =
        config.layers.iter().filter_map(|layer| layer.mixer.state()).map(|state| state.bytes()).collect();
    // A state may hold any of the past.
    let reach = attentions(config)
        .map(|layer| Window::from(layer.window).span().map(|span| span as u64 - 1))
        .try_fold(0u64, |all, back| Some(all.saturating_add(back?)))
        .filter(|&reach| reach < context && states.is_empty());
    let mut stored: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    // Bytes that are held as they are stored, and numbers that are held in the float type.
    let (mut quantized, mut numbers) = (0, 0);
    for tensor in &contents.tensors {
        match tensor.held {
            Held::Nowhere => {}
            Held::AsStored => quantized += tensor.bytes,
            Held::AsFloats => numbers += tensor.shape.iter().product::<usize>() as u64,
        }
    }
    let quantization = config.quantization_config.as_ref();
    let mxfp4 = quantization.is_some_and(|quantization| quantization.groups.is_empty());
    let mut bits: Vec<usize> = match quantization {
        _ if mxfp4 => vec![4],
        _ => quantization.iter().flat_map(|of| of.groups.iter().map(|group| group.num_bits)).collect(),
    };
    bits.sort_unstable();
    bits.dedup();
    for tensor in &contents.tensors {
        let entry = stored.entry(tensor.dtype.clone()).or_default();
        entry.0 += 1;
        entry.1 += tensor.bytes;
    }
    let same_few_bits = as_stored.quantize.is_some() && precision.quantize == as_stored.quantize
        || as_stored.blocks.is_some() && precision == as_stored;
    Facts {
        weight_bytes: if mxfp4 || same_few_bits {
            quantized + bytes * numbers
        } else {
            costs::weight_bytes(config, precision)
        },
        precision,
        cache_dtype,
        parameters,
        caches,
        states,
        reach,
        stored,
        bits,
    }
}

impl Facts {
    fn total(&self) -> u64 {
        self.parameters.iter().map(|(_, n)| n).sum()
    }

    fn text(&self, config: &LlamaConfig, contents: &Contents, harmless: &[IgnoredField], tensors: bool) -> String {
        let dtype = self.precision.dtype;
        let mut rows = Vec::new();
        let mut line = |name: &str, value: String| rows.push((name.to_owned(), value));
        line("model_type", config.model_type.to_string());
        line("architecture", {
            let mlps = config.layers.iter().filter_map(|layer| layer.mlp.as_ref());
            let heads = attentions(config).map(|attention| {
                format!(
                    "{} heads of {} over {} key/value heads",
                    attention.num_attention_heads, attention.head_dim, attention.num_key_value_heads
                )
            });
            let recurrent = config.layers.iter().map(|layer| &layer.mixer).filter(|mixer| mixer.state().is_some());
            let parts = [
                format!("{} layers", config.layers.len()),
                format!("hidden {}", config.hidden_size),
                distinct(mlps.map(layers::mlp)),
                distinct(heads),
                distinct(recurrent.map(layers::mixer)),
                format!("vocabulary {}", config.vocab_size),
                (if config.tie_word_embeddings { "tied head" } else { "" }).to_owned(),
            ];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.join(", ")
        });
        if let Some(pattern) = layers::pattern(config) {
            line("layers", pattern);
        }
        for words in layers::beside_llama(config) {
            line("beside a Llama", words);
        }
        let q_k_v = attentions(config).any(|attention| attention.bias.q_k_v);
        let o = attentions(config).any(|attention| attention.bias.o);
        let mlp = mlps(config).any(|mlp| mlp.bias);
        let biases = [(q_k_v, "q, k, v"), (o, "o"), (mlp, "MLP")];
        let biases: Vec<_> = biases.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
        line("biases", if biases.is_empty() { "none".into() } else { biases.join(", ") });
        let is_used = |index: usize| attentions(config).any(|attention| attention.rope == Some(index));
        let ropes = config.ropes.iter().enumerate().filter(|(index, _)| is_used(*index));
        let ropes = distinct(ropes.map(|(_, rope)| {
            let rope_type = rope.scaling.name();
            format!("rope {rope_type} with theta {}", rope.rope_theta)
        }));
        let ropes = if ropes.is_empty() { "none".to_owned() } else { ropes };
        line("positions", format!("{ropes}, context {}", config.context()));
        line("parameters", count(self.total()));
        let active = config.active_parameters() as u64;
        if active < self.total() {
            line("  active per token", count(active));
        }
        for (part, n) in &self.parameters {
            line(&format!("  {part}"), count(*n));
        }
        let bits: Vec<_> = self.bits.iter().map(usize::to_string).collect();
        line(
            "weights",
            match (self.precision.quantize, self.precision.blocks) {
                (None, Some(blocks)) => {
                    format!("{}: matrices in blocks ({blocks}), the rest in {dtype}", size(self.weight_bytes))
                }
                (None, None) => format!("{} in {dtype}", size(self.weight_bytes)),
                (Some(format), _) => {
                    let as_stored = self.bits.first() == Some(&format.bits());
                    let bits = if as_stored { bits.join(" and ") } else { format.to_string() };
                    format!("{}: matrices in {bits} bits, the rest in {dtype}", size(self.weight_bytes))
                }
            },
        );
        for (window, layers, token, full) in &self.caches {
            line(
                &format!("KV cache, {}", kind(*window)),
                format!(
                    "{layers} layers: {token} bytes per token, {} at full context, in {}",
                    size(*full),
                    self.cache_dtype
                ),
            );
        }
        if let layers @ 1.. = self.states.len() {
            let bytes = size(self.states.iter().sum());
            line("recurrent state", format!("{layers} layers: {bytes} for a text of any length, in float32"));
        }
        for (mixer, words) in layers::states(config) {
            line(&format!("  {mixer}"), words);
        }
        line(
            "reach",
            match self.reach {
                None => "the whole context".into(),
                Some(reach) => format!("{reach} positions back, over all layers"),
            },
        );
        for (dtype, (n, bytes)) in &self.stored {
            line("stored", format!("{n} tensors in {dtype}, {}", size(*bytes)));
        }
        if tensors {
            for tensor in &contents.tensors {
                line("  tensor", format!("{} {} {:?}", tensor.name, tensor.dtype, tensor.shape));
            }
        }
        for (key, value) in &contents.keys {
            line("key", format!("{key} = {value}"));
        }
        let names: Vec<&str> = harmless.iter().map(|field| field.name.as_str()).collect();
        line("harmless fields", if names.is_empty() { "none".into() } else { names.join(", ") });
        match config.ignored.as_slice() {
            [] => line("ignored fields", "none".into()),
            fields => {
                for field in fields {
                    line("ignored field", format!("{} = {}: {}", field.name, field.value, field.why));
                }
            }
        }
        table::facts(&rows, NAMES, Stream::Out.width())
    }
}

fn attentions(config: &LlamaConfig) -> impl Iterator<Item = &AttentionConfig> {
    config.layers.iter().filter_map(LayerConfig::attention)
}

fn mlps(config: &LlamaConfig) -> impl Iterator<Item = &DenseMlpConfig> {
    config.layers.iter().filter_map(|layer| layer.mlp.as_ref()).map(|mlp| match mlp {
        MlpConfig::Dense(mlp) => mlp,
        MlpConfig::Experts(experts) => &experts.expert,
    })
}

/// Each description once, in the order of the layers.
fn distinct(descriptions: impl Iterator<Item = String>) -> String {
    let mut distinct = Vec::new();
    for description in descriptions {
        if !distinct.contains(&description) {
            distinct.push(description);
        }
    }
    distinct.join(" or ")
}

fn kind(window: Window) -> String {
    match window.span() {
        None => "full".into(),
        Some(w) => format!("window {w}"),
    }
}

/// 1234567 -> 1,234,567
fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
