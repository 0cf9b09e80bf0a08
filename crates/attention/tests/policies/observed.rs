//! The steps of attention are observed in the order that `Step` promises, whatever the policy.

use burn::tensor::Tensor;
use glass_attention::{Dropouts, ForwardContext, Observer, Padding, Rope, Sequences, Step, Unobserved};
use glass_config::{DualChunk, LlamaConfig};
use glass_kv_cache::CacheError;
use glass_testing::devices;

use crate::{SAME, company::Company, definition::Scores, policy};

#[derive(Default)]
struct Steps(Vec<Step>);

impl Observer for Steps {
    fn pass(&mut self, _ctx: &ForwardContext<'_>) {
        self.0.clear();
    }

    fn done(&mut self, step: Step) {
        self.0.push(step);
    }

    fn attention(&mut self, _layer: usize, probabilities: Tensor<4>) {
        panic!("nobody asked for {:?}", probabilities.dims());
    }
}

#[test]
fn every_policy_keeps_the_order_of_steps() {
    use Step::{Attention, Cache, Output, Qkv, Rope};
    for (name, passes) in
        [("full", vec![3, 1]), ("ring:4", vec![3, 1, 5, 1]), ("sinks:2+3", vec![3, 1, 5, 1]), ("tova:4", vec![3, 1, 1])]
    {
        let mut company = Company::new(None, Scores::default(), &devices::flex());
        company.join(policy(name), None);
        company.join(policy(name), None);
        for (pass, tokens) in passes.into_iter().enumerate() {
            let mut steps = Steps::default();
            company.feed_observed(&[tokens, tokens], 1, &mut steps);
            // One work is the attention of all, save where a token has to go by the weights.
            let attended = if name == "tova:4" && pass == 2 { vec![Attention; 2] } else { vec![Attention] };
            let expected = [&[Qkv, Rope, Cache][..], &attended, &[Output]].concat();
            assert_eq!(steps.0, expected, "{name}: {tokens} tokens of each of two sequences");
        }
    }
    // TOVA reads tokens one by one once it drops states.
    let mut company = Company::new(None, Scores::default(), &devices::flex());
    company.join(policy("tova:2"), None);
    let mut steps = Steps::default();
    company.feed_observed(&[4], 1, &mut steps);
    let one = [Cache, Attention];
    let expected = [&[Qkv, Rope][..], &one, &one, &one, &[Output]].concat();
    assert_eq!(steps.0, expected);
}

/// Sees what each query attends to, the sum of a row, and what of it lies ahead.
#[derive(Default)]
struct Probabilities(Vec<[usize; 2]>);

impl Observer for Probabilities {
    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, _layer: usize, probabilities: Tensor<4>) {
        let [_, _, queries, keys] = probabilities.dims();
        self.0.push([queries, keys]);
        let values = probabilities.into_data().try_to_vec::<f32>().expect("float32");
        for (row, values) in values.chunks(keys).enumerate() {
            let (seen, ahead) = values.split_at(keys - queries + row % queries + 1);
            assert!((seen.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{seen:?}");
            assert!(ahead.iter().all(|&value| value == 0.0), "{ahead:?}");
        }
    }
}

/// In chunks the probabilities of a pass are one matrix over the keys in their order, and the output is that of a pass that
/// nobody observes, and of one without a cache.
#[test]
fn dual_chunk_attention_is_observed_whole() {
    for device in devices::all() {
        let dual = DualChunk { chunk_size: 6, local_size: 2, original_max_position_embeddings: None };
        let scores = Scores { dual_chunk: Some(dual), ..Scores::default() };
        let mut company = Company::new(None, scores, &device);
        company.join(policy("full"), None);
        company.join(policy("full"), None);
        let mut observer = Probabilities::default();
        let mut found = Vec::new();
        for count in [11, 1, 6] {
            found.extend(company.feed_observed(&[count], 3, &mut observer).swap_remove(0));
        }
        assert_eq!(observer.0, [[11, 11], [1, 12], [6, 18]]);
        for score_bytes in [1 << 8, 1 << 20] {
            let whole = company.whole(0, score_bytes);
            let pairs = found.iter().flatten().zip(whole.iter().flatten());
            let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off <= SAME && whole.len() == 18, "{}: off by {off}", device.name());
        }
    }
}

#[test]
fn padded_rows_have_no_chunks() {
    let dual = r#"{"model_type": "llama", "vocab_size": 7, "hidden_size": 8, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2,
        "dual_chunk_attention_config": {"chunk_size": 6, "local_size": 2}}"#;
    let ropes = Rope::all(&LlamaConfig::from_json(dual, "test", &[]).expect("a config"));
    let padding = Padding::from_mask(&[vec![false, true]]);
    let mut whole = Sequences::Whole { padding, dropouts: Dropouts::default() };
    let mut observer = Unobserved;
    let refused = ForwardContext::new(&ropes, 8, [1, 2], &mut whole, &devices::flex(), &mut observer);
    assert!(matches!(refused, Err(CacheError::PaddedChunks)));
}
