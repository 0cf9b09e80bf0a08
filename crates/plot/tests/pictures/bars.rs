//! Bars, of every number and length, and those that do not count.

use glass_plot::{Bar, BarChart, BarRow, bars};

use crate::svg::{attribute, number, places, tags, texts};

fn bar(value: f64, deviation: f64) -> Option<Bar> {
    let deviation = Some(deviation);
    Some(Bar { value, deviation })
}

fn row(group: &str, name: &str, values: [Option<Bar>; 2]) -> BarRow<2> {
    BarRow {
        group: group.to_owned(),
        name: name.to_owned(),
        values,
        failed: false,
        note: String::new(),
    }
}

fn failed(row: BarRow<2>, note: &str) -> BarRow<2> {
    BarRow {
        failed: true,
        note: note.to_owned(),
        ..row
    }
}

fn draw(rows: &[BarRow<2>]) -> String {
    let chart = BarChart {
        title: "Backends",
        subtitle: "of this machine",
        panels: ["prefill (t/s)", "decode (t/s)"],
        rows,
    };
    let svg = bars(&chart).unwrap();
    assert_eq!(texts(&svg)[..2], ["Backends", "of this machine"]);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg, bars(&chart).unwrap());
    inside(&svg);
    svg
}

/// Nothing that is drawn leaves the picture.
fn inside(svg: &str) {
    let size = attribute(tags(svg, "svg")[0], "viewBox").to_owned();
    let size: Vec<f64> = size.split(' ').map(|side| side.parse().unwrap()).collect();
    let within = |x: f64, y: f64| (0.0..=size[2]).contains(&x) && (0.0..=size[3]).contains(&y);
    for rectangle in tags(svg, "rect") {
        let [x, y, width, height] =
            ["x", "y", "width", "height"].map(|name| number(rectangle, name));
        assert!(within(x, y) && within(x + width, y + height), "{rectangle}");
    }
    for line in tags(svg, "polyline") {
        assert!(places(line).iter().all(|(x, y)| within(*x, *y)), "{line}");
    }
    for text in tags(svg, "text") {
        assert!(within(number(text, "x"), number(text, "y")), "{text}");
    }
}

/// Left end, length and colour of the bars that count: the first rectangle is the sheet.
fn solid(svg: &str) -> Vec<(f64, f64, &str)> {
    let rectangles = tags(svg, "rect").into_iter().skip(1);
    let solid = rectangles.filter(|rectangle| attribute(rectangle, "fill") != "none");
    solid
        .map(|bar| {
            (
                number(bar, "x"),
                number(bar, "width"),
                attribute(bar, "fill"),
            )
        })
        .collect()
}

fn count(svg: &str, text: &str) -> usize {
    texts(svg).iter().filter(|said| **said == text).count()
}

#[test]
fn the_picture_says_what_it_shows() {
    let svg = draw(&[
        row("prompt 512", "flex", [bar(1234.6, 12.3), bar(45.67, 0.4)]),
        row(
            "prompt 512",
            "wgpu & <gl>",
            [bar(99.0, 1.0), bar(5.0, 0.25)],
        ),
    ]);
    for text in [
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
    ] {
        assert!(texts(&svg).contains(&text), "{text} in {:?}", texts(&svg));
    }
    assert!(svg.starts_with("<svg width=\"900\" height="));
    assert_eq!((count(&svg, "FAILED"), count(&svg, "prompt 512")), (0, 1));
}

#[test]
fn bars_are_in_proportion_and_each_panel_has_its_scale() {
    let svg = draw(&[
        row("", "a", [bar(1000.0, 0.0), bar(10.0, 0.0)]),
        row("", "b", [bar(250.0, 0.0), bar(5.0, 0.0)]),
    ]);
    let bars = solid(&svg);
    assert_eq!(bars.len(), 4);
    assert!((bars[0].1 - 4.0 * bars[2].1).abs() <= 4.0, "{bars:?}");
    assert!((bars[1].1 - 2.0 * bars[3].1).abs() <= 2.0, "{bars:?}");
    assert!(bars[0].0 == bars[2].0 && bars[1].0 > bars[0].0 + bars[0].1);
    assert!(
        bars[1].1 > bars[2].1,
        "a bar of 10 is long where 10 is the most"
    );
}

#[test]
fn rows_of_a_group_stand_together_and_equal_names_have_equal_colours() {
    let values = [bar(2.0, 0.1), bar(1.0, 0.1)];
    let svg = draw(&[
        row("one", "a", values),
        row("two", "a", values),
        row("one", "b", values),
        row("two", "b", values),
    ]);
    let said = texts(&svg);
    let order: Vec<_> = said
        .into_iter()
        .filter(|text| ["one", "two", "a", "b"].contains(text))
        .collect();
    assert_eq!(order, ["one", "two", "a", "b", "a", "b"]);
    let colours: Vec<_> = solid(&svg).iter().step_by(2).map(|bar| bar.2).collect();
    assert_eq!(colours[..2], colours[2..]);
    assert_ne!(colours[0], colours[1]);
}

#[test]
fn what_failed_is_hatched_and_does_not_set_the_scale() {
    let good = row("p", "flex", [bar(100.0, 1.0), bar(10.0, 0.1)]);
    let absurd = row("p", "broken", [bar(1e6, 5e5), bar(1e5, 1.0)]);
    let alone = draw(std::slice::from_ref(&good));
    let svg = draw(&[good, failed(absurd.clone(), "its logits are no numbers")]);
    assert_eq!(count(&svg, "FAILED"), 2);
    assert!(texts(&svg).contains(&"broken, p FAILED: its logits are no numbers"));
    assert_eq!(solid(&svg).len(), 2);
    assert!(texts(&svg).contains(&"1,000,000 ±500,000"));
    assert!(texts(&svg).contains(&"100") && !texts(&svg).contains(&"200,000"));
    let slanting = |svg: &str| {
        let lines = tags(svg, "polyline").into_iter().map(places);
        let slanting = |line: &Vec<(f64, f64)>| line[0].0 != line[1].0 && line[0].1 != line[1].1;
        lines.filter(slanting).count()
            + tags(svg, "line")
                .iter()
                .filter(|line| {
                    number(line, "x1") != number(line, "x2")
                        && number(line, "y1") != number(line, "y2")
                })
                .count()
    };
    assert_eq!(slanting(&alone), 0);
    assert!(slanting(&svg) > 20, "{}", slanting(&svg));
    // Only failures: they have a scale all the same.
    assert_eq!(count(&draw(&[failed(absurd, "")]), "FAILED"), 2);
}

#[test]
fn what_was_not_measured_says_so() {
    let lost = BarRow {
        note: "out of memory".to_owned(),
        ..row("", "wgpu", [None, None])
    };
    let half = row("", "flex", [bar(7.0, 1.0), None]);
    let svg = draw(&[lost, half, row("", "ndarray", [None, None])]);
    assert_eq!(
        (count(&svg, "out of memory"), count(&svg, "not measured")),
        (1, 2)
    );
    assert_eq!(solid(&svg).len(), 1);
    for odd in [f64::NAN, f64::INFINITY, -1.0, 1e16] {
        assert_eq!(
            count(
                &draw(&[row("", "a", [bar(odd, 1.0), bar(1.0, odd)])]),
                "not measured"
            ),
            1
        );
    }
}

#[test]
fn charts_of_every_size_are_drawn() {
    for value in [0.0, 1e-12, 1e15] {
        draw(&[row(
            "",
            "",
            [
                bar(value, 0.0),
                Some(Bar {
                    value,
                    deviation: None,
                }),
            ],
        )]);
        draw(&[row("", "", [bar(value, 10.0 * value), None])]);
    }
    let many: Vec<_> = (1..=200)
        .map(|number| {
            let value = f64::from(number);
            let group = format!("g{}", number % 7);
            row(
                &group,
                &format!("n{number}"),
                [bar(value, 1.0), bar(1.0 / value, 0.0)],
            )
        })
        .collect();
    assert_eq!(solid(&draw(&many)).len(), 400);
    assert!(texts(&draw(&[])).contains(&"Nothing has been measured yet."));
    let none = BarChart::<0> {
        title: "",
        subtitle: "",
        panels: [],
        rows: &[],
    };
    assert!(texts(&bars(&none).unwrap()).contains(&"Nothing has been measured yet."));
}

#[test]
fn long_texts_are_shortened() {
    let long = "<&\"'> long ".repeat(40);
    let values = [bar(1.0, 0.1), None];
    let svg = draw(&[
        failed(row(&long, &long, values), &long),
        BarRow {
            note: long.clone(),
            ..row("", "x", [None, None])
        },
    ]);
    let shortened = texts(&svg).into_iter().filter(|text| text.ends_with('…'));
    assert_eq!(shortened.count(), 4, "{:?}", texts(&svg));
}
