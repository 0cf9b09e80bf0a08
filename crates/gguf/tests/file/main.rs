//! Files, whole and damaged.

mod allocations;
mod fuzz;
mod metadata;
mod python;
mod raw;
mod refusals;
mod round_trip;
mod splits;
mod writing;

use std::path::Path;

use glass_gguf::{Array, GgmlType, Gguf, GgufError, Metadata, SplitName, TensorInfo, Value, Writer};
use glass_kernels::quant::BlockFormat;

use self::raw::{Key, Raw, Tensor};

const NAME: &str = "some/model.gguf";

fn open(bytes: Vec<u8>) -> Result<Gguf, String> {
    Gguf::from_bytes(Path::new(NAME), bytes).map_err(one_line)
}

fn one_line(error: GgufError) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n'), "more than one line: {message}");
    assert!(message.chars().count() < 500, "too long a line: {message}");
    message
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// A file of keys of every type and of tensors of several.
fn every_type() -> Raw {
    let numbers = |values: &[u8]| (values.len() as u64, values.to_vec());
    let array =
        |ty: u32, (count, values): (u64, Vec<u8>)| [&ty.to_le_bytes()[..], &count.to_le_bytes(), &values].concat();
    let strings = ["a", "", "\u{e9}t\u{e9}", "\u{2581}the"].map(raw::text).concat();
    let nested = array(9, (2, [array(0, numbers(&[1, 2])), array(8, (1, raw::text("deep")))].concat()));
    let keys = vec![
        Key::string("general.architecture", "llama"),
        Key::new("u8", 0, [200]),
        Key::new("i8", 1, [200]),
        Key::new("u16", 2, 60_000_u16.to_le_bytes()),
        Key::new("i16", 3, (-2_i16).to_le_bytes()),
        Key::new("u32", 4, 4_000_000_000_u32.to_le_bytes()),
        Key::new("i32", 5, (-3_i32).to_le_bytes()),
        Key::new("f32", 6, 0.5_f32.to_le_bytes()),
        Key::new("true", 7, [1]),
        Key::new("false", 7, [0]),
        Key::new("u64", 10, u64::MAX.to_le_bytes()),
        Key::new("i64", 11, i64::MIN.to_le_bytes()),
        Key::new("f64", 12, 1e-300_f64.to_le_bytes()),
        Key::new("u8s", 9, array(0, numbers(&[1, 2, 3]))),
        Key::new("i32s", 9, array(5, (2, [7_i32, -7].map(i32::to_le_bytes).concat()))),
        Key::new("f32s", 9, array(6, (2, [0.25_f32, -1e30].map(f32::to_le_bytes).concat()))),
        Key::new("u64s", 9, array(10, (1, 9_u64.to_le_bytes().to_vec()))),
        Key::new("bools", 9, array(7, numbers(&[1, 0, 1]))),
        Key::new("strings", 9, array(8, (4, strings))),
        Key::new("none", 9, array(5, (0, Vec::new()))),
        Key::new("nested", 9, nested),
    ];
    let tensors = vec![
        // 24 bytes, 8 of padding.
        Tensor::new("norm", &[6], 0, 0),
        // Two rows of one block of 18 bytes, 28 of padding.
        Tensor::new("blk.0.q4", &[32, 2], 2, 32),
        // A block of 144 bytes in each of 1 x 3 x 2 x 1 rows.
        Tensor::new("blk.0.q4_k", &[256, 1, 3, 2], 12, 96),
        Tensor::new("scalar", &[], 28, 960),
    ];
    Raw { keys, tensors, data: 968, ..Raw::default() }
}

#[test]
fn a_file_is_what_its_bytes_say() {
    let gguf = open(every_type().bytes()).unwrap();
    let metadata = gguf.metadata();
    assert_eq!(metadata.len(), 21);
    let shown: Vec<String> = metadata.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    assert_eq!(
        shown,
        [
            "general.architecture = string \"llama\"",
            "u8 = u8 200",
            "i8 = i8 -56",
            "u16 = u16 60000",
            "i16 = i16 -2",
            "u32 = u32 4000000000",
            "i32 = i32 -3",
            "f32 = f32 0.5",
            "true = bool true",
            "false = bool false",
            "u64 = u64 18446744073709551615",
            "i64 = i64 -9223372036854775808",
            &format!("f64 = f64 {}", 1e-300),
            "u8s = array of 3 x u8",
            "i32s = array of 2 x i32",
            "f32s = array of 2 x f32",
            "u64s = array of 1 x u64",
            "bools = array of 3 x bool",
            "strings = array of 4 x string",
            "none = array of 0 x i32",
            "nested = array of 2 x array",
        ]
    );
    assert!(metadata.strings("strings").unwrap().unwrap().iter().eq(["a", "", "\u{e9}t\u{e9}", "\u{2581}the"]));
    let tensors: Vec<_> = gguf.tensors().map(|it| (it.name, it.ty.name(), it.shape, it.bytes.len())).collect();
    let (empty, data): (&[usize], _) = (&[], every_type().data_bytes());
    assert_eq!(
        tensors,
        [
            ("norm", "F32", &[6][..], 24),
            ("blk.0.q4", "Q4_0", &[2, 32], 36),
            ("blk.0.q4_k", "Q4_K", &[2, 3, 1, 256], 864),
            ("scalar", "F64", empty, 8),
        ]
    );
    assert_eq!(gguf.get("norm").unwrap().bytes, &data[..24]);
    assert_eq!(gguf.get("scalar").unwrap().bytes, &data[960..968]);
    assert_eq!(gguf.total_bytes(), 24 + 36 + 864 + 8);
    assert!(gguf.get("blk.0").is_none() && gguf.place("blk.0").is_none());
    let (file, range) = gguf.place("blk.0.q4").unwrap();
    assert_eq!((file.path(), file.bytes(range)), (Path::new(NAME), &data[32..68]));
    assert!(gguf.warnings().is_empty());
}

/// The order of the header is no matter, and neither is what stands behind the last tensor.
#[test]
fn what_is_odd_and_harmless() {
    let mut raw = every_type();
    raw.tensors.reverse();
    raw.version = 2;
    raw.data += 100;
    let gguf = open(raw.bytes()).unwrap();
    assert_eq!(gguf.tensors().next().unwrap().name, "norm");
    let [warning] = gguf.warnings() else { panic!("{:?}", gguf.warnings()) };
    assert_says(warning, &[NAME, "has 76 bytes behind its last tensor"]);

    let bare = Raw { keys: vec![Key::string("only", "keys")], ..Raw::default() };
    let gguf = open(bare.bytes()).unwrap();
    assert_eq!((gguf.metadata().len(), gguf.tensors().len(), gguf.warnings().len()), (1, 0, 0));

    let wide = Raw {
        keys: vec![Key::new("general.alignment", 4, 256_u32.to_le_bytes())],
        tensors: vec![Tensor::new("a", &[1], 24, 0), Tensor::new("b", &[1], 24, 256)],
        alignment: 256,
        data: 257,
        ..Raw::default()
    };
    let gguf = open(wide.bytes()).unwrap();
    assert_eq!(gguf.get("b").unwrap().bytes, &wide.data_bytes()[256..]);
}
