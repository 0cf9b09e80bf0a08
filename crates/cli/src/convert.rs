//! `glass convert`: a model in another float type or in files of another size.

use std::path::Path;

use glass_checkpoint::{Conversion, ConvertOptions};
use glass_generate::unpack;

use crate::{
    args, bars,
    error::CliError,
    info, interrupt, load,
    output::check_folder,
    say::{status, warn},
};

/// File names in one line.
const MAX_NAMES: usize = 5;

pub fn run(args: args::Convert) -> Result<(), CliError> {
    check_folder(&args.output)?;
    let existing = args.overwrite.existing();
    glass_checkpoint::check_target(Path::new(&args.source.model), &args.output, existing)?;
    let files = load::files(&args.source)?;

    // Ended at once, the process would leave unfinished files behind.
    interrupt::listen();
    let bar = bars::bytes("writing");
    let options = ConvertOptions {
        dtype: args.dtype,
        max_shard_size: args.max_shard_size,
        existing,
        progress: &mut |written, total| {
            bar.set_length(total);
            bar.set_position(written);
            interrupt::flow()
        },
    };
    let done = match files.gguf() {
        None => glass_checkpoint::convert(files.path(), &args.output, options).map_err(CliError::from),
        Some(file) => unpack(file, &args.output, options).map_err(CliError::from),
    };
    bar.finish_and_clear();
    report(files.path(), &args.output, &done?);
    Ok(())
}

/// Reports a folder that was written.
pub fn report(folder: &Path, output: &Path, done: &Conversion) {
    warn(&done.warnings);
    if let Some(names) = some_of(&done.left_out) {
        warn([format!("not copied from {}: {names}", folder.display())]);
    }
    let written = &done.written;
    let dtypes: Vec<String> = written.dtypes.iter().map(ToString::to_string).collect();
    status!(
        "glass: wrote {} ({} tensors in {}, {} in {})",
        output.display(),
        written.tensors,
        dtypes.join(" and "),
        info::size(written.bytes),
        match written.files.as_slice() {
            [file] => file.clone(),
            files => format!("{} files", files.len()),
        }
    );
}

fn some_of(names: &[String]) -> Option<String> {
    let (first, rest) = names.split_at(names.len().min(MAX_NAMES));
    match (first, rest.len()) {
        ([], _) => None,
        (_, 0) => Some(first.join(", ")),
        (_, others) => Some(format!("{} and {others} others", first.join(", "))),
    }
}
