//! `--keep`: a quantized copy in the user's cache folder.

use std::{fs, path::Path, time::SystemTime};

use crate::{
    models::{self, random_tiny, shipped},
    run::{Ran, command, run},
};

/// A text by a model whose matrices are quantized.
fn generates(model: &str, caches: &Path, more: &[&str]) -> Ran {
    let args = ["generate", model, "-p", "a b", "-n", "12", "--temperature", "0", "--device", "flex"];
    let ran = run(command(&[&args[..], more].concat()).env("XDG_CACHE_HOME", caches));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

#[test]
fn a_copy_is_kept_used_and_never_stale() {
    let (model, home) = (models::copy(&random_tiny()), tempfile::tempdir().expect("a temporary folder"));
    let caches = home.path().join("caches");
    let kept = |more: &[&str], says: &str| {
        let ran = generates(&model.path(), &caches, &[&["--keep"], more].concat());
        ran.says(&[says]);
        ran.stdout
    };
    let (new, used) = ("a quantized copy is kept in", "the quantized copy is used");
    let eight = generates(&model.path(), &caches, &["--dtype", "q8"]).stdout;
    let four = generates(&model.path(), &caches, &["--dtype", "q4"]).stdout;
    assert!(!caches.exists(), "nothing is kept without --keep");
    assert_eq!(kept(&["--dtype", "q8"], new), eight);
    assert_eq!(kept(&["--dtype", "q8"], used), eight);
    assert_eq!(kept(&["--dtype", "q4"], new), four);
    assert_eq!(kept(&["--dtype", "q8"], used), eight, "one for each format");

    // Of the same size, and younger.
    let weights = model.file(models::WEIGHTS);
    let file = fs::File::options().write(true).open(&weights).expect("a file");
    file.set_modified(SystemTime::now()).expect("a time");
    assert_eq!(kept(&["--dtype", "q8"], new), eight);
    assert_eq!(kept(&["--dtype", "q8"], used), eight);

    // A copy that somebody has cut.
    let copies = fs::read_dir(caches.join("glass-llama")).expect("copies").map(|copy| copy.expect("a copy").path());
    let copies: Vec<_> = copies.collect();
    assert_eq!(copies.len(), 2, "{copies:?}");
    for copy in copies {
        let file = fs::File::options().write(true).open(copy.join(models::WEIGHTS)).expect("a file");
        file.set_len(100).expect("cut");
    }
    assert_eq!(kept(&["--dtype", "q8"], new), eight);
    assert_eq!(kept(&["--dtype", "q8"], used), eight);
}

#[test]
fn where_nothing_is_kept_a_warning_says_why() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let model = random_tiny();
    for (model, more, why) in [
        (&model, &["--dtype", "f32"][..], "it is for --dtype q8 and q4"),
        (&model, &["--dtype", "q8", "--set", "max_position_embeddings=512"], "with --set"),
        (&shipped("shakespeare-full"), &[], "it is for --dtype q8 and q4"),
    ] {
        generates(model, home.path(), &[&["--keep"], more].concat()).says(&["--keep without effect", why]);
    }
    // No folder can be made where a file is.
    let file = home.path().join("file");
    fs::write(&file, "").expect("written");
    let ran = generates(&model, &file, &["--keep", "--dtype", "q8"]);
    ran.says(&["warning", "no quantized copy is kept", "cannot write"]);
    assert_eq!(ran.stdout, generates(&model, home.path(), &["--dtype", "q8"]).stdout);
}
