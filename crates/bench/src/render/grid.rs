//! A table before it has a format.

/// What stands above a column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub head: &'static str,
    /// Of its numbers; empty for names and for what has none.
    pub unit: &'static str,
}

/// Whether a line counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    #[default]
    Counts,
    /// It is struck out, and says why.
    Failed(String),
    /// There are no numbers: this stands in their place.
    Error(String),
}

#[derive(Clone, Debug, Default)]
pub struct Line {
    /// One for each column.
    pub cells: Vec<String>,
    pub mark: Mark,
}

#[derive(Clone, Debug, Default)]
pub struct Grid {
    pub title: String,
    pub columns: Vec<Column>,
    /// So many columns at the left say which row it is: they are never replaced by an error.
    pub names: usize,
    pub lines: Vec<Line>,
    /// Remarks below.
    pub notes: Vec<String>,
}

/// Without line breaks and other control characters, so that a line stays one line and no text steers the terminal.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
