//! The kernels of a device: the operations that decide how fast a model is, each in one piece.
//!
//! Each has a plain version in tensor operations, in the crate whose idea it is, and answers `None` where that version
//! computes: on devices without such a kernel, in training (save for the scan), and with
//! [`KernelMode::Plain`](crate::KernelMode::Plain).

#[cfg(feature = "wgpu")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod products;
mod recurrence;

use std::ops::Range;

use burn::tensor::{Int, Tensor};
use glass_kernels::{Gate, RmsNorm};

#[cfg(feature = "wgpu")]
pub(crate) use glass_kernels_cube::AdapterClass;
pub(crate) use products::MatrixKind;

use crate::{AttentionParams, Draws, KvSegment, RopeAngles, SeenSlots, TextKv};

/// The kernels that modules on a device use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelSet {
    backend: Option<KernelBackend>,
    /// Whether operations are recorded for gradients, or were, where [`backend`](Self::backend) is `None`.
    trains: bool,
}

/// What implements the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KernelBackend {
    #[cfg(feature = "flex")]
    Flex,
    #[cfg(feature = "wgpu")]
    Cube(AdapterClass),
}

impl KernelSet {
    /// No kernels: everything is computed by plain operations.
    pub const NONE: Self = Self { backend: None, trains: false };

    /// What a model in training computes with: plain operations, but for the scan on a CPU, whose kernel has a gradient.
    pub(crate) const TRAINING: Self = Self { backend: None, trains: true };

    pub(crate) fn new(backend: Option<KernelBackend>) -> Self {
        Self { backend, trains: false }
    }

    /// Whether plain operations compute, and gradients go through them.
    pub fn is_plain(self) -> bool {
        self.backend.is_none()
    }

    /// `x / sqrt(mean(x^2) + eps) * weight` along the last axis, or `* (1 + weight)`, in float32, rounded once.
    ///
    /// `x` `[.., d]`, `weight` `[d]` -> as `x`
    pub fn rms_norm<const D: usize>(self, x: &Tensor<D>, weight: &Tensor<1>, norm: RmsNorm) -> Option<Tensor<D>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::rms_norm(x, weight, norm),
            // A shader reads both in one type.
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) if x.dtype() != weight.dtype() => None,
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::rms_norm(class, x, weight, norm),
        }
    }

    /// The same of vectors where they lie, in whatever order. `None`, and nothing was changed: it takes a tensor more.
    ///
    /// `x` `[.., d]`, `weight` `[d]`
    pub fn rms_norm_in_place<const D: usize>(self, x: &mut Tensor<D>, weight: &Tensor<1>, norm: RmsNorm) -> Option<()> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::rms_norm_in_place(x, weight, norm),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (x, weight, norm);
                None
            }
        }
    }

    /// `x + delta`, and the norm of that, as between the two parts of a decoder layer.
    ///
    /// `x` and `delta` `[.., d]`, `weight` `[d]` -> as `x` each
    pub fn add_rms_norm<const D: usize>(
        self,
        x: &Tensor<D>,
        delta: &Tensor<D>,
        weight: &Tensor<1>,
        norm: RmsNorm,
    ) -> Option<(Tensor<D>, Tensor<D>)> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::add_rms_norm(x, delta, weight, norm),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::add_rms_norm(class, x, delta, weight, norm),
        }
    }

    /// `act(gate) * up`, in float32, rounded once.
    ///
    /// `gate` and `up` of one shape -> the same shape
    pub fn gate<const D: usize>(self, kind: Gate, gate: &Tensor<D>, up: &Tensor<D>) -> Option<Tensor<D>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::gate(kind, gate, up),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::gate(class, kind, gate, up),
        }
    }

    /// Rotates each pair of every head by its angle, in float32, rounded once. What is behind the pairs stays.
    ///
    /// `x` `[batch, heads, seq, head_dim]` -> as `x`
    pub fn rotate(self, x: &Tensor<4>, angles: &RopeAngles) -> Option<Tensor<4>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::rotate(x, angles),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::rotate(class, x, &cube::angles(angles)),
        }
    }

    /// [`rotate`](Self::rotate) of queries and of keys, which go with values to the slots from `slot` on of `held`: all in one
    /// launch, and no tensors between. -> the queries; without, nothing was written.
    ///
    /// `q` `[1, heads, seq, head_dim]`, `k` and `v` `[1, kv_heads, seq, head_dim]`, `held` `[1, kv_heads, capacity, head_dim]`
    /// each
    pub fn rotate_and_keep(
        self,
        qkv: [&Tensor<4>; 3],
        angles: &RopeAngles,
        held: [&mut Tensor<4>; 2],
        slot: usize,
    ) -> Option<Tensor<4>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::rotate_and_keep(qkv, angles, held, slot),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => {
                glass_kernels_cube::rotate_and_keep(class, qkv, &cube::angles(angles), held, slot)
            }
        }
    }

    /// [`rotate_and_keep`](Self::rotate_and_keep), and what these queries find in `held` then: in one call, where that takes as
    /// long as the arithmetic of few keys. `kept` is called in between. -> `[1, seq, heads * head_dim]`; if there is none,
    /// nothing is said of the slots.
    ///
    /// `q` `[1, heads, seq, head_dim]`, `k` and `v` `[1, kv_heads, seq, head_dim]`, `held` `[1, kv_heads, capacity, head_dim]`
    /// each
    #[expect(clippy::too_many_arguments, reason = "those of two kernels")]
    pub fn keep_and_attend(
        self,
        qkv: [&Tensor<4>; 3],
        angles: &RopeAngles,
        held: [&mut Tensor<4>; 2],
        slot: usize,
        seen: SeenSlots,
        params: &AttentionParams,
        kept: impl FnOnce(),
    ) -> Option<Tensor<3>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::keep_and_attend(qkv, angles, held, slot, seen, params, kept),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (qkv, angles, held, slot, seen, params, kept);
                None
            }
        }
    }

    /// Whether angles are worth keeping on the device from pass to pass: the host is not where they are needed.
    pub fn keeps_angles(self) -> bool {
        self.launches()
    }

    /// Whether [`rotate_and_keep`](Self::rotate_and_keep) is worth asking.
    pub fn keeps(self) -> bool {
        self.backend.is_some()
    }

    /// Whether kernels are launched, each at a cost of its own, however little it does.
    fn launches(self) -> bool {
        match self.backend {
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(_)) => true,
            _ => false,
        }
    }

    /// One softmax over the keys of all segments that each query sees, query head `h` reading key/value head `h / groups`, in
    /// float32, rounded once. Queries are at the positions `first_query ..`; one that sees no key gets zeros.
    ///
    /// `q` `[batch, heads, queries, head_dim]` -> `[batch, queries, heads * head_dim]`
    pub fn attend(
        self,
        q: &Tensor<4>,
        segments: &[KvSegment],
        first_query: usize,
        params: &AttentionParams,
    ) -> Option<Tensor<3>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::attend(q, segments, first_query, params),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => cube::attend(class, q, segments, first_query, params),
        }
    }

    /// Writes these of the tokens, keys and values, to the slots from `slot` on of `held`, with no tensors between. `None`: it has
    /// not.
    ///
    /// Keys and values `[1, kv_heads, tokens of all texts, head_dim]`, `held` `[1, kv_heads, capacity, head_dim]` each
    pub fn keep(self, kv: [&Tensor<4>; 2], tokens: Range<usize>, held: [&mut Tensor<4>; 2], slot: usize) -> Option<()> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::keep(kv, tokens, held, slot),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (kv, tokens, held, slot);
                None
            }
        }
    }

    /// Whether [`attend_all`](Self::attend_all) is worth asking.
    pub fn attends_to_all(self) -> bool {
        match self.backend {
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => true,
            _ => false,
        }
    }

    /// [`attend`](Self::attend) of several texts, whose queries stand one behind the other: their heads and keys are pieces of
    /// one work. Each text gets the bits that it gets alone.
    ///
    /// `q` `[1, heads, tokens of all texts, head_dim]` -> `[1, tokens of all texts, heads * head_dim]`
    pub fn attend_all(self, q: &Tensor<4>, texts: &[TextKv], params: &AttentionParams) -> Option<Tensor<3>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::attend_all(q, texts, params),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (q, texts, params);
                None
            }
        }
    }

    /// Keys or values in 8 bits, as [`Q8Tensor`](crate::Q8Tensor) has them: words and scales.
    ///
    /// `x` `[batch, kv_heads, tokens, head_dim]`
    pub(crate) fn quantize_vectors(self, x: &Tensor<4>) -> Option<(Tensor<4, Int>, Tensor<4>)> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::quantize_vectors(x),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = x;
                None
            }
        }
    }

    /// The most probable token of each row, where reading the logits back costs more than finding it: its id, its logit, and
    /// the natural logarithm of its probability. Of equal ones it is the one with the lowest id.
    ///
    /// If a row has NaN or +inf in it, the token is the first of those. If a row is nothing but -inf, so is the logit.
    ///
    /// `logits` `[n, vocab]` in float32 -> `[n, 3]`
    pub fn argmax(self, logits: &Tensor<2>) -> Option<Tensor<2>> {
        match self.backend? {
            // On the CPU the logits are where the sampler reads them.
            #[cfg(feature = "flex")]
            KernelBackend::Flex => {
                let _ = logits;
                None
            }
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::argmax(class, logits),
        }
    }

    /// Whether [`draw`](Self::draw) is worth asking: where software acts as a graphics adapter it is not.
    pub fn draws(self) -> bool {
        match self.backend {
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(class)) => !class.software,
            _ => false,
        }
    }

    /// A token drawn from each row by its [`Draw`](crate::Draw), as the host's sampler draws it from such a row: its id, its
    /// logit, and the natural logarithm of its probability under the model's own distribution.
    ///
    /// Sums are in float32. So the token is another than the host's where the number that is drawn, or the edge of a nucleus,
    /// lies within 2^-16 of all probability of a border between two tokens, and where min-p or the rounding of a division by
    /// the temperature decide otherwise about one whose logit is that near to the last that stays.
    ///
    /// A row that has no token, or a number that is no logit, is answered as by [`argmax`](Self::argmax).
    ///
    /// `logits` `[n, vocab]` in float32 -> `[n, 3]`
    pub fn draw(self, logits: &Tensor<2>, draws: &Draws) -> Option<Tensor<2>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => {
                let _ = (logits, draws);
                None
            }
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => {
                let Draws { numbers, top_k, top_p } = draws;
                glass_kernels_cube::draw(class, logits, numbers, *top_k, *top_p)
            }
        }
    }
}

#[cfg(all(test, feature = "flex", feature = "wgpu"))]
mod tests;
