//! A device by name, and what it can do.

#[cfg(all(feature = "wgpu", target_family = "wasm"))]
mod browser;
#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
mod least;
mod open;

use burn::tensor::Device as BurnDevice;

use crate::{DeviceError, Dtype, KernelMode, KernelSet, kernel_set::KernelBackend};

/// Something to compute on, opened by name.
///
/// | name | what |
/// |---|---|
/// | `auto` | the first real GPU if there is one, else `flex` |
/// | `flex` | this machine's CPU, Burn's SIMD backend |
/// | `ndarray` | this machine's CPU, Burn's older backend (float32 only, slow, deprecated by Burn) |
/// | `wgpu`, `wgpu:N` | the first, or the N-th, adapter that `glass devices` lists |
/// | `cuda`, `cuda:N` | an NVIDIA GPU through CUDA (feature `cuda`) |
/// | `cpu` | this machine's CPU through CubeCL (feature `cpu`) |
#[derive(Clone, Debug)]
pub struct Device {
    name: String,
    description: String,
    burn: BurnDevice,
    max_binding: Option<u64>,
    dtypes: Vec<Dtype>,
    kernel_mode: KernelMode,
    kernel_backend: Option<KernelBackend>,
    trains: bool,
}

impl Device {
    /// Opens a device by name.
    ///
    /// # Errors
    /// An unknown name, a backend that is not in this build, an adapter that is not there or that refuses.
    pub fn open(name: &str) -> Result<Self, DeviceError> {
        let (backend, index) = match name.split_once(':') {
            Some((backend, digits)) => match digits.parse::<usize>() {
                Ok(index) => (backend, Some(index)),
                Err(_) => return Err(unknown(name)),
            },
            None => (name, None),
        };
        match (backend, index) {
            ("auto", None) => Self::open_auto(),
            ("flex", None) => Self::open_flex(),
            ("ndarray", None) => Self::open_ndarray(),
            ("wgpu", index) => Self::open_wgpu(name, index.unwrap_or(0)),
            ("cuda", index) => Self::open_cuda(name, index.unwrap_or(0)),
            ("cpu", None) => Self::open_cpu(),
            _ => Err(unknown(name)),
        }
    }

    /// The names that [`Device::open`] takes in this build, without the numbered ones.
    pub fn known() -> Vec<String> {
        let mut names = vec!["auto"];
        names.extend(cfg!(feature = "flex").then_some("flex"));
        names.extend(cfg!(feature = "ndarray").then_some("ndarray"));
        names.extend(cfg!(feature = "wgpu").then_some("wgpu"));
        names.extend(cfg!(feature = "cuda").then_some("cuda"));
        names.extend(cfg!(feature = "cpu").then_some("cpu"));
        names.into_iter().map(str::to_owned).collect()
    }

    /// The name it was opened by; for `auto`, the one that was chosen.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the device is, for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Burn's handle, which tensors are made on.
    pub fn burn(&self) -> &BurnDevice {
        &self.burn
    }

    /// The same device with kernels or plain operations.
    pub fn with_kernel_mode(mut self, mode: KernelMode) -> Self {
        self.kernel_mode = mode;
        self
    }

    /// Whether kernels compute here, or plain operations.
    pub fn kernel_mode(&self) -> KernelMode {
        if self.kernel_set().is_plain() { KernelMode::Plain } else { KernelMode::Fused }
    }

    /// The kernels that modules on this device use.
    pub fn kernel_set(&self) -> KernelSet {
        match self.kernel_mode {
            KernelMode::Fused if self.trains => KernelSet::TRAINING,
            KernelMode::Plain => KernelSet::NONE,
            KernelMode::Fused => KernelSet::new(self.kernel_backend),
        }
    }

    /// The same device for training: operations are recorded for the gradients. They are plain: of the
    /// kernels only that of the scan on a CPU has a gradient.
    pub fn training(&self) -> Self {
        Self { burn: self.burn.clone().autodiff(), trains: true, ..self.clone() }
    }

    /// The most bytes that one tensor may have here; `None` where only memory limits it.
    pub fn max_binding(&self) -> Option<u64> {
        self.max_binding
    }

    /// The same device with a lower limit: tests emulate a small adapter with it.
    pub fn with_max_binding(mut self, bytes: u64) -> Self {
        self.max_binding = Some(self.max_binding.map_or(bytes, |limit| limit.min(bytes)));
        self
    }

    /// The same device with the kernels of a GPU, where software acts as one: tests emulate a GPU with it, and count what it
    /// would be asked for.
    #[cfg(feature = "wgpu")]
    pub fn with_gpu_kernels(mut self) -> Self {
        use crate::kernel_set::{AdapterClass, KernelBackend};

        if let Some(KernelBackend::Cube(_)) = self.kernel_backend {
            self.kernel_backend = Some(KernelBackend::Cube(AdapterClass { software: false }));
        }
        self
    }

    /// The float types that this device computes in.
    pub fn dtypes(&self) -> &[Dtype] {
        &self.dtypes
    }

    /// The type that a model in `dtype` computes in here: float32 where matrices are kept in `dtype` and the device does not compute
    /// in it. Every number of the one is one of the other.
    pub fn computes(&self, dtype: Dtype) -> Dtype {
        match self.dtypes.contains(&dtype) || !self.kernel_set().multiplies_packed(dtype) {
            true => dtype,
            false => Dtype::F32,
        }
    }

    /// Checks that there is arithmetic in `dtype` here. Models are checked, before anything is loaded, by what they compute in.
    ///
    /// # Errors
    /// [`DeviceError::UnsupportedDtype`], with the types that would work.
    pub fn check_dtype(&self, dtype: Dtype) -> Result<(), DeviceError> {
        if self.dtypes.contains(&dtype) {
            return Ok(());
        }
        Err(DeviceError::UnsupportedDtype {
            device: self.name.clone(),
            dtype,
            instead: self.dtypes.iter().map(Dtype::to_string).collect::<Vec<_>>().join(" or "),
        })
    }

    /// What a user of `dtype` should know here.
    pub fn caveat(&self, dtype: Dtype) -> Option<&'static str> {
        let converts = self.name == "flex" && self.kernel_mode() == KernelMode::Plain;
        (converts && dtype == Dtype::BF16).then_some(
            "plain kernels on flex multiply bf16 by converting the weights to f32 every time, which is many times slower than \
             --kernels fused",
        )
    }

    /// Synchronizes: waits until the device has done all its work.
    ///
    /// # Errors
    /// What went wrong on the device since the last time, such as memory running out.
    pub fn sync(&self) -> Result<(), DeviceError> {
        self.burn.sync().map_err(|error| self.failed(error))
    }

    /// An error of this device from what Burn reported, as one line.
    pub fn failed(&self, error: impl std::fmt::Display) -> DeviceError {
        DeviceError::Failed { device: self.name.clone(), reason: one_line(&error.to_string()) }
    }
}

fn unknown(name: &str) -> DeviceError {
    DeviceError::UnknownDevice { name: name.to_owned(), known: Device::known() }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_devices() {
        for name in ["", "gpu", "flex:1", "wgpu:x", "wgpu:-1", "auto:0", "WGPU"] {
            let error = Device::open(name).unwrap_err();
            assert!(matches!(error, DeviceError::UnknownDevice { .. }), "{name}: {error}");
            assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn an_adapter_that_is_not_there() {
        let error = Device::open("wgpu:97").unwrap_err().to_string();
        assert!(error.contains("wgpu:97") && error.contains("glass devices"), "{error}");
    }

    #[test]
    fn what_is_not_built_says_how_to_build_it() {
        #[cfg(not(feature = "cuda"))]
        assert!(Device::open("cuda:1").unwrap_err().to_string().contains("--features cuda"));
    }

    #[test]
    fn ndarray_has_float32_alone() {
        let device = Device::open("ndarray").unwrap();
        device.check_dtype(Dtype::F32).unwrap();
        let error = device.check_dtype(Dtype::F16).unwrap_err().to_string();
        assert_eq!(error, "device ndarray does not compute in f16: use --dtype f32");
    }
}
