//! Saving tensors that come from anywhere: what is left when it goes wrong, and what takes the place of what.

use std::borrow::Cow;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use glass_backend::WeightError;
use glass_checkpoint::{Existing, Files, SaveError, Saving, TensorSource, TensorSpec, Written};
use safetensors::Dtype;
use tempfile::TempDir;

/// Four tensors of 8 bytes, all of them `value`.
struct Four {
    value: u8,
    /// The tensor that cannot be had.
    broken: Option<&'static str>,
    /// Bytes that each tensor has too many.
    too_many: usize,
}

fn four(value: u8) -> Four {
    Four { value, broken: None, too_many: 0 }
}

impl TensorSource for Four {
    fn tensors(&self) -> Vec<TensorSpec> {
        ["a", "b", "c", "d"]
            .map(|name| TensorSpec { name: name.to_owned(), dtype: Dtype::F32, shape: vec![1, 2] })
            .to_vec()
    }

    fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError> {
        if self.broken == Some(name) {
            return Err(WeightError::Other {
                origin: "the device".to_owned(),
                name: name.to_owned(),
                reason: "is on fire".to_owned(),
            });
        }
        Ok(Cow::Owned(vec![self.value; 8 + self.too_many]))
    }
}

fn go_on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn save(folder: &Path, source: &mut dyn TensorSource, size: &str) -> Result<Written, SaveError> {
    let mut saving = Saving::begin(folder, Existing::Replace)?;
    saving.write("config.json", b"{}")?;
    let written = saving.write_tensors(source, size.parse().unwrap(), &mut go_on)?;
    saving.finish()?;
    Ok(written)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The value that all four tensors in `folder` have.
fn value(folder: &Path) -> u8 {
    let files = Files::open(folder).unwrap();
    assert!(files.warnings().is_empty(), "{:?}", files.warnings());
    let bytes: Vec<u8> = files.names().flat_map(|name| files.get(name).unwrap().bytes.to_vec()).collect();
    assert_eq!(bytes, [bytes[0]; 32]);
    bytes[0]
}

#[test]
fn a_new_model_replaces_the_old_one_and_its_files() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let shards = |count: usize| -> Vec<String> {
        (1..=count).map(|i| format!("model-{i:05}-of-{count:05}.safetensors")).collect()
    };
    for (number, (size, files)) in [
        ("8B", shards(4)),
        ("8B", shards(4)),
        ("16B", shards(2)),
        ("32B", vec!["model.safetensors".to_owned()]),
        ("32B", vec!["model.safetensors".to_owned()]),
        ("24B", shards(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let written = save(folder, &mut four(number as u8), size).unwrap();
        assert_eq!(written.files, files);
        assert_eq!(value(folder), number as u8);
        let mut wanted = [files, vec!["config.json".into(), "notes.txt".into()]].concat();
        if written.files.len() > 1 {
            wanted.push("model.safetensors.index.json".into());
        }
        wanted.sort();
        assert_eq!(names(folder), wanted);
    }
}

#[test]
fn what_goes_wrong_leaves_what_was_there() {
    let parent = TempDir::new().unwrap();
    let (old, new) = (parent.path().join("old"), parent.path().join("new"));
    save(&old, &mut four(1), "8B").unwrap();
    let before = names(&old);
    for size in ["8B", "16B", "1GB"] {
        for (broken, too_many, words) in [
            (Some("a"), 0, "the device: tensor a: is on fire"),
            (Some("d"), 0, "the device: tensor d: is on fire"),
            (None, 3, "tensor \"a\" cannot be saved: shape [1, 2] of F32 takes 8 bytes, and its source gave 11"),
        ] {
            let mut source = Four { value: 2, broken, too_many };
            for folder in [&old, &new] {
                let error = save(folder, &mut source, size).unwrap_err();
                assert_eq!(error.to_string(), words);
            }
            assert_eq!((names(&old), value(&old)), (before.clone(), 1));
            assert_eq!(names(parent.path()), ["old"]);
        }
    }
}

#[test]
fn an_interruption_at_any_moment_leaves_what_was_there() {
    let parent = TempDir::new().unwrap();
    let (old, new) = (parent.path().join("old"), parent.path().join("new"));
    save(&old, &mut four(1), "8B").unwrap();
    for size in ["8B", "1GB"] {
        let mut reports = 0;
        let mut last = 0;
        for stop in 0.. {
            let mut calls = 0;
            let mut progress = |written: u64, total: u64| {
                assert!(written <= total && total == 32);
                last = written;
                calls += 1;
                match calls > stop {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let mut saving = Saving::begin(&new, Existing::Replace).unwrap();
            let size = size.parse().unwrap();
            match saving.write_tensors(&mut four(2), size, &mut progress) {
                Ok(_) => break,
                Err(error) => assert!(matches!(error, SaveError::Interrupted), "{error}"),
            }
            drop(saving);
            assert_eq!(names(parent.path()), ["old"]);
            reports += 1;
        }
        assert!(reports > 4 && last == 32, "{reports} {last}");
    }
    // Not finished either: the last one of each size was dropped.
    assert_eq!((names(parent.path()), value(&old)), (vec!["old".into()], 1));
}

#[test]
fn one_process_saves_to_a_folder_at_a_time() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("x");
    let mut first = Saving::begin(&folder, Existing::Refuse).unwrap();
    first.write("config.json", b"{}").unwrap();
    for existing in [Existing::Refuse, Existing::Replace] {
        let error = Saving::begin(&folder, existing).unwrap_err();
        assert!(matches!(error, SaveError::Busy(_)), "{error}");
    }
    first.finish().unwrap();
    assert_eq!(names(&folder), ["config.json"]);
}

#[test]
fn what_a_killed_process_left_is_cleared_up() {
    let folder = TempDir::new().unwrap();
    let aside = folder.path().join(".glass-saving");
    fs::create_dir(&aside).unwrap();
    for name in ["lock", "config.json", "model-00001-of-00009.safetensors"] {
        fs::write(aside.join(name), "half").unwrap();
    }
    let saving = Saving::begin(folder.path(), Existing::Refuse).unwrap();
    assert_eq!(names(&aside), ["lock"]);
    drop(saving);
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn tensors_that_cannot_be_are_refused_before_a_file_is_begun() {
    struct Odd(Vec<TensorSpec>);
    impl TensorSource for Odd {
        fn tensors(&self) -> Vec<TensorSpec> {
            self.0.clone()
        }
        fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError> {
            panic!("{name} is not to be asked for")
        }
    }
    let spec = |name: &str, dtype, shape: &[usize]| TensorSpec { name: name.to_owned(), dtype, shape: shape.to_vec() };
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("x");
    for (specs, words) in [
        (vec![spec("a", Dtype::U8, &[1]); 2], "two of that name"),
        (vec![spec("a", Dtype::F4, &[3])], "whole bytes"),
        (vec![spec("a", Dtype::U8, &[usize::MAX, 3])], "counted"),
        (vec![spec("a", Dtype::F64, &[usize::MAX / 4])], "counted"),
    ] {
        let error = save(&folder, &mut Odd(specs), "5GB").unwrap_err().to_string();
        assert!(error.contains("tensor \"a\"") && error.contains(words), "{error}");
        assert!(!folder.exists());
    }
    // No tensors at all are a file without any, and empty ones are there by name.
    let written = save(&folder, &mut Odd(vec![]), "5GB").unwrap();
    assert_eq!((written.files.len(), written.bytes), (1, 0));
    assert_eq!(Files::open(&folder).unwrap().names().count(), 0);
}
