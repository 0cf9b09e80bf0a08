//! What cannot begin: one line that says why, and nothing written.

use std::fs;

use glass_train::{Recipe, Run, Shape, Start};
use serde_json::json;

use crate::runs::{Place, config, is_one_line, recipe};

/// Starts what `change` makes of a good start, and expects a line with all of `parts` and no trace in the file system.
fn refuse(parts: &[&str], change: impl FnOnce(&Place, &mut Start)) {
    let place = Place::new();
    let mut start = place.start("run", &config(json!({})), &recipe());
    change(&place, &mut start);
    let (output, entries) = (
        start.output.clone(),
        fs::read_dir(place.path(".")).unwrap().count(),
    );
    let there = output.exists();
    match Run::start(start) {
        Ok(_) => panic!("it begins, and should say: {parts:?}"),
        Err(error) => is_one_line(&error, parts),
    }
    assert_eq!(output.exists(), there, "{parts:?}");
    assert_eq!(
        fs::read_dir(place.path(".")).unwrap().count(),
        entries,
        "{parts:?}"
    );
}

#[test]
fn nothing_wrong_is_not_refused() {
    let place = Place::new();
    let start = place.start("run", &config(json!({})), &recipe());
    assert_eq!(
        Run::start(start).expect("a run").warnings(),
        Vec::<String>::new()
    );
}

#[test]
fn texts() {
    let text = |bytes: &'static [u8]| {
        move |place: &Place, start: &mut Start| {
            start.text = place.path("odd.txt");
            fs::write(&start.text, bytes).unwrap();
        }
    };
    refuse(&["odd.txt", "empty"], text(b""));
    refuse(
        &["9 tokens", "17 are needed", "--context"],
        text(b"too short!"),
    );
    refuse(
        &["odd.txt", "UTF-8", "byte 20"],
        text(b"until here it is all\xff right, and long enough"),
    );
    refuse(&["missing.txt", "does not exist"], |place, start| {
        start.text = place.path("missing.txt")
    });
    refuse(&["folder", "is a folder"], |place, start| {
        start.text = place.path("folder");
        fs::create_dir(&start.text).unwrap();
    });
    // One token is left to measure with, and none can be predicted.
    refuse(&["1 tokens", "measure"], |_, start| {
        start.recipe.held_out = 0.001
    });
}

#[test]
fn shapes() {
    refuse(&["enormous", "tiny", "--config"], |_, start| {
        start.shape = Shape::Preset("enormous".into())
    });
    refuse(&["nowhere.json"], |place, start| {
        start.shape = Shape::Config(place.path("nowhere.json"))
    });
    let shape = |fields| {
        move |place: &Place, start: &mut Start| {
            *start = place.start("run", &config(fields), &recipe())
        }
    };
    refuse(&["vocab_size", "20"], shape(json!({"vocab_size": 20})));
    refuse(
        &["context", "16", "8 positions"],
        shape(json!({"max_position_embeddings": 8})),
    );
    refuse(
        &["num_key_value_heads"],
        shape(json!({"num_key_value_heads": 3})),
    );
    refuse(&["no-such-dir"], |_, start| {
        start.tokenizer = "no-such-dir/tokenizer.json".parse().unwrap()
    });
}

#[test]
fn numbers_of_the_recipe() {
    type Change = fn(&mut Recipe);
    let changes: [(&str, Change); 25] = [
        ("steps", |recipe| recipe.steps = 0),
        ("batch", |recipe| recipe.batch = 0),
        ("context", |recipe| recipe.context = 0),
        ("accumulate", |recipe| recipe.accumulate = 0),
        ("eval-every", |recipe| recipe.eval_every = 0),
        ("save-every", |recipe| recipe.save_every = 0),
        ("learning-rate", |recipe| recipe.learning_rate = 0.0),
        ("learning-rate", |recipe| recipe.learning_rate = -1e-3),
        ("learning-rate", |recipe| recipe.learning_rate = f64::NAN),
        ("learning-rate", |recipe| {
            recipe.learning_rate = f64::INFINITY
        }),
        ("min-learning-rate", |recipe| recipe.min_learning_rate = 1.0),
        ("min-learning-rate", |recipe| {
            recipe.min_learning_rate = -1.0
        }),
        ("warmup-steps", |recipe| recipe.warmup_steps = 13),
        ("weight-decay", |recipe| recipe.weight_decay = -0.1),
        ("weight-decay", |recipe| recipe.weight_decay = f64::NAN),
        ("clip", |recipe| recipe.clip = -1.0),
        ("clip", |recipe| recipe.clip = f64::NAN),
        ("beta1", |recipe| recipe.beta1 = 1.0),
        ("beta2", |recipe| recipe.beta2 = -0.1),
        ("beta2", |recipe| recipe.beta2 = f64::NAN),
        ("dropout", |recipe| recipe.dropout = 1.0),
        ("dropout", |recipe| recipe.dropout = -0.5),
        ("held-out", |recipe| recipe.held_out = 0.0),
        ("held-out", |recipe| recipe.held_out = 1.0),
        ("held-out", |recipe| recipe.held_out = f64::NAN),
    ];
    for (field, change) in changes {
        refuse(&[&format!("--{field} ")], |_, start| {
            change(&mut start.recipe)
        });
    }
}

#[test]
fn folders() {
    refuse(&["run", "not empty"], |place, _| {
        fs::create_dir(place.path("run")).unwrap();
        fs::write(place.path("run/thesis.txt"), "years of work").unwrap();
    });
    refuse(&["missing"], |place, start| {
        start.output = place.path("missing/run")
    });
    refuse(&["text.txt"], |place, start| {
        start.output = place.path("text.txt")
    });
}
