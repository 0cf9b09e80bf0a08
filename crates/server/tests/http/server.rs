//! Servers to ask.

use std::{net::SocketAddr, num::NonZeroUsize, ops::Range, path::PathBuf, sync::LazyLock, time::Duration};

use burn::tensor::TensorData;
use glass_backend::{Dtype, WeightError, WeightSource, WeightSpec, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_config::LlamaConfig;
use glass_generate::{Llama, LoadOptions, SequenceBias};
use glass_server::{
    Identity, Limits, Served, Server, Trust,
    engine::{Service, ServiceOptions},
};
use glass_testing::{RandomWeights, devices};
use glass_text::ChatTemplate;

/// Calls as Hermes and Qwen write them. Tokens of this model are letters, so that prompts are kept short.
pub const TEMPLATE: &str = "{% if tools %}T:{% for t in tools %}{{ t.function.name }} {% endfor %}\n{% endif %}\
    {% for m in messages %}{{ m.role }}:{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>\n\
    {\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}\n\
    {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../weights/random-tiny")
}

pub fn options() -> ServiceOptions {
    ServiceOptions { parallel: const { NonZeroUsize::new(8).unwrap() }, queue: 64, ..ServiceOptions::default() }
}

/// A model with a template.
pub fn served(options: ServiceOptions) -> Served {
    of(open(), TEMPLATE, options)
}

fn open() -> Llama {
    Llama::open(&folder(), devices::flex()).expect("a model")
}

/// A server whose model gives this answer to everything: its prompts end so, and every token is forced behind those before it.
pub fn says(end: &str, answer: &str) -> Server {
    let mut llama = open();
    let tokenizer = llama.tokenizer.as_ref().expect("it has one");
    let encode = |text: &str| tokenizer.encode(text, false).expect("letters");
    let mut ids = encode(end);
    let prompt = ids.len();
    ids.extend(encode(answer));
    ids.extend(llama.eos_ids());
    let force = |at: usize| SequenceBias { ids: ids[at.saturating_sub(prompt.max(20))..=at].to_vec(), bias: 1e4 };
    llama.generation_config.sequence_bias = (prompt..ids.len()).map(force).collect();
    let template = TEMPLATE.replace("assistant:{% endif %}", &format!("{end}{{% endif %}}"));
    // Earlier thoughts are left out, as templates of such models have it.
    let template = template.replace("{{ m.content or '' }}", "{{ (m.content or '').split('</think>')[-1] }}");
    let server = listening(Trust::default(), Limits::default());
    server.serve(of(llama, &template, options()));
    server
}

/// A model whose template renders nothing.
pub fn refuses() -> Server {
    let server = listening(Trust::default(), Limits::default());
    server.serve(of(open(), "{{ raise_exception('not me') }}", options()));
    server
}

/// The same model, for texts that end only when somebody ends them: its windows forget, and its context is larger than any
/// test has time for.
pub fn endless(limits: Limits, options: ServiceOptions) -> Server {
    let overrides = ["max_position_embeddings=1000000000".parse().expect("an override")];
    let load =
        LoadOptions { device: devices::flex(), precision: None, overrides: &overrides, progress: &mut |_, _| {} };
    let server = listening(Trust::default(), limits);
    server.serve(of(Llama::load(&folder(), load).expect("a model"), TEMPLATE, options));
    server
}

/// A model of Mamba and attention to a window in turn.
pub fn samba() -> Server {
    let tiny = open();
    let vocab = tiny.config.vocab_size;
    let config = format!(
        r#"{{"model_type": "samba", "vocab_size": {vocab}, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "state_size": 4, "sliding_window": 8}}"#
    );
    let config = LlamaConfig::from_json(&config, "test", &[]).expect("a config");
    let device = devices::flex();
    let model = LlamaForCausalLM::load(Weights::new(&mut RandomWeights(7), &device, Dtype::F32), &config);
    let mut llama = Llama::new(model.expect("random weights fit"), &config, &device, Dtype::F32);
    llama.tokenizer = tiny.tokenizer;
    let server = listening(Trust::default(), Limits::default());
    server.serve(of(llama, TEMPLATE, options()));
    server
}

/// A model without a tokenizer.
pub fn wordless() -> Server {
    let server = listening(Trust::default(), Limits::default());
    let llama = Llama { tokenizer: None, ..open() };
    server.serve(of(llama, TEMPLATE, options()));
    server
}

/// A model whose last norm has numbers that are none.
pub fn broken() -> Server {
    struct Broken;
    impl WeightSource for Broken {
        fn read(
            &mut self,
            weight: WeightSpec<'_>,
            rows: Range<usize>,
            dtype: Dtype,
        ) -> Result<TensorData, WeightError> {
            let is_last = weight.name == "model.norm.weight";
            let part = weight.shape_of(&rows);
            let data = RandomWeights(7).read(weight, rows, dtype)?;
            let count = part.iter().product();
            Ok(if is_last { TensorData::new(vec![f32::NAN; count], part) } else { data })
        }
    }
    let llama = open();
    let device = devices::flex();
    let model = LlamaForCausalLM::load(Weights::new(&mut Broken, &device, Dtype::F32), &llama.config);
    let llama = Llama::new(model.expect("weights fit"), &llama.config, &device, Dtype::F32);
    let server = listening(Trust::default(), Limits::default());
    server.serve(of(llama, TEMPLATE, options()));
    server
}

/// Tokens that nobody waits for.
pub const ENDLESS: usize = 100_000_000;

fn of(llama: Llama, template: &str, options: ServiceOptions) -> Served {
    let template = ChatTemplate::from_text(template, "test", &[("eos_token", "</s>")]).expect("a template");
    let identity = Identity {
        name: "tiny".to_owned(),
        aliases: vec!["org/tiny".to_owned()],
        template: Some(template),
        splits_reasoning: true,
        chat_stops: vec![],
        log: |_| {},
    };
    Served::new(Service::start(llama, options).expect("a service"), identity)
}

/// Listens at a free port, without a model yet.
pub fn listening(trust: Trust, limits: Limits) -> Server {
    Server::listen("127.0.0.1", 0, trust, limits).expect("a port")
}

pub fn start(trust: Trust, limits: Limits, options: ServiceOptions) -> Server {
    let server = listening(trust, limits);
    server.serve(served(options));
    server
}

/// The server that most tests share.
pub fn shared() -> SocketAddr {
    static SERVER: LazyLock<Server> = LazyLock::new(|| {
        let limits = Limits { ping: Duration::from_millis(500), ..Limits::default() };
        start(Trust::default(), limits, options())
    });
    SERVER.address()
}
