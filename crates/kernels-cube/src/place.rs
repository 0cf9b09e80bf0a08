//! A position that a kernel reads on the device, so that no number goes up with a token.
//!
//! Whatever a kernel is launched with goes up unless the same numbers did before. So kernels of a token take what differs from
//! token to token from tables that stay: the host binds two of their numbers, which costs nothing.

use std::sync::{Mutex, PoisonError};

use burn::tensor::DType;
use burn_cubecl::{CubeDevice, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

/// Numbers of a table; a position has one for itself and one for its multiple.
const NUMBERS: usize = 1024;

/// Words from one number to the next: bindings begin at multiples of 256 bytes.
const STRIDE: usize = 64;

/// Two tables, because no buffer is bound twice.
struct Tables {
    device: CubeDevice,
    tables: [CubeTensor; 2],
}

static TABLES: Mutex<Vec<Tables>> = Mutex::new(Vec::new());

/// A position below [`Place::END`], as two buffers of one number each.
pub(super) struct Place {
    pub high: CubeTensor,
    pub low: CubeTensor,
}

impl Place {
    pub const END: usize = NUMBERS * NUMBERS;

    /// Where the device of `x` keeps it.
    pub fn of(position: usize, x: &CubeTensor) -> Option<Self> {
        if position >= Self::END {
            return None;
        }
        let mut all = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().position(|known| known.device == x.device);
        let at = known.unwrap_or_else(|| {
            all.push(Tables { device: x.device.clone(), tables: [table(x), table(x)] });
            all.len() - 1
        });
        let [high, low] = &all[at].tables;
        Some(Self { high: number(high, position / NUMBERS), low: number(low, position % NUMBERS) })
    }
}

/// The number `n` of a table.
fn number(table: &CubeTensor, n: usize) -> CubeTensor {
    let mut one = table.clone();
    let bytes = (STRIDE * size_of::<u32>()) as u64;
    one.handle = one.handle.offset_start(n as u64 * bytes).offset_end((NUMBERS - 1 - n) as u64 * bytes);
    one
}

/// A table on the device of `x`.
fn table(x: &CubeTensor) -> CubeTensor {
    let shape = [NUMBERS, STRIDE].into();
    let table = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, DType::U32);
    // SAFETY: there is a row for each unit.
    unsafe {
        table_kernel::launch_unchecked(
            &table.client.clone(),
            CubeCount::Static((NUMBERS / UNITS) as u32, 1, 1),
            CubeDim::new_1d(UNITS as u32),
            table.clone().into_buffer_arg(),
        );
    }
    table
}

const UNITS: usize = 64;

#[cube(launch_unchecked)]
fn table_kernel(table: &mut [u32]) {
    table[ABSOLUTE_POS * STRIDE] = ABSOLUTE_POS as u32;
}

/// The position.
#[cube]
pub(super) fn position(high: &[u32], low: &[u32]) -> u32 {
    high[0] * comptime!(NUMBERS as u32) + low[0]
}
