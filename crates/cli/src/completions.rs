//! `glass completions`: what a shell completes.

use std::io::{self, Write};

use crate::{
    args::{self, Glass},
    error::CliError,
};

pub fn run(args: args::Completions) -> Result<(), CliError> {
    let mut command = Glass::definition();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    io::stdout().write_all(&script).map_err(CliError::stdout)
}
