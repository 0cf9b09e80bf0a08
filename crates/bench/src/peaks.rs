//! Peak rates of a device, measured: the bounds of decode (bandwidth) and prefill (GEMM).

use std::time::{Duration, Instant};

use burn::tensor::{Distribution, Tensor};
use glass_backend::{Device, DeviceError, Dtype};
use serde::{Deserialize, Serialize};

use crate::{BUFFER, PASSES, host_bandwidth};

/// The two bounds of Williams et al. 2009, "Roofline".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// Bytes per second.
    pub bandwidth: Option<f64>,
    /// Floating-point operations per second, in the dtype of the row.
    pub gemm_flops: Option<f64>,
}

/// Sides of the square matrices that are multiplied, until [`PATIENCE`] ends.
const SIDES: [usize; 4] = [512, 1024, 2048, 4096];
/// Products of each size. The fastest counts, because other work can only slow one down.
const PRODUCTS: usize = 4;
/// A size that would take longer than this, by the rate of the one before, is skipped.
const PATIENCE: Duration = Duration::from_secs(2);
/// A tenth of it on devices that autotune tens of kernels for every new size.
const PATIENCE_WITH_TUNING: Duration = Duration::from_millis(200);

impl Peaks {
    /// # Errors
    /// The device fails.
    pub fn measure(device: &Device, dtype: Dtype) -> Result<Self, DeviceError> {
        Ok(Self {
            bandwidth: if computes_on_host(device) {
                host_bandwidth(BUFFER, PASSES)
            } else {
                Some(copy_bandwidth(device)?)
            },
            gemm_flops: gemm(device, dtype)?,
        })
    }
}

/// Whether the device is the host's own processor, without a driver between.
fn computes_on_host(device: &Device) -> bool {
    matches!(device.name(), "flex" | "ndarray" | "cpu")
}

/// Bytes read and written per second by `x + 1` over a large tensor, the best of several passes.
fn copy_bandwidth(device: &Device) -> Result<f64, DeviceError> {
    let max = device.max_binding().unwrap_or(u64::MAX).min(BUFFER as u64);
    let count = max as usize / size_of::<f32>();
    let x = Tensor::<1>::zeros([count], (device.burn(), Dtype::F32.burn()));
    let mut best = 0.0f64;
    for _ in 0..=PASSES {
        device.sync()?;
        let start = Instant::now();
        let y = x.clone() + 1.0;
        device.sync()?;
        let seconds = start.elapsed().as_secs_f64();
        drop(y);
        best = best.max(2.0 * (count * size_of::<f32>()) as f64 / seconds);
    }
    Ok(best)
}

/// Operations per second of the product of two square matrices, the best of several sizes; `None` if none could be timed.
fn gemm(device: &Device, dtype: Dtype) -> Result<Option<f64>, DeviceError> {
    let mut best: Option<f64> = None;
    let patience = if computes_on_host(device) { PATIENCE } else { PATIENCE_WITH_TUNING };
    for side in SIDES {
        let flops = 2.0 * (side as f64).powi(3);
        let bytes = (side * side * dtype.bytes()) as u64;
        let too_large = device.max_binding().is_some_and(|max| bytes > max);
        let too_long = best.is_some_and(|rate| flops / rate > patience.as_secs_f64());
        if too_large || too_long {
            break;
        }
        let matrix = || {
            let spread = Distribution::Uniform(-1.0, 1.0);
            Tensor::<2>::random([side, side], spread, (device.burn(), dtype.burn()))
        };
        let (a, b) = (matrix(), matrix());
        // The first product compiles, tunes and touches memory.
        for product in 0..=PRODUCTS {
            device.sync()?;
            let start = Instant::now();
            let c = a.clone().matmul(b.clone());
            device.sync()?;
            let rate = flops / start.elapsed().as_secs_f64();
            drop(c);
            if product > 0 && rate.is_finite() {
                best = Some(best.map_or(rate, |best| best.max(rate)));
            }
        }
    }
    Ok(best)
}
