//! Every other family against `transformers`, and against itself, on every backend.

use std::{num::NonZeroUsize, ops::ControlFlow, path::Path, thread};

use glass_backend::{Device, Dtype, KernelMode, quant::QuantFormat};
use glass_checkpoint::{ConvertOptions, Existing, Precision, ShardSize, convert, quantize};
use glass_generate::{GenerateOptions, Llama, LoadOptions, generate, generate_with_draft};
use glass_testing::{devices, fixtures};

use crate::{
    fixture,
    properties::{SAME, apart, in_pieces, in_pieces_with, whole},
    reference::tolerance,
};

/// The folders of all families, or of those that `GLASS_FAMILY` names, separated by commas: for who adds one.
fn families() -> Vec<std::path::PathBuf> {
    let mut folders = fixtures::families();
    if let Ok(names) = std::env::var("GLASS_FAMILY") {
        folders.retain(|folder| names.split(',').any(|name| name == fixture::name(folder)));
    }
    folders
}

/// Logits and hidden states in both styles of config, greedy tokens, and every way of feeding the same ids.
#[test]
fn families_are_those_of_the_reference() {
    // Software Vulkan compiles kernels on one thread: the others go on meanwhile.
    thread::scope(|scope| {
        for device in devices::all() {
            scope.spawn(move || families_on(&device));
        }
    });
}

fn families_on(device: &Device) {
    for folder in families() {
        for legacy in [true, false] {
            if legacy && !folder.join("config.legacy.json").is_file() {
                continue;
            }
            let llama = fixture::load(&folder, legacy, device, Dtype::F32);
            check_forward(&folder, &llama, device);
            if legacy {
                continue;
            }
            check_greedy(&folder, &llama);
            // Software Vulkan is slow: what is between passes is no kernel's, and a few families have it all.
            let name = fixture::name(&folder);
            if !devices::is_wgpu(device) || ["gemma3_text", "glm4", "gpt_oss"].contains(&name.as_str()) {
                check_pieces(&folder, &llama);
                check_policies(&folder, &llama);
            }
        }
    }
}

fn who(folder: &Path, llama: &Llama) -> String {
    format!("{} on {}", fixture::name(folder), llama.device.name())
}

fn check_forward(folder: &Path, llama: &Llama, device: &Device) {
    let (expected, who) = (fixture::expected(folder), who(folder, llama));
    let found = fixture::forward(llama, &fixture::rows(&expected["input_ids"]), None);
    let tolerance = tolerance(device);
    for (name, expected) in &expected {
        let limit = match name.as_str() {
            "logits" => tolerance.logits,
            "hidden.embed" => 0.0,
            hidden if hidden.starts_with("hidden.") => tolerance.hidden,
            _ => continue,
        };
        let difference = fixture::difference(&found[name], expected, 1, None);
        assert!(difference <= limit, "{who}: {name} is {difference:e} off, {limit:e} allowed");
    }
}

fn check_greedy(folder: &Path, llama: &Llama) {
    let expected = fixture::expected(folder);
    let prompt = fixture::rows(&expected["greedy.prompt_ids"]).swap_remove(0);
    let output = fixture::rows(&expected["greedy.output_ids"]).swap_remove(0);
    let new = &output[prompt.len()..];
    let options = GenerateOptions::new(new.len());
    let generated = generate(llama, &prompt, &options, &mut |_| ControlFlow::Continue(()));
    assert_eq!(generated.expect("generated").ids, new, "{}", who(folder, llama));
}

/// Token by token, in pieces that end within and beyond windows, in company and padded: one pass over everything.
fn check_pieces(folder: &Path, llama: &Llama) {
    let (expected, who) = (fixture::expected(folder), who(folder, llama));
    let rows = fixture::rows(&expected["input_ids"]);
    let reference = whole(llama, &rows, None).swap_remove(0);
    let same = |what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]| {
        let off = apart(found, expected);
        assert!(off <= SAME, "{who}: {what}: {off}");
    };
    for pieces in [&[1][..], &[7, 1], &[3, 11, 2], &[40]] {
        same(&format!("{pieces:?}"), &in_pieces(llama, &rows, pieces)[0], &reference);
    }
    let seq = rows[0].len();
    let (texts, pads) = ([rows[0].clone(), rows[0][..seq - 4].to_vec()], [0, 4]);
    let padded: Vec<Vec<u32>> = texts.iter().zip(pads).map(|(text, pad)| [&vec![0; pad], &text[..]].concat()).collect();
    let mask: Vec<Vec<bool>> = pads.iter().map(|&pad| (0..seq).map(|slot| slot >= pad).collect()).collect();
    let padded = whole(llama, &padded, Some(&mask));
    for (row, together) in in_pieces(llama, &texts, &[5, 1]).iter().enumerate() {
        same("together", together, &reference[..texts[row].len()]);
        same("padded", &padded[row][pads[row]..], &reference[..texts[row].len()]);
    }
}

/// Policies that forget nothing of this text compute what the config says, whatever the layers are; others compute the same
/// in any pieces.
fn check_policies(folder: &Path, llama: &Llama) {
    let (expected, who) = (fixture::expected(folder), who(folder, llama));
    let rows = fixture::rows(&expected["input_ids"]);
    let reference = whole(llama, &rows, None).swap_remove(0);
    let policy = |text: &str| text.parse().expect("a policy");
    let of = |text: &str, pieces: &[usize]| in_pieces_with(policy(text), llama, &rows, pieces).swap_remove(0);
    let mut attentions = llama.config.layers.iter().filter_map(|layer| layer.attention()).peekable();
    if attentions.peek().is_none() {
        let refused = llama.cache(policy("full")).err().expect("no layer has keys").to_string();
        assert!(refused.contains("no attention layers"), "{who}: {refused}");
        return;
    }
    let has_full = attentions.any(|attention| attention.window.is_none());
    let mut whole_past = vec!["full", "ring", "tova:40"];
    if has_full && !llama.depends_on_length(1 << 20) {
        whole_past.push("full=sinks:4+40");
    }
    for text in whole_past {
        let off = apart(&of(text, &[9, 1]), &reference);
        assert!(off <= SAME, "{who}: {text}: {off}");
    }
    for text in ["sinks:2+4", "tova:5", "ring:3"] {
        if llama.cache(policy(text)).is_err() {
            assert!(llama.depends_on_length(1 << 20), "{who}: {text} is for every RoPE that does not go by the length");
            continue;
        }
        let off = apart(&of(text, &[9, 1]), &of(text, &[1]));
        assert!(off <= SAME, "{who}: {text} in pieces: {off}");
    }
}

/// Drafts that are taken back again, from the text so far and from another model, change nothing of a text: a state that is
/// not what it was before the draft would.
#[test]
fn drafts_change_no_text_of_a_recurrent_model() {
    let device = devices::flex();
    for name in ["mamba", "mamba2", "jamba", "recurrent_gemma"] {
        let folder = fixtures::root().join("families").join(name);
        let llama = fixture::load(&folder, false, &device, Dtype::F32);
        let once: Vec<u32> = (0..9).map(|i| (i * i * 7 + 3) % llama.config.vocab_size as u32).collect();
        let prompt = [&once[..], &once].concat();
        let go_on = &mut |_: glass_generate::Progress<'_>| ControlFlow::Continue(());
        let options = |draft| GenerateOptions { prompt_lookup: NonZeroUsize::new(draft), ..GenerateOptions::new(40) };
        let plain = generate(&llama, &prompt, &options(0), go_on).expect("a text");
        for draft in [1, 3, 20] {
            let found = generate(&llama, &prompt, &options(draft), go_on).expect("a text");
            let speculation = found.speculation.expect("it was asked for");
            assert!(speculation.accepted < speculation.drafted, "{name}: nothing is taken back");
            assert_eq!(found.ids, plain.ids, "{name} with drafts of {draft}");
        }
        // Mamba's fixture guesses for all: another model of the same vocabulary.
        let other = fixture::load(&fixtures::root().join("families").join("mamba"), false, &device, Dtype::F32);
        let found = generate_with_draft(&llama, &other, &prompt, &options(0), go_on).expect("a text");
        assert_eq!(found.ids, plain.ids, "{name} with a draft model");
    }
}

/// Fused rows, experts by themselves and in one tensor, learned activations, weights of single heads, renamed norms, and what
/// recurrent layers have.
#[rustfmt::skip]
const SHAPES: [&str; 11] = [
    "apertus", "gemma2", "glm4", "gpt_oss", "phi3", "qwen2_moe", "stablelm", "mamba", "mamba2", "jamba", "recurrent_gemma",
];

/// In float32, or with the matrices in few bits.
fn load(folder: &Path, quantize: Option<QuantFormat>, fake_quantize: bool) -> Llama {
    let device = devices::flex().with_kernel_mode(KernelMode::Plain);
    let progress = &mut |_, _| {};
    let precision = Some(Precision { quantize, fake_quantize, ..Dtype::F32.into() });
    let options = LoadOptions { device, precision, overrides: &[], progress };
    Llama::load(folder, options).unwrap_or_else(|error| panic!("{}: {error}", fixture::name(folder)))
}

/// Codes are the numbers they stand for, on loading and in a folder; a folder that is written again computes the same.
#[test]
fn families_are_quantized_and_converted() {
    for name in SHAPES {
        let source = fixtures::root().join("families").join(name);
        let rows = fixture::rows(&fixture::expected(&source)["input_ids"]);
        let logits = |llama: &Llama| fixture::forward(llama, &rows, None).remove("logits").expect("logits");
        let (kept, size) = (tempfile::tempdir().expect("a folder"), "5GB".parse::<ShardSize>().expect("a size"));
        let go_on = &mut |_: u64, _: u64| ControlFlow::Continue(());
        let exact = logits(&load(&source, None, false));
        for bits in [QuantFormat::Int8, QuantFormat::Int4] {
            let numbers = logits(&load(&source, Some(bits), true));
            let codes = logits(&load(&source, Some(bits), false));
            let off = fixture::difference(&numbers, &codes, 1, None);
            assert!(off <= 2e-4, "{name} in {bits} bits: {off}");
            assert!(fixture::difference(&exact, &codes, 1, None) > 1e-3, "{name}: nothing is quantized");
            if name == "gpt_oss" {
                continue; // all experts in one tensor: it stays as it is in a folder
            }
            let target = kept.path().join(bits.to_string());
            quantize(&source, &target, bits, size, Existing::Refuse, go_on).expect("quantized");
            let stored = logits(&load(&target, Some(bits), false));
            assert_eq!(stored.values, codes.values, "{name} in {bits} bits: a folder is another model");
        }
        let target = kept.path().join("f32");
        let options = ConvertOptions {
            dtype: Some(Dtype::F32),
            max_shard_size: size,
            existing: Existing::Refuse,
            progress: go_on,
        };
        convert(&source, &target, options).expect("converted");
        assert_eq!(logits(&load(&target, None, false)).values, exact.values, "{name} in float32");
    }
}
