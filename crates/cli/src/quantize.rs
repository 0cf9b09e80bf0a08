//! `glass quantize`: a model with its matrices quantized to 8 or 4 bits, as a folder or as a GGUF file.

mod cost;
mod gguf;

use std::path::Path;

use glass_checkpoint::GgufFormat;

use crate::{
    args, bars, convert,
    error::CliError,
    interrupt, load,
    output::check_folder,
    say::{status, warn},
};

pub fn run(args: args::Quantize) -> Result<(), CliError> {
    let dtype = match (args.format, args.dtype) {
        (Some(format), _) if gguf::is_file(&args.output) => return gguf::run(&args, format),
        (Some(_), _) => {
            let reason = "--format is for GGUF files: end the name in .gguf, or give --dtype q8 or q4 for a folder";
            return Err(CliError::input(&args.output, reason));
        }
        (None, Some(_)) if gguf::is_file(&args.output) => {
            let known = GgufFormat::MIXTURES.join(", ");
            return Err(CliError::input(
                &args.output,
                format!("a GGUF file needs --format: {known}, f16, bf16 or f32"),
            ));
        }
        (None, Some(dtype)) => dtype,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    check_folder(&args.output)?;
    let existing = args.overwrite.existing();
    glass_checkpoint::check_target(Path::new(&args.source.model), &args.output, existing)?;
    let folder = load::folder(&args.source)?;

    // Ended at once, the process would leave unfinished files behind.
    interrupt::listen();
    let bar = bars::bytes("writing");
    let progress = &mut |written, total| {
        bar.set_length(total);
        bar.set_position(written);
        interrupt::flow()
    };
    let done = glass_checkpoint::quantize(&folder, &args.output, dtype, args.max_shard_size, existing, progress);
    bar.finish_and_clear();
    let done = done?;
    convert::report(&folder, &args.output, &done.conversion);
    let matrices = done.matrices.iter();
    let matrices: Vec<String> = matrices.map(|(bits, count)| format!("{count} in {bits} bits")).collect();
    match matrices.as_slice() {
        [] => warn(["no matrix was quantized: the model has none that is known to be one"]),
        counts => status!("glass: matrices: {}", counts.join(", ")),
    }
    cost::report(&folder, &args.output, &[]);
    Ok(())
}
