//! Merges: the pairs of tokens that become one token, best first.

use super::vocabulary::{Kind, SCORES, TOKENS, Vocabulary, short};
use crate::TokenizerError;

pub(super) const MERGES: &str = "tokenizer.ggml.merges";

/// Far longer than any pair of tokens: every space of a merge is tried.
const MAX_MERGE_BYTES: usize = 4096;
/// Far longer than any piece: every place of a piece is tried.
const MAX_PIECE_BYTES: usize = 1024;
/// Far more than all merges of any vocabulary.
const MAX_IMPLIED_BYTES: usize = 256 << 20;

type Merges = Vec<(String, String)>;

/// The merges that a file has, if any.
pub(super) fn of_file(vocabulary: &Vocabulary<'_>) -> Result<Option<Merges>, TokenizerError> {
    let keys = vocabulary.tokens.keys;
    let Some(merges) = keys.strings(MERGES)? else {
        return Ok(None);
    };
    let mut join = String::new();
    let pair = |(rank, merge)| {
        let pair = split(merge, vocabulary, &mut join).map(|(left, right)| (left.to_owned(), right.to_owned()));
        let no_pair = || format!("merge {rank}, {}, is no pair of tokens that make a token", short(merge));
        pair.ok_or_else(|| keys.fault(MERGES, no_pair()))
    };
    merges.iter().enumerate().map(pair).collect::<Result<_, _>>().map(Some)
}

/// The two tokens of a merge: they are written with a space between them, and may hold spaces.
fn split<'t>(merge: &'t str, vocabulary: &Vocabulary<'_>, join: &mut String) -> Option<(&'t str, &'t str)> {
    if merge.len() > MAX_MERGE_BYTES {
        return None;
    }
    let mut pairs = merge.match_indices(' ').map(|(at, _)| (&merge[..at], &merge[at + 1..]));
    pairs.find(|(left, right)| {
        join.clear();
        join.push_str(left);
        join.push_str(right);
        [left, right, join.as_str()].iter().all(|token| vocabulary.ids.contains_key(*token))
    })
}

/// The merges that pieces imply: every pair that makes a piece, by the score of the piece. For Gemma, whose scores do not
/// follow the order of its merges, by the place of the piece.
///
/// Pairs that make the same piece come by their ids, or for Gemma the shortest left half first. That is their order in the
/// `tokenizer.json` of the models themselves; it decides hardly ever.
pub(super) fn implied(vocabulary: &Vocabulary<'_>, gemma: bool) -> Result<Merges, TokenizerError> {
    let keys = vocabulary.tokens.keys;
    let scores = vocabulary.tokens.scores()?.ok_or_else(|| keys.missing(SCORES))?;
    let mut order: Vec<u32> = (0..vocabulary.texts.len() as u32).collect();
    if !gemma {
        order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    }
    let mut merges = Vec::with_capacity(2 * order.len());
    let mut bytes = 0;
    let mut pairs = Vec::new();
    for id in order {
        let Some(text) = vocabulary.text(id) else {
            continue;
        };
        if text.len() > MAX_PIECE_BYTES {
            // Only ordinary text is merged.
            if vocabulary.tokens.get(id).is_some_and(|(_, kind)| kind == Kind::Normal) {
                return Err(
                    keys.fault(TOKENS, format!("token {id} has {} bytes, and no piece has as many", text.len()))
                );
            }
            continue;
        }
        pairs.clear();
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let Some(&left_id) = vocabulary.ids.get(left)
                && let Some(&right_id) = vocabulary.ids.get(right)
            {
                pairs.push((left_id, right_id, left, right));
            }
        }
        if !gemma {
            pairs.sort_unstable();
        }
        bytes += pairs.len() * text.len();
        if bytes > MAX_IMPLIED_BYTES {
            return Err(keys.fault(TOKENS, "more pairs of tokens make a token than in any vocabulary"));
        }
        merges.extend(pairs.iter().map(|&(.., left, right)| (left.to_owned(), right.to_owned())));
    }
    Ok(merges)
}
