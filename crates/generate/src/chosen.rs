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
    use glass_backend::Draws;

    use super::*;
    use crate::{Sampler, SamplingConfig, log_softmax_at};

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
}
