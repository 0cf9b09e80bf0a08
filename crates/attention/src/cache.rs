//! What a model remembers of the tokens before.

mod buffer;
mod full;
mod layer;
mod ring;
mod select;
mod sinks;
mod tova;

use std::sync::Arc;

use glass_backend::{Device, Dtype};
use glass_config::{LayerType, LlamaConfig};
use thiserror::Error;

use crate::{CachePlan, CachePolicy, CachePolicyError, Dropouts, Padding, Pass, Rope, Window};
use buffer::PositionLimit;
pub use layer::LayerCache;
use layer::Nothing;
pub use select::Selection;

/// The keys and values of every layer, and what a forward pass needs to know of the tokens before it.
///
/// Keys are stored as they were rotated, at their absolute position, and never rotated again.
pub struct Cache {
    layers: Vec<Box<dyn LayerCache>>,
    rope: Rope,
    /// Most values per position in one activation.
    widest: usize,
    batch: usize,
    seen: usize,
    padding: Option<Arc<Padding>>,
    score_bytes: usize,
    dropouts: Dropouts,
    device: Device,
}

/// A sequence that the cache cannot hold.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum CacheError {
    #[error(
        "{positions} positions need {bytes} bytes of keys in one layer, but device {device} binds at most {limit}: \
         ask for fewer (a shorter prompt, --max-new-tokens, --window), or use a device with a larger limit"
    )]
    TooLarge {
        positions: usize,
        bytes: u64,
        limit: u64,
        device: String,
    },
    #[error(
        "a pass over {seq} positions needs {bytes} bytes for one activation, but device {device} binds at most {limit}: \
         give fewer positions at a time, or use a device with a larger limit"
    )]
    PassTooLarge {
        seq: usize,
        bytes: u64,
        limit: u64,
        device: String,
    },
    #[error("a pass needs at least one position")]
    Empty,
    #[error("a cache needs at least one row")]
    NoRows,
    #[error("a cache of {batch} rows has no row {row} (the first is 0)")]
    NoSuchRow { row: usize, batch: usize },
    #[error("the cache was made for a batch of {made_for}, not {asked_for}")]
    Batch { made_for: usize, asked_for: usize },
    #[error("a cache of {seen} positions cannot be cut to {asked_for}")]
    Longer { seen: usize, asked_for: usize },
    #[error(
        "a cache of {seen} positions cannot go back to {asked_for}: a layer has written over states that are seen from \
         there (its policy keeps no more): begin with an empty one, or use --cache full"
    )]
    Overwritten { seen: usize, asked_for: usize },
    #[error(
        "a cache of {seen} positions cannot go back to {asked_for}: beyond the trained context rope type {rope} turned \
         its keys by the length of the text then: begin with an empty one"
    )]
    TurnedByLength {
        seen: usize,
        asked_for: usize,
        rope: &'static str,
    },
    #[error("cache policy {policy} cannot go back: use full, ring or sinks")]
    OneWay { policy: &'static str },
    #[error(
        "a cache of {seen} positions keeps what it has kept so far: ask for more before the first pass"
    )]
    Begun { seen: usize },
}

/// Scores of one block, at most: large enough that a matrix product is busy, small beside any model's weights.
const SCORE_BYTES: usize = 64 << 20;

impl Cache {
    /// An empty cache for `batch` sequences, as the config asks for it: full layers keep everything, sliding layers a
    /// ring of their window.
    pub fn new(config: &LlamaConfig, batch: usize, device: &Device, dtype: Dtype) -> Self {
        Self::with_plan(config, CachePlan::default(), batch, device, dtype)
    }

    /// The same with other policies.
    ///
    /// # Errors
    /// They do not fit the model.
    pub fn planned(
        config: &LlamaConfig,
        plan: CachePlan,
        batch: usize,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self, CachePolicyError> {
        plan.check(config)?;
        Ok(Self::with_plan(config, plan, batch, device, dtype))
    }

    fn with_plan(
        config: &LlamaConfig,
        plan: CachePlan,
        batch: usize,
        device: &Device,
        dtype: Dtype,
    ) -> Self {
        let limit = PositionLimit::new(config, batch, device, dtype);
        Self::with_layers(config, batch, device, |layer| {
            remember(plan.policy(layer), layer, limit)
        })
    }

    /// A cache that keeps nothing: for a single pass over whole sequences, as in training.
    pub fn none(config: &LlamaConfig, batch: usize, device: &Device) -> Self {
        Self::with_layers(config, batch, device, |layer| {
            Box::new(Nothing(layer.into()))
        })
    }

    fn with_layers(
        config: &LlamaConfig,
        batch: usize,
        device: &Device,
        layer: impl Fn(LayerType) -> Box<dyn LayerCache>,
    ) -> Self {
        let binding = device.max_binding().map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        Self {
            layers: config.layer_types.iter().map(|&kind| layer(kind)).collect(),
            rope: Rope::new(config),
            widest: config
                .intermediate_size
                .max(config.hidden_size)
                .max(config.q_size()),
            batch,
            seen: 0,
            padding: None,
            score_bytes: SCORE_BYTES.min(binding),
            dropouts: Dropouts::default(),
            device: device.clone(),
        }
    }

    /// Says which slots of the coming prompt hold tokens: `[batch, seq]`, `true` for a token.
    pub fn with_attention_mask(mut self, mask: &[Vec<bool>]) -> Self {
        self.padding = Padding::from_mask(mask).map(Arc::new);
        self
    }

    /// Limits the scores that are held at a time; the logits do not depend on it.
    pub fn with_score_bytes(mut self, bytes: usize) -> Self {
        self.score_bytes = bytes;
        self
    }

    /// Drops values in every pass: for training only.
    pub fn with_dropouts(mut self, dropouts: Dropouts) -> Self {
        self.dropouts = dropouts;
        self
    }

    /// Keeps `slots` states more than the policies need, so that [`Cache::truncate`] can always go back by as many: what
    /// a pass over drafted tokens asks for. Only rings hold more for it; what they compute does not change.
    ///
    /// # Errors
    /// A policy that cannot go back (`tova`), or a cache that is not empty.
    pub fn with_rollback(mut self, slots: usize) -> Result<Self, CacheError> {
        if self.seen > 0 {
            return Err(CacheError::Begun { seen: self.seen });
        }
        self.layers
            .iter_mut()
            .try_for_each(|layer| layer.keep_more(slots))?;
        Ok(self)
    }

    /// Makes room for this many positions at once, instead of growing towards them.
    pub fn reserve(&mut self, positions: usize) {
        for layer in &mut self.layers {
            layer.reserve(positions);
        }
    }

    /// Whether the device can hold what `positions` positions need.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`].
    pub fn check(&self, positions: usize) -> Result<(), CacheError> {
        self.layers
            .iter()
            .try_for_each(|layer| layer.check(positions, &self.device))
    }

    /// Begins a forward pass over `seq` more slots of each of `batch` rows.
    ///
    /// # Errors
    /// A batch of another size, or more positions than the device can bind in one tensor.
    pub fn begin(&mut self, batch: usize, seq: usize) -> Result<Pass, CacheError> {
        if batch != self.batch || self.padding.as_ref().is_some_and(|p| p.batch() != batch) {
            return Err(CacheError::Batch {
                made_for: self.batch,
                asked_for: batch,
            });
        }
        if seq == 0 {
            return Err(CacheError::Empty);
        }
        let slots = self.seen..self.seen + seq;
        self.check(slots.end)?;
        let bytes = (batch * seq * self.widest * size_of::<f32>()) as u64;
        if let Some(limit) = self.device.max_binding().filter(|&limit| bytes > limit) {
            return Err(CacheError::PassTooLarge {
                seq,
                bytes,
                limit,
                device: self.device.name().to_owned(),
            });
        }
        self.seen = slots.end;
        Ok(Pass::new(
            slots,
            &self.rope,
            self.padding.clone(),
            self.score_bytes,
            self.dropouts,
            &self.device,
        ))
    }

    /// Goes back to the first `slots` slots: what follows is computed as if the others had never been.
    ///
    /// Full layers can always go back, and all policies to 0. A ring, and the last states beside sinks, can as long as
    /// what is seen from there has not been written over: before it has gone round once, by one slot, or by what
    /// [`Cache::with_rollback`] asked for. `tova` can as long as it has dropped nothing. An attention mask stays: it
    /// speaks of slots.
    ///
    /// # Errors
    /// It cannot, or holds fewer slots: then nothing has changed.
    pub fn truncate(&mut self, slots: usize) -> Result<(), CacheError> {
        let (seen, asked_for) = (self.seen, slots);
        if slots > seen {
            return Err(CacheError::Longer { seen, asked_for });
        }
        if slots == seen {
            return Ok(());
        }
        if slots > 0 && self.rope.depends_on_length(seen) {
            return Err(CacheError::TurnedByLength {
                seen,
                asked_for,
                rope: self.rope.name(),
            });
        }
        if !self.layers.iter().all(|layer| layer.can_truncate(slots)) {
            return Err(CacheError::Overwritten { seen, asked_for });
        }
        for layer in &mut self.layers {
            layer.truncate(slots);
        }
        self.seen = slots;
        Ok(())
    }

    /// What the layer of this number remembers.
    pub fn layer(&mut self, layer: usize) -> &mut dyn LayerCache {
        self.layers[layer].as_mut()
    }

    /// Slots filled so far.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Bytes of device memory that the keys and values take now, room for more included.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes()).sum()
    }
}

/// A layer of this kind under this policy.
fn remember(
    policy: CachePolicy,
    layer: LayerType,
    limit: Option<PositionLimit>,
) -> Box<dyn LayerCache> {
    let window = policy.window(layer);
    match (policy, window) {
        (CachePolicy::Sinks { sinks, window }, _) => {
            Box::new(sinks::Sinks::new(sinks, window, limit))
        }
        (CachePolicy::Tova { states }, window) => Box::new(tova::Tova::new(states, window, limit)),
        (CachePolicy::Ring { .. }, Window::Last(len)) => Box::new(ring::Ring::new(len, limit)),
        // A ring without a window has no end.
        (CachePolicy::Full | CachePolicy::Ring { .. }, window) => {
            Box::new(full::Full::new(window, limit))
        }
    }
}
