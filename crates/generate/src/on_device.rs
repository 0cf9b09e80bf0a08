//! Greedy choice where the logits are, so that three numbers are read back instead of the vocabulary.

use burn::tensor::Tensor;
use glass_backend::Device;

use crate::{Error, SamplingConfig, SamplingError};

/// A token that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Chosen {
    pub id: u32,
    /// The natural logarithm of its probability under the model's own distribution.
    pub score: f64,
}

/// What a pass leaves for the choice of the next token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// The model's row `[vocab_size]`.
    Logits(Vec<f32>),
    /// The choice itself.
    Chosen(Chosen),
}

/// Whether [`choose`] chooses what a sampler with this config would: nothing depends on chance or on the text so far.
pub(crate) fn applies(config: &SamplingConfig) -> bool {
    config.is_greedy() && !config.looks_back()
}

/// The most probable token, as a greedy [`super::Sampler`] chooses it; `None` where the device has no kernel for
/// that, and the logits are to be read back.
///
/// `logits` `[1, 1, vocab_size]` in float32, as `LlamaForCausalLM::forward` makes them for the last position
///
/// # Errors
/// When the logits contain NaN or +∞, or only −∞; a device that fails.
pub(crate) fn choose(device: &Device, logits: &Tensor<3>) -> Result<Option<Chosen>, Error> {
    let logits = logits.clone().flatten::<2>(0, 1); // [1, vocab_size]
    let Some(best) = device.fused().argmax(&logits) else {
        return Ok(None);
    };
    let best = best
        .try_into_vec_as::<f32>()
        .map_err(|error| device.failed(error))?;
    match *best {
        [_, f32::NEG_INFINITY, _] => Err(SamplingError::NothingPossible.into()),
        [id, logit, score] if logit.is_finite() => Ok(Some(Chosen {
            id: id as u32,
            score: score.into(),
        })),
        [id, value, _] => Err(Error::from(SamplingError::NotFinite {
            id: id as usize,
            value,
        })),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::{Sampler, log_softmax_at};

    #[test]
    fn as_the_sampler_chooses() {
        let Some(device) = glass_testing::devices::wgpu() else {
            return;
        };
        let config = SamplingConfig::default();
        assert!(applies(&config));
        let vocab = 5000;
        let row: Vec<f32> = (0..vocab)
            .map(|id| ((id * 7919) % 4999) as f32 / 500.0)
            .collect();
        let with = |id: usize, value| {
            let mut row = row.clone();
            row[id] = value;
            row
        };
        let rows = [
            row.clone(),
            with(4999, 10.5),
            with(17, f32::NEG_INFINITY),
            with(17, f32::NAN),
            with(4500, f32::INFINITY),
            vec![f32::NEG_INFINITY; vocab],
        ];
        for row in rows {
            let data = TensorData::new(row.clone(), [1, 1, vocab]);
            let ours = choose(&device, &Tensor::from_data(data, device.burn()));
            let theirs =
                Sampler::new(config.clone()).and_then(|mut it| it.sample(&mut row.clone(), &[]));
            match (ours, theirs) {
                (Ok(Some(chosen)), Ok(id)) => {
                    assert_eq!(chosen.id, id);
                    assert!((chosen.score - log_softmax_at(&row, id)).abs() < 1e-4);
                }
                (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
                (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
            }
        }
        let plain = device.with_kernels(glass_backend::Kernels::Plain);
        let row = Tensor::zeros([1, 1, 5], plain.burn());
        assert_eq!(choose(&plain, &row).unwrap(), None);
    }

    #[test]
    fn chance_and_the_text_so_far_need_the_logits() {
        assert!(!applies(&SamplingConfig {
            temperature: 0.5,
            ..SamplingConfig::default()
        }));
        assert!(!applies(&SamplingConfig {
            repetition_penalty: 1.1,
            ..SamplingConfig::default()
        }));
        assert!(!applies(&SamplingConfig {
            no_repeat_ngram_size: 2,
            ..SamplingConfig::default()
        }));
    }
}
