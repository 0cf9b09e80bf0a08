//! How each backend is opened; the only file that knows their constructors.

use burn::tensor::Device as BurnDevice;

use super::Device;
use crate::{DeviceError, Dtype, KernelMode};

impl Device {
    pub(super) fn open_auto() -> Result<Self, DeviceError> {
        #[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
        if crate::adapters().iter().any(crate::Adapter::is_gpu) {
            return Self::open_wgpu("wgpu", 0);
        }
        Self::open_flex()
    }

    #[cfg(feature = "flex")]
    pub(super) fn open_flex() -> Result<Self, DeviceError> {
        Ok(Self {
            name: "flex".into(),
            description: format!("CPU, {} threads", cpu_threads()),
            burn: BurnDevice::flex(),
            max_binding: None,
            dtypes: vec![Dtype::F32, Dtype::F16, Dtype::BF16],
            kernel_mode: KernelMode::default(),
            kernel_backend: Some(crate::kernel_set::KernelBackend::Flex),
            trains: false,
        })
    }

    #[cfg(not(feature = "flex"))]
    pub(super) fn open_flex() -> Result<Self, DeviceError> {
        Err(not_built("flex", "flex"))
    }

    #[cfg(feature = "ndarray")]
    pub(super) fn open_ndarray() -> Result<Self, DeviceError> {
        // Burn deprecates this backend; the project keeps it for as long as Burn ships it, to compare.
        #[allow(deprecated)]
        let burn = BurnDevice::ndarray();
        Ok(Self {
            name: "ndarray".into(),
            description: format!("CPU, {} threads", cpu_threads()),
            burn,
            max_binding: None,
            dtypes: vec![Dtype::F32],
            kernel_mode: KernelMode::default(),
            kernel_backend: None,
            trains: false,
        })
    }

    #[cfg(not(feature = "ndarray"))]
    pub(super) fn open_ndarray() -> Result<Self, DeviceError> {
        Err(not_built("ndarray", "ndarray"))
    }

    #[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
    pub(super) fn open_wgpu(name: &str, index: usize) -> Result<Self, DeviceError> {
        use std::{collections::HashMap, sync::Mutex};

        let adapters = crate::adapters();
        let adapter = adapters.get(index).ok_or_else(|| DeviceError::NoAdapter {
            name: name.to_owned(),
            found: match adapters.len() {
                0 => "this machine shows no Vulkan, Metal or DX12 adapter (is a driver installed?)".to_owned(),
                1 => "this machine has one, wgpu:0".to_owned(),
                n => format!("this machine has {n}, wgpu:0 to wgpu:{}", n - 1),
            },
        })?;
        // Mesa's llvmpipe ends the process with what the SPIR-V compiler makes, and Burn has no choice per adapter.
        #[cfg(feature = "vulkan")]
        if !adapter.is_gpu() && adapter.api == burn::tensor::wgpu::WgpuBackend::Vulkan {
            return Err(DeviceError::Start {
                name: name.to_owned(),
                reason:
                    "it is Vulkan in software, and this build compiles kernels for real GPUs: build it without the \
                         feature vulkan"
                        .to_owned(),
            });
        }
        // Burn starts an adapter once per process and refuses to do it again.
        static STARTED: Mutex<Option<HashMap<usize, BurnDevice>>> = Mutex::new(None);
        let mut started = STARTED.lock().unwrap_or_else(|poison| poison.into_inner());
        let started = started.get_or_insert_default();
        let burn = match started.get(&index) {
            Some(burn) => burn.clone(),
            None => {
                let mut options =
                    BurnDevice::wgpu_options().device_kind(adapter.selector.clone()).graphics_api(adapter.api);
                if !adapter.is_gpu() {
                    tune_little();
                    if std::env::var_os("CUBECL_WGPU_MAX_TASKS").is_none() {
                        options = options.tasks_max(SOFTWARE_TASKS);
                    }
                }
                let burn = options.init().map_err(|error| DeviceError::Start {
                    name: name.to_owned(),
                    reason: super::one_line(&error.to_string()),
                })?;
                started.insert(index, burn.clone());
                burn
            }
        };
        let description = format!("{}, {:?}, {}", adapter.name, adapter.api, adapter.kind);
        let max_binding = adapter.max_binding;
        Ok(Self::gpu(name, description, burn, max_binding, !adapter.is_gpu()))
    }

    /// A GPU, or software that acts as one.
    #[cfg(feature = "wgpu")]
    pub(super) fn gpu(name: &str, description: String, burn: BurnDevice, max_binding: u64, software: bool) -> Self {
        use crate::kernel_set::{AdapterClass, KernelBackend};

        let mut dtypes = vec![Dtype::F32];
        dtypes.extend([Dtype::F16, Dtype::BF16].into_iter().filter(|dtype| burn.supports_dtype(dtype.burn())));
        Self {
            name: name.to_owned(),
            description,
            burn,
            max_binding: Some(max_binding),
            dtypes,
            kernel_mode: KernelMode::default(),
            kernel_backend: Some(KernelBackend::Cube(AdapterClass { software })),
            trains: false,
        }
    }

    #[cfg(not(feature = "wgpu"))]
    pub(super) fn open_wgpu(name: &str, _index: usize) -> Result<Self, DeviceError> {
        Err(not_built(name, "wgpu"))
    }

    #[cfg(feature = "cuda")]
    pub(super) fn open_cuda(name: &str, index: usize) -> Result<Self, DeviceError> {
        let burn = BurnDevice::cuda(index);
        let dtypes = Dtype::ALL.into_iter().filter(|dtype| burn.supports_dtype(dtype.burn())).collect();
        Ok(Self {
            name: name.to_owned(),
            description: format!("CUDA device {index}"),
            burn,
            max_binding: None,
            dtypes,
            kernel_mode: KernelMode::default(),
            kernel_backend: None,
            trains: false,
        })
    }

    #[cfg(not(feature = "cuda"))]
    pub(super) fn open_cuda(name: &str, _index: usize) -> Result<Self, DeviceError> {
        Err(not_built(name, "cuda"))
    }

    #[cfg(feature = "cpu")]
    pub(super) fn open_cpu() -> Result<Self, DeviceError> {
        let burn = BurnDevice::cpu();
        let dtypes = Dtype::ALL.into_iter().filter(|dtype| burn.supports_dtype(dtype.burn())).collect();
        Ok(Self {
            name: "cpu".into(),
            description: format!("CPU through CubeCL, {} threads", cpu_threads()),
            burn,
            max_binding: None,
            dtypes,
            kernel_mode: KernelMode::default(),
            kernel_backend: None,
            trains: false,
        })
    }

    #[cfg(not(feature = "cpu"))]
    pub(super) fn open_cpu() -> Result<Self, DeviceError> {
        Err(not_built("cpu", "cpu"))
    }
}

/// Kernels that are submitted to a software adapter together: those of a token. It computes in the thread that submits, and a
/// caller that asks for more meanwhile spins on a core that it needs.
#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
const SOFTWARE_TASKS: usize = 256;

/// On a software rasterizer every kernel that autotuning tries takes seconds and none is much better,
/// so it tries as few as it can. A `cubecl.toml` or `CUBECL_AUTOTUNE_LEVEL` of the user's own wins.
#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
fn tune_little() {
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, autotune::AutotuneLevel};

    if std::env::var_os("CUBECL_AUTOTUNE_LEVEL").is_some() {
        return;
    }
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.autotune.level = AutotuneLevel::Minimal;
    // False if something read the configuration earlier in this process: then its own level stays.
    let _ = CubeClRuntimeConfig::try_set(config);
}

#[cfg(any(feature = "flex", feature = "ndarray", feature = "cpu"))]
fn cpu_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[allow(dead_code)] // Each backend that is compiled in has one call less.
fn not_built(name: &str, feature: &'static str) -> DeviceError {
    DeviceError::NotBuilt { name: name.to_owned(), feature }
}
