//! The backends under test.

use glass_backend::{Device, Kernels};

/// flex with fused and with plain kernels, ndarray, and wgpu where there is an adapter. `GLASS_REQUIRE_WGPU=1` makes a missing one a failure.
pub fn all() -> Vec<Device> {
    let mut devices = vec![
        flex(),
        flex().with_kernels(Kernels::Plain),
        Device::open("ndarray").expect("ndarray is built in"),
    ];
    match Device::open("wgpu") {
        Ok(device) => devices.push(device),
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => eprintln!("not tested on wgpu: {error}"),
    }
    devices
}

/// The CPU backend that everything is compared with.
pub fn flex() -> Device {
    Device::open("flex").expect("flex is built in")
}

pub fn is_wgpu(device: &Device) -> bool {
    device.name().starts_with("wgpu")
}
