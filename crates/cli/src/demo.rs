//! `glass` alone: the built-in model, on the device at hand.

use std::io;

use glass_backend::{Device, Dtype, Kernels};
use glass_generate::{GenerateOptions, Llama, Memory};

use crate::{args, embedded, error::CliError, generate, interrupt, load, prompt, say::say};

const PROMPT: &str = "ROMEO:\n";
const NEW_TOKENS: usize = 600;

/// Tokens by which the speed is measured before the text begins: a tenth of a second on a CPU.
const MEASURED_TOKENS: usize = 64;

pub fn run() -> Result<(), CliError> {
    let compute = args::Compute {
        device: "auto".into(),
        dtype: Dtype::F32,
        quantize: None,
        kernels: Kernels::default(),
    };
    // A process that ended at once would leave the unpacked model behind.
    interrupt::listen();
    let folder = embedded::unpack()?;
    let device = Device::open(&compute.device)?;
    let loaded = load::load_folder(folder.path(), &[], device, &compute)?;
    let llama = &loaded.llama;
    let ids = prompt::ids(&prompt::Given::Text(PROMPT.into()), llama)?;
    let options = GenerateOptions {
        sampling: llama.generation_config.sampling(0),
        max_new_tokens: NEW_TOKENS,
        eos_ids: llama.eos_ids(),
        stop_strings: vec![],
        memory: Memory::default(),
        logprobs: None,
        prompt_lookup: None,
    };
    say!(
        "glass: {} ({:.1} M parameters, {}), on {} ({}), {}{}",
        embedded::NAME,
        llama.config.num_parameters() as f64 / 1e6,
        embedded::NATURE,
        llama.device.name(),
        llama.device.description(),
        llama.dtype,
        match speed(llama, &ids, &options)? {
            Some(speed) => format!(", {speed:.0} tokens/s"),
            None => String::new(),
        }
    );
    let out = generate::stream(llama, &ids, &options, &mut io::stdout())?;
    generate::println_stdout()?;
    say!("{}", generate::summary(&loaded, &out));
    say!(
        "glass: to run your own: glass generate FOLDER-OR-HUB-NAME -p \"Once upon a time\" (glass --help says more)"
    );
    generate::ended(&out)
}

/// Tokens per second, once kernels are compiled and memory is there; `None` if it was broken off.
fn speed(llama: &Llama, ids: &[u32], options: &GenerateOptions) -> Result<Option<f64>, CliError> {
    let mut speed = None;
    for tokens in [2, MEASURED_TOKENS] {
        let options = GenerateOptions {
            max_new_tokens: tokens,
            ..options.clone()
        };
        let out = llama.generate(ids, &options, &mut |_| interrupt::flow())?;
        speed = out.decode_tokens_per_second();
    }
    Ok(speed)
}
