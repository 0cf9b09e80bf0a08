//! What there is: paths, and what each of them does.

use std::{error::Error, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{Uri, header},
    middleware::from_fn_with_state,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    guard::guard,
    metrics,
    respond::{Dialect, json as json_response, typed},
    server::App,
    stream,
};
use crate::{
    api::{ApiError, Asked, Served, chat, completions, embeddings, messages, responses, tokens},
    trace,
};

type Shared = State<Arc<App>>;

/// The page with everything in it.
const PAGE: &str = include_str!("../page.html");

pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .route("/metrics", get(numbers))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/v1/chat/completions", post(|app, request| generate(app, request, chat::ask)))
        .route("/v1/completions", post(|app, request| generate(app, request, completions::ask)))
        .route("/v1/responses", post(|app, request| generate(app, request, responses::ask)))
        .route("/v1/messages", post(|app, request| generate(app, request, messages::ask)))
        .route("/v1/messages/count_tokens", post(|app, request| compute(app, request, messages::count)))
        .route("/v1/embeddings", post(embed))
        .route("/tokenize", post(|app, request| compute(app, request, tokens::tokenize)))
        .route("/detokenize", post(|app, request| compute(app, request, tokens::detokenize)))
        .route("/v1/glass/trace", post(see))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

async fn page() -> Response {
    let mut response = typed("text/html; charset=utf-8", PAGE);
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
                  form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, axum::http::HeaderValue::from_static(policy));
    headers.insert(header::REFERRER_POLICY, axum::http::HeaderValue::from_static("no-referrer"));
    response
}

async fn health(State(app): Shared) -> Response {
    let ready = app.served().and_then(|served| match served.service.is_running() && !served.is_leaving() {
        true => Ok(json_response(&json!({ "status": "ok" }))),
        false => Err(ApiError::unavailable("the server is shutting down", 5)),
    });
    ready.unwrap_or_else(|error| Dialect::OpenAi.error(&error))
}

async fn numbers(State(app): Shared) -> Response {
    match app.served() {
        Ok(served) => typed("text/plain; version=0.0.4; charset=utf-8", metrics::text(&served.service.stats())),
        Err(error) => Dialect::OpenAi.error(&error),
    }
}

/// A model as OpenAI describes one, and what clients of this server like to know.
fn described(name: &str, served: &Served) -> Value {
    let config = &served.llama().config;
    json!({
        "id": name, "object": "model", "created": served.created, "owned_by": "glass-llama",
        // vLLM's name of the same number.
        "max_model_len": served.service.context(),
        "meta": {
            "context": served.service.context(),
            "vocab_size": config.vocab_size,
            "layers": config.layers.len(),
            "chat": served.identity.template.is_some(),
            "tools": served.syntax.is_some(),
            "device": served.llama().device.name(),
            "precision": served.llama().precision.to_string(),
        },
    })
}

async fn models(State(app): Shared) -> Response {
    match app.served() {
        Ok(served) => {
            let names = [&served.identity.name].into_iter().chain(&served.identity.aliases);
            let data: Vec<Value> = names.map(|name| described(name, served)).collect();
            json_response(&json!({ "object": "list", "data": data }))
        }
        Err(error) => Dialect::OpenAi.error(&error),
    }
}

async fn model(State(app): Shared, Path(name): Path<String>) -> Response {
    let found = app.served().and_then(|served| {
        served.check_name(Some(&name))?;
        Ok(json_response(&described(&name, served)))
    });
    found.unwrap_or_else(|error| Dialect::OpenAi.error(&error))
}

async fn no_such_path(uri: Uri) -> Response {
    let error = ApiError::not_found(format!("there is no {} here", uri.path()));
    Dialect::of_path(uri.path()).error(&error)
}

async fn wrong_method(uri: Uri) -> Response {
    let error = ApiError::method_not_allowed(format!("{} is asked otherwise: see the guide", uri.path()));
    Dialect::of_path(uri.path()).error(&error)
}

/// Whether what failed is the connection or its framing.
fn is_of_connection(error: &(dyn Error + 'static)) -> bool {
    error.is::<hyper::Error>() || error.source().is_some_and(is_of_connection)
}

/// The whole body of a request.
async fn read(app: &App, body: Body) -> Result<Vec<u8>, ApiError> {
    let limit = app.limits.body;
    let too_large = || ApiError::too_large(format!("the body is larger than the {limit} bytes that are read"));
    if hyper::body::Body::size_hint(&body).lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout(app.limits.body_time, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        // Who has closed only its own side still hears this.
        Ok(Err(error)) if is_of_connection(&error) => {
            Err(ApiError::bad_request("the body broke off, or is not in chunks as its header says: send all of it"))
        }
        // There is more of it.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(ApiError::too_slow("the body did not come in time")),
    }
}

/// Reads a request and does what may take a moment of the CPU's, on a thread for it.
async fn on_thread<T: Send + 'static>(
    app: &App,
    request: Request,
    work: impl FnOnce(&Served, &[u8]) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let served = app.served()?.clone();
    let body = read(app, request.into_body()).await?;
    match timeout(app.limits.work_time, spawn_blocking(move || work(&served, &body))).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(ApiError::internal("the request could not be read: this is a bug")),
        Err(_) => Err(ApiError::unavailable(
            "it took too long to read the request: the server is busy, or it is too large",
            5,
        )),
    }
}

async fn generate(
    State(app): Shared,
    request: Request,
    ask: fn(&Served, &[u8]) -> Result<Asked, ApiError>,
) -> Response {
    let dialect = Dialect::of_path(request.uri().path());
    let answer = async {
        let mut asked = on_thread(&app, request, ask).await?;
        let served = app.served()?.clone();
        if asked.stream {
            return Ok(stream::events(served, asked, app.limits.ping));
        }
        let answers = asked.answers.collect(&served).await?;
        Ok(json_response(&asked.protocol.whole(answers, &served)))
    };
    answer.await.unwrap_or_else(|error: ApiError| dialect.error(&error))
}

async fn compute(
    State(app): Shared,
    request: Request,
    work: fn(&Served, &[u8]) -> Result<Value, ApiError>,
) -> Response {
    let dialect = Dialect::of_path(request.uri().path());
    match on_thread(&app, request, work).await {
        Ok(value) => json_response(&value),
        Err(error) => dialect.error(&error),
    }
}

async fn embed(State(app): Shared, request: Request) -> Response {
    let answer = async {
        let wanted = on_thread(&app, request, embeddings::read).await?;
        let served = app.served()?.clone();
        Ok(json_response(&wanted.compute(&served).await?))
    };
    answer.await.unwrap_or_else(|error: ApiError| Dialect::OpenAi.error(&error))
}

async fn see(State(app): Shared, request: Request) -> Response {
    let answer = async {
        let wanted = on_thread(&app, request, trace::read).await?;
        let served = app.served()?.clone();
        let (kind, body) = wanted.compute(&served).await?;
        Ok(typed(kind, body))
    };
    answer.await.unwrap_or_else(|error: ApiError| Dialect::OpenAi.error(&error))
}
