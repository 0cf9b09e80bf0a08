//! `glass generate --batch`: a file of prompts, some of them at a time.

mod input;
mod output;

use std::{
    cell::Cell,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use glass_generate::{Advance, BatchRow, FinishReason, GenerateOptions, Generated, Llama, Memory};
use glass_text::Tokenizer;
use indicatif::ProgressBar;
use input::Prompt;
use output::{Output, State};
use serde_json::{Map, Value, json};

use super::{check_stop_strings, logprobs, options, warn_of_chance_without_effect};
use crate::{
    args,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    prompt,
    say::say,
};

pub fn run(args: &args::Generate, size: NonZeroUsize) -> Result<(), CliError> {
    let Some(path) = &args.prompt.prompt_file else {
        return Err(CliError::Usage("--batch needs --prompt-file FILE".into()));
    };
    if args.prompt_lookup.is_some() {
        return Err(CliError::Usage(
            "--prompt-lookup guesses for one text: leave it out, or leave --batch out".into(),
        ));
    }
    let rows = input::read(path)?;
    let all = rows.len();
    let output = Output::open(args.batch.output.as_deref())?;
    let bad = Cell::new(0);
    let refuse = |line: usize, reason: &str| {
        bad.set(bad.get() + 1);
        let reason = crate::one_line(reason);
        say!("glass: error: {}: line {line}: {reason}", path.display());
    };
    let mut todo = Vec::new();
    for row in rows {
        match row {
            Err(row) => refuse(row.line, &row.reason),
            Ok(row) => match output.state(&row) {
                State::Open => todo.push(row),
                State::Done => {}
                State::Other(reason) => refuse(row.line, &reason),
            },
        }
    }
    let mut counts = Counts {
        before: all - bad.get() - todo.len(),
        ..Counts::default()
    };
    if !todo.is_empty() {
        let loaded = load::load(&args.model, &args.compute)?;
        let run = Run::start(args, loaded, output, todo.len())?;
        run.all(&todo, size, &mut counts, &refuse)?;
    } else {
        say!(
            "glass: {} of {all} prompts were done before, and none is left to do",
            counts.before
        );
    }
    match bad.get() {
        0 => Ok(()),
        bad => Err(CliError::Prompts { bad, all }),
    }
}

#[derive(Default)]
struct Counts {
    /// Prompts that an earlier run has done.
    before: usize,
    done: usize,
    tokens: usize,
}

struct Run<'a> {
    args: &'a args::Generate,
    loaded: Loaded,
    output: Output,
    memory: Memory,
    bar: ProgressBar,
}

impl<'a> Run<'a> {
    fn start(
        args: &'a args::Generate,
        loaded: Loaded,
        output: Output,
        prompts: usize,
    ) -> Result<Self, CliError> {
        let llama = &loaded.llama;
        check_stop_strings(args, llama)?;
        let memory = load::memory(args.cache.unwrap_or_default(), args.prefill_chunk, llama, 0)?;
        let sampling = super::sampling(llama, &args.sampling);
        warn_of_chance_without_effect(&args.sampling, &sampling);
        interrupt::listen();
        let bar = load::prompts_bar("writing");
        bar.set_length(prompts as u64);
        Ok(Self {
            args,
            loaded,
            output,
            memory,
            bar,
        })
    }

    /// All prompts, `size` at a time. Each batch is written when it is done.
    fn all(
        mut self,
        todo: &[Prompt],
        size: NonZeroUsize,
        counts: &mut Counts,
        refuse: &dyn Fn(usize, &str),
    ) -> Result<(), CliError> {
        let start = Instant::now();
        let mut outcome = Ok(());
        for some in todo.chunks(size.get()) {
            outcome = self.some(some, counts, refuse);
            if outcome.is_err() {
                break;
            }
        }
        self.bar.finish_and_clear();
        say!("{}", summary(&self.loaded, counts, start.elapsed()));
        outcome
    }

    fn some(
        &mut self,
        prompts: &[Prompt],
        counts: &mut Counts,
        refuse: &dyn Fn(usize, &str),
    ) -> Result<(), CliError> {
        let mut ready = Vec::new();
        for prompt in prompts {
            match self.ready(prompt) {
                Ok((ids, options)) => ready.push((prompt, ids, options)),
                Err(error) => self.bar.suspend(|| refuse(prompt.line, &error.to_string())),
            }
        }
        let rows: Vec<BatchRow<'_>> = ready
            .iter()
            .map(|(_, prompt, options)| BatchRow { prompt, options })
            .collect();
        let bar = &self.bar;
        let results = self.loaded.llama.generate_batch(&rows, &mut |advance| {
            show(bar, advance);
            interrupt::flow()
        })?;
        for ((prompt, ..), result) in ready.iter().zip(results) {
            match result {
                // What was broken off is done again.
                Ok(out) if out.finish_reason == FinishReason::Interrupted => continue,
                Ok(out) => {
                    let tokenizer = self.loaded.llama.tokenizer.as_ref();
                    self.output.write(&row(prompt, &out, tokenizer))?;
                    counts.done += 1;
                    counts.tokens += out.ids.len();
                }
                Err(error) => self.bar.suspend(|| refuse(prompt.line, &error.to_string())),
            }
        }
        self.bar.inc(prompts.len() as u64);
        match interrupt::asked() {
            true => Err(CliError::Interrupted),
            false => Ok(()),
        }
    }

    fn ready(&self, prompt: &Prompt) -> Result<(Vec<u32>, GenerateOptions), CliError> {
        let llama: &Llama = &self.loaded.llama;
        let ids = prompt::ids(&prompt.given, llama)?;
        let room = llama.room(ids.len())?;
        let options = options(self.args, llama, ids.len(), room, self.memory);
        if options.max_new_tokens > room {
            self.bar.suspend(|| {
                load::warn([format!(
                    "line {}: the model's context of {} tokens has room for {room} new ones, and what comes after them \
                     may be noise",
                    prompt.line,
                    llama.config.context()
                )]);
            });
        }
        Ok((ids, options))
    }
}

fn show(bar: &ProgressBar, advance: Advance) {
    bar.set_message(match advance {
        Advance::Prompt { done, total } => format!("reading ({done} of {total} tokens)"),
        Advance::Tokens(tokens) => format!("writing ({tokens} tokens)"),
    });
    bar.tick();
}

/// What is written of one text.
fn row(prompt: &Prompt, out: &Generated, tokenizer: Option<&Tokenizer>) -> Value {
    let mut fields = Map::new();
    fields.insert("id".into(), prompt.id.clone());
    let (name, given) = prompt.field();
    fields.insert(name.into(), given);
    fields.insert("text".into(), json!(out.text));
    fields.insert("ids".into(), json!(out.ids));
    fields.insert("score".into(), json!(out.score));
    fields.insert("finish_reason".into(), json!(out.finish_reason.to_string()));
    if let Some(logprobs) = &out.logprobs {
        fields.insert("logprobs".into(), logprobs::json(logprobs, tokenizer));
    }
    Value::Object(fields)
}

fn summary(loaded: &Loaded, counts: &Counts, took: Duration) -> String {
    let before = match counts.before {
        0 => String::new(),
        before => format!(" ({before} were done before)"),
    };
    format!(
        "glass: {} prompts{before}, {} new tokens at {:.1}/s, loaded in {:.2} s, device {}, {}",
        counts.done,
        counts.tokens,
        counts.tokens as f64 / took.as_secs_f64().max(1e-9),
        loaded.load.as_secs_f64(),
        loaded.llama.device.name(),
        loaded.llama.dtype,
    )
}
