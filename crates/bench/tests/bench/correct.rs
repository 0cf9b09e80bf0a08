//! Rows that are right, and rows that are wrong.

use glass_backend::{Device, Dtype};
use glass_bench::{Broken, Correctness, SEED, SHAPES, Text, check, loss, random_model, tolerance, write_reference};
use glass_config::{LlamaConfig, Override};
use glass_generate::{Llama, read_whole};
use tempfile::TempDir;

fn config(overrides: &[&str]) -> LlamaConfig {
    let overrides: Vec<Override> = overrides.iter().map(|text| text.parse().unwrap()).collect();
    let text = r#"{"model_type": "mistral", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 160,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 64,
        "tie_word_embeddings": false, "max_position_embeddings": 4096}"#;
    LlamaConfig::from_json(text, "test", &overrides).unwrap()
}

fn model(overrides: &[&str], device: &str, dtype: Dtype, seed: u32) -> Llama {
    let device = Device::open(device).unwrap();
    random_model(&config(overrides), &device, dtype.into(), seed).unwrap()
}

fn right() -> Llama {
    model(&[], "flex", Dtype::F32, SEED)
}

/// Against [`right`], and under which tolerance.
fn seen(llama: &Llama) -> (Correctness, f64) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("reference");
    let tokens = write_reference(&right(), &file).unwrap();
    check(llama, llama.dtype.into(), &file, &tokens).unwrap()
}

#[test]
fn the_reference_is_itself() {
    let (seen, tolerance) = seen(&right());
    assert_eq!((seen.max_logit_diff, seen.greedy.equal), (0.0, 128));
    assert_eq!(seen.broken(tolerance), None);
}

/// The loss is that of the logits of single steps, and least for the model that chose the text.
#[test]
fn the_loss_is_that_of_the_greedy_text() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("reference");
    let tokens = write_reference(&right(), &file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let logits: Vec<f32> = bytes.chunks(4).map(|bytes| f32::from_ne_bytes(bytes.try_into().unwrap())).collect();
    let rows: Vec<&[f32]> = logits.chunks(300).collect();
    let rows = &rows[rows.len() - tokens.len()..];
    let nll = |(row, id): (&&[f32], &u32)| {
        let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
        sum.ln() - f64::from(row[*id as usize])
    };
    let expected = rows.iter().zip(&tokens).map(nll).sum::<f64>() / tokens.len() as f64;
    let own = loss(&right(), &tokens).unwrap();
    assert!((own - expected).abs() < 1e-5, "{own} {expected}");
    let other = loss(&model(&[], "flex", Dtype::F32, SEED + 1), &tokens).unwrap();
    assert!(other > own + 0.5, "{other} {own}");
}

#[test]
fn other_backends_and_dtypes_are_near() {
    for (device, dtype) in [("ndarray", Dtype::F32), ("flex", Dtype::F16), ("flex", Dtype::BF16)] {
        let (seen, tolerance) = seen(&model(&[], device, dtype, SEED));
        assert!(seen.max_logit_diff > 0.0, "{device} {dtype} is the reference");
        assert_eq!(seen.broken(tolerance), None, "{device} {dtype}: {seen:?}");
    }
}

#[test]
fn another_model_is_struck_out() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let (seen, tolerance) = seen(&model(&[], "flex", dtype, SEED + 1));
        let broken = seen.broken(tolerance);
        assert!(matches!(broken, Some(Broken::Logits { .. })), "{dtype}: {seen:?}");
    }
}

/// Each is a mistake that somebody who writes a backend can make.
#[test]
fn a_model_that_is_a_little_wrong_is_struck_out() {
    for wrong in ["sliding_window=63", "rope_parameters.rope_theta=9000", "rms_norm_eps=0.001"] {
        let (seen, tolerance) = seen(&model(&[wrong], "flex", Dtype::F32, SEED));
        assert!(seen.broken(tolerance).is_some(), "{wrong}: {seen:?} under {tolerance}");
    }
}

#[test]
fn a_tolerance_is_a_small_part_of_the_largest_logit() {
    let one = |name: &str, dtype: Dtype| {
        let shape = SHAPES.into_iter().find(|shape| shape.name == name).unwrap();
        let config = LlamaConfig::from_json(shape.config, name, &[]).unwrap();
        tolerance(&config, dtype.into(), 1.0)
    };
    for shape in SHAPES {
        assert!(one(shape.name, Dtype::F32) < 2e-3, "{}", shape.name);
        assert!(one(shape.name, Dtype::F16) < 0.07, "{}", shape.name);
        assert!(one(shape.name, Dtype::BF16) < 0.6, "{}", shape.name);
        assert!(one(shape.name, Dtype::F32) < one(shape.name, Dtype::F16));
    }
}

/// Where a RoPE rotates by the length of the pass, a prompt is one pass, as in generation: in chunks it would be another
/// computation that is timed.
#[test]
fn prompts_are_read_as_generation_reads_them() {
    let dynamic = [
        "sliding_window=null",
        "max_position_embeddings=100",
        "rope_parameters.rope_type=dynamic",
        "rope_parameters.factor=4.0",
    ];
    for overrides in [&[][..], &dynamic] {
        let llama = model(overrides, "flex", Dtype::F32, SEED);
        let mut text = Text::new(&llama, 700).unwrap();
        let found = text.logits_after(0..700).unwrap();
        let ids = text.tokens(0..700);
        let whole = read_whole(&llama, &[&ids], 699).unwrap().read().unwrap();
        let off = found.iter().zip(whole.values()).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0, f32::max);
        assert!(off < 1e-4, "{overrides:?}: {off}");
    }
}
