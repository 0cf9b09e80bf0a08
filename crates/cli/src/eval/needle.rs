//! `glass eval needle`: what a model can retrieve from a long text.

mod show;

use std::{
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

use glass_eval::{EvalError, FillerTokens, NeedleScore, NeedleTest, Task};
use glass_generate::{Llama, PrefillOptions};
use glass_kv_cache::CacheConfig;
use serde_json::{Value, json};

use super::{prefills, read_text};
use crate::{
    args::{self, Mode},
    bars,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    output::OutputFile,
    say::{print_line, status, warn},
};

const DEPTHS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
const HOPS: [NonZeroUsize; 3] = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap(), NonZeroUsize::new(4).unwrap()];
const VALUE: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// The results of all haystacks with one cache policy.
struct Run {
    cache: CacheConfig,
    /// By task, then by length.
    cells: Vec<Vec<NeedleScore>>,
    tokens: usize,
    duration: Duration,
}

impl Run {
    fn trials(&self) -> usize {
        self.cells.iter().flatten().map(|cell| cell.trials).sum()
    }

    /// Mean over all haystacks.
    fn found(&self) -> Option<f64> {
        let found = |cell: &NeedleScore| cell.found().map(|found| found * cell.trials as f64);
        let sum: f64 = self.cells.iter().flatten().filter_map(found).sum();
        (self.trials() > 0).then(|| sum / self.trials() as f64)
    }
}

pub fn run(args: args::Needle) -> Result<(), CliError> {
    let test = NeedleTest { tasks: tasks(&args)?, lengths: args.length.clone(), trials: args.trials, seed: args.seed };
    // What can be refused without the model is refused before it is loaded.
    for task in &test.tasks {
        for length in &test.lengths {
            task.room(length.get(), 0).map_err(EvalError::from)?;
        }
    }
    let text = args.haystack.as_deref().map(read_text).transpose()?;
    let picture = OutputFile::wanted(args.plot.as_deref(), &args.overwrite)?;
    let loaded = load::load(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let filler = FillerTokens::new(llama, text.as_deref())?;
    test.check(&filler)?;
    let longest = test.lengths.iter().max().map_or(0, |length| length.get());
    let context = llama.config.context();
    if longest > context {
        warn([format!(
            "haystacks of {longest} tokens are {} more than the model's context of {context}, and it may find nothing in \
             them for that alone",
            longest - context
        )]);
    }
    let prefills = prefills(&args.caches, llama, longest)?;

    interrupt::listen();
    let mut runs = Vec::new();
    for prefill in prefills {
        runs.push(measure(llama, &test, &filler, prefill)?);
    }
    let trials = test.trials.get() * test.tasks.len() * test.lengths.len();
    let complete = runs.iter().all(|run| run.trials() == trials);
    let mut plot = None;
    if runs.iter().any(|run| run.trials() > 0) {
        let shown =
            show::Shown { args: &args, test: &test, runs: &runs, model: llama.folder.file_name().map(Path::new) };
        if args.json {
            print_line(report(&args, &test, &loaded, &runs, complete))?;
        } else {
            print_line(shown.tables())?;
        }
        plot = picture.map(|picture| (picture, shown.plot()));
    }
    for run in &runs {
        status!("{}", summary(&loaded, run, complete));
    }
    // Last, so that a plot that cannot be written costs none of the numbers.
    if let Some((picture, plot)) = plot {
        picture.write(plot?.as_bytes())?;
    }
    interrupt::outcome(!complete)
}

/// The rows of what is shown: depths, or hops.
fn tasks(args: &args::Needle) -> Result<Vec<Task>, CliError> {
    let key = args.key;
    let refuse = |option: &str, mode: &str, instead: &str| {
        Err(CliError::Usage(format!("{option} has no meaning with --mode {mode}: {instead}")))
    };
    match args.mode {
        Mode::Single if !args.hops.is_empty() => refuse("--hops", "single", "leave it out, or take --mode chain"),
        Mode::Chain if !args.depth.is_empty() => {
            refuse("--depth", "chain", "its links stand at places drawn by chance (leave it out)")
        }
        Mode::Chain if args.value.is_some() => refuse("--value", "chain", "the answers are keys (use --key)"),
        Mode::Single => {
            let value = args.value.unwrap_or(VALUE);
            let depths = if args.depth.is_empty() { &DEPTHS[..] } else { &args.depth };
            let task = |&depth| Task::Single { key, value, depth };
            Ok(depths.iter().map(task).collect())
        }
        Mode::Chain => {
            let hops = if args.hops.is_empty() { &HOPS[..] } else { &args.hops };
            Ok(hops.iter().map(|&hops| Task::Chain { key, hops }).collect())
        }
    }
}

fn measure(llama: &Llama, test: &NeedleTest, filler: &FillerTokens, prefill: PrefillOptions) -> Result<Run, CliError> {
    let bar = bars::tokens("searching");
    let start = Instant::now();
    let mut tokens = 0;
    let cells = test.run(llama, filler, prefill, &mut |now| {
        tokens = now.tokens;
        bar.set_length(now.total as u64);
        bar.set_position(now.tokens as u64);
        if let Some(found) = now.found {
            bar.set_message(format!("{}, found {found:.4}", prefill.cache));
        }
        interrupt::flow()
    });
    bar.finish_and_clear();
    Ok(Run { cache: prefill.cache, cells: cells?, tokens, duration: start.elapsed() })
}

fn report(args: &args::Needle, test: &NeedleTest, loaded: &Loaded, runs: &[Run], complete: bool) -> Value {
    let value = (args.mode == Mode::Single).then_some(args.value.unwrap_or(VALUE));
    let mut report = json!({
        "mode": match args.mode {
            Mode::Single => "single",
            Mode::Chain => "chain",
        },
        "key": args.key,
        "value": value,
        "trials": args.trials,
        "seed": args.seed,
        "haystack": args.haystack,
        "runs": runs.iter().map(|run| figures(test, run)).collect::<Vec<_>>(),
        "interrupted": !complete,
    });
    loaded.complete(&mut report);
    report
}

fn figures(test: &NeedleTest, run: &Run) -> Value {
    let mut cells = Vec::new();
    for (task, row) in test.tasks.iter().zip(&run.cells) {
        for (length, cell) in test.lengths.iter().zip(row) {
            let mut figures = json!({
                "length": length,
                "trials": cell.trials,
                "found": cell.found(),
                "tokens_right": cell.tokens_right(),
                "mean_nll": cell.mean_nll(),
            });
            match task {
                Task::Single { depth, .. } => figures["depth"] = json!(depth),
                Task::Chain { hops, .. } => figures["hops"] = json!(hops),
            }
            cells.push(figures);
        }
    }
    let seconds = run.duration.as_secs_f64();
    json!({
        "cache": run.cache.to_string(),
        "found": run.found(),
        "cells": cells,
        "tokens": run.tokens,
        "seconds": seconds,
        "tokens_per_second": run.tokens as f64 / seconds.max(1e-9),
    })
}

fn summary(loaded: &Loaded, run: &Run, complete: bool) -> String {
    let found = run.found().map_or("-".into(), |found| format!("{found:.4}"));
    format!(
        "glass: cache {}: found {found} in {} haystacks, {} tokens at {:.1}/s{}, {}",
        run.cache,
        run.trials(),
        run.tokens,
        run.tokens as f64 / run.duration.as_secs_f64().max(1e-9),
        if complete { "" } else { " (interrupted)" },
        loaded.summary(),
    )
}
