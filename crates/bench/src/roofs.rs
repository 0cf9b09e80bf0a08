//! What a device can do at best, measured: the roofs that decode and prefill are held against.

use std::time::{Duration, Instant};

use burn::tensor::{Distribution, Tensor};
use glass_backend::{Device, DeviceError, Dtype};
use serde::{Deserialize, Serialize};

use crate::{BUFFER, PASSES, host_bandwidth};

/// The two roofs of Williams et al. 2009, "Roofline".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Roofs {
    /// Bytes per second.
    pub bandwidth: Option<f64>,
    /// Floating-point operations per second, in the dtype of the row.
    pub gemm_flops: Option<f64>,
}

/// Sides of the square matrices that are multiplied, as long as time lasts.
const SIDES: [usize; 4] = [512, 1024, 2048, 4096];
/// Products of each size; the best counts, because whatever else runs can only make one slower.
const PRODUCTS: usize = 4;
/// No size is begun that would take longer than this, by the rate of the one before ...
const PATIENCE: Duration = Duration::from_secs(2);
/// ... or a tenth of it where some tens of kernels are tried out for every new size.
const PATIENCE_WITH_TUNING: Duration = Duration::from_millis(200);

impl Roofs {
    /// # Errors
    /// The device fails.
    pub fn measure(device: &Device, dtype: Dtype) -> Result<Self, DeviceError> {
        Ok(Self {
            bandwidth: match computes_on_host(device) {
                true => host_bandwidth(BUFFER, PASSES),
                false => Some(copy_bandwidth(device)?),
            },
            gemm_flops: gemm(device, dtype)?,
        })
    }
}

/// Whether it is the host's own processor that reads the host's own memory, without a driver between.
fn computes_on_host(device: &Device) -> bool {
    matches!(device.name(), "flex" | "ndarray" | "cpu")
}

/// Bytes read and written per second by `x + 1` over a large tensor, the best of several passes.
fn copy_bandwidth(device: &Device) -> Result<f64, DeviceError> {
    let most = device.max_binding().unwrap_or(u64::MAX).min(BUFFER as u64);
    let count = most as usize / size_of::<f32>();
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
    let patience = match computes_on_host(device) {
        true => PATIENCE,
        false => PATIENCE_WITH_TUNING,
    };
    for side in SIDES {
        let flops = 2.0 * (side as f64).powi(3);
        let bytes = (side * side * dtype.bytes()) as u64;
        let too_large = device.max_binding().is_some_and(|most| bytes > most);
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
