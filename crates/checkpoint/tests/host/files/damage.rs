//! Files and indexes that are not what they say.

use super::*;

#[test]
fn lying_lengths() {
    let whole = holding(&[("a", &[1, 2, 3, 4])]);
    assert_broken(&[], &["is empty"]);
    assert_broken(&whole[..5], &["has 5 bytes, fewer than the 8"]);
    assert_broken(&whole[..20], &["claims a header of", "in a file of 20 bytes"]);
    let (cut, full) = (whole.len() - 1, whole.len());
    assert_broken(&whole[..cut], &[&format!("has {cut} bytes"), &format!("describes {full}"), "cut short"]);
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
    assert_broken(&safetensors("{\"a\"", &[]), &["header is not a JSON object"]);
    assert_broken(&safetensors("[]", &[]), &["header is not a JSON object"]);
    assert_broken(&[&[2, 0, 0, 0, 0, 0, 0, 0], &b"\xff\xfe"[..]].concat(), &["not a JSON object"]);
    assert_broken(&safetensors(&"[".repeat(10_000), &[]), &["not a JSON object"]);
}

#[test]
fn impossible_tensors() {
    let case = |entry: &str, data: usize, parts: &[&str]| {
        let file = safetensors(&format!(r#"{{"w\n1":{entry}}}"#), &vec![0; data]);
        assert_broken(&file, &[&[r#"tensor "w\n1""#], parts].concat());
    };
    case(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#, 4, &["shape [2] of F32", "4 bytes"]);
    case(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#, 4, &["ends at 0, before its start 4"]);
    case(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, 8, &["overlaps", "hole"]);
    case(r#"{"dtype":"Q4_K","shape":[1],"data_offsets":[0,4]}"#, 4, &["unknown variant `Q4_K`"]);
    case(r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#, 4, &["-1"]);
    case(r#"{"dtype":"F32","shape":[1]}"#, 4, &["missing field `data_offsets`"]);
    case("7", 4, &["invalid type"]);
    case(r#"{"dtype":"F4","shape":[1],"data_offsets":[0,1]}"#, 1, &["shape [1] of F4"]);
    let huge = u64::MAX;
    case(&format!(r#"{{"dtype":"F32","shape":[{huge},{huge}],"data_offsets":[0,4]}}"#), 4, &["more elements"]);

    let pair = |first: &str, second: &str| {
        format!(
            r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":{first}}},"b":{{"dtype":"U8","shape":[4],"data_offsets":{second}}}}}"#
        )
    };
    assert_broken(&safetensors(&pair("[0,4]", "[2,6]"), &[0; 6]), &["tensor \"b\"", "overlaps"]);
    assert_broken(&safetensors(&pair("[0,4]", "[6,10]"), &[0; 10]), &["tensor \"b\"", "hole"]);
    // In order and consistent, but beyond the end of the file.
    assert_broken(&safetensors(&pair("[0,4]", "[4,8]"), &[0; 6]), &["cut short"]);
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
    assert_broken(&safetensors(&format!("{{{}}}", entries.join(",")), &[0; 16]), &["cut short"]);
}

#[test]
fn broken_indexes() {
    let shard = holding(&[("a", &[1])]);
    let case = |index: &str, parts: &[&str]| {
        let files: &[(&str, &[u8])] = &[("model.safetensors.index.json", index.as_bytes()), ("s.safetensors", &shard)];
        assert_refused(files, &[&["model.safetensors.index.json"], parts].concat());
    };
    case("{", &["not JSON"]);
    case("", &["not JSON"]);
    case("[1]", &["has no weight_map"]);
    case(r#"{"metadata":{}}"#, &["has no weight_map"]);
    case(r#"{"weight_map":[]}"#, &["weight_map is not an object"]);
    case(r#"{"weight_map":{}}"#, &["names no tensor"]);
    case(r#"{"weight_map":{"a":3}}"#, &["gives 3 for tensor \"a\""]);
    for path in ["../s.safetensors", "/etc/passwd", "x/../../s", "", ".", "..\\\\s", "C:s"] {
        case(&format!(r#"{{"weight_map":{{"a":"{path}"}}}}"#), &["tensor \"a\"", "not a file inside the folder"]);
    }
    case(r#"{"weight_map":{"a":"s.safetensors","b":"t.safetensors"}}"#, &["\"t.safetensors\"", "not in the folder"]);
    case(r#"{"weight_map":{"a":"s.safetensors","b":"s.safetensors"}}"#, &["tensor \"b\" in \"s.safetensors\""]);
    case("version https://git-lfs.github.com/spec/v1\n", &["Git LFS pointer"]);
}

#[test]
fn a_tensor_in_two_shards() {
    let index = br#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#;
    let (first, second) = (holding(&[("a", &[1])]), holding(&[("a", &[1]), ("b", &[2])]));
    assert_refused(
        &[("model.safetensors.index.json", index), ("1.safetensors", &first), ("2.safetensors", &second)],
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
        assert!(message.contains("model.safetensors") && message.contains("again"), "{length}: {message}");
    }
    fs::write(&path, &whole).unwrap();
    Files::open(folder.path()).unwrap();
}
