//! A run that goes wrong stops, and what was good is kept.

use std::ops::ControlFlow;

use glass_train::{Event, Recipe, Run, TrainError};
use serde_json::json;

use crate::runs::{Place, config, go, is_one_line, recipe, resume, tensor, weights};

/// A learning rate that no model survives: the loss is no number at the second step, and the run is where it began.
#[test]
fn a_loss_that_is_no_number() {
    let recipe = Recipe {
        learning_rate: 1e30,
        min_learning_rate: 0.0,
        warmup_steps: 0,
        ..recipe()
    };
    let place = Place::new();
    let mut run = Run::start(place.start("run", &config(json!({})), &recipe)).expect("a run");
    let mut steps = 0;
    let error = go(&mut run, &mut |event| {
        steps += usize::from(matches!(event, Event::Step { .. }));
        ControlFlow::Continue(())
    });
    let error = error.expect_err("no model survives it");
    assert!(
        matches!(error, TrainError::NotFinite { step: 2, .. }),
        "{error}"
    );
    is_one_line(&error, &["step 2", "--learning-rate", "checkpoint is kept"]);
    assert_eq!(steps, 1);
    let kept = resume(run.folder()).expect("the checkpoint is whole");
    assert_eq!(kept.steps(), 0);
}

/// Weights that are saved before anybody sees what they do are not what is left: neither to go on from, nor for use.
#[test]
fn what_was_saved_too_late_is_forgotten() {
    let recipe = Recipe {
        learning_rate: 1e30,
        min_learning_rate: 0.0,
        warmup_steps: 0,
        save_every: 1,
        ..recipe()
    };
    let place = Place::new();
    let mut run = Run::start(place.start("run", &config(json!({})), &recipe)).expect("a run");
    let mut saved = 0;
    let error = go(&mut run, &mut |event| {
        saved += usize::from(matches!(event, Event::Saved { .. }));
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(TrainError::NotFinite { step: 2, .. })));
    assert_eq!(saved, 1);
    let kept = resume(run.folder()).expect("the checkpoint is whole");
    assert_eq!(kept.steps(), 0);
    let name = "model.layers.0.self_attn.q_proj.weight";
    let first = run.folder().join("training/step-0");
    assert_eq!(tensor(run.folder(), name), tensor(&first, name));
}

/// Weights that are no numbers, seen first by the measurement on the held-out text.
#[test]
fn a_measurement_that_is_no_number() {
    let recipe = Recipe {
        learning_rate: 1e39,
        min_learning_rate: 0.0,
        warmup_steps: 0,
        eval_every: 1,
        save_every: 1,
        ..recipe()
    };
    let place = Place::new();
    let mut run = Run::start(place.start("run", &config(json!({})), &recipe)).expect("a run");
    let error = go(&mut run, &mut |_| ControlFlow::Continue(())).expect_err("no model survives it");
    is_one_line(&error, &["step 1", "--learning-rate", "checkpoint is kept"]);
    assert_eq!(
        resume(run.folder())
            .expect("the checkpoint is whole")
            .steps(),
        0
    );
}

/// A loss that rises for good, though it stays a number: a checkpoint from before is kept.
#[test]
fn a_loss_that_rises() {
    let recipe = Recipe {
        steps: 200,
        learning_rate: 3.0,
        min_learning_rate: 3.0,
        warmup_steps: 200,
        clip: 0.0,
        eval_every: 200,
        save_every: 10,
        ..recipe()
    };
    let place = Place::new();
    let mut run = Run::start(place.start("run", &config(json!({})), &recipe)).expect("a run");
    let mut saved = 0;
    let error = go(&mut run, &mut |event| {
        if let Event::Saved { step } = event {
            saved = step;
        }
        ControlFlow::Continue(())
    });
    let error = error.expect_err("it diverges");
    let TrainError::Diverged { step, now, best } = error else {
        panic!("{error}")
    };
    assert!(now > best + 1.0 && step > 25, "{error}");
    is_one_line(
        &error,
        &["diverges", "--learning-rate", "checkpoint is kept"],
    );
    let kept = resume(run.folder()).expect("the checkpoint is whole");
    assert!(kept.steps() <= saved && saved < step);
    assert!(!weights(run.folder()).is_empty());
}
