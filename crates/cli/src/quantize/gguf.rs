//! A folder as a GGUF file.

use std::{
    io::BufWriter,
    io::Write as _,
    path::{Path, PathBuf},
};

use glass_checkpoint::{GgufFormat, GgufModel, GgufWriteError};
use glass_gguf::{Gguf, GgufError, Metadata};
use glass_text::gguf::{write_chat_templates, write_tokenizer};

use super::cost;
use crate::{
    args, bars,
    error::CliError,
    info, interrupt, load,
    output::{OutputFile, check_model},
    say::{status, warn},
};

/// Whether a path is that of a GGUF file, by its name.
pub fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

pub fn run(args: &args::Quantize, format: GgufFormat) -> Result<(), CliError> {
    check_model(&args.output, Some(&args.source.model))?;
    let output = OutputFile::create(&args.output, args.overwrite.existing())?;
    let folder = load::folder(&args.source)?;
    let model = GgufModel::open(&folder)?;
    let mut keys = Metadata::new(&args.output);
    keys.insert("general.name", name(&args.source.model, &folder));
    warn(write_tokenizer(&folder, model.config().vocab_size, &mut keys)?);
    write_chat_templates(&folder, &mut keys)?;
    let plan = model.plan(format, &keys)?;
    let (bytes, types) = (plan.bytes(), plan.types());

    // Ended at once, the process would leave an unfinished file behind.
    interrupt::listen();
    let bar = bars::bytes("writing");
    bar.set_length(bytes);
    let mut warnings = Vec::new();
    let written = output.write_with(
        |out| {
            let mut out = BufWriter::with_capacity(1 << 20, out);
            let written = plan.write(&mut out, &mut |written| {
                bar.set_position(written);
                interrupt::flow()
            });
            warnings = written.map_err(|error| match error {
                GgufWriteError::Gguf(GgufError::Write(error)) => CliError::writing(&args.output)(error),
                error => error.into(),
            })?;
            out.flush().map_err(CliError::writing(&args.output))
        },
        |file| Ok(model.check(&Gguf::open(file)?)?),
    );
    bar.finish_and_clear();
    written?;
    warn(warnings);
    let window = model.config().gguf_window().map(|window| format!("sliding_window={window}"));
    if let Some(window) = &window {
        warn([format!("GGUF has no key for this model's window: load {} with --set {window}", args.output.display())]);
    }
    let types: Vec<String> = types.iter().map(|(ty, count)| format!("{count} in {ty}")).collect();
    status!("glass: wrote {} ({}, tensors: {})", args.output.display(), info::size(bytes), types.join(", "));
    // As the warning says.
    let overrides = window.map(|window| window.parse()).transpose()?;
    cost::report(&folder, &args.output, overrides.as_slice());
    Ok(())
}

/// The last part of a path or of a hub name.
fn name(model: &str, folder: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let whole = || last(&folder.canonicalize().unwrap_or_else(|_| PathBuf::from(folder)));
    last(Path::new(model)).or_else(whole).unwrap_or_else(|| "model".to_owned())
}

impl From<GgufWriteError> for CliError {
    fn from(error: GgufWriteError) -> Self {
        match error {
            GgufWriteError::Interrupted => Self::Interrupted,
            GgufWriteError::Config(error) => error.into(),
            GgufWriteError::Checkpoint(error) => error.into(),
            GgufWriteError::Weight(error) => error.into(),
            GgufWriteError::Device(error) => error.into(),
            GgufWriteError::Gguf(error) => error.into(),
        }
    }
}
