//! A smaller program where the linker can make one: not every linker folds identical functions, nor does every C library read
//! relocations in the packed form. Each is tried on a program of one line.

use std::{env, fs, path::Path, process::Command};

/// What is asked of the linker, and whether the C library must understand the result.
const ASKED: [(&str, bool); 2] = [("-Wl,--icf=all", false), ("-Wl,-z,pack-relative-relocs", true)];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if variable("CARGO_CFG_TARGET_OS") == "linux" {
        for (argument, read_at_start) in ASKED {
            if works(argument, read_at_start) {
                println!("cargo::rustc-link-arg-bins={argument}");
            }
        }
    }
}

/// True if a program links with `argument` and, where that matters, runs; for another machine the second is not known.
fn works(argument: &str, read_at_start: bool) -> bool {
    let (host, target) = (variable("HOST"), variable("TARGET"));
    if read_at_start && host != target {
        return false;
    }
    let folder = variable("OUT_DIR");
    let (source, program) = (Path::new(&folder).join("try.rs"), Path::new(&folder).join("try"));
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.arg(&source).arg("-o").arg(&program).args(["--target", &target, "-C"]).arg(format!("link-arg={argument}"));
    rustc.args(variable("CARGO_ENCODED_RUSTFLAGS").split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    succeeds(&mut rustc) && (!read_at_start || succeeds(&mut Command::new(&program)))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
