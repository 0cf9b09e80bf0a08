//! `glass quantize`: a model written again, with its matrices in few bits.

use std::path::Path;

use glass_checkpoint::{ConvertError, SaveError};

use crate::{args, convert, error::CliError, interrupt, load, say::say};

pub fn run(args: args::Quantize) -> Result<(), CliError> {
    glass_checkpoint::check_target(Path::new(&args.source.model), &args.output)?;
    let folder = load::folder(&args.source)?;

    // A process that ended in here would leave what it has written so far.
    interrupt::listen();
    let bar = load::bytes_bar("writing");
    let done = glass_checkpoint::quantize(
        &folder,
        &args.output,
        args.bits,
        args.max_shard_size,
        &mut |written, total| {
            bar.set_length(total);
            bar.set_position(written);
            interrupt::flow()
        },
    );
    bar.finish_and_clear();
    let done = match done {
        Err(ConvertError::Save(SaveError::Interrupted)) => return Err(CliError::Interrupted),
        done => done?,
    };
    convert::report(&folder, &args.output, &done.conversion);
    let matrices = done.matrices.iter();
    let matrices: Vec<String> = matrices
        .map(|(bits, count)| format!("{count} in {bits} bits"))
        .collect();
    match matrices.as_slice() {
        [] => load::warn(["no matrix was quantized: the model has none that is known to be one"]),
        counts => say!("glass: matrices: {}", counts.join(", ")),
    }
    Ok(())
}
