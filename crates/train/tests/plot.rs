//! The loss plot, from runs of every length and shape.

use glass_train::{
    metrics::{EvaluationRecord, Record, TrainRecord},
    plot::loss_plot,
};

fn train(step: u64, train_loss: f64) -> Record {
    Record::Train(TrainRecord {
        step,
        train_loss,
        lr: 1e-3,
        grad_norm: 0.8,
        tokens: step * 4096,
        seconds: step as f64 * 0.5,
    })
}

fn evaluation(step: u64, val_loss: f64) -> Record {
    Record::Evaluation(EvaluationRecord { step, val_loss })
}

/// A training line per step, an evaluation every 50; the best one half-way.
fn run(steps: u64, first_loss: f64) -> Vec<Record> {
    let mut records = Vec::new();
    for step in 1..=steps {
        let done = step as f64 / steps as f64;
        let noise = 0.1 * ((step * 7919 % 101) as f64 / 101.0 - 0.5);
        let start = first_loss * (-300.0 * (step - 1) as f64 / steps as f64).exp();
        records.push(train(step, 1.2 + 1.0 / (1.0 + 9.0 * done) + noise + start));
        if step % 50 == 0 {
            records.push(evaluation(step, 1.5 + (done - 0.5).powi(2)));
        }
    }
    records
}

fn draw(records: &[Record]) -> String {
    let svg = loss_plot(records, "a run", "its recipe").unwrap();
    assert_eq!(texts(&svg)[..2], ["a run", "its recipe"]);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(svg, loss_plot(records, "a run", "its recipe").unwrap());
    svg
}

/// What the text elements say, in their order. Fails where tags are not nested or closed as XML wants it.
fn texts(svg: &str) -> Vec<&str> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), svg);
    while let Some((text, after)) = rest.split_once('<') {
        if open.last() == Some(&"text") {
            texts.push(text.trim());
        } else {
            assert_eq!(text.trim(), "");
        }
        let (tag, after) = after.split_once('>').unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = after;
    }
    assert!(open.is_empty() && rest.trim().is_empty());
    texts.retain(|text| !text.is_empty());
    texts
}

/// The vertical positions (downwards) of the points of the last polyline with this many of them.
fn polyline(svg: &str, points: usize) -> Option<Vec<f64>> {
    let lines = svg.split("points=\"").skip(1).map(|line| {
        let line = line.split('"').next().unwrap().split_whitespace();
        line.map(|point| point.split_once(',').unwrap().1.parse().unwrap())
            .collect::<Vec<f64>>()
    });
    lines.filter(|line| line.len() == points).last()
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
    let records: Vec<_> = (1..)
        .zip(losses)
        .map(|(step, loss)| evaluation(step, loss))
        .collect();
    let y = polyline(&draw(&records), 4).expect("a polyline of four points");
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
    let svg = loss_plot(
        &run(20, 2.0),
        "<a & \"b\"> \u{1}\u{ffff}",
        &"long ".repeat(99),
    )
    .unwrap();
    let texts = texts(&svg);
    assert_eq!(texts[0], "&lt;a &amp; &quot;b&quot;&gt;  \u{fffd}");
    assert!(texts[1].ends_with('…') && texts[1].chars().count() < 100);
}

#[test]
fn without_a_loss_the_figure_says_so() {
    for records in [&[][..], &[evaluation(3, f64::NAN)]] {
        let svg = draw(records);
        assert_eq!(texts(&svg)[2..], ["No loss has been recorded yet."]);
    }
}

#[test]
fn few_equal_and_odd_losses_are_drawn() {
    let one = draw(&[train(10, 4.1)]);
    assert_eq!(one.matches("<circle").count(), 2, "the loss and the legend");
    assert!(!texts(&one).contains(&"validation"));
    assert!(texts(&draw(&[evaluation(0, 0.0)])).contains(&"best validation loss 0.0000, step 0"));
    draw(&[train(10, 4.1), train(20, 3.7), evaluation(20, 3.72)]);
    let equal: Vec<_> = (1..200)
        .flat_map(|step| [train(step, 1.5), evaluation(step, 1.5)])
        .collect();
    draw(&equal);
    draw(&[evaluation(1, 1.0), evaluation(2, 1.0 + f64::EPSILON)]);
    draw(&[train(7, 2.0), train(7, 3.0), train(2, 4.0)]);
    draw(&[
        train(0, f64::INFINITY),
        train(1, f64::NAN),
        train(2, -1e300),
        evaluation(u64::MAX, 1e300),
    ]);
}
