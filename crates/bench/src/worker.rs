//! A process that measures, seen from the one that asks.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    ops::ControlFlow,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Answer, Failure, Request};

/// Why there is no answer to go on with.
#[derive(Clone, Debug, PartialEq)]
pub enum Lost {
    /// Somebody asked to end.
    Interrupted,
    /// It says why, and is still there.
    Refused(Failure),
    /// It is gone.
    Died(String),
}

/// How often whoever waits looks up.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Of what it says on standard error, in bytes from the end.
const MOST_WORDS: usize = 16 << 10;

/// Ends with its process, and its process with it.
pub struct Worker {
    child: Child,
    answers: Receiver<String>,
    words: Option<JoinHandle<String>>,
}

impl Worker {
    /// # Errors
    /// It does not start.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (sender, answers) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(stdout).lines();
                lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        let words = child.stderr.take().map(|stderr| thread::spawn(move || last_words(stderr)));
        Ok(Self { child, answers, words })
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks, and waits for the answer; `flow` is asked every now and then whether to go on.
    ///
    /// # Errors
    /// There is none.
    pub fn ask(&mut self, request: &Request, flow: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Answer, Lost> {
        let text = serde_json::to_string(request).map_err(|error| died(&error))?;
        let sent = match &mut self.child.stdin {
            Some(stdin) => writeln!(stdin, "{text}").and_then(|()| stdin.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        // Whoever cannot be asked any more has something to say on its way out.
        if sent.is_err() {
            return Err(Lost::Died(self.bury()));
        }
        loop {
            match self.answers.recv_timeout(LOOK_UP) {
                Ok(line) => {
                    return match serde_json::from_str(&line) {
                        Ok(Answer::Failed(failure)) => Err(Lost::Refused(failure)),
                        Ok(answer) => Ok(answer),
                        Err(error) => Err(died(&error)),
                    };
                }
                Err(RecvTimeoutError::Timeout) if flow().is_break() => {
                    return Err(Lost::Interrupted);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Lost::Died(self.bury())),
            }
        }
    }

    /// Why it is gone, as far as it can be known.
    fn bury(&mut self) -> String {
        let status = self.child.wait();
        let words = self.words.take().and_then(|words| words.join().ok());
        let words = words.unwrap_or_default();
        let last = words.lines().rev().find(|line| !line.trim().is_empty());
        match (status, last) {
            (Ok(status), _) if signal(status).is_some() => died_of(signal(status)),
            (_, Some(line)) => line.trim_start_matches("glass: error: ").trim().to_owned(),
            (Ok(status), None) => format!("its process ended without a word ({status})"),
            (Err(error), None) => format!("its process cannot be waited for: {error}"),
        }
    }
}

/// The process is there for its answers alone.
impl Drop for Worker {
    fn drop(&mut self) {
        // One that is gone already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn died(error: &dyn std::error::Error) -> Lost {
    Lost::Died(format!("its process cannot be understood: {error}"))
}

fn died_of(signal: Option<i32>) -> String {
    const KILL: i32 = 9;
    match signal {
        Some(KILL) => "its process was killed: memory ran out, or somebody did it".into(),
        signal => format!("its process crashed (signal {})", signal.unwrap_or_default()),
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

/// Reads to the end, and keeps the end.
fn last_words(mut stderr: ChildStderr) -> String {
    let (mut words, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = stderr.read(&mut some) {
        words.extend_from_slice(&some[..len]);
        let over = words.len().saturating_sub(MOST_WORDS);
        words.drain(..over);
    }
    String::from_utf8_lossy(&words).into_owned()
}
