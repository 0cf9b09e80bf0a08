//! How results lie in their tensors.

/// What becomes of a product with a matrix of so many rows: a tensor of E axes.
pub trait Form<const E: usize>: Copy {
    /// Its shape and strides.
    fn of(self, rows: usize) -> ([usize; E], [usize; E]);
}

/// As the vectors lie: `[.., columns]` -> `[.., rows]`
#[derive(Clone, Copy, Debug)]
pub struct AsRead<const D: usize>(pub [usize; D]);

/// Head by head: `[batch, seq, columns]` -> `[batch, rows / head_dim, seq, head_dim]`, in memory one token after the other
#[derive(Clone, Copy, Debug)]
pub struct ByHead {
    pub batch: usize,
    pub seq: usize,
    pub head_dim: usize,
}

impl<const D: usize> Form<D> for AsRead<D> {
    fn of(self, rows: usize) -> ([usize; D], [usize; D]) {
        let Self(mut shape) = self;
        shape[D - 1] = rows;
        (shape, in_a_row(shape))
    }
}

impl Form<4> for ByHead {
    fn of(self, rows: usize) -> ([usize; 4], [usize; 4]) {
        let Self { batch, seq, head_dim } = self;
        ([batch, rows / head_dim, seq, head_dim], [seq * rows, head_dim, rows, 1])
    }
}

/// Strides of axes that lie one within the other, in their order.
pub fn in_a_row<const D: usize>(shape: [usize; D]) -> [usize; D] {
    let mut stride = 1;
    let mut strides = [1; D];
    for (at, len) in strides.iter_mut().zip(shape).rev() {
        *at = stride;
        stride *= len;
    }
    strides
}
