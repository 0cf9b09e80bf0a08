//! GGUF files against `transformers`: every fixture of llama.cpp, as it is and dequantized.

use std::{ops::ControlFlow, path::Path};

use glass_backend::{Device, Dtype, KernelMode};
use glass_checkpoint::{ConvertOptions, Existing, Files, Precision, SaveProgress, ShardSize};
use glass_generate::{GenerateOptions, Llama, LoadOptions, ModelFiles, generate, unpack};
use glass_testing::{devices, fixtures};

use crate::fixture::{self, Tensors, Values};

fn load(folder: &Path, device: &Device, precision: Option<Precision>) -> Llama {
    let options = LoadOptions { device: device.clone(), precision, overrides: &[], progress: &mut |_, _| {} };
    Llama::load(&folder.join("model.gguf"), options)
        .unwrap_or_else(|error| panic!("{}: {error}", fixture::name(folder)))
}

/// A folder as the file has it.
fn options(progress: SaveProgress<'_>) -> ConvertOptions<'_> {
    ConvertOptions { dtype: None, max_shard_size: ShardSize::default(), existing: Existing::Refuse, progress }
}

fn plain() -> Device {
    devices::flex().with_kernel_mode(KernelMode::Plain)
}

fn largest(values: &Values) -> f32 {
    values.values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

fn logits(llama: &Llama, expected: &Tensors) -> Values {
    fixture::forward(llama, &fixture::rows(&expected["input_ids"]), None).remove("logits").expect("it computes them")
}

/// A greedy text of the reference: the prompt, and what follows.
fn greedy(expected: &Tensors) -> (Vec<u32>, Vec<u32>) {
    let row = |name: &str| fixture::rows(&expected[name]).swap_remove(0);
    let (prompt, output) = (row("greedy.prompt_ids"), row("greedy.output_ids"));
    let new = output[prompt.len()..].to_vec();
    (prompt, new)
}

fn continued(llama: &Llama, prompt: &[u32], tokens: usize) -> Vec<u32> {
    let options = GenerateOptions { eos_ids: vec![], ..GenerateOptions::new(tokens) };
    generate(llama, prompt, &options, &mut |_| ControlFlow::Continue(())).expect("generated").ids
}

/// Mean negative log-likelihood of each token after those before it.
fn likelihood(logits: &Values, ids: &[u32]) -> f64 {
    let rows = logits.values.chunks(logits.shape[2]);
    let nll = rows.zip(&ids[1..]).map(|(row, &next)| {
        let most = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|&x| f64::from(x - most).exp()).sum();
        sum.ln() - f64::from(row[next as usize] - most)
    });
    nll.sum::<f64>() / (ids.len() - 1) as f64
}

#[test]
fn dequantized_numbers_compute_what_the_reference_does() {
    for device in [plain(), Device::open("ndarray").expect("it is built in")] {
        for folder in fixtures::gguf() {
            let llama = load(&folder, &device, Some(Dtype::F32.into()));
            let expected = fixture::expected(&folder);
            let who = format!("{} on {}", fixture::name(&folder), device.name());
            let largest = largest(&expected["logits"]);
            let off = fixture::difference(&logits(&llama, &expected), &expected["logits"], 1, None);
            assert!(off <= 1e-4 * largest, "{who}: {off:e} off, of {largest}");
            let (prompt, new) = greedy(&expected);
            assert!(expected["greedy.margin"].values[0] > 1e-3, "{who}: no text to compare with");
            assert_eq!(continued(&llama, &prompt, new.len()), new, "{who}");
        }
    }
}

#[test]
fn blocks_compute_what_their_numbers_do() {
    for device in [Some(devices::flex()), devices::wgpu()].into_iter().flatten() {
        let folders = fixtures::gguf();
        // Software Vulkan compiles each kernel for seconds.
        let few = if devices::is_wgpu(&device) { 2 } else { folders.len() };
        for folder in folders.iter().rev().take(few) {
            let llama = load(folder, &device, None);
            let expected = fixture::expected(folder);
            let who = format!("{} on {}", fixture::name(folder), device.name());
            let ids = fixture::rows(&expected["input_ids"]).swap_remove(0);
            let [own, its] = [&logits(&llama, &expected), &expected["logits"]].map(|logits| likelihood(logits, &ids));
            assert!((own / its - 1.0).abs() < 0.01, "{who}: {own} nats per token, and {its} by the reference");

            let (prompt, new) = greedy(&expected);
            let text = continued(&llama, &prompt, new.len());
            let Some(first) = (0..new.len()).find(|&i| text[i] != new[i]) else { continue };
            // The texts part at a tie: what the reference takes is as good to within what 8 bits round.
            let before = [&prompt[..], &new[..first]].concat();
            let mut seen = fixture::forward(&llama, &[before], None);
            let last = seen.remove("logits").expect("it computes them");
            let row = &last.values[last.values.len() - last.shape[2]..];
            let lost = row[text[first] as usize] - row[new[first] as usize];
            let largest = largest(&last);
            assert!(lost <= 0.03 * largest, "{who}: token {first} is another by {lost}, of {largest}");
        }
    }
}

#[test]
fn every_architecture_computes_what_the_reference_does() {
    for (file, family) in fixtures::architectures() {
        let who = fixture::name(&family);
        // What GGUF has no key for.
        let overrides: &[&str] = match who.as_str() {
            "gemma2" | "gemma3_text" => &["query_pre_attn_scalar=20"],
            "smollm3" => &["no_rope_layer_interval=3"],
            _ => &[],
        };
        let overrides: Vec<_> = overrides.iter().map(|set| set.parse().expect("an override")).collect();
        for device in [plain(), devices::flex()] {
            let precision = Some(Dtype::F32.into());
            let options = LoadOptions { device, precision, overrides: &overrides, progress: &mut |_, _| {} };
            let llama = Llama::load(&file, options).unwrap_or_else(|error| panic!("{who}: {error}"));
            assert!(llama.warnings.is_empty(), "{who}: {:?}", llama.warnings);
            let expected = fixture::expected(&family);
            let off = fixture::difference(&logits(&llama, &expected), &expected["logits"], 1, None);
            assert!(off <= 2e-5 * largest(&expected["logits"]), "{who}: {off:e} off");
            let (prompt, new) = greedy(&expected);
            assert_eq!(continued(&llama, &prompt, new.len()), new, "{who}");
        }
    }
}

#[test]
fn a_folder_made_of_an_architecture_is_the_familys_bit_for_bit() {
    for (file, family) in fixtures::architectures() {
        let who = fixture::name(&family);
        let target = tempfile::tempdir().expect("a temporary folder");
        let files = ModelFiles::open(&file).expect("a GGUF file");
        unpack(files.gguf().expect("it is one"), target.path(), options(&mut |_, _| ControlFlow::Continue(())))
            .unwrap_or_else(|error| panic!("{who}: {error}"));
        let [before, after] =
            [family.as_path(), target.path()].map(|folder| Files::open(folder).expect("a checkpoint"));
        assert!(before.names().eq(after.names()), "{who}");
        for name in before.names() {
            let [before, after] = [&before, &after].map(|files| files.get(name).expect("it is there"));
            assert_eq!((before.dtype, before.shape), (after.dtype, after.shape), "{who}: {name}");
            assert!(before.bytes == after.bytes, "{who}: {name}");
        }
    }
}

#[test]
fn a_folder_made_of_a_file_computes_the_same() {
    for folder in fixtures::gguf() {
        let who = fixture::name(&folder);
        let target = tempfile::tempdir().expect("a temporary folder");
        let files = ModelFiles::open(&folder.join("model.gguf")).expect("a GGUF file");
        let go_on = &mut |_, _| ControlFlow::Continue(());
        let done = unpack(files.gguf().expect("it is one"), target.path(), options(go_on));
        let done = done.unwrap_or_else(|error| panic!("{who}: {error}"));
        assert!(done.warnings.is_empty(), "{who}: {:?}", done.warnings);

        let expected = fixture::expected(&folder);
        let device = plain();
        let options = LoadOptions {
            device: device.clone(),
            precision: Some(Dtype::F32.into()),
            overrides: &[],
            progress: &mut |_, _| {},
        };
        let unpacked = Llama::load(target.path(), options).unwrap_or_else(|error| panic!("{who}: {error}"));
        let file = load(&folder, &device, Some(Dtype::F32.into()));
        assert_eq!(logits(&unpacked, &expected).values, logits(&file, &expected).values, "{who}");
        let texts =
            |llama: &Llama| llama.tokenizer.as_ref().map(|tokenizer| tokenizer.encode("Once upon a time", true));
        assert_eq!(format!("{:?}", texts(&unpacked)), format!("{:?}", texts(&file)), "{who}");
        assert_eq!(unpacked.eos_ids(), file.eos_ids(), "{who}");
    }
}
