//! The loss plot, from runs of every length and shape.

use glass_plot::{Point, loss_plot};

use crate::{
    NOTHING, drawn, says,
    svg::{places, tags, texts},
};

/// Losses of training, and on a held-out text.
type Run = (Vec<Point>, Vec<Point>);

/// A training loss per step, an evaluation every 50; the best one half-way.
fn run(steps: u32, first_loss: f64) -> Run {
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    let all = f64::from(steps);
    for (number, step) in (1..=steps).map(|step| (step, f64::from(step))) {
        let noise = 0.1 * (f64::from(number * 7919 % 101) / 101.0 - 0.5);
        let start = first_loss * (-300.0 * (step - 1.0) / all).exp();
        let loss = 1.2 + 1.0 / (1.0 + 9.0 * step / all) + noise + start;
        training.push((step, loss));
        if number % 50 == 0 {
            validation.push((step, 1.5 + (step / all - 0.5).powi(2)));
        }
    }
    (training, validation)
}

fn draw((training, validation): &Run) -> String {
    let svg = drawn(|| loss_plot(training, validation, "a run", "its recipe").unwrap());
    assert_eq!(texts(&svg)[..2], ["a run", "its recipe"]);
    svg
}

/// The heights (downwards) of the points of the last polyline with this many of them.
fn heights(svg: &str, points: usize) -> Vec<f64> {
    let mut lines = tags(svg, "polyline").into_iter().map(places);
    let line = lines.rfind(|line| line.len() == points).expect("a line");
    line.into_iter().map(|place| place.1).collect()
}

#[test]
fn a_run_is_drawn_with_axes_and_legend() {
    let svg = draw(&run(1000, 2.0));
    let expected = [
        "training step",
        "loss (nats per token)",
        "training, as recorded",
        "training, mean of 21 records",
        "validation",
        "best validation loss 1.5000, step 500",
        "1,000",
        "2.0",
    ];
    says(&svg, &expected);
    assert!(svg.starts_with("<svg width=\"960\" height=\"540\" viewBox="));
}

#[test]
fn validation_losses_are_drawn_in_proportion() {
    let evaluations = [3.0, 2.0, 1.5, 1.0];
    let svg = draw(&(vec![], (1..).map(f64::from).zip(evaluations).collect()));
    let y = heights(&svg, 4);
    // Downwards on the page: 1.0, 0.5 and 0.5 nats.
    let [first, second, third] = [y[1] - y[0], y[2] - y[1], y[3] - y[2]];
    assert!(first > 100.0, "{y:?}");
    assert!((first - 2.0 * second).abs() <= 3.0 && (second - third).abs() <= 3.0, "{y:?}");
}

#[test]
fn first_losses_far_above_the_others_are_cut_off_and_told() {
    let told = |svg: &str| texts(svg)[2].starts_with("Losses up to ");
    assert!(!told(&draw(&run(1000, 1.0))));
    let svg = draw(&run(1000, 498.0));
    assert!(told(&svg) && svg.contains("Losses up to 500.1"));
    // The interesting part has its ticks.
    says(&svg, &["2.0"]);
}

#[test]
fn a_long_run_is_a_small_file_that_keeps_its_spikes() {
    let (mut training, validation) = run(100_000, 2.0);
    let size = draw(&(training.clone(), validation.clone())).len();
    assert!(size < 60_000, "{size} bytes");
    training[77_776].1 = 4.0;
    let svg = draw(&(training, validation));
    let recorded = places(tags(&svg, "polyline").iter().max_by_key(|line| line.len()).unwrap());
    let right_half = &recorded[recorded.len() / 2..];
    let mut heights: Vec<f64> = right_half.iter().map(|place| place.1).collect();
    heights.sort_by(f64::total_cmp);
    assert!(heights[0] < heights[1] - 1000.0, "{heights:?}");
}

#[test]
fn texts_are_escaped_and_truncated() {
    let (training, validation) = run(20, 2.0);
    let title = "<a & \"b\"> \u{1}\u{ffff}";
    let subtitle = "long ".repeat(99);
    let svg = drawn(|| loss_plot(&training, &validation, title, &subtitle).unwrap());
    let texts = texts(&svg);
    assert_eq!(texts[0], "&lt;a &amp; &quot;b&quot;&gt;  \u{fffd}");
    assert!(texts[1].ends_with('…') && texts[1].chars().count() < 125);
}

#[test]
fn without_a_loss_the_picture_says_so() {
    for loss in [vec![], vec![(3.0, f64::NAN)], vec![(3.0, f64::INFINITY)]] {
        assert_eq!(texts(&draw(&(vec![], loss)))[2..], [NOTHING]);
    }
}

#[test]
fn few_equal_and_odd_losses_are_drawn() {
    let one = draw(&(vec![(10.0, 4.1)], vec![]));
    assert_eq!(one.matches("<circle").count(), 1, "the loss");
    assert!(!texts(&one).contains(&"validation"));
    let zero = draw(&(vec![], vec![(0.0, 0.0)]));
    says(&zero, &["best validation loss 0.0000, step 0"]);
    draw(&(vec![(10.0, 4.1), (20.0, 3.7)], vec![(20.0, 3.72)]));
    let equal: Vec<Point> = (1..200).map(|step| (f64::from(step), 1.5)).collect();
    draw(&(equal.clone(), equal));
    draw(&(vec![], vec![(1.0, 1.0), (2.0, 1.0 + f64::EPSILON)]));
    draw(&(vec![(7.0, 2.0), (7.0, 3.0), (2.0, 4.0)], vec![]));
    let odd = vec![(0.0, f64::INFINITY), (1.0, f64::NAN), (2.0, -1e15)];
    draw(&(odd, vec![(u64::MAX as f64, 1e15)]));
}
