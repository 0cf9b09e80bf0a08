//! Files that are written, and those that cannot be.

use std::io::{self, Write};

use super::*;

fn info(name: &str, ty: GgmlType, shape: &[usize]) -> TensorInfo {
    TensorInfo { name: name.to_owned(), ty, shape: shape.to_vec() }
}

/// Byte for byte.
#[test]
fn what_was_read_is_written_again() {
    let raw = every_type();
    let mut bytes = raw.bytes();
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    let gguf = open(bytes.clone()).unwrap();
    let infos = gguf.tensors().map(|tensor| info(tensor.name, tensor.ty, tensor.shape)).collect();
    let writer = Writer::new(gguf.metadata(), infos).unwrap();
    let mut out = Vec::new();
    writer
        .write::<GgufError>(&mut out, |info, out| {
            let data = gguf.get(&info.name).unwrap().bytes;
            // In pieces, as a model larger than memory is.
            data.chunks(5).try_for_each(|piece| out.write_all(piece)).map_err(GgufError::Write)
        })
        .unwrap();
    // The bytes between header and data, and behind each tensor.
    let start = raw.header().len().next_multiple_of(32);
    for padding in [raw.header().len()..start, start + 24..start + 32, start + 68..start + 96] {
        bytes[padding].fill(0);
    }
    assert_eq!(out.len() as u64, writer.bytes());
    assert!(out == bytes);
}

#[test]
fn what_cannot_be_written() {
    let (metadata, f32) = (Metadata::new("new.gguf"), GgmlType::F32);
    let refusal = |infos: Vec<TensorInfo>| one_line(Writer::new(&metadata, infos).err().expect("an error"));
    let cases = [
        (refusal(vec![info(&"x".repeat(64), f32, &[1])]), "its name has 64 bytes"),
        (refusal(vec![info("", f32, &[1])]), "its name has 0 bytes"),
        (refusal(vec![info("a", f32, &[1]), info("a", f32, &[1])]), "there are two of this name"),
        (refusal(vec![info("a", f32, &[1; 5])]), "5 dimensions"),
        (refusal(vec![info("a", f32, &[2, 0])]), "a dimension of 0"),
        (refusal(vec![info("a", GgmlType::Q4K, &[2, 32])]), "whole blocks of Q4_K"),
    ];
    for (message, part) in cases {
        assert_says(&message, &["cannot be written", part]);
    }
    let mut askew = metadata.clone();
    askew.insert("general.alignment", 12_u32);
    let message = one_line(Writer::new(&askew, Vec::new()).err().expect("an error"));
    assert_says(&message, &["new.gguf", "u32 12", "power of two"]);

    let writer = Writer::new(&metadata, vec![info("a", f32, &[2])]).unwrap();
    for length in [0, 7, 9] {
        let given = |_: &TensorInfo, out: &mut dyn Write| out.write_all(&[0; 9][..length]).map_err(GgufError::Write);
        let message = one_line(writer.write(&mut Vec::new(), given).unwrap_err());
        assert_says(&message, &["tensor \"a\"", &format!("{length} bytes of data were given"), "have 8"]);
    }
    let full = |_: &TensorInfo, _: &mut dyn Write| Err(GgufError::Write(io::Error::other("no numbers")));
    assert_says(&one_line(writer.write(&mut Vec::new(), full).unwrap_err()), &["no numbers"]);
    let mut small = &mut [0; 16][..];
    let message = one_line(writer.write::<GgufError>(&mut small, |_, _| Ok(())).unwrap_err());
    assert_says(&message, &["cannot write a GGUF file: failed to write whole buffer"]);
}
