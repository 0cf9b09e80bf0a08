//! A tokenizer of byte-pair encoding in its parts, which become a [`tokenizers::Tokenizer`] or a `tokenizer.json`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    models::bpe::{BPE, Vocab},
};

/// The parts; those of `tokenizer.json` as it has them, null where there is none.
pub(super) struct Parts {
    pub vocab: Vocab,
    /// In the order of their rank.
    pub merges: Vec<(String, String)>,
    /// The token for what the vocabulary does not have.
    pub unknown: Option<String>,
    /// SentencePiece: neighbouring unknown characters are one token, and bytes have tokens of their own.
    pub pieces: bool,
    pub ignore_merges: bool,
    /// Special and other added tokens, with ascending ids.
    pub added: Vec<(u32, AddedToken)>,
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub post_processor: Value,
    pub decoder: Value,
    /// What is not as the file would have it.
    pub warnings: Vec<String>,
}

impl Parts {
    /// The tokenizer, without a detour through the text of a `tokenizer.json`: that of a large vocabulary has 30 MB.
    pub fn tokenizer(self) -> tokenizers::Result<tokenizers::Tokenizer> {
        let mut model = BPE::builder()
            .vocab_and_merges(self.vocab, self.merges)
            .fuse_unk(self.pieces)
            .byte_fallback(self.pieces)
            .ignore_merges(self.ignore_merges);
        if let Some(unknown) = self.unknown {
            model = model.unk_token(unknown);
        }
        let mut tokenizer = tokenizers::Tokenizer::new(model.build()?);
        tokenizer.with_normalizer(part::<NormalizerWrapper>(self.normalizer)?)?;
        tokenizer.with_pre_tokenizer(part::<PreTokenizerWrapper>(self.pre_tokenizer)?);
        tokenizer.with_post_processor(part::<PostProcessorWrapper>(self.post_processor)?);
        tokenizer.with_decoder(part::<DecoderWrapper>(self.decoder)?);
        tokenizer.add_tokens(self.added.into_iter().map(|(_, token)| token))?;
        Ok(tokenizer)
    }

    /// The same as a `tokenizer.json`.
    pub fn json(self) -> Value {
        let added = self.added.iter().map(|(id, token)| {
            json!({
                "id": id, "content": token.content, "single_word": token.single_word, "lstrip": token.lstrip,
                "rstrip": token.rstrip, "normalized": token.normalized, "special": token.special,
            })
        });
        let added: Vec<Value> = added.collect();
        let mut vocab: Vec<(String, u32)> = self.vocab.into_iter().collect();
        vocab.sort_unstable_by_key(|&(_, id)| id);
        let vocab: Map<String, Value> = vocab.into_iter().map(|(token, id)| (token, id.into())).collect();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": self.normalizer, "pre_tokenizer": self.pre_tokenizer,
            "post_processor": self.post_processor, "decoder": self.decoder,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": self.unknown, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": self.pieces, "byte_fallback": self.pieces,
                "ignore_merges": self.ignore_merges, "vocab": vocab, "merges": self.merges,
            },
        })
    }
}

fn part<T: DeserializeOwned>(json: Value) -> Result<Option<T>, serde_json::Error> {
    serde_json::from_value(json)
}
