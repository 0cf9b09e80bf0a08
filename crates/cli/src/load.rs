//! From what the user typed to a loaded model, with progress.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use glass_attention::{CachePlan, Rope};
use glass_backend::Device;
use glass_config::Override;
use glass_generate::{Llama, LoadOptions, Memory};
use glass_hub::{HubOptions, HubProgress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{args, error::CliError, say::say};

pub struct Loaded {
    pub llama: Llama,
    pub load: Duration,
}

/// Finds the folder and loads it; everything odd is said on standard error.
pub fn load(model: &args::Model, compute: &args::Compute) -> Result<Loaded, CliError> {
    let device = Device::open(&compute.device)?.with_kernels(compute.kernels);
    device.check_dtype(compute.dtype)?;
    let folder = folder(&model.source)?;
    load_folder(&folder, &model.overrides, device, compute)
}

pub fn load_folder(
    folder: &Path,
    overrides: &[Override],
    device: Device,
    compute: &args::Compute,
) -> Result<Loaded, CliError> {
    let start = Instant::now();
    let bar = bytes_bar("loading");
    let llama = Llama::load(
        folder,
        LoadOptions {
            device,
            dtype: compute.dtype,
            quantize: compute.quantize,
            widened: false,
            overrides,
            progress: &mut |read, total| {
                bar.set_length(total);
                bar.set_position(read);
            },
        },
    );
    bar.finish_and_clear();
    let llama = llama?;
    let load = start.elapsed();
    warn(&llama.warnings);
    warn(
        llama
            .tokenizer
            .iter()
            .flat_map(|tokenizer| tokenizer.warnings()),
    );
    Ok(Loaded { llama, load })
}

/// The folder that a model's name stands for, fetched from the hub if need be.
pub fn folder(source: &args::Source) -> Result<PathBuf, CliError> {
    let mut progress = Download(None);
    let folder = glass_hub::resolve(
        &source.model,
        source.revision.as_deref(),
        &HubOptions::from_env(),
        &mut progress,
    );
    progress.finish();
    Ok(folder?)
}

/// How a text of `tokens` tokens is read and remembered, checked against the model; what changes its results is said.
pub fn memory(
    plan: CachePlan,
    prefill_chunk: Option<NonZeroUsize>,
    llama: &Llama,
    tokens: usize,
) -> Result<Memory, CliError> {
    let memory = Memory {
        plan,
        prefill_chunk: prefill_chunk.unwrap_or(Memory::default().prefill_chunk),
    };
    memory.plan.check(&llama.config)?;
    if !memory.plan.is_exact(&llama.config) {
        warn([format!(
            "with --cache {} layers forget what the config says they see: the model's results are not its own",
            memory.plan
        )]);
    }
    if prefill_chunk.is_some_and(|chunk| chunk.get() < tokens)
        && Rope::new(&llama.config).depends_on_length(tokens)
    {
        warn([format!(
            "--prefill-chunk without effect: rope type {} turns {tokens} tokens by angles of their own, in one pass",
            llama.config.rope_parameters.rope_type.name()
        )]);
    }
    Ok(memory)
}

/// One line on standard error for each.
pub fn warn<T: AsRef<str>>(warnings: impl IntoIterator<Item = T>) {
    for warning in warnings {
        say!("glass: warning: {}", crate::one_line(warning.as_ref()));
    }
}

struct Download(Option<ProgressBar>);

impl HubProgress for Download {
    fn start(&mut self, file: &str, bytes: u64) {
        self.finish();
        let bar = bytes_bar(file);
        bar.set_length(bytes);
        self.0 = Some(bar);
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }

    fn warn(&mut self, message: &str) {
        self.finish();
        warn([message]);
    }
}

/// A bar of bytes on standard error; indicatif draws none where that is not a terminal.
pub fn bytes_bar(what: &str) -> ProgressBar {
    bar(
        what,
        "{bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
    )
}

/// A bar of tokens.
pub fn tokens_bar(what: &str) -> ProgressBar {
    bar(what, "{pos} of {len} tokens, {per_sec}, {eta} left")
}

/// A bar of prompts.
pub fn prompts_bar(what: &str) -> ProgressBar {
    bar(what, "{pos} of {len} prompts, {eta} left")
}

fn bar(what: &str, numbers: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {numbers}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0)
        .with_style(style)
        .with_message(what.to_owned())
}
