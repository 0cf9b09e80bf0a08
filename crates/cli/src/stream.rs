//! A text, shown while it is generated.

use std::{io::Write, ops::ControlFlow};

use glass_generate::{GenerateOptions, Generated, Llama, Progress};
use indicatif::ProgressBar;

use crate::{bars, error::CliError, interrupt};

/// Generates a text, and writes it to `out` as soon as it is final; ids where there is no tokenizer. Ctrl-C ends it.
pub fn generate(
    llama: &Llama,
    ids: &[u32],
    options: &GenerateOptions,
    out: &mut dyn Write,
) -> Result<Generated, CliError> {
    interrupt::listen();
    let mut text = TextStream::new(llama.tokenizer.is_some(), out);
    let generated = glass_generate::generate(llama, ids, options, &mut |now| text.show(now))?;
    text.end()?;
    Ok(generated)
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
    failed: Option<CliError>,
}

impl<'o> TextStream<'o> {
    pub fn new(has_text: bool, out: &'o mut dyn Write) -> Self {
        Self { has_text, out, bar: None, failed: None }
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
                    (true, _) => self.out.write_all(text.as_bytes()),
                    (false, Some(id)) => write!(self.out, "{id} "),
                    (false, None) => Ok(()),
                };
                if let Err(error) = written.and_then(|()| self.out.flush()) {
                    self.failed = Some(CliError::stdout(error));
                }
            }
            Progress::Searched(_) => {}
        }
        if self.failed.is_some() {
            return ControlFlow::Break(());
        }
        interrupt::flow()
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
