//! The best next tokens of all beams.

use rayon::prelude::*;

use crate::sampling::{Sampler, SamplingError, argmax, higher_first, log_sum_exp};

/// One more token on one beam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub beam: usize,
    pub id: u32,
    /// Of the beam with this token.
    pub log_prob: f64,
}

/// A beam, as far as its next token is concerned.
pub struct Beam<'a> {
    /// `[vocab_size]`
    pub logits: &'a [f32],
    pub log_prob: f64,
    /// Prompt and ids so far, where rules look at them.
    pub previous: Option<Vec<u32>>,
}

/// The `count` best, best first; of equals the one of the lower beam, and of one beam that of the lower id. Tokens of
/// probability 0 are none.
///
/// # Errors
/// As [`Sampler::sample`].
pub fn best(beams: &[Beam<'_>], rules: &Sampler, count: usize) -> Result<Vec<Candidate>, SamplingError> {
    let of_each: Vec<Vec<Candidate>> = beams
        .par_iter()
        .enumerate()
        .map(|(number, beam)| best_of(number, beam, rules, count))
        .collect::<Result<_, _>>()?;
    let mut all = of_each.concat();
    all.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob));
    all.truncate(count);
    match all.is_empty() {
        true => Err(SamplingError::NothingLeft),
        false => Ok(all),
    }
}

fn best_of(number: usize, beam: &Beam<'_>, rules: &Sampler, count: usize) -> Result<Vec<Candidate>, SamplingError> {
    argmax(beam.logits)?;
    let mut row = log_softmax(beam.logits);
    if let Some(previous) = &beam.previous {
        rules.clone().look_back(&mut row, previous);
        let broken = row.iter().position(|x| x.is_nan() || *x == f32::INFINITY);
        if let Some(id) = broken {
            return Err(SamplingError::Overflow { id, value: row[id] });
        }
    }
    let mut order: Vec<(f32, u32)> = row.into_iter().zip(0..).filter(|(value, _)| *value > f32::NEG_INFINITY).collect();
    let better = |a: &(f32, u32), b: &(f32, u32)| higher_first(a.0, b.0).then(a.1.cmp(&b.1));
    if count < order.len() {
        order.select_nth_unstable_by(count, better);
        order.truncate(count);
    }
    order.sort_unstable_by(better);
    let candidate = |(value, id)| Candidate { beam: number, id, log_prob: beam.log_prob + f64::from(value) };
    Ok(order.into_iter().map(candidate).collect())
}

/// The logarithms of the probabilities of a row that has been looked through by [`argmax`].
pub(crate) fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let log_sum = log_sum_exp(logits);
    let log_prob = |&logit: &f32| (f64::from(logit) - log_sum) as f32;
    logits.iter().map(log_prob).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SamplingConfig, SequenceBias};

    fn beam(logits: &[f32], log_prob: f64) -> Beam<'_> {
        Beam { logits, log_prob, previous: None }
    }

    fn plain() -> Sampler {
        Sampler::new(SamplingConfig::default()).unwrap()
    }

    #[test]
    fn the_best_of_all_beams_in_order() {
        let ln = |p: f32| p.ln();
        let a = [ln(0.1), ln(0.2), ln(0.7)];
        let b = [ln(0.5), ln(0.25), ln(0.25)];
        let beams = [beam(&a, 0.0), beam(&b, f64::from(ln(0.5)))];
        let found = best(&beams, &plain(), 4).unwrap();
        let order: Vec<_> = found.iter().map(|c| (c.beam, c.id)).collect();
        // 0.7, 0.25, 0.2, and of two eighths the lower id.
        assert_eq!(order, [(0, 2), (1, 0), (0, 1), (1, 1)]);
        assert!((found[1].log_prob - 0.25f64.ln()).abs() < 1e-6);
        assert_eq!(best(&beams, &plain(), 99).unwrap().len(), 6);
    }

    #[test]
    fn what_is_impossible_is_no_candidate() {
        let logits = [f32::NEG_INFINITY, 1.0];
        let found = best(&[beam(&logits, -1.0)], &plain(), 2).unwrap();
        assert_eq!((found.len(), found[0].id), (1, 1));
        assert_eq!(found[0].log_prob, -1.0);
        assert!(best(&[beam(&[f32::NAN, 1.0], 0.0)], &plain(), 2).is_err());
        assert!(best(&[beam(&[f32::NEG_INFINITY], 0.0)], &plain(), 2).is_err());
    }

    /// On log-probabilities, which are negative: what was there is multiplied, and the rest is not renormalised.
    #[test]
    fn a_penalty_is_laid_on_log_probabilities() {
        let logits = [0.6f32.ln(), 0.4f32.ln()];
        let one = || Beam { previous: Some(vec![0]), ..beam(&logits, 0.0) };
        let mut config = SamplingConfig { repetition_penalty: 2.0, ..SamplingConfig::default() };
        let rules = Sampler::new(config.clone()).unwrap();
        let found = best(&[one()], &rules, 2).unwrap();
        assert_eq!((found[0].id, found[1].id), (1, 0));
        assert!((found[1].log_prob - 2.0 * 0.6f64.ln()).abs() < 1e-6);
        assert!((found[0].log_prob - 0.4f64.ln()).abs() < 1e-6);
        // Where every token is forbidden on one beam, the others go on; where it is on all, nothing does.
        let forbid = |ids| SequenceBias { ids, bias: f32::NEG_INFINITY };
        config.sequence_bias = vec![forbid(vec![0, 0]), forbid(vec![0, 1])];
        let rules = Sampler::new(config).unwrap();
        let other = Beam { previous: Some(vec![1]), ..one() };
        let found = best(&[one(), other], &rules, 4).unwrap();
        assert!(found.len() == 2 && found.iter().all(|found| found.beam == 1));
        let nothing = best(&[one()], &rules, 4).unwrap_err();
        assert_eq!(nothing, SamplingError::NothingLeft);
    }
}
