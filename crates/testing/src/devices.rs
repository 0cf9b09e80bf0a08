//! The backends under test.

use glass_backend::{Device, KernelMode};

/// flex with fused and with plain kernels, ndarray, and [`wgpu`].
pub fn all() -> Vec<Device> {
    let mut devices =
        vec![flex(), flex().with_kernel_mode(KernelMode::Plain), Device::open("ndarray").expect("ndarray is built in")];
    devices.extend(wgpu());
    devices
}

/// The CPU backend that everything is compared with.
pub fn flex() -> Device {
    Device::open("flex").expect("flex is built in")
}

/// wgpu where there is an adapter, and a line on standard error where there is none.
///
/// # Panics
/// There is no adapter, and [`wgpu_is_required`](crate::wgpu_is_required).
pub fn wgpu() -> Option<Device> {
    match Device::open("wgpu") {
        Ok(device) => Some(device),
        Err(error) if crate::wgpu_is_required() => panic!("{error}"),
        Err(error) => {
            eprintln!("not tested on wgpu: {error}");
            None
        }
    }
}

pub fn is_wgpu(device: &Device) -> bool {
    device.name().starts_with("wgpu")
}
