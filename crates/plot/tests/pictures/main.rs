//! Pictures are read as text: what they say, and where they draw it.

mod bars;
mod curves;
mod heat_map;
mod loss;
mod svg;

use svg::{attribute, number, places, tags};

/// Drawing units per CSS pixel.
const PX: f64 = 10.0;
const NOTHING: &str = "Nothing has been measured yet.";

/// Draws twice: equal bytes, all of them numbers, and nothing outside of the picture.
fn drawn(draw: impl Fn() -> String) -> String {
    let svg = draw();
    assert_eq!(svg, draw());
    svg::texts(&svg);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    let size: Vec<f64> =
        attribute(tags(&svg, "svg")[0], "viewBox").split(' ').map(|side| side.parse().unwrap()).collect();
    let inside = |x: f64, y: f64| (0.0..=size[2]).contains(&x) && (0.0..=size[3]).contains(&y);
    for tag in tags(&svg, "rect") {
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| number(tag, name));
        assert!(inside(x, y) && inside(x + width, y + height), "{tag}");
    }
    for tag in tags(&svg, "polyline") {
        assert!(places(tag).iter().all(|(x, y)| inside(*x, *y)), "{tag}");
    }
    for tag in tags(&svg, "text") {
        assert!(inside(number(tag, "x"), number(tag, "y")), "{tag}");
    }
    svg
}

/// Whether the texts contain all of these.
fn says(svg: &str, expected: &[&str]) {
    let texts = svg::texts(svg);
    for text in expected {
        assert!(texts.contains(text), "{text} is not in {texts:?}");
    }
}

fn count(svg: &str, text: &str) -> usize {
    svg::texts(svg).iter().filter(|other| **other == text).count()
}
