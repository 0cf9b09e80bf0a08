//! Products with matrices, and what is done around them.

use burn::tensor::{DType, Int, Tensor};
use glass_kernels::{RmsNorm, WeightKind, quant::BlockFormat};

#[cfg(feature = "flex")]
use super::flex;
#[cfg(feature = "wgpu")]
use super::{AdapterClass, cube};
use super::{KernelBackend, KernelSet};
use crate::{Around, Dtype, Few, Matrices, QuantizedTensor, Then};

/// Kinds of tensors that a matrix is made of.
#[cfg(feature = "wgpu")]
pub(crate) trait MatrixKind: glass_kernels_cube::OnAdapters {}
#[cfg(feature = "wgpu")]
impl<K: glass_kernels_cube::OnAdapters> MatrixKind for K {}
#[cfg(not(feature = "wgpu"))]
pub(crate) use burn::tensor::kind::Basic as MatrixKind;

impl KernelSet {
    /// `x W^T` for each of these matrices, summed in float32, rounded once; and what is to be computed `around` those, where it
    /// is worth doing in the same launch: each step is rounded as if it stood alone.
    ///
    /// `x` `[.., columns]`, matrices `[rows, columns]` -> `[.., rows]` each, or what is made of them
    pub(crate) fn multiply<const D: usize, C: FromIterator<Tensor<D>>>(
        self,
        x: &Tensor<D>,
        matrices: &Matrices<'_>,
        around: Around<'_, D>,
    ) -> Option<C> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::multiply(x, matrices, around, flex::AsRead(x.dims())),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => flat(x, around, |x, around| match matrices {
                Matrices::Floats(weights) => {
                    let weights: Vec<Tensor<2>> = weights.iter().copied().cloned().collect();
                    glass_kernels_cube::matmul_t(class, x, &weights, cube::around(around))
                }
                Matrices::Quantized(weights) => matmul_t_apart(class, x, weights, around),
            }),
        }
    }

    /// The same of queries, keys or values, head by head, where that costs nothing more.
    ///
    /// `x` `[batch, seq, columns]`, matrices `[heads * head_dim, columns]` -> `[batch, heads, seq, head_dim]` each
    pub(crate) fn multiply_by_head<C: FromIterator<Tensor<4>>>(
        self,
        x: &Tensor<3>,
        matrices: &Matrices<'_>,
        norm: Option<(&Tensor<1>, RmsNorm)>,
        head_dim: usize,
    ) -> Option<C> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => {
                let [batch, seq, _] = x.dims();
                let around = Around { norm, then: Then::Nothing };
                flex::multiply(x, matrices, around, flex::ByHead { batch, seq, head_dim })
            }
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (x, matrices, norm, head_dim);
                None
            }
        }
    }

    /// Adds a bias to such a product where it lies. `None`, and nothing was changed: it takes a tensor more.
    ///
    /// `x` `[batch, heads, seq, head_dim]`, `bias` `[heads * head_dim]`
    pub(crate) fn add_by_head(self, x: &mut Tensor<4>, bias: &Tensor<1>) -> Option<()> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::add_by_head(x, bias),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (x, bias);
                None
            }
        }
    }

    /// What an operation no longer needs, for the results of others: on a CPU, where nobody else holds it.
    pub fn recycle<const D: usize>(self, x: Tensor<D>) {
        match self.backend {
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => flex::give(x),
            _ => drop(x),
        }
    }

    /// [`multiply`](Self::multiply) with matrices of floats.
    ///
    /// `x` `[.., columns]`, matrices `[rows, columns]` -> `[.., rows]` each, or what is made of them
    pub fn matmul_t<const D: usize>(
        self,
        x: &Tensor<D>,
        weights: &[&Tensor<2>],
        around: Around<'_, D>,
    ) -> Option<Few<Tensor<D>>> {
        self.multiply(x, &Matrices::Floats(Few::from_slice(weights)), around)
    }

    /// The most vectors of which each product has the bits that it has alone. `None`: nothing is known of that.
    pub fn most_as_alone(self, weights: WeightKind) -> Option<usize> {
        match self.backend? {
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
        let _ = n;
        match self.backend {
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => true,
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(class)) => !class.software && n <= glass_kernels_cube::MAX_VECTORS,
            None => false,
        }
    }

    /// Whether products of `n` vectors of this type can be told to add to something.
    pub fn adds_in_products(self, n: usize, dtype: DType) -> bool {
        let _ = (n, dtype);
        match self.backend {
            // In 16 bits sum and norm are one kernel: it norms the sum before that is rounded.
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => dtype == DType::F32,
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(class)) => class.software || n <= glass_kernels_cube::MAX_VECTORS,
            None => false,
        }
    }

    /// The same matrices (or the same parts of some) one behind the other in memory, where products of the same `x` with such take
    /// one launch, and where they take no more than `most` bytes. `row_bytes` are those of a row in each of a matrix's parts.
    ///
    /// `[rows, columns]` each, with equally many columns
    pub(crate) fn lay_together<K: MatrixKind>(
        self,
        matrices: &[Tensor<2, K>],
        row_bytes: &[usize],
        most: u64,
    ) -> Option<Vec<Tensor<2, K>>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => {
                let _ = (matrices, row_bytes, most);
                None
            }
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => glass_kernels_cube::lay_together(matrices, row_bytes, most),
        }
    }

    /// Whether matrices of this type are held and multiplied where the device does not compute in it: packed in words, and beside
    /// float32.
    pub(crate) fn multiplies_packed(self, dtype: Dtype) -> bool {
        match self.backend {
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(_)) => dtype != Dtype::F32,
            _ => {
                let _ = dtype;
                false
            }
        }
    }

    /// [`matmul_t`](Self::matmul_t) with quantized matrices.
    ///
    /// On a CPU `x` is rounded to 8 bits with a scale for each 32 numbers, since products are sums of integers there: an output
    /// is off by at most `sum over groups of max|x| / 254 * sum|w|` of the group.
    ///
    /// `x` `[.., columns]`, matrices `[rows, columns]` -> `[.., rows]` each, or what is made of them
    pub fn matmul_t_quantized<const D: usize>(
        self,
        x: &Tensor<D>,
        weights: &[&QuantizedTensor],
        around: Around<'_, D>,
    ) -> Option<Few<Tensor<D>>> {
        self.multiply(x, &Matrices::Quantized(Few::from_slice(weights)), around)
    }

    /// Whether [`matmul_t_quantized`](Self::matmul_t_quantized) multiplies matrices in blocks of this format. Matrices in other
    /// formats are dequantized for every product, which is correct and many times slower.
    pub fn multiplies(self, format: BlockFormat) -> bool {
        match self.backend {
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => BlockFormat::ALL.contains(&format),
            #[cfg(feature = "wgpu")]
            Some(KernelBackend::Cube(_)) => format.comes_apart(),
            None => false,
        }
    }

    /// Whether matrices in blocks are multiplied as they lie in a file. Elsewhere they are taken apart.
    pub(crate) fn reads_blocks(self) -> bool {
        match self.backend {
            #[cfg(feature = "flex")]
            Some(KernelBackend::Flex) => true,
            _ => false,
        }
    }

    /// Rows of a quantized matrix, dequantized.
    ///
    /// `ids` `[n]`, every id below the number of rows -> `[n, columns]`
    pub fn select(self, matrix: &QuantizedTensor, ids: &Tensor<1, Int>) -> Option<Tensor<2>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::select(matrix, ids),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => cube::select(class, matrix, Some(ids)),
        }
    }

    /// The same of a matrix that lies in the order in which this machine multiplies it.
    ///
    /// `ids` `[batch, seq]` -> `[batch, seq, columns]`
    pub(crate) fn select_in_place(self, matrix: &QuantizedTensor, ids: &Tensor<2, Int>) -> Option<Tensor<3>> {
        match (self.backend?, matrix) {
            #[cfg(feature = "flex")]
            (KernelBackend::Flex, QuantizedTensor::Panels(matrix)) => {
                let [batch, seq] = ids.dims();
                flex::select_panels(matrix, ids, [batch, seq, matrix.panels.columns()])
            }
            _ => {
                let _ = ids;
                None
            }
        }
    }

    /// All numbers of a quantized matrix, in one launch.
    ///
    /// -> `[rows, columns]`
    pub(crate) fn dequantize(self, matrix: &QuantizedTensor) -> Option<Tensor<2>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => {
                let _ = matrix;
                None
            }
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => cube::select(class, matrix, None),
        }
    }
}

/// What a kernel makes of vectors `[n, columns]` is made of `x` `[.., columns]`.
#[cfg(feature = "wgpu")]
fn flat<const D: usize, C: FromIterator<Tensor<D>>>(
    x: &Tensor<D>,
    around: Around<'_, D>,
    multiply: impl FnOnce(&Tensor<2>, Around<'_>) -> Option<Vec<Tensor<2>>>,
) -> Option<C> {
    let flat = |x: &Tensor<D>| {
        let shape = x.dims();
        let n: usize = shape[..D - 1].iter().product();
        x.clone().reshape([n, shape[D - 1]]) // [n, columns]
    };
    let residual;
    let then = match around.then {
        Then::Nothing => Then::Nothing,
        Then::Gate(kind) => Then::Gate(kind),
        Then::Add(onto) => {
            residual = flat(onto); // [n, rows]
            Then::Add(&residual)
        }
    };
    let products = multiply(&flat(x), Around { norm: around.norm, then })?; // [n, rows] each
    let shaped = products.into_iter().map(|y| {
        let mut shape = x.dims();
        shape[D - 1] = y.dims()[1];
        y.reshape(shape) // [.., rows]
    });
    Some(shaped.collect())
}

/// Each kind of matrices by itself.
#[cfg(feature = "wgpu")]
fn matmul_t_apart(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[&QuantizedTensor],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let (mut planar, mut blocks, mut halves) = (Vec::new(), Vec::new(), Vec::new());
    for weight in weights {
        match weight {
            QuantizedTensor::Planar(weight) => planar.push(weight),
            QuantizedTensor::Blocks(weight) => blocks.push(weight),
            QuantizedTensor::Halves(weight) => halves.push(weight),
            QuantizedTensor::Panels(_) => return None,
        }
    }
    // Of a kind that is not there, there are no products.
    let of_kinds = [
        if planar.is_empty() { vec![] } else { cube::matmul_t_quantized(class, x, &planar, around)? },
        if blocks.is_empty() { vec![] } else { cube::matmul_t_blocks(class, x, &blocks, around)? },
        if halves.is_empty() { vec![] } else { cube::matmul_t_halves(class, x, &halves, around)? },
    ];
    // Where one is left of two, there is no order.
    if of_kinds.iter().map(Vec::len).sum::<usize>() < weights.len() {
        return Some(of_kinds.concat());
    }
    let mut products = of_kinds.map(Vec::into_iter);
    let in_order = weights.iter().map(|weight| match weight {
        QuantizedTensor::Planar(_) => products[0].next(),
        QuantizedTensor::Blocks(_) => products[1].next(),
        QuantizedTensor::Halves(_) => products[2].next(),
        QuantizedTensor::Panels(_) => None,
    });
    in_order.collect()
}
