//! Forks of a past so long that it is shared.

use glass_generate::{Lane, PrefillOptions};
use glass_testing::devices;

use crate::{
    lanes::{Counts, Text, compare},
    random_model,
};

/// Long enough that what is forked is shared and not copied.
#[test]
fn long_forks_share_their_past() {
    let device = devices::flex();
    for (windows, policy) in [
        (&[None, None][..], "full"),
        (&[Some(300), None], "ring"),
        (&[None, None], "sinks:4+290"),
        (&[Some(300), Some(9)], "ring:270"),
    ] {
        let mut config = random_model::config(windows);
        config.max_position_embeddings = 2048;
        let llama = random_model::llama(&config, 3, &device);
        let options = PrefillOptions { cache: policy.parse().expect("a policy"), ..PrefillOptions::default() };
        let ids = random_model::tokens(700, 8);
        let mut counts = Counts::default();
        let mut first = Text {
            lane: Lane::new(&llama, options).expect("a lane"),
            cache: options.cache,
            ids: vec![],
            passes: vec![],
        };
        let push = |text: &mut Text, ids: &[u32]| {
            text.ids.extend_from_slice(ids);
            text.lane.push(ids, ids.len());
        };
        push(&mut first, &ids[..600]);
        let mut texts = vec![first];
        while texts[0].lane.unread() > 0 {
            compare(&llama, &mut texts, &mut counts);
        }
        // Forks of a fork, each on a way of its own; one goes back to where they parted.
        for turn in 0..12usize {
            if turn % 4 == 0 {
                let at = turn / 4 % texts.len();
                let fork = texts[at].fork();
                texts.push(fork);
            }
            if turn == 9 {
                assert!(texts[1].truncate(600) || policy != "full");
            }
            for (number, text) in texts.iter_mut().enumerate() {
                let start = 600 + (7 * turn + 13 * number) % 90;
                push(text, &ids[start..=start + turn % 3]);
            }
            compare(&llama, &mut texts, &mut counts);
        }
        assert!(texts.len() == 4 && counts.shared >= 12, "{}", counts.shared);
    }
}
