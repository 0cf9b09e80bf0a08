//! What comes through the door, and is made ready beside the thread that computes: a JSON schema takes a while.

use std::{
    sync::mpsc::{Receiver, Sender},
    time::Instant,
};

use glass_generate::{Error, GenerateOptions, Llama, Sequence};
use tokio::sync::mpsc::UnboundedSender;

use super::{Event, shared::Shared};

/// From the door.
pub(super) enum Command {
    Request(Box<Arrival>),
    Job(Job),
    /// Nothing comes after it but a nearer end.
    Close(Instant),
}

pub(super) type Job = Box<dyn FnOnce(&Llama) + Send>;

/// A request that was let in.
pub(super) struct Arrival {
    pub ids: Vec<u32>,
    pub options: GenerateOptions,
    pub prompt_logprobs: Option<usize>,
    pub n: usize,
    /// Tokens that each text will have at most.
    pub total: usize,
    /// Bytes of their keys and values.
    pub text_bytes: u64,
    pub events: UnboundedSender<Event>,
    pub arrived: Instant,
}

/// For the thread that computes.
pub(super) enum Work<'m> {
    Request(Box<Ready<'m>>),
    Job(Job),
    Close(Instant),
}

/// A request whose texts can begin.
pub(super) struct Ready<'m> {
    pub arrival: Arrival,
    pub sequences: Vec<Sequence<'m>>,
}

/// Hands on what arrives, in its order, until the door is gone.
pub(super) fn prepare<'m>(llama: &'m Llama, arrivals: Receiver<Command>, work: Sender<Work<'m>>, shared: &Shared) {
    for command in arrivals {
        let ready = match command {
            Command::Job(job) => Work::Job(job),
            Command::Close(deadline) => Work::Close(deadline),
            Command::Request(arrival) => match sequences(llama, &arrival) {
                Ok(sequences) => Work::Request(Box::new(Ready { arrival: *arrival, sequences })),
                Err(error) => {
                    let mut state = shared.state();
                    state.texts -= arrival.n;
                    state.stats.waiting -= 1;
                    state.stats.failed += 1;
                    let _ = arrival.events.send(Event::failed(&error));
                    continue;
                }
            },
        };
        // Where nobody computes any more, who waits learns it from the dropped channel.
        let _ = work.send(ready);
    }
}

/// The texts of a request, with a seed each.
fn sequences<'m>(llama: &'m Llama, arrival: &Arrival) -> Result<Vec<Sequence<'m>>, Error> {
    let texts = (0..arrival.n as u64).map(|number| {
        let mut options = arrival.options.clone();
        options.sampling.seed = options.sampling.seed.wrapping_add(number);
        Sequence::new(&arrival.ids, &options, llama.config.vocab_size, llama.tokenizer.as_ref())
    });
    texts.collect()
}
