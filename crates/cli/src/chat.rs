//! `glass chat`: a conversation, at a terminal or through a pipe.

mod command;
mod input;
mod stats;
mod talk;

use std::{
    fs,
    io::{self, IsTerminal},
    ops::ControlFlow,
};

use glass_generate::{Conversation, GenerateOptions, Llama};
use glass_text::{ChatTemplate, Message, read_messages};

use crate::{args, error::CliError, interrupt, load, options, say::say};
use input::{Event, Input};
use talk::Talk;

/// The limit of an answer where neither the command line nor generation_config.json has one.
const MAX_NEW_TOKENS: usize = 1024;

pub fn run(args: args::Chat) -> Result<(), CliError> {
    args.sampling.validate()?; // before the model is loaded
    let messages = match &args.load {
        Some(path) => saved(path)?,
        None => Vec::new(),
    };
    let device = load::device(&args.compute)?;
    let folder = load::folder(&args.model.source)?;
    let template = match &args.chat_template {
        Some(file) => ChatTemplate::from_file(file, &folder)?,
        None => ChatTemplate::from_folder(&folder)?,
    };
    let loaded = load::load_folder(&folder, &args.model.overrides, device, &args.compute)?;
    let llama = &loaded.llama;
    llama.tokenizer()?;
    let options = options(llama, &template, &args)?;
    let conversation = Conversation::new(llama, &template, options).with_messages(messages);
    let terminal = io::stdin().is_terminal();
    let mut talk = Talk::new(llama, &template, conversation, terminal);
    if let Some(text) = args.system {
        talk.set_system(text)?;
    }
    say!("{}", greeting(llama));
    converse(&mut talk, terminal)
}

/// Answers every message until the end of the input.
fn converse(talk: &mut Talk<'_>, terminal: bool) -> Result<(), CliError> {
    let mut input = Input::open(terminal)?;
    if terminal {
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
            Event::Interrupted { empty: true } if leaving => return Err(CliError::Interrupted),
            Event::Interrupted { empty } => {
                if empty {
                    say!("glass: Ctrl-C once more leaves, as do Ctrl-D and /exit");
                }
                empty
            }
            Event::End => break,
        };
    }
    // At a terminal the errors have been read; a script sees the exit code.
    match talk.unanswered() {
        (bad, all) if bad > 0 && !terminal => Err(CliError::Unanswered { bad, all }),
        _ => Ok(()),
    }
}

fn saved(path: &std::path::Path) -> Result<Vec<Message>, CliError> {
    let json = fs::read(path).map_err(CliError::reading(path))?;
    Ok(read_messages(&json, &path.display().to_string())?)
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
        sampling: options::sampling(&args.sampling, llama)?,
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
