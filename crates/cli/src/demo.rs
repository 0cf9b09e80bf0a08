//! `glass` alone: the built-in model, on the device at hand.

use std::io;

use glass_backend::{Device, Dtype};
use glass_causal_lm::{Memory, generate::GenerateOptions};

use crate::{args, embedded, error::CliError, generate, interrupt, load, prompt, say::say};

const PROMPT: &str = "ROMEO:\n";
const NEW_TOKENS: usize = 200;

pub fn run() -> Result<(), CliError> {
    let compute = args::Compute {
        device: "auto".into(),
        dtype: Dtype::F32,
    };
    // A process that ended at once would leave the unpacked model behind.
    interrupt::listen();
    let folder = embedded::unpack()?;
    let device = Device::open(&compute.device)?;
    let loaded = load::load_folder(folder.path(), &[], device, &compute)?;
    let llama = &loaded.llama;
    say!(
        "glass: the built-in model {} ({} parameters, {}), on {} ({}), {}",
        embedded::NAME,
        llama.config.num_parameters(),
        embedded::NATURE,
        llama.device.name(),
        llama.device.description(),
        llama.dtype
    );
    let ids = prompt::ids(&prompt::Given::Text(PROMPT.into()), llama)?;
    let options = GenerateOptions {
        sampling: llama.generation_config.sampling(0),
        max_new_tokens: NEW_TOKENS,
        eos_ids: vec![], // noise ends anywhere
        stop_strings: vec![],
        memory: Memory::default(),
    };
    let out = generate::stream(llama, &ids, &options, &mut io::stdout())?;
    generate::println_stdout()?;
    say!("{}", generate::summary(&loaded, &out));
    say!(
        "glass: to run your own: glass generate FOLDER-OR-HUB-NAME -p \"Once upon a time\" (glass --help says more)"
    );
    generate::ended(&out)
}
