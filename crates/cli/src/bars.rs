//! Progress bars on standard error; indicatif draws none where that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

pub fn bytes(what: &str) -> ProgressBar {
    bar(what, "{bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
}

pub fn tokens(what: &str) -> ProgressBar {
    bar(what, "{pos} of {len} tokens, {per_sec}, {eta} left")
}

pub fn prompts(what: &str) -> ProgressBar {
    bar(what, "{pos} of {len} prompts, {eta} left")
}

fn bar(what: &str, numbers: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {numbers}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(what.to_owned())
}
