//! An adapter that is asked for no more than WebGPU promises.

use burn::tensor::{
    Device as BurnDevice,
    wgpu::{WgpuSetup, wgpu},
};

use super::Device;
use crate::{DeviceError, Dtype};

/// Buffers that a kernel may bind, that of its numbers among them: what browsers give on all adapters of today. The standard
/// promises eight.
const STORAGE_BUFFERS: u32 = 10;

impl Device {
    /// The first adapter as the least that there may be: with WebGPU's default limits (bindings of 128 MiB, 256 units
    /// with 16 kB of shared memory) but for storage buffers, of which it has ten, and without float16 or
    /// subgroups. Whoever exceeds these gets an error. Each call makes another device.
    ///
    /// # Errors
    /// There is no adapter, or it gives less.
    pub fn open_least_wgpu() -> Result<Self, DeviceError> {
        let name = "wgpu";
        let failed = |reason: String| DeviceError::Start { name: name.to_owned(), reason: super::one_line(&reason) };
        // It sets what is to be set before anything computes.
        let usual = Self::open(name)?;
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        let first = adapters.into_iter().find(|adapter| usual.description.starts_with(&adapter.get_info().name));
        let adapter = first.ok_or_else(|| failed("its adapter is not there a second time".to_owned()))?;
        let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: STORAGE_BUFFERS, ..wgpu::Limits::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            // CubeCL asks the adapter for these, and not the device: to take the time of kernels, and for indices.
            required_features: adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_INT64),
            required_limits: limits.clone(),
            ..wgpu::DeviceDescriptor::default()
        }))
        .map_err(|error| failed(error.to_string()))?;
        let backend = adapter.get_info().backend;
        let setup = WgpuSetup { instance, adapter, device, queue, backend };
        let burn = BurnDevice::wgpu_options().setup(setup).init().map_err(|error| failed(error.to_string()))?;
        // CubeCL asks the adapter for the types it has, and not the device.
        let dtypes = vec![Dtype::F32];
        Ok(Self { burn, dtypes, ..usual }.with_max_binding(limits.max_storage_buffer_binding_size))
    }
}
