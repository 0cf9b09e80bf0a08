//! Curves, of every number and shape.

use glass_plot::{Axis, MAX_SERIES, PlotError, Point, Scale, Series, curves};

use crate::{
    NOTHING, PX, drawn, says,
    svg::{attribute, number, places, tags, texts},
};

fn series(name: &str, points: &[Point]) -> Series {
    Series { name: name.to_owned(), points: points.to_vec(), bars: vec![] }
}

fn axes(x: Scale, y: Scale) -> [Axis<'static>; 2] {
    let axis = |label, scale| Axis { label, scale };
    [axis("position", x), axis("NLL (nats per token)", y)]
}

fn draw(series: &[Series], x: Scale, y: Scale) -> String {
    let svg = drawn(|| curves(series, axes(x, y), "Likelihood", "of a text").unwrap());
    assert_eq!(texts(&svg)[..2], ["Likelihood", "of a text"]);
    svg
}

/// The lines that are as wide as a curve, with their colours: those of the legend, then the curves.
fn strokes(svg: &str) -> Vec<(&str, Vec<(f64, f64)>)> {
    let strokes = tags(svg, "polyline").into_iter();
    let strokes = strokes.filter(|line| number(line, "stroke-width") == 2.0 * PX);
    strokes.map(|line| (attribute(line, "stroke"), places(line))).collect()
}

/// The curves: those in the legend are shorter than any here.
fn lines(svg: &str) -> Vec<Vec<(f64, f64)>> {
    let lines = strokes(svg).into_iter().map(|(_, line)| line);
    lines.filter(|line| line.last().unwrap().0 - line[0].0 > 26.0 * PX).collect()
}

/// Whether all differences between neighbours are equal, but for rounding.
fn even(values: impl Iterator<Item = f64>) -> bool {
    let values: Vec<f64> = values.collect();
    values.windows(2).all(|two| (two[1] - two[0] - (values[1] - values[0])).abs() <= 2.0)
}

#[test]
fn curves_are_drawn_with_axes_and_legend() {
    let all =
        [series("full", &[(1.0, 4.0), (131072.0, 1.5)]), series("ring & <sinks>", &[(1.0, 4.0), (131072.0, 2.0)])];
    let svg = draw(&all, Scale::Log2, Scale::Linear);
    let expected = ["position", "NLL (nats per token)", "full", "ring &amp; &lt;sinks&gt;", "2.5", "1", "16,384"];
    says(&svg, &expected);
    assert!(svg.starts_with("<svg width=\"960\" height=\"540\" viewBox="));
}

#[test]
fn points_lie_in_proportion_whatever_their_order() {
    let unsorted = series("a", &[(3.0, 40.0), (1.0, 10.0), (2.0, 20.0)]);
    let line = &lines(&draw(&[unsorted], Scale::Linear, Scale::Linear))[0];
    assert!(line.len() == 3 && even(line.iter().map(|place| place.0)), "{line:?}");
    // Greater values are higher up.
    let (first, second) = (line[0].1 - line[1].1, line[1].1 - line[2].1);
    assert!(first > 0.0 && (second - 2.0 * first).abs() <= 3.0, "{line:?}");
}

#[test]
fn doublings_are_equally_wide() {
    let doublings = (0..=17).map(|exponent| f64::from(exponent).exp2());
    let points: Vec<Point> = doublings.map(|value| (value, value)).collect();
    let line = &lines(&draw(&[series("a", &points)], Scale::Log2, Scale::Log2))[0];
    assert!(even(line.iter().map(|place| place.0)), "{line:?}");
    assert!(even(line.iter().map(|place| place.1)), "{line:?}");
}

#[test]
fn logarithmic_axes_span_powers_of_two() {
    for exponent in -20..20 {
        let [low, high] = [exponent, exponent + 3].map(|exponent| f64::from(exponent).exp2());
        let svg = draw(&[series("a", &[(low, 1.0), (high, 1.0)])], Scale::Log2, Scale::Linear);
        let line = &lines(&svg)[0];
        let ticks = tags(&svg, "line").into_iter();
        let mut ticks: Vec<f64> = ticks.map(|tick| number(tick, "x1")).collect();
        ticks.sort_by(f64::total_cmp);
        assert!(ticks.contains(&line[0].0) && ticks.contains(&line[1].0), "{exponent}: {ticks:?}");
    }
    // Within one doubling there are two ticks all the same.
    let svg = draw(&[series("a", &[(1100.0, 1.0), (1900.0, 1.0)])], Scale::Log2, Scale::Linear);
    says(&svg, &["1,024", "2,048"]);
}

#[test]
fn eight_curves_differ_in_colour_and_more_are_an_error() {
    let all: Vec<Series> =
        (0..=MAX_SERIES).map(|number| series(&format!("curve {number}"), &[(0.0, 1.0), (9.0, 1.0)])).collect();
    let svg = draw(&all[..MAX_SERIES], Scale::Linear, Scale::Linear);
    let mut colors: Vec<&str> = strokes(&svg).into_iter().map(|(color, _)| color).collect();
    colors.sort();
    colors.dedup();
    assert_eq!(colors.len(), MAX_SERIES);
    assert_eq!(lines(&svg).len(), MAX_SERIES);
    // Their names do not overlap.
    let named = tags(&svg, "text").into_iter().zip(texts(&svg));
    let named = named.filter(|(_, text)| text.starts_with("curve "));
    let heights: Vec<f64> = named.map(|(tag, _)| number(tag, "y")).collect();
    assert_eq!(heights.len(), MAX_SERIES);
    assert!(heights.is_sorted_by(|a, b| b - a >= 15.0 * PX), "{heights:?}");

    let error = curves(&all, axes(Scale::Linear, Scale::Linear), "", "").unwrap_err();
    assert!(matches!(error, PlotError::TooManySeries { given: 9 }));
    assert!(error.to_string().starts_with("9 curves cannot"), "{error}");
}

#[test]
fn bars_stand_where_their_points_do() {
    let mut a = series("a", &[(1.0, 2.0), (4.0, 3.0)]);
    a.bars = vec![(1.0, [1.0, 2.5]), (4.0, [3.0, 3.0]), (2.0, [f64::NAN, 1.0])];
    let svg = draw(&[a], Scale::Log2, Scale::Linear);
    let curve = &lines(&svg)[0];
    let colour = strokes(&svg)[0].0;
    let thin = tags(&svg, "polyline").into_iter().filter(|line| number(line, "stroke-width") == PX);
    let bars = thin.filter(|line| attribute(line, "stroke") == colour).map(places);
    let upright: Vec<_> = bars.filter(|bar| bar[0].0 == bar[1].0).collect();
    assert_eq!(upright.len(), 2, "{upright:?}");
    assert_eq!([upright[0][0].0, upright[1][0].0], [curve[0].0, curve[1].0]);
    let [bar, flat] = [&upright[0], &upright[1]];
    assert!(bar[0].1 > curve[0].1 && bar[1].1 < curve[0].1 && flat[0].1 == curve[1].1, "{upright:?} on {curve:?}");
    says(&svg, &["Points left out, because these axes cannot show them: 1."]);
}

#[test]
fn points_that_the_axes_cannot_show_leave_a_gap_and_are_told() {
    let told = |svg: &str| {
        let texts = texts(svg);
        let note = texts.iter().find_map(|text| text.strip_prefix("Points left out, "));
        note.map(|note| note.rsplit(' ').next().unwrap().to_owned())
    };
    let mut points: Vec<Point> = (0..10).map(|x| (f64::from(x), f64::from(x))).collect();
    let draw = |points: &[Point], x| draw(&[series("a", points)], x, Scale::Linear);
    let whole = draw(&points, Scale::Linear);
    assert_eq!((lines(&whole).len(), told(&whole)), (1, None));
    assert_eq!(told(&draw(&points, Scale::Log2)).unwrap(), "1.");
    points[5].1 = f64::NAN;
    points.push((f64::INFINITY, 3.0));
    let gap = draw(&points, Scale::Linear);
    assert_eq!((lines(&gap).len(), told(&gap).unwrap().as_str()), (2, "2."));
}

#[test]
fn many_points_are_a_small_file() {
    let points: Vec<Point> = (1..=131_072).map(|x| (f64::from(x), f64::from(x * 7919 % 101))).collect();
    let svg = draw(&[series("a", &points)], Scale::Log2, Scale::Linear);
    assert!(svg.len() < 60_000, "{} bytes", svg.len());
}

#[test]
fn nothing_few_and_odd_points_are_drawn() {
    for scale in [Scale::Linear, Scale::Log2] {
        let draw = |points: &[Point]| draw(&[series("a", points), series("b", &[])], scale, scale);
        says(&draw(&[]), &[NOTHING]);
        let lost = draw(&[(f64::NAN, 1.0)]);
        assert!(texts(&lost)[2].starts_with("Points left out"));
        let one = draw(&[(5.0, 7.0)]);
        assert_eq!(one.matches("<circle").count(), 2, "the point and the legend");
        says(&one, &["b"]);
        draw(&[(5.0, 7.0), (5.0, 8.0)]);
        draw(&[(1.0, 1.0), (1.0 + f64::EPSILON, 1.0 + f64::EPSILON)]);
        draw(&[(-1e15, -1e15), (1e15, 1e15)]);
        draw(&[(1e15, 1.0), (1e15 + 1e9, 1.0)]);
        draw(&[(1e-15, 1e-14), (1e-13, 1e-15)]);
        draw(&[(-1e300, f64::MAX), (1e300, f64::MIN)]);
    }
    let svg = draw(&[series(&"long ".repeat(30), &[(1.0, 1.0)])], Scale::Linear, Scale::Linear);
    let truncated = |text: &&str| text.ends_with('…') && text.chars().count() < 30;
    assert!(texts(&svg).iter().any(truncated));
}
