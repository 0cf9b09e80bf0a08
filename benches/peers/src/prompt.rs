//! A prompt that every engine gets and every run of this program makes again.

/// `count` ids, all below `vocabulary` and spread over all of it. The text makes no sense, which costs the same time.
pub fn ids(count: usize, vocabulary: u32) -> Vec<u32> {
    // Multiples of the golden ratio modulo 1 (Weyl's sequence) are spread evenly, however many there are.
    let golden = 0x9E37_79B9_u32;
    let place = |i: usize| u64::from((i as u32).wrapping_mul(golden));
    let ids = (1..=count).map(|i| (place(i) * u64::from(vocabulary)) >> 32);
    ids.map(|id| id as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_vocabulary_and_spread_over_it() {
        let ids = ids(512, 32000);
        assert!(ids.iter().all(|&id| id < 32000));
        let mut quarters = [0; 4];
        for &id in &ids {
            quarters[id as usize / 8000] += 1;
        }
        assert!(
            quarters.iter().all(|&n| (126..=130).contains(&n)),
            "{quarters:?}"
        );
    }

    #[test]
    fn a_longer_prompt_starts_like_a_shorter_one() {
        assert_eq!(ids(100, 1000)[..7], ids(7, 1000));
        assert_eq!(ids(3, 1), [0, 0, 0]);
    }
}
