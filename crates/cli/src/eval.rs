//! `glass eval`: how good a model is.

use std::{
    fs,
    io::{self, Write},
    num::NonZeroUsize,
    ops::ControlFlow,
    path::Path,
};

use glass_causal_lm::{
    Llama,
    eval::{Perplexity, Windows},
};
use serde_json::{Value, json};

use crate::{
    args::{self, Measure},
    error::CliError,
    interrupt,
    load::{self, Loaded},
    peak_memory,
    say::say,
};

/// The window where none is asked for, if the context is longer: a full attention over it would cost too much to be
/// what somebody gets who did not ask.
const WINDOW: NonZeroUsize = NonZeroUsize::new(2048).unwrap();

pub fn run(args: args::Eval) -> Result<(), CliError> {
    match args.measure {
        Measure::Perplexity(args) => perplexity(args),
    }
}

fn perplexity(args: args::Perplexity) -> Result<(), CliError> {
    // What can be refused without the model is, before anybody waits for one.
    Windows::new(args.window.unwrap_or(NonZeroUsize::MAX), args.stride)?;
    let text = read_text(&args.text)?;
    let loaded = load::load(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let Some(tokenizer) = &llama.tokenizer else {
        return Err(CliError::Input {
            path: llama.folder.clone(),
            reason: "no tokenizer.json in the folder that would make the text ids: add it".into(),
        });
    };
    let context = llama.config.context();
    let default = NonZeroUsize::new(context).map_or(WINDOW, |context| context.min(WINDOW));
    let windows = Windows::new(args.window.unwrap_or(default), args.stride)?;
    let mut encoded = tokenizer.encode_with_bytes(&text)?;
    if let Some(most) = args.max_tokens {
        encoded.truncate(most.get().saturating_add(1)); // the first is read and not scored
    }
    let total = encoded.ids().len().saturating_sub(1);
    let longest = windows.window().min(total);
    if longest > context {
        load::warn([format!(
            "windows of {longest} tokens are {} more than the model's context of {context}, and it may score the last of \
             them badly",
            longest - context
        )]);
    }

    interrupt::listen();
    let bar = load::tokens_bar("scoring");
    let scored = llama.perplexity(&encoded, windows, &mut |now| {
        bar.set_length(now.total as u64);
        bar.set_position(now.tokens as u64);
        if now.tokens > 0 {
            bar.set_message(format!("mean NLL {:.4}", now.nll / now.tokens as f64));
        }
        match interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    bar.finish_and_clear();
    let scored = scored?;
    let complete = scored.tokens == total;
    if scored.tokens > 0 {
        let text = match args.json {
            true => report(&loaded, &scored, windows, complete).to_string(),
            false => table(&scored, windows, total),
        };
        writeln!(io::stdout(), "{text}").map_err(CliError::stdout)?;
    }
    say!("{}", summary(&loaded, &scored, complete));
    match complete {
        true => Ok(()),
        false => Err(CliError::Interrupted),
    }
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let bytes = fs::read(path).map_err(|source| CliError::Read {
        path: path.to_owned(),
        source,
    })?;
    let refuse = |reason| CliError::Input {
        path: path.to_owned(),
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        refuse(format!(
            "not UTF-8 text, from byte {} on: convert it",
            error.utf8_error().valid_up_to()
        ))
    })?;
    match text.is_empty() {
        true => Err(refuse("an empty file: there is nothing to score".into())),
        false => Ok(text),
    }
}

fn table(scored: &Perplexity, windows: Windows, total: usize) -> String {
    let per_byte = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.6}"));
    [
        ("perplexity", format!("{:.6}", scored.perplexity())),
        ("nats per token", format!("{:.6}", scored.mean_nll())),
        ("nats per byte", per_byte(scored.nll_per_byte())),
        ("bits per byte", per_byte(scored.bits_per_byte())),
        (
            "tokens scored",
            format!("{} of {total}, {} bytes", scored.tokens, scored.bytes),
        ),
        (
            "windows",
            format!(
                "{} tokens, one every {}",
                windows.window(),
                windows.stride()
            ),
        ),
    ]
    .map(|(name, value)| format!("{name:<22} {value}"))
    .join("\n")
}

fn report(loaded: &Loaded, scored: &Perplexity, windows: Windows, complete: bool) -> Value {
    json!({
        "tokens": scored.tokens,
        "mean_nll": scored.mean_nll(),
        "perplexity": scored.perplexity(),
        "bytes": scored.bytes,
        "nll_per_byte": scored.nll_per_byte(),
        "bits_per_byte": scored.bits_per_byte(),
        "window": windows.window(),
        "stride": windows.stride(),
        "interrupted": !complete,
        "seconds": scored.duration.as_secs_f64(),
        "tokens_per_second": scored.tokens_per_second(),
        "load_seconds": loaded.load.as_secs_f64(),
        "peak_memory_bytes": peak_memory::bytes(),
        "device": loaded.llama.device.name(),
        "dtype": loaded.llama.dtype.to_string(),
    })
}

fn summary(loaded: &Loaded, scored: &Perplexity, complete: bool) -> String {
    let Llama { device, dtype, .. } = &loaded.llama;
    format!(
        "glass: {} tokens at {:.1}/s{}, loaded in {:.2} s, device {}, {dtype}",
        scored.tokens,
        scored.tokens_per_second(),
        if complete { "" } else { " (interrupted)" },
        loaded.load.as_secs_f64(),
        device.name(),
    )
}
