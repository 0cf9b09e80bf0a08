//! Quoted Rust is code of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    none,
    page::{files, pages},
    repository,
};

#[test]
fn quoted_rust_is_in_the_code() {
    let mut paths: Vec<PathBuf> = Vec::new();
    files(Path::new("crates"), "rs", &mut paths);
    let code: Vec<String> =
        paths.iter().map(|path| squeezed(&fs::read_to_string(repository().join(path)).expect("a file"))).collect();
    let mut faults = Vec::new();
    let mut quoted = 0;
    for page in pages() {
        for block in page.blocks() {
            if block.language == "rust" {
                quoted += 1;
                let wanted = squeezed(&block.lines.join("\n"));
                if wanted.is_empty() || !code.iter().any(|file| file.contains(&wanted)) {
                    faults.push(format!("{}: in no file", page.at(block.line)));
                }
            }
        }
    }
    assert!(quoted > 0, "no Rust is quoted");
    none(faults);
}

/// Without comments and white space.
fn squeezed(code: &str) -> String {
    let lines = code.lines().map(super::names::without_comment);
    lines.flat_map(str::chars).filter(|letter| !letter.is_whitespace()).collect()
}
