use std::io;

use plotters::drawing::DrawingAreaErrorKind;
use thiserror::Error;

use crate::curves::MOST_SERIES;

/// Why there is no picture: one line each.
#[derive(Debug, Error)]
pub enum PlotError {
    #[error("the picture could not be drawn: {0}")]
    Drawing(#[from] DrawingAreaErrorKind<io::Error>),
    #[error(
        "{given} curves cannot be told apart in one picture: draw at most {MOST_SERIES} at once"
    )]
    TooManySeries { given: usize },
    #[error(
        "heat map \"{title}\": its values have {found}, but {named} are named: give one value (or none) for each cell"
    )]
    Shape {
        title: String,
        found: String,
        named: String,
    },
    #[error(
        "heat map \"{title}\": {value} in row \"{row}\", column \"{column}\" is no share: give values from 0 to 1"
    )]
    NoShare {
        title: String,
        row: String,
        column: String,
        value: f64,
    },
}
