//! Heat maps, of every number and size.

use glass_plot::{HeatMap, PlotError, heat_map, heat_maps};

use crate::svg::{attribute, number, tags, texts};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("n{index}")).collect()
}

fn map(rows: usize, columns: usize, value: impl Fn(usize, usize) -> Option<f64>) -> HeatMap {
    let row = |row| (0..columns).map(|column| value(row, column)).collect();
    HeatMap {
        title: "Needle".to_owned(),
        subtitle: "share found".to_owned(),
        rows: names(rows),
        columns: names(columns),
        row_label: "depth".to_owned(),
        column_label: "length".to_owned(),
        values: (0..rows).map(row).collect(),
    }
}

fn draw(map: &HeatMap) -> String {
    let svg = heat_map(map).unwrap();
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg, heat_map(map).unwrap());
    inside(&svg);
    svg
}

/// No rectangle leaves the picture.
fn inside(svg: &str) {
    let size = attribute(tags(svg, "svg")[0], "viewBox").to_owned();
    let size: Vec<f64> = size.split(' ').map(|side| side.parse().unwrap()).collect();
    for rectangle in tags(svg, "rect") {
        let [x, y, width, height] =
            ["x", "y", "width", "height"].map(|name| number(rectangle, name));
        assert!(
            x >= 0.0 && y >= 0.0 && x + width <= size[2] && y + height <= size[3],
            "{rectangle}"
        );
    }
}

/// Column, row and colour of the cells from the upper left one on: the first rectangle is the sheet, the last are the
/// legend.
fn cells(svg: &str, count: usize) -> Vec<(f64, f64, &str)> {
    let rectangles = tags(svg, "rect").into_iter().skip(1).take(count);
    rectangles
        .map(|cell| {
            (
                number(cell, "x"),
                number(cell, "y"),
                attribute(cell, "fill"),
            )
        })
        .collect()
}

#[test]
fn a_map_says_what_it_shows() {
    let svg = draw(&map(2, 3, |row, column| {
        Some((row * 3 + column) as f64 / 5.0)
    }));
    assert_eq!(texts(&svg)[..2], ["Needle", "share found"]);
    for text in [
        "depth", "length", "n0", "n2", "0.00", "0.20", "0.40", "0.60", "0.80", "1.00", "0.25",
    ] {
        assert!(texts(&svg).contains(&text), "{text} in {:?}", texts(&svg));
    }
    assert!(!texts(&svg).contains(&"not measured"));
}

#[test]
fn rows_run_downwards_columns_to_the_right_and_equal_values_have_equal_colours() {
    let svg = draw(&map(2, 2, |row, column| {
        Some(if row == column { 1.0 } else { 0.0 })
    }));
    let cells = cells(&svg, 4);
    assert!(
        cells[1].0 > cells[0].0 && cells[1].1 == cells[0].1,
        "{cells:?}"
    );
    assert!(
        cells[2].0 == cells[0].0 && cells[2].1 > cells[0].1,
        "{cells:?}"
    );
    assert_eq!((cells[0].2, cells[1].2), (cells[3].2, cells[2].2));
    assert_ne!(cells[0].2, cells[1].2);
}

#[test]
fn only_all_is_one_and_only_nothing_is_zero() {
    let svg = draw(&map(1, 2, |_, column| Some([0.0001, 0.9999][column])));
    assert!(texts(&svg).contains(&"0.01") && texts(&svg).contains(&"0.99"));
    assert!(!texts(&svg).contains(&"1.00") && !texts(&svg).contains(&"0.00"));
}

#[test]
fn what_was_not_measured_is_crossed_out() {
    let strokes = |svg: &str| tags(svg, "line").len() + tags(svg, "polyline").len();
    let svg = draw(&map(1, 3, |_, column| {
        [None, Some(f64::NAN), Some(0.5)][column]
    }));
    assert!(texts(&svg).contains(&"not measured"));
    assert_eq!(strokes(&svg), 3, "two cells and the legend");
    assert_eq!(strokes(&draw(&map(1, 3, |_, _| Some(0.5)))), 0);
}

#[test]
fn maps_stand_beside_each_other_and_then_below() {
    let one = |title: &str| HeatMap {
        title: title.to_owned(),
        ..map(5, 6, |_, _| Some(0.5))
    };
    let maps = ["full", "ring & <sinks>", "tova", "x", "y"].map(one);
    let svg = heat_maps(&maps, "Needles", "by policy").unwrap();
    inside(&svg);
    assert_eq!(texts(&svg)[..2], ["Needles", "by policy"]);
    assert!(texts(&svg).contains(&"ring &amp; &lt;sinks&gt;"));
    let cells = cells(&svg, 150);
    let first = |number: usize| cells[30 * number];
    assert!(first(1).0 > cells[5].0 && first(1).1 == first(0).1);
    assert!(first(4).1 > cells[29].1, "the last is below the first");
    assert_eq!(
        texts(&svg).iter().filter(|text| **text == "0.25").count(),
        1,
        "one legend"
    );
}

#[test]
fn maps_of_every_size_are_drawn() {
    for (rows, columns) in [(1, 1), (1, 40), (40, 1), (40, 40), (3, 200)] {
        let svg = draw(&map(rows, columns, |row, column| {
            (row != column || rows == 1)
                .then(|| (row * columns + column) as f64 / (rows * columns) as f64)
        }));
        assert!(texts(&svg).contains(&"n0"));
    }
    let different = [
        map(1, 1, |_, _| Some(1.0)),
        map(9, 4, |_, _| None),
        map(0, 0, |_, _| None),
    ];
    inside(&heat_maps(&different, "", "").unwrap());
}

#[test]
fn without_cells_the_picture_says_so() {
    let nothing = "Nothing has been measured yet.";
    assert!(texts(&heat_maps(&[], "title", "").unwrap()).contains(&nothing));
    for (rows, columns) in [(0, 0), (0, 3), (3, 0)] {
        assert!(texts(&draw(&map(rows, columns, |_, _| None))).contains(&nothing));
    }
}

#[test]
fn long_texts_are_shortened_and_texts_are_escaped() {
    let mut long = map(1, 1, |_, _| Some(0.5));
    let text = "<&\"'> long ".repeat(20);
    for part in [
        &mut long.title,
        &mut long.subtitle,
        &mut long.row_label,
        &mut long.column_label,
    ] {
        *part = text.clone();
    }
    (long.rows[0], long.columns[0]) = (text.clone(), text);
    let svg = draw(&long);
    let shortened = texts(&svg).into_iter().filter(|text| text.ends_with('…'));
    assert_eq!(
        shortened
            .filter(|text| text.starts_with("&lt;&amp;&quot;&apos;&gt;"))
            .count(),
        6
    );
}

#[test]
fn values_that_do_not_fit_their_names_are_errors() {
    let refused = |map: HeatMap| {
        let error = heat_map(&map).unwrap_err();
        assert_eq!(
            heat_maps(&[map], "", "").unwrap_err().to_string(),
            error.to_string()
        );
        assert!(matches!(
            error,
            PlotError::Shape { .. } | PlotError::NoShare { .. }
        ));
        error.to_string()
    };
    let mut short = map(2, 2, |_, _| None);
    short.values.pop();
    assert_eq!(
        refused(short),
        "heat map \"Needle\": its values have 1 rows, but 2 are named: give one value (or none) for each cell"
    );
    let mut ragged = map(2, 2, |_, _| None);
    ragged.values[1].push(Some(0.5));
    assert_eq!(
        refused(ragged),
        "heat map \"Needle\": its values have 3 columns in row \"n1\", but 2 are named: give one value (or none) for each cell"
    );
    for value in [-0.1, 1.1, f64::INFINITY] {
        let error = refused(map(2, 2, |row, column| {
            Some(if (row, column) == (1, 0) { value } else { 0.5 })
        }));
        assert_eq!(
            error,
            format!(
                "heat map \"Needle\": {value} in row \"n1\", column \"n0\" is no share: give values from 0 to 1"
            )
        );
    }
}
