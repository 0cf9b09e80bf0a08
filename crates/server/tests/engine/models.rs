//! Small models of every kind, requests, and what comes of one that is alone.

use std::{convert::Infallible, ops::ControlFlow, sync::mpsc};

use glass_backend::{Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{FileType, Precision, QuantRecipe, QuantizeOnLoad};
use glass_config::LlamaConfig;
use glass_generate::{FinishReason, GenerateOptions, Llama, PrefillOptions, TokenLogprobs, generate};
use glass_server::engine::{Event, Request, Service, ServiceOptions, Ticket, Usage};
use glass_testing::{Random, RandomWeights, devices::flex, with_windows};

use crate::blocks::InBlocks;

pub const VOCAB: usize = 97;

/// The least piece.
pub const PIECE: usize = 64;

/// What differs between models here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Full,
    /// Texts that end only when somebody ends them: windows forget, and no test has time for the context.
    Endless,
    /// Layers with windows shorter and longer than a piece.
    Windows,
    Experts,
    /// Angles that depend on the length of texts of more than 128 tokens.
    ByLength,
    /// Mamba, attention and experts.
    Jamba,
    /// Gated linear recurrences, and attention to a window.
    Griffin,
}

/// `precision` is one, or the name of a file type, whose blocks the matrices are in.
pub fn model(kind: Kind, precision: &str) -> Llama {
    let mut fields = serde_json::json!({
        "model_type": "llama", "vocab_size": VOCAB, "hidden_size": 96, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5,
    });
    match kind {
        Kind::Full | Kind::Windows => {}
        Kind::Endless => fields["max_position_embeddings"] = 1_000_000_000.into(),
        Kind::Experts => {
            fields["model_type"] = "mixtral".into();
            fields["num_local_experts"] = 4.into();
            fields["num_experts_per_tok"] = 2.into();
        }
        Kind::Jamba => {
            fields["model_type"] = "jamba".into();
            fields["num_hidden_layers"] = 3.into();
            fields["attn_layer_period"] = 3.into();
            fields["attn_layer_offset"] = 1.into();
            fields["num_experts"] = 4.into();
            fields["mamba_d_state"] = 8.into();
        }
        Kind::Griffin => {
            fields["model_type"] = "recurrent_gemma".into();
            fields["num_hidden_layers"] = 3.into();
            fields["attention_window_size"] = 40.into();
        }
        Kind::ByLength => {
            fields["max_position_embeddings"] = 128.into();
            fields["rope_scaling"] = serde_json::json!({"rope_type": "dynamic", "factor": 4.0});
        }
    }
    let mut config = LlamaConfig::from_json(&fields.to_string(), "test", &[]).expect("a config");
    if kind == Kind::Windows {
        config = with_windows(config, &[Some(40), None, Some(150)]);
    }
    if kind == Kind::Endless {
        config = with_windows(config, &[Some(40), Some(40)]);
    }
    let device = flex();
    if let Some(file_type) = FileType::from_name(precision) {
        let precision = Precision { blocks: Some(file_type), ..Dtype::F32.into() };
        let mut source = InBlocks(RandomWeights(7), file_type.format());
        let model = LlamaForCausalLM::load(Weights::new(&mut source, &device, precision.dtype), &config);
        return Llama::new(model.expect("random weights fit"), &config, &device, precision);
    }
    let precision: Precision = precision.parse().expect("a precision");
    let mut random = RandomWeights(7);
    let model = match precision.quantize {
        None => LlamaForCausalLM::load(Weights::new(&mut random, &device, precision.dtype), &config),
        Some(format) => {
            let mut source = QuantizeOnLoad::new(random, QuantRecipe::new(format, &config));
            LlamaForCausalLM::load(Weights::new(&mut source, &device, precision.dtype), &config)
        }
    };
    Llama::new(model.expect("random weights fit"), &config, &device, precision)
}

pub fn service(llama: Llama, options: ServiceOptions) -> Service {
    Service::start(llama, options).expect("options that fit")
}

pub fn prompt(random: &mut Random, len: usize) -> Vec<u32> {
    (0..len).map(|_| random.below(VOCAB) as u32).collect()
}

/// Drawn from the model's distribution, with the log-probabilities of what was drawn: their bits tell more than the tokens.
pub fn request(ids: Vec<u32>, max_new_tokens: usize, seed: u64) -> Request {
    let mut options = GenerateOptions::new(max_new_tokens);
    options.sampling.temperature = 1.0;
    options.sampling.seed = seed;
    options.logprobs = Some(2);
    Request { ids, options, prompt_logprobs: None, n: 1 }
}

/// One text, as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub ids: Vec<u32>,
    pub logprobs: Vec<TokenLogprobs>,
    pub reason: FinishReason,
}

/// What `generate` makes of each of the request's texts, one after the other.
pub fn alone(llama: &Llama, request: &Request, options: &ServiceOptions) -> Vec<Text> {
    let texts = (0..request.n as u64).map(|number| {
        let mut own = request.options.clone();
        own.sampling.seed += number;
        own.prefill = PrefillOptions { cache: options.cache, prefill_chunk: options.step_tokens };
        let text = generate(llama, &request.ids, &own, &mut |_| ControlFlow::Continue(())).expect("a text");
        Text { ids: text.ids, logprobs: text.logprobs.expect("asked for"), reason: text.finish_reason }
    });
    texts.collect()
}

/// Waits for all texts of a request: them, and the usage of the first.
pub fn texts(ticket: &mut Ticket, n: usize) -> (Vec<Text>, Usage) {
    let empty = || Text { ids: vec![], logprobs: vec![], reason: FinishReason::Interrupted };
    let mut texts: Vec<Text> = (0..n).map(|_| empty()).collect();
    let (mut ended, mut started, mut first) = (0, None, Usage::default());
    while ended < n {
        match ticket.wait_next().expect("an event") {
            Event::Started { cached_tokens } => assert_eq!(started.replace(cached_tokens), None),
            Event::Token { choice, id, logprobs, .. } => {
                texts[choice].ids.extend(id);
                texts[choice].logprobs.extend(logprobs);
            }
            Event::Finished { choice, reason, usage, .. } => {
                assert_eq!(usage.completion_tokens, texts[choice].ids.len());
                assert_eq!(Some(usage.cached_tokens), started);
                texts[choice].reason = reason;
                ended += 1;
                if choice == 0 {
                    first = usage;
                }
            }
            Event::Prompt(_) => panic!("nobody asked"),
            Event::Failed { reason, .. } => panic!("{reason}"),
        }
    }
    assert_eq!(ticket.wait_next(), None, "nothing comes behind the end");
    (texts, first)
}

/// The thread that computes stands still until what is returned is dropped.
pub fn hold(service: &Service) -> mpsc::Sender<Infallible> {
    let (stands, standing) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<Infallible>();
    // Without a receiver it would not run.
    let _held = service.run(move |_| {
        stands.send(()).expect("the test waits");
        // It ends when the other end is dropped.
        goes_on.recv()
    });
    standing.recv().expect("the job runs");
    go_on
}

/// Waits until the thread that computes has nothing to do.
pub fn until_idle(service: &Service) {
    while service.stats().running + service.stats().waiting > 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
