//! `glass chat`: a conversation, at a terminal or through a pipe.

mod command;
mod editor;
mod input;
mod settings;
mod stats;
mod talk;

use std::{
    fs,
    io::{self, IsTerminal},
    ops::ControlFlow,
    path::Path,
};

use glass_generate::{Conversation, GenerateOptions, Llama, ModelFiles};
use glass_text::ChatTemplate;

use crate::{
    args, embedded,
    error::CliError,
    interrupt, load, options,
    say::{note, warn},
};
use input::{Event, Input};
use settings::Settings;
use talk::Talk;

/// The limit of an answer where neither the command line nor generation_config.json has one.
const MAX_NEW_TOKENS: usize = 1024;

pub fn run(args: args::Chat) -> Result<(), CliError> {
    args.sampling.validate()?; // before the model is loaded
    let messages = args.load.as_ref().map(talk::saved).transpose()?;
    let device = load::device(&args.compute)?;
    let files = load::any_files(&args.model)?;
    let template = template(files.as_ref(), args.chat_template.as_deref(), args.chat_template_kwargs.as_ref())?;
    let overrides = &args.model.overrides;
    let loaded = match &files {
        Some(files) => load::load_files(files, overrides, device, &args.compute)?,
        None => load::load_embedded(overrides, device, &args.compute)?,
    };
    let llama = &loaded.llama;
    llama.tokenizer()?;
    let mut options = options(llama, &template, &args)?;
    let is_play = files.is_none() && args.chat_template.is_none();
    if is_play {
        options.stop_strings.push(embedded::END_OF_SPEECH.to_owned());
    }
    let settings = Settings::new(&args, &llama.generation_config, &options);
    let summary = settings.summary(&options);
    let conversation = Conversation::new(llama, &template, options);
    let terminal = io::stdin().is_terminal();
    let mut talk = Talk::new(llama, &template, conversation, settings, terminal);
    let loaded = messages.zip(args.load.as_ref()).map(|(messages, path)| talk.load(messages, path));
    if let Some(text) = &args.system {
        talk.set_system(text.clone())?;
    }
    if is_play {
        note(&format!("glass: {}", embedded::CHAT));
    }
    note(&greeting(llama));
    note(&format!("glass: {summary}"));
    if let Some(loaded) = loaded {
        note(&loaded);
    }
    converse(&mut talk, Input::open(terminal, &args)?)
}

/// The template that was given, or the model's own, with these variables.
pub fn template(
    files: Option<&ModelFiles>,
    given: Option<&Path>,
    variables: Option<&args::Variables>,
) -> Result<ChatTemplate, CliError> {
    let mut template = match (files, given) {
        (Some(files), Some(file)) => files.chat_template_of(file)?,
        (Some(files), None) => files.chat_template()?,
        (None, Some(file)) => {
            let text = fs::read_to_string(file).map_err(CliError::reading(file))?;
            ChatTemplate::from_text(&text, &file.display().to_string(), &[])?
        }
        (None, None) => embedded::chat_template()?,
    };
    if let Some(args::Variables(variables)) = variables {
        let says =
            |name| format!("--chat-template-kwargs: the chat template does not read {name:?}, which changes nothing");
        warn(template.unread(variables).map(says));
        template.set_variables(variables.clone());
    }
    Ok(template)
}

/// Answers every message until the end of the input.
fn converse(talk: &mut Talk<'_>, mut input: Input) -> Result<(), CliError> {
    if talk.terminal {
        // Ctrl-C that comes a moment too late for an answer must not end the conversation.
        interrupt::listen_patiently();
    }
    let mut leaving = false;
    loop {
        leaving = match input.next()? {
            Event::Text(text) => match talk.handle(&text)? {
                ControlFlow::Continue(()) => false,
                ControlFlow::Break(()) => break,
            },
            Event::Unreadable(why) => {
                talk.could_not_read(&why);
                false
            }
            Event::Interrupted { empty: true } if leaving => return Err(CliError::Interrupted),
            Event::Interrupted { empty } => {
                if empty {
                    note("glass: Ctrl-C once more leaves, as do Ctrl-D and /exit");
                }
                empty
            }
            Event::End => break,
        };
    }
    // At a terminal the errors have been read; a script sees the exit code.
    match talk.unanswered() {
        (bad, all) if bad > 0 && !talk.terminal => Err(CliError::Unanswered { bad, all }),
        _ => Ok(()),
    }
}

fn options(llama: &Llama, template: &ChatTemplate, args: &args::Chat) -> Result<GenerateOptions, CliError> {
    let config = &llama.generation_config;
    let limit = args.max_new_tokens.map(|tokens| tokens.get());
    let limited = if limit.is_none() { &["max_new_tokens"][..] } else { &[] };
    config.check(&[&["eos_token_id", "stop_strings"], limited].concat())?;
    let mut eos_ids = llama.eos_ids();
    // Chat models often keep the generation_config.json of their base model, whose end token is that of a text, not of a turn.
    let end_of_turn = template.eos_token();
    eos_ids.extend(end_of_turn.and_then(|token| llama.tokenizer.as_ref()?.token_id(token)));
    Ok(GenerateOptions {
        sampling: options::sampling_over(&args.sampling, settings::with_defaults(config, &args.sampling), llama)?,
        eos_ids,
        stop_strings: [&config.stop_strings[..], &args.stop].concat(),
        prefill: options::prefill(&args.cache, llama, 0)?,
        ..GenerateOptions::new(limit.or(config.max_new_tokens).unwrap_or(MAX_NEW_TOKENS))
    })
}

fn greeting(llama: &Llama) -> String {
    format!(
        "glass: {:.1} M parameters on {} ({}), {}, context {} tokens; /help says what there is, \\ at the end of a line \
         goes on in the next",
        llama.config.num_parameters() as f64 / 1e6,
        llama.device.name(),
        llama.device.description(),
        llama.precision,
        llama.config.context()
    )
}
