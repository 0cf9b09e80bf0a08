//! Whatever is written is read again.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<f32>().prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        ".*".prop_map(Value::String),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_map(Value::F64),
    ]
}

/// No more than 4 deep.
fn array() -> impl Strategy<Value = Array> {
    let flat = prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(Array::U8),
        vec(any::<i8>(), 0..40).prop_map(Array::I8),
        vec(any::<u16>(), 0..40).prop_map(Array::U16),
        vec(any::<i16>(), 0..40).prop_map(Array::I16),
        vec(any::<u32>(), 0..40).prop_map(Array::U32),
        vec(any::<i32>(), 0..40).prop_map(Array::I32),
        vec(any::<f32>(), 0..40).prop_map(Array::F32),
        vec(any::<bool>(), 0..40).prop_map(Array::Bool),
        vec(".*", 0..8).prop_map(|strings| Array::String(strings.into_iter().collect())),
        vec(any::<u64>(), 0..40).prop_map(Array::U64),
        vec(any::<i64>(), 0..40).prop_map(Array::I64),
        vec(any::<f64>(), 0..40).prop_map(Array::F64),
    ];
    flat.prop_recursive(3, 24, 4, |inner| vec(inner, 0..4).prop_map(Array::Array))
}

fn tensor() -> impl Strategy<Value = (GgmlType, Vec<usize>)> {
    let ty = prop::sample::select(GgmlType::all().collect::<Vec<_>>());
    (ty, vec(1_usize..4, 0..5)).prop_map(|(ty, mut shape)| {
        match shape.last_mut() {
            Some(row) => *row *= ty.block_len(),
            None if ty.block_len() > 1 => shape.push(ty.block_len()),
            None => {}
        }
        (ty, shape)
    })
}

proptest! {
    #[test]
    fn keys_and_tensors_are_read_as_they_were_written(
        values in btree_map(".{1,20}", prop_oneof![scalar(), array().prop_map(Value::Array)], 0..12),
        tensors in btree_map("[a-z.0-9]{1,63}", tensor(), 0..12),
        alignment in prop::option::of(3_u32..9),
        seed in any::<u8>(),
    ) {
        let mut metadata = Metadata::new(NAME);
        for (key, value) in values {
            metadata.insert(key, value);
        }
        if let Some(power) = alignment {
            metadata.insert("general.alignment", 1_u32 << power);
        }
        let tensors: Vec<_> =
            tensors.into_iter().map(|(name, (ty, shape))| TensorInfo { name, ty, shape }).collect();
        let data = |info: &TensorInfo| -> Vec<u8> {
            let length = info.ty.bytes(&info.shape).unwrap();
            (0..length).map(|i| seed.wrapping_add(info.name.len() as u8).wrapping_mul(i as u8)).collect()
        };

        let writer = Writer::new(&metadata, tensors.clone()).unwrap();
        let mut file = Vec::new();
        writer.write::<GgufError>(&mut file, |info, out| Ok(out.write_all(&data(info))?)).unwrap();
        prop_assert_eq!(file.len() as u64, writer.bytes());

        let gguf = open(file).unwrap();
        prop_assert_eq!(gguf.metadata(), &metadata);
        prop_assert!(gguf.warnings().is_empty());
        prop_assert_eq!(gguf.tensors().len(), tensors.len());
        for (read, written) in gguf.tensors().zip(&tensors) {
            let info = TensorInfo { name: read.name.to_owned(), ty: read.ty, shape: read.shape.to_vec() };
            prop_assert_eq!(&info, written);
            prop_assert!(read.bytes == data(written));
            let (_, range) = gguf.place(read.name).unwrap();
            prop_assert!(range.start.is_multiple_of(1 << alignment.unwrap_or(5)));
        }
    }
}
