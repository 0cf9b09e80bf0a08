//! What all commands share: `--quiet`, the environment, suggested command lines, the width of a terminal.

use std::fs;

use crate::{
    models::random_tiny,
    run::{PATIENCE, Ran, command, refused, run, succeeds, text},
};

const VERSE: &str = "ROMEO:\nBut, soft! what light through yonder window breaks?\n";

fn with(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    run(command(args).envs(variables.iter().copied()))
}

#[test]
fn quiet_leaves_results_warnings_and_errors() {
    let model = &random_tiny();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| text(&folder.path().join(name));
    fs::write(path("text.txt"), VERSE.repeat(40)).expect("written");
    fs::write(path("prompts.jsonl"), "{\"prompt\": \"ROMEO:\"}\n").expect("written");
    for args in [
        &["generate", model, "-p", "ROMEO:", "-n", "4", "--device", "flex"][..],
        &["batch", model, "--prompts", &path("prompts.jsonl"), "-n", "4", "--device", "flex"],
        &["logits", model, "-p", "ROMEO:", "--device", "flex", "-o", &path("logits"), "--force"],
        &[
            "train",
            "--text",
            &path("text.txt"),
            "--preset",
            "tiny",
            "--steps",
            "2",
            "--batch",
            "1",
            "--context",
            "16",
            "--device",
            "flex",
            "-o",
            &path("run"),
            "--force",
        ],
        &["eval", "perplexity", model, "--text", &path("text.txt"), "--max-tokens", "20", "--device", "flex"],
    ] {
        let (loud, quiet) = (succeeds(args), succeeds(&[args, &["--quiet"]].concat()));
        assert!(loud.stderr.contains("glass: "), "{loud:?}");
        assert_eq!((&*quiet.stderr, quiet.stdout), ("", loud.stdout), "{args:?}");
    }
    let warned =
        succeeds(&["-q", "generate", model, "-p", "ROMEO:", "-n", "4", "--cache", "ring:4", "--device", "flex"]);
    assert!(warned.stderr.lines().count() == 1 && warned.stderr.starts_with("glass: warning: "), "{warned:?}");
    let failed = run(&mut command(&["-q", "info", "/nothing/here"]));
    failed.failed(&["/nothing/here"]);
    let asked = succeeds(&["-q", "generate", model, "-p", "ROMEO:", "-n", "4", "--logprobs", "1", "--device", "flex"]);
    asked.says(&["logprob"]);
}

#[test]
fn echo_prints_the_prompt_before_its_continuation() {
    let generate = |args: &[&str]| {
        let common = ["generate", &random_tiny(), "-n", "8", "--device", "flex", "--temperature", "0"];
        succeeds(&[&common, args].concat()).stdout
    };
    let alone = generate(&["-p", "ROMEO:\n"]);
    assert_eq!(generate(&["-p", "ROMEO:\n", "--echo"]), format!("ROMEO:\n{alone}"));
    // Beginning-of-sequence is none of the text.
    let (ids, text) = (["--ids", "1,30,31"], generate(&["--ids", "1,30,31"]));
    let echoed = generate(&[&ids[..], &["--echo"]].concat());
    assert!(echoed.ends_with(&text) && echoed.chars().count() == text.chars().count() + 2, "{echoed:?} {text:?}");
    refused(&["generate", &random_tiny(), "-p", "x", "--echo", "--json"], &["--echo", "cannot be used with"]);
}

#[test]
fn the_environment_has_the_defaults() {
    let model = &random_tiny();
    let ran = with(&["generate", "-p", "hi", "-n", "2"], &[("GLASS_MODEL", model), ("GLASS_DEVICE", "ndarray")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.says(&["device ndarray"]);
    let ran = with(&["generate", model, "-p", "hi", "-n", "2"], &[("GLASS_DTYPE", "f16"), ("GLASS_DEVICE", "flex")]);
    ran.says(&["device flex, f16"]);
    // The command line has the last word, and what is empty says nothing.
    let args = ["generate", model, "-p", "hi", "-n", "2", "--device", "flex"];
    with(&args, &[("GLASS_DEVICE", "ndarray")]).says(&["device flex"]);
    let empty = ["GLASS_MODEL", "GLASS_DEVICE", "GLASS_DTYPE", "GLASS_KERNELS"].map(|name| (name, ""));
    assert_eq!(with(&args, &empty).code, Some(0));
    with(&[], &[("GLASS_DEVICE", "ndarray")]).says(&[", on ndarray", "device ndarray"]);
    // A benchmark measures what stands on its command line.
    let bench = ["bench", model, "--device", "flex", "--prompt", "4", "--gen", "2", "--repeat", "1"];
    let ran = with(&bench, &[("GLASS_KERNELS", "plain"), ("GLASS_DTYPE", "f16"), ("GLASS_MODEL", "/nothing")]);
    assert!(ran.code == Some(0) && ran.stdout.contains("bf16   fused"), "{ran:?}");
}

/// A bad value may be far away in a file of the shell: the error names it.
#[test]
fn bad_values_of_the_environment_are_named() {
    let model = &random_tiny();
    let args = ["generate", model, "-p", "hi"];
    for (name, value) in [("GLASS_DTYPE", "f64"), ("GLASS_KERNELS", "fast")] {
        for args in [&args[..], &[]] {
            let ran = with(args, &[(name, value)]);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            ran.says(&[value, name]);
        }
    }
    with(&args, &[("GLASS_DEVICE", "fpga")]).failed(&["\"fpga\"", "GLASS_DEVICE=fpga"]);
    with(&[], &[("GLASS_DEVICE", "fpga")]).failed(&["\"fpga\"", "GLASS_DEVICE=fpga"]);
    with(&["info"], &[("GLASS_MODEL", "/nothing")]).failed(&["/nothing", "GLASS_MODEL=/nothing"]);
    with(&args, &[("GLASS_DEVICE", "ndarray"), ("GLASS_DTYPE", "f16")]).failed(&["GLASS_DEVICE", "GLASS_DTYPE"]);
    let given = with(&[&args[..], &["--device", "fpga"]].concat(), &[("GLASS_DEVICE", "flex")]);
    given.failed(&["\"fpga\""]);
    assert!(!given.stderr.contains("GLASS_DEVICE"), "{given:?}");
}

#[test]
fn numbers_below_zero_are_refused_as_numbers() {
    for args in [["-n", "-1"], ["--top-k", "-2"], ["--seed", "-3"]] {
        let ran = run(&mut command(&[&["generate", &random_tiny(), "-p", "hi"], &args[..]].concat()));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.says(&[&format!("invalid value '{}'", args[1])]);
    }
}

/// Blanks, quotes, dollars and dashes in a folder's name: the line can be copied into a shell as it stands.
#[cfg(unix)]
#[test]
fn suggested_commands_can_be_copied() {
    use std::{os::unix::ffi::OsStrExt, process::Command};
    for name in
        [&b"plain"[..], b"two words", b"it's $HOME", b"-dash", b"a;b&c|d*", b"\xc3\xa9t\xc3\xa9", b"not\xfftext"]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("text.txt"), VERSE.repeat(40)).expect("written");
        let name = std::ffi::OsStr::from_bytes(name);
        let mut train = command(&["train", "--text", "text.txt", "--preset", "tiny", "--steps", "2", "--batch", "1"]);
        train.args(["--context", "16", "--device", "flex"]).arg({
            let mut output = std::ffi::OsString::from("--output=");
            output.push(name);
            output
        });
        let ran = run(train.current_dir(folder.path()));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let (_, line) = ran.stderr.rsplit_once("try it with: glass ").expect("a suggestion");
        let program = assert_cmd::cargo::cargo_bin("glass");
        let line = format!("{} {}", program.display(), line.trim().replace("\"...\"", "ROMEO: -n 2"));
        let tried = Command::new("bash").args(["-c", &line]).current_dir(folder.path()).output().expect("a shell");
        let known = !name.as_bytes().contains(&0xff); // a model's name is text
        assert_eq!(tried.status.success(), known, "{line}: {tried:?}");
    }
}

/// On a terminal of so many columns.
#[cfg(unix)]
fn at_terminal(columns: u16, args: &[&str]) -> String {
    use std::process::Stdio;

    use rexpect::{reader::Options, spawn_with_options};
    let command = command::<&str>(&[]);
    let program = text(&assert_cmd::cargo::cargo_bin("glass"));
    let mut shell = std::process::Command::new("sh");
    shell.env("TERM", "xterm").stdin(Stdio::inherit());
    command.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
        shell.env_remove(name);
    });
    shell.args(["-c", &format!("stty rows 24 cols {columns}; exec \"$@\""), "sh", &program]).args(args);
    let options = Options::new().timeout_ms(Some(PATIENCE.as_millis() as u64)).strip_ansi_escape_codes(true);
    let mut terminal = spawn_with_options(shell, options).expect("a terminal");
    let shown = terminal.exp_eof().expect("its end");
    shown.replace('\r', "")
}

#[cfg(unix)]
#[test]
fn tables_fit_the_terminal() {
    let model = &random_tiny();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = text(&folder.path().join("text.txt"));
    fs::write(&file, VERSE.repeat(10)).expect("written");
    let bench = ["bench", model, "--device", "flex", "--prompt", "4", "--gen", "2", "--repeat", "1", "-q"];
    for args in [
        &["info", model][..],
        &["devices"],
        &[
            "eval",
            "perplexity",
            model,
            "--text",
            &file,
            "--max-tokens",
            "60",
            "--by-position",
            "--cache",
            "full",
            "--cache",
            "ring",
            "--cache",
            "ring:1000",
            "--device",
            "flex",
            "-q",
        ],
        &[
            "eval",
            "needle",
            model,
            "--length",
            "20,24,28,32,36,40",
            "--depth",
            "0",
            "--trials",
            "1",
            "--device",
            "flex",
            "-q",
        ],
        &bench,
    ] {
        // The words are those of a pipe, where a line is as long as it is.
        let words = |shown: &str| shown.split_whitespace().map(str::to_owned).collect::<std::collections::HashSet<_>>();
        let piped = succeeds(args).stdout;
        for columns in [50, 80, 120] {
            let shown = at_terminal(columns, args);
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= usize::from(columns), "{columns} columns: {shown}");
            if args != &bench[..] {
                assert_eq!(words(&shown), words(&piped), "{columns} columns: {shown}");
            }
        }
    }
}
