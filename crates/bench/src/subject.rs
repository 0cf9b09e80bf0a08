//! One setup, and the process that measures it.

use std::process::Command;

use crate::{
    Answer, Failure, Opened, Request, Setup, Watch,
    worker::{Lost, Worker},
};

/// Its process is started when it is needed, and again after one that died: what killed that one struck a row, and the other
/// rows of the setup go on.
pub struct Subject<'a> {
    setup: Setup,
    command: &'a dyn Fn() -> Command,
    worker: Option<Worker>,
    /// Of the first process.
    opened: Option<Opened>,
}

impl<'a> Subject<'a> {
    pub fn new(setup: Setup, command: &'a dyn Fn() -> Command) -> Self {
        Self { setup, command, worker: None, opened: None }
    }

    /// Once it was opened, with the kernels and the dtype that it really has.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// Loads the model, unless it is there.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn open(&mut self, watch: &mut dyn Watch) -> Result<(), Lost> {
        if self.worker.is_some() {
            return Ok(());
        }
        let worker = Worker::start((self.command)());
        let mut worker =
            worker.map_err(|error| Lost::Died(format!("a process to measure it does not start: {error}")))?;
        let answer = worker.ask(&Request::Open(self.setup.clone()), &mut || watch.flow())?;
        let Answer::Opened(opened) = answer else {
            return Err(unexpected());
        };
        self.setup.kernels.clone_from(&opened.kernels);
        self.setup.dtype.clone_from(&opened.dtype);
        self.setup.any_dtype = false;
        self.opened.get_or_insert(opened);
        self.worker = Some(worker);
        Ok(())
    }

    /// # Errors
    /// There is no answer.
    pub fn ask(&mut self, request: &Request, watch: &mut dyn Watch) -> Result<Answer, Lost> {
        self.open(watch)?;
        let Some(worker) = &mut self.worker else {
            return Err(unexpected());
        };
        let answer = worker.ask(request, &mut || watch.flow());
        if !matches!(answer, Ok(_) | Err(Lost::Refused(_))) {
            self.worker = None;
        }
        answer
    }
}

/// An answer to another question.
pub fn unexpected() -> Lost {
    Lost::Refused(Failure::new("its process gave an answer to another question"))
}
