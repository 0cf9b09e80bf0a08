//! The loss plot, from runs of every length and shape.

use glass_plot::{Point, loss_plot};

use crate::svg::{places, tags, texts};

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
    let draw = || loss_plot(training, validation, "a run", "its recipe").unwrap();
    let svg = draw();
    assert_eq!(texts(&svg)[..2], ["a run", "its recipe"]);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg, draw());
    svg
}

/// The vertical positions (downwards) of the points of the last polyline with this many of them.
fn polyline(svg: &str, points: usize) -> Option<Vec<f64>> {
    let mut lines = tags(svg, "polyline").into_iter().map(places);
    let line = lines.rfind(|line| line.len() == points)?;
    Some(line.into_iter().map(|place| place.1).collect())
}

#[test]
fn the_figure_says_what_it_shows() {
    let svg = draw(&run(1000, 2.0));
    let texts = texts(&svg);
    for text in [
        "training step",
        "loss (nats per token)",
        "training, as recorded",
        "training, mean of 21 records",
        "validation",
        "best validation loss 1.5000, step 500",
        "1,000",
    ] {
        assert!(texts.contains(&text), "{text} is not in {texts:?}");
    }
    assert!(svg.starts_with("<svg width=\"960\" height=\"540\" viewBox="));
}

#[test]
fn the_validation_curve_goes_through_the_evaluations() {
    let losses = [3.0, 2.0, 1.5, 1.0];
    let evaluations = (1..).map(f64::from).zip(losses).collect();
    let y = polyline(&draw(&(Vec::new(), evaluations)), 4).expect("a polyline of four points");
    // Downwards on the page, in proportion: 1.0, 0.5 and 0.5 nats.
    assert!(
        y[1] > y[0] && ((y[1] - y[0]) - 2.0 * (y[2] - y[1])).abs() <= 3.0,
        "{y:?}"
    );
    assert!(((y[3] - y[2]) - (y[2] - y[1])).abs() <= 3.0, "{y:?}");
}

#[test]
fn a_first_loss_out_of_proportion_is_cut_off_and_told() {
    let told = |svg: &str| {
        texts(svg)
            .iter()
            .any(|text| text.starts_with("Losses up to "))
    };
    assert!(!told(&draw(&run(1000, 1.0))));
    let svg = draw(&run(1000, 498.0));
    assert!(told(&svg));
    assert!(svg.contains("Losses up to 500.1"), "{:?}", texts(&svg));
    assert!(
        texts(&svg).contains(&"2.0"),
        "the interesting part has its ticks"
    );
}

#[test]
fn a_long_run_is_a_small_file() {
    let size = draw(&run(100_000, 2.0)).len();
    assert!(size < 60_000, "{size} bytes");
}

#[test]
fn texts_are_escaped_and_shortened() {
    let (training, validation) = run(20, 2.0);
    let title = "<a & \"b\"> \u{1}\u{ffff}";
    let svg = loss_plot(&training, &validation, title, &"long ".repeat(99)).unwrap();
    let texts = texts(&svg);
    assert_eq!(texts[0], "&lt;a &amp; &quot;b&quot;&gt;  \u{fffd}");
    assert!(texts[1].ends_with('…') && texts[1].chars().count() < 100);
}

#[test]
fn without_a_loss_the_figure_says_so() {
    for validation in [vec![], vec![(3.0, f64::NAN)]] {
        let svg = draw(&(vec![], validation));
        assert_eq!(texts(&svg)[2..], ["No loss has been recorded yet."]);
    }
}

#[test]
fn few_equal_and_odd_losses_are_drawn() {
    let one = draw(&(vec![(10.0, 4.1)], vec![]));
    assert_eq!(one.matches("<circle").count(), 2, "the loss and the legend");
    assert!(!texts(&one).contains(&"validation"));
    let zero = draw(&(vec![], vec![(0.0, 0.0)]));
    assert!(texts(&zero).contains(&"best validation loss 0.0000, step 0"));
    draw(&(vec![(10.0, 4.1), (20.0, 3.7)], vec![(20.0, 3.72)]));
    let equal: Vec<Point> = (1..200).map(|step| (f64::from(step), 1.5)).collect();
    draw(&(equal.clone(), equal));
    draw(&(vec![], vec![(1.0, 1.0), (2.0, 1.0 + f64::EPSILON)]));
    draw(&(vec![(7.0, 2.0), (7.0, 3.0), (2.0, 4.0)], vec![]));
    draw(&(
        vec![(0.0, f64::INFINITY), (1.0, f64::NAN), (2.0, -1e300)],
        vec![(u64::MAX as f64, 1e300)],
    ));
}
