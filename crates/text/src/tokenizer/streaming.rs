//! Streaming detokenization: text token by token, while a model generates.
//!
//! Tokens do not decode one by one: a token may end inside a character, and decoders treat the first token of a text
//! differently (SentencePiece drops its leading space). So the last few tokens are decoded together, and the new text is
//! what this has more than the last time. A window of recent tokens keeps the cost per token constant.

use std::{mem::replace, str::from_utf8};

use super::{
    Tokenizer, TokenizerError,
    clean_up::{clean_up, settled},
};

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Tokens kept as context. A character spans at most four tokens (one per byte), and one token with text shows the decoder
/// that the text has already begun.
const CONTEXT: usize = 8;

/// Unprinted bytes of a byte-fallback run at which its complete characters are printed before the run ends.
const MAX_HELD_RUN: usize = 32;

/// Prompt tokens that are decoded to find the state at the prompt's end.
const PROMPT_TAIL: usize = 64;

/// Turns generated ids into text that is final as soon as it is returned.
///
/// The concatenated text is `decode(prompt + generated)` without its prefix `decode(prompt)`. An incomplete character is
/// held until it is complete or invalid.
///
/// Byte-fallback tokens (`<0xE5>`) need more care: when any part of a run of them is not UTF-8, the decoder turns the whole
/// run into U+FFFD, one for each byte. So a run is held until it ends or is invalid. The one exception: a run of more than
/// 32 bytes is printed in parts, and characters already printed stay even if the run turns out invalid.
pub struct StreamingDetokenizer<'t> {
    tokenizer: &'t Tokenizer,
    skip_special: bool,
    /// The last tokens with text.
    window: Vec<u32>,
    /// The part of the window's text that has been returned or is the prompt's.
    printed: String,
    /// The unprinted bytes of the byte-fallback run at the window's end, one token each.
    run: Vec<u8>,
    /// The window ends in a run that cannot become UTF-8.
    invalid_run: bool,
    /// Text that is to be cleaned up together with what follows.
    unsettled: String,
}

impl<'t> StreamingDetokenizer<'t> {
    /// A detokenizer for the ids after `prompt`, which may be empty. `skip_special` as in [`Tokenizer::decode`].
    ///
    /// # Errors
    /// The tokenizer's decoder fails on the prompt.
    pub fn new(tokenizer: &'t Tokenizer, prompt: &[u32], skip_special: bool) -> Result<Self, TokenizerError> {
        let mut this = Self {
            tokenizer,
            skip_special,
            window: Vec::new(),
            printed: String::new(),
            run: Vec::new(),
            invalid_run: false,
            unsettled: String::new(),
        };
        for &id in &prompt[prompt.len().saturating_sub(PROMPT_TAIL)..] {
            this.push_as_is(id)?;
        }
        // No text of the prompt is returned, not even what a stream would still hold.
        this.printed = this.decode(&this.window)?;
        if from_utf8(&this.run).is_ok() {
            this.run.clear();
        }
        Ok(this)
    }

    /// Takes the next token. Returns the text that is final now, often empty.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        let fresh = self.push_as_is(id)?;
        if !self.tokenizer.cleans_up {
            return Ok(fresh);
        }
        self.unsettled.push_str(&fresh);
        let rest = self.unsettled.split_off(settled(&self.unsettled));
        Ok(clean_up(&replace(&mut self.unsettled, rest)))
    }

    fn push_as_is(&mut self, id: u32) -> Result<String, TokenizerError> {
        let Some(token) = self.tokenizer.visible_token(id, self.skip_special) else {
            return Ok(String::new());
        };
        match self.tokenizer.fallback_byte(&token) {
            None => self.push_text(id),
            // The window already holds an invalid byte: it need not grow.
            Some(_) if self.invalid_run => Ok(REPLACEMENT.to_string()),
            Some(byte) => self.push_byte(id, byte),
        }
    }

    /// The text still held when no token follows.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn finish(mut self) -> Result<String, TokenizerError> {
        let fresh = self.print(false)?;
        Ok(if self.tokenizer.cleans_up { clean_up(&(self.unsettled + &fresh)) } else { fresh })
    }

    fn push_text(&mut self, id: u32) -> Result<String, TokenizerError> {
        self.window.push(id);
        // U+FFFD at the end may be the first bytes of a character. Under byte fallback it is not: there the run holds
        // them.
        let fresh = self.print(!self.tokenizer.byte_fallback)?;
        self.run.clear();
        self.invalid_run = false;
        if self.window.len() > 2 * CONTEXT {
            self.shrink_window(CONTEXT)?;
        }
        Ok(fresh)
    }

    fn push_byte(&mut self, id: u32, byte: u8) -> Result<String, TokenizerError> {
        self.window.push(id);
        self.run.push(byte);
        match from_utf8(&self.run) {
            Ok(_) if self.run.len() < MAX_HELD_RUN => Ok(String::new()),
            Ok(_) => {
                let fresh = self.print(false)?;
                // The run continues, so the context must begin with a whole character.
                let continues = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
                let mut start = self.run.len() - CONTEXT;
                while start > 0 && continues(&self.run[start]) {
                    start -= 1;
                }
                self.shrink_window(self.run.len() - start)?;
                self.run.clear();
                Ok(fresh)
            }
            Err(error) if error.error_len().is_none() => Ok(String::new()),
            Err(error) => {
                let fresh = self.print(false)?;
                // The bytes from the first invalid one on make every continuation of the run invalid.
                let invalid = self.run.len() - error.valid_up_to();
                self.window.drain(..self.window.len() - invalid);
                self.printed = self.decode(&self.window)?;
                self.run.clear();
                self.invalid_run = true;
                Ok(fresh)
            }
        }
    }

    /// The window's text after `printed`; with `hold`, without a U+FFFD at its end.
    fn print(&mut self, hold: bool) -> Result<String, TokenizerError> {
        let mut text = self.decode(&self.window)?;
        let fresh = text
            .strip_prefix(&self.printed)
            // The prompt's last character was incomplete and is complete now.
            .or_else(|| text.strip_prefix(self.printed.trim_end_matches(REPLACEMENT)));
        let mut fresh = match fresh {
            Some(fresh) => fresh.to_owned(),
            // Printed characters of this run turned out invalid. They cannot be retracted: print the rest alone.
            None => {
                let unprinted = self.run.len().max(1);
                let start = self.window.len().saturating_sub(unprinted);
                self.decode(&self.window[start..])?
            }
        };
        if hold && fresh.ends_with(REPLACEMENT) {
            fresh.pop();
            text.pop();
        }
        self.printed = text;
        Ok(fresh)
    }

    /// Drops all but the last `keep` tokens of the window.
    fn shrink_window(&mut self, keep: usize) -> Result<(), TokenizerError> {
        let text = self.decode(&self.window)?;
        let held = text.get(self.printed.len()..).unwrap_or_default();
        let start = self.window.len() - keep;
        let kept = self.decode(&self.window[start..])?;
        // A shorter window without text would decode as the beginning of a text.
        if let Some(printed) = kept.strip_suffix(held)
            && !printed.is_empty()
        {
            self.printed = printed.to_owned();
            self.window.drain(..start);
        }
        Ok(())
    }

    fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.tokenizer.decode_as_is(ids, self.skip_special)
    }
}
