//! `glass batch`: a file of prompts, several at a time.

mod input;
mod output;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use glass_generate::{BatchRow, FinishReason, GenerateOptions, Generated, Progress, SamplingError, generate_batch};
use glass_text::Tokenizer;
use indicatif::ProgressBar;
use input::{BadLine, Line};
use output::{Output, State};
use serde_json::{Map, Value, json};

use crate::{
    args, bars,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    logprobs, options,
    output::{check_input, check_model},
    prompt,
    say::{one_line, say, status, warn},
};

pub fn run(args: args::Batch) -> Result<(), CliError> {
    args.decoding.sampling.validate()?; // before the model is loaded
    let lines = input::read(&args.prompts)?;
    if let Some(output) = &args.output {
        check_input(output, Some(&args.prompts), "the prompts are")?;
        check_model(output, Some(&args.model.source.model))?;
    }
    let all = lines.len();
    let output = Output::open(args.output.as_deref(), args.overwrite.existing())?;
    let mut refused = Refused { path: args.prompts.clone(), count: 0 };
    let todo = todo(lines, &output, &mut refused);
    let before = all - refused.count - todo.len();
    if todo.is_empty() {
        status!("glass: {before} of {all} prompts were done before, and none is left to do");
    } else {
        let loaded = load::load(&args.model, &args.compute)?;
        let texts = todo.iter().filter_map(|line| line.prompt.text());
        prompt::warn_unknown(loaded.llama.tokenizer.as_ref(), texts)?;
        let mut run = Run {
            args: &args,
            options: GenerateOptions { score: true, ..options::decoding(&args.decoding, &loaded.llama, 0)? },
            loaded: &loaded,
            output,
            refused,
            bar: bars::prompts("writing"),
            done: 0,
            new_tokens: 0,
        };
        let start = Instant::now();
        let outcome = run.all(&todo);
        status!("{}", run.summary(before, start.elapsed()));
        outcome?;
        refused = run.refused;
    }
    match refused.count {
        0 => Ok(()),
        bad => Err(CliError::Prompts { bad, all }),
    }
}

/// The lines whose prompts the output does not have yet.
fn todo(lines: Vec<Result<Line, BadLine>>, output: &Output, refused: &mut Refused) -> Vec<Line> {
    let mut todo = Vec::new();
    for line in lines {
        match line {
            Err(line) => refused.add(line.number, &line.reason),
            Ok(line) => match output.state(&line) {
                State::Open => todo.push(line),
                State::Done => {}
                State::Conflict(reason) => refused.add(line.number, &reason),
            },
        }
    }
    todo
}

/// Lines that are not continued, or not to the end: each is reported, and stops no other.
struct Refused {
    path: PathBuf,
    count: usize,
}

impl Refused {
    fn add(&mut self, line: usize, reason: &str) {
        self.count += 1;
        let reason = one_line(reason);
        say!("glass: error: {}: line {line}: {reason}", self.path.display());
    }
}

struct Run<'a> {
    args: &'a args::Batch,
    loaded: &'a Loaded,
    /// Those of every prompt, but for the limit of new tokens.
    options: GenerateOptions,
    output: Output,
    refused: Refused,
    bar: ProgressBar,
    /// Prompts that were continued.
    done: usize,
    new_tokens: usize,
}

impl Run<'_> {
    /// Continues all prompts, up to `--batch` at a time, and writes their texts in the order of the input.
    ///
    /// # Errors
    /// Ctrl-C; the output cannot be written; the device fails. What was done until then is written.
    fn all(&mut self, lines: &[Line]) -> Result<(), CliError> {
        interrupt::listen();
        let mut ready = Vec::new();
        for line in lines {
            match self.prepare(line) {
                Ok((ids, options)) => ready.push((line, ids, options)),
                Err(error) => self.refuse(line, &error.to_string()),
            }
        }
        self.bar.set_length(ready.len() as u64);
        let outcome = self.ready(&ready);
        self.bar.finish_and_clear();
        outcome
    }

    fn ready(&mut self, ready: &[(&Line, Vec<u32>, GenerateOptions)]) -> Result<(), CliError> {
        let rows = ready.iter().map(|(_, prompt, options)| BatchRow { prompt, options });
        let mut batch = generate_batch(&self.loaded.llama, rows, self.args.batch);
        // Texts that ended before an earlier one.
        let mut waiting = BTreeMap::new();
        let (mut next, mut tokens) = (0, 0);
        let bar = self.bar.clone();
        let mut progress = |progress: Progress<'_>| {
            tokens += usize::from(matches!(progress, Progress::Text { id: Some(_), .. }));
            show(&bar, progress, tokens);
            interrupt::flow()
        };
        let outcome = loop {
            match batch.next(&mut progress) {
                Ok(Some((index, result))) => {
                    waiting.insert(index, result);
                    self.bar.inc(1);
                }
                Ok(None) => break interrupt::outcome(interrupt::requested()),
                Err(error) => break Err(error.into()),
            }
            while let Some(result) = waiting.remove(&next) {
                self.end(ready[next].0, result)?;
                next += 1;
            }
        };
        // Of a run that was broken off.
        for (index, result) in waiting {
            self.end(ready[index].0, result)?;
        }
        outcome
    }

    /// Writes a text that has ended. One that was interrupted is not written, so that the next run does it again.
    fn end(&mut self, line: &Line, result: Result<Generated, glass_generate::Error>) -> Result<(), CliError> {
        match result {
            Ok(out) if out.finish_reason == FinishReason::Interrupted => {}
            Ok(out) => {
                self.output.write(&row(line, &out, self.loaded.llama.tokenizer.as_ref()))?;
                self.done += 1;
                self.new_tokens += out.ids.len();
                if out.finish_reason == FinishReason::NoToken {
                    self.refuse(line, &SamplingError::NothingLeft.to_string());
                }
            }
            Err(error) => self.refuse(line, &error.to_string()),
        }
        Ok(())
    }

    /// The ids of a prompt, and its options.
    fn prepare(&self, line: &Line) -> Result<(Vec<u32>, GenerateOptions), CliError> {
        let llama = &self.loaded.llama;
        let ids = line.prompt.ids(llama)?;
        let length = &self.args.decoding.length;
        let (max_new_tokens, warning) = options::max_new_tokens(length, llama, ids.len())?;
        if let Some(warning) = warning {
            self.bar.suspend(|| warn([format!("line {}: {warning}", line.number)]));
        }
        let options = GenerateOptions { max_new_tokens, ..self.options.clone() };
        Ok((ids, options))
    }

    fn refuse(&mut self, line: &Line, reason: &str) {
        self.bar.suspend(|| self.refused.add(line.number, reason));
    }

    fn summary(&self, before: usize, duration: Duration) -> String {
        let before = match before {
            0 => String::new(),
            before => format!(" ({before} were done before)"),
        };
        format!(
            "glass: {} prompts{before}, {} new tokens at {:.1}/s, {}",
            self.done,
            self.new_tokens,
            self.new_tokens as f64 / duration.as_secs_f64().max(1e-9),
            self.loaded.summary(),
        )
    }
}

/// `tokens` were written so far.
fn show(bar: &ProgressBar, progress: Progress<'_>, tokens: usize) {
    bar.set_message(match progress {
        Progress::Prompt { done, total } => format!("reading ({done} of {total} tokens)"),
        _ => format!("writing ({tokens} tokens)"),
    });
    bar.tick();
}

/// A line of the output.
fn row(line: &Line, out: &Generated, tokenizer: Option<&Tokenizer>) -> Value {
    let mut fields = Map::new();
    fields.insert("id".into(), line.id.clone());
    let (name, prompt) = line.field();
    fields.insert(name.into(), prompt);
    fields.insert("text".into(), json!(out.text));
    fields.insert("ids".into(), json!(out.ids));
    fields.insert("score".into(), json!(out.score));
    fields.insert("finish_reason".into(), json!(out.finish_reason.to_string()));
    if let Some(logprobs) = &out.logprobs {
        fields.insert("logprobs".into(), logprobs::json(logprobs, tokenizer));
    }
    Value::Object(fields)
}
