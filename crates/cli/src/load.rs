//! From a model's name to a model in memory, with progress on standard error.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use glass_backend::{Device, peak_host_bytes};
use glass_config::Override;
use glass_generate::{Llama, LoadOptions, ModelFiles};
use glass_hub::{HubError, HubOptions, HubProgress};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::{
    args, bars, embedded,
    error::CliError,
    keep,
    say::{note, warn},
    shell::quoted_path,
};

pub struct Loaded {
    pub llama: Llama,
    pub duration: Duration,
}

impl Loaded {
    /// The end of a command's last line.
    pub fn summary(&self) -> String {
        format!(
            "loaded in {:.2} s, device {}, {}",
            self.duration.as_secs_f64(),
            self.llama.device.name(),
            self.llama.precision
        )
    }

    /// Adds the last fields of a command's JSON.
    ///
    /// # Panics
    /// If `report` is no object.
    pub fn complete(&self, report: &mut Value) {
        report["load_seconds"] = json!(self.duration.as_secs_f64());
        report["peak_memory_bytes"] = json!(peak_host_bytes());
        report["device"] = json!(self.llama.device.name());
        report["dtype"] = json!(self.llama.precision.to_string());
    }
}

/// Finds the model and loads it; what is odd is warned of.
pub fn load(model: &args::Model, compute: &args::Compute) -> Result<Loaded, CliError> {
    let device = device(compute)?;
    load_files(&files(&model.source)?, &model.overrides, device, compute)
}

/// # Errors
/// This machine has no such device, or the device does not compute in this type.
pub fn device(compute: &args::Compute) -> Result<Device, CliError> {
    let open = || -> Result<Device, CliError> {
        let device = Device::open(&compute.device)?.with_kernel_mode(compute.kernels);
        if let Some(precision) = compute.dtype {
            device.check_dtype(device.computes(precision.dtype))?;
        }
        Ok(device)
    };
    let dtype = compute.dtype.map_or(String::new(), |precision| precision.to_string());
    open().map_err(|error| error.with_environment(&[("GLASS_DEVICE", &compute.device), ("GLASS_DTYPE", &dtype)]))
}

/// As [`load`], where no name means the model that is built in.
pub fn load_any(model: &args::AnyModel, compute: &args::Compute) -> Result<Loaded, CliError> {
    let device = device(compute)?;
    match any_files(model)? {
        Some(files) => load_files(&files, &model.overrides, device, compute),
        None => load_embedded(&model.overrides, device, compute),
    }
}

/// The files of a model that was named; where none was, a line says which model is taken.
pub fn any_files(model: &args::AnyModel) -> Result<Option<ModelFiles>, CliError> {
    let Some(name) = &model.model else {
        note(&format!(
            "glass: no model was named, so this is the built-in one: {}, {}",
            embedded::NAME,
            embedded::NATURE
        ));
        return Ok(None);
    };
    files(&args::Source { model: name.clone(), revision: model.revision.clone() }).map(Some)
}

/// The files of a model, opened but for the weights.
pub fn files(source: &args::Source) -> Result<ModelFiles, CliError> {
    Ok(ModelFiles::open(&path(source)?)?)
}

/// As [`files`], where the weights need not be there.
pub fn files_without_weights(model: &str, revision: Option<&str>) -> Result<ModelFiles, CliError> {
    Ok(ModelFiles::open(&resolve(model, revision, glass_hub::resolve_without_weights)?)?)
}

/// The folder of a model, for commands that work on its files.
///
/// # Errors
/// As [`path`]; it is a GGUF file.
pub fn folder(source: &args::Source) -> Result<PathBuf, CliError> {
    let folder = path(source)?;
    if folder.is_file() {
        let fix = format!("`glass convert {} -o FOLDER` makes one of it", quoted_path(&folder));
        return Err(CliError::input(&folder, format!("is a GGUF file, and this takes a folder: {fix}")));
    }
    Ok(folder)
}

/// The folder of a model, downloaded from the hub if need be, or its GGUF file.
pub fn path(source: &args::Source) -> Result<PathBuf, CliError> {
    resolve(&source.model, source.revision.as_deref(), glass_hub::resolve)
}

type Resolve = fn(&str, Option<&str>, &HubOptions, &mut dyn FnMut(HubProgress)) -> Result<PathBuf, HubError>;

fn resolve(model: &str, revision: Option<&str>, resolve: Resolve) -> Result<PathBuf, CliError> {
    let mut bar = ProgressBar::hidden();
    let folder = resolve(model, revision, &HubOptions::from_env(), &mut |event| match event {
        HubProgress::Start(file, bytes) => {
            bar.finish_and_clear();
            bar = bars::bytes(file);
            bar.set_length(bytes);
        }
        HubProgress::Advance(bytes) => bar.inc(bytes),
        HubProgress::Warning(message) => {
            bar.finish_and_clear();
            warn([message]);
        }
    });
    bar.finish_and_clear();
    folder.map_err(|error| CliError::from(error).with_environment(&[("GLASS_MODEL", model)]))
}

pub fn load_files(
    files: &ModelFiles,
    overrides: &[Override],
    device: Device,
    compute: &args::Compute,
) -> Result<Loaded, CliError> {
    let copy = match compute.keep {
        true => keep::copy(files, overrides, compute.dtype)?,
        false => None,
    };
    let files = copy.as_ref().unwrap_or(files);
    shown(overrides, device, compute, |options| Llama::load_files(files, options))
}

/// The model that is built into the program.
pub fn load_embedded(overrides: &[Override], device: Device, compute: &args::Compute) -> Result<Loaded, CliError> {
    if compute.keep {
        keep::without_effect("the built-in model is in memory");
    }
    shown(overrides, device, compute, |options| Llama::from_bytes(embedded::bytes(), options))
}

/// Loads with a progress bar, and prints the warnings.
fn shown(
    overrides: &[Override],
    device: Device,
    compute: &args::Compute,
    load: impl FnOnce(LoadOptions<'_>) -> Result<Llama, glass_generate::Error>,
) -> Result<Loaded, CliError> {
    let start = Instant::now();
    let bar = bars::bytes("loading");
    let llama = load(LoadOptions {
        device,
        precision: compute.dtype,
        overrides,
        progress: &mut |read, total| {
            bar.set_length(total);
            bar.set_position(read);
        },
    });
    bar.finish_and_clear();
    let llama = llama?;
    let duration = start.elapsed();
    warn(&llama.warnings);
    warn(llama.tokenizer.iter().flat_map(|tokenizer| tokenizer.warnings()));
    Ok(Loaded { llama, duration })
}
