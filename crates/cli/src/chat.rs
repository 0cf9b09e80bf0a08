//! `glass chat`: a conversation, at a terminal or through a pipe.

mod command;
mod input;
mod stats;
mod talk;

use std::{fs, io, io::IsTerminal};

use glass_backend::Device;
use glass_generate::{Conversation, GenerateOptions, Llama, SamplingConfig};
use glass_text::{ChatTemplate, Message, read_messages};

use crate::{args, error::CliError, generate, interrupt, load, say::say};
use input::{Input, Said};
use talk::Talk;

/// Most tokens of an answer where neither the user nor the model's makers say.
const MAX_NEW_TOKENS: usize = 1024;

pub fn run(args: args::Chat) -> Result<(), CliError> {
    generate::overlay(&args.sampling, SamplingConfig::default()).validate()?; // before anybody waits for a model
    let messages = match &args.load {
        Some(path) => saved(path)?,
        None => Vec::new(),
    };
    let device = Device::open(&args.compute.device)?.with_kernels(args.compute.kernels);
    device.check_dtype(args.compute.dtype)?;
    let folder = load::folder(&args.model.source)?;
    let template = match &args.chat_template {
        Some(file) => ChatTemplate::from_file(file, &folder)?,
        None => ChatTemplate::from_folder(&folder)?,
    };
    let loaded = load::load_folder(&folder, &args.model.overrides, device, &args.compute)?;
    let llama = &loaded.llama;
    llama.tokenizer()?;
    let options = options(llama, &template, &args)?;
    generate::warn_of_chance_without_effect(&args.sampling, &options.sampling);
    options
        .sampling
        .check_vocabulary(llama.config.vocab_size)
        .map_err(glass_generate::Error::from)?;
    let conversation = Conversation::new(llama, &template, options).with_messages(messages);
    let terminal = io::stdin().is_terminal();
    let mut talk = Talk::new(llama, &template, conversation, terminal);
    if let Some(text) = args.system {
        talk.set_system(text)?;
    }
    say!("{}", greeting(llama));
    converse(&mut talk, terminal)
}

/// Until there is nothing more to be said.
fn converse(talk: &mut Talk<'_>, terminal: bool) -> Result<(), CliError> {
    let mut input = Input::open(terminal)?;
    if terminal {
        // Ctrl-C that comes a moment too late for an answer must not end the conversation.
        interrupt::listen_patiently();
    }
    let mut leaving = false;
    loop {
        let said = input.next()?;
        leaving = match said {
            Said::Text(text) => match talk.hear(&text)? {
                talk::Then::GoOn => false,
                talk::Then::Leave => break,
            },
            Said::Interrupted { empty: true } if leaving => return Err(CliError::Interrupted),
            Said::Interrupted { empty } => {
                if empty {
                    say!("glass: Ctrl-C once more leaves, as do Ctrl-D and /exit");
                }
                empty
            }
            Said::Nothing => break,
        };
    }
    // At a terminal somebody has read what was wrong; a script sees the exit code.
    match talk.unanswered() {
        (bad, all) if bad > 0 && !terminal => Err(CliError::Unanswered { bad, all }),
        _ => Ok(()),
    }
}

fn saved(path: &std::path::Path) -> Result<Vec<Message>, CliError> {
    let json = fs::read(path).map_err(|source| CliError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(read_messages(&json, &path.display().to_string())?)
}

fn options(
    llama: &Llama,
    template: &ChatTemplate,
    args: &args::Chat,
) -> Result<GenerateOptions, CliError> {
    let theirs = &llama.generation_config;
    let asked = args.max_new_tokens.map(|tokens| tokens.get());
    let mut eos_ids = llama.eos_ids();
    // Models tuned to chat often keep the generation_config.json of the model they come from, which ends texts alone.
    let turn = template.eos_token();
    eos_ids.extend(turn.and_then(|token| llama.tokenizer.as_ref()?.token_id(token)));
    Ok(GenerateOptions {
        sampling: generate::sampling(llama, &args.sampling),
        max_new_tokens: asked.or(theirs.max_new_tokens).unwrap_or(MAX_NEW_TOKENS),
        eos_ids,
        stop_strings: [&theirs.stop_strings[..], &args.stop].concat(),
        memory: load::memory(args.cache.unwrap_or_default(), args.prefill_chunk, llama, 0)?,
        logprobs: None,
        prompt_lookup: None,
    })
}

fn greeting(llama: &Llama) -> String {
    format!(
        "glass: {:.1} M parameters on {} ({}), {}, context {} tokens; /help says what there is, \\ at the end of a line \
         goes on in the next",
        llama.config.num_parameters() as f64 / 1e6,
        llama.device.name(),
        llama.device.description(),
        llama.dtype,
        llama.config.context()
    )
}
