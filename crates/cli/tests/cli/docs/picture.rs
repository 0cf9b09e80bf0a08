//! The README's picture of a terminal.

use std::fs;

use super::{console::Shell, none, printed, repository, writes};

const PATH: &str = "docs/img/demo.svg";
const COLUMNS: usize = 92;
/// Lines of the play; the rest is left out.
const LINES: usize = 12;

/// The picture shows what `glass` prints.
#[test]
fn the_picture_shows_what_glass_prints() {
    let printed = Shell::open().run("glass");
    let lines: Vec<&str> = printed.lines().collect();
    let text = lines.iter().position(|line| line.starts_with("glass: "));
    let summary = lines.iter().rposition(|line| line.contains(" new ones "));
    let (Some(0), Some(summary)) = (text, summary) else {
        panic!("{printed}");
    };
    if !lines[0].contains(" on flex ") {
        println!("skipped: the picture shows flex, and auto is another device here");
        return;
    }
    let mut shown = vec!["$ glass"];
    shown.extend(&lines[..=LINES]);
    shown.extend(["...", lines[summary]]);

    let file = repository().join(PATH);
    if writes() {
        fs::write(&file, draw(&shown)).expect("a picture");
    }
    let picture = read(&fs::read_to_string(&file).expect("a picture"));
    let faults = shown
        .iter()
        .enumerate()
        .filter(|(index, line)| !picture.get(*index).is_some_and(|it| printed::same(it, line)))
        .map(|(_, line)| format!("{PATH}: {line}"))
        .collect();
    none(faults);
    assert_eq!(picture.len(), shown.len());
}

/// The lines of a picture; those of one class `more` go on with the one before.
fn read(svg: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for element in svg.split("<text").skip(1) {
        let (attributes, rest) = element.split_once('>').expect("an element");
        let text = rest.split("</text>").next().unwrap_or_default();
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        match (attributes.contains("more"), lines.last_mut()) {
            (true, Some(line)) => line.push_str(&text),
            _ => lines.push(text),
        }
    }
    lines
}

fn draw(lines: &[&str]) -> String {
    const ROW: usize = 19;
    let mut rows = Vec::new();
    for line in lines {
        let kind = match line {
            line if line.starts_with("$ ") => "command",
            line if line.starts_with("glass: ") || *line == "..." => "note",
            _ => "play",
        };
        let letters: Vec<char> = line.chars().collect();
        let mut chunks: Vec<String> = letters.chunks(COLUMNS).map(|row| row.iter().collect()).collect();
        if chunks.is_empty() {
            chunks.push(String::new());
        }
        for (index, chunk) in chunks.into_iter().enumerate() {
            let more = if index > 0 { " more" } else { "" };
            let text = chunk.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            rows.push(format!("class=\"{kind}{more}\"|{text}"));
        }
    }
    let (width, height) = (COLUMNS * 8 + 40, rows.len() * ROW + 62);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13.2">
<title>glass in a terminal</title>
<style>.command {{ fill: #ffffff; font-weight: bold }} .play {{ fill: #e8dcc0 }} .note {{ fill: #7fb2cf }}</style>
<rect width="{width}" height="{height}" rx="9" fill="#1c2a34"/>
<circle cx="22" cy="20" r="6" fill="#d9695f"/><circle cx="42" cy="20" r="6" fill="#d9b45f"/><circle cx="62" cy="20" r="6" fill="#7cb26a"/>
"##
    );
    for (index, row) in rows.iter().enumerate() {
        let (class, text) = row.split_once('|').expect("a row");
        let y = 56 + index * ROW;
        svg += &format!("<text x=\"20\" y=\"{y}\" xml:space=\"preserve\" {class}>{text}</text>\n");
    }
    svg + "</svg>\n"
}
