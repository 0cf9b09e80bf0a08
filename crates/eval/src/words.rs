//! A needle in words, for chat models: a sentence among sentences, and a question about it.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_generate::{BatchRow, GenerateOptions, Llama, PrefillOptions, generate_batch};
use glass_text::{ChatTemplate, Message, Role};
use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng};

use super::{
    EvalError, HaystackError, NeedleProgress, NeedleScore,
    task::{DRAWS, below},
};

/// Haystacks in words: so many of each depth and length.
///
/// A chat model reads a text of plain sentences, one of which gives a person's password, and is asked for that password,
/// all in one message through its chat template. It writes a greedy answer, which is right if it has the words of the
/// password, one behind the other. This is the needle in a haystack of Kamradt 2023, with a password as in the noise
/// haystacks of RULER (Hsieh et al. 2024, arXiv:2404.06654).
#[derive(Clone, Debug, PartialEq)]
pub struct WordTest {
    /// Share of the sentences that are before the needle, from 0 to 1.
    pub depths: Vec<f64>,
    /// Most tokens of the prompt, the template's own and the question included. The text has as many sentences as fit.
    pub lengths: Vec<NonZeroUsize>,
    pub trials: NonZeroUsize,
    /// The same seed gives the same haystacks: trial 3 of a length is the same one whatever else is searched.
    pub seed: u64,
    /// What the text is made of, sentence by sentence, if not of [`SENTENCES`].
    pub sentences: Option<Vec<String>>,
}

/// A fact that the filler does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: &'static str,
    /// Two words.
    pub password: String,
}

/// Tokens of an answer: more than a sentence around the password.
const ANSWER: usize = 40;

/// Filler: none of it has a word that passwords are made of.
#[rustfmt::skip]
pub const SENTENCES: [&str; 32] = [
    "The road to the village follows the river.",
    "In spring the water rises and covers the lower path.",
    "Most houses have a garden behind them.",
    "The baker opens before the sun is up.",
    "On market days the square is full of carts.",
    "Old people sit on the bench beside the well.",
    "The school has two rooms and a long yard.",
    "When it rains, the roof of the barn can be heard from afar.",
    "A narrow bridge leads to the other bank.",
    "The miller keeps his tools in good order.",
    "Every autumn the apples are carried to the cellar.",
    "The wind turns the mill on the hill.",
    "Children play in the field until it is dark.",
    "The doctor comes on the first day of the week.",
    "Letters arrive once a day, by the morning train.",
    "The station lies a mile outside the village.",
    "Some of the trees are older than the church.",
    "The carpenter is making a new door for the inn.",
    "At noon the bells can be heard across the valley.",
    "The fields beyond the forest belong to the mayor.",
    "Snow stays on the northern slope until late.",
    "The library lends books for a month.",
    "Two roads meet at the stone with the names.",
    "The tailor mends coats while people wait.",
    "The harvest was better than the year before.",
    "In the evening the fishermen return with their nets.",
    "The clock of the town hall is always late.",
    "Travellers rest under the roof of the old gate.",
    "The smith has worked in the same shop all his life.",
    "Bread is cheaper here than in the city.",
    "The path through the wood is soft and quiet.",
    "Smoke rises straight up on days without wind.",
];

const NAMES: [&str; 12] =
    ["Anna", "Bruno", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Laura", "Martin"];
const FIRST: [&str; 12] = [
    "purple", "silver", "golden", "yellow", "orange", "crimson", "striped", "frozen", "wooden", "hollow", "gentle",
    "hungry",
];
const SECOND: [&str; 12] = [
    "otter", "falcon", "lantern", "piano", "tiger", "anchor", "violin", "turtle", "rocket", "guitar", "candle",
    "parrot",
];

impl WordTest {
    /// The sentences of a text; without its line breaks.
    pub fn sentences_of(text: &str) -> Vec<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ends = |word: &&str| word.trim_end_matches(['"', '\'', ')', '”', '’']).ends_with(['.', '!', '?']);
        words.split_inclusive(ends).map(|sentence| sentence.join(" ")).collect()
    }

    /// Lets the model read the haystacks and answer, and says what was found, by depth and then by length. `progress` hears
    /// of every answer and may break it off.
    ///
    /// # Errors
    /// A length that does not hold the question; a template that refuses it; a device that cannot hold it, or fails.
    pub fn run(
        &self,
        llama: &Llama,
        template: &ChatTemplate,
        prefill: PrefillOptions,
        progress: &mut dyn FnMut(NeedleProgress) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<NeedleScore>>, EvalError> {
        let mut options = GenerateOptions { eos_ids: llama.eos_ids(), prefill, ..GenerateOptions::new(ANSWER) };
        // Generation configs often have the end of a text, and templates the end of a turn.
        options.eos_ids.extend(template.eos_token().and_then(|token| llama.tokenizer.as_ref()?.token_id(token)));
        let mut cells = vec![vec![NeedleScore::default(); self.lengths.len()]; self.depths.len()];
        let mut all = NeedleScore::default();
        let trials = self.trials.get();
        let total: usize = self.lengths.iter().map(|length| length.get() * self.depths.len() * trials).sum();
        let mut tokens = 0;
        for (column, length) in self.lengths.iter().enumerate() {
            let together = NonZeroUsize::new(prefill.prefill_chunk.get() / length.get()).unwrap_or(NonZeroUsize::MIN);
            for (row, depth) in self.depths.iter().enumerate() {
                let mut prompts = Vec::with_capacity(trials);
                for trial in 0..trials {
                    prompts.push(self.prompt(llama, template, *depth, length.get(), trial as u64)?);
                }
                let rows = prompts.iter().map(|(ids, _)| BatchRow { prompt: ids, options: &options });
                let mut batch = generate_batch(llama, rows, together);
                let mut flow = ControlFlow::Continue(());
                loop {
                    let now = NeedleProgress { tokens, total, found: all.found() };
                    let ended = batch.next(&mut |_| {
                        flow = progress(now);
                        flow
                    })?;
                    if flow.is_break() {
                        return Ok(cells);
                    }
                    let Some((trial, answer)) = ended else {
                        break;
                    };
                    let (ids, fact) = &prompts[trial];
                    let found = fact.is_in(answer?.text.as_deref().unwrap_or_default());
                    cells[row][column].add_answer(found);
                    all.add_answer(found);
                    tokens += ids.len();
                }
            }
        }
        Ok(cells)
    }

    /// The ids of a prompt of at most `length` tokens, and what is hidden in it.
    fn prompt(
        &self,
        llama: &Llama,
        template: &ChatTemplate,
        depth: f64,
        length: usize,
        trial: u64,
    ) -> Result<(Vec<u32>, Fact), EvalError> {
        let tokenizer = llama.tokenizer()?;
        let sentences = self.sentences.as_deref();
        let filler: Vec<&str> = match sentences {
            Some(own) => own.iter().map(String::as_str).collect(),
            None => SENTENCES.to_vec(),
        };
        if filler.is_empty() {
            return Err(HaystackError::NoText.into());
        }
        let mut words = [0; 32];
        for (word, number) in words.chunks_mut(8).zip([self.seed, trial, length as u64, 0]) {
            word.copy_from_slice(&number.to_le_bytes());
        }
        let mut rng = ChaCha12Rng::from_seed(words);
        let fact = Fact::draw(&filler, &mut rng)?;
        let first = below(&mut rng, filler.len());
        let ids = |sentences: usize| -> Result<Vec<u32>, EvalError> {
            let message = Message::new(Role::User, fact.message(&filler, first, sentences, depth));
            Ok(tokenizer.encode(&template.prompt(&[message])?, false)?)
        };
        let shortest = ids(0)?;
        if shortest.len() > length {
            return Err(HaystackError::NoRoom { length, shortest: shortest.len() }.into());
        }
        // A sentence has one token at least: the most sentences that fit are between these two.
        let (mut fits, mut too_many, mut best) = (0, length, shortest);
        while too_many - fits > 1 {
            let middle = fits.midpoint(too_many);
            let more = ids(middle)?;
            if more.len() <= length {
                (fits, best) = (middle, more);
            } else {
                too_many = middle;
            }
        }
        Ok((best, fact))
    }
}

impl Fact {
    /// One whose words the filler does not have.
    fn draw(filler: &[&str], rng: &mut ChaCha12Rng) -> Result<Self, HaystackError> {
        let has = |word: &str| filler.iter().any(|sentence| words(sentence).iter().any(|other| other == word));
        for _ in 0..DRAWS {
            let name = NAMES[below(rng, NAMES.len())];
            let [first, second] = [FIRST, SECOND].map(|list| list[below(rng, list.len())]);
            if ![&name.to_lowercase(), first, second].into_iter().any(has) {
                return Ok(Self { name, password: format!("{first} {second}") });
            }
        }
        Err(HaystackError::NoFact)
    }

    /// What the model is told: so many sentences of the filler from number `first` on, the fact among them, the question.
    pub fn message(&self, filler: &[&str], first: usize, sentences: usize, depth: f64) -> String {
        let before = (depth * sentences as f64).round() as usize;
        let needle = format!("The password of {} is {}.", self.name, self.password);
        let mut text: Vec<&str> = filler.iter().copied().cycle().skip(first).take(sentences).collect();
        text.insert(before.min(sentences), &needle);
        format!(
            "Here is a text.\n\n{}\n\nWhat is the password of {}? Answer with the password alone.",
            text.join(" "),
            self.name
        )
    }

    /// Whether an answer has the words of the password, one behind the other.
    pub fn is_in(&self, answer: &str) -> bool {
        let (answer, password) = (words(answer), words(&self.password));
        answer.windows(password.len()).any(|some| *some == *password)
    }
}

/// Words in small letters, without what stands between them.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_stands_once_at_its_depth() {
        for seed in 0..50 {
            let fact = Fact::draw(&SENTENCES, &mut ChaCha12Rng::seed_from_u64(seed)).unwrap();
            for (depth, before) in [(0.0, 0), (0.25, 10), (0.5, 20), (1.0, 40)] {
                let message = fact.message(&SENTENCES, 5, 40, depth);
                assert_eq!(message.matches(&fact.password).count(), 1, "{message}");
                let (text, _) = message.split_once("The password").unwrap();
                let full_stops = text.strip_prefix("Here is a text.").unwrap().matches('.').count();
                assert_eq!(full_stops, before);
                assert!(fact.is_in(&message));
                // More than the list has: it begins again.
                assert_eq!(message.matches(SENTENCES[5]).count(), 2);
            }
            assert!(!fact.is_in(&fact.message(&SENTENCES, 0, 40, 0.5).replace(&fact.password, "secret")));
        }
        let mut facts: Vec<Fact> = Vec::new();
        facts.extend((0..50).map(|seed| Fact::draw(&SENTENCES, &mut ChaCha12Rng::seed_from_u64(seed)).unwrap()));
        facts.sort_by(|a, b| a.password.cmp(&b.password));
        facts.dedup();
        assert!(facts.len() > 35, "{}", facts.len());
    }

    #[test]
    fn answers_are_judged_by_their_words() {
        let fact = Fact { name: "Anna", password: "purple otter".into() };
        for right in ["purple otter", "Purple Otter.", "Anna's password is \"purple-otter\"!", "**purple**\notter"] {
            assert!(fact.is_in(right), "{right}");
        }
        for wrong in ["", "purple", "otter purple", "purple otters", "a purple and an otter"] {
            assert!(!fact.is_in(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_filler_that_has_every_word_leaves_no_fact() {
        let all = FIRST.join(" ");
        let drawn = Fact::draw(&[&all], &mut ChaCha12Rng::seed_from_u64(1));
        assert!(matches!(drawn, Err(HaystackError::NoFact)));
        let but_one = FIRST[1..].join(" ");
        let drawn = Fact::draw(&[&but_one], &mut ChaCha12Rng::seed_from_u64(1)).unwrap();
        assert!(drawn.password.starts_with(FIRST[0]));
    }

    #[test]
    fn a_text_falls_into_sentences() {
        let text = "It rains. \"Does it?\" she asked.\n\nNo!  A last one";
        let sentences = ["It rains.", "\"Does it?\"", "she asked.", "No!", "A last one"];
        assert_eq!(WordTest::sentences_of(text), sentences);
        assert!(WordTest::sentences_of(" \n").is_empty());
    }
}
