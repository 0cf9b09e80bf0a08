//! Opening checkpoint folders, whole and broken ones; every file is built here byte by byte.

use std::fs;
use std::path::Path;

use glass_causal_lm::checkpoint::Files;
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
        entries.push(format!(
            r#""{name}":{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#,
            bytes.len()
        ));
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
    assert!(
        message.contains(folder.path().to_str().unwrap()),
        "{message}"
    );
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// The same for a folder with nothing but `model.safetensors`.
#[track_caller]
fn assert_broken(file: &[u8], parts: &[&str]) {
    assert_refused(
        &[("model.safetensors", file)],
        &[&["model.safetensors"], parts].concat(),
    );
}

#[test]
fn one_file() {
    let header = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"F32","shape":[],"data_offsets":[4,8]},
        "a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},
        "none":{"dtype":"F16","shape":[0,7],"data_offsets":[8,8]}}  "#;
    let folder = folder(&[(
        "model.safetensors",
        &safetensors(header, &[1, 2, 3, 4, 5, 6, 7, 8]),
    )]);
    let files = Files::open(folder.path()).unwrap();
    assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b", "none"]);
    let a = files.get("a").unwrap();
    assert_eq!(
        (a.dtype, a.shape, a.bytes),
        (Dtype::BF16, &[1, 2][..], &[1, 2, 3, 4][..])
    );
    assert_eq!(a.file, folder.path().join("model.safetensors"));
    let b = files.get("b").unwrap();
    assert_eq!(
        (b.dtype, b.shape, b.bytes),
        (Dtype::F32, &[][..], &[5, 6, 7, 8][..])
    );
    assert!(files.get("none").unwrap().bytes.is_empty());
    assert!(files.get("c").is_none());
    // Neighbours in the file are neighbours in memory: the views are into one map.
    assert_eq!(a.bytes.as_ptr_range().end, b.bytes.as_ptr());
    let weights = folder.path().join("model.safetensors");
    assert_eq!(
        (files.total_bytes(), files.origin()),
        (8, weights.as_path())
    );
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
    assert_eq!(
        files.get("b").unwrap().file,
        sharded.path().join("x-2.safetensors")
    );
    assert_eq!(files.total_bytes(), 4);
    // What the index forgot is loaded and reported.
    assert_eq!(files.get("extra").unwrap().bytes, [4]);
    assert!(
        matches!(files.warnings(), [line] if line.contains("1 of the tensors") && line.contains("\"extra\""))
    );

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

    assert_refused(
        &[],
        &["neither model.safetensors nor", "put the weights there"],
    );
    assert_refused(
        &[("pytorch_model.bin", b"PK")],
        &[
            "(but pytorch_model.bin)",
            "convert the weights to safetensors",
        ],
    );
    assert_refused(
        &[("llama.Q4_K.gguf", b"GGUF")],
        &["(but llama.Q4_K.gguf)", "convert"],
    );
    assert_refused(
        &[("consolidated.safetensors", b"x")],
        &["(but consolidated.safetensors)", "rename"],
    );
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
    assert!(
        message.starts_with("cannot read") && message.contains("model.safetensors"),
        "{message}"
    );
}

#[test]
fn lying_lengths() {
    let whole = holding(&[("a", &[1, 2, 3, 4])]);
    assert_broken(&[], &["is empty"]);
    assert_broken(&whole[..5], &["has 5 bytes, fewer than the 8"]);
    assert_broken(
        &whole[..20],
        &["claims a header of", "in a file of 20 bytes"],
    );
    let (cut, full) = (whole.len() - 1, whole.len());
    assert_broken(
        &whole[..cut],
        &[
            &format!("has {cut} bytes"),
            &format!("describes {full}"),
            "cut short",
        ],
    );
    let mut longer = whole.clone();
    longer.push(0);
    assert_broken(&longer, &[&format!("has {} bytes", full + 1)]);
    for length in [0, 100_000_001, u64::MAX] {
        let mut lying = whole.clone();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        assert_broken(&lying, &[&format!("claims a header of {length} bytes")]);
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n";
    assert_broken(pointer, &["is a Git LFS pointer", "git lfs pull"]);
}

#[test]
fn headers_that_are_no_header() {
    assert_broken(
        &safetensors("{\"a\"", &[]),
        &["header is not a JSON object"],
    );
    assert_broken(&safetensors("[]", &[]), &["header is not a JSON object"]);
    assert_broken(
        &[&[2, 0, 0, 0, 0, 0, 0, 0], &b"\xff\xfe"[..]].concat(),
        &["not a JSON object"],
    );
    assert_broken(
        &safetensors(&"[".repeat(10_000), &[]),
        &["not a JSON object"],
    );
}

#[test]
fn impossible_tensors() {
    let case = |entry: &str, data: usize, parts: &[&str]| {
        let file = safetensors(&format!(r#"{{"w\n1":{entry}}}"#), &vec![0; data]);
        assert_broken(&file, &[&[r#"tensor "w\n1""#], parts].concat());
    };
    case(
        r#"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#,
        4,
        &["shape [2] of F32", "4 bytes"],
    );
    case(
        r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#,
        4,
        &["ends at 0, before its start 4"],
    );
    case(
        r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#,
        8,
        &["overlaps", "hole"],
    );
    case(
        r#"{"dtype":"Q4_K","shape":[1],"data_offsets":[0,4]}"#,
        4,
        &["unknown variant `Q4_K`"],
    );
    case(
        r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#,
        4,
        &["-1"],
    );
    case(
        r#"{"dtype":"F32","shape":[1]}"#,
        4,
        &["missing field `data_offsets`"],
    );
    case("7", 4, &["invalid type"]);
    case(
        r#"{"dtype":"F4","shape":[1],"data_offsets":[0,1]}"#,
        1,
        &["shape [1] of F4"],
    );
    let huge = u64::MAX;
    case(
        &format!(r#"{{"dtype":"F32","shape":[{huge},{huge}],"data_offsets":[0,4]}}"#),
        4,
        &["more elements"],
    );

    let pair = |first: &str, second: &str| {
        format!(
            r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":{first}}},"b":{{"dtype":"U8","shape":[4],"data_offsets":{second}}}}}"#
        )
    };
    assert_broken(
        &safetensors(&pair("[0,4]", "[2,6]"), &[0; 6]),
        &["tensor \"b\"", "overlaps"],
    );
    assert_broken(
        &safetensors(&pair("[0,4]", "[6,10]"), &[0; 10]),
        &["tensor \"b\"", "hole"],
    );
    // In order and consistent, but beyond the end of the file.
    assert_broken(
        &safetensors(&pair("[0,4]", "[4,8]"), &[0; 6]),
        &["cut short"],
    );
}

/// Eight tensors of 2^61 - 1 bytes: their end plus the header wraps around in 64 bits.
#[test]
fn offsets_that_overflow() {
    let size = (1_u64 << 61) - 1;
    let entries: Vec<String> = (0..8)
        .map(|i| {
            let (start, end) = (i * size, (i + 1) * size);
            format!(r#""t{i}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    assert_broken(
        &safetensors(&format!("{{{}}}", entries.join(",")), &[0; 16]),
        &["cut short"],
    );
}

#[test]
fn broken_indexes() {
    let shard = holding(&[("a", &[1])]);
    let case = |index: &str, parts: &[&str]| {
        let files: &[(&str, &[u8])] = &[
            ("model.safetensors.index.json", index.as_bytes()),
            ("s.safetensors", &shard),
        ];
        assert_refused(files, &[&["model.safetensors.index.json"], parts].concat());
    };
    case("{", &["not JSON"]);
    case("", &["not JSON"]);
    case("[1]", &["has no weight_map"]);
    case(r#"{"metadata":{}}"#, &["has no weight_map"]);
    case(r#"{"weight_map":[]}"#, &["weight_map is not an object"]);
    case(r#"{"weight_map":{}}"#, &["names no tensor"]);
    case(r#"{"weight_map":{"a":3}}"#, &["gives 3 for tensor \"a\""]);
    for path in [
        "../s.safetensors",
        "/etc/passwd",
        "x/../../s",
        "",
        ".",
        "..\\\\s",
        "C:s",
    ] {
        case(
            &format!(r#"{{"weight_map":{{"a":"{path}"}}}}"#),
            &["tensor \"a\"", "not a file inside the folder"],
        );
    }
    case(
        r#"{"weight_map":{"a":"s.safetensors","b":"t.safetensors"}}"#,
        &["\"t.safetensors\"", "not in the folder"],
    );
    case(
        r#"{"weight_map":{"a":"s.safetensors","b":"s.safetensors"}}"#,
        &["tensor \"b\" in \"s.safetensors\""],
    );
    case(
        "version https://git-lfs.github.com/spec/v1\n",
        &["Git LFS pointer"],
    );
}

#[test]
fn a_tensor_in_two_shards() {
    let index = br#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#;
    let (first, second) = (
        holding(&[("a", &[1])]),
        holding(&[("a", &[1]), ("b", &[2])]),
    );
    assert_refused(
        &[
            ("model.safetensors.index.json", index),
            ("1.safetensors", &first),
            ("2.safetensors", &second),
        ],
        &["tensor \"a\" is both in", "1.safetensors", "2.safetensors"],
    );
}

/// However much of a file arrived, less than all of it is refused.
#[test]
fn every_truncation_is_refused() {
    let whole = holding(&[("a", &[1, 2, 3]), ("b", &[4])]);
    let folder = folder(&[]);
    let path = folder.path().join("model.safetensors");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let message = refusal(folder.path());
        assert!(
            message.contains("model.safetensors") && message.contains("again"),
            "{length}: {message}"
        );
    }
    fs::write(&path, &whole).unwrap();
    Files::open(folder.path()).unwrap();
}
