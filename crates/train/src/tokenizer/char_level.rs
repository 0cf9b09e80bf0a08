//! Character-level: one token per character (Unicode scalar value) of the text, and one for all others.

use std::collections::BTreeSet;

use tokenizers::{
    Tokenizer,
    decoders::fuse::Fuse,
    models::bpe::{BPE, Vocab},
};

use super::{TokenizerChoiceError, TrainedTokenizer, library_error};

/// Five characters, so it never clashes with one.
const UNK: &str = "<unk>";
const UNK_ID: u32 = 0;

/// `<unk>` has id 0; the characters of `text` follow in the order of their code points.
pub(super) fn train(text: &str) -> Result<TrainedTokenizer, TokenizerChoiceError> {
    let characters: BTreeSet<char> = text.chars().collect();
    let tokens = characters.into_iter().map(String::from);
    let mut vocab = Vocab::default();
    vocab.insert(UNK.to_owned(), UNK_ID);
    vocab.extend(tokens.zip(UNK_ID + 1..));

    // BPE without merges is character-level. So is WordLevel, but only behind a regular expression that splits all
    // characters, at half the speed.
    let model = BPE::builder()
        .vocab_and_merges(vocab, Vec::new())
        .unk_token(UNK.to_owned())
        // One token for each unknown character.
        .fuse_unk(false)
        .build()
        .map_err(library_error)?;
    let mut tokenizer = Tokenizer::new(model);
    // Without a decoder, decoding inserts spaces between tokens.
    tokenizer.with_decoder(Some(Fuse::new()));
    // <unk> is not a special token: in a text it is five characters, and decoding shows it.
    TrainedTokenizer::learned(&tokenizer, Some(UNK_ID))
}
