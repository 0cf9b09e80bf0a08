//! The likelihood of a text: by its definition, token by token, and however it is computed.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_attention::{Sequences, Unobserved};
use glass_backend::Device;
use glass_config::{DynamicScaling, RopeScaling};
use glass_eval::{EvalError, Scored, Windows, token_nlls};
use glass_generate::{Llama, PrefillOptions};
use glass_testing::devices;

use crate::{fixture, random_model};

/// What rounding may make of one likelihood: that of two logits, each of which `properties` holds to 5e-5.
const SAME: f64 = 1e-4;

/// And of the mean, over which it averages out.
const SAME_MEAN: f64 = 1e-6;

fn windows(window: usize, stride: usize) -> Windows {
    let size = |n| NonZeroUsize::new(n).expect("not zero");
    Windows::new(size(window), Some(size(stride))).expect("no gaps")
}

fn nlls(llama: &Llama, ids: &[u32], windows: Windows) -> Vec<f64> {
    token_nlls(llama, ids, windows, PrefillOptions::default(), &mut |_| ControlFlow::Continue(())).expect("scored")
}

/// Logits of each position of one pass over `ids`, without a cache.
fn logits(llama: &Llama, ids: &[u32]) -> Vec<Vec<f32>> {
    let ids = fixture::ids(llama, &[ids.to_vec()]);
    let out = llama.model.forward(ids, Sequences::WHOLE, &mut Unobserved).expect("a pass");
    let out = fixture::host(out);
    out.values.chunks(out.shape[2]).map(<[f32]>::to_vec).collect()
}

/// `-ln softmax(logits)[id]` in float64, as it is written in books.
fn nll(logits: &[f32], id: u32) -> f64 {
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    -(f64::from(logits[id as usize]).exp() / sum).ln()
}

fn compare(found: &[f64], expected: &[f64], who: &str) {
    assert_eq!(found.len(), expected.len(), "{who}");
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let off = off.fold(0.0, f64::max);
    assert!(off <= SAME, "{who}: {off}");
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let off = (mean(found) - mean(expected)).abs();
    assert!(off <= SAME_MEAN, "{who}: the mean is {off} off");
}

/// Sliding layers and full ones in one model; where there is time, models of one kind too.
fn models(device: &Device) -> Vec<(u64, Llama)> {
    let mut layers = vec![&[Some(5), None][..]];
    if !devices::is_wgpu(device) {
        layers.extend([&[None][..], &[Some(3), Some(3)]]);
    }
    let model = |(seed, windows)| {
        let config = random_model::config(windows);
        (seed, random_model::llama(&config, seed, device))
    };
    (0..).zip(layers).map(model).collect()
}

/// Every token alone, from what the rule says stands before it: the window that scores it is the first that reaches it.
fn by_definition(llama: &Llama, ids: &[u32], window: usize, stride: usize) -> Vec<f64> {
    (1..ids.len())
        .map(|i| {
            let start = (0..).step_by(stride).find(|start| start + window >= i).expect("some window");
            let last = logits(llama, &ids[start..i]).pop().expect("a position");
            nll(&last, ids[i])
        })
        .collect()
}

#[test]
fn each_token_is_scored_with_the_context_that_the_rule_gives_it() {
    let all = [(1, 1), (4, 4), (7, 3), (8, 1), (8, 7), (20, 6), (21, 21), (50, 50)];
    for device in devices::all() {
        // Software Vulkan compiles kernels anew for each length.
        let (tokens, sizes) = match devices::is_wgpu(&device) {
            true => (7, &[(2, 2), (2, 1)][..]),
            false => (22, &all[..]),
        };
        let ids = random_model::tokens(tokens, 3);
        for (seed, llama) in models(&device) {
            for &(window, stride) in sizes {
                let found = nlls(&llama, &ids, windows(window, stride));
                let expected = by_definition(&llama, &ids, window, stride);
                let who = format!("{} model {seed} {window} {stride}", device.name());
                compare(&found, &expected, &who);
            }
        }
    }
}

/// The same from one plain pass per window.
fn by_windows(llama: &Llama, ids: &[u32], window: usize) -> Vec<f64> {
    let mut expected = vec![];
    for start in (0..ids.len() - 1).step_by(window) {
        let end = (start + window).min(ids.len() - 1);
        let rows = logits(llama, &ids[start..end]);
        let next = &ids[start + 1..=end];
        expected.extend(rows.iter().zip(next).map(|(row, &id)| nll(row, id)));
    }
    expected
}

/// Short windows share a pass, long ones take several: neither shows.
#[test]
fn passes_leave_no_trace() {
    for device in devices::all() {
        let sizes = match devices::is_wgpu(&device) {
            true => &[(520, 530)][..],
            false => {
                &[(1, 60), (16, 1300), (40, 1300), (512, 1300), (513, 1300), (1100, 1300), (1299, 1300), (9999, 1300)]
            }
        };
        for (seed, llama) in models(&device) {
            for &(window, tokens) in sizes {
                let ids = &random_model::tokens(tokens, 4);
                let found = nlls(&llama, ids, windows(window, window));
                let expected = by_windows(&llama, ids, window);
                let who = format!("{} model {seed} {window}", device.name());
                compare(&found, &expected, &who);
            }
        }
    }
}

#[test]
fn long_windows_that_overlap_score_only_their_ends() {
    let device = devices::flex();
    let llama = random_model::llama(&random_model::config(&[Some(5), None]), 1, &device);
    let ids = random_model::tokens(1400, 4);
    // The second window's first 512 tokens count for nothing, nor do some of the next.
    let (window, stride) = (1200, 150);
    let found = nlls(&llama, &ids, windows(window, stride));
    let mut expected = by_windows(&llama, &ids[..=window], window);
    for start in [stride, 2 * stride] {
        let end = (start + window).min(ids.len() - 1);
        let rows = logits(&llama, &ids[start..end]);
        for i in expected.len() + 1..=end {
            expected.push(nll(&rows[i - 1 - start], ids[i]));
        }
    }
    compare(&found, &expected, "overlap");
}

/// Where angles depend on a pass's length a window is one pass, or it would not be what its definition says.
#[test]
fn rotation_that_depends_on_length_is_that_of_the_window() {
    let device = devices::flex();
    let mut config = random_model::config(&[None]);
    let scaling =
        RopeScaling::Dynamic(DynamicScaling { factor: 4.0, max_position_embeddings: config.max_position_embeddings });
    config.ropes[0].scaling = scaling;
    let llama = random_model::llama(&config, 2, &device);
    let ids = random_model::tokens(900, 4);
    for window in [50, 100, 700] {
        let found = nlls(&llama, &ids, windows(window, window));
        compare(&found, &by_windows(&llama, &ids, window), "dynamic");
    }
}

/// A vocabulary so large that the logits of a pass are computed in several blocks.
#[test]
fn blocks_of_logits_leave_no_trace() {
    let device = devices::flex();
    let mut config = random_model::config(&[None]);
    config.vocab_size = 1 << 17; // 128 rows of logits to a block
    config.tie_word_embeddings = true;
    let llama = random_model::llama(&config, 2, &device);
    let ids = random_model::tokens(300, 4);
    let found = nlls(&llama, &ids, windows(70, 70));
    compare(&found, &by_windows(&llama, &ids, 70), "blocks");
}

fn some_model(device: &Device) -> Llama {
    random_model::llama(&random_model::config(&[None]), 1, device)
}

#[test]
fn progress_adds_up_and_can_break_it_off() {
    let llama = some_model(&devices::flex());
    let ids = random_model::tokens(1201, 4);
    let all = nlls(&llama, &ids, windows(100, 100));
    let mut seen: Vec<Scored> = vec![];
    let part = token_nlls(&llama, &ids, windows(100, 100), PrefillOptions::default(), &mut |now| {
        seen.push(now);
        match seen.len() {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })
    .expect("scored");
    assert_eq!(part, all[..1000]); // five windows to a pass
    assert_eq!(seen.len(), 2);
    for (now, tokens) in seen.iter().zip([500, 1000]) {
        assert_eq!((now.tokens, now.total), (tokens, 1200));
        let sum: f64 = all[..tokens].iter().sum();
        assert!((now.nll - sum).abs() < 1e-9);
    }
}

#[test]
fn what_cannot_be_scored_is_an_error() {
    let device = devices::flex();
    let llama = some_model(&device);
    let error = |llama: &Llama, ids: &[u32]| {
        token_nlls(llama, ids, windows(4, 4), PrefillOptions::default(), &mut |_| ControlFlow::Continue(()))
            .expect_err("an error")
    };
    for tokens in [0, 1] {
        let error = error(&llama, &vec![7; tokens]);
        let expected = EvalError::TooShort { tokens }.to_string();
        assert_eq!(error.to_string(), expected);
    }
    // The last id is never read by the model, and is none of its vocabulary all the same.
    for ids in [[1, 2, 50], [50, 1, 2]] {
        let error = error(&llama, &ids).to_string();
        let place = ids.iter().position(|&id| id == 50).expect("there") + 1;
        assert!(error.contains(&format!("token id 50 (number {place} of the text)")), "{error}");
    }

    let mut config = random_model::config(&[None]);
    config.norm.eps = f64::NAN;
    let broken = random_model::llama(&config, 1, &device);
    let error = error(&broken, &[1, 2, 3]);
    assert!(matches!(error, EvalError::NotFinite { number: 2, value } if value.is_nan()), "{error}");

    let small = some_model(&device.with_max_binding(96 * 4 * 8));
    let error =
        token_nlls(&small, &random_model::tokens(60, 1), windows(40, 40), PrefillOptions::default(), &mut |_| {
            ControlFlow::Continue(())
        })
        .expect_err("a pass that cannot be bound");
    assert!(error.to_string().contains("40 positions"), "{error}");
}
