//! Models in several files.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A folder with these files.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Split `number` of `count`, from 0, with one tensor of 8 numbers.
fn split(number: u16, count: u16, tensor: &str) -> Raw {
    let mut keys = vec![Key::u16("split.no", number), Key::u16("split.count", count)];
    keys.push(Key::new("split.tensors.count", 5, i32::from(count).to_le_bytes()));
    if number == 0 {
        keys.push(Key::string("general.architecture", "llama"));
    }
    Raw { keys, tensors: vec![Tensor::new(tensor, &[8], 0, 0)], data: 32, ..Raw::default() }
}

const NAMES: [&str; 3] = ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"];

fn three() -> Vec<(&'static str, Vec<u8>)> {
    (0..3).map(|n| (NAMES[n as usize], split(n, 3, &format!("t{n}")).bytes())).collect()
}

fn refusal(folder: &TempDir, name: &str) -> String {
    one_line(Gguf::open(&folder.path().join(name)).err().expect("an error"))
}

#[test]
fn the_first_split_brings_the_others() {
    let folder = folder(&three());
    let gguf = Gguf::open(&folder.path().join(NAMES[0])).unwrap();
    let paths: Vec<PathBuf> = NAMES.iter().map(|name| folder.path().join(name)).collect();
    assert!(gguf.files().eq(paths.iter().map(PathBuf::as_path)));
    assert!(gguf.tensors().map(|tensor| tensor.name).eq(["t0", "t1", "t2"]));
    assert_eq!(gguf.get("t2").unwrap().file, paths[2]);
    assert_eq!(gguf.get("t2").unwrap().bytes.len(), 32);
    assert_eq!(gguf.metadata().string("general.architecture").unwrap(), Some("llama"));
    assert_eq!(gguf.metadata().origin(), paths[0]);
    assert_eq!(gguf.total_bytes(), 96);
}

/// llama.cpp's tool writes a count of 0 into what it merges.
#[test]
fn a_merged_file_is_whole() {
    let mut merged = split(0, 1, "t");
    merged.keys[1] = Key::u16("split.count", 0);
    merged.keys[2] = Key::new("split.tensors.count", 5, 7_i32.to_le_bytes());
    assert_eq!(open(merged.bytes()).unwrap().tensors().len(), 1);
}

#[test]
fn splits_that_do_not_make_a_model() {
    let whole = folder(&three());
    for name in [NAMES[1], NAMES[2]] {
        let number = if name == NAMES[1] { 2 } else { 3 };
        let says = format!("it is split {number} of 3; give the first, m-00001-of-00003.gguf");
        assert_says(&refusal(&whole, name), &[name, &says]);
    }
    let message = open(three().swap_remove(0).1).err().unwrap();
    assert_says(&message, &[NAME, "it is split 1 of 3"]);

    let with = |index: usize, file: Option<(&'static str, Vec<u8>)>| {
        let mut files = three();
        files.remove(index);
        files.extend(file);
        folder(&files)
    };
    let renamed = with(0, Some(("m.gguf", three().swap_remove(0).1)));
    let cases: [(TempDir, &str, &[&str]); 8] = [
        (with(1, None), NAMES[0], &["m-00001", "the split m-00002-of-00003.gguf is not in the same folder"]),
        (renamed, "m.gguf", &["split 1 of 3", "does not end in -00001-of-00003.gguf"]),
        (
            with(2, Some((NAMES[2], split(1, 3, "t2").bytes()))),
            NAMES[0],
            &["m-00003", "it is split 2 of 3 where split 3 of 3 belongs"],
        ),
        (with(2, Some((NAMES[2], split(2, 4, "t2").bytes()))), NAMES[0], &["split 3 of 4 where split 3 of 3 belongs"]),
        (with(2, Some((NAMES[2], split(2, 3, "t0").bytes()))), NAMES[0], &["m-00003", "\"t0\" is in", "m-00001"]),
        (
            with(2, Some((NAMES[2], Raw { tensors: Vec::new(), data: 0, ..split(2, 3, "") }.bytes()))),
            NAMES[0],
            &["m-00001", "have 2 tensors together where it says 3"],
        ),
        (with(1, Some((NAMES[1], b"<html>".to_vec()))), NAMES[0], &["m-00002", "a web page"]),
        (
            with(0, Some((NAMES[0], split(3, 3, "t0").bytes()))),
            NAMES[0],
            &["\"split.no\" is u16 3", "less than split.count"],
        ),
    ];
    for (folder, name, parts) in cases {
        assert_says(&refusal(&folder, name), parts);
    }
    let mut lacking = split(0, 3, "t0");
    lacking.keys.remove(0);
    assert_says(&open(lacking.bytes()).err().unwrap(), &["there is no key \"split.no\""]);
}

#[test]
fn names_of_splits() {
    let name = SplitName::parse("a-b-00002-of-00010.gguf").unwrap();
    assert_eq!((name.number, name.count, name.of(10)), (2, 10, "a-b-00010-of-00010.gguf".to_owned()));
    for other in
        ["a.gguf", "a-2-of-3.gguf", "a-00004-of-00003.gguf", "a-00000-of-00003.gguf", "a-00001-of-00003.bin", ""]
    {
        assert_eq!(SplitName::parse(other), None, "{other}");
    }
}
