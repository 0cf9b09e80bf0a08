//! Markdown, as far as these pages use it: fenced and indented blocks, code spans, headings, links.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::repository;

pub struct Page {
    /// From the root of the repository.
    pub path: PathBuf,
    pub text: String,
}

/// A block of code.
pub struct Block {
    /// After the fence; `indented` without one.
    pub language: String,
    /// The number of its first line, from 1.
    pub line: usize,
    pub lines: Vec<String>,
}

/// Every page: the README, docs/, the model cards, and those beside the code.
pub fn pages() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md")];
    for folder in ["docs", "weights", "benches", "crates"] {
        files(Path::new(folder), "md", &mut paths);
    }
    let pages: Vec<Page> = paths.into_iter().map(page).collect();
    assert!(pages.len() > 20, "pages are missing");
    pages
}

pub fn page(path: impl Into<PathBuf>) -> Page {
    let path = path.into();
    let text = fs::read_to_string(repository().join(&path)).expect("a page");
    Page { path, text }
}

/// All files under a folder of the repository with this extension.
pub fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(repository().join(folder)).expect("a folder") {
        let entry = entry.expect("readable");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            if entry.file_name() != "target" {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
}

impl Page {
    /// Where a fault is.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    pub fn blocks(&self) -> Vec<Block> {
        self.split().0
    }

    /// The lines outside blocks, with their numbers.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        self.split().1
    }

    fn split(&self) -> (Vec<Block>, Vec<(usize, &str)>) {
        let (mut blocks, mut prose) = (Vec::<Block>::new(), Vec::new());
        let mut fenced = false;
        for (number, line) in (1..).zip(self.text.lines()) {
            if let Some(language) = line.strip_prefix("```") {
                fenced = !fenced;
                if fenced {
                    blocks.push(Block { language: language.to_owned(), line: number + 1, lines: vec![] });
                }
            } else if fenced {
                let block = blocks.last_mut().expect("a block is open");
                block.lines.push(line.to_owned());
            } else if let Some(code) = line.strip_prefix("    ") {
                match blocks.last_mut() {
                    Some(block) if block.language == "indented" && block.line + block.lines.len() == number => {
                        block.lines.push(code.to_owned());
                    }
                    _ => blocks.push(Block {
                        language: "indented".to_owned(),
                        line: number,
                        lines: vec![code.to_owned()],
                    }),
                }
            } else {
                prose.push((number, line));
            }
        }
        assert!(!fenced, "{}: a fence is open", self.path.display());
        (blocks, prose)
    }

    /// What stands between backticks, with the number of its line.
    pub fn spans(&self) -> Vec<(usize, String)> {
        let mut spans = Vec::new();
        for (number, line) in self.prose() {
            for (index, part) in line.split('`').enumerate() {
                if index % 2 == 1 {
                    // In a table a bar is escaped.
                    spans.push((number, part.replace("\\|", "|")));
                }
            }
            assert_eq!(line.matches('`').count() % 2, 0, "{}: a backtick without its other", self.at(number));
        }
        spans
    }

    /// The names by which its headings are linked to, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter(|(_, line)| line.starts_with('#'));
        let slug = |(_, heading): (usize, &str)| {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            text.chars()
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect()
        };
        headings.map(slug).collect()
    }

    /// The targets of its links and pictures.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            for part in line.split("](").skip(1) {
                if let Some((target, _)) = part.split_once(')') {
                    links.push((number, target.to_owned()));
                }
            }
        }
        links
    }
}
