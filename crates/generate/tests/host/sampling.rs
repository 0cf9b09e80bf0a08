use glass_generate::sampling::{
    Sampler, SamplingConfig, SamplingError, SequenceBias, log_softmax_at, min_p, repetition_penalty, temperature, top_p,
};

pub const GONE: f32 = f32::NEG_INFINITY;

/// Logits of a distribution: softmax gives it back.
pub fn row(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln()).collect()
}

fn draws(config: SamplingConfig, logits: &[f32], previous: &[u32], count: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(config).unwrap();
    let draw = |_| sampler.sample(&mut logits.to_vec(), previous).unwrap();
    (0..count).map(draw).collect()
}

fn plain(seed: u64) -> SamplingConfig {
    SamplingConfig { temperature: 1.0, seed, ..SamplingConfig::default() }
}

/// Pearson's statistic of 100 000 draws against the exact distribution; tokens of probability 0 must not occur.
fn chi_square(config: SamplingConfig, logits: &[f32], previous: &[u32], expected: &[f64]) -> f64 {
    let draws = draws(config, logits, previous, 100_000);
    let mut counts = vec![0.0; expected.len()];
    for &id in &draws {
        counts[id as usize] += 1.0;
    }
    let mut statistic = 0.0;
    for (count, probability) in counts.iter().zip(expected) {
        if *probability == 0.0 {
            assert_eq!(*count, 0.0);
        } else {
            let expected = probability * draws.len() as f64;
            statistic += (count - expected).powi(2) / expected;
        }
    }
    statistic
}

/// A right sampler exceeds these once in a thousand seeds (the seeds are fixed, so the outcome is too).
const CHI_SQUARE_0_999: [f64; 5] = [0.0, 10.83, 13.82, 16.27, 18.47];

#[test]
fn draws_follow_the_distribution() {
    let probabilities = [0.4, 0.05, 0.3, 0.05, 0.2];
    let logits = row(&probabilities);
    let exact = |weights: &[f64]| {
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect::<Vec<_>>()
    };
    let p = probabilities.map(f64::from);
    let squared = p.map(|p| p * p);
    let base = plain(11);
    let cases: [(&str, SamplingConfig, &[u32], Vec<f64>); 11] = [
        ("plain", base.clone(), &[], exact(&p)),
        // Division by 1/2 squares the probabilities.
        ("temperature", SamplingConfig { temperature: 0.5, ..base.clone() }, &[], exact(&squared)),
        ("top_k", SamplingConfig { top_k: 3, ..base.clone() }, &[], exact(&[p[0], 0.0, p[2], 0.0, p[4]])),
        ("top_p", SamplingConfig { top_p: 0.6, ..base.clone() }, &[], exact(&[p[0], 0.0, p[2], 0.0, 0.0])),
        ("min_p", SamplingConfig { min_p: 0.4, ..base.clone() }, &[], exact(&[p[0], 0.0, p[2], 0.0, p[4]])),
        // The logits are negative here: times 2, the probability is squared.
        (
            "penalty",
            SamplingConfig { repetition_penalty: 2.0, ..base.clone() },
            &[0, 0, 9],
            exact(&[0.16, p[1], p[2], p[3], p[4]]),
        ),
        // Surprises .92 3.0 1.2 3.0 1.6 about a mean of 1.35: token 2, token 4, token 0.
        ("typical_p", SamplingConfig { typical_p: 0.45, ..base.clone() }, &[], exact(&[0.0, 0.0, p[2], 0.0, p[4]])),
        // A bias of ln 2 doubles; token 3 is forbidden, and token 1 twice as probable behind 5 only.
        (
            "bias",
            SamplingConfig {
                sequence_bias: [(&[0][..], 2f32.ln()), (&[3], GONE), (&[5, 1], 2f32.ln())]
                    .map(|(ids, bias)| SequenceBias { ids: ids.to_vec(), bias })
                    .to_vec(),
                ..base.clone()
            },
            &[2, 5],
            exact(&[2.0 * p[0], 2.0 * p[1], p[2], 0.0, p[4]]),
        ),
        // A half for being there, and a quarter for each time.
        (
            "presence and frequency",
            SamplingConfig { presence_penalty: 2f32.ln(), frequency_penalty: 4f32.ln(), ..base.clone() },
            &[4, 0, 0],
            exact(&[p[0] / 32.0, p[1], p[2], p[3], p[4] / 8.0]),
        ),
        (
            "no_repeat_ngram_size",
            SamplingConfig { no_repeat_ngram_size: 2, ..base.clone() },
            &[2, 0, 2, 4, 2],
            exact(&[0.0, p[1], p[2], p[3], 0.0]),
        ),
        // Temperature comes first: squared, token 0 alone has 0.54 and with token 2 0.85 of the probability.
        (
            "order",
            SamplingConfig { temperature: 0.5, top_p: 0.8, ..base.clone() },
            &[],
            exact(&[squared[0], 0.0, squared[2], 0.0, 0.0]),
        ),
    ];
    for (name, config, previous, expected) in cases {
        let freedom = expected.iter().filter(|&&p| p > 0.0).count() - 1;
        let statistic = chi_square(config, &logits, previous, &expected);
        assert!(statistic < CHI_SQUARE_0_999[freedom], "{name}: {statistic}");
    }
}

#[test]
fn the_seed_decides_the_draws() {
    let logits = [0.0; 10];
    let first = draws(plain(42), &logits, &[], 20);
    assert_eq!(first, draws(plain(42), &logits, &[], 20));
    assert_ne!(first, draws(plain(43), &logits, &[], 20));
    // Computed apart from this program from the definitions of ChaCha with 12 rounds and of rand_core's
    // seed_from_u64: the same on every platform.
    assert_eq!(first, [5, 5, 6, 4, 0, 4, 7, 8, 1, 0, 9, 5, 3, 1, 5, 2, 0, 5, 0, 6]);
}

#[test]
fn greedy_takes_the_highest_and_of_equals_the_lowest_id() {
    let greedy = SamplingConfig::default();
    assert!(greedy.is_greedy());
    assert_eq!(draws(greedy.clone(), &[1.0, 3.0, 3.0, -2.0, 3.0], &[], 1), [1]);
    assert_eq!(draws(greedy.clone(), &[GONE, GONE, -7.0], &[], 1), [2]);
    assert_eq!(draws(greedy.clone(), &[-0.0, 0.0], &[], 1), [0]);
    // The penalty works without chance too: 3 / 2 is below 2.
    let penalty = SamplingConfig { repetition_penalty: 2.0, ..greedy.clone() };
    assert_eq!(draws(penalty, &[2.0, 3.0, -2.0], &[1], 1), [0]);
    // The other rules keep the most probable token, so greedy does not need them.
    let all = SamplingConfig { top_k: 1, top_p: 0.1, min_p: 1.0, ..greedy.clone() };
    assert_eq!(draws(all, &[1.0, 3.0, 3.0], &[], 1), [1]);
}

#[test]
fn a_vanishing_temperature_is_greedy() {
    for temperature in [1e-3, 1e-20, f32::MIN_POSITIVE, f32::from_bits(1)] {
        let config = SamplingConfig { temperature, ..plain(5) };
        assert_eq!(draws(config, &[1.0, 4.0, 3.9, GONE], &[], 50), [1; 50]);
    }
}

#[test]
fn neutral_values_change_nothing() {
    let logits: Vec<f32> = (0..300).map(|i| ((i * 37) % 101) as f32 / 10.0).collect();
    let reference = draws(plain(3), &logits, &[], 200);
    let base = plain(3);
    for config in [
        SamplingConfig {
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            typical_p: 1.0,
            presence_penalty: -0.0,
            frequency_penalty: 0.0,
            no_repeat_ngram_size: 0,
            sequence_bias: vec![],
            ..base.clone()
        },
        SamplingConfig { top_k: 300, ..base.clone() },
        SamplingConfig { top_k: usize::MAX, ..base.clone() },
    ] {
        assert_eq!(draws(config, &logits, &[1, 2, 3], 200), reference);
    }
    let mut row = logits.clone();
    top_p(&mut row, 1.0, &mut Vec::new());
    min_p(&mut row, 0.0);
    temperature(&mut row, 1.0);
    repetition_penalty(&mut row, &[1, 2], 1.0, &mut Vec::new());
    assert_eq!(row, logits);
}

#[test]
fn impossible_rows_are_errors() {
    for config in [SamplingConfig::default(), plain(0)] {
        let sample = |logits: &mut [f32]| Sampler::new(config.clone()).unwrap().sample(logits, &[]);
        assert_eq!(sample(&mut []), Err(SamplingError::NoLogits));
        assert_eq!(sample(&mut [GONE; 3]), Err(SamplingError::NothingPossible));
        let infinite = SamplingError::NotFinite { id: 1, value: f32::INFINITY };
        assert_eq!(sample(&mut [0.0, f32::INFINITY]), Err(infinite));
        for row in [[f32::NAN, 1.0], [1.0, f32::NAN]] {
            let message = sample(&mut row.clone()).unwrap_err().to_string();
            assert!(message.contains("is NaN") && message.lines().count() == 1, "{message}");
        }
    }
}

/// Rows around the lengths of registers and blocks, with the highest logit twice, and with what is no logit anywhere.
#[test]
fn the_best_is_the_first_of_the_highest_wherever_it_lies() {
    let best = |logits: &[f32]| Sampler::new(SamplingConfig::default()).unwrap().sample(&mut logits.to_vec(), &[]);
    for len in [1, 15, 16, 17, 1023, 1024, 1025, 2500] {
        let row: Vec<f32> = (0..len).map(|id| -1.0 - (id * 37 % 101) as f32 / 16.0).collect();
        for id in [0, len / 3, len / 2, len - 1] {
            for again in [id, len - 1] {
                let mut row = row.clone();
                (row[id], row[again]) = (-0.5, -0.5);
                assert_eq!(best(&row), Ok(id as u32), "{len}");
                (row[id], row[again]) = (0.0, -0.0);
                assert_eq!(best(&row), Ok(id as u32), "{len}");
            }
            let mut gone = vec![GONE; len];
            gone[id] = f32::MIN;
            assert_eq!(best(&gone), Ok(id as u32), "{len}");
            for value in [f32::INFINITY, f32::NAN] {
                let mut row = row.clone();
                (row[id], row[len - 1]) = (value, value);
                assert!(matches!(best(&row), Err(SamplingError::NotFinite { id: at, .. }) if at == id), "{len}");
            }
        }
    }
}

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

#[test]
fn what_was_generated_counts_and_the_prompt_does_not() {
    let config = SamplingConfig { presence_penalty: 1.0, ..SamplingConfig::default() };
    for (prompt, expected) in [(0, [-1.0, -1.0, 0.0]), (1, [0.0, -1.0, 0.0]), (9, [0.0; 3])] {
        let mut sampler = Sampler::new(config.clone()).unwrap().after_prompt(prompt);
        let mut row = [0.0; 3];
        sampler.reshape(&mut row, &[0, 1]).unwrap();
        assert_eq!(row, expected, "{prompt}");
    }
}

#[test]
fn rules_that_leave_nothing_or_overflow_are_errors() {
    let forbid = |id| SequenceBias { ids: vec![id], bias: GONE };
    for temperature in [0.0, 1.0] {
        let sample = |config: SamplingConfig| {
            let config = SamplingConfig { temperature, ..config };
            Sampler::new(config).unwrap().sample(&mut [1e38, 1.0], &[0, 1])
        };
        let all = SamplingConfig { sequence_bias: vec![forbid(0), forbid(1)], ..SamplingConfig::default() };
        assert_eq!(sample(all), Err(SamplingError::NothingLeft));
        let all = SamplingConfig { no_repeat_ngram_size: 1, ..SamplingConfig::default() };
        assert_eq!(sample(all), Err(SamplingError::NothingLeft));
        let tiny = SamplingConfig { repetition_penalty: 1e-5, ..SamplingConfig::default() };
        let (id, value) = (0, f32::INFINITY);
        assert_eq!(sample(tiny), Err(SamplingError::Overflow { id, value }));
        let one = SamplingConfig { sequence_bias: vec![forbid(0)], ..SamplingConfig::default() };
        assert_eq!(sample(one), Ok(1));
    }
}

#[test]
fn biases_are_for_tokens_that_there_are() {
    let with = |ids: &[u32], bias| SamplingConfig {
        sequence_bias: vec![SequenceBias { ids: ids.to_vec(), bias }],
        ..SamplingConfig::default()
    };
    assert_eq!(with(&[1, 2], 1.0).check_vocabulary(3), Ok(()));
    let (id, vocab_size) = (3, 3);
    let error = SamplingError::BiasOutOfRange { id, vocab_size };
    assert_eq!(with(&[1, 3], 1.0).check_vocabulary(3), Err(error));
    assert_eq!(with(&[], 1.0).validate(), Err(SamplingError::EmptyBias));
    for bias in [f32::NAN, f32::INFINITY] {
        let message = with(&[1], bias).validate().unwrap_err().to_string();
        assert!(message.contains("-inf to forbid"), "{message}");
    }
}

#[test]
fn options_out_of_range_are_named() {
    let base = plain(0);
    let nan = f32::NAN;
    let with = |option: &'static str, value: f32| {
        let mut config = base.clone();
        *match option {
            "temperature" => &mut config.temperature,
            "top_p" => &mut config.top_p,
            "min_p" => &mut config.min_p,
            "typical_p" => &mut config.typical_p,
            "presence_penalty" => &mut config.presence_penalty,
            "frequency_penalty" => &mut config.frequency_penalty,
            _ => &mut config.repetition_penalty,
        } = value;
        config
    };
    for (option, bad) in [
        ("temperature", [-0.5, nan, f32::INFINITY]),
        ("top_p", [0.0, 1.5, nan]),
        ("min_p", [-0.1, 1.1, nan]),
        ("repetition_penalty", [0.0, -1.0, nan]),
        ("typical_p", [0.0, 1.1, nan]),
        ("presence_penalty", [nan, f32::INFINITY, GONE]),
        ("frequency_penalty", [nan, f32::INFINITY, GONE]),
    ] {
        for value in bad {
            let message = Sampler::new(with(option, value)).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{option} = {value}: must be")), "{message}");
        }
    }
    for (option, value) in [("top_p", 1.0), ("min_p", 1.0), ("min_p", 0.0), ("temperature", 0.0)] {
        assert_eq!(with(option, value).validate(), Ok(()));
    }
}
