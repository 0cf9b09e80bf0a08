//! Whether a model fits into the host's memory, asked before it is loaded: a machine that runs out of it kills whom it likes.

use std::fs;

use glass_backend::Device;

use crate::Failure;

/// Beside the weights: code, caches, activations, and the tensor that is on its way.
const BESIDE: u64 = 512 << 20;

/// Refuses weights of so many bytes where they lie in the host's memory and do not fit into what is free, with half a GiB to
/// spare. Where the system does not say what is free, it is tried.
///
/// # Errors
/// They do not fit.
pub fn check(device: &Device, bytes: u64) -> Result<(), Failure> {
    let Some(free) = free_memory(device) else {
        return Ok(());
    };
    if bytes.saturating_add(BESIDE) <= free {
        return Ok(());
    }
    Err(Failure::new(format!(
        "its weights take {:.1} GB, and {:.1} GB of memory are free, of which half a GiB is left alone: \
         measure fewer rows at once, or in a smaller dtype",
        bytes as f64 / 1e9,
        free as f64 / 1e9
    )))
}

/// Bytes of the host's memory that are free for what a device holds; `None` where it has a memory of its own, or the system
/// does not say.
pub fn free_memory(device: &Device) -> Option<u64> {
    available().filter(|_| lies_on_host(device))
}

/// Software adapters have no memory of their own.
fn lies_on_host(device: &Device) -> bool {
    let Some(number) = device.name().strip_prefix("wgpu") else {
        return matches!(device.name(), "flex" | "ndarray" | "cpu");
    };
    let number = number.strip_prefix(':').unwrap_or("0").parse();
    let adapters = glass_backend::adapters();
    number.is_ok_and(|number: usize| adapters.get(number).is_some_and(|found| !found.is_gpu()))
}

/// What Linux expects to be able to give without swapping, in bytes.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
