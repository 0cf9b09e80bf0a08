//! What differs between a model's layers, and what they have that a Llama's do not.

use glass_config::{
    AttentionConfig, ExpertsConfig, Gate, LayerConfig, LlamaConfig, Mamba2Config, MambaConfig, MixerConfig, MlpConfig,
    NormConfig, NormKind, NormPlacement, NormWeight, QkNormOver, RetentionConfig, RgLruConfig, RouterWeights,
    StateShape,
};
use serde_json::{Value, json};

/// The MLP of a layer.
pub fn mlp(mlp: &MlpConfig) -> String {
    match mlp {
        MlpConfig::Dense(mlp) => format!("MLP {} ({})", mlp.intermediate_size, mlp.hidden_act),
        MlpConfig::Experts(experts) => {
            let ExpertsConfig { num_experts, num_experts_per_tok, expert, .. } = experts;
            format!(
                "{num_experts} experts {} ({}), {num_experts_per_tok} for each token",
                expert.intermediate_size, expert.hidden_act
            )
        }
    }
}

/// A mixer without attention.
pub fn mixer(mixer: &MixerConfig) -> String {
    match mixer {
        MixerConfig::Attention(_) => "attention".to_owned(),
        MixerConfig::Mamba(mamba) => {
            let MambaConfig { intermediate_size, state_size, conv_kernel, time_step_rank, .. } = mamba;
            format!(
                "Mamba of {intermediate_size} channels with {state_size} states each, convolution over {conv_kernel}, time \
                 steps of rank {time_step_rank}"
            )
        }
        MixerConfig::Retention(retention) => {
            let RetentionConfig { num_heads, key_dim, head_dim, .. } = retention;
            format!("retention by {num_heads} heads, keys of {key_dim}, values of {head_dim}")
        }
        MixerConfig::Mamba2(mamba) => {
            let Mamba2Config { num_heads, head_dim, n_groups, state_size, conv_kernel, .. } = mamba;
            let groups = if *n_groups == 1 { "1 group".to_owned() } else { format!("{n_groups} groups") };
            format!(
                "Mamba-2 of {num_heads} heads of {head_dim} channels with {state_size} states each, {groups}, convolution over \
                 {conv_kernel}"
            )
        }
        MixerConfig::RgLru(lru) => {
            let RgLruConfig { width, num_blocks, conv_kernel, .. } = lru;
            format!("RG-LRU of {width} channels, gates in {num_blocks} blocks, convolution over {conv_kernel}")
        }
    }
}

/// The kinds of layers in their order, each kind with how many of it follow one another. `None`: all are alike.
pub fn pattern(config: &LlamaConfig) -> Option<String> {
    let sparse = |layer: &LayerConfig| matches!(layer.mlp, Some(MlpConfig::Experts(_)));
    let mixed = config.layers.iter().any(sparse) && !config.layers.iter().all(sparse);
    let kind = |layer: &LayerConfig| {
        let mut kind = match &layer.mixer {
            MixerConfig::Attention(attention) => attention_kind(config, attention),
            mixer => mixer.name().to_owned(),
        };
        if mixed {
            kind += if sparse(layer) { " with experts" } else { " with one MLP" };
        }
        kind
    };
    let kinds: Vec<String> = config.layers.iter().map(kind).collect();
    let layers = kinds.len();
    // The shortest run that the layers repeat, the last time perhaps not to its end.
    let repeats = |period: &usize| (0..layers).all(|i| kinds[i] == kinds[i % period]);
    let period = (1..=layers / 2).find(repeats).unwrap_or(layers);
    if period == 1 {
        return None;
    }
    let runs = kinds[..period].chunk_by(|a, b| a == b).map(|run| format!("{} {}", run.len(), run[0]));
    let runs = runs.collect::<Vec<_>>().join(", ");
    Some(if period < layers { format!("{runs}, and again") } else { runs })
}

/// What the layers of each recurrent kind keep: the kind, and how many there are with which state.
pub fn states(config: &LlamaConfig) -> Vec<(&'static str, String)> {
    let mut kinds: Vec<(&MixerConfig, StateShape, usize)> = Vec::new();
    for mixer in config.layers.iter().map(|layer| &layer.mixer) {
        let Some(state) = mixer.state() else { continue };
        match kinds.iter_mut().find(|(known, of, _)| known.name() == mixer.name() && *of == state) {
            Some((.., count)) => *count += 1,
            None => kinds.push((mixer, state, 1)),
        }
    }
    let words = kinds.into_iter().map(|(mixer, state, count)| {
        let [heads, rows, columns] = state.matrix;
        let matrix = match (rows, columns) {
            (1, 1) => format!("{heads} numbers"),
            (1, _) => format!("{heads} by {columns} numbers"),
            _ => format!("{heads} heads by {rows} by {columns} numbers"),
        };
        let conv = state.conv.map(|[channels, inputs]| format!(", {inputs} inputs of {channels} channels"));
        let (conv, bytes) = (conv.unwrap_or_default(), super::size(state.bytes()));
        (mixer.name(), format!("{count} layers: {matrix}{conv}, {bytes} each"))
    });
    words.collect()
}

/// Runs of layers that are alike, as JSON: from which layer on, how many, their mixer, its window, and what each keeps.
pub fn runs(config: &LlamaConfig) -> Vec<Value> {
    let alike = |a: &LayerConfig, b: &LayerConfig| a.mixer == b.mixer;
    let mut first = 0;
    let runs = config.layers.chunk_by(alike).map(|run| {
        let mixer = &run[0].mixer;
        let state = mixer.state();
        let told = json!({
            "first": first,
            "layers": run.len(),
            "mixer": mixer.name(),
            "window": run[0].attention().and_then(|attention| attention.window),
            "state": state.map(|state| json!({ "matrix": state.matrix, "conv": state.conv, "bytes": state.bytes() })),
        });
        first += run.len();
        told
    });
    runs.collect()
}

/// The window and the rotation of a layer.
fn attention_kind(config: &LlamaConfig, attention: &AttentionConfig) -> String {
    let window = attention.window.map_or("full".to_owned(), |window| format!("window {window}"));
    match attention.rope {
        None => window + " without RoPE",
        Some(rope) if config.ropes.len() > 1 => format!("{window} with theta {}", config.ropes[rope].rope_theta),
        Some(_) => window,
    }
}

/// What the layers and the model have beside a Llama's, each in a few words.
pub fn beside_llama(config: &LlamaConfig) -> Vec<String> {
    let mut words = Vec::new();
    let Some(layer) = config.layers.first() else { return words };
    let norms = match layer.norms {
        NormPlacement::Pre => "",
        NormPlacement::Post => " behind each block",
        NormPlacement::Sandwich => " before and behind each block",
        NormPlacement::Parallel => " before both blocks at once",
    };
    if config.norm != NormConfig::rms(config.norm.eps) || !norms.is_empty() {
        words.push(format!("{}{norms}", norm(&config.norm)));
    }
    if let Some(attention) = layer.attention() {
        attention_words(attention, &mut words);
    }
    for rope in config.ropes.iter().take(1) {
        let part = if rope.partial_rotary_factor < 1.0 {
            format!(" on {} of a head", rope.partial_rotary_factor)
        } else {
            String::new()
        };
        match rope.interleaved {
            true => words.push(format!("interleaved RoPE{part}")),
            false if !part.is_empty() => words.push(format!("RoPE{part}")),
            false => {}
        }
    }
    mlp_words(config, &mut words);
    let mut times = |what: &str, by: f64| {
        if by != 1.0 {
            words.push(format!("{what} times {by:.4}"));
        }
    };
    times("embeddings", config.embedding_scale * config.embedding_multiplier);
    times("what blocks add", layer.residual_multiplier);
    times("logits", config.logits_multiplier);
    words.extend(config.logits_soft_cap.map(|cap| format!("logits capped at {cap}")));
    words
}

fn norm(norm: &NormConfig) -> &'static str {
    match (norm.kind, norm.weight, norm.bias) {
        (NormKind::Rms, NormWeight::OnePlus, _) => "RMSNorm of 1 + w",
        (NormKind::Rms, ..) => "RMSNorm",
        (NormKind::Layer, NormWeight::OnePlus, _) => "LayerNorm of 1 + w",
        (NormKind::Layer, _, true) => "LayerNorm with bias",
        (NormKind::Layer, ..) => "LayerNorm",
    }
}

fn attention_words(attention: &AttentionConfig, words: &mut Vec<String>) {
    if let Some(qk_norm) = attention.qk_norm {
        let over = match qk_norm.over {
            QkNormOver::Head => "each head",
            QkNormOver::EachHead => "each head with its own weights",
            QkNormOver::Width => "all heads together",
        };
        words.push(format!("{} of queries and keys over {over}", norm(&qk_norm.norm)));
    }
    let llama = (attention.head_dim as f64).powf(-0.5);
    if (attention.scale - llama).abs() > 1e-9 * llama {
        words.push(format!("scores times {:.4}", attention.scale));
    }
    words.extend(attention.soft_cap.map(|cap| format!("scores capped at {cap}")));
    if attention.sinks {
        words.push("a learned sink in each head".to_owned());
    }
    if let Some(dual) = attention.dual_chunk {
        let (chunk, max) = (dual.chunk(), dual.chunk_size);
        words.push(format!("dual chunk attention in chunks of {chunk}, no distance above {max}"));
        let original = dual.original_max_position_embeddings;
        words.extend(original.map(|original| format!("queries scaled by position beyond {original}")));
    }
    words.extend(attention.temperature.map(|by| format!("queries scaled by position beyond {}", by.length)));
}

fn mlp_words(config: &LlamaConfig, words: &mut Vec<String>) {
    let mut experts = config.layers.iter().filter_map(|layer| match &layer.mlp {
        Some(MlpConfig::Experts(experts)) => Some(experts),
        _ => None,
    });
    let experts = experts.next();
    let gate = match (experts, config.layers.first().and_then(|layer| layer.mlp)) {
        (Some(experts), _) => experts.expert.gate,
        (None, Some(MlpConfig::Dense(mlp))) => mlp.gate,
        _ => Gate::Product,
    };
    match gate {
        Gate::None => words.push("MLP without a gate".to_owned()),
        Gate::Product => {}
        Gate::Clamped { limit, .. } => words.push(format!("gate clamped at {limit}")),
    }
    if let Some(experts) = experts {
        words.push(match experts.router.weights {
            RouterWeights::SoftmaxAll => "router: softmax over all experts".to_owned(),
            RouterWeights::SoftmaxAllRenormalised => "router: softmax over all experts, renormalised".to_owned(),
            RouterWeights::SoftmaxChosen => "router: softmax over the chosen experts".to_owned(),
        });
        words.extend(experts.shared.map(|shared| format!("a shared expert {}", shared.mlp.intermediate_size)));
    }
}
