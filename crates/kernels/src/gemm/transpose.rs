//! Transposition of squares of 4-byte units: as many rows as a vector has lanes.

use bytemuck::Pod;
use pulp::Scalar256b;

use crate::simd_ext::SimdExt;

/// An instruction set that transposes.
pub trait Transpose: SimdExt {
    /// As many vectors as one has lanes.
    type Rows: Pod;

    /// Row `i` of the result has lane `i` of every row.
    #[inline(always)]
    fn transposed(self, rows: Self::Rows) -> Self::Rows {
        let mut columns = rows;
        let from: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&rows));
        let to: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut columns));
        for i in 0..Self::F32_LANES {
            for j in 0..Self::F32_LANES {
                to[j * Self::F32_LANES + i] = from[i * Self::F32_LANES + j];
            }
        }
        columns
    }
}

impl Transpose for Scalar256b {
    type Rows = [pulp::f32x8; 8];
}

#[cfg(target_arch = "aarch64")]
impl Transpose for pulp::aarch64::Neon {
    type Rows = [pulp::f32x4; 4];
}

#[cfg(target_arch = "x86_64")]
impl Transpose for pulp::x86::V3 {
    type Rows = [pulp::f32x8; 8];
}

#[cfg(target_arch = "x86_64")]
impl Transpose for pulp::x86::V4 {
    type Rows = [pulp::f32x16; 16];

    /// 64 shuffles: the plain loops above become many times that.
    #[inline(always)]
    fn transposed(self, rows: Self::Rows) -> Self::Rows {
        let f = self.avx512f;
        let mut a: [std::arch::x86_64::__m512i; 16] = pulp::cast(rows);
        let mut b = a;
        // Units of two rows in turn, then pairs of units of two such.
        for i in (0..16).step_by(2) {
            b[i] = f._mm512_unpacklo_epi32(a[i], a[i + 1]);
            b[i + 1] = f._mm512_unpackhi_epi32(a[i], a[i + 1]);
        }
        for i in (0..16).step_by(4) {
            a[i] = f._mm512_unpacklo_epi64(b[i], b[i + 2]);
            a[i + 1] = f._mm512_unpackhi_epi64(b[i], b[i + 2]);
            a[i + 2] = f._mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
            a[i + 3] = f._mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
        }
        // a[4 q + j] has the columns j, 4 + j, 8 + j and 12 + j of the rows 4 q to 4 q + 3, each in a quarter of its own.
        // The quarters make up a matrix `[q, column / 4]` that is transposed for every j, the evens and the odds of both first.
        for j in 0..4 {
            b[j] = f._mm512_shuffle_i32x4::<0x88>(a[j], a[4 + j]);
            b[4 + j] = f._mm512_shuffle_i32x4::<0xdd>(a[j], a[4 + j]);
            b[8 + j] = f._mm512_shuffle_i32x4::<0x88>(a[8 + j], a[12 + j]);
            b[12 + j] = f._mm512_shuffle_i32x4::<0xdd>(a[8 + j], a[12 + j]);
        }
        for j in 0..4 {
            a[j] = f._mm512_shuffle_i32x4::<0x88>(b[j], b[8 + j]);
            a[8 + j] = f._mm512_shuffle_i32x4::<0xdd>(b[j], b[8 + j]);
            a[4 + j] = f._mm512_shuffle_i32x4::<0x88>(b[4 + j], b[12 + j]);
            a[12 + j] = f._mm512_shuffle_i32x4::<0xdd>(b[4 + j], b[12 + j]);
        }
        pulp::cast(a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::{Zeroable, cast_slice, cast_slice_mut};

    fn check<S: Transpose>(simd: S) {
        let lanes = S::F32_LANES;
        let mut rows = [S::Rows::zeroed()];
        for (i, unit) in cast_slice_mut::<_, u32>(&mut rows).iter_mut().enumerate() {
            *unit = i as u32;
        }
        let columns = [simd.transposed(rows[0])];
        let columns: &[u32] = cast_slice(&columns);
        assert_eq!(columns.len(), lanes * lanes);
        for (i, unit) in columns.iter().enumerate() {
            assert_eq!(*unit as usize, i % lanes * lanes + i / lanes);
        }
    }

    #[test]
    fn rows_become_columns() {
        check(Scalar256b);
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = pulp::aarch64::Neon::try_new() {
            check(simd);
        }
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V3::try_new() {
                check(simd);
            }
            if let Some(simd) = pulp::x86::V4::try_new() {
                check(simd);
            }
        }
    }
}
