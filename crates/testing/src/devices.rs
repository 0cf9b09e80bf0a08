//! The backends under test.

use glass_backend::{Device, Kernels};

/// flex with fused and with plain kernels, ndarray, and [`wgpu`].
pub fn all() -> Vec<Device> {
    let mut devices = vec![
        flex(),
        flex().with_kernels(Kernels::Plain),
        Device::open("ndarray").expect("ndarray is built in"),
    ];
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
/// With `GLASS_REQUIRE_WGPU` in the environment a missing adapter fails the test instead of leaving out a part of it.
pub fn wgpu() -> Option<Device> {
    match Device::open("wgpu") {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("not tested on wgpu: {error}");
            None
        }
    }
}

pub fn is_wgpu(device: &Device) -> bool {
    device.name().starts_with("wgpu")
}
