//! What every request passes before anything reads it.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::{respond::Dialect, server::App};
use crate::api::{ApiError, random};

/// What needs no key: whether the server lives, and a page without anybody's data.
const OPEN: [&str; 3] = ["/", "/health", "/v1/health"];

/// Lets a request through, or says why not; names every answer, and tells browsers who may read it.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let headers = request.headers();
    let host = text(headers, header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let host = host.unwrap_or_default().to_owned();
    let origin = headers.get(header::ORIGIN).cloned();
    let dialect = Dialect::of_path(&path);

    let mut response = match admit(&app, &path, &method, headers, &host) {
        Err(error) => dialect.error(&error),
        Ok(()) if method == Method::OPTIONS => preflight(headers),
        Ok(()) => next.run(request).await,
    };
    let mut id = String::from("req_");
    // Writing to a string does not fail.
    let _ = write!(id, "{:016x}", random());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        // OpenAI's clients read one, and Anthropic's the other.
        headers.insert("x-request-id", id.clone());
        headers.insert("request-id", id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let allowed = |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| app.trust.allows_origin(origin, &host));
    if let Some(origin) = origin.filter(allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let names = HeaderValue::from_static("x-request-id, request-id, retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
    response
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn admit(app: &App, path: &str, method: &Method, headers: &HeaderMap, host: &str) -> Result<(), ApiError> {
    if !app.trust.knows_host(host) {
        let message =
            "the name in Host is not this server's: ask by its address or as localhost, or start it with a key";
        return Err(ApiError::forbidden(message));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let allowed = origin.to_str().is_ok_and(|origin| app.trust.allows_origin(origin, host));
        if !allowed {
            return Err(ApiError::forbidden("pages of this origin may not ask: --cors ORIGIN lets them"));
        }
    }
    let Some(keys) = app.trust.keys.as_ref().filter(|_| method != Method::OPTIONS && !OPEN.contains(&path)) else {
        return Ok(());
    };
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    };
    match headers.get("x-api-key").map(HeaderValue::as_bytes).or_else(bearer) {
        Some(key) if keys.has(key.trim_ascii()) => Ok(()),
        Some(_) => Err(ApiError::unauthorized("this is not a key of this server")),
        None => Err(ApiError::unauthorized("this server wants a key: Authorization: Bearer KEY, or x-api-key: KEY")),
    }
}

/// What browsers ask before they ask.
fn preflight(headers: &HeaderMap) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let allowed = response.headers_mut();
    allowed.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    let usual = || HeaderValue::from_static("authorization, content-type, x-api-key");
    allowed.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or_else(usual));
    allowed.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}
