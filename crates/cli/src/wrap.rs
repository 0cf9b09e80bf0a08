//! Lines of a width, broken between words while the text still comes.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const TAB: usize = 8;

/// Blanks at which no line ends.
const GLUE: [char; 3] = ['\u{a0}', '\u{2007}', '\u{202f}'];

/// What does not end a line of Chinese or Japanese, and what does not begin one.
const OPENING: &str = "([{<«‘“（［｛〈《「『【〔〖〘〝";
const CLOSING: &str =
    ")]}>»’”!?,.:;%！），．：；？］｝、。〉》」』】〕〗〙〟〜・ーァィゥェォッャュョヮぁぃぅぇぉっゃゅょゎ々ゝゞヽヾ…";

/// Where the cursor is, and the word before it.
///
/// A word is shown as it comes. One that reaches the end of its line is taken back and goes to the next. Between words are
/// blanks; Chinese and Japanese may break between any two characters, Korean has blanks.
#[derive(Debug, Default)]
pub struct Wrap {
    column: usize,
    /// What stands before the cursor and stays together.
    word: String,
}

impl Wrap {
    /// Whether there is something on the line.
    pub fn is_mid_line(&self) -> bool {
        self.column > 0
    }

    /// What to print for the next piece of the text, in lines of so many columns. Nothing in it steers the terminal but
    /// the line's own end.
    pub fn push(&mut self, text: &str, columns: usize) -> String {
        let mut out = String::new();
        for letter in text.chars() {
            match letter {
                '\n' => {
                    out.push('\n');
                    *self = Self::default();
                }
                '\r' => {}
                '\t' => self.blank(&" ".repeat(TAB - self.column % TAB), columns, &mut out),
                _ if letter.is_control() => {
                    letter.escape_default().for_each(|letter| self.letter(letter, columns, &mut out));
                }
                _ if letter.is_whitespace() && !GLUE.contains(&letter) => {
                    self.blank(letter.encode_utf8(&mut [0; 4]), columns, &mut out);
                }
                _ => self.letter(letter, columns, &mut out),
            }
        }
        out
    }

    /// At the end of a line there is no blank, and the next word begins another.
    fn blank(&mut self, blank: &str, columns: usize, out: &mut String) {
        self.word.clear();
        let end = self.column + blank.width();
        if end <= columns {
            out.push_str(blank);
        }
        self.column = end.min(columns);
    }

    fn letter(&mut self, letter: char, columns: usize, out: &mut String) {
        if self.word.chars().next_back().is_some_and(|last| parts(last, letter)) {
            self.word.clear();
        }
        if self.word.is_empty() && letter.width() == Some(0) {
            // It belongs to what stands before it, and stays there.
            return out.push(letter);
        }
        let start = self.column.saturating_sub(self.word.width());
        let shown = self.word.len();
        self.word.push(letter);
        let end = start + self.word.width();
        // A word that is longer than a line is cut, between two characters as they are read.
        let moved = match self.word.grapheme_indices(true).next_back() {
            Some((cut, _)) if start == 0 || self.word.width() > columns => cut,
            _ => 0,
        };
        if end <= columns || (start == 0 && moved == 0) {
            out.push(letter);
            self.column = end;
            return;
        }
        if let back @ 1.. = self.word[moved..shown].width() {
            out.push_str(&format!("\x1b[{back}D\x1b[K"));
        }
        self.word.drain(..moved);
        out.push('\n');
        out.push_str(&self.word);
        self.column = self.word.width();
    }
}

/// A whole text in lines of so many columns.
pub fn wrapped(text: &str, columns: usize) -> String {
    text.lines().map(|line| lines(line, columns)).collect::<Vec<_>>().join("\n")
}

/// Word by word, so that nothing is to be taken back.
fn lines(line: &str, columns: usize) -> String {
    let mut wrap = Wrap::default();
    let mut out = String::new();
    for word in line.split_inclusive(' ') {
        if wrap.column > 0 && wrap.column + word.trim_end().width() > columns {
            out.truncate(out.trim_end().len());
            out += &wrap.push("\n", columns);
        }
        out += &wrap.push(word, columns);
    }
    out
}

/// Whether a line may end between these two, without a blank.
fn parts(before: char, after: char) -> bool {
    (is_ideographic(before) || is_ideographic(after))
        && !OPENING.contains(before)
        && !CLOSING.contains(after)
        && after.width() != Some(0)
}

/// Han, kana and their punctuation; not Hangul, which is written in words.
fn is_ideographic(letter: char) -> bool {
    matches!(letter,
        '\u{2e80}'..='\u{312f}' | '\u{3190}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{ff01}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}
