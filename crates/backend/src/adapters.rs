//! The graphics adapters of this machine, each with the selector that opens exactly that one.

use std::{fmt, sync::OnceLock};

use burn::tensor::{
    DeviceKind,
    wgpu::{WgpuBackend, wgpu},
};

/// The hardware of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterKind {
    DiscreteGpu,
    IntegratedGpu,
    VirtualGpu,
    /// A rasterizer in software, such as Mesa's llvmpipe.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AdapterKind::DiscreteGpu => "discrete GPU",
            AdapterKind::IntegratedGpu => "integrated GPU",
            AdapterKind::VirtualGpu => "virtual GPU",
            AdapterKind::Software => "software",
        })
    }
}

/// One adapter on one graphics API.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub name: String,
    pub api: WgpuBackend,
    pub kind: AdapterKind,
    pub driver: String,
    /// Whether shaders may compute in float16.
    pub f16: bool,
    /// Largest buffer, in bytes.
    pub max_buffer: u64,
    /// Largest part of a buffer that one shader argument can reach, in bytes.
    pub max_binding: u64,
    pub(crate) selector: DeviceKind,
}

impl Adapter {
    /// Whether it is hardware.
    pub fn is_gpu(&self) -> bool {
        self.kind != AdapterKind::Software
    }
}

/// All adapters on Vulkan, Metal and DX12, real GPUs first: `wgpu:N` is the N-th of this list.
///
/// The machine is asked once per process: Vulkan loaders do not like instances that come and go.
/// OpenGL is left out, because it would show every GPU a second time, with fewer features.
pub fn adapters() -> &'static [Adapter] {
    static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
    ADAPTERS.get_or_init(enumerate)
}

fn enumerate() -> Vec<Adapter> {
    let apis = [
        (wgpu::Backends::METAL, WgpuBackend::Metal),
        (wgpu::Backends::VULKAN, WgpuBackend::Vulkan),
        (wgpu::Backends::DX12, WgpuBackend::Dx12),
    ];
    let mut found = Vec::new();
    for (backends, api) in apis {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        // Burn counts the adapters of each kind on their own.
        let (mut discrete, mut integrated, mut virtual_gpu) = (0, 0, 0);
        let next = |counter: &mut usize| {
            *counter += 1;
            *counter - 1
        };
        for adapter in pollster::block_on(instance.enumerate_adapters(backends)) {
            let info = adapter.get_info();
            let (kind, selector) = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => {
                    (AdapterKind::DiscreteGpu, DeviceKind::DiscreteGpu(next(&mut discrete)))
                }
                wgpu::DeviceType::IntegratedGpu => {
                    (AdapterKind::IntegratedGpu, DeviceKind::IntegratedGpu(next(&mut integrated)))
                }
                wgpu::DeviceType::VirtualGpu => {
                    (AdapterKind::VirtualGpu, DeviceKind::VirtualGpu(next(&mut virtual_gpu)))
                }
                wgpu::DeviceType::Cpu => (AdapterKind::Software, DeviceKind::Cpu),
                // Burn has no selector for an adapter that does not say what it is.
                wgpu::DeviceType::Other => continue,
            };
            let limits = adapter.limits();
            found.push(Adapter {
                name: info.name,
                api,
                kind,
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                f16: adapter.features().contains(wgpu::Features::SHADER_F16),
                max_buffer: limits.max_buffer_size,
                max_binding: limits.max_storage_buffer_binding_size,
                selector,
            });
        }
    }
    found.sort_by_key(|adapter| match adapter.kind {
        AdapterKind::DiscreteGpu => 0,
        AdapterKind::IntegratedGpu => 1,
        AdapterKind::VirtualGpu => 2,
        AdapterKind::Software => 3,
    });
    found
}
