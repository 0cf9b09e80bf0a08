//! Runs that get another number of steps when they resume.

use std::path::Path;

use glass_train::{Event, Recipe, Run, TrainError, learning_rate};
use serde_json::json;

use crate::{
    devices,
    runs::{TestFolder, column, config, is_one_line, metrics, recipe, resume, stop_at, to_the_end, weights},
};

fn resume_for(folder: &Path, steps: usize) -> Result<Run, TrainError> {
    Run::resume(folder, None, Some(steps), devices::flex())
}

#[test]
fn more_steps_follow_the_schedule_of_a_longer_run() {
    let folders = TestFolder::new();
    let folder = folders.train("run", &config(json!({})), &recipe());
    let before = metrics(&folder);
    drop(resume_for(&folder, 20).expect("it resumes"));
    // Even if nothing was done: the next one goes on with it.
    let mut run = resume(&folder).expect("it resumes");
    assert_eq!((run.steps(), run.recipe().steps), (12, 20));
    let outcome = to_the_end(&mut run);
    assert!(outcome.complete && outcome.step == 20);

    let after = metrics(&folder);
    assert_eq!(after[..before.len()], before);
    let rates = column(&after, "lr");
    assert_eq!(rates.len(), 20);
    let longer = Recipe { steps: 20, ..recipe() };
    let expected: Vec<f64> = (12..20).map(|step| learning_rate(&longer, step)).collect();
    assert_eq!(rates[12..], expected);
    assert_eq!(rates[19], longer.min_learning_rate);
}

#[test]
fn fewer_steps_end_the_run_earlier() {
    let folders = TestFolder::new();
    let mut run = Run::start(folders.start("run", &config(json!({})), &recipe())).expect("a run");
    let folder = run.folder().to_owned();
    stop_at(&mut run, |event| matches!(event, Event::Step { step: 6, .. }));
    drop(run);
    for steps in [0, 1, 5] {
        let Err(error) = resume_for(&folder, steps) else { panic!("{steps} steps") };
        let reason = if steps == 0 { "is 0" } else { "has done 6 already" };
        is_one_line(&error, &["--steps", reason, "6 or more"]);
        assert_eq!(resume(&folder).expect("it resumes").recipe().steps, 12);
    }
    let outcome = to_the_end(&mut resume_for(&folder, 8).expect("it resumes"));
    assert!(outcome.complete && outcome.step == 8);
    assert_eq!(column(&metrics(&folder), "lr").last(), Some(&recipe().min_learning_rate));
    assert_eq!(to_the_end(&mut resume_for(&folder, 8).expect("it resumes")).step, 8);
}

/// Within the warm-up, the warm-up is all there is.
#[test]
fn fewer_steps_than_the_warm_up_shorten_it() {
    let folders = TestFolder::new();
    let mut run = Run::start(folders.start("run", &config(json!({})), &recipe())).expect("a run");
    let folder = run.folder().to_owned();
    stop_at(&mut run, |event| matches!(event, Event::Step { step: 1, .. }));
    drop(run);
    let outcome = to_the_end(&mut resume_for(&folder, 2).expect("it resumes"));
    assert!(outcome.complete && outcome.step == 2);
}

#[test]
fn as_many_steps_as_before_change_nothing() {
    let folders = TestFolder::new();
    let whole = folders.train("whole", &config(json!({})), &recipe());
    let mut run = Run::start(folders.start("run", &config(json!({})), &recipe())).expect("a run");
    let folder = run.folder().to_owned();
    stop_at(&mut run, |event| matches!(event, Event::Step { step: 6, .. }));
    drop(run);
    to_the_end(&mut resume_for(&folder, 12).expect("it resumes"));
    assert_eq!(metrics(&folder), metrics(&whole));
    assert!(weights(&folder) == weights(&whole));
}
