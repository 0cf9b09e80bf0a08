//! `glass` without a command: the built-in model on the default device.

use std::io;

use glass_generate::{GenerateOptions, Llama};

use crate::{
    args, embedded,
    error::CliError,
    generate, interrupt, load,
    prompt::Prompt,
    say::{print_line, status},
    stream,
};

const PROMPT: &str = "ROMEO:\n";
const NEW_TOKENS: usize = 600;

/// Tokens generated to measure the speed before the text begins: a tenth of a second on a CPU.
const MEASURED_TOKENS: usize = 64;

pub fn run() -> Result<(), CliError> {
    let compute = args::Compute::by_default().unwrap_or_else(|refused| refused.exit());
    // An interrupt ends the text, and the summary follows.
    interrupt::listen();
    let device = load::device(&compute)?;
    let loaded = load::load_embedded(&[], device, &compute)?;
    let llama = &loaded.llama;
    let ids = Prompt::Text(PROMPT.into()).ids(llama)?;
    let options = GenerateOptions {
        sampling: llama.generation_config.sampling(0),
        eos_ids: llama.eos_ids(),
        ..GenerateOptions::new(NEW_TOKENS)
    };
    status!(
        "glass: {} ({:.1} M parameters, {}), on {} ({}), {}{}",
        embedded::NAME,
        llama.config.num_parameters() as f64 / 1e6,
        embedded::NATURE,
        llama.device.name(),
        llama.device.description(),
        llama.precision,
        match speed(llama, &ids, &options)? {
            Some(speed) => format!(", {speed:.0} tokens/s"),
            None => String::new(),
        }
    );
    let out = stream::generate(llama, None, &ids, &options, &mut io::stdout())?;
    print_line("")?;
    status!("{}", generate::summary(&loaded, &out));
    status!(
        "glass: to run your own: glass generate FOLDER-OR-HUB-NAME -p \"Once upon a time\" (glass --help says more)"
    );
    generate::ended(&out)
}

/// Tokens per second, once kernels are compiled and memory is allocated; `None` if interrupted.
fn speed(llama: &Llama, ids: &[u32], options: &GenerateOptions) -> Result<Option<f64>, CliError> {
    let mut speed = None;
    for tokens in [2, MEASURED_TOKENS] {
        let options = GenerateOptions { max_new_tokens: tokens, ..options.clone() };
        let out = glass_generate::generate(llama, ids, &options, &mut |_| interrupt::flow())?;
        speed = out.decode_tokens_per_second();
    }
    Ok(speed)
}
