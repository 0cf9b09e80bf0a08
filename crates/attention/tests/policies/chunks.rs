//! Dual chunk attention: positions within chunks.

use glass_config::DualChunk;
use glass_testing::devices;

use crate::{SAME, company::Company, definition::Scores, policy};

/// Chunks are cut behind a shared past and within it, and nothing of what was shared is rotated again.
#[test]
fn dual_chunk_attention_shares_a_long_past() {
    for device in devices::all() {
        let dual = DualChunk { chunk_size: 120, local_size: 20, original_max_position_embeddings: Some(200) };
        let mut company = Company::new(None, Scores { dual_chunk: Some(dual), ..Scores::default() }, &device);
        company.join(policy("full"), None);
        let check = |company: &mut Company, counts: &[usize], seed| {
            let off = company.check(counts, seed).off;
            assert!(off <= SAME, "{}, {counts:?}: off by {off}", device.name());
        };
        check(&mut company, &[330], 5);
        company.fork(0);
        company.snapshot(1);
        check(&mut company, &[1, 150, 3], 6);
        company.truncate(1, 290).expect("it can go back");
        check(&mut company, &[80, 40, 1], 7);
    }
}

/// A text of one chunk is read as without chunks, to the last bit; one more token is not.
#[test]
fn a_text_of_one_chunk_is_read_as_without_chunks() {
    for device in devices::all() {
        let dual = DualChunk { chunk_size: 48, local_size: 8, original_max_position_embeddings: Some(40) };
        let read = |dual_chunk| {
            let mut company = Company::new(None, Scores { dual_chunk, ..Scores::default() }, &device);
            company.join(policy("full"), None);
            let counts = [33, 1, 6, 30];
            counts.map(|count| company.feed(&[count], count as u64))
        };
        let ([in_chunks @ .., beyond], [plain @ .., plain_beyond]) = (read(Some(dual)), read(None));
        assert_eq!(in_chunks, plain, "{}", device.name());
        assert_ne!(beyond, plain_beyond, "{}", device.name());
    }
}
