//! `glass eval`: how good a model is.

use std::{
    fs,
    io::{self, Write},
    num::NonZeroUsize,
    ops::ControlFlow,
    path::Path,
    time::Instant,
};

use glass_attention::CachePlan;
use glass_causal_lm::{
    Llama, Memory,
    eval::{Bucket, Perplexity, Windows, by_position},
    tokenizer::Encoded,
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

/// One scoring of the text, under one plan of what is kept.
struct Scored {
    plan: CachePlan,
    perplexity: Perplexity,
    buckets: Vec<Bucket>,
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
    let plans = match args.cache.as_slice() {
        [] => &[CachePlan::default()],
        plans => plans,
    };
    let memories = plans
        .iter()
        .map(|&plan| load::memory(plan, args.prefill_chunk, llama, longest))
        .collect::<Result<Vec<_>, _>>()?;

    interrupt::listen();
    let mut runs = Vec::new();
    for memory in memories {
        runs.push(score(llama, &encoded, windows, memory)?);
    }
    let complete = runs.iter().all(|run| run.perplexity.tokens == total);
    if runs.iter().any(|run| run.perplexity.tokens > 0) {
        let text = match args.json {
            true => report(&loaded, &runs, windows, complete, args.by_position).to_string(),
            false => tables(&runs, windows, total, args.by_position),
        };
        writeln!(io::stdout(), "{text}").map_err(CliError::stdout)?;
    }
    for run in &runs {
        say!("{}", summary(&loaded, &run.perplexity, complete));
    }
    match complete {
        true => Ok(()),
        false => Err(CliError::Interrupted),
    }
}

fn score(
    llama: &Llama,
    text: &Encoded,
    windows: Windows,
    memory: Memory,
) -> Result<Scored, CliError> {
    let bar = load::tokens_bar("scoring");
    let start = Instant::now();
    let nlls = llama.token_nlls(text.ids(), windows, memory, &mut |now| {
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
    let nlls = nlls?;
    Ok(Scored {
        plan: memory.plan,
        perplexity: Perplexity::new(&nlls, text, start.elapsed()),
        buckets: by_position(&nlls, windows),
    })
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

/// The figures of each plan; by position, if that is asked for, a column for each.
fn tables(runs: &[Scored], windows: Windows, total: usize, by_position: bool) -> String {
    let mut out = Vec::new();
    for run in runs {
        if runs.len() > 1 {
            out.push(format!("{:<22} {}", "cache", run.plan));
        }
        out.push(table(&run.perplexity, windows, total));
    }
    if by_position {
        out.push(String::new());
        out.push(positions(runs));
    }
    out.join("\n")
}

/// Mean nats per token by how many tokens were read before.
fn positions(runs: &[Scored]) -> String {
    let names: Vec<String> = runs.iter().map(|run| run.plan.to_string()).collect();
    let wide = |name: &String| name.chars().count().max(10);
    let mut out = format!("{:<17} {:>8}", "tokens before", "scored");
    for name in &names {
        out += &format!("  {name:>width$}", width = wide(name));
    }
    for (row, bucket) in runs[0].buckets.iter().enumerate() {
        let range = match bucket.from == bucket.to {
            true => bucket.from.to_string(),
            false => format!("{} to {}", bucket.from, bucket.to),
        };
        out += &format!("\n{range:<17} {:>8}", bucket.tokens);
        for (run, name) in runs.iter().zip(&names) {
            let nll = run
                .buckets
                .get(row)
                .map_or("-".into(), |bucket| format!("{:.4}", bucket.mean_nll));
            out += &format!("  {nll:>width$}", width = wide(name));
        }
    }
    out
}

/// The figures of the first plan, as if it were the only one, and of all in `runs` if there are several.
fn report(
    loaded: &Loaded,
    runs: &[Scored],
    windows: Windows,
    complete: bool,
    by_position: bool,
) -> Value {
    let figures = |run: &Scored| {
        let scored = &run.perplexity;
        let mut figures = json!({
            "cache": run.plan.to_string(),
            "tokens": scored.tokens,
            "mean_nll": scored.mean_nll(),
            "perplexity": scored.perplexity(),
            "bytes": scored.bytes,
            "nll_per_byte": scored.nll_per_byte(),
            "bits_per_byte": scored.bits_per_byte(),
            "seconds": scored.duration.as_secs_f64(),
            "tokens_per_second": scored.tokens_per_second(),
        });
        if by_position {
            let bucket = |bucket: &Bucket| {
                json!({
                    "from": bucket.from,
                    "to": bucket.to,
                    "tokens": bucket.tokens,
                    "mean_nll": bucket.mean_nll,
                })
            };
            figures["by_position"] = run.buckets.iter().map(bucket).collect();
        }
        figures
    };
    let mut report = figures(&runs[0]);
    let common = json!({
        "window": windows.window(),
        "stride": windows.stride(),
        "interrupted": !complete,
        "load_seconds": loaded.load.as_secs_f64(),
        "peak_memory_bytes": peak_memory::bytes(),
        "device": loaded.llama.device.name(),
        "dtype": loaded.llama.dtype.to_string(),
    });
    if let (Value::Object(report), Value::Object(common)) = (&mut report, common) {
        report.extend(common);
    }
    if runs.len() > 1 {
        report["runs"] = runs.iter().map(figures).collect();
    }
    report
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
