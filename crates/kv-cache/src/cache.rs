//! The past of one sequence.

use std::{collections::HashSet, ops::Range};

use glass_backend::{Device, Dtype, KvDtype};
use glass_config::{AttentionConfig, LayerConfig, LlamaConfig, RopeParameters};

use crate::{
    CacheConfig, CacheError, CachePolicy, CachePolicyError, LayerCache, LayerState, RecurrentState, Window,
    in_dtype::InDtype,
    policies::{Full, Ring, StreamingLlm, Tova},
};

/// What is kept of one sequence, layer by layer: keys and values of attention, the state of a recurrent layer.
///
/// Keys are stored rotated by their position, and never rotated again.
pub struct KvCache {
    layers: Vec<LayerState>,
    len: usize,
    ropes: Vec<RopeParameters>,
    /// One per layer.
    bindings: Vec<Option<Binding>>,
    /// Bytes of one token's keys and values in each layer.
    token_bytes: Vec<u64>,
}

/// What the binding limit of a layer's device means for its tensors.
#[derive(Clone, Debug)]
struct Binding {
    bytes_per_token: u64,
    limit: u64,
    device: String,
}

impl Binding {
    /// One per layer; `None` if the layer's device has no limit.
    fn of_layers<'d>(
        config: &LlamaConfig,
        device_of: impl Fn(usize) -> &'d Device,
        dtype: KvDtype,
    ) -> Vec<Option<Self>> {
        // An adapter attends to 8 bits as the float32 numbers that they stand for.
        let dtype = if dtype == KvDtype::Q8 { KvDtype::Float(Dtype::F32) } else { dtype };
        let layers = config.layers.iter().enumerate();
        let binding = |(number, layer)| {
            let device = device_of(number);
            Some(Self {
                bytes_per_token: state_bytes(layer, dtype),
                limit: device.max_binding()?,
                device: device.name().to_owned(),
            })
        };
        layers.map(binding).collect()
    }

    /// The most tokens that one tensor holds.
    fn max_tokens(&self) -> usize {
        let tokens = self.limit / self.bytes_per_token.max(1);
        usize::try_from(tokens).unwrap_or(usize::MAX)
    }
}

impl KvCache {
    /// An empty cache. By default full layers keep everything, and sliding layers a ring of their window. `device_of` a layer
    /// is where its keys and values are; they are kept in `dtype`.
    ///
    /// # Errors
    /// Policies that do not fit the model.
    pub fn new<'d>(
        config: &LlamaConfig,
        policies: CacheConfig,
        device_of: impl Fn(usize) -> &'d Device,
        dtype: impl Into<KvDtype>,
    ) -> Result<Self, CachePolicyError> {
        policies.check(config)?;
        let dtype = dtype.into();
        let bindings = Binding::of_layers(config, &device_of, dtype);
        let layers = config.layers.iter().zip(&bindings).enumerate().map(|(number, (layer, binding))| {
            let max = binding.as_ref().map_or(usize::MAX, Binding::max_tokens);
            let kernels = device_of(number).kernel_set();
            let of = |attention: &_| Box::new(InDtype::new(new_layer(policies, attention, max), dtype, kernels));
            state_of(layer, |attention| of(attention))
        });
        let (layers, token_bytes) = (layers.collect(), token_bytes(config, dtype));
        Ok(Self { layers, len: 0, ropes: config.ropes.clone(), bindings, token_bytes })
    }

    /// An empty cache with policies of one's own: `layer` gives one to each attention layer of the model.
    pub fn from_layers<'d>(
        config: &LlamaConfig,
        device_of: impl Fn(usize) -> &'d Device,
        dtype: impl Into<KvDtype>,
        mut layer: impl FnMut(&LayerConfig) -> Box<dyn LayerCache>,
    ) -> Self {
        let dtype = dtype.into();
        Self {
            layers: config.layers.iter().map(|config| state_of(config, |_| layer(config))).collect(),
            len: 0,
            ropes: config.ropes.clone(),
            bindings: Binding::of_layers(config, device_of, dtype),
            token_bytes: token_bytes(config, dtype),
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

    /// [`bytes`](Self::bytes) of several together: `counted` notes what they share, so that it counts once.
    pub fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        self.layers.iter().map(|layer| layer.bytes_beside(counted)).sum()
    }

    /// Bytes of the keys and values of a text of this many tokens, if no room is made for more ([`limit`](Self::limit)).
    pub fn bytes_of(&self, tokens: usize) -> u64 {
        let layers = self.layers.iter().zip(&self.token_bytes);
        layers.map(|(layer, bytes)| layer.bytes_of(tokens, *bytes)).sum()
    }

    /// Makes room for no more than this many tokens, unless they come.
    pub fn limit(&mut self, tokens: usize) {
        for layer in &mut self.layers {
            layer.limit(tokens);
        }
    }

    /// Makes room for this many tokens at once, instead of growing towards them.
    pub fn reserve(&mut self, tokens: usize) {
        for layer in &mut self.layers {
            layer.reserve(tokens);
        }
    }

    /// Keeps `tokens` states more than the policies need, so that [`truncate`](Self::truncate) can always go back by as
    /// many from the furthest token that was ever read: what a pass over drafted tokens asks for. Only rings and recurrent layers hold more for it; what they compute does not change.
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

    /// Whether the devices can hold a sequence of this many tokens.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`], of the layer that needs the most.
    pub fn check(&self, tokens: usize) -> Result<(), CacheError> {
        let layers = self.layers.iter().zip(&self.bindings);
        let too_large = layers.filter_map(|(layer, binding)| {
            let binding = binding.as_ref()?;
            let (bytes, states) = layer.largest(tokens, binding.bytes_per_token);
            (bytes > binding.limit).then_some((bytes, states, binding))
        });
        match too_large.max_by_key(|(bytes, ..)| *bytes) {
            None => Ok(()),
            Some((bytes, positions, binding)) => {
                Err(CacheError::TooLarge { positions, bytes, limit: binding.limit, device: binding.device.clone() })
            }
        }
    }

    /// Counts `tokens` more tokens, which a pass is about to read, and returns their positions.
    pub fn advance(&mut self, tokens: usize) -> Range<usize> {
        let start = self.len;
        self.len += tokens;
        start..self.len
    }

    /// What the layer of this number keeps.
    pub fn layer(&mut self, layer: usize) -> &mut LayerState {
        &mut self.layers[layer]
    }

    /// Goes back to the first `len` tokens: what follows is computed as if the others had never been.
    ///
    /// A recurrent layer can go back by what [`reserve_rollback`](Self::reserve_rollback) asked for, and to 0.
    /// Full layers can always go back, and all policies to 0. A ring, and the last tokens beside StreamingLLM's first, can as
    /// long as what is seen from there has not been written over: before it has gone round once, by one token, or by what
    /// [`reserve_rollback`](Self::reserve_rollback) asked for. `tova` can as long as it has dropped nothing.
    ///
    /// # Errors
    /// It cannot, or holds fewer tokens: then nothing has changed.
    pub fn truncate(&mut self, len: usize) -> Result<(), CacheError> {
        let (held, asked_for) = (self.len, len);
        if len > held {
            return Err(CacheError::Longer { len: held, asked_for });
        }
        if len == held {
            return Ok(());
        }
        let by_length = self.ropes.iter().find(|rope| rope.depends_on_length(held));
        if let Some(rope) = by_length.filter(|_| len > 0) {
            let rope = rope.scaling.name();
            return Err(CacheError::RotatedByLength { len: held, asked_for, rope });
        }
        if !self.can_truncate(len) {
            return Err(CacheError::Overwritten { len: held, asked_for });
        }
        for layer in &mut self.layers {
            layer.truncate(len);
        }
        self.len = len;
        Ok(())
    }

    /// Whether what the layers hold is enough to go back to the first `len` tokens.
    pub fn can_truncate(&self, len: usize) -> bool {
        len == self.len || len < self.len && self.layers.iter().all(|layer| layer.can_truncate(len))
    }

    /// Another sequence with the same past. What is long is shared from here on, and nobody writes to it; what is short is
    /// copied.
    pub fn fork(&mut self) -> Self {
        self.with_layers(|layer, len| layer.fork(len))
    }

    /// The same past to keep: sequences that begin from snapshots of it go on as this one does, bit for bit on devices whose
    /// kernels are the same for all. This one does not change, and what is long is copied once; snapshots of the copy share it.
    pub fn snapshot(&mut self) -> Self {
        self.with_layers(|layer, len| layer.snapshot(len))
    }

    fn with_layers(&mut self, each: impl Fn(&mut LayerState, usize) -> LayerState) -> Self {
        let len = self.len;
        Self {
            layers: self.layers.iter_mut().map(|layer| each(layer, len)).collect(),
            len,
            ropes: self.ropes.clone(),
            bindings: self.bindings.clone(),
            token_bytes: self.token_bytes.clone(),
        }
    }
}

/// Bytes of one token's keys and values in each layer.
fn token_bytes(config: &LlamaConfig, dtype: KvDtype) -> Vec<u64> {
    config.layers.iter().map(|layer| 2 * state_bytes(layer, dtype)).collect()
}

/// Bytes of one token's keys in a layer.
fn state_bytes(layer: &LayerConfig, dtype: KvDtype) -> u64 {
    let bytes = |attention: &AttentionConfig| attention.num_key_value_heads * dtype.vector_bytes(attention.head_dim);
    layer.attention().map_or(0, |attention| bytes(attention) as u64)
}

/// The empty state of a layer; `attends` gives those with attention a cache.
fn state_of(layer: &LayerConfig, attends: impl FnOnce(&AttentionConfig) -> Box<dyn LayerCache>) -> LayerState {
    match (layer.attention(), layer.mixer.state()) {
        (Some(attention), _) => LayerState::Kv(attends(attention)),
        (None, Some(shape)) => LayerState::Recurrent(RecurrentState::new(shape)),
        (None, None) => unreachable!("a mixer that does not attend has a state"),
    }
}

/// An empty cache of an attention layer under its policy; a tensor holds `max` tokens at most.
fn new_layer(policies: CacheConfig, attention: &AttentionConfig, max: usize) -> Box<dyn LayerCache> {
    let own = attention.window.into();
    let policy = policies.policy(own);
    match (policy, policy.window(own)) {
        (CachePolicy::StreamingLlm { sinks, window }, _) => Box::new(StreamingLlm::new(sinks, window, max)),
        (CachePolicy::Tova { states }, window) => Box::new(Tova::new(states, window)),
        (CachePolicy::Ring { .. }, Window::Last(window)) => Box::new(Ring::new(window, max)),
        // A ring without a window has no end.
        (CachePolicy::Full | CachePolicy::Ring { .. }, window) => Box::new(Full::new(window, max)),
    }
}
