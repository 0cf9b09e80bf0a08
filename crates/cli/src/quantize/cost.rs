//! What a quantized model has lost: its loss on a text, beside that of the model it was made from.

use std::{fmt, num::NonZeroUsize, path::Path};

use glass_backend::{Device, Dtype};
use glass_checkpoint::Precision;
use glass_config::Override;
use glass_eval::{Windows, token_nlls};
use glass_generate::{Llama, LoadOptions, ModelFiles, PrefillOptions};

use crate::{
    bars,
    error::CliError,
    interrupt,
    say::{status, warn},
};

/// English prose and verse, in letters that the shipped models know too.
const TEXT: &str = include_str!("sample.txt");

/// Mean losses on the text, in nats per token.
struct Cost {
    before: f64,
    after: f64,
    tokens: usize,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, tokens } = self;
        let cost = after - before;
        write!(
            f,
            "glass: cost: {cost:+.4} nats per token on a sample text ({before:.4} before, {after:.4} now, {tokens} tokens)"
        )
    }
}

/// Prints the cost of a model that is loaded with these overrides. It is there, whatever becomes of the measurement.
pub fn report(before: &Path, after: &Path, overrides: &[Override]) {
    match measure(before, after, overrides) {
        Ok(Some(cost)) => status!("{cost}"),
        Ok(None) => {}
        Err(error) => warn([format!("the cost in nats could not be measured: {error}")]),
    }
}

/// Loads one model after the other. `None` if there is no tokenizer, or if Ctrl-C broke it off.
fn measure(before: &Path, after: &Path, overrides: &[Override]) -> Result<Option<Cost>, CliError> {
    // As it is stored, so that the larger model is not copied into memory.
    let Some(before) = Measured::of(before, None, &[])? else {
        return Ok(None);
    };
    let files = ModelFiles::open(after)?;
    let (stored, _) = files.stored(&mut files.config(overrides)?)?;
    // Beside blocks all is in float32.
    let dtype = if stored.blocks.is_some() { stored.dtype } else { before.dtype };
    let measured = Measured::of(after, Some(Precision { dtype, ..stored }), overrides)?;
    Ok(measured.map(|after| Cost { before: before.mean_nll, after: after.mean_nll, tokens: after.tokens }))
}

/// A model's loss on the text.
struct Measured {
    /// What was computed with.
    dtype: Dtype,
    mean_nll: f64,
    tokens: usize,
}

impl Measured {
    fn of(folder: &Path, precision: Option<Precision>, overrides: &[Override]) -> Result<Option<Self>, CliError> {
        let device = Device::open("flex")?;
        let options = LoadOptions { device, precision, overrides, progress: &mut |_, _| {} };
        let llama = Llama::load(folder, options)?;
        let Some(tokenizer) = &llama.tokenizer else {
            return Ok(None);
        };
        let text = tokenizer.encode_with_bytes(TEXT)?;
        let window = NonZeroUsize::new(llama.config.context().min(512)).unwrap_or(NonZeroUsize::MIN);
        let windows = Windows::new(window, None)?;
        let bar = bars::tokens("measuring the cost");
        let nlls = token_nlls(&llama, text.ids(), windows, PrefillOptions::default(), &mut |scored| {
            bar.set_length(scored.total as u64);
            bar.set_position(scored.tokens as u64);
            interrupt::flow()
        });
        bar.finish_and_clear();
        let nlls = nlls?;
        let mean_nll = nlls.iter().sum::<f64>() / nlls.len().max(1) as f64;
        let whole = nlls.len() + 1 == text.ids().len();
        Ok(whole.then_some(Self { dtype: llama.dtype, mean_nll, tokens: nlls.len() }))
    }
}
