//! Tokens of ordinary text, and tokens that the post-processor adds.

use serde_json::Value;
use tokenizers::{Encoding, Token};

use super::{Tokenizer, TokenizerError, catch_panic};

impl Tokenizer {
    /// The ids of ordinary text, ascending: neither added and special tokens, nor the unknown token, nor the bytes of a byte
    /// fallback.
    pub fn ordinary_ids(&self) -> Vec<u32> {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let model = serde_json::to_value(self.inner.get_model()).unwrap_or_default();
        let unknown = match model.get("unk_token").and_then(Value::as_str) {
            Some(token) => self.token_id(token).map(u64::from),
            // Unigram has an id instead.
            None => model.get("unk_id").and_then(Value::as_u64),
        };
        let mut ids: Vec<u32> = self
            .inner
            .get_vocab(false)
            .into_iter()
            .filter(|(token, id)| {
                !added.contains_key(id) && unknown != Some(u64::from(*id)) && self.fallback_byte(token).is_none()
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
        // The post-processor does not depend on the tokens of the text: any token will do.
        let text = Encoding::from_tokens(vec![Token::new(0, "a".into(), (0, 1))], 0);
        let all = catch_panic(|| self.inner.post_process(text, None, true))
            .map_err(|reason| TokenizerError::Encode { reason })?;
        let mask = all.get_special_tokens_mask();
        let added = mask.iter().take_while(|&&mark| mark == 1).count();
        Ok(all.get_ids()[..added].to_vec())
    }
}
