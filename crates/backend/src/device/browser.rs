//! The GPU in a browser, which answers asynchronously.

use burn::tensor::Device as BurnDevice;

use super::{Device, one_line};
use crate::DeviceError;

const NAME: &str = "wgpu";

impl Device {
    pub(super) fn open_wgpu(name: &str, _index: usize) -> Result<Self, DeviceError> {
        Err(DeviceError::Start {
            name: name.to_owned(),
            reason: "a browser gives its GPU asynchronously: call Device::open_webgpu".to_owned(),
        })
    }

    /// Opens the GPU that the browser chooses, through WebGPU. Once per page.
    ///
    /// # Errors
    /// The browser has none, or it was opened before.
    pub async fn open_webgpu() -> Result<Self, DeviceError> {
        let started = BurnDevice::wgpu_options().init_with_setup_async().await;
        let (burn, setup) = started
            .map_err(|error| DeviceError::Start { name: NAME.to_owned(), reason: one_line(&error.to_string()) })?;
        let description = format!("{}, {:?}", setup.adapter.get_info().name, setup.backend);
        let max_binding = setup.device.limits().max_storage_buffer_binding_size;
        Ok(Self::gpu(NAME, description, burn, max_binding, false))
    }
}
