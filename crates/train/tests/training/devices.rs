//! The devices under test.

use glass_backend::Device;

/// flex, and wgpu where there is an adapter. `GLASS_REQUIRE_WGPU=1` makes a missing one a failure.
pub fn all() -> Vec<Device> {
    let mut devices = vec![flex()];
    match Device::open("wgpu") {
        Ok(device) => devices.push(device),
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => eprintln!("not tested on wgpu: {error}"),
    }
    devices
}

pub fn flex() -> Device {
    Device::open("flex").expect("flex is built in")
}
