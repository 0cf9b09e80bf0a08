//! What keys are asked for.

use super::*;

#[test]
fn getters_take_their_types_and_no_others() {
    let gguf = open(every_type().bytes()).unwrap();
    let it = gguf.metadata();
    for (key, value) in [("u8", 200), ("u16", 60_000), ("u32", 4_000_000_000), ("u64", u64::MAX)] {
        assert_eq!(it.u64(key).unwrap(), Some(value));
    }
    assert_eq!(it.usize("u16").unwrap(), Some(60_000));
    assert_eq!((it.f64("f32").unwrap(), it.f64("f64").unwrap()), (Some(0.5), Some(1e-300)));
    assert_eq!((it.bool("true").unwrap(), it.bool("false").unwrap()), (Some(true), Some(false)));
    assert_eq!(it.string("general.architecture").unwrap(), Some("llama"));
    assert_eq!(it.i32s("i32s").unwrap(), Some(&[7, -7][..]));
    assert_eq!(it.f32s("f32s").unwrap(), Some(&[0.25, -1e30][..]));
    assert_eq!(it.bools("bools").unwrap(), Some(&[true, false, true][..]));
    assert_eq!(it.u64s("u8s").unwrap(), Some(vec![1, 2, 3]));
    assert_eq!(it.strings("strings").unwrap().unwrap().get(3), Some("\u{2581}the"));

    assert!(it.u64("absent").unwrap().is_none() && it.strings("absent").unwrap().is_none());
    let refused: [(Result<(), GgufError>, &[&str]); 8] = [
        (it.u64("i8").map(drop), &[NAME, "\"i8\" is i8 -56", "a non-negative integer"]),
        (it.u64("f32").map(drop), &["\"f32\" is f32 0.5 where", "integer belongs"]),
        (it.f64("u8").map(drop), &["\"u8\" is u8 200", "a float"]),
        (it.bool("u8").map(drop), &["\"u8\" is u8 200", "a bool"]),
        (it.string("strings").map(drop), &["\"strings\" is array of 4 x string", "a string"]),
        (it.strings("general.architecture").map(drop), &["string \"llama\"", "an array of strings"]),
        (it.i32s("u8s").map(drop), &["\"u8s\" is array of 3 x u8", "an array of i32", "convert or fetch"]),
        (it.u64s("i32s").map(drop), &["\"i32s\" is array of 2 x i32", "non-negative"]),
    ];
    for (result, parts) in refused {
        assert_says(&one_line(result.unwrap_err()), parts);
    }
    assert_says(&one_line(it.missing("llama.block_count")), &[NAME, "there is no key \"llama.block_count\""]);
}

#[test]
fn keys_keep_their_order() {
    let mut it = Metadata::new("new.gguf");
    it.insert("z", 1_u32);
    it.insert("a", "text");
    it.insert("m", vec!["x".to_owned(), "y".to_owned()]);
    assert_eq!(it.insert("z", 2_u32), Some(Value::U32(1)));
    assert!(it.iter().map(|(key, _)| key).eq(["z", "a", "m"]));
    assert_eq!(it.remove("a"), Some(Value::String("text".to_owned())));
    assert!(it.iter().map(|(key, _)| key).eq(["z", "m"]));
}

#[test]
fn types_have_their_numbers_and_names() {
    for ty in GgmlType::all() {
        assert_eq!(GgmlType::from_number(ty.number()), Some(ty));
        assert_eq!(GgmlType::from_name(&ty.name().to_lowercase()), Some(ty));
        assert_eq!(ty.bytes(&[3, 2 * ty.block_len()]), Ok(6 * ty.block_bytes()));
    }
    assert_eq!(GgmlType::all().filter_map(GgmlType::block_format).count(), BlockFormat::ALL.len());
    assert!(BlockFormat::ALL.iter().all(|&format| GgmlType::from(format).block_format() == Some(format)));
    assert_eq!((GgmlType::from_number(4), GgmlType::from_name("Q4_K_M")), (None, None));
}
