//! The kernels of a device: the operations that decide how fast a model is, each in one piece.
//!
//! Each has a plain version in tensor operations, in the crate whose idea it is, and answers `None` where that version
//! computes: on devices without such a kernel, in training, and with [`KernelMode::Plain`].

#[cfg(feature = "wgpu")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod recurrence;

use burn::tensor::{Int, Tensor};
use glass_kernels::{Gate, RmsNorm, WeightKind, quant::BlockFormat};

#[cfg(feature = "wgpu")]
pub(crate) use glass_kernels_cube::AdapterClass;

use crate::{Around, AttentionParams, BlockTensor, KernelMode, KvSegment, PlanarTensor, QuantizedTensor};

/// Kinds of tensors that a matrix is made of.
#[cfg(feature = "wgpu")]
pub(crate) trait MatrixKind: glass_kernels_cube::OnAdapters {}
#[cfg(feature = "wgpu")]
impl<K: glass_kernels_cube::OnAdapters> MatrixKind for K {}
#[cfg(not(feature = "wgpu"))]
pub(crate) use burn::tensor::kind::Basic as MatrixKind;

/// The kernels that modules on a device use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelSet(Option<KernelBackend>);

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
    pub const NONE: Self = Self(None);

    pub(crate) fn new(backend: Option<KernelBackend>, mode: KernelMode) -> Self {
        Self(backend.filter(|_| mode == KernelMode::Fused))
    }

    /// `x / sqrt(mean(x^2) + eps) * weight` along the last axis, or `* (1 + weight)`, in float32, rounded once.
    ///
    /// `x` `[.., d]`, `weight` `[d]` -> as `x`
    pub fn rms_norm<const D: usize>(self, x: &Tensor<D>, weight: &Tensor<1>, norm: RmsNorm) -> Option<Tensor<D>> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::rms_norm(x, weight, norm),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::rms_norm(class, x, weight, norm),
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
        match self.0? {
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
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::gate(kind, gate, up),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::gate(class, kind, gate, up),
        }
    }

    /// Rotates each pair `(x[i], x[i + pairs])` of every head by its angle, or `(x[2 i], x[2 i + 1])` if they are
    /// `interleaved`, in float32, rounded once. What is behind the pairs stays.
    ///
    /// `x` `[batch, heads, seq, head_dim]`, `cos` and `sin` `[batch or 1, 1, seq, pairs]` in float32 -> as `x`
    pub fn rotate(self, x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>, interleaved: bool) -> Option<Tensor<4>> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::rotate(x, cos, sin, interleaved),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::rotate(class, x, cos, sin, interleaved),
        }
    }

    /// [`rotate`](Self::rotate) of queries and of keys, which go with values to the slots from `slot` on of `held`: all in one
    /// launch where that is worth something. -> the queries, and `held` again; without queries nothing was written.
    ///
    /// `q` `[1, heads, seq, head_dim]`, `k` and `v` `[1, kv_heads, seq, head_dim]`, `held` `[1, kv_heads, capacity, head_dim]`
    /// each
    pub fn rotate_and_keep(
        self,
        qkv: [&Tensor<4>; 3],
        cos: &Tensor<4>,
        sin: &Tensor<4>,
        interleaved: bool,
        held: [Tensor<4>; 2],
        slot: usize,
    ) -> (Option<Tensor<4>>, [Tensor<4>; 2]) {
        match self.0 {
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(class)) => {
                glass_kernels_cube::rotate_and_keep(class, qkv, cos, sin, interleaved, held, slot)
            }
            // On the CPU a launch is a call.
            _ => {
                let _ = (qkv, cos, sin, interleaved, slot);
                (None, held)
            }
        }
    }

    /// Whether [`rotate_and_keep`](Self::rotate_and_keep) is worth asking.
    pub fn keeps(self) -> bool {
        self.launches()
    }

    /// `x W^T` for each of these matrices, summed in float32, rounded once; and what is to be computed `around` those, where it
    /// is worth doing in the same launch: each step is rounded as if it stood alone.
    ///
    /// `x` `[n, columns]`, matrices `[rows, columns]` -> `[n, rows]` each, or what is made of them
    pub fn matmul_t(self, x: &Tensor<2>, weights: &[Tensor<2>], around: Around<'_>) -> Option<Vec<Tensor<2>>> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex if around.is_nothing() => flex::matmul_t(x, weights),
            #[cfg(feature = "flex")]
            KernelBackend::Flex => None,
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::matmul_t(class, x, weights, cube::around(around)),
        }
    }

    /// The most vectors of which each product has the bits that it has alone. `None`: nothing is known of that.
    pub fn most_as_alone(self, weights: WeightKind) -> Option<usize> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => Some(weights.most_as_alone()),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = weights;
                None
            }
        }
    }

    /// Whether products of `n` vectors can be told to norm these, at no more cost than a kernel for it.
    pub(crate) fn norms_in_products(self, n: usize) -> bool {
        match self.0 {
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(class)) => !class.software && n <= glass_kernels_cube::MAX_VECTORS,
            _ => {
                let _ = n;
                false
            }
        }
    }

    /// Whether products of `n` vectors can be told to add to something.
    pub fn adds_in_products(self, n: usize) -> bool {
        match self.0 {
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(class)) => class.software || n <= glass_kernels_cube::MAX_VECTORS,
            _ => {
                let _ = n;
                false
            }
        }
    }

    /// Whether kernels are launched, each at a cost of its own, however little it does.
    fn launches(self) -> bool {
        match self.0 {
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(_)) => true,
            _ => false,
        }
    }

    /// The same matrices one behind the other in memory, where products of the same `x` with such take one launch, and where they
    /// take no more than `most` bytes.
    ///
    /// `[rows, columns]` each, with equally many columns
    #[cfg(feature = "wgpu")]
    pub(crate) fn lay_together<K: MatrixKind>(self, matrices: &[Tensor<2, K>], most: u64) -> Option<Vec<Tensor<2, K>>> {
        if self.launches() { glass_kernels_cube::lay_together(matrices, most) } else { None }
    }

    #[cfg(not(feature = "wgpu"))]
    pub(crate) fn lay_together<K: MatrixKind>(self, matrices: &[Tensor<2, K>], most: u64) -> Option<Vec<Tensor<2, K>>> {
        let _ = (matrices, most);
        None
    }

    /// [`matmul_t`](Self::matmul_t) with quantized matrices.
    ///
    /// On a CPU `x` is rounded to 8 bits with a scale for each 32 numbers, since products are sums of integers there: an output
    /// is off by at most `sum over groups of max|x| / 254 * sum|w|` of the group.
    ///
    /// `x` `[n, columns]`, matrices `[rows, columns]` -> `[n, rows]` each, or what is made of them
    pub fn matmul_t_quantized(
        self,
        x: &Tensor<2>,
        weights: &[&QuantizedTensor],
        around: Around<'_>,
    ) -> Option<Vec<Tensor<2>>> {
        let (mut planar, mut blocks) = (Vec::new(), Vec::new());
        for weight in weights {
            match weight {
                QuantizedTensor::Planar(weight) => planar.push(weight),
                QuantizedTensor::Blocks(weight) => blocks.push(weight),
            }
        }
        let of_planar = match &planar[..] {
            [] => Vec::new(),
            planar => self.matmul_t_planar(x, planar, around)?,
        };
        let of_blocks = match &blocks[..] {
            [] => Vec::new(),
            blocks => self.matmul_t_blocks(x, blocks, around)?,
        };
        // Where one is left of two, there is no order.
        if of_planar.len() + of_blocks.len() < weights.len() {
            return Some([of_planar, of_blocks].concat());
        }
        let (mut of_planar, mut of_blocks) = (of_planar.into_iter(), of_blocks.into_iter());
        let in_order = weights.iter().map(|weight| match weight {
            QuantizedTensor::Planar(_) => of_planar.next(),
            QuantizedTensor::Blocks(_) => of_blocks.next(),
        });
        in_order.collect()
    }

    /// Whether [`matmul_t_quantized`](Self::matmul_t_quantized) multiplies matrices in blocks of this format. Matrices in other
    /// formats are dequantized for every product, which is correct and many times slower.
    pub fn multiplies(self, format: BlockFormat) -> bool {
        match self.0 {
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => BlockFormat::ALL.contains(&format),
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(_)) => format.comes_apart(),
            None => false,
        }
    }

    /// Whether matrices in blocks are multiplied as they lie in a file. Elsewhere they are taken apart.
    pub(crate) fn reads_blocks(self) -> bool {
        match self.0 {
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => true,
            _ => false,
        }
    }

    fn matmul_t_planar(self, x: &Tensor<2>, weights: &[&PlanarTensor], around: Around<'_>) -> Option<Vec<Tensor<2>>> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex if around.is_nothing() => flex::matmul_t_quantized(x, weights),
            #[cfg(feature = "flex")]
            KernelBackend::Flex => None,
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => cube::matmul_t_quantized(class, x, weights, around),
        }
    }

    fn matmul_t_blocks(self, x: &Tensor<2>, weights: &[&BlockTensor], around: Around<'_>) -> Option<Vec<Tensor<2>>> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex if around.is_nothing() => flex::matmul_t_blocks(x, weights),
            #[cfg(feature = "flex")]
            KernelBackend::Flex => None,
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => cube::matmul_t_blocks(class, x, weights, around),
        }
    }

    /// Rows of a quantized matrix, dequantized.
    ///
    /// `ids` `[n]`, every id below the number of rows -> `[n, columns]`
    pub fn select(self, matrix: &QuantizedTensor, ids: &Tensor<1, Int>) -> Option<Tensor<2>> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::select(matrix, ids),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (matrix, ids);
                None
            }
        }
    }

    /// One softmax over the keys of all segments that each query sees, query head `h` reading key/value head `h / groups`, in
    /// float32, rounded once. Queries are at the positions `first_query ..`; one that sees no key gets zeros.
    ///
    /// `q` `[batch, heads, queries, head_dim]` -> as `q`
    pub fn attend(
        self,
        q: &Tensor<4>,
        segments: &[KvSegment],
        first_query: usize,
        params: &AttentionParams,
    ) -> Option<Tensor<4>> {
        match self.0? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::attend(q, segments, first_query, params),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => cube::attend(class, q, segments, first_query, params),
        }
    }

    /// Keys or values in 8 bits, as [`Q8Tensor`](crate::Q8Tensor) has them: words and scales.
    ///
    /// `x` `[batch, kv_heads, tokens, head_dim]`
    pub(crate) fn quantize_vectors(self, x: &Tensor<4>) -> Option<(Tensor<4, Int>, Tensor<4>)> {
        match self.0? {
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
        match self.0? {
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
}

#[cfg(all(test, feature = "flex", feature = "wgpu"))]
mod tests;
