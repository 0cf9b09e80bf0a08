//! `glass eval needle`: what a model can retrieve from a long text.

mod show;

use std::{
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

use glass_eval::{EvalError, FillerTokens, NeedleProgress, NeedleScore, NeedleTest, Task, WordTest};
use glass_generate::{Llama, PrefillOptions};
use glass_kv_cache::CacheConfig;
use glass_text::ChatTemplate;
use serde_json::{Value, json};

use super::{prefills, read_text};
use crate::{
    args::{self, Mode},
    bars,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    output::{OutputFile, check_input, check_model},
    say::{print_line, status, warn},
};

const DEPTHS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
const HOPS: [NonZeroUsize; 3] = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap(), NonZeroUsize::new(4).unwrap()];
const KEY: NonZeroUsize = NonZeroUsize::new(4).unwrap();
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

/// What is searched.
enum Search {
    Tokens(NeedleTest, FillerTokens),
    Words(WordTest, Box<ChatTemplate>),
}

pub fn run(args: args::Needle) -> Result<(), CliError> {
    // What can be refused without the model is refused before it is loaded.
    let tasks = tasks(&args)?;
    for task in &tasks {
        for length in &args.length {
            task.room(length.get(), 0).map_err(EvalError::from)?;
        }
    }
    let text = args.haystack.as_deref().map(read_text).transpose()?;
    if let Some(plot) = &args.plot {
        check_input(plot, args.haystack.as_deref(), "the haystack is")?;
        check_input(plot, args.chat_template.as_deref(), "the chat template is")?;
        check_model(plot, Some(&args.model.source.model))?;
    }
    let picture = OutputFile::wanted(args.plot.as_deref(), &args.overwrite)?;
    let device = load::device(&args.compute)?;
    let files = load::files(&args.model.source)?;
    let template = match args.mode {
        Mode::Words => Some(match &args.chat_template {
            Some(file) => files.chat_template_of(file)?,
            None => files.chat_template()?,
        }),
        Mode::Single | Mode::Chain => None,
    };
    let loaded = load::load_files(&files, &args.model.overrides, device, &args.compute)?;
    let llama = &loaded.llama;
    let search = search(&args, tasks, text, template, llama)?;
    let longest = args.length.iter().max().map_or(0, |length| length.get());
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
        runs.push(measure(llama, &search, prefill)?);
    }
    let rows = search.rows();
    let trials = args.trials.get() * rows.len() * args.length.len();
    let complete = runs.iter().all(|run| run.trials() == trials);
    let shown = show::Shown { args: &args, rows: &rows, runs: &runs, model: llama.folder.file_name().map(Path::new) };
    let any = runs.iter().any(|run| run.trials() > 0);
    if any && args.json {
        print_line(report(&args, &rows, &loaded, &runs, complete))?;
    } else if any {
        print_line(shown.tables())?;
    }
    for run in &runs {
        status!("{}", summary(&loaded, run, complete));
    }
    // Last, so that what was measured is told even if the picture cannot be written.
    if let Some(picture) = picture.filter(|_| any) {
        picture.write(shown.plot()?.as_bytes())?;
    }
    interrupt::outcome(!complete)
}

fn search(
    args: &args::Needle,
    tasks: Vec<Task>,
    text: Option<String>,
    template: Option<ChatTemplate>,
    llama: &Llama,
) -> Result<Search, CliError> {
    let (lengths, trials, seed) = (args.length.clone(), args.trials, args.seed);
    Ok(match template {
        Some(template) => {
            let sentences = text.as_deref().map(WordTest::sentences_of);
            Search::Words(
                WordTest { depths: depths(args).to_vec(), lengths, trials, seed, sentences },
                Box::new(template),
            )
        }
        None => {
            let filler = FillerTokens::new(llama, text.as_deref())?;
            let test = NeedleTest { tasks, lengths, trials, seed };
            test.check(&filler)?;
            Search::Tokens(test, filler)
        }
    })
}

impl Search {
    /// What the rows of the table are: their name in JSON, and each value.
    fn rows(&self) -> Rows {
        let (what, values) = match self {
            Self::Words(test, _) => ("depth", test.depths.iter().map(|depth| json!(depth)).collect()),
            Self::Tokens(test, _) => {
                let is_chain = matches!(test.tasks.first(), Some(Task::Chain { .. }));
                let value = |task: &Task| match task {
                    Task::Single { depth, .. } => json!(depth),
                    Task::Chain { hops, .. } => json!(hops),
                };
                (if is_chain { "hops" } else { "depth" }, test.tasks.iter().map(value).collect())
            }
        };
        Rows { what, values }
    }
}

/// The rows of the table.
pub struct Rows {
    what: &'static str,
    values: Vec<Value>,
}

impl Rows {
    fn len(&self) -> usize {
        self.values.len()
    }
}

fn depths(args: &args::Needle) -> &[f64] {
    if args.depth.is_empty() { &DEPTHS } else { &args.depth }
}

/// What is hidden in tokens; nothing, if it is hidden in words.
fn tasks(args: &args::Needle) -> Result<Vec<Task>, CliError> {
    let key = args.key.unwrap_or(KEY);
    let refuse = |option: &str, mode: &str, instead: &str| {
        Err(CliError::Usage(format!("{option} has no meaning with --mode {mode}: {instead}")))
    };
    match args.mode {
        Mode::Single | Mode::Chain if args.chat_template.is_some() => {
            refuse("--chat-template", "single or chain", "tokens need none (take --mode words)")
        }
        Mode::Single if !args.hops.is_empty() => refuse("--hops", "single", "leave it out, or take --mode chain"),
        Mode::Chain if !args.depth.is_empty() => {
            refuse("--depth", "chain", "its links stand at places drawn by chance (leave it out)")
        }
        Mode::Chain if args.value.is_some() => refuse("--value", "chain", "the answers are keys (use --key)"),
        Mode::Words if !args.hops.is_empty() => refuse("--hops", "words", "leave it out, or take --mode chain"),
        Mode::Words if args.key.or(args.value).is_some() => {
            refuse("--key or --value", "words", "what is hidden is a sentence (leave it out)")
        }
        Mode::Single => {
            let value = args.value.unwrap_or(VALUE);
            let task = |&depth| Task::Single { key, value, depth };
            Ok(depths(args).iter().map(task).collect())
        }
        Mode::Chain => {
            let hops = if args.hops.is_empty() { &HOPS[..] } else { &args.hops };
            Ok(hops.iter().map(|&hops| Task::Chain { key, hops }).collect())
        }
        Mode::Words => Ok(Vec::new()),
    }
}

fn measure(llama: &Llama, search: &Search, prefill: PrefillOptions) -> Result<Run, CliError> {
    let bar = bars::tokens("searching");
    let start = Instant::now();
    let mut tokens = 0;
    let progress = &mut |now: NeedleProgress| {
        tokens = now.tokens;
        bar.set_length(now.total as u64);
        bar.set_position(now.tokens as u64);
        if let Some(found) = now.found {
            bar.set_message(format!("{}, found {found:.4}", prefill.cache));
        }
        interrupt::flow()
    };
    let cells = match search {
        Search::Tokens(test, filler) => test.run(llama, filler, prefill, progress),
        Search::Words(test, template) => test.run(llama, template, prefill, progress),
    };
    bar.finish_and_clear();
    Ok(Run { cache: prefill.cache, cells: cells?, tokens, duration: start.elapsed() })
}

fn report(args: &args::Needle, rows: &Rows, loaded: &Loaded, runs: &[Run], complete: bool) -> Value {
    let key = (args.mode != Mode::Words).then_some(args.key.unwrap_or(KEY));
    let value = (args.mode == Mode::Single).then_some(args.value.unwrap_or(VALUE));
    let mut report = json!({
        "mode": match args.mode {
            Mode::Single => "single",
            Mode::Chain => "chain",
            Mode::Words => "words",
        },
        "key": key,
        "value": value,
        "trials": args.trials,
        "seed": args.seed,
        "haystack": args.haystack,
        "runs": runs.iter().map(|run| figures(args, rows, run)).collect::<Vec<_>>(),
        "interrupted": !complete,
    });
    loaded.complete(&mut report);
    report
}

fn figures(args: &args::Needle, rows: &Rows, run: &Run) -> Value {
    let mut cells = Vec::new();
    for (value, row) in rows.values.iter().zip(&run.cells) {
        for (length, cell) in args.length.iter().zip(row) {
            let mut figures = json!({
                "length": length,
                "trials": cell.trials,
                "found": cell.found(),
                "tokens_right": cell.tokens_right(),
                "mean_nll": cell.mean_nll(),
            });
            figures[rows.what] = value.clone();
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
