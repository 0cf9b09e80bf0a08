//! The door to the thread that computes: who may come in.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use glass_generate::{Error, GenerateOptions, Lane, Llama, PrefillOptions, Sequence};
use glass_kv_cache::KEYS_TOGETHER;
use rayon::ThreadPoolBuilder;
use tokio::sync::{mpsc::unbounded_channel, oneshot};

use super::{
    Refused, Request, ServiceOptions, Stats, Ticket,
    arrival::{Arrival, Command, prepare},
    shared::Shared,
    worker::Worker,
};

/// A model that writes texts for whoever asks. It may be shared between threads; none of its functions waits for the device,
/// but for [`shutdown`](Self::shutdown).
pub struct Service {
    llama: Arc<Llama>,
    limits: Limits,
    /// An empty lane, which knows what a text takes.
    empty: Mutex<Lane>,
    commands: Sender<Command>,
    shared: Arc<Shared>,
}

/// [`ServiceOptions`] of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub options: ServiceOptions,
    pub parallel: usize,
    pub context: usize,
    pub memory: u64,
    pub prefill: PrefillOptions,
}

impl Service {
    /// Starts the thread that computes.
    ///
    /// # Errors
    /// A cache policy that does not fit the model; a context that the device cannot hold.
    pub fn start(llama: Llama, options: ServiceOptions) -> Result<Self, Error> {
        let own = llama.config.context();
        let context = options.context.map_or(own, |context| context.get().min(own));
        // Kernels take so many keys together: where a piece ends between them, the next would be computed otherwise.
        let step_tokens = options.step_tokens.get().next_multiple_of(KEYS_TOGETHER);
        let step_tokens = NonZeroUsize::new(step_tokens).unwrap_or(options.step_tokens);
        let prefill = PrefillOptions { cache: options.cache, prefill_chunk: step_tokens };
        let mut empty = Lane::new(&llama, prefill)?;
        empty.reserve(context, 0)?;
        let parallel = options.parallel.get();
        let all = empty.bytes_of(context).saturating_mul(parallel as u64);
        let memory = options.memory.unwrap_or(all);
        let limits = Limits { options, parallel, context, memory, prefill };

        let (llama, shared) = (Arc::new(llama), Arc::new(Shared::default()));
        let (commands, arrivals) = mpsc::channel();
        let (model, state) = (Arc::clone(&llama), Arc::clone(&shared));
        thread::spawn(move || {
            // This thread is one of those that share the work of a pass: each piece would wait for another to wake up. Without
            // such a pool, passes are computed in the one that all share.
            let _pool = ThreadPoolBuilder::new().use_current_thread().build();
            thread::scope(|scope| {
                let (prepared, work) = mpsc::channel();
                scope.spawn(|| prepare(&model, arrivals, prepared, &state));
                let _ended = state.ends();
                Worker::new(&model, limits, &state).run(&work);
            });
        });
        Ok(Self { llama, limits, empty: Mutex::new(empty), commands, shared })
    }

    /// The model, for what needs no device: its config, tokenizer and templates.
    pub fn llama(&self) -> &Llama {
        &self.llama
    }

    /// Tokens that a text may have, its prompt included.
    pub fn context(&self) -> usize {
        self.limits.context
    }

    /// Asks for texts.
    ///
    /// # Errors
    /// The request is not taken: nothing computes for it. What is wrong with a JSON schema is found later, and is an
    /// [`Event::Failed`](super::Event::Failed).
    pub fn submit(&self, request: Request) -> Result<Ticket, Refused> {
        let Limits { parallel, context, memory, prefill, .. } = self.limits;
        let Request { ids, mut options, prompt_logprobs, n } = request;
        let tokens = ids.len();
        if n == 0 || n > parallel {
            return Err(Refused::Choices { n, parallel });
        }
        let Some(free) = context.checked_sub(tokens) else {
            return Err(Refused::TooLong { tokens, context });
        };
        // The last new token is never read by the model.
        options.max_new_tokens = options.max_new_tokens.min(free + 1);
        options.prefill = prefill;
        let config = &self.llama.config;
        self.llama.check_ids(&ids, |index| format!("number {} of the prompt", index + 1))?;
        let plain = GenerateOptions { json_schema: None, marked_schemas: Vec::new(), ..options.clone() };
        Sequence::new(&ids, &plain, config.vocab_size, self.llama.tokenizer.as_ref())?;
        let total = (tokens + options.max_new_tokens).saturating_sub(1).max(tokens);
        let text_bytes = match self.empty.lock() {
            Ok(empty) => empty.bytes_of(total),
            Err(poisoned) => poisoned.into_inner().bytes_of(total),
        };
        let bytes = text_bytes.saturating_mul(n as u64);
        if bytes > memory {
            return Err(Refused::TooLarge { bytes, memory });
        }
        self.shared.come_in(n, &self.limits)?;
        let (sender, events) = unbounded_channel();
        let arrived = Instant::now();
        let arrival = Arrival { ids, options, prompt_logprobs, n, total, text_bytes, events: sender, arrived };
        self.send(Command::Request(Box::new(arrival)));
        Ok(Ticket { events })
    }

    /// Computes something else on the same thread, between two steps: all texts wait for it. The receiver fails if `job` panics
    /// or the service shuts down before it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce(&Llama) -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Job(Box::new(move |llama| {
            if !sender.is_closed()
                && let Ok(result) = catch_unwind(AssertUnwindSafe(|| job(llama)))
            {
                // Who asked may have gone.
                let _ = sender.send(result);
            }
        })));
        receiver
    }

    /// What it does now, as of the last step.
    pub fn stats(&self) -> Stats {
        self.shared.state().stats
    }

    /// Whether the thread computes: false once it has ended.
    pub fn is_running(&self) -> bool {
        !self.shared.state().ended
    }

    /// Takes no more requests, and lets those that run and wait end; those that have not after `grace` get
    /// [`Event::Failed`](super::Event::Failed). Returns when the thread has ended. May be called again, with another grace.
    pub fn shutdown(&self, grace: Duration) {
        self.shared.state().closing = true;
        // Centuries are as good as for ever.
        let deadline = Instant::now() + grace.min(Duration::from_secs(1 << 32));
        self.send(Command::Close(deadline));
        self.shared.wait_for_end();
    }

    /// The thread may have ended: then whoever waits for an answer learns that from its channel.
    fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

const fn is_shared<T: Send + Sync>() {}
const _: () = is_shared::<Service>();
