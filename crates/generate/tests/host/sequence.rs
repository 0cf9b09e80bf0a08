//! A sequence by itself: rows of logits in, tokens and text out.

use std::num::NonZeroUsize;

use glass_backend::Draw;
use glass_generate::{
    Choice, Chosen, Error, Event, FinishReason, GenerateOptions, SamplingConfig, SamplingError, Sequence, SequenceBias,
    log_softmax_at,
};
use glass_testing::tokenizers;
use glass_text::Tokenizer;

const VOCAB: usize = 262;

/// An id is a byte.
fn tokenizer() -> Tokenizer {
    let json = tokenizers::byte_level().to_string();
    Tokenizer::from_json(json.as_bytes(), "tiny/tokenizer.json").unwrap()
}

/// Logits of which `id` is the highest.
fn row(id: u32) -> Vec<f32> {
    let mut row: Vec<f32> = (0..VOCAB).map(|i| (i % 7) as f32).collect();
    row[id as usize] = 9.0;
    row
}

fn sequence<'t>(options: &GenerateOptions, tokenizer: Option<&'t Tokenizer>) -> Sequence<'t> {
    Sequence::new(b"Say: ".map(u32::from).as_slice(), options, VOCAB, tokenizer).unwrap()
}

/// Gives it these bytes until it ends: the text as it came, and why it ended.
fn write(sequence: &mut Sequence<'_>, text: &str) -> (Vec<String>, Option<FinishReason>) {
    let mut pieces = vec![];
    for byte in text.bytes() {
        let event = sequence.advance(&mut row(byte.into())).unwrap();
        assert_eq!(event.id, Some(u32::from(byte)));
        pieces.push(event.text);
        if event.finish.is_some() {
            return (pieces, event.finish);
        }
    }
    (pieces, None)
}

#[test]
fn text_is_told_when_it_is_final() {
    let tokenizer = tokenizer();
    let options = GenerateOptions { stop_strings: vec!["!?".into()], ..GenerateOptions::new(20) };
    let mut whole = sequence(&options, Some(&tokenizer));
    let (pieces, finish) = write(&mut whole, "é!!?x");
    // Half a character, and what may become a stop string, are held back.
    assert_eq!(pieces, ["", "é", "", "!", ""]);
    assert_eq!(finish, Some(FinishReason::StopString));
    assert_eq!(whole.finish_reason(), finish);
    assert_eq!(whole.generated().len(), 5);

    // At the limit the rest comes with the last token; broken off, without one.
    let limited = GenerateOptions { max_new_tokens: 2, ..options.clone() };
    let mut cut = sequence(&limited, Some(&tokenizer));
    let (pieces, finish) = write(&mut cut, "a!x");
    assert_eq!((pieces.concat(), finish), ("a!".into(), Some(FinishReason::Length)));
    let mut broken = sequence(&options, Some(&tokenizer));
    assert_eq!(write(&mut broken, "a!").0.concat(), "a");
    assert_eq!(broken.end(FinishReason::Interrupted).unwrap(), "!");
    assert_eq!(broken.finish_reason(), Some(FinishReason::Interrupted));
    assert_eq!(broken.ids(), b"Say: a!".map(u32::from));
}

#[test]
fn nothing_is_allowed_or_nothing_was_given() {
    let none = sequence(&GenerateOptions::new(0), None);
    assert_eq!(none.finish_reason(), Some(FinishReason::Length));
    let error = Sequence::new(&[], &GenerateOptions::new(1), VOCAB, None).err();
    assert!(matches!(error, Some(Error::EmptyPrompt)));
    let mut broken = sequence(&GenerateOptions::new(5), None);
    let error = broken.advance(&mut vec![f32::NAN; VOCAB]).unwrap_err();
    assert!(error.to_string().contains("NaN"), "{error}");
    assert!(broken.generated().is_empty() && broken.finish_reason().is_none());
}

/// Nothing that was written is lost where the rules leave no token; the first token is the request's fault.
#[test]
fn a_text_without_a_next_token_stays() {
    let tokenizer = tokenizer();
    let forbid = |id: u32| SequenceBias { ids: vec![u32::from(b'b'), id], bias: f32::NEG_INFINITY };
    let sampling =
        SamplingConfig { sequence_bias: (0..VOCAB as u32).map(forbid).collect(), ..SamplingConfig::default() };
    for (score, logprobs) in [(false, None), (true, Some(1))] {
        let stop_strings = vec!["b!".into()];
        let options =
            GenerateOptions { sampling: sampling.clone(), score, logprobs, stop_strings, ..GenerateOptions::new(9) };
        let mut text = sequence(&options, Some(&tokenizer));
        assert_eq!(write(&mut text, "ab").0.concat(), "a", "a stop string may begin with b");
        let told = (text.score(), text.logprobs().map(<[_]>::len));
        let last = text.advance(&mut row(b'!'.into())).unwrap();
        assert_eq!(last, Event { id: None, text: "b".into(), finish: Some(FinishReason::NoToken) });
        assert_eq!((text.generated(), text.finish_reason()), (&b"ab".map(u32::from)[..], last.finish));
        assert_eq!((text.score(), text.logprobs().map(<[_]>::len)), told);
        let mut none = Sequence::new(&[b'b'.into()], &options, VOCAB, Some(&tokenizer)).unwrap();
        let error = none.advance(&mut row(b'!'.into())).unwrap_err();
        assert!(matches!(error, Error::Sampling(SamplingError::NothingLeft)) && none.finish_reason().is_none());
    }
}

/// Scores and log-probabilities are the model's own, whatever penalties have made of the row.
#[test]
fn logits_are_told_as_they_were() {
    let silent = GenerateOptions {
        sampling: SamplingConfig { repetition_penalty: 3.0, ..SamplingConfig::default() },
        ..GenerateOptions::new(5)
    };
    let before = row(b'a'.into()); // the prompt has this letter, so that another one is chosen
    let expected = |id| log_softmax_at(&before, id);
    for (score, logprobs) in [(true, None), (false, Some(2)), (true, Some(0))] {
        let options = GenerateOptions { score, logprobs, ..silent.clone() };
        let mut told = sequence(&options, None);
        let mut logits = before.clone();
        let id = told.advance(&mut logits).unwrap().id.unwrap();
        assert_ne!(id, u32::from(b'a'));
        assert_eq!(logits, before);
        assert_eq!(told.score(), score.then(|| expected(id)));
        let found = told.logprobs().map(|all| (all.len(), all[0].logprob));
        assert_eq!(found, logprobs.map(|_| (1, expected(id))));
        assert_eq!(told.logprobs().map(|all| all[0].top.len()), logprobs, "as many as were asked for");
    }
    // Where nothing is told, the row is not copied.
    let mut logits = before.clone();
    sequence(&silent, None).advance(&mut logits).unwrap();
    assert_ne!(logits, before);
}

#[test]
fn rules_that_need_more_than_a_row_need_the_logits() {
    let greedy = GenerateOptions::new(5);
    let with = |sampling| GenerateOptions { sampling, ..greedy.clone() };
    let default = SamplingConfig::default();
    assert_eq!(sequence(&greedy, None).choice(1), Choice::Best);
    for options in [
        with(SamplingConfig { temperature: 0.5, typical_p: 0.9, ..default.clone() }),
        with(SamplingConfig { repetition_penalty: 1.1, ..default.clone() }),
        with(SamplingConfig { no_repeat_ngram_size: 2, ..default }),
        GenerateOptions { logprobs: Some(0), ..greedy.clone() },
    ] {
        assert_eq!(sequence(&options, None).choice(1), Choice::Host);
    }
    // A score comes with the choice, and drafts are chosen one by one.
    let scored = GenerateOptions { score: true, prompt_lookup: NonZeroUsize::new(3), ..greedy };
    let mut scored = sequence(&scored, None);
    assert_eq!(scored.choice(4), Choice::Best);
    let chosen = Chosen { id: 7, log_prob: -0.5 };
    assert_eq!(scored.advance_chosen(chosen).unwrap().id, Some(7));
}

/// What a device draws by are the numbers that the sampler would draw next, one for each token that it takes.
#[test]
fn a_device_draws_by_the_numbers_of_the_sampler() {
    let sampling =
        SamplingConfig { temperature: 0.7, top_k: 40, top_p: 0.9, min_p: 0.01, seed: 5, ..SamplingConfig::default() };
    let options = GenerateOptions { sampling, ..GenerateOptions::new(9) };
    let (mut device, mut host) = (sequence(&options, None), sequence(&options, None));
    for turn in 0..3 {
        let Choice::Draws(draws) = device.choice(3) else { panic!("{:?}", device.choice(3)) };
        let Draw { temperature, top_k, top_p, min_p, .. } = draws[0];
        assert_eq!((temperature, top_k, top_p, min_p), (0.7, 40, 0.9, 0.01));
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(&draw.uniform)), "{draws:?}");
        assert!(draws[0] != draws[1] && draws[1] != draws[2], "{draws:?}");
        assert_eq!(host.choice(3), Choice::Draws(draws.clone()));
        // One text takes what a device chose, the other chooses.
        device.advance_chosen(Chosen { id: 7, log_prob: -0.5 }).unwrap();
        host.advance(&mut row(7)).unwrap();
        assert_eq!(device.choice(1), Choice::Draws(vec![draws[1]]), "turn {turn}");
    }
}
