//! `glass serve`: a model over HTTP.

mod memory;

use std::{
    env, fs,
    net::{IpAddr, ToSocketAddrs},
    path::Path,
    thread,
    time::Duration,
};

use glass_generate::ModelFiles;
use glass_server::{
    Identity, Keys, Limits, Served, Server, Trust,
    engine::{Service, ServiceOptions},
};
use glass_text::ChatTemplateError;

use crate::{
    args, chat, embedded,
    error::CliError,
    interrupt, load, options,
    say::{print_line, say, status, warn},
};

/// The variable that holds a key.
const KEY: &str = "GLASS_API_KEY";

/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(50);

pub fn run(args: args::Serve) -> Result<(), CliError> {
    let trust = trust(&args)?;
    let device = load::device(&args.compute)?;
    // Whoever asks while the model is loaded hears so.
    let server = Server::listen(&args.host, args.port, trust, Limits::default())?;
    let files = load::any_files(&args.model)?;
    let template = template(files.as_ref(), &args)?;
    let loaded = match &files {
        Some(files) => load::load_files(files, &args.model.overrides, device, &args.compute)?,
        None => load::load_embedded(&args.model.overrides, device, &args.compute)?,
    };
    let is_play = files.is_none() && args.chat_template.is_none();
    let cache = args::Cache { policy: args.policy, cache_dtype: args.cache_dtype, prefill_chunk: None };
    let cache = options::prefill(&cache, &loaded.llama, 0)?.cache;
    loaded.llama.generation_config.check(&[
        "eos_token_id",
        "stop_strings",
        "do_sample",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "repetition_penalty",
        "no_repeat_ngram_size",
        "sequence_bias",
        "max_new_tokens",
    ])?;
    let summary = loaded.summary();
    let identity = Identity {
        name: name(&args.model, files.as_ref().map(ModelFiles::path)),
        aliases: args.alias.clone(),
        template,
        splits_reasoning: args.reasoning_format == args::ReasoningFormat::Auto,
        chat_stops: if is_play { vec![embedded::END_OF_SPEECH.to_owned()] } else { vec![] },
        log: |line| warn([line]),
    };
    let named = identity.name.clone();
    status!("glass: {named}: {summary}");
    let options = memory::plan(&loaded.llama, service_options(&args, cache))?;
    let service = Service::start(loaded.llama, options)?;
    interrupt::listen();
    server.serve(Served::new(service, identity));
    let address = server.address();
    let line = format!("http://{address}/v1 serves {named}; http://{address}/ is its page");
    if let Err(error) = print_line(&line) {
        // A full disk, or a reader that is gone, keeps nobody from being served.
        warn([format!("{error}: {line}")]);
    }
    wait(server, args.grace)
}

/// Waits for Ctrl-C or SIGTERM, and lets requests end.
fn wait(server: Server, grace: Duration) -> Result<(), CliError> {
    while !interrupt::requested() && !server.is_terminated() {
        thread::sleep(LOOK);
    }
    let interrupted = interrupt::requested();
    let again = if interrupted { "Ctrl-C once more does not wait" } else { "no new ones are taken" };
    say!("glass: running requests have {} s to end; {again}", grace.as_secs_f64());
    server.stop(grace);
    interrupt::outcome(interrupted)
}

/// The template of the model, if it was trained to chat.
fn template(files: Option<&ModelFiles>, args: &args::Serve) -> Result<Option<glass_text::ChatTemplate>, CliError> {
    match chat::template(files, args.chat_template.as_deref(), args.chat_template_kwargs.as_ref()) {
        Ok(template) => Ok(Some(template)),
        Err(CliError::Model(error)) => match *error {
            glass_generate::Error::ChatTemplate(
                ChatTemplateError::Missing { .. } | ChatTemplateError::MissingKey { .. },
            ) => {
                status!("glass: the model has no chat template: it answers /v1/completions alone");
                Ok(None)
            }
            error => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

/// What clients call the model: its name on the hub, or that of its folder or file.
fn name(model: &args::AnyModel, path: Option<&Path>) -> String {
    let Some(given) = &model.model else {
        return embedded::NAME.to_owned();
    };
    let is_path = Path::new(given).exists();
    let last = path.filter(|_| is_path).and_then(|path| path.canonicalize().ok());
    let last = last.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    last.unwrap_or_else(|| given.clone())
}

fn service_options(args: &args::Serve, cache: glass_kv_cache::CacheConfig) -> ServiceOptions {
    ServiceOptions {
        parallel: args.parallel,
        queue: args.queue,
        context: args.context,
        step_tokens: args.step_tokens,
        memory: args.memory,
        cache_memory: args.cache_memory,
        cache,
        ..ServiceOptions::default()
    }
}

/// Who may ask.
///
/// # Errors
/// Other machines could, without a key, and nobody said that they may.
fn trust(args: &args::Serve) -> Result<Trust, CliError> {
    let key = env::var(KEY).ok().filter(|key| !key.is_empty());
    let keys = match (&args.api_key_file, key) {
        (Some(_), Some(_)) => {
            return Err(CliError::Usage(format!("--api-key-file and {KEY} both give keys: leave one out")));
        }
        (Some(path), None) => {
            let text = fs::read_to_string(path).map_err(CliError::reading(path))?;
            Some(Keys::parse(&text).map_err(|error| CliError::Key { place: path.display().to_string(), error })?)
        }
        (None, Some(key)) => Some(Keys::parse(&key).map_err(|error| CliError::Key { place: KEY.to_owned(), error })?),
        (None, None) => None,
    };
    if !is_loopback(&args.host) {
        match (&keys, args.insecure) {
            (None, false) => {
                return Err(CliError::Usage(format!(
                    "other machines reach {}: give a key (--api-key-file FILE, or {KEY}), or --insecure to answer whoever asks",
                    args.host
                )));
            }
            (None, true) => {
                warn(["--insecure: whoever reaches this address may use the model, and nothing is encrypted"])
            }
            (Some(_), _) => warn(["nothing is encrypted: put a proxy with TLS in front, or trust the network"]),
        }
    }
    Ok(Trust { keys, origins: args.cors.clone(), host: Some(args.host.to_ascii_lowercase()) })
}

/// Whether this machine alone reaches the address.
fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.is_loopback();
    }
    match (host, 0).to_socket_addrs() {
        Ok(mut addresses) => addresses.all(|address| address.ip().is_loopback()),
        // It cannot be listened at: that is the error to see.
        Err(_) => true,
    }
}
