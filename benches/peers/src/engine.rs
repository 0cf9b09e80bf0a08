//! The engines, each a process for every round, so that memory and allocator are its own.

use std::{
    fmt,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    args::{Args, Task},
    error::{PeerError, last_words},
    outcome::Outcome,
};

const TRANSFORMERS: &str = include_str!("transformers.py");

/// A program that runs the model.
#[derive(Clone, Debug)]
pub enum Engine {
    /// This project, the built program.
    Glass(PathBuf),
    /// This very program again, as `--worker`.
    Candle(PathBuf),
    /// torch and transformers, under this Python.
    Transformers(PathBuf),
}

impl Engine {
    /// All that `args` ask for; `glass` is the first, to which the others are compared.
    pub fn chosen(args: &Args) -> Result<Vec<Self>, PeerError> {
        let own = std::env::current_exe().map_err(|source| PeerError::Start {
            program: "candle".to_owned(),
            source,
            advice: "",
        })?;
        let mut engines = vec![Engine::Glass(args.glass.clone()), Engine::Candle(own)];
        engines.extend(args.python.clone().map(Engine::Transformers));
        Ok(engines)
    }

    /// One round.
    ///
    /// # Errors
    /// If the process does not start, fails, or prints something else than its results.
    pub fn run(&self, task: &Task) -> Result<Outcome, PeerError> {
        let mut command = self.command(task);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|source| PeerError::Start {
            program: command.get_program().display().to_string(),
            source,
            advice: self.advice(),
        })?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let what = match last_words(&stderr) {
                Some(line) => line.to_owned(),
                None => format!("ended with {}", output.status),
            };
            return Err(PeerError::Process { what });
        }
        let mut outcome = Outcome::parse(&String::from_utf8_lossy(&output.stdout))?;
        if outcome.ids().len() != task.generate {
            let what = format!(
                "{} tokens came instead of {}",
                outcome.ids().len(),
                task.generate
            );
            return Err(PeerError::Process { what });
        }
        outcome.version = outcome.version.or_else(|| self.version());
        Ok(outcome)
    }

    fn command(&self, task: &Task) -> Command {
        let number = task.generate.to_string();
        let (ids, dtype) = (task.ids_text(), task.dtype.to_string());
        let threads = task.threads.to_string();
        let mut command = match self {
            Engine::Glass(program) => {
                let mut command = Command::new(program);
                command.arg("generate").arg(&task.folder);
                command.args(["--ids", &ids, "-n", &number, "--dtype", &dtype]);
                command.args([
                    "--device",
                    "flex",
                    "--ignore-eos",
                    "--temperature",
                    "0",
                    "--json",
                ]);
                command
            }
            Engine::Candle(program) => {
                let mut command = Command::new(program);
                command.arg(&task.folder).arg("--worker");
                command.args(["--ids", &ids, "--gen", &number, "--dtype", &dtype]);
                command
            }
            Engine::Transformers(program) => {
                let mut command = Command::new(program);
                command.args(["-c", TRANSFORMERS]).arg(&task.folder);
                command.args([&ids, &number, &threads, &dtype]);
                command
            }
        };
        // Rayon is what glass and candle compute with, OpenMP is what torch does.
        command.env("RAYON_NUM_THREADS", &threads);
        command.env("OMP_NUM_THREADS", &threads);
        command
    }

    fn version(&self) -> Option<String> {
        match self {
            Engine::Glass(program) => {
                let output = Command::new(program).arg("--version").output().ok()?;
                let text = String::from_utf8(output.stdout).ok()?;
                text.split_whitespace().last().map(str::to_owned)
            }
            Engine::Candle(_) => {
                locked_version("candle-transformers", include_str!("../Cargo.lock"))
            }
            Engine::Transformers(_) => None,
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Engine::Glass(_) => " (build it with `cargo build --release`, or name it with --glass)",
            Engine::Candle(_) | Engine::Transformers(_) => "",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Glass(_) => "glass",
            Engine::Candle(_) => "candle",
            Engine::Transformers(_) => "transformers",
        })
    }
}

/// The version of a package in the text of a `Cargo.lock`.
fn locked_version(package: &str, lock: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1)?.strip_prefix("version = \"")?;
    version.strip_suffix('"').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::args::Dtype;

    fn task() -> Task {
        Task {
            folder: "folder".into(),
            ids: vec![3, 1, 2],
            generate: 2,
            threads: 5,
            dtype: Dtype::Bf16,
        }
    }

    #[test]
    fn every_engine_gets_the_same_task() {
        for engine in ["g", "c", "t"].map(PathBuf::from) {
            for make in [Engine::Glass, Engine::Candle, Engine::Transformers] {
                let command = make(engine.clone()).command(&task());
                let args: Vec<_> = command.get_args().collect();
                for word in ["folder", "3,1,2", "2", "bf16"] {
                    assert!(
                        args.contains(&word.as_ref()),
                        "{word} is missing in {args:?}"
                    );
                }
                let mut set = command.get_envs();
                assert!(set.any(|pair| pair == ("RAYON_NUM_THREADS".as_ref(), Some("5".as_ref()))));
            }
        }
    }

    #[test]
    fn the_lock_file_says_which_candle_it_is() {
        let lock = include_str!("../Cargo.lock");
        assert!(
            locked_version("candle-transformers", lock)
                .unwrap()
                .starts_with("0.11.")
        );
        assert_eq!(locked_version("nothing", lock), None);
    }

    /// An engine whose process is a shell that does what `script` says.
    #[cfg(unix)]
    fn run_script(script: &str) -> Result<Outcome, PeerError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        fs::write(&path, script).unwrap();
        // Candle's folder is the first argument, which a shell takes for its script.
        let mut task = task();
        task.folder = path;
        Engine::Candle("sh".into()).run(&task)
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_fails_is_one_line() {
        let error = run_script("echo one >&2; echo two >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "two");
        let error = run_script("exit 3").unwrap_err().to_string();
        assert!(error.contains("3"), "{error}");
        let error = run_script("echo hello").unwrap_err();
        assert!(matches!(error, PeerError::Output(_)), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn too_few_tokens_are_an_error() {
        let json = r#"{"sequences":[{"ids":[1]}],"load_seconds":1,"prefill_tokens_per_second":1,"decode_tokens_per_second":1,"peak_memory_bytes":null}"#;
        let error = run_script(&format!("echo '{json}'")).unwrap_err();
        assert_eq!(error.to_string(), "1 tokens came instead of 2");
        let json = json.replace("[1]", "[1,2]");
        assert_eq!(run_script(&format!("echo '{json}'")).unwrap().ids(), [1, 2]);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Engine::Glass("no/such/glass".into())
            .run(&task())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no/such/glass") && error.contains("cargo build"),
            "{error}"
        );
    }
}
