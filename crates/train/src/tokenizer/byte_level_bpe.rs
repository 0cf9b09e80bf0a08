//! Byte-pair encoding over bytes, as in GPT-2 and Llama 3: 256 tokens for the bytes, then the pairs of tokens that
//! were most frequent in the text, each a token from then on.
//!
//! There is no `<unk>`, for every text is bytes; and no `<|endoftext|>`: a plain text does not say where its documents
//! end, so the model would never see that token and could only sample it by mistake. What it generates runs on until
//! the limit of tokens.

use tokenizers::{
    Tokenizer,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::byte_level::ByteLevel,
};

use super::{
    PIECE_BYTES, TokenizerChoice, TokenizerChoiceError, TrainedTokenizer, library, pieces,
};

/// A pair seen once would make tokens of which the model sees one example.
const MIN_FREQUENCY: u64 = 2;

/// Exactly `vocab_size` tokens, or fewer and a warning when the text has not enough pairs that repeat.
pub(super) fn train(
    text: &str,
    vocab_size: usize,
) -> Result<TrainedTokenizer, TokenizerChoiceError> {
    TokenizerChoice::check_bpe_size(vocab_size)?;
    // A prefix space would come back as part of the decoded text.
    let byte_level = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level));
    tokenizer.with_decoder(Some(byte_level));

    // All 256 bytes, so that no later text is unknown. The trainer breaks ties between pairs by their ids, never by
    // the order of a hash map: the same text gives the same merges.
    let mut trainer = TrainerWrapper::from(
        BpeTrainer::builder()
            .vocab_size(vocab_size)
            .min_frequency(MIN_FREQUENCY)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .show_progress(false)
            .build(),
    );
    tokenizer
        .train(&mut trainer, pieces(text, PIECE_BYTES))
        .map_err(library)?;

    let mut trained = TrainedTokenizer::learned(&tokenizer, None)?;
    if trained.vocab_size < vocab_size {
        trained.warnings.push(format!(
            "bpe:{vocab_size}: the text is too small for so many; the tokenizer has {} tokens",
            trained.vocab_size
        ));
    }
    Ok(trained)
}
