//! Whether a model makes use of what came long before: its likelihoods by the length of what it has read.

use super::Windows;

/// Tokens that were predicted from about equally many tokens before them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Fewest tokens that the window had read before, one at least.
    pub from: usize,
    /// Most of them; in all buckets but the last this is twice `from`, less one.
    pub to: usize,
    /// How many were scored.
    pub tokens: usize,
    /// In nats.
    pub mean_nll: f64,
}

/// The negative log-likelihoods of [`token_nlls`](crate::token_nlls), over the same [`Windows`], by the
/// number of tokens read before, in buckets that double: 1, 2 to 3, 4 to 7, ... A bucket without a token is left out.
///
/// A model of full attention predicts better the more it has read, up to the length that it was trained with, and then
/// breaks down; one with a window of W stays as it is from `layers * (W - 1)` on.
pub fn by_position(nlls: &[f64], windows: Windows) -> Vec<Bucket> {
    let mut sums: Vec<(usize, f64)> = Vec::new();
    let mut longest = 0;
    for segment in windows.segments(nlls.len() + 1) {
        for target in segment.scored {
            let before = target - segment.read.start;
            let bucket = before.ilog2() as usize;
            if sums.len() <= bucket {
                sums.resize(bucket + 1, (0, 0.0));
            }
            sums[bucket].0 += 1;
            sums[bucket].1 += nlls[target - 1];
            longest = longest.max(before);
        }
    }
    let buckets = sums.iter().enumerate().filter(|(_, (tokens, _))| *tokens > 0);
    let buckets = buckets.map(|(bucket, &(tokens, sum))| Bucket {
        from: 1 << bucket,
        to: longest.min((2 << bucket) - 1),
        tokens,
        mean_nll: sum / tokens as f64,
    });
    buckets.collect()
}

/// The same with buckets of `least` tokens each, as far as there are so many: those with fewer go together with the next
/// ones, the last with the ones before. The mean of a handful of tokens says nothing, and would set the scale of a plot.
pub fn merged(buckets: &[Bucket], least: usize) -> Vec<Bucket> {
    let mut merged: Vec<Bucket> = Vec::new();
    for (index, bucket) in buckets.iter().enumerate() {
        let rest: usize = buckets[index..].iter().map(|bucket| bucket.tokens).sum();
        match merged.last_mut() {
            Some(last) if last.tokens < least || rest < least => *last = last.and(bucket),
            _ => merged.push(*bucket),
        }
    }
    merged
}

impl Bucket {
    /// Both together, where `other` is the next.
    fn and(&self, other: &Self) -> Self {
        let tokens = self.tokens + other.tokens;
        let sum = self.mean_nll * self.tokens as f64 + other.mean_nll * other.tokens as f64;
        Self { from: self.from, to: other.to, tokens, mean_nll: sum / tokens as f64 }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn every_token_is_in_the_bucket_of_what_was_read_before_it() {
        for tokens in 1..60 {
            for (window, stride) in [(1, 1), (5, 5), (8, 3), (16, 1), (100, 100)] {
                let [window, stride] = [window, stride].map(|n| NonZeroUsize::new(n).unwrap());
                let windows = Windows::new(window, Some(stride)).unwrap();
                // Each likelihood is the number of tokens before, so that a mean says whose it is.
                let mut nlls = vec![0.0; tokens];
                for segment in windows.segments(tokens + 1) {
                    for target in segment.scored {
                        nlls[target - 1] = (target - segment.read.start) as f64;
                    }
                }
                let buckets = by_position(&nlls, windows);
                assert_eq!(buckets.iter().map(|bucket| bucket.tokens).sum::<usize>(), tokens);
                let sum: f64 = buckets.iter().map(|b| b.mean_nll * b.tokens as f64).sum();
                assert!((sum - nlls.iter().sum::<f64>()).abs() < 1e-9);
                for bucket in &buckets {
                    let range = bucket.from as f64..=bucket.to as f64;
                    assert!(range.contains(&bucket.mean_nll), "{bucket:?}");
                }
                assert!(buckets.windows(2).all(|pair| pair[0].to < pair[1].from));
                let longest = nlls.iter().copied().fold(0.0, f64::max);
                assert_eq!(buckets.last().unwrap().to as f64, longest);
            }
        }
    }

    #[test]
    fn a_handful_of_tokens_makes_no_bucket_of_its_own() {
        let bucket = |(index, &tokens): (usize, &usize)| Bucket {
            from: 1 << index,
            to: (2 << index) - 1,
            tokens,
            mean_nll: (index * index) as f64,
        };
        for tokens in [&[1, 2, 4, 8, 16, 32, 1][..], &[30, 40, 50, 1, 1], &[1, 50, 1, 50, 9], &[3, 3], &[9], &[]] {
            let buckets: Vec<Bucket> = tokens.iter().enumerate().map(bucket).collect();
            let merged = merged(&buckets, 10);
            let sum = |buckets: &[Bucket]| buckets.iter().map(|b| b.tokens as f64 * b.mean_nll).sum::<f64>();
            assert!((sum(&merged) - sum(&buckets)).abs() < 1e-9);
            assert_eq!(merged.iter().map(|b| b.tokens).sum::<usize>(), tokens.iter().sum::<usize>());
            // From the first to the last, with no gap, and none without need.
            assert_eq!(merged.first().map(|b| b.from), buckets.first().map(|b| b.from));
            assert_eq!(merged.last().map(|b| b.to), buckets.last().map(|b| b.to));
            assert!(merged.windows(2).all(|pair| pair[0].to + 1 == pair[1].from));
            assert!(merged.len() < 2 || merged.iter().all(|b| b.tokens >= 10), "{merged:?}");
        }
        let plenty: Vec<Bucket> = [10, 20, 10].iter().enumerate().map(bucket).collect();
        assert_eq!(merged(&plenty, 10), plenty);
        let last = [10, 20, 5, 4].iter().enumerate().map(bucket).collect::<Vec<_>>();
        let tokens: Vec<usize> = merged(&last, 10).iter().map(|b| b.tokens).collect();
        assert_eq!(tokens, [10, 29]);
    }
}
