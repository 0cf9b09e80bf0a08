//! Tokens of ordinary text, and tokens that the post-processor adds.

use tokenizers::{Encoding, Token};

use super::{Tokenizer, TokenizerError, catch_panic};

impl Tokenizer {
    /// The ids of ordinary text, ascending: neither added and special tokens, nor the unknown token, nor the bytes of a byte
    /// fallback.
    pub fn ordinary_ids(&self) -> Vec<u32> {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let unknown = self.unknown_token().map(|(id, _)| id);
        let mut ids: Vec<u32> = self
            .inner
            .get_vocab(false)
            .into_iter()
            .filter(|(token, id)| {
                !added.contains_key(id) && unknown != Some(*id) && self.fallback_byte(token).is_none()
            })
            .map(|(_, id)| id)
            .collect();
        ids.sort_unstable();
        ids
    }

    /// The ids that the post-processor puts before every text: BOS, or none.
    ///
    /// # Errors
    /// The post-processor fails.
    pub fn prefix_ids(&self) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.ids_around()?.0)
    }

    /// The ids that the post-processor puts before every text, and those behind it.
    pub(crate) fn ids_around(&self) -> Result<(Vec<u32>, Vec<u32>), TokenizerError> {
        // The post-processor does not depend on the tokens of the text: any token will do.
        let text = Encoding::from_tokens(vec![Token::new(0, "a".into(), (0, 1))], 0);
        let all = catch_panic(|| self.inner.post_process(text, None, true))
            .map_err(|reason| TokenizerError::Encode { reason })?;
        let mask = all.get_special_tokens_mask();
        let before = mask.iter().take_while(|&&mark| mark == 1).count();
        let behind = mask[before..].iter().rev().take_while(|&&mark| mark == 1).count();
        let ids = all.get_ids();
        Ok((ids[..before].to_vec(), ids[ids.len() - behind..].to_vec()))
    }
}
