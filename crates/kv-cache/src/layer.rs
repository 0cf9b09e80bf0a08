//! What one layer keeps of one sequence, whatever its policy.

use std::{collections::HashSet, ops::Range};

use burn::tensor::{DType, Device as BurnDevice, Tensor};
use glass_backend::{KvTensor, SeenSlots};

use crate::{CacheError, KvSegment, KvView, Window};

/// Keys and values of some tokens, which a kernel writes to where they are kept.
pub struct InPlace<'a> {
    /// Of the keys: `[1, kv_heads, tokens, head_dim]`
    pub shape: [usize; 4],
    pub device: BurnDevice,
    /// The type that they are kept in.
    pub dtype: DType,
    /// Writes them to the slots of `held`, `[1, kv_heads, capacity, head_dim]` each, from the given one on. It does not where others
    /// hold `held` too. Where all that the tokens' queries may attend to is in `held` then, it is told what they see, and may let
    /// them attend at once.
    pub write: &'a mut Write<'a>,
}

type Write<'a> = dyn FnMut([&mut Tensor<4>; 2], usize, Option<SeenSlots>) -> Written + 'a;

/// What became of keys and values on their way into a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Not,
    Kept,
    /// They were kept, and their queries have attended.
    Attended,
}

/// What [`LayerCache::append_in_place`] has done.
pub enum Appended {
    /// Nothing, but perhaps for the room that there is.
    Not,
    /// The tokens are kept; what their queries may attend to.
    Kept(KvView),
    /// And they have attended to it.
    Attended,
}

impl Appended {
    /// What was done; `view` is what there is to attend to.
    pub(crate) fn new(written: Written, view: impl FnOnce() -> KvView) -> Self {
        match written {
            Written::Not => Self::Not,
            Written::Kept => Self::Kept(view()),
            Written::Attended => Self::Attended,
        }
    }
}

impl InPlace<'_> {
    /// Room for `keys` vectors of this kind.
    pub(crate) fn room(&self, keys: usize) -> KvTensor {
        let [batch, kv_heads, _, head_dim] = self.shape;
        KvTensor::Float(Tensor::zeros([batch, kv_heads, keys, head_dim], (&self.device, self.dtype)))
    }
}

/// The past of one sequence in one layer. One file per policy; [`CachePolicy`](crate::CachePolicy) has their names, costs
/// and sources. A policy of one's own goes into a [`KvCache`](crate::KvCache) by
/// [`from_layers`](crate::KvCache::from_layers). It needs `append`, `fork` and `bytes`; by default it cannot go back.
pub trait LayerCache: Send {
    /// Keeps the keys and values of the tokens at `positions`, which follow those before, and returns what their queries may
    /// attend to: themselves, and what the policy has kept.
    ///
    /// `k`, rotated once and for all, and `v`: `[1, kv_heads, tokens, head_dim]`, in the type that they are kept in
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView;

    /// [`append`](Self::append) of what `new` writes, where it is kept in one run of slots.
    fn append_in_place(&mut self, _new: &mut InPlace<'_>, _positions: Range<usize>) -> Appended {
        Appended::Not
    }

    /// The most tokens that may be appended together now.
    fn max_step(&self) -> usize {
        usize::MAX
    }

    /// Whether [`observe`](Self::observe) must see the attention of the tokens that were appended last.
    fn wants_weights(&self) -> bool {
        false
    }

    /// The attention of the token appended last: `[1, heads, 1, keys]`.
    fn observe(&mut self, _weights: Tensor<4>) {}

    /// Makes room for this many tokens at the first allocation, as far as they are kept.
    fn reserve(&mut self, _tokens: usize) {}

    /// Makes room for no more than this many tokens, unless they come.
    fn limit(&mut self, _tokens: usize) {}

    /// Keeps `tokens` states more than the policy needs, so that the cache can go back by as many. Before the first token.
    ///
    /// # Errors
    /// [`CacheError::OneWay`]: no number of states would do.
    fn reserve_rollback(&mut self, _tokens: usize) -> Result<(), CacheError> {
        let policy = std::any::type_name::<Self>();
        Err(CacheError::OneWay { policy })
    }

    /// Whether all that queries from position `len` on see of the positions before is still there.
    fn can_truncate(&self, _len: usize) -> bool {
        false
    }

    /// Forgets position `len` and those behind it; only where [`can_truncate`](Self::can_truncate) allows it.
    fn truncate(&mut self, _len: usize) {}

    /// The same past of `len` tokens for another sequence. What is long is shared from here on; what is short is copied.
    fn fork(&mut self, len: usize) -> Box<dyn LayerCache>;

    /// The same past to keep, so that other sequences begin from snapshots of it: what follows is computed as behind this
    /// one, bit for bit. This one does not change, and what is long is copied; snapshots of the copy share it.
    fn snapshot(&mut self, len: usize) -> Box<dyn LayerCache> {
        self.fork(len)
    }

    /// Bytes held now, unused capacity and what is shared included.
    fn bytes(&self) -> u64;

    /// [`bytes`](Self::bytes) without what others share that is in `counted`, where the rest of what is shared is noted.
    fn bytes_beside(&self, _counted: &mut HashSet<usize>) -> u64 {
        self.bytes()
    }

    /// States in one tensor, once `tokens` tokens were appended.
    fn states(&self, tokens: usize) -> usize {
        tokens
    }

    /// States in all tensors, once `tokens` tokens were appended to nothing.
    fn all_states(&self, tokens: usize) -> usize {
        self.states(tokens)
    }
}

/// Nothing is kept: the pass is all there is, as in training.
pub struct NoCache(pub Window);

impl LayerCache for NoCache {
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        KvView::one(KvSegment::run(k, v, positions, self.0))
    }

    fn fork(&mut self, _len: usize) -> Box<dyn LayerCache> {
        Box::new(Self(self.0))
    }

    fn bytes(&self) -> u64 {
        0
    }
}
