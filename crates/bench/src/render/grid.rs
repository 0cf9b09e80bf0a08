//! A table before it has a format.

/// What stands above a column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub head: &'static str,
    /// Empty for names and for numbers without one.
    pub unit: &'static str,
}

/// Whether a line counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    #[default]
    Counts,
    /// It is struck out, and shows why.
    Failed(String),
    /// It has no numbers: this stands in their place.
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
    /// How many columns at the left identify a line: an error never replaces them.
    pub names: usize,
    pub lines: Vec<Line>,
    /// Below the table.
    pub notes: Vec<String>,
}

/// A text without line breaks and other control characters, so that none of it controls the terminal.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
