//! `glass quantize`: a model with its matrices quantized to 8 or 4 bits.

mod cost;

use std::path::Path;

use crate::{
    args, bars, convert,
    error::CliError,
    interrupt, load,
    say::{status, warn},
};

pub fn run(args: args::Quantize) -> Result<(), CliError> {
    let existing = args.overwrite.existing();
    glass_checkpoint::check_target(Path::new(&args.source.model), &args.output, existing)?;
    let folder = load::path(&args.source)?;

    // Ended at once, the process would leave unfinished files behind.
    interrupt::listen();
    let bar = bars::bytes("writing");
    let progress = &mut |written, total| {
        bar.set_length(total);
        bar.set_position(written);
        interrupt::flow()
    };
    let done = glass_checkpoint::quantize(&folder, &args.output, args.dtype, args.max_shard_size, existing, progress);
    bar.finish_and_clear();
    let done = done?;
    convert::report(&folder, &args.output, &done.conversion);
    let matrices = done.matrices.iter();
    let matrices: Vec<String> = matrices.map(|(bits, count)| format!("{count} in {bits} bits")).collect();
    match matrices.as_slice() {
        [] => warn(["no matrix was quantized: the model has none that is known to be one"]),
        counts => status!("glass: matrices: {}", counts.join(", ")),
    }
    // The folder is there, whatever becomes of the measurement.
    match cost::measure(&folder, &args.output) {
        Ok(Some(cost)) => status!("{cost}"),
        Ok(None) => {}
        Err(error) => warn([format!("the cost in nats could not be measured: {error}")]),
    }
    Ok(())
}
