//! A text, shown while it is generated.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use glass_generate::{GenerateOptions, Generated, Llama, Progress};
use indicatif::ProgressBar;

use crate::{
    bars,
    error::CliError,
    interrupt,
    terminal::{Silence, Stream},
    wrap::Wrap,
};

/// Generates a text, perhaps with a draft model, and writes it to `out` as soon as it is final; ids where there is no tokenizer. Ctrl-C ends it.
pub fn generate(
    llama: &Llama,
    draft: Option<&Llama>,
    ids: &[u32],
    options: &GenerateOptions,
    out: &mut dyn Write,
) -> Result<Generated, CliError> {
    interrupt::listen();
    let _silence = Silence::begin();
    let mut text = TextStream::new(llama.tokenizer.is_some(), out);
    let progress = &mut |now: Progress<'_>| text.show(now);
    let generated = match draft {
        Some(draft) => glass_generate::generate_with_draft(llama, draft, ids, options, progress),
        None => glass_generate::generate(llama, ids, options, progress),
    };
    let mid_line = text.is_mid_line();
    text.end()?;
    if generated.is_err() && mid_line {
        writeln!(out).map_err(CliError::stdout)?; // the error has a line of its own
    }
    Ok(generated?)
}

/// Why a text ended at its limit, as advice.
pub fn cut_off(generated: &Generated, llama: &Llama) -> &'static str {
    if generated.prompt_tokens + generated.ids.len() > llama.config.context() {
        "the context is full"
    } else {
        "--max-new-tokens allows more"
    }
}

/// Writes text as soon as it is final, and draws how far a long prompt is read.
pub struct TextStream<'o> {
    /// Without a tokenizer there are ids alone.
    has_text: bool,
    out: &'o mut dyn Write,
    bar: Option<ProgressBar>,
    wrap: Option<Wrap>,
    /// What was written last does not end a line.
    mid_line: bool,
    failed: Option<CliError>,
}

impl<'o> TextStream<'o> {
    pub fn new(has_text: bool, out: &'o mut dyn Write) -> Self {
        Self { has_text, out, bar: None, wrap: None, mid_line: false, failed: None }
    }

    /// In lines that fit the terminal and break between words, if standard output, which `out` must be, is one.
    pub fn wrapped(mut self) -> Self {
        self.wrap = Stream::Out.is_terminal().then(Wrap::default);
        self
    }

    /// Whether something follows on the same line.
    pub fn is_mid_line(&self) -> bool {
        self.mid_line
    }

    /// Breaks on Ctrl-C, and where the text cannot be written.
    pub fn show(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        match progress {
            Progress::Prompt { done, total } if done < total => {
                let bar = self.bar.get_or_insert_with(|| bars::tokens("reading the prompt"));
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Progress::Prompt { .. } => self.clear(),
            Progress::Text { id, text, .. } => {
                let written = match (self.has_text, id) {
                    (true, _) => self.write(text),
                    (false, Some(id)) => write!(self.out, "{id} "),
                    (false, None) => Ok(()),
                };
                if let Err(error) = written.and_then(|()| self.out.flush()) {
                    self.failed = Some(CliError::stdout(error));
                }
            }
            Progress::Forgotten(_) | Progress::Pass | Progress::Searched(_) => {}
        }
        if self.failed.is_some() {
            return ControlFlow::Break(());
        }
        interrupt::flow()
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        match &mut self.wrap {
            Some(wrap) => {
                let lines = wrap.push(text, Stream::Out.columns().unwrap_or(usize::MAX));
                self.mid_line = wrap.is_mid_line();
                self.out.write_all(lines.as_bytes())
            }
            None => {
                self.mid_line = if text.is_empty() { self.mid_line } else { !text.ends_with('\n') };
                self.out.write_all(text.as_bytes())
            }
        }
    }

    /// # Errors
    /// What could not be written.
    pub fn end(mut self) -> Result<(), CliError> {
        self.clear();
        self.failed.take().map_or(Ok(()), Err)
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
