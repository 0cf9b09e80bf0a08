//! The devices under test.

use glass_backend::Device;
pub use glass_testing::devices::flex;

/// flex, and wgpu where there is an adapter.
pub fn all() -> Vec<Device> {
    let mut devices = vec![flex()];
    devices.extend(glass_testing::devices::wgpu());
    devices
}
