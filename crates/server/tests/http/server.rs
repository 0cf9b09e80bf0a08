//! Servers to ask.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, sync::LazyLock, time::Duration};

use glass_generate::Llama;
use glass_server::{
    Identity, Limits, Served, Server, Trust,
    engine::{Service, ServiceOptions},
};
use glass_testing::devices;
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
    let llama = Llama::open(&folder(), devices::flex()).expect("a model");
    let template = ChatTemplate::from_text(TEMPLATE, "test", &[("eos_token", "</s>")]).expect("a template");
    let identity = Identity {
        name: "tiny".to_owned(),
        aliases: vec!["org/tiny".to_owned()],
        template: Some(template),
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
