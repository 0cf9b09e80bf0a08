//! Quantized models as other programs write them.

use glass_backend::{KernelMode, quant::QuantFormat};
use glass_checkpoint::Files;
use glass_testing::devices;
use safetensors::Dtype as Stored;

use crate::{
    fixture,
    quantized::{Written, config, floats, folder, load},
};

/// Other writers share a scale among 64 or all numbers of a row, store scales as bfloat16, and end a row with its last code.
/// Zero points lie in words down the columns, or in bytes; without any, zero is in the middle.
#[test]
fn layouts_of_other_writers() {
    let source = fixture::root().join("llama-gqa"); // rows of 48 and 96
    let files = Files::open(&source).expect("a checkpoint");
    let (four, eight) = (QuantFormat::Int4, QuantFormat::Int8);
    let layouts = [
        (four, 64, None),
        (eight, 32, None),
        (eight, usize::MAX, None),
        (four, 32, Some(Stored::I32)),
        (four, 64, Some(Stored::I32)),
        (four, usize::MAX, Some(Stored::I8)),
    ];
    for (bits, group, zero_type) in layouts {
        let (mut coded, mut plain) = (Vec::new(), Vec::new());
        for name in files.names() {
            let shape = files.get(name).expect("it is there").shape.to_vec();
            let values = floats(&files, name);
            let float = |values: &[f32], to: &mut Vec<Written>| {
                to.push(Written {
                    name: name.to_owned(),
                    dtype: Stored::F32,
                    shape: shape.clone(),
                    bytes: bytemuck::cast_slice(values).to_vec(),
                });
            };
            if !name.ends_with("_proj.weight") {
                float(&values, &mut coded);
                float(&values, &mut plain);
                continue;
            }
            let group = group.min(shape[1]);
            let largest = (bits.offset() - 1) as f32;
            let (mut words, mut scales, mut meant) = (Vec::<u32>::new(), Vec::new(), Vec::new());
            let mut zeros = Vec::<i8>::new();
            for row in values.chunks(shape[1]) {
                let mut codes = Vec::new();
                for group in row.chunks(group) {
                    let scale = group.iter().fold(0f32, |max, x| max.max(x.abs())) / largest;
                    let scale = half::bf16::from_f32(scale * 2.02);
                    let zero = if zero_type.is_some() { scales.len() as i32 % 16 - 8 } else { 0 };
                    scales.push(scale);
                    zeros.push(zero as i8);
                    for value in group {
                        let code = (value / scale.to_f32()).round() as i32 + zero;
                        let code = code.clamp(-bits.offset(), bits.offset() - 1);
                        meant.push((code - zero) as f32 * scale.to_f32());
                        codes.push((code + bits.offset()) as u32);
                    }
                }
                words.extend(codes.chunks(bits.per_word()).map(|codes| {
                    let codes = codes.iter().enumerate();
                    codes.fold(0, |word, (i, code)| word | code << (i * bits.bits()))
                }));
            }
            float(&meant, &mut plain);
            let module = name.strip_suffix("weight").expect("a weight");
            let groups = shape[1].div_ceil(group);
            coded.push(Written {
                name: format!("{module}weight_packed"),
                dtype: Stored::I32,
                shape: vec![shape[0], words.len() / shape[0]],
                bytes: bytemuck::cast_slice(&words).to_vec(),
            });
            coded.push(Written {
                name: format!("{module}weight_scale"),
                dtype: Stored::BF16,
                shape: vec![shape[0], groups],
                bytes: scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
            });
            let rows_of_words = shape[0].div_ceil(8);
            let zero_points = match zero_type {
                None => continue,
                Some(Stored::I8) => (vec![shape[0], groups], bytemuck::cast_slice(&zeros).to_vec()),
                Some(_) => {
                    let mut words = vec![0u32; rows_of_words * groups];
                    for (at, zero) in zeros.iter().enumerate() {
                        let (row, group) = (at / groups, at % groups);
                        words[row / 8 * groups + group] |= ((i32::from(*zero) + 8) as u32) << (row % 8 * 4);
                    }
                    (vec![rows_of_words, groups], bytemuck::cast_slice(&words).to_vec())
                }
            };
            let name = format!("{module}weight_zero_point");
            let dtype = zero_type.expect("there are some");
            coded.push(Written { name, dtype, shape: zero_points.0, bytes: zero_points.1 });
        }
        let config = config(&source);
        let (coded, plain) = (folder(&config, &coded), folder(&config, &plain));
        let device = devices::flex().with_kernel_mode(KernelMode::Plain);
        let rows = [vec![3, 1, 4, 1, 5, 92, 65]];
        let coded = fixture::forward(&load(coded.path(), &device, None).expect("loads"), &rows, None);
        let plain = fixture::forward(&load(plain.path(), &device, None).expect("loads"), &rows, None);
        let off = fixture::difference(&coded["logits"], &plain["logits"], 1, None);
        assert!(off <= 1e-4, "{bits} bits, groups of {group}, zero points {zero_type:?}: {off} off");
    }
}
