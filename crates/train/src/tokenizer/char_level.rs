//! One token per character (Unicode scalar value), and one more for characters that the training text lacks.

use std::collections::BTreeSet;

use tokenizers::{
    Tokenizer,
    decoders::fuse::Fuse,
    models::bpe::{BPE, Vocab},
};

use super::{TokenizerChoiceError, TrainedTokenizer, library};

/// Five characters, so never itself one of the vocabulary.
const UNK: &str = "<unk>";
const UNK_ID: u32 = 0;

/// `<unk>` is 0; the characters of `text` follow in the order of their code points.
pub(super) fn train(text: &str) -> Result<TrainedTokenizer, TokenizerChoiceError> {
    let characters: BTreeSet<char> = text.chars().collect();
    let tokens = characters.into_iter().map(String::from);
    let mut vocab = Vocab::default();
    vocab.insert(UNK.to_owned(), UNK_ID);
    vocab.extend(tokens.zip(UNK_ID + 1..));

    // A BPE model starts from single characters, so without merges it is the tokenizer wanted. WordLevel would be one
    // too, but only behind a regular expression that cuts out every character: one part more, and half the speed.
    let model = BPE::builder()
        .vocab_and_merges(vocab, Vec::new())
        .unk_token(UNK.to_owned())
        // One token for each unknown character: positions keep their meaning.
        .fuse_unk(false)
        .build()
        .map_err(library)?;
    let mut tokenizer = Tokenizer::new(model);
    // Without a decoder, decoding puts a space between tokens.
    tokenizer.with_decoder(Some(Fuse::new()));
    // <unk> is not made a special token: typed in a text it is five characters, and decoded it is seen.
    TrainedTokenizer::learned(&tokenizer, Some(UNK_ID))
}
