//! The past of one sequence.

mod buffer;
mod error;
mod full;
mod layer;
mod ring;
mod shared;
mod streaming_llm;
mod tova;

use std::ops::Range;

use glass_backend::{Device, Dtype};
use glass_config::{LayerConfig, LlamaConfig, MixerConfig, RopeParameters};

use crate::{CacheConfig, CachePolicy, CachePolicyError, Window};
pub use error::CacheError;
pub use layer::{LayerCache, NoCache};

/// The keys and values of one sequence, layer by layer.
///
/// Keys are stored rotated by their position, and never rotated again.
pub struct KvCache {
    layers: Vec<Box<dyn LayerCache>>,
    len: usize,
    ropes: Vec<RopeParameters>,
    binding: Option<Binding>,
}

/// What the device's binding limit means for the tensors of one layer.
#[derive(Clone, Debug)]
struct Binding {
    bytes_per_token: u64,
    limit: u64,
    device: String,
}

impl KvCache {
    /// An empty cache. By default full layers keep everything, and sliding layers a ring of their window.
    ///
    /// # Errors
    /// Policies that do not fit the model.
    pub fn new(
        config: &LlamaConfig,
        policies: CacheConfig,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self, CachePolicyError> {
        policies.check(config)?;
        let bytes_per_token = config.layers.iter().map(|layer| state_bytes(layer, dtype));
        let bytes_per_token = bytes_per_token.max().unwrap_or(0);
        let binding = device.max_binding().map(|limit| Binding {
            bytes_per_token,
            limit,
            device: device.name().to_owned(),
        });
        let max = binding
            .as_ref()
            .map_or(u64::MAX, |it| it.limit / bytes_per_token.max(1));
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let layers = config.layers.iter();
        Ok(Self {
            layers: layers
                .map(|layer| new_layer(policies, layer, max))
                .collect(),
            len: 0,
            ropes: config.ropes.clone(),
            binding,
        })
    }

    /// An empty cache of the caller's own policy: `layer` makes what each layer keeps.
    pub fn with_layers(
        config: &LlamaConfig,
        mut layer: impl FnMut() -> Box<dyn LayerCache>,
    ) -> Self {
        Self {
            layers: config.layers.iter().map(|_| layer()).collect(),
            len: 0,
            ropes: config.ropes.clone(),
            binding: None,
        }
    }

    /// Tokens read so far, which is the position of the next one.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of device memory of the keys and values, unused capacity included. What forks share counts in each.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes()).sum()
    }

    /// Makes room for this many tokens at once, instead of growing towards them.
    pub fn reserve(&mut self, tokens: usize) {
        for layer in &mut self.layers {
            layer.reserve(tokens);
        }
    }

    /// Keeps `tokens` states more than the policies need, so that [`truncate`](Self::truncate) can always go back by as
    /// many: what a pass over drafted tokens asks for. Only rings hold more for it; what they compute does not change.
    ///
    /// # Errors
    /// A policy that cannot go back (`tova`), or a cache that is not empty.
    pub fn reserve_rollback(&mut self, tokens: usize) -> Result<(), CacheError> {
        if self.len > 0 {
            return Err(CacheError::Begun { len: self.len });
        }
        let mut layers = self.layers.iter_mut();
        layers.try_for_each(|layer| layer.reserve_rollback(tokens))
    }

    /// Whether the device can hold a sequence of this many tokens.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`].
    pub fn check(&self, tokens: usize) -> Result<(), CacheError> {
        let Some(binding) = &self.binding else {
            return Ok(());
        };
        let states = self
            .layers
            .iter()
            .map(|layer| layer.states(tokens))
            .max()
            .unwrap_or(0);
        let bytes = (states as u64).saturating_mul(binding.bytes_per_token);
        if bytes <= binding.limit {
            return Ok(());
        }
        Err(CacheError::TooLarge {
            positions: states,
            bytes,
            limit: binding.limit,
            device: binding.device.clone(),
        })
    }

    /// Counts `tokens` more tokens, which a pass is about to read, and returns their positions.
    pub(crate) fn advance(&mut self, tokens: usize) -> Range<usize> {
        let start = self.len;
        self.len += tokens;
        start..self.len
    }

    /// What the layer of this number keeps.
    pub fn layer(&mut self, layer: usize) -> &mut dyn LayerCache {
        self.layers[layer].as_mut()
    }

    /// Goes back to the first `len` tokens: what follows is computed as if the others had never been.
    ///
    /// Full layers can always go back, and all policies to 0. A ring, and the last tokens beside StreamingLLM's first, can as
    /// long as what is seen from there has not been written over: before it has gone round once, by one token, or by what
    /// [`reserve_rollback`](Self::reserve_rollback) asked for. `tova` can as long as it has dropped nothing.
    ///
    /// # Errors
    /// It cannot, or holds fewer tokens: then nothing has changed.
    pub fn truncate(&mut self, len: usize) -> Result<(), CacheError> {
        let (held, asked_for) = (self.len, len);
        if len > held {
            return Err(CacheError::Longer {
                len: held,
                asked_for,
            });
        }
        if len == held {
            return Ok(());
        }
        let by_length = self.ropes.iter().find(|rope| rope.depends_on_length(held));
        if let Some(rope) = by_length.filter(|_| len > 0) {
            let rope = rope.scaling.name();
            return Err(CacheError::RotatedByLength {
                len: held,
                asked_for,
                rope,
            });
        }
        if !self.layers.iter().all(|layer| layer.can_truncate(len)) {
            return Err(CacheError::Overwritten {
                len: held,
                asked_for,
            });
        }
        for layer in &mut self.layers {
            layer.truncate(len);
        }
        self.len = len;
        Ok(())
    }

    /// Another sequence with the same past. What is long is shared from here on, and nobody writes to it; what is short is
    /// copied.
    pub fn fork(&mut self) -> Self {
        let len = self.len;
        Self {
            layers: self
                .layers
                .iter_mut()
                .map(|layer| layer.fork(len))
                .collect(),
            len,
            ropes: self.ropes.clone(),
            binding: self.binding.clone(),
        }
    }
}

/// Bytes of one token's keys in a layer.
fn state_bytes(layer: &LayerConfig, dtype: Dtype) -> u64 {
    let MixerConfig::Attention(attention) = &layer.mixer;
    (attention.kv_size() * dtype.bytes()) as u64
}

/// An empty cache of a layer under its policy; a tensor holds `max` tokens at most.
fn new_layer(policies: CacheConfig, layer: &LayerConfig, max: usize) -> Box<dyn LayerCache> {
    let MixerConfig::Attention(attention) = &layer.mixer;
    let own = attention.window.into();
    let policy = policies.policy(own);
    match (policy, policy.window(own)) {
        (CachePolicy::StreamingLlm { sinks, window }, _) => {
            Box::new(streaming_llm::StreamingLlm::new(sinks, window, max))
        }
        (CachePolicy::Tova { states }, window) => Box::new(tova::Tova::new(states, window)),
        (CachePolicy::Ring { .. }, Window::Last(window)) => Box::new(ring::Ring::new(window, max)),
        // A ring without a window has no end.
        (CachePolicy::Full | CachePolicy::Ring { .. }, window) => {
            Box::new(full::Full::new(window, max))
        }
    }
}
