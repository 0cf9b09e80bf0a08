//! Curves, of every number and shape.

use glass_plot::{Axes, Axis, MOST_SERIES, PlotError, Point, Scale, Series, curves};

use crate::svg::{attribute, number, places, tags, texts};

fn series(name: &str, points: &[Point]) -> Series {
    Series {
        name: name.to_owned(),
        points: points.to_vec(),
    }
}

fn axes(x: Scale, y: Scale) -> Axes<'static> {
    Axes {
        title: "Likelihood",
        subtitle: "of a text",
        x: Axis {
            label: "position",
            scale: x,
        },
        y: Axis {
            label: "NLL (nats per token)",
            scale: y,
        },
    }
}

fn draw(series: &[Series], x: Scale, y: Scale) -> String {
    let svg = curves(series, &axes(x, y)).unwrap();
    assert_eq!(texts(&svg)[..2], ["Likelihood", "of a text"]);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg, curves(series, &axes(x, y)).unwrap());
    svg
}

/// The places of the lines that are as wide as a curve.
fn lines(svg: &str) -> Vec<Vec<(f64, f64)>> {
    let curves = tags(svg, "polyline").into_iter();
    let curves = curves.filter(|line| attribute(line, "stroke-width") == "8");
    // Swatches are shorter than any curve here.
    let swatch = |line: &Vec<(f64, f64)>| line.last().unwrap().0 - line[0].0 > 26.0 * 4.0;
    curves.map(places).filter(swatch).collect()
}

#[test]
fn the_picture_says_what_it_shows() {
    let svg = draw(
        &[
            series("full", &[(1.0, 4.0), (131072.0, 1.5)]),
            series("ring & <sinks>", &[(1.0, 4.0), (131072.0, 2.0)]),
        ],
        Scale::Log2,
        Scale::Linear,
    );
    for text in [
        "position",
        "NLL (nats per token)",
        "full",
        "ring &amp; &lt;sinks&gt;",
        "131,072",
    ] {
        assert!(texts(&svg).contains(&text), "{text} in {:?}", texts(&svg));
    }
    assert!(svg.starts_with("<svg width=\"960\" height=\"540\" viewBox="));
}

#[test]
fn points_lie_in_proportion_whatever_their_order() {
    let svg = draw(
        &[series("a", &[(3.0, 40.0), (1.0, 10.0), (2.0, 20.0)])],
        Scale::Linear,
        Scale::Linear,
    );
    let line = &lines(&svg)[0];
    assert_eq!(line.len(), 3);
    assert!(
        ((line[2].0 - line[1].0) - (line[1].0 - line[0].0)).abs() <= 2.0,
        "{line:?}"
    );
    // Greater values are higher up.
    assert!(
        ((line[1].1 - line[2].1) - 2.0 * (line[0].1 - line[1].1)).abs() <= 3.0,
        "{line:?}"
    );
}

#[test]
fn doublings_are_equally_wide() {
    let points: Vec<Point> = (0..=17)
        .map(|exponent| (f64::from(exponent).exp2(), f64::from(exponent).exp2()))
        .collect();
    let svg = draw(&[series("a", &points)], Scale::Log2, Scale::Log2);
    let line = &lines(&svg)[0];
    let (dx, dy) = (line[1].0 - line[0].0, line[1].1 - line[0].1);
    for two in line.windows(2) {
        assert!(
            (two[1].0 - two[0].0 - dx).abs() <= 2.0 && (two[1].1 - two[0].1 - dy).abs() <= 2.0,
            "{line:?}"
        );
    }
}

#[test]
fn an_axis_from_zero_shows_zero() {
    let points = [(1.0, 200.0), (2.0, 205.0)];
    let shows_zero = |y| texts(&draw(&[series("a", &points)], Scale::Log2, y)).contains(&"0");
    assert!(shows_zero(Scale::FromZero) && !shows_zero(Scale::Linear));
}

#[test]
fn eight_curves_differ_in_colour_and_mark_and_more_are_an_error() {
    let all: Vec<Series> = (0..=MOST_SERIES)
        .map(|number| series(&format!("curve {number}"), &[(0.0, 1.0), (9.0, 1.0)]))
        .collect();
    let svg = draw(&all[..MOST_SERIES], Scale::Linear, Scale::Linear);
    let mut colors: Vec<_> = tags(&svg, "polyline")
        .into_iter()
        .filter(|line| attribute(line, "stroke-width") == "8")
        .map(|line| attribute(line, "stroke"))
        .collect();
    colors.sort();
    colors.dedup();
    assert_eq!(colors.len(), MOST_SERIES);
    // Their ends coincide, their names do not.
    let mut heights: Vec<f64> = tags(&svg, "text")
        .into_iter()
        .zip(texts(&svg))
        .filter(|(_, text)| text.starts_with("curve "))
        .map(|(tag, _)| number(tag, "y"))
        .collect();
    heights.sort_by(f64::total_cmp);
    assert_eq!(heights.len(), MOST_SERIES);
    assert!(
        heights.windows(2).all(|two| two[1] - two[0] >= 15.0 * 4.0),
        "{heights:?}"
    );

    let error = curves(&all, &axes(Scale::Linear, Scale::Linear)).unwrap_err();
    assert!(matches!(error, PlotError::TooManySeries { given: 9 }));
    assert!(error.to_string().starts_with("9 curves cannot"), "{error}");
}

#[test]
fn what_has_no_place_leaves_a_gap_and_is_told() {
    let told = |svg: &str| {
        texts(svg)
            .into_iter()
            .find(|text| text.contains("no place"))
            .map(str::to_owned)
    };
    let mut points: Vec<Point> = (0..10).map(|x| (f64::from(x), f64::from(x))).collect();
    let whole = draw(&[series("a", &points)], Scale::Linear, Scale::Linear);
    assert_eq!((lines(&whole).len(), told(&whole)), (1, None));
    let log = draw(&[series("a", &points)], Scale::Log2, Scale::Linear);
    assert_eq!(
        told(&log).unwrap(),
        "1 point has no place here and is left out."
    );
    points[5].1 = f64::NAN;
    points.push((f64::INFINITY, 3.0));
    let gap = draw(&[series("a", &points)], Scale::Linear, Scale::Linear);
    assert_eq!(lines(&gap).len(), 2);
    assert_eq!(
        told(&gap).unwrap(),
        "2 points have no place here and are left out."
    );
}

#[test]
fn many_points_are_a_small_file() {
    let points: Vec<Point> = (1..=131_072)
        .map(|x| (f64::from(x), f64::from(x * 7919 % 101)))
        .collect();
    let svg = draw(&[series("a", &points)], Scale::Log2, Scale::Linear);
    assert!(svg.len() < 60_000, "{} bytes", svg.len());
    // The first positions are far apart on this axis: none of them is thinned out.
    let line = &lines(&svg)[0];
    assert!((line[1].0 - line[0].0) > 100.0, "{:?}", &line[..4]);
}

#[test]
fn nothing_little_and_odd_is_drawn() {
    let nothing = "Nothing has been measured yet.";
    for scale in [Scale::Linear, Scale::FromZero, Scale::Log2] {
        assert!(texts(&draw(&[], scale, scale)).contains(&nothing));
        assert!(texts(&draw(&[series("a", &[])], scale, scale)).contains(&nothing));
        let lost = draw(&[series("a", &[(f64::NAN, 1.0)])], scale, scale);
        assert!(texts(&lost)[2].starts_with("1 point has no place"));
        let one = draw(
            &[series("a", &[(5.0, 7.0)]), series("b", &[])],
            scale,
            scale,
        );
        assert_eq!(one.matches("<circle").count(), 2, "the point and the name");
        assert!(texts(&one).contains(&"b"));
        draw(&[series("a", &[(5.0, 7.0), (5.0, 8.0)])], scale, scale);
        draw(
            &[series(
                "a",
                &[(1.0, 1.0), (1.0 + f64::EPSILON, 1.0 + f64::EPSILON)],
            )],
            scale,
            scale,
        );
        draw(
            &[series("a", &[(-1e15, -1e15), (1e15, 1e15)])],
            scale,
            scale,
        );
        draw(
            &[series("a", &[(1e-15, 1e-14), (1e-13, 1e-15)])],
            scale,
            scale,
        );
        draw(
            &[series("a", &[(-1e300, f64::MAX), (1e300, f64::MIN)])],
            scale,
            scale,
        );
    }
    let long = draw(
        &[series(&"long ".repeat(30), &[(1.0, 1.0)])],
        Scale::Linear,
        Scale::Linear,
    );
    assert!(
        texts(&long)
            .iter()
            .any(|text| text.ends_with('…') && text.chars().count() < 30)
    );
}
