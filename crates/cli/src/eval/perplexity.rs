//! `glass eval perplexity`: how well a model predicts a text.

use std::{num::NonZeroUsize, path::Path, time::Instant};

use glass_eval::{Bucket, Perplexity, Windows, by_position, merged, token_nlls};
use glass_generate::{Llama, PrefillOptions};
use glass_kv_cache::CacheConfig;
use glass_plot::{Axis, PlotError, Scale, Series, curves};
use glass_text::Encoded;
use serde_json::{Value, json};

use super::{prefills, read_text};
use crate::{
    args, bars,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    output::{OutputFile, check_input, check_model},
    prompt,
    say::{print_line, status, warn},
    table,
    terminal::Stream,
};

/// Columns of the names.
const NAMES: usize = 22;

/// The default window, if the context is longer: full attention over a long context would be too slow for a default.
const WINDOW: NonZeroUsize = NonZeroUsize::new(2048).unwrap();

/// The scores of the text with one cache policy.
struct Scored {
    cache: CacheConfig,
    perplexity: Perplexity,
    buckets: Vec<Bucket>,
}

pub fn run(args: args::Perplexity) -> Result<(), CliError> {
    // What can be refused without the model is refused before it is loaded.
    Windows::new(args.window.unwrap_or(NonZeroUsize::MAX), args.stride)?;
    if args.plot.is_some() && args.caches.cache.len() > glass_plot::MAX_SERIES {
        let given = args.caches.cache.len();
        return Err(PlotError::TooManySeries { given }.into());
    }
    let text = read_text(&args.text)?;
    if let Some(plot) = &args.plot {
        check_input(plot, Some(&args.text), "the text is")?;
        check_model(plot, Some(&args.model.source.model))?;
    }
    let picture = OutputFile::wanted(args.plot.as_deref(), &args.overwrite)?;
    let loaded = load::load(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let Some(tokenizer) = &llama.tokenizer else {
        return Err(CliError::input(
            &llama.folder,
            "no tokenizer.json in the folder that would make the text ids: add it",
        ));
    };
    let context = llama.config.context();
    let default = NonZeroUsize::new(context).map_or(WINDOW, |context| context.min(WINDOW));
    let windows = Windows::new(args.window.unwrap_or(default), args.stride)?;
    prompt::warn_unknown(Some(tokenizer), [text.as_str()])?;
    let mut encoded = tokenizer.encode_with_bytes(&text)?;
    if let Some(max) = args.max_tokens {
        encoded.truncate(max.get().saturating_add(1)); // the first is read and not scored
    }
    let total = encoded.ids().len().saturating_sub(1);
    let longest = windows.window().min(total);
    if longest > context {
        warn([format!(
            "windows of {longest} tokens are {} more than the model's context of {context}, and it may score the last of \
             them badly",
            longest - context
        )]);
    }
    let prefills = prefills(&args.caches, llama, longest)?;

    interrupt::listen();
    let mut runs = Vec::new();
    for prefill in prefills {
        runs.push(score(llama, &encoded, windows, prefill)?);
    }
    let complete = runs.iter().all(|run| run.perplexity.tokens == total);
    let scored = runs.iter().any(|run| run.perplexity.tokens > 0);
    if scored {
        if args.json {
            print_line(report(&loaded, &runs, windows, complete, args.by_position))?;
        } else {
            print_line(tables(&runs, windows, total, args.by_position))?;
        }
    }
    for run in &runs {
        status!("{}", summary(&loaded, &run.perplexity, complete));
    }
    // Last, so that a plot that cannot be written costs none of the numbers.
    if let Some(picture) = picture.filter(|_| scored) {
        picture.write(plot(&runs, &llama.folder, &args.text)?.as_bytes())?;
    }
    interrupt::outcome(!complete)
}

fn score(llama: &Llama, text: &Encoded, windows: Windows, prefill: PrefillOptions) -> Result<Scored, CliError> {
    let bar = bars::tokens("scoring");
    let start = Instant::now();
    let nlls = token_nlls(llama, text.ids(), windows, prefill, &mut |now| {
        bar.set_length(now.total as u64);
        bar.set_position(now.tokens as u64);
        if now.tokens > 0 {
            bar.set_message(format!("mean NLL {:.4}", now.nll / now.tokens as f64));
        }
        interrupt::flow()
    });
    bar.finish_and_clear();
    let nlls = nlls?;
    Ok(Scored {
        cache: prefill.cache,
        perplexity: Perplexity::new(&nlls, text, start.elapsed()),
        buckets: by_position(&nlls, windows),
    })
}

fn figures(scored: &Perplexity, windows: Windows, total: usize) -> Vec<(String, String)> {
    let per_byte = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.6}"));
    [
        ("perplexity", format!("{:.6}", scored.perplexity())),
        ("nats per token", format!("{:.6}", scored.mean_nll())),
        ("nats per byte", per_byte(scored.nll_per_byte())),
        ("bits per byte", per_byte(scored.bits_per_byte())),
        ("tokens scored", format!("{} of {total}, {} bytes", scored.tokens, scored.bytes)),
        ("windows", format!("{} tokens, one every {}", windows.window(), windows.stride())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The figures of each policy, and a column for each in the table by position.
fn tables(runs: &[Scored], windows: Windows, total: usize, by_position: bool) -> String {
    let mut out = Vec::new();
    for run in runs {
        let mut rows = Vec::new();
        if runs.len() > 1 {
            rows.push(("cache".to_owned(), run.cache.to_string()));
        }
        rows.extend(figures(&run.perplexity, windows, total));
        out.push(table::facts(&rows, NAMES, Stream::Out.width()));
    }
    if by_position {
        out.push(String::new());
        out.push(positions(runs));
    }
    out.join("\n")
}

/// Mean nats per token by how many tokens were read before.
fn positions(runs: &[Scored]) -> String {
    let range = |bucket: &Bucket| match (bucket.from, bucket.to) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from} to {to}"),
    };
    let buckets = &runs[0].buckets;
    let mut names = vec![format!("{:<17} {:>8}", "tokens before", "scored")];
    names.extend(buckets.iter().map(|bucket| format!("{:<17} {:>8}", range(bucket), bucket.tokens)));
    let column = |run: &Scored| {
        let name = run.cache.to_string();
        let width = name.chars().count().max(10);
        let nll = |row: usize| run.buckets.get(row).map_or("-".into(), |bucket| format!("{:.4}", bucket.mean_nll));
        let cells = [name].into_iter().chain((0..buckets.len()).map(nll));
        cells.map(|cell| format!("  {cell:>width$}")).collect()
    };
    let cells: Vec<Vec<String>> = runs.iter().map(column).collect();
    table::grid(&names, &cells, Stream::Out.width())
}

/// Fewest tokens of a point in the plot: the mean of fewer says little, and would set the scale.
const POINT: usize = 64;

/// A curve for each policy: mean nats per token against the lower bound of each bucket.
fn plot(runs: &[Scored], model: &Path, text: &Path) -> Result<String, PlotError> {
    let series: Vec<Series> = runs
        .iter()
        .map(|run| Series {
            name: run.cache.to_string(),
            points: merged(&run.buckets, POINT).iter().map(|bucket| (bucket.from as f64, bucket.mean_nll)).collect(),
            bars: vec![],
        })
        .collect();
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let x = Axis { label: "tokens read before, from here to the next point", scale: Scale::Log2 };
    let y = Axis { label: "nats per token", scale: Scale::Linear };
    let title = "How well tokens are predicted by how many were read before";
    let subtitle = format!("{} on {}{}", name(model), name(text), together(&runs[0].buckets));
    curves(&series, [x, y], title, &subtitle)
}

/// Which points of the plot stand for several rows of the table.
fn together(buckets: &[Bucket]) -> String {
    let points = merged(buckets, POINT);
    let wider = points.iter().filter(|point| !buckets.contains(point));
    let wider: Vec<String> =
        wider.map(|point| format!("{} to {} ({} tokens)", point.from, point.to, point.tokens)).collect();
    if wider.is_empty() { String::new() } else { format!("; together: {}", wider.join(", ")) }
}

/// The figures of the first policy at the top, and those of all in `runs` if there are several.
fn report(loaded: &Loaded, runs: &[Scored], windows: Windows, complete: bool, by_position: bool) -> Value {
    let figures = |run: &Scored| {
        let scored = &run.perplexity;
        let mut figures = json!({
            "cache": run.cache.to_string(),
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
    report["window"] = json!(windows.window());
    report["stride"] = json!(windows.stride());
    report["interrupted"] = json!(!complete);
    loaded.complete(&mut report);
    if runs.len() > 1 {
        report["runs"] = runs.iter().map(figures).collect();
    }
    report
}

fn summary(loaded: &Loaded, scored: &Perplexity, complete: bool) -> String {
    format!(
        "glass: {} tokens at {:.1}/s{}, {}",
        scored.tokens,
        scored.tokens_per_second(),
        if complete { "" } else { " (interrupted)" },
        loaded.summary(),
    )
}
