//! The choice of a token where the logits are, so that three numbers are read back instead of the vocabulary.

use glass_backend::Draw;

use crate::SamplingError;

/// What the device may choose tokens by.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Choice {
    /// By nothing that it knows: the host needs the logits.
    #[default]
    Host,
    /// The most probable one.
    Best,
    /// Draws of the tokens behind those that are read next, one after the other.
    Draws(Vec<Draw>),
}

/// A token that the device chose, as a [`Sampler`](crate::Sampler) chooses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    pub id: u32,
    /// The natural logarithm of its probability under the model's own distribution.
    pub log_prob: f64,
}

impl Chosen {
    /// From id, logit and log-probability, as [`KernelSet::argmax`](glass_backend::KernelSet::argmax) and
    /// [`KernelSet::draw`](glass_backend::KernelSet::draw) give them.
    ///
    /// # Errors
    /// When the logits contain NaN or +∞, or only −∞.
    pub(crate) fn read([id, logit, log_prob]: [f32; 3]) -> Result<Self, SamplingError> {
        let (index, value) = (id as usize, logit);
        if value == f32::NEG_INFINITY {
            Err(SamplingError::NothingPossible)
        } else if value.is_finite() {
            let (id, log_prob) = (id as u32, log_prob.into());
            Ok(Self { id, log_prob })
        } else {
            Err(SamplingError::NotFinite { id: index, value })
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData};
    use glass_backend::{Draws, Dtype, Weights};
    use glass_causal_lm::LlamaForCausalLM;
    use glass_config::LlamaConfig;
    use glass_testing::RandomWeights;

    use super::*;
    use crate::{Engine, GenerateOptions, Lane, Llama, Sampler, SamplingConfig, Sequence, log_softmax_at};

    #[test]
    fn the_device_chooses_as_the_sampler_does() {
        let Some(device) = glass_testing::devices::wgpu() else {
            return;
        };
        let vocab = 5000;
        let row: Vec<f32> = (0..vocab).map(|id| ((id * 7919) % 4999) as f32 / 500.0).collect();
        let with = |id: usize, value| {
            let mut row = row.clone();
            row[id] = value;
            row
        };
        // All in one pass: a row's choice does not depend on its company.
        let rows = [
            row.clone(),
            with(4999, 10.5),
            with(17, f32::NEG_INFINITY),
            with(17, f32::NAN),
            with(4500, f32::INFINITY),
            vec![f32::NEG_INFINITY; vocab],
        ];
        let data = TensorData::new(rows.concat(), [rows.len(), vocab]);
        let best = device
            .kernel_set()
            .argmax(&Tensor::from_data(data, device.burn()))
            .expect("a kernel")
            .try_into_vec_as::<f32>()
            .expect("read back");
        for (row, best) in rows.iter().zip(best.as_chunks().0) {
            let mut sampler = Sampler::new(SamplingConfig::default()).expect("greedy");
            match (Chosen::read(*best), sampler.sample(&mut row.clone(), &[])) {
                (Ok(chosen), Ok(id)) => {
                    assert_eq!(chosen.id, id);
                    assert!((chosen.log_prob - log_softmax_at(row, id)).abs() < 1e-4);
                }
                (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
                (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
            }
        }
        let plain = device.with_kernel_mode(glass_backend::KernelMode::Plain);
        let row = Tensor::zeros([1, 5], plain.burn());
        assert!(plain.kernel_set().argmax(&row).is_none());
    }

    /// Rows like those of a model: a few tokens are probable, many are not.
    #[test]
    fn the_device_draws_as_the_sampler_does() {
        let Some(device) = glass_testing::devices::wgpu() else {
            return;
        };
        assert!(!device.kernel_set().draws(), "software has its memory where the sampler reads it");
        let device = device.with_gpu_kernels();
        let vocab = 5000;
        let rows: Vec<Vec<f32>> = (0..40)
            .map(|row| (0..vocab).map(|id| -(((id * 7919 + row * 131) % 4999) as f32 / 9.0 + 1.0).ln() * 3.0).collect())
            .collect();
        for (temperature, top_k, top_p, min_p) in
            [(1.0, 0, 1.0, 0.0), (0.8, 40, 0.95, 0.0), (1.3, 0, 0.9, 0.0), (0.7, 50, 1.0, 0.05)]
        {
            let config = SamplingConfig { temperature, top_k, top_p, min_p, seed: 11, ..SamplingConfig::default() };
            let mut sampler = Sampler::new(config).expect("a sampler");
            let Choice::Draws(draws) = sampler.choice(rows.len()) else { panic!("{:?}", sampler.config()) };
            let data = TensorData::new(rows.concat(), [rows.len(), vocab]);
            let drawn = device
                .kernel_set()
                .draw(&Tensor::from_data(data, device.burn()), &Draws::new(&draws, device.burn()))
                .expect("a kernel")
                .try_into_vec_as::<f32>()
                .expect("read back");
            let drawn = drawn.as_chunks().0.iter().map(|drawn| Chosen::read(*drawn).expect("a token"));
            for (row, drawn) in rows.iter().zip(drawn) {
                let id = sampler.sample(&mut row.clone(), &[]).expect("a token");
                assert_eq!(drawn.id, id, "{:?}", sampler.config());
                assert!((drawn.log_prob - log_softmax_at(row, id)).abs() < 1e-4);
            }
        }
    }

    const VOCAB: usize = 300;
    const TOKENS: usize = 20;

    /// Texts of these rules, written together, each behind a prompt of this one token: more vectors in a pass would take another
    /// product. Where it is known what a text is expected to be, it reads drafts of two tokens, the second of them wrong.
    fn written(llama: &Llama, rules: &[(u32, SamplingConfig)], on_host: bool, expected: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut engine = Engine::new(llama);
        let texts: Vec<_> = rules
            .iter()
            .map(|(first, sampling)| {
                // Who wants log-probabilities gets all logits.
                let logprobs = on_host.then_some(0);
                let options = GenerateOptions { sampling: sampling.clone(), logprobs, ..GenerateOptions::new(TOKENS) };
                let sequence = Sequence::new(&[*first], &options, VOCAB, None).expect("a text");
                engine.add(sequence, Lane::new(llama, options.prefill).expect("a cache")).expect("a prompt")
            })
            .collect();
        while engine.has_work() {
            let read = engine.step().expect("a pass").read().expect("logits");
            assert_eq!(read.values().is_empty(), !on_host, "where tokens are chosen");
            engine.advance(read).into_iter().for_each(|(_, event)| drop(event.expect("a token")));
            for (&text, expected) in texts.iter().zip(expected) {
                let known = engine.sequence(text).map_or(0, |sequence| sequence.generated().len());
                if let Some(&[right, other]) = expected.get(known..known + 2) {
                    engine.draft(text, &[right, (other + 1) % VOCAB as u32]).expect("ids");
                }
            }
        }
        texts.iter().map(|&text| engine.sequence(text).expect("it stays").generated().to_vec()).collect()
    }

    /// Texts drawn on the device are the host's at the same seeds.
    ///
    /// A token may be another where its number, or the edge of a nucleus, lies within 2^-16 of a border between two. Of some
    /// 150 such numbers here none does; of a hundred other seeds one or two would have one that is.
    #[test]
    fn texts_that_the_device_draws_are_those_of_the_host() {
        let Some(device) = glass_testing::devices::wgpu() else {
            return;
        };
        let device = device.with_gpu_kernels();
        assert!(device.kernel_set().draws());
        let config = r#"{"model_type": "llama", "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}"#;
        let config = LlamaConfig::from_json(config, "test", &[]).expect("a config");
        let mut source = RandomWeights(7);
        let model = LlamaForCausalLM::load(Weights::new(&mut source, &device, Dtype::F32), &config).expect("weights");
        let llama = Llama::new(model, &config, &device, Dtype::F32);
        // Temperature, top-k, top-p and min-p: greedy, each alone, and all together.
        let rules = [
            (0.0, 0, 1.0, 0.0),
            (0.5, 0, 1.0, 0.0),
            (0.6, 12, 1.0, 0.0),
            (0.5, 0, 0.8, 0.0),
            (0.6, 0, 1.0, 0.05),
            (0.7, 40, 0.9, 0.02),
        ];
        let rules: Vec<_> = rules
            .into_iter()
            .zip(0..)
            .map(|((temperature, top_k, top_p, min_p), first)| {
                let seed = 3;
                (first, SamplingConfig { temperature, top_k, top_p, min_p, seed, ..SamplingConfig::default() })
            })
            .collect();
        let theirs = written(&llama, &rules, true, &[]);
        for (i, text) in theirs.iter().enumerate() {
            assert!(text.len() == TOKENS && !theirs[..i].contains(text), "rules that decide nothing: {theirs:?}");
        }
        assert_eq!(written(&llama, &rules, false, &[]), theirs);
        // Alone, and with drafts: what is read beside a token changes none.
        for (rules, theirs) in rules.iter().zip(theirs) {
            let theirs = [theirs];
            let ours = written(&llama, std::slice::from_ref(rules), false, &theirs);
            assert_eq!(ours, theirs, "{rules:?}");
        }
    }
}
