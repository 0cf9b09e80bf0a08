//! A file that the Python package gguf wrote: `tests/make_python.py`.

use super::*;

#[test]
fn a_file_of_the_python_package() {
    let gguf = open(include_bytes!("../python.gguf").to_vec()).unwrap();
    assert!(gguf.warnings().is_empty());
    let it = gguf.metadata();
    assert_eq!(it.string("general.architecture").unwrap(), Some("llama"));
    assert_eq!(it.string("general.name").unwrap(), Some("by Python"));
    assert_eq!(it.usize("llama.context_length").unwrap(), Some(2048));
    assert_eq!(it.f64("llama.rope.freq_base").unwrap(), Some(1e6));
    assert_eq!(it.f64("llama.attention.layer_norm_rms_epsilon").unwrap(), Some(f64::from(1e-5_f32)));
    assert_eq!(it.bool("tokenizer.ggml.add_bos_token").unwrap(), Some(true));
    let tokens = it.strings("tokenizer.ggml.tokens").unwrap().unwrap();
    assert!(tokens.iter().eq(["<s>", "\u{2581}the", "\u{1f999}", "<0x0A>"]));
    assert_eq!(it.f32s("tokenizer.ggml.scores").unwrap(), Some(&[0.0, -1.5, -2.25, 0.0][..]));
    assert_eq!(it.i32s("tokenizer.ggml.token_type").unwrap(), Some(&[3, 1, 1, 6][..]));
    assert_eq!(it.u64("glass.u64").unwrap(), Some(1 << 63));
    assert_eq!(it.f64("glass.f64").unwrap(), Some(1e-300));
    let nested = Array::Array(vec![Array::I32(vec![1, 2]), Array::I32(vec![3])]);
    assert_eq!(it.get("glass.nested"), Some(&Value::Array(nested)));

    let tensors: Vec<_> = gguf.tensors().map(|it| (it.name, it.ty.name(), it.shape)).collect();
    assert_eq!(
        tensors,
        [
            ("f32", "F32", &[2, 3][..]),
            ("f16", "F16", &[2, 256]),
            ("Q8_0", "Q8_0", &[2, 256]),
            ("Q4_1", "Q4_1", &[2, 256]),
            ("Q4_K", "Q4_K", &[3, 2, 256]),
        ]
    );
    let f32s = [-4.0_f32, -3.984375, -3.96875, 0.0, 0.015625, 0.03125].map(f32::to_le_bytes);
    assert_eq!(gguf.get("f32").unwrap().bytes, f32s.as_flattened());
    let blocks: Vec<u8> = (0..3 * 2 * 144).map(|i| (i % 251) as u8).collect();
    assert_eq!(gguf.get("Q4_K").unwrap().bytes, blocks);
    // The first block of 32 numbers, -4 to -3.515625: a scale of 4/127 and its quants.
    let q8_0 = gguf.get("Q8_0").unwrap().bytes;
    assert_eq!((q8_0[2] as i8, q8_0[33] as i8), (-127, -112));
}
