//! Heat maps, of every number and size.

use glass_plot::{HeatMap, PlotError, heat_maps};

use crate::{
    NOTHING, count, drawn, says,
    svg::{attribute, number, tags, texts},
};

fn map(rows: usize, columns: usize, value: impl Fn(usize, usize) -> Option<f64>) -> HeatMap {
    let names = |count: usize| (0..count).map(|index| format!("n{index}")).collect();
    let row = |row| (0..columns).map(|column| value(row, column)).collect();
    HeatMap {
        title: "full".to_owned(),
        rows: names(rows),
        columns: names(columns),
        row_label: "depth".to_owned(),
        column_label: "length".to_owned(),
        values: (0..rows).map(row).collect(),
    }
}

fn draw(maps: &[HeatMap]) -> String {
    let svg = drawn(|| heat_maps(maps, "Needle", "fraction found").unwrap());
    assert_eq!(texts(&svg)[..2], ["Needle", "fraction found"]);
    svg
}

/// Left, top and colour of the cells in their order: the first rectangle is the sheet.
fn cells(svg: &str) -> Vec<(f64, f64, &str)> {
    let rectangles = tags(svg, "rect").into_iter().skip(1);
    let cell = |tag| (number(tag, "x"), number(tag, "y"), attribute(tag, "fill"));
    rectangles.map(cell).collect()
}

#[test]
fn a_map_is_drawn_with_names_values_and_legend() {
    let svg = draw(&[map(2, 3, |row, column| Some((row * 3 + column) as f64 / 5.0))]);
    let expected = ["full", "depth", "length", "n0", "n2", "0.00", "0.20", "0.40", "0.60", "0.80", "1.00", "0.25"];
    says(&svg, &expected);
    assert_eq!(count(&svg, "not measured"), 0);
}

#[test]
fn rows_run_downwards_columns_to_the_right_and_equal_values_have_equal_colours() {
    let equal = |row, column| Some(if row == column { 1.0 } else { 0.0 });
    let svg = draw(&[map(2, 2, equal)]);
    let [first, right, below, last] = cells(&svg)[..4] else {
        panic!("{svg}");
    };
    assert!(right.0 > first.0 && right.1 == first.1);
    assert!(below.0 == first.0 && below.1 > first.1);
    assert_eq!((first.2, right.2), (last.2, below.2));
    assert_ne!(first.2, right.2);
}

#[test]
fn only_one_is_rounded_to_one_and_only_zero_to_zero() {
    let svg = draw(&[map(1, 2, |_, column| Some([0.0001, 0.9999][column]))]);
    says(&svg, &["0.01", "0.99"]);
    // Those of the legend.
    assert_eq!((count(&svg, "1.00"), count(&svg, "0.00")), (1, 1));
}

/// Relative luminance of a colour in hexadecimal digits, from 0 to 1 (WCAG 2.1).
fn luminance(color: &str) -> f64 {
    let linear = |from: usize| {
        let channel = u8::from_str_radix(&color[from..from + 2], 16).unwrap();
        let channel = f64::from(channel) / 255.0;
        if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5)
}

/// WCAG 2.1 asks for a contrast of 4.5.
#[test]
fn colours_of_greater_values_are_lighter_and_their_texts_can_be_read() {
    let svg = draw(&[map(101, 1, |row, _| Some(row as f64 / 100.0))]);
    let grounds: Vec<f64> = cells(&svg)[..101].iter().map(|cell| luminance(cell.2)).collect();
    assert!(grounds.is_sorted_by(|a, b| a < b), "{grounds:?}");
    let values = tags(&svg, "text").into_iter().zip(texts(&svg)).skip(3);
    for ((tag, text), ground) in values.zip(grounds) {
        let ink = luminance(attribute(tag, "fill"));
        let contrast = (ink.max(ground) + 0.05) / (ink.min(ground) + 0.05);
        assert!(text.contains('.') && contrast >= 4.5, "{contrast} at {text}");
    }
}

#[test]
fn cells_that_were_not_measured_are_crossed_out() {
    let strokes = |svg: &str| tags(svg, "polyline").len();
    let unmeasured = |_, column| [None, Some(f64::NAN), Some(0.5)][column];
    let svg = draw(&[map(1, 3, unmeasured)]);
    says(&svg, &["not measured"]);
    let whole = draw(&[map(1, 3, |_, _| Some(0.5))]);
    assert_eq!(strokes(&svg) - strokes(&whole), 3, "two cells and the legend");
}

#[test]
fn maps_stand_beside_each_other_and_then_below() {
    let one = |title: &str| HeatMap { title: title.to_owned(), ..map(5, 6, |_, _| Some(0.5)) };
    let svg = draw(&["full", "ring & <sinks>", "tova", "x", "y"].map(one));
    says(&svg, &["ring &amp; &lt;sinks&gt;"]);
    let cells = cells(&svg);
    let first = |number: usize| cells[30 * number];
    assert!(first(1).0 > cells[5].0 && first(1).1 == first(0).1);
    assert!(first(4).1 > cells[29].1, "the last is below the first");
    assert_eq!(count(&svg, "0.25"), 1, "one legend");
}

#[test]
fn maps_of_every_size_are_drawn() {
    for (rows, columns) in [(1, 1), (1, 40), (40, 1), (40, 40), (3, 200)] {
        let value = |row, column| (row * columns + column) as f64 / (rows * columns) as f64;
        let diagonal = |row, column| (row != column || rows == 1).then(|| value(row, column));
        says(&draw(&[map(rows, columns, diagonal)]), &["n0"]);
    }
    let one = |_, _| Some(1.0);
    draw(&[map(1, 1, one), map(9, 4, |_, _| None), map(0, 0, one)]);
    for maps in [vec![], vec![map(0, 0, one)], vec![map(0, 3, one), map(3, 0, one)]] {
        says(&draw(&maps), &[NOTHING]);
    }
}

#[test]
fn long_texts_are_truncated_and_texts_are_escaped() {
    let text = || "<&\"'> long ".repeat(20);
    let mut long = map(1, 1, |_, _| Some(0.5));
    (long.title, long.row_label, long.column_label) = (text(), text(), text());
    (long.rows[0], long.columns[0]) = (text(), text());
    let svg = drawn(|| heat_maps(&[long.clone()], &text(), &text()).unwrap());
    let truncated = |text: &&&str| text.ends_with('…') && text.starts_with("&lt;&amp;&quot;&apos;&gt;");
    assert_eq!(texts(&svg).iter().filter(truncated).count(), 7);
}

#[test]
fn values_that_do_not_fit_their_names_are_errors() {
    let refused = |map: HeatMap| {
        let error = heat_maps(&[map], "", "").unwrap_err();
        assert!(matches!(error, PlotError::HeatMap { .. }));
        error.to_string()
    };
    let mut short = map(2, 2, |_, _| None);
    short.values.pop();
    let mut ragged = map(2, 2, |_, _| None);
    ragged.values[1].push(Some(0.5));
    for map in [short, ragged] {
        assert_eq!(
            refused(map),
            "heat map \"full\": its values are not 2 rows of 2: give one value (or none) for each cell"
        );
    }
    for value in [-0.1, 1.1, f64::INFINITY] {
        let odd = |row, column| Some(if (row, column) == (1, 0) { value } else { 0.5 });
        let expected = format!(
            "heat map \"full\": {value} in row \"n1\", column \"n0\" is not a fraction: give values from 0 to 1"
        );
        assert_eq!(refused(map(2, 2, odd)), expected);
    }
}
