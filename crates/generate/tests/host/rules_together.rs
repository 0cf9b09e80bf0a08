//! Rules together, in their order, against transformers.

use glass_generate::sampling::{Sampler, SamplingConfig, SequenceBias, log_softmax_at};

use crate::sampling::GONE;

/// A row of 24 logits after rules, as transformers 5.23.0 on torch makes them: `model._get_logits_processor` with a
/// `GenerationConfig` of the case's fields, applied to the same row and text, then `log_softmax` in float64. Left out are
/// tokens that were removed.
#[test]
fn the_rules_and_their_order_are_those_of_transformers() {
    let logits: Vec<f32> = (0..24).map(|i| ((i * 37) % 101) as f32 / 16.0 - 2.0).collect();
    let previous = [3, 5, 7, 3, 5, 9, 1, 3, 5];
    let warm = SamplingConfig { temperature: 1.0, ..SamplingConfig::default() };
    let biases = |biases: &[(&[u32], f32)]| {
        let bias = |&(ids, bias): &(&[u32], f32)| SequenceBias { ids: ids.to_vec(), bias };
        biases.iter().map(bias).collect()
    };
    let cases: [(SamplingConfig, &[(u32, f64)]); 7] = [
        (
            SamplingConfig {
                sequence_bias: biases(&[(&[4], 1.5), (&[5, 2], -3.0), (&[3, 5, 19], -2.0), (&[7, 8], 4.0)]),
                ..SamplingConfig::default()
            },
            &[
                (0, -7.215192),
                (1, -4.902692),
                (2, -5.590192),
                (3, -6.590192),
                (4, -2.777692),
                (5, -1.965192),
                (6, -5.965192),
                (7, -3.652692),
                (8, -1.340192),
                (9, -5.340192),
                (10, -3.027692),
                (11, -7.027692),
                (12, -4.715192),
                (13, -2.402692),
                (14, -6.402692),
                (15, -4.090192),
                (16, -1.777692),
                (17, -5.777692),
                (18, -3.465192),
                (19, -3.152692),
                (20, -5.152692),
                (21, -2.840192),
                (22, -6.840192),
                (23, -4.527692),
            ],
        ),
        (
            SamplingConfig { no_repeat_ngram_size: 3, ..SamplingConfig::default() },
            &[
                (0, -7.450498),
                (1, -5.137998),
                (2, -2.825498),
                (3, -6.825498),
                (4, -4.512998),
                (5, -2.200498),
                (6, -6.200498),
                (8, -1.575498),
                (10, -3.262998),
                (11, -7.262998),
                (12, -4.950498),
                (13, -2.637998),
                (14, -6.637998),
                (15, -4.325498),
                (16, -2.012998),
                (17, -6.012998),
                (18, -3.700498),
                (19, -1.387998),
                (20, -5.387998),
                (21, -3.075498),
                (22, -7.075498),
                (23, -4.762998),
            ],
        ),
        (SamplingConfig { typical_p: 0.2, ..warm.clone() }, &[(5, -0.791285), (16, -0.603785)]),
        (
            SamplingConfig { typical_p: 0.95, ..warm.clone() },
            &[
                (2, -2.799629),
                (5, -2.174629),
                (7, -3.862129),
                (8, -1.549629),
                (10, -3.237129),
                (13, -2.612129),
                (15, -4.299629),
                (16, -1.987129),
                (18, -3.674629),
                (19, -1.362129),
                (21, -3.049629),
            ],
        ),
        (
            SamplingConfig { temperature: 2.0, typical_p: 0.5, ..warm.clone() },
            &[
                (2, -2.065069),
                (5, -1.752569),
                (7, -2.596319),
                (10, -2.283819),
                (13, -1.971319),
                (16, -1.658819),
                (18, -2.502569),
                (21, -2.190069),
            ],
        ),
        (
            SamplingConfig {
                temperature: 1.5,
                top_k: 20,
                top_p: 0.95,
                min_p: 0.05,
                typical_p: 0.5,
                repetition_penalty: 0.8,
                no_repeat_ngram_size: 2,
                ..warm.clone()
            },
            &[
                (2, -2.502597),
                (5, -1.544263),
                (8, -1.669263),
                (13, -2.377597),
                (16, -1.96093),
                (19, -1.544263),
                (21, -2.669263),
            ],
        ),
        (
            SamplingConfig {
                temperature: 0.9,
                top_k: 15,
                top_p: 0.9,
                min_p: 0.02,
                typical_p: 0.9,
                repetition_penalty: 1.2,
                no_repeat_ngram_size: 3,
                sequence_bias: biases(&[(&[5, 2], 0.5), (&[12], -1.0), (&[9], 3.0)]),
                ..warm.clone()
            },
            &[(2, -2.184489), (5, -2.647452), (8, -1.351156), (13, -2.531711), (16, -1.837267), (19, -1.142823)],
        ),
    ];
    for (config, expected) in cases {
        let mut row = logits.clone();
        let mut sampler = Sampler::new(config.clone()).unwrap();
        sampler.reshape(&mut row, &previous).unwrap();
        let ids: Vec<u32> = (0..24).filter(|&id| row[id as usize] > GONE).collect();
        let expected_ids: Vec<u32> = expected.iter().map(|&(id, _)| id).collect();
        assert_eq!(ids, expected_ids, "{config:?}");
        for &(id, logprob) in expected {
            let off = (log_softmax_at(&row, id) - logprob).abs();
            assert!(off < 1e-5, "token {id} is off by {off}: {config:?}");
        }
    }
}
