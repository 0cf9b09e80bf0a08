//! Links, and the shape of the README.

use std::fs;

use super::{
    none,
    page::{Page, page, pages},
    repository, writes,
};

#[test]
fn links_and_anchors_resolve() {
    let mut faults = Vec::new();
    let mut local = 0;
    for page in pages() {
        for (line, target) in page.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            local += 1;
            if let Some(fault) = fault(&page, &target) {
                faults.push(format!("{}: {target}: {fault}", page.at(line)));
            }
        }
    }
    assert!(local > 80, "links are missing: {local}");
    none(faults);
}

fn fault(from: &Page, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => from.path.clone(),
        file => from.path.parent().expect("a folder").join(file),
    };
    if !repository().join(&path).exists() {
        return Some("no such file".to_owned());
    }
    let known = anchor.is_empty() || page(path).anchors().iter().any(|it| it == anchor);
    (!known).then(|| "no such heading".to_owned())
}

/// The table of files to read, in order.
#[test]
fn line_counts_of_the_readme_are_true() {
    let readme = page("README.md");
    assert!(readme.text.lines().count() <= 200);
    let mut text = readme.text.clone();
    let mut faults = Vec::new();
    let mut counted = 0;
    for (line, row) in readme.prose() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (Some(link), Some(Ok(lines))) = (
            cells.get(1).filter(|cell| cell.contains(".rs`](")),
            cells.get(2).map(|cell| cell.parse::<usize>()),
        ) else {
            continue;
        };
        let path = link.split_once("](").expect("a link").1;
        let path = repository().join(path.trim_end_matches(')'));
        let actual = fs::read_to_string(&path).expect(link).lines().count();
        if actual != lines {
            faults.push(format!("{}: {actual}, not {lines}", readme.at(line)));
            let new = row.replace(&format!("| {lines} |"), &format!("| {actual} |"));
            text = text.replace(row, &new);
        }
        counted += 1;
    }
    assert_eq!(counted, 7, "files to read");
    if writes() {
        fs::write(repository().join("README.md"), text).expect("the README");
    }
    none(faults);
}
