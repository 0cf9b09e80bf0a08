//! The best next tokens of all beams.

use rayon::prelude::*;

use crate::generate::sampling::{SamplingError, argmax, repetition_penalty};

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
    /// Prompt and ids so far, where a repetition penalty asks for them.
    pub previous: Vec<u32>,
}

/// The `count` best, best first; of equals the one of the lower beam, and of one beam that of the lower id. Tokens of
/// probability 0 are none.
///
/// # Errors
/// As [`argmax`].
pub fn best(
    beams: &[Beam<'_>],
    penalty: f32,
    count: usize,
) -> Result<Vec<Candidate>, SamplingError> {
    let of_each: Vec<Vec<Candidate>> = beams
        .par_iter()
        .enumerate()
        .map(|(number, beam)| best_of(number, beam, penalty, count))
        .collect::<Result<_, _>>()?;
    let mut all = of_each.concat();
    all.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob));
    all.truncate(count);
    Ok(all)
}

fn best_of(
    number: usize,
    beam: &Beam<'_>,
    penalty: f32,
    count: usize,
) -> Result<Vec<Candidate>, SamplingError> {
    argmax(beam.logits)?;
    let mut row = log_softmax(beam.logits);
    if penalty != 1.0 {
        repetition_penalty(&mut row, &beam.previous, penalty, &mut Vec::new());
    }
    let mut order: Vec<(f32, u32)> = row
        .into_iter()
        .zip(0..)
        .filter(|(value, _)| *value > f32::NEG_INFINITY)
        .collect();
    let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if count < order.len() {
        order.select_nth_unstable_by(count, better);
        order.truncate(count);
    }
    order.sort_unstable_by(better);
    let candidate = |(value, id)| Candidate {
        beam: number,
        id,
        log_prob: beam.log_prob + f64::from(value),
    };
    Ok(order.into_iter().map(candidate).collect())
}

/// The logarithms of the probabilities of a row that has been looked through by [`argmax`].
pub(in crate::generate) fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits
        .iter()
        .map(|&logit| f64::from(logit - highest).exp())
        .sum();
    let sum = sum.ln();
    logits
        .iter()
        .map(|&logit| (f64::from(logit - highest) - sum) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beam(logits: &[f32], log_prob: f64) -> Beam<'_> {
        Beam {
            logits,
            log_prob,
            previous: vec![],
        }
    }

    #[test]
    fn the_best_of_all_beams_in_order() {
        let ln = |p: f32| p.ln();
        let a = [ln(0.1), ln(0.2), ln(0.7)];
        let b = [ln(0.5), ln(0.25), ln(0.25)];
        let beams = [beam(&a, 0.0), beam(&b, f64::from(ln(0.5)))];
        let found = best(&beams, 1.0, 4).unwrap();
        let order: Vec<_> = found.iter().map(|c| (c.beam, c.id)).collect();
        // 0.7, 0.25, 0.2, and of two eighths the lower id.
        assert_eq!(order, [(0, 2), (1, 0), (0, 1), (1, 1)]);
        assert!((found[1].log_prob - 0.25f64.ln()).abs() < 1e-6);
        assert_eq!(best(&beams, 1.0, 99).unwrap().len(), 6);
    }

    #[test]
    fn what_is_impossible_is_no_candidate() {
        let logits = [f32::NEG_INFINITY, 1.0];
        let found = best(&[beam(&logits, -1.0)], 1.0, 2).unwrap();
        assert_eq!((found.len(), found[0].id), (1, 1));
        assert_eq!(found[0].log_prob, -1.0);
        assert!(best(&[beam(&[f32::NAN, 1.0], 0.0)], 1.0, 2).is_err());
        assert!(best(&[beam(&[f32::NEG_INFINITY], 0.0)], 1.0, 2).is_err());
    }

    /// On log-probabilities, which are negative: what was there is multiplied, and the rest is not renormalised.
    #[test]
    fn a_penalty_is_laid_on_log_probabilities() {
        let logits = [0.6f32.ln(), 0.4f32.ln()];
        let one = Beam {
            previous: vec![0],
            ..beam(&logits, 0.0)
        };
        let found = best(&[one], 2.0, 2).unwrap();
        assert_eq!((found[0].id, found[1].id), (1, 0));
        assert!((found[1].log_prob - 2.0 * 0.6f64.ln()).abs() < 1e-6);
        assert!((found[0].log_prob - 0.4f64.ln()).abs() < 1e-6);
    }
}
