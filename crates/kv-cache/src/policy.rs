//! What each layer keeps of the past, by name.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use glass_backend::KvDtype;
use thiserror::Error;

use crate::Window;

/// What one layer keeps of a sequence. A state takes `2 * kv_heads * head_dim * bytes per value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CachePolicy {
    /// Everything: a state per token, and up to as much again as unused capacity. A sliding layer still sees no more than its
    /// window.
    Full,
    /// The last W states: Beltagy et al. 2020, arXiv:2004.05150; as a rolling buffer, Jiang et al.
    /// 2023, arXiv:2310.06825. `None`: the W of the layer's own window.
    Ring { window: Option<NonZeroUsize> },
    /// The first S tokens and the last W: StreamingLLM, Xiao et al. 2023, arXiv:2309.17453. S + W states.
    StreamingLlm { sinks: NonZeroUsize, window: NonZeroUsize },
    /// The N states that were not dropped: when there is one more, the one that the newest query attends to least, over
    /// all heads of the layer, goes. TOVA, Oren et al. 2024, arXiv:2401.06104. N + 1 states.
    Tova { states: NonZeroUsize },
}

/// Larger than any context, and small enough that sums of two are numbers.
const MAX: usize = 1 << 20;

/// A text that is no policy, or a policy that does not fit a model: one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CachePolicyError {
    #[error(
        "{text:?} is no cache policy: use full, ring, ring:W, sinks:S+W or tova:N (whole numbers from 1 to 1048576), for \
         layers of one kind as full=POLICY or sliding=POLICY"
    )]
    Unknown { text: String },
    #[error("keys and values are not kept in {text:?}: use dtype=f32, dtype=f16, dtype=bf16 or dtype=q8")]
    UnknownDtype { text: String },
    #[error("cache dtype {dtype}: the model has no attention layers, and so no keys and values")]
    NoKeys { dtype: KvDtype },
    #[error("cache policy {policy}: the model has no {kind} layers")]
    NoSuchLayers { policy: CachePolicy, kind: &'static str },
    #[error("cache policy {policy}: the layers' own window is {own}, less than {window}: give at most {own}")]
    BeyondWindow { policy: CachePolicy, window: usize, own: usize },
    #[error(
        "cache policy {policy}: rope type {rope} turns by angles that depend on the length, and this policy on distances \
         alone: use full, ring or tova"
    )]
    Rope { policy: CachePolicy, rope: &'static str },
    #[error(
        "cache policy {policy}: dual chunk attention measures from another place in each chunk, and so keeps keys in their \
         order: use full"
    )]
    DualChunk { policy: CachePolicy },
}

impl FromStr for CachePolicy {
    type Err = CachePolicyError;

    fn from_str(text: &str) -> Result<Self, CachePolicyError> {
        let unknown = || CachePolicyError::Unknown { text: text.to_owned() };
        let number = |digits: &str| match digits.parse::<NonZeroUsize>() {
            Ok(number) if number.get() <= MAX => Ok(number),
            _ => Err(unknown()),
        };
        let (name, numbers) = match text.split_once(':') {
            Some((name, numbers)) => (name, Some(numbers)),
            None => (text, None),
        };
        match (name, numbers) {
            ("full", None) => Ok(Self::Full),
            ("ring", None) => Ok(Self::Ring { window: None }),
            ("ring", Some(w)) => Ok(Self::Ring { window: Some(number(w)?) }),
            ("sinks", Some(numbers)) => {
                let (sinks, window) = numbers.split_once('+').ok_or_else(unknown)?;
                Ok(Self::StreamingLlm { sinks: number(sinks)?, window: number(window)? })
            }
            ("tova", Some(n)) => Ok(Self::Tova { states: number(n)? }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for CachePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "full"),
            Self::Ring { window: None } => write!(f, "ring"),
            Self::Ring { window: Some(w) } => write!(f, "ring:{w}"),
            Self::StreamingLlm { sinks, window } => write!(f, "sinks:{sinks}+{window}"),
            Self::Tova { states } => write!(f, "tova:{states}"),
        }
    }
}

impl CachePolicy {
    /// What the queries of a layer whose own window is `own` see under it, if that is a window.
    pub(crate) fn window(self, own: Window) -> Window {
        match self {
            Self::Ring { window: Some(w) } | Self::StreamingLlm { window: w, .. } => own.min(Window::Last(w)),
            Self::Full | Self::Ring { window: None } | Self::Tova { .. } => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["full", "ring", "ring:64", "sinks:4+60", "tova:512"] {
            assert_eq!(text.parse::<CachePolicy>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Full",
            "full:3",
            "ring:",
            "ring:0",
            "ring:-1",
            "sinks",
            "sinks:4",
            "sinks:0+4",
            "sinks:4+0",
            "sinks:4+4+4",
            "tova",
            "tova:0",
            "tova:x",
            "h2o:4",
            "tova:1048577",
            "tova:99999999999999999999",
        ] {
            let error = text.parse::<CachePolicy>().unwrap_err().to_string();
            assert!(error.contains("sinks:S+W") && !error.contains('\n'), "{error}");
        }
    }
}
