//! Names in code font.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    commands::{Options, flags},
    none,
    page::{files, pages},
    repository,
};

/// What the pages say that is in no code: formulas, placeholders, and the words of other programs.
const VOCABULARY: [&str; 18] = [
    "-- --nocapture",
    "Q4_0",
    "Q4_K_M",
    "Q8_0",
    "RUSTFLAGS=\"-C target-cpu=native\"",
    "async",
    "build-essential",
    "cc",
    "data/tinyshakespeare/input.txt",
    "huggingface_hub",
    "llama_tensor_get_type",
    "llvmpipe",
    "logits_f64",
    "ndarray::iterators::to_vec_mapped",
    "perf record",
    "rope.inv_freq_f64",
    "rotate_half",
    "testing",
];

/// Options of Cargo.
const CARGO: [&str; 4] = ["--all", "--features", "--release", "--workspace"];

#[test]
fn names_in_code_font_exist() {
    let (code, options) = (Code::read(), Options::read());
    let mut faults = Vec::new();
    let mut vocabulary: HashSet<&str> = VOCABULARY.into();
    for page in pages() {
        for (line, span) in page.spans() {
            if vocabulary.remove(span.as_str()) || VOCABULARY.contains(&span.as_str()) {
                continue;
            }
            if let Some(fault) = fault(&span, &code, &options) {
                faults.push(format!("{}: `{span}`: {fault}", page.at(line)));
            }
        }
    }
    faults.extend(vocabulary.iter().map(|word| format!("`{word}` is on no page any more")));
    none(faults);
}

#[test]
fn what_does_not_exist_is_found() {
    let (code, options) = (Code::read(), Options::read());
    for span in [
        "CachePolicy::states",
        "open_the_window",
        "WindowOfOpportunity",
        "attention/windows.rs",
        "crates/nowhere",
        "no_such_file.rs",
        "--no-such-option",
        "glass fly",
        "glass info --fly",
        "cargo test -p glass-nowhere",
        "cargo bench --bench nothing",
        "cargo run --workspace --example hello",
    ] {
        assert!(fault(span, &code, &options).is_some(), "{span}");
    }
    for span in ["Window::sees", "window.rs", "kv-cache/window.rs", "--seed"] {
        assert_eq!(fault(span, &code, &options), None, "{span}");
    }
}

fn fault(span: &str, code: &Code, options: &Options) -> Option<String> {
    if span.starts_with("glass ") {
        return options.fault(span);
    }
    if span.starts_with("cargo ") {
        return code.cargo(span);
    }
    let known =
        |flag: &String| options.all.contains(flag) || code.is_bench_option(flag) || CARGO.contains(&flag.as_str());
    if let Some(flag) = flags(span).iter().find(|flag| !known(flag)) {
        return Some(format!("no option {flag}"));
    }
    if !span.contains(' ') {
        if let Some(exists) = code.path(span) {
            return (!exists).then(|| "no such file".to_owned());
        }
        if let Some((of, name)) = span.split_once("::") {
            let name = name.split(['(', ':']).next().unwrap_or_default();
            return (!code.has_member(of, name)).then(|| format!("{of} has no {name}"));
        }
    }
    let unknown = words(span).find(|word| word.len() > 1 && !code.words.contains(*word));
    unknown.map(|word| format!("no {word} in the code"))
}

/// Identifiers of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'))
}

/// The line without a `//` that begins it or stands behind a blank.
pub fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split(" //").next().unwrap_or(line)
}

/// What there is to be named.
pub struct Code {
    words: HashSet<String>,
    /// Without comments, by path.
    files: HashMap<PathBuf, String>,
}

impl Code {
    pub fn read() -> Self {
        let mut paths = vec![PathBuf::from("Cargo.toml"), PathBuf::from(".ci/run")];
        for (folder, extension) in [
            ("crates", "rs"),
            ("crates", "toml"),
            ("crates", "py"),
            ("benches", "rs"),
            ("benches", "toml"),
            ("benches", "py"),
            ("weights", "py"),
        ] {
            files(Path::new(folder), extension, &mut paths);
        }
        // What these tests quote proves nothing.
        paths.retain(|path| !path.starts_with("crates/cli/tests/cli/docs"));
        let files: HashMap<PathBuf, String> = paths
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(repository().join(&path)).expect("a file");
                let code: Vec<&str> = text.lines().map(without_comment).collect();
                (path, code.join("\n"))
            })
            .collect();
        let words = files.values().flat_map(|text| words(text)).map(str::to_owned).collect();
        Self { words, files }
    }

    /// Whether a file or folder exists; `None` if this is no path of the repository.
    fn path(&self, span: &str) -> Option<bool> {
        let root = repository();
        if !span.contains('/') {
            let named = |path: &PathBuf| path.file_name().is_some_and(|name| name == span);
            let source = [".rs", ".toml"].iter().any(|end| span.ends_with(end));
            return source.then(|| self.files.keys().any(named));
        }
        let (first, rest) = span.split_once('/').filter(|(first, _)| !first.is_empty())?;
        match (root.join("crates").join(first).is_dir(), first) {
            (true, _) => Some(
                [format!("crates/{first}/src/{rest}"), format!("crates/{span}")]
                    .iter()
                    .any(|path| root.join(path).exists()),
            ),
            (_, "crates" | "docs" | "weights" | "benches" | ".ci") => Some(root.join(span).exists()),
            _ => None,
        }
    }

    /// What is wrong with `cargo ...`: a package, a benchmark, an example, a test or a manifest that does not exist.
    pub fn cargo(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        if words.starts_with(&["cargo", "run"]) && words.contains(&"--workspace") {
            return Some("cargo run takes one package".to_owned());
        }
        let unknown = |pair: &&[&str]| match pair[0] {
            "--bench" | "--example" | "--test" => self.path(&format!("{}.rs", pair[1])) == Some(false),
            "-p" => !self.is_package(pair[1]),
            "--manifest-path" => !repository().join(pair[1]).exists(),
            flag => {
                let option = flag.starts_with("--") && flag.len() > 2;
                option && !CARGO.contains(&flag) && !self.is_bench_option(flag)
            }
        };
        let found = words.windows(2).find(unknown);
        found.map(|pair| format!("no {}", pair.join(" ")))
    }

    fn is_package(&self, name: &str) -> bool {
        let line = format!("name = \"{name}\"");
        let mut manifests = self.files.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
        manifests.any(|(_, text)| text.lines().any(|it| it == line))
    }

    /// Options of the benchmarks are fields.
    fn is_bench_option(&self, flag: &str) -> bool {
        let field = format!(" {}: ", flag.trim_start_matches('-').replace('-', "_"));
        let mut benches = self.files.iter();
        benches.any(|(path, text)| path.starts_with("benches") && text.contains(&field))
    }

    /// Whether the module, or a file that defines or extends the type, has a function, field, constant or variant of this name.
    fn has_member(&self, of: &str, name: &str) -> bool {
        self.files.iter().any(|(path, text)| {
            let is_module = path.file_stem().is_some_and(|stem| stem == of);
            let mut lines = text.lines().map(str::trim_start);
            let owns = |line: &str| {
                let mut words = words(line).skip_while(|word| ["pub", "crate", "super"].contains(word));
                let kind = words.next().unwrap_or_default();
                ["struct", "enum", "trait", "impl", "mod"].contains(&kind) && words.any(|word| word == of)
            };
            let declares = |line: &str| {
                let mut before = "";
                for word in words(line).take(6) {
                    if word == name {
                        return before.is_empty() || ["fn", "const", "type", "pub", "crate", "super"].contains(&before);
                    }
                    before = word;
                }
                false
            };
            (is_module || lines.clone().any(owns)) && lines.any(declares)
        })
    }
}
