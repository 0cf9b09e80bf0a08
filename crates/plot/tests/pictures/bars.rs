//! Bars, of every number and length, and those that do not count.

use glass_plot::{Bar, BarRow, bars};

use crate::{
    NOTHING, count, drawn, says,
    svg::{attribute, number, tags, texts},
};

fn bar(value: f64, deviation: f64) -> Option<Bar> {
    let deviation = Some(deviation);
    Some(Bar { value, deviation })
}

fn row(group: &str, name: &str, values: [Option<Bar>; 2]) -> BarRow<2> {
    BarRow { group: group.to_owned(), name: name.to_owned(), values, failed: false, note: String::new() }
}

fn failed(row: BarRow<2>, note: &str) -> BarRow<2> {
    BarRow { failed: true, note: note.to_owned(), ..row }
}

fn draw(rows: &[BarRow<2>]) -> String {
    let panels = ["prefill (t/s)", "decode (t/s)"];
    let svg = drawn(|| bars(rows, panels, "Backends", "of this machine").unwrap());
    assert_eq!(texts(&svg)[..2], ["Backends", "of this machine"]);
    svg
}

/// Left end, height, length and colour of the bars, by panel: the first rectangle is the sheet.
fn rectangles(svg: &str) -> Vec<(f64, f64, f64, &str)> {
    let bars = tags(svg, "rect").into_iter().skip(1);
    let bar = |tag| {
        let [x, y, width] = ["x", "y", "width"].map(|name| number(tag, name));
        (x, y, width, attribute(tag, "fill"))
    };
    bars.map(bar).collect()
}

#[test]
fn bars_are_drawn_with_names_values_and_axes() {
    let svg = draw(&[
        row("prompt 512", "flex", [bar(1234.6, 12.3), bar(45.67, 0.4)]),
        row("prompt 512", "wgpu & <gl>", [bar(99.0, 1.0), bar(5.0, 0.25)]),
    ]);
    let expected = [
        "prefill (t/s)",
        "decode (t/s)",
        "prompt 512",
        "flex",
        "wgpu &amp; &lt;gl&gt;",
        "1,235 ±12",
        "45.7 ±0.4",
        "5.00 ±0.25",
        "1,000",
        "40",
    ];
    says(&svg, &expected);
    assert!(svg.starts_with("<svg width=\"900\" height="));
    assert_eq!((svg.matches("FAILED").count(), count(&svg, "prompt 512")), (0, 1));
}

#[test]
fn bars_are_in_proportion_and_each_panel_has_its_scale() {
    let svg = draw(&[row("", "a", [bar(1000.0, 0.0), bar(10.0, 0.0)]), row("", "b", [bar(250.0, 0.0), bar(5.0, 0.0)])]);
    let [a, b, other_a, other_b] = rectangles(&svg)[..] else {
        panic!("{svg}");
    };
    assert!((a.2 - 4.0 * b.2).abs() <= 4.0 && (other_a.2 - 2.0 * other_b.2).abs() <= 2.0);
    assert!(a.0 == b.0 && other_a.0 > a.0 + a.2);
    assert!(other_a.2 > b.2, "a bar of 10 is long where 10 is the most");
}

#[test]
fn rows_of_a_group_stand_together_and_equal_names_have_equal_colours() {
    let values = [bar(2.0, 0.1), None];
    let svg =
        draw(&[row("one", "a", values), row("two", "a", values), row("one", "b", values), row("two", "b", values)]);
    let named = tags(&svg, "text").into_iter().zip(texts(&svg));
    let mut named: Vec<(f64, &str)> = named.map(|(tag, text)| (number(tag, "y"), text)).collect();
    named.retain(|(_, text)| ["one", "two", "a", "b"].contains(text));
    named.sort_by(|a, b| a.0.total_cmp(&b.0));
    let names: Vec<&str> = named.iter().map(|named| named.1).collect();
    assert_eq!(names, ["one", "a", "b", "two", "a", "b"]);
    let bars = rectangles(&svg);
    assert!(bars.is_sorted_by(|a, b| a.1 < b.1));
    assert_eq!((bars[0].3, bars[1].3), (bars[2].3, bars[3].3));
    assert_ne!(bars[0].3, bars[1].3);
}

#[test]
fn rows_that_failed_say_so_and_have_no_bars() {
    let good = row("p", "flex", [bar(100.0, 1.0), bar(10.0, 0.1)]);
    let absurd = row("p", "broken", [bar(1e6, 5e5), bar(1e5, 1.0)]);
    let svg = draw(&[good, failed(absurd.clone(), "its logits are wrong")]);
    says(&svg, &["broken", "FAILED: its logits are wrong", "100"]);
    assert_eq!(rectangles(&svg).len(), 2);
    assert!(!svg.contains("200,000"), "it does not set the scale");
    assert!(draw(&[failed(absurd, "")]).contains("FAILED"));
}

#[test]
fn values_that_were_not_measured_say_so() {
    let lost = BarRow { note: "out of memory".to_owned(), ..row("", "wgpu", [None, None]) };
    let half = row("", "flex", [bar(7.0, 1.0), None]);
    let svg = draw(&[lost, half, row("", "ndarray", [None, None])]);
    let counts = (count(&svg, "out of memory"), count(&svg, "not measured"));
    assert_eq!((counts, rectangles(&svg).len()), ((1, 2), 1));
    for odd in [f64::NAN, f64::INFINITY, -1.0, 1e16] {
        let svg = draw(&[row("", "a", [bar(odd, 1.0), bar(1.0, odd)])]);
        assert_eq!(count(&svg, "not measured"), 1);
        says(&svg, &["1.00"]);
    }
}

#[test]
fn charts_of_every_size_are_drawn() {
    for value in [0.0, 1e-12, 1e15] {
        let deviation = None;
        draw(&[row("", "", [bar(value, 0.0), Some(Bar { value, deviation })])]);
        draw(&[row("", "", [bar(value, 10.0 * value), None])]);
    }
    let many = (1..=200).map(|number| {
        let value = f64::from(number);
        let values = [bar(value, 1.0), bar(1.0 / value, 0.0)];
        row(&format!("g{}", number % 7), &format!("n{number}"), values)
    });
    assert_eq!(rectangles(&draw(&many.collect::<Vec<_>>())).len(), 400);
    says(&draw(&[]), &[NOTHING]);
    says(&bars::<0>(&[], [], "", "").unwrap(), &[NOTHING]);
}

#[test]
fn long_texts_are_truncated() {
    let long = "<&\"'> long ".repeat(40);
    let unmeasured = BarRow { note: long.clone(), ..row("", "x", [None, None]) };
    let svg = draw(&[failed(row(&long, &long, [bar(1.0, 0.1), None]), &long), unmeasured]);
    let truncated = texts(&svg).into_iter().filter(|text| text.ends_with('…'));
    assert_eq!(truncated.count(), 4, "{:?}", texts(&svg));
}
