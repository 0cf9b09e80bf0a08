//! A run that is broken off or killed, and goes on, is the run that it would have been.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    ops::ControlFlow,
    path::Path,
};

use glass_train::{Event, Recipe, Run};
use serde_json::json;

use crate::runs::{Place, config, copy, go, metrics, recipe, resume, to_the_end, until, weights};

/// The same lines of metrics, seconds apart, and the same weights, bit for bit.
fn assert_same(a: &Path, b: &Path, case: &str) {
    assert_eq!(metrics(a), metrics(b), "{case}");
    assert!(weights(a) == weights(b), "{case}: other weights");
}

/// Wherever it is broken off, and that twice: within training, while a measurement is due or going on, at the last step.
#[test]
fn broken_off_and_resumed() {
    let place = Place::new();
    let whole = place.train("whole", &config(json!({})), &recipe());
    assert_eq!(metrics(&whole).len(), 12 + 3);

    type At = fn(Event) -> bool;
    let breaks: [(&str, At); 6] = [
        ("a step", |event| {
            matches!(event, Event::Step { step: 7, .. })
        }),
        ("a step to be measured", |event| {
            matches!(event, Event::Step { step: 5, .. })
        }),
        ("measuring", |event| {
            matches!(event, Event::Measuring { .. })
        }),
        ("measured", |event| matches!(event, Event::Measured { .. })),
        ("saved", |event| matches!(event, Event::Saved { step: 8 })),
        ("the last step", |event| {
            matches!(event, Event::Step { step: 12, .. })
        }),
    ];
    for (number, (case, at)) in breaks.into_iter().enumerate() {
        let start = place.start(&format!("broken-{number}"), &config(json!({})), &recipe());
        let mut run = Run::start(start).expect("a run");
        until(&mut run, at);
        let (folder, step) = (run.folder().to_owned(), run.steps());
        drop(run);
        assert!(
            folder.join(format!("training/step-{step}")).is_dir(),
            "{case}"
        );

        let mut run = resume(&folder).expect("it goes on");
        assert_eq!(run.steps(), step, "{case}");
        until(&mut run, |event| {
            matches!(event, Event::Step { step: 9, .. })
        });
        let mut run = resume(&folder).expect("it goes on again");
        let outcome = to_the_end(&mut run);
        assert!(outcome.complete, "{case}");
        assert_same(&whole, &folder, case);
        // Nothing is left to do, and nothing changes.
        let again = to_the_end(&mut resume(&folder).expect("it can be asked"));
        assert_eq!(
            (again.step, again.held_out_loss),
            (12, outcome.held_out_loss),
            "{case}"
        );
        assert_same(&whole, &folder, case);
    }
}

/// What a kill leaves: an older checkpoint, metrics that are ahead of it and end in half a line, a checkpoint half
/// written. Gradients are gathered over two batches, and values are dropped everywhere.
#[test]
fn killed_and_resumed() {
    let recipe = Recipe {
        accumulate: 2,
        dropout: 0.2,
        ..recipe()
    };
    let config = config(json!({"attention_dropout": 0.1}));
    let place = Place::new();
    let killed = place.path("killed");
    let mut run = Run::start(place.start("whole", &config, &recipe)).expect("a run");
    let whole = run.folder().to_owned();
    let outcome = go(&mut run, &mut |event| {
        if matches!(event, Event::Step { step: 7, .. }) {
            copy(&whole, &killed);
        }
        ControlFlow::Continue(())
    });
    assert!(outcome.expect("it trains").complete);

    let mut log = OpenOptions::new()
        .append(true)
        .open(killed.join("metrics.jsonl"))
        .unwrap();
    log.write_all(b"{\"step\":8,\"train_lo").unwrap();
    let unfinished = killed.join("training/unfinished");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("model.safetensors"), b"half of it").unwrap();

    let mut run = resume(&killed).expect("it goes on");
    assert_eq!(run.steps(), 4);
    to_the_end(&mut run);
    assert_same(&whole, &killed, "killed");
    let left: Vec<_> = fs::read_dir(killed.join("training")).unwrap().collect();
    assert_eq!(left.len(), 2, "the last two checkpoints are left: {left:?}");

    // Dropping does something: without it, the same run is another.
    let dry = Recipe {
        dropout: 0.0,
        ..recipe
    };
    let dry = place.train("dry", &config, &dry);
    assert_ne!(metrics(&dry), metrics(&whole));
}

/// Killed after the new checkpoint took its place and before the one before it was removed.
#[test]
fn the_newer_of_two_checkpoints_counts() {
    let place = Place::new();
    let mut run = Run::start(place.start("run", &config(json!({})), &recipe())).expect("a run");
    let folder = run.folder().to_owned();
    until(&mut run, |event| matches!(event, Event::Saved { step: 4 }));
    copy(&folder.join("training/step-4"), &place.path("step-4"));
    let mut run = resume(&folder).expect("it goes on");
    // By number: as text, 10 comes before 4.
    until(&mut run, |event| {
        matches!(event, Event::Step { step: 10, .. })
    });
    copy(&place.path("step-4"), &folder.join("training/step-4"));

    let mut run = resume(&folder).expect("it goes on");
    assert_eq!(run.steps(), 10);
    to_the_end(&mut run);
    let whole = place.train("whole", &config(json!({})), &recipe());
    assert_same(&whole, &folder, "two checkpoints");
    assert!(!folder.join("training/step-4").exists());
}
