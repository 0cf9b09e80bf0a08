//! The door to the thread that computes.

use std::{sync::Arc, time::Duration};

use glass_generate::{Error, Llama};
use tokio::sync::oneshot;

use super::{Refused, Request, ServiceOptions, Stats, Ticket};

/// A model that writes texts for whoever asks. It may be shared between threads; none of its functions waits for the device,
/// but for [`shutdown`](Self::shutdown).
pub struct Service {
    llama: Arc<Llama>,
}

impl Service {
    /// Starts the thread that computes.
    ///
    /// # Errors
    /// Options that do not fit the model.
    pub fn start(llama: Llama, options: ServiceOptions) -> Result<Self, Error> {
        todo!()
    }

    /// The model, for what needs no device: its config, tokenizer and templates.
    pub fn llama(&self) -> &Llama {
        &self.llama
    }

    /// Tokens that a text may have, its prompt included.
    pub fn context(&self) -> usize {
        todo!()
    }

    /// Asks for texts.
    ///
    /// # Errors
    /// The request is not taken. Nothing waits for it.
    pub fn submit(&self, request: Request) -> Result<Ticket, Refused> {
        todo!()
    }

    /// Computes something else on the same thread, between two steps: all texts wait for it. The receiver fails if `job` panics
    /// or the service shuts down before it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce(&Llama) -> T + Send + 'static) -> oneshot::Receiver<T> {
        todo!()
    }

    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Whether the thread computes: false once it has ended.
    pub fn is_running(&self) -> bool {
        todo!()
    }

    /// Takes no more requests, and lets those that run and wait end; those that have not after `grace` get [`Event::Failed`]
    /// (super::Event::Failed). Returns when the thread has ended. Safe to call again, with another grace.
    pub fn shutdown(&self, grace: Duration) {
        todo!()
    }
}

const fn shared<T: Send + Sync>() {}
const _: () = shared::<Service>();
