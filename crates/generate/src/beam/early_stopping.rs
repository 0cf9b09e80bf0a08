use std::{fmt, str::FromStr};

use super::BeamError;

/// When a search is over that has finished as many sequences as it has beams. Before that it never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyStopping {
    /// `true`: at once.
    AtOnce,
    /// `false`: when the best beam, if it ended here, would not be better than the worst that is finished. With a length
    /// penalty above 0 that is a guess: going on may still improve it.
    #[default]
    Hopeless,
    /// `never`: when the best beam cannot become better than the worst that is finished, however it goes on.
    Never,
}

impl FromStr for EarlyStopping {
    type Err = BeamError;

    fn from_str(text: &str) -> Result<Self, BeamError> {
        match text {
            "true" => Ok(Self::AtOnce),
            "false" => Ok(Self::Hopeless),
            "never" => Ok(Self::Never),
            _ => Err(BeamError::EarlyStopping { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for EarlyStopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "true",
            Self::Hopeless => "false",
            Self::Never => "never",
        })
    }
}
