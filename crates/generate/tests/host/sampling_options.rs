//! What options of sampling may be.

use glass_generate::sampling::{Sampler, SamplingConfig, SamplingError, SequenceBias};

use crate::sampling::{GONE, plain};

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
