//! Byte-level byte-pair encoding, as in GPT-2 and Llama 3: 256 tokens for the bytes, then one for each merge of the most
//! frequent pair of tokens in the text.
//!
//! There is no `<unk>`, because every text is bytes. There is no `<|endoftext|>`, because a plain text does not mark the
//! ends of its documents: the model would never see that token and only sample it by mistake. Generation stops at its
//! token limit.

use tokenizers::{
    Tokenizer,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::byte_level::ByteLevel,
};

use super::{CHUNK_BYTES, TokenizerChoice, TokenizerChoiceError, TrainedTokenizer, chunks, library_error};

/// A pair that occurs once gives a token with one example to learn from.
const MIN_FREQUENCY: u64 = 2;

/// Trains exactly `vocab_size` tokens, or fewer with a warning when the text has too few repeated pairs.
pub(super) fn train(text: &str, vocab_size: usize) -> Result<TrainedTokenizer, TokenizerChoiceError> {
    TokenizerChoice::check_bpe_size(vocab_size)?;
    // A prefix space would show in the decoded text.
    let byte_level = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level));
    tokenizer.with_decoder(Some(byte_level));

    // All 256 bytes, so that no later text is unknown. The trainer breaks ties between pairs by id, not by the order of a
    // hash map: equal texts give equal merges.
    let mut trainer = TrainerWrapper::from(
        BpeTrainer::builder()
            .vocab_size(vocab_size)
            .min_frequency(MIN_FREQUENCY)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .show_progress(false)
            .build(),
    );
    tokenizer.train(&mut trainer, chunks(text, CHUNK_BYTES)).map_err(library_error)?;

    let mut trained = TrainedTokenizer::learned(&tokenizer, None)?;
    if trained.vocab_size < vocab_size {
        trained.warnings.push(format!(
            "bpe:{vocab_size}: the text has too few repeated pairs; the tokenizer has {} tokens",
            trained.vocab_size
        ));
    }
    Ok(trained)
}
