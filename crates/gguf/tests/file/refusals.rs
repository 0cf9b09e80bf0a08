//! Damage and its one line.

use super::*;

/// What opening these bytes says.
#[track_caller]
fn refusal(bytes: impl Into<Vec<u8>>) -> String {
    match open(bytes.into()) {
        Ok(_) => panic!("it was opened"),
        Err(message) => {
            assert_says(&message, &[NAME]);
            message
        }
    }
}

#[test]
fn what_is_no_gguf_is_named() {
    let gguf = |version: u32| [b"GGUF".as_slice(), &version.to_le_bytes(), &[0; 16]].concat();
    let safetensors = [&2_u64.to_le_bytes()[..], b"{}"].concat();
    let cases: [(&[u8], &[&str]); 15] = [
        (b"", &["is empty", "fetch or copy it again"]),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", &["Git LFS pointer", "git lfs pull"]),
        (b"<!DOCTYPE html><html>", &["a web page", "address of the file itself"]),
        (b"\n <html>", &["a web page"]),
        (br#"{"error":"Repository not found"}"#, &["a JSON text"]),
        (&safetensors, &["a safetensors file", "model.safetensors", "config.json"]),
        (b"PK\x03\x04", &["zip archive"]),
        (b"tjgg\x03\0\0\0", &["before GGUF", "convert the model again"]),
        (&[0; 64], &["nothing but zeros"]),
        (b"model", &["does not begin with \"GGUF\""]),
        (b"GGUF\x03", &["has 5 bytes, fewer"]),
        (&gguf(1), &["version 1,", "convert the model again"]),
        (&gguf(4), &["version 4,", "reads 2 and 3"]),
        (&gguf(3_u32.swap_bytes()), &["big-endian", "gguf-convert-endian"]),
        (&gguf(3)[..20], &["header", "8 bytes belong at byte 16, where the file has 4 more", "cut short"]),
    ];
    for (bytes, parts) in cases {
        assert_says(&refusal(bytes), parts);
    }
}

/// With one key in place of the others.
fn with_key(ty: u32, value: impl Into<Vec<u8>>) -> Vec<u8> {
    Raw { keys: vec![Key::new("some.key", ty, value)], ..Raw::default() }.bytes()
}

fn array(ty: u32, count: u64, values: &[u8]) -> Vec<u8> {
    [&ty.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
}

#[test]
fn damaged_keys() {
    const TB: u64 = 1 << 40;
    let deep = (0..5).fold(array(0, 0, &[]), |inner, _| array(9, 1, &inner));
    let text = |bytes: &[u8]| [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat();
    let cases: [(Vec<u8>, &[&str]); 16] = [
        (with_key(13, [0; 8]), &["key \"some.key\"", "unknown type 13"]),
        (with_key(u32::MAX, [0; 8]), &["unknown type 4294967295"]),
        (with_key(4, [1, 2]), &["4 bytes belong at byte 44, where the file has 2 more"]),
        (with_key(8, TB.to_le_bytes()), &["1099511627776 bytes of a string are claimed at byte 44"]),
        (with_key(8, u64::MAX.to_le_bytes()), &["18446744073709551615 bytes of a string", "the file has 0 bytes more"]),
        (with_key(8, text(b"ab\xff")), &["the string at byte 52 is no UTF-8 from its byte 2 on"]),
        (with_key(7, [2]), &["a bool is 2"]),
        (with_key(9, array(7, 2, &[1, 3])), &["a bool is 3"]),
        (with_key(9, array(6, TB, &[0; 8])), &["1099511627776 values of an array are claimed"]),
        (with_key(9, array(12, 1 << 61, &[0; 8])), &["2305843009213693952 values of an array"]),
        (with_key(9, array(8, TB, &[0; 8])), &["1099511627776 values of an array"]),
        (with_key(9, array(9, TB, &[0; 12])), &["1099511627776 values of an array"]),
        (with_key(9, array(13, 1, &[0; 12])), &["unknown type 13"]),
        (with_key(9, deep), &["arrays are more than 4 deep"]),
        (
            with_key(9, array(8, 2, &[text(b"ok"), text(b"\xc3(")].concat())),
            &["string 1 of 2", "no UTF-8 from its byte 0"],
        ),
        (Raw { keys: vec![Key::string("", "x")], ..Raw::default() }.bytes(), &["key 1 of 1", "its name is empty"]),
    ];
    for (bytes, parts) in cases {
        let (message, memory) = allocations::most(|| refusal(bytes));
        assert_says(&message, &[parts, &["damaged, cut short or of a newer format", "fetch"]].concat());
        assert!(memory < 64 << 10, "{memory} bytes for: {message}");
    }
    let twice = Raw { keys: vec![Key::string("k", "1"), Key::string("k", "2")], ..Raw::default() };
    assert_says(&refusal(twice.bytes()), &["key \"k\"", "it is there twice"]);
    let no_text =
        [&b"GGUF\x03\0\0\0"[..], &[0; 8], &1_u64.to_le_bytes(), &2_u64.to_le_bytes(), b"\xff\xff\x07\0\0\0\0"];
    assert_says(&refusal(no_text.concat()), &["key 1 of 1", "the string at byte 32 is no UTF-8"]);
    let long = "x".repeat(65_536);
    let long = Raw { keys: vec![Key::string(&long, "1")], ..Raw::default() };
    assert_says(&refusal(long.bytes()), &["its name has 65536 bytes, and 65535 are possible"]);
    let shown = Raw { keys: vec![Key::new(&"k\n".repeat(100), 99, [])], ..Raw::default() };
    assert_says(&refusal(shown.bytes()), &["key \"k\\nk\\n", "\"...: its value has the unknown type 99"]);
}

#[test]
fn damaged_alignment() {
    for (ty, value, shown) in
        [(4, 0_u32, "u32 0"), (4, 4, "u32 4"), (4, 24, "u32 24"), (4, u32::MAX, "u32 4294967295"), (5, 32, "i32 32")]
    {
        let keys = vec![Key::new("general.alignment", ty, value.to_le_bytes())];
        let message = refusal(Raw { keys, ..Raw::default() }.bytes());
        assert_says(&message, &["general.alignment", shown, "a power of two and a multiple of 8"]);
    }
}

#[test]
fn counts_that_no_file_has() {
    for (tensors, keys, says) in [
        (u64::MAX, 0, "18446744073709551615 tensors are claimed at byte 8"),
        (1 << 40, 0, "1099511627776 tensors"),
        (0, 1 << 63, "9223372036854775808 keys are claimed at byte 16, and the file has 40 bytes more"),
        (1, 0, "tensor 1 of 1"),
        (0, 3, "key 1 of 3"),
    ] {
        let file = [&b"GGUF\x03\0\0\0"[..], &u64::to_le_bytes(tensors), &u64::to_le_bytes(keys), &[0; 40]].concat();
        let (message, memory) = allocations::most(|| refusal(file));
        assert_says(&message, &[says]);
        assert!(memory < 64 << 10, "{memory} bytes for: {message}");
    }
}

#[test]
fn damaged_tensors() {
    /// Where a tensor lies among others, each of 32 bytes.
    const F32: u32 = 0;
    let of = |tensors: Vec<Tensor>, data: usize| Raw { tensors, data, ..Raw::default() }.bytes();
    let one = |dims: &[u64], ty: u32| of(vec![Tensor::new("some.weight", dims, ty, 0)], 64);
    let two = |name: &str, offset: u64| {
        of(vec![Tensor::new("some.weight", &[8], F32, 0), Tensor::new(name, &[8], F32, offset)], 64)
    };
    let named: [(Vec<u8>, &[&str]); 18] = [
        (one(&[0], F32), &["shape [0] has a dimension of 0"]),
        (one(&[8, 0], F32), &["shape [0, 8]"]),
        (one(&[1, 1, 1, 1, 1], F32), &["5 dimensions, and 4 are possible"]),
        (one(&[1 << 32, 1 << 32], F32), &["more elements than can be counted"]),
        (one(&[1 << 62], F32), &["more elements than can be counted"]),
        (one(&[u64::MAX, u64::MAX, u64::MAX, u64::MAX], F32), &["more elements than can be counted"]),
        (one(&[48], 2), &["rows of 48 numbers", "whole blocks of Q4_0, which have 32"]),
        (one(&[128, 2], 12), &["rows of 128 numbers", "Q4_K, which have 256"]),
        (one(&[], 8), &["rows of 1 numbers", "Q8_0"]),
        (one(&[8], 4), &["of type Q4_2, which the format no longer has", "such as Q4_0"]),
        (one(&[8], 31), &["of type Q4_0_4_4"]),
        (one(&[8], 4711), &["of type 4711, which is unknown"]),
        (two("b", 0), &["tensor \"b\"", "byte 0 of the data, within that of another"]),
        (two("b", 16), &["byte 16 of the data, at no multiple of the alignment, 32"]),
        (two("b", 64), &["byte 64 of the data, behind a hole of 32 bytes"]),
        (two("b", 1 << 60), &["behind a hole of 1152921504606846944 bytes"]),
        (two("b", u64::MAX - 31), &["behind a hole"]),
        (two("some.weight", 32), &["a tensor before it has the same name"]),
    ];
    for (bytes, parts) in named {
        let (message, memory) = allocations::most(|| refusal(bytes));
        assert_says(&message, parts);
        assert_says(&message, &["tensor \""]);
        assert!(memory < 64 << 10, "{memory} bytes for: {message}");
    }
    let first = of(vec![Tensor::new("some.weight", &[8], F32, 32)], 64);
    assert_says(&refusal(first), &["byte 32 of the data, behind a hole of 32 bytes"]);
    let nameless = of(vec![Tensor::new("", &[8], F32, 0)], 64);
    assert_says(&refusal(nameless), &["tensor 1 of 1", "its name is empty"]);
    // 10 GB in a file of less than a kilobyte.
    let (message, memory) = allocations::most(|| refusal(one(&[2_500_000_000], F32)));
    assert_says(&message, &["has 160 bytes where its header describes 10000000096: 9999999936 are missing", "again"]);
    assert!(memory < 64 << 10, "{memory} bytes");
}

/// A download that broke off says so wherever it did.
#[test]
fn every_truncation_is_refused() {
    let (header, whole) = (every_type().header().len(), every_type().bytes());
    for length in 0..whole.len() {
        let message = refusal(&whole[..length]);
        let expected = match length {
            _ if length >= header => format!("{} are missing; its download or copy broke off", whole.len() - length),
            16.. => "cut short".to_owned(),
            8.. => "header: 8 bytes belong".to_owned(),
            4.. => "fewer than the header".to_owned(),
            1.. => "does not begin with".to_owned(),
            0 => "is empty".to_owned(),
        };
        assert_says(&message, &[&expected]);
    }
}

#[test]
fn what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| one_line(Gguf::open(path).err().expect("an error"));
    assert_says(&refusal(&folder.path().join("absent.gguf")), &["cannot read", "absent.gguf: No such file"]);
    assert_says(&refusal(folder.path()), &["cannot read", "it is not a regular file"]);
    let empty = folder.path().join("empty.gguf");
    std::fs::write(&empty, "").unwrap();
    assert_says(&refusal(&empty), &["empty.gguf is empty"]);
}
