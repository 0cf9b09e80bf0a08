//! The README, the pages under docs/ and the model cards, held to the code: names exist, links resolve, quoted commands print
//! what is quoted, quoted code and line counts are true.
//!
//! With `GLASS_DOCS=write` the tests write the pages anew: quoted output that differs, line counts, the picture.

mod code;
mod commands;
#[cfg(unix)]
mod console;
mod links;
mod names;
mod page;
#[cfg(unix)]
mod picture;
#[cfg(unix)]
mod printed;

pub use commands::flags;

use std::{
    env,
    path::{Path, PathBuf},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Fails with all faults at once.
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Whether the pages are to be written anew.
fn writes() -> bool {
    env::var("GLASS_DOCS").is_ok_and(|value| value == "write")
}
