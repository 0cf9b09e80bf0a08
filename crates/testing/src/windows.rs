//! Configs that no family's file could say.

use std::num::NonZeroUsize;

use glass_config::{LlamaConfig, MixerConfig};

/// The same model with one layer for each window, otherwise as its first. `None` is full attention.
pub fn with_windows(mut config: LlamaConfig, windows: &[Option<usize>]) -> LlamaConfig {
    let first = config.layers.swap_remove(0);
    let layers = windows.iter().map(|&window| {
        let mut layer = first.clone();
        if let MixerConfig::Attention(attention) = &mut layer.mixer {
            attention.window = window.and_then(NonZeroUsize::new);
        }
        layer
    });
    config.layers = layers.collect();
    config
}
