//! The settings of a conversation: what they are, and where they come from.

use glass_generate::{GenerateOptions, GenerationConfig};

use super::command::like;
use crate::args;

/// How answers are sampled where neither the command line nor the model's generation_config.json says anything: greedy
/// texts of small models go round in circles.
const TEMPERATURE: f32 = 0.7;
const TOP_P: f32 = 0.9;

/// The model's file, and chat's own values where it does not say how it wants to be sampled. The file's other numbers stay,
/// for who changes the temperature later.
pub fn with_defaults(model: &GenerationConfig, args: &args::Sampling) -> GenerationConfig {
    let mut config = model.clone();
    match model.do_sample {
        None => {
            config.temperature.get_or_insert(TEMPERATURE);
            config.top_p.get_or_insert(TOP_P);
        }
        Some(false) if !args.asks_for_chance() => config.temperature = Some(0.0),
        Some(_) => {}
    }
    config.do_sample = Some(true);
    config
}

pub struct Setting {
    /// That of the option, without its hyphens.
    pub name: &'static str,
    about: &'static str,
    /// What a value must be.
    kind: &'static str,
    /// At which it does nothing; temperature and length always do something.
    off: Option<&'static str>,
    get: fn(&GenerateOptions) -> String,
    set: fn(&mut GenerateOptions, &str) -> bool,
    option: fn(&args::Chat) -> bool,
    model: fn(&GenerationConfig) -> bool,
}

const NUMBER: &str = "a number";
const COUNT: &str = "a whole number from 0 to 18446744073709551615";

macro_rules! setting {
    ($name:literal, $kind:expr, $off:expr, $about:literal, $($field:ident).+, $option:expr, $model:expr) => {
        Setting {
            name: $name,
            about: $about,
            kind: $kind,
            off: $off,
            get: |options| options.$($field).+.to_string(),
            set: |options, value| value.parse().map(|value| options.$($field).+ = value).is_ok(),
            option: $option,
            model: $model,
        }
    };
}

pub static SETTINGS: [Setting; 11] = [
    setting!(
        "temperature",
        NUMBER,
        None,
        "0: always the most probable token; below 1: fewer surprises, above: more",
        sampling.temperature,
        |args| args.sampling.temperature.is_some(),
        |config| config.temperature.is_some() || config.do_sample.is_some()
    ),
    setting!(
        "top-p",
        NUMBER,
        Some("1"),
        "only the most probable tokens whose probabilities sum to this; 1: all",
        sampling.top_p,
        |args| args.sampling.top_p.is_some(),
        |config| config.top_p.is_some()
    ),
    setting!(
        "top-k",
        COUNT,
        Some("0"),
        "only so many of the most probable tokens; 0: all",
        sampling.top_k,
        |args| args.sampling.top_k.is_some(),
        |config| config.top_k.is_some()
    ),
    setting!(
        "min-p",
        NUMBER,
        Some("0"),
        "only tokens at least this times as probable as the best; 0: all",
        sampling.min_p,
        |args| args.sampling.min_p.is_some(),
        |config| config.min_p.is_some()
    ),
    setting!(
        "typical-p",
        NUMBER,
        Some("1"),
        "only the most typical tokens whose probabilities sum to this; 1: all",
        sampling.typical_p,
        |args| args.sampling.typical_p.is_some(),
        |config| config.typical_p.is_some()
    ),
    setting!(
        "repetition-penalty",
        NUMBER,
        Some("1"),
        "above 1, what was said becomes less probable; 1: off",
        sampling.repetition_penalty,
        |args| args.sampling.rules.repetition_penalty.is_some(),
        |config| config.repetition_penalty.is_some()
    ),
    setting!(
        "presence-penalty",
        NUMBER,
        Some("0"),
        "taken off the logit of every token of the answer; 0: off",
        sampling.presence_penalty,
        |args| args.sampling.rules.presence_penalty.is_some(),
        |_| false
    ),
    setting!(
        "frequency-penalty",
        NUMBER,
        Some("0"),
        "taken off for each time that a token is in the answer; 0: off",
        sampling.frequency_penalty,
        |args| args.sampling.rules.frequency_penalty.is_some(),
        |_| false
    ),
    setting!(
        "no-repeat-ngram-size",
        COUNT,
        Some("0"),
        "nothing of so many tokens occurs twice; 0: off",
        sampling.no_repeat_ngram_size,
        |args| args.sampling.rules.no_repeat_ngram_size.is_some(),
        |config| config.no_repeat_ngram_size.is_some()
    ),
    setting!(
        "seed",
        COUNT,
        None,
        "of chance; it moves on from turn to turn",
        sampling.seed,
        |args| args.sampling.seed.is_some(),
        |_| false
    ),
    setting!(
        "max-new-tokens",
        "a whole number from 1 to 18446744073709551615",
        None,
        "how long an answer may become",
        max_new_tokens,
        |args| args.max_new_tokens.is_some(),
        |config| config.max_new_tokens.is_some()
    ),
];

/// Those that matter only where chance decides.
const OF_CHANCE: [&str; 5] = ["top-p", "top-k", "min-p", "typical-p", "seed"];

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Option,
    Model,
    Default,
    Set,
}

/// Where the values of a conversation come from, and what they were at its start.
pub struct Settings {
    origins: Vec<(Origin, String)>,
    now: Vec<Origin>,
}

impl Settings {
    /// `options` as the command line and the model's file made them.
    pub fn new(args: &args::Chat, model: &GenerationConfig, options: &GenerateOptions) -> Self {
        let origins: Vec<_> = SETTINGS
            .iter()
            .map(|setting| {
                let origin = match ((setting.option)(args), (setting.model)(model)) {
                    (true, _) => Origin::Option,
                    (false, true) => Origin::Model,
                    (false, false) => Origin::Default,
                };
                (origin, (setting.get)(options))
            })
            .collect();
        Self { now: origins.iter().map(|(origin, _)| *origin).collect(), origins }
    }

    /// A line about how answers are chosen.
    pub fn summary(&self, options: &GenerateOptions) -> String {
        if options.sampling.is_greedy() {
            let origin = self.origin(0);
            return format!("always the most probable token ({origin}); /set temperature {TEMPERATURE} samples");
        }
        let shown = SETTINGS.iter().zip(&self.now).filter(|(setting, _)| {
            let value = (setting.get)(options);
            setting.name == "temperature" || setting.off.is_some_and(|off| off != value)
        });
        let mut groups: Vec<(Origin, String)> = Vec::new();
        for (setting, origin) in shown {
            let value = format!("{} {}", setting.name, (setting.get)(options));
            match groups.last_mut() {
                // Options name themselves one by one.
                Some((last, text)) if last == origin && *last != Origin::Option => *text += &format!(", {value}"),
                _ => groups.push((*origin, value)),
            }
        }
        let groups: Vec<String> = groups
            .into_iter()
            .map(|(origin, text)| match origin {
                Origin::Option => format!("{text} (option)"),
                Origin::Model => format!("{text} (generation_config.json)"),
                Origin::Default => format!("{text} (default)"),
                Origin::Set => format!("{text} (/set)"),
            })
            .collect();
        format!("{}; /set changes it", groups.join(", "))
    }

    /// All of them, a line each.
    pub fn list(&self, options: &GenerateOptions) -> String {
        let line = |(index, setting): (usize, &Setting)| {
            format!("{:<22}{:<8}{}", setting.name, (setting.get)(options), self.origin(index))
        };
        let lines: Vec<String> = SETTINGS.iter().enumerate().map(line).collect();
        format!("{}\n/set NAME VALUE changes one, /set NAME - takes that back, /set NAME explains it", lines.join("\n"))
    }

    /// One, with what it does.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn show(&self, options: &GenerateOptions, name: &str) -> Result<String, String> {
        let (index, setting) = find(name)?;
        let value = (setting.get)(options);
        Ok(format!("{} {value} ({}): {}", setting.name, self.origin(index), setting.about))
    }

    /// Changes one, and says what it is now; `-` is what it was at the start.
    ///
    /// # Errors
    /// There is none of this name; the value is none for it. Nothing has changed then.
    pub fn set(&mut self, options: &mut GenerateOptions, name: &str, value: &str) -> Result<String, String> {
        let (index, setting) = find(name)?;
        let (origin, value) = match value {
            "-" => (self.origins[index].0, self.origins[index].1.as_str()),
            value => (Origin::Set, value),
        };
        let mut changed = options.clone();
        if !(setting.set)(&mut changed, value) || changed.max_new_tokens == 0 {
            return Err(format!("/set {}: {value:?} is not {}", setting.name, setting.kind));
        }
        changed.sampling.validate().map_err(|error| format!("/set {error}"))?;
        *options = changed;
        self.now[index] = origin;
        let idle = options.sampling.is_greedy() && OF_CHANCE.contains(&setting.name);
        let idle = if idle { ", without effect while temperature is 0" } else { "" };
        Ok(format!("{} {} ({}){idle}", setting.name, (setting.get)(options), self.origin(index)))
    }

    fn origin(&self, index: usize) -> String {
        match self.now[index] {
            Origin::Option => format!("--{}", SETTINGS[index].name),
            Origin::Model => "generation_config.json".to_owned(),
            Origin::Default => "default".to_owned(),
            Origin::Set => "/set".to_owned(),
        }
    }
}

fn find(name: &str) -> Result<(usize, &'static Setting), String> {
    let wanted = name.trim_start_matches("--").replace('_', "-").to_lowercase();
    let found = SETTINGS.iter().enumerate().find(|(_, setting)| setting.name == wanted);
    found.ok_or_else(|| {
        let names = SETTINGS.iter().map(|setting| setting.name);
        format!("there is no setting {name}; {}/set lists them", like(&wanted, names))
    })
}
