//! What a quantized model has lost: its loss on a text, beside that of the model it was made from.

use std::{fmt, num::NonZeroUsize, path::Path};

use glass_backend::{Device, Dtype};
use glass_config::LlamaConfig;
use glass_eval::{Windows, token_nlls};
use glass_generate::{Llama, LoadOptions, PrefillOptions};

use crate::{bars, error::CliError, interrupt};

/// English prose and verse, in letters that the shipped models know too.
const TEXT: &str = include_str!("sample.txt");

/// Mean losses on the text, in nats per token.
pub struct Cost {
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

/// Loads one folder after the other. `None` if there is no tokenizer, or if Ctrl-C broke it off.
pub fn measure(before: &Path, after: &Path) -> Result<Option<Cost>, CliError> {
    let config = LlamaConfig::from_file(&before.join("config.json"), &[])?;
    // Both in the type that the numbers are stored in: the larger model is then not copied into memory.
    let dtype = match config.dtype {
        Some(glass_config::Dtype::Float16) => Dtype::F16,
        Some(glass_config::Dtype::BFloat16) => Dtype::BF16,
        _ => Dtype::F32,
    };
    let Some((before, tokens)) = mean_nll(before, dtype)? else {
        return Ok(None);
    };
    let after = mean_nll(after, dtype)?;
    Ok(after.map(|(after, _)| Cost { before, after, tokens }))
}

/// Nats per token, and the number of tokens.
fn mean_nll(folder: &Path, dtype: Dtype) -> Result<Option<(f64, usize)>, CliError> {
    let bar = bars::tokens("measuring the cost");
    let llama = Llama::load(
        folder,
        LoadOptions {
            device: Device::open("flex")?,
            dtype,
            quantize: None,
            fake_quantize: false,
            overrides: &[],
            progress: &mut |_, _| {},
        },
    )?;
    let Some(tokenizer) = &llama.tokenizer else {
        return Ok(None);
    };
    let ids = tokenizer.encode_with_bytes(TEXT)?;
    let window = NonZeroUsize::new(llama.config.context().min(512)).unwrap_or(NonZeroUsize::MIN);
    let windows = Windows::new(window, None)?;
    let nlls = token_nlls(&llama, ids.ids(), windows, PrefillOptions::default(), &mut |scored| {
        bar.set_length(scored.total as u64);
        bar.set_position(scored.tokens as u64);
        interrupt::flow()
    })?;
    bar.finish_and_clear();
    let whole = nlls.len() + 1 == ids.ids().len();
    Ok(whole.then(|| (nlls.iter().sum::<f64>() / nlls.len() as f64, nlls.len())))
}
