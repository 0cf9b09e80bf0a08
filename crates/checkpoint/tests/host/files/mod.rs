//! Opening checkpoint folders, whole and broken ones; every file is built here byte by byte.

mod damage;

use std::fs;
use std::path::Path;

use glass_checkpoint::Files;
use safetensors::Dtype;
use tempfile::TempDir;

/// A safetensors file: header length, header, data.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A file that holds each name as a `U8` vector of the given bytes.
fn holding(tensors: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, bytes) in tensors {
        let (start, end) = (data.len(), data.len() + bytes.len());
        entries.push(format!(r#""{name}":{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#, bytes.len()));
        data.extend(*bytes);
    }
    safetensors(&format!("{{{}}}", entries.join(",")), &data)
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// The one line that opening `path` fails with.
fn refusal(path: &Path) -> String {
    let message = match Files::open(path) {
        Ok(_) => panic!("{} opened", path.display()),
        Err(error) => error.to_string(),
    };
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

#[track_caller]
fn assert_refused(files: &[(&str, &[u8])], parts: &[&str]) {
    let folder = folder(files);
    let message = refusal(folder.path());
    assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// The same for a folder with nothing but `model.safetensors`.
#[track_caller]
fn assert_broken(file: &[u8], parts: &[&str]) {
    assert_refused(&[("model.safetensors", file)], &[&["model.safetensors"], parts].concat());
    let error = Files::from_bytes(Path::new("model.safetensors"), file.to_vec()).err().expect("damaged in memory too");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn bytes_in_memory() {
    let files = Files::from_bytes(Path::new("weights"), holding(&[("a", &[1, 2]), ("b", &[3])]));
    let files = files.expect("a checkpoint");
    assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b"]);
    let b = files.get("b").expect("it is there");
    assert_eq!((b.bytes, b.shape, b.file), (&[3][..], &[1][..], Path::new("weights")));
    files.release("b");
    assert_eq!((files.total_bytes(), files.origin()), (3, Path::new("weights")));
}

#[test]
fn one_file() {
    let header = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"F32","shape":[],"data_offsets":[4,8]},
        "a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},
        "none":{"dtype":"F16","shape":[0,7],"data_offsets":[8,8]}}  "#;
    let folder = folder(&[("model.safetensors", &safetensors(header, &[1, 2, 3, 4, 5, 6, 7, 8]))]);
    let files = Files::open(folder.path()).unwrap();
    assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b", "none"]);
    let a = files.get("a").unwrap();
    assert_eq!((a.dtype, a.shape, a.bytes), (Dtype::BF16, &[1, 2][..], &[1, 2, 3, 4][..]));
    assert_eq!(a.file, folder.path().join("model.safetensors"));
    let b = files.get("b").unwrap();
    assert_eq!((b.dtype, b.shape, b.bytes), (Dtype::F32, &[][..], &[5, 6, 7, 8][..]));
    assert!(files.get("none").unwrap().bytes.is_empty());
    assert!(files.get("c").is_none());
    // Neighbours in the file are neighbours in memory: the views are into one map.
    assert_eq!(a.bytes.as_ptr_range().end, b.bytes.as_ptr());
    let weights = folder.path().join("model.safetensors");
    assert_eq!((files.total_bytes(), files.origin()), (8, weights.as_path()));
    assert!(files.warnings().is_empty());
}

#[test]
fn shards() {
    let index = br#"{"metadata":{"total_size":3},"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors"}}"#;
    let first = holding(&[("a", &[1, 2])]);
    let second = holding(&[("b", &[3]), ("extra", &[4])]);
    let all: &[(&str, &[u8])] = &[
        ("model.safetensors.index.json", index),
        ("x-1.safetensors", &first),
        ("x-2.safetensors", &second),
        ("consolidated.safetensors", b"never looked at"),
    ];
    let sharded = folder(all);
    let files = Files::open(sharded.path()).unwrap();
    assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b", "extra"]);
    assert_eq!(files.get("b").unwrap().bytes, [3]);
    assert_eq!(files.get("b").unwrap().file, sharded.path().join("x-2.safetensors"));
    assert_eq!(files.total_bytes(), 4);
    // What the index forgot is loaded and reported.
    assert_eq!(files.get("extra").unwrap().bytes, [4]);
    assert!(matches!(files.warnings(), [line] if line.contains("1 of the tensors") && line.contains("\"extra\"")));

    // A single file comes first, and says so.
    let single = holding(&[("only", &[9])]);
    let both = folder(&[all, &[("model.safetensors", &single)]].concat());
    let files = Files::open(both.path()).unwrap();
    assert_eq!(files.names().collect::<Vec<_>>(), ["only"]);
    assert!(matches!(files.warnings(), [line] if line.contains("index.json is not used")));
}

#[test]
fn folders_without_a_checkpoint() {
    let empty = folder(&[]);
    let absent = empty.path().join("absent");
    assert!(refusal(&absent).contains("absent: no such folder"));
    let file = empty.path().join("model.safetensors");
    fs::write(&file, holding(&[("a", &[1])])).unwrap();
    assert!(refusal(&file).contains("is a file; give the folder"));

    assert_refused(&[], &["neither model.safetensors nor", "put the weights there"]);
    assert_refused(&[("pytorch_model.bin", b"PK")], &["(but pytorch_model.bin)", "convert the weights to safetensors"]);
    assert_refused(&[("llama.Q4_K.gguf", b"GGUF")], &["(but llama.Q4_K.gguf)", "name the .gguf file itself"]);
    assert_refused(&[("consolidated.safetensors", b"x")], &["(but consolidated.safetensors)", "rename"]);
}

#[test]
fn what_is_no_file() {
    let folder = folder(&[]);
    fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    assert!(refusal(folder.path()).contains("model.safetensors is not a regular file"));
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_named() {
    let folder = folder(&[]);
    std::os::unix::fs::symlink("blob", folder.path().join("model.safetensors")).unwrap();
    let message = refusal(folder.path());
    assert!(message.starts_with("cannot read") && message.contains("model.safetensors"), "{message}");
}
