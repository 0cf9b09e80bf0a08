//! What is not converted, and leaves nothing behind.

use std::fs;

use glass_checkpoint::{Existing, check_target};
use tempfile::TempDir;

use super::{model, names, try_convert};

#[test]
fn targets_that_would_lose_something_are_refused() {
    let folder = model(&[("a", safetensors::Dtype::F32, &[0; 8])]);
    let parent = TempDir::new().unwrap();
    let full = parent.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("thesis.txt"), "years").unwrap();
    let round_about = folder.path().join("..").join(folder.path().file_name().unwrap());
    for (target, words) in [
        (full.clone(), "is not empty"),
        (full.join("thesis.txt"), "is a file"),
        (full.join("thesis.txt/x"), "cannot write"),
        (parent.path().join("no/x"), "does not exist: make it first"),
        (folder.path().to_owned(), "is the folder the model is read from"),
        (round_about, "is the folder the model is read from"),
    ] {
        let shown = target.display().to_string();
        let error = try_convert(folder.path(), &target, None, "5GB").unwrap_err();
        assert!(error.contains(words) && error.contains(&shown), "{error}");
        let early = check_target(folder.path(), &target, Existing::Refuse).unwrap_err();
        assert_eq!(early.to_string(), error);
    }
    assert_eq!(names(&full), ["thesis.txt"]);
    assert_eq!(names(parent.path()), ["full"]);
    let new = parent.path().join("new");
    check_target(folder.path(), &new, Existing::Refuse).unwrap();
    assert!(!new.exists());
}

#[test]
fn a_source_that_is_not_whole_is_refused_and_leaves_nothing() {
    let parent = TempDir::new().unwrap();
    let target = parent.path().join("new");
    let folder = model(&[("a", safetensors::Dtype::F32, &[0; 8])]);
    let file = |name: &str| folder.path().join(name);
    // A folder in the place of a file can be opened and not read.
    fs::create_dir(file("merges.txt")).unwrap();
    let error = try_convert(folder.path(), &target, None, "5GB").unwrap_err();
    assert!(error.contains("cannot read") && error.contains("merges.txt"), "{error}");
    fs::remove_file(file("config.json")).unwrap();
    let error = try_convert(folder.path(), &target, None, "5GB").unwrap_err();
    assert!(error.contains("config.json: there is no such file"), "{error}");
    fs::remove_file(file("model.safetensors")).unwrap();
    let error = try_convert(folder.path(), &target, None, "5GB").unwrap_err();
    assert!(error.contains("neither model.safetensors"), "{error}");
    assert_eq!(names(parent.path()), Vec::<String>::new());
}
