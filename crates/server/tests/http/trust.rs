//! Who may come in.

use glass_server::{Keys, Limits, Trust};
use serde_json::json;

use crate::{
    client::{get, request},
    server::{options, shared, start},
};

#[test]
fn a_key_opens_everything_but_health_and_the_page() {
    let keys = Keys::parse("0123456789abcdef\nfedcba9876543210").unwrap();
    let server = start(Trust { keys: Some(keys), ..Trust::default() }, Limits::default(), options());
    let address = server.address();
    for path in ["/health", "/"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    let models = |headers: &[(&str, &str)]| request(address, "GET", "/v1/models", headers, "").status;
    for headers in [
        [("authorization", "Bearer 0123456789abcdef")],
        [("authorization", "bearer fedcba9876543210")],
        [("x-api-key", "fedcba9876543210")],
    ] {
        assert_eq!(models(&headers), 200, "{headers:?}");
    }
    for headers in [
        [("authorization", "Bearer 0123456789abcdeF")],
        [("authorization", "Basic 0123456789abcdef")],
        [("x-api-key", "")],
    ] {
        assert_eq!(models(&headers), 401, "{headers:?}");
    }
    for path in ["/metrics", "/v1/models", "/v1/nothing", "/v1/glass/trace", "//v1/models"] {
        let refused = get(address, path);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{path}");
    }
    let anthropic = request(address, "POST", "/v1/messages", &[], "{}");
    assert_eq!((anthropic.status, &anthropic.json()["error"]["type"]), (401, &json!("authentication_error")));
    // Who has a key may call the server by any name.
    assert_eq!(models(&[("host", "glass.example"), ("x-api-key", "0123456789abcdef")]), 200);
}

#[test]
fn a_name_that_was_rebound_is_refused() {
    for (host, status) in [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:80", 403),
    ] {
        assert_eq!(request(shared(), "GET", "/v1/models", &[("host", host)], "").status, status, "{host}");
    }
}

#[test]
fn pages_of_listed_origins_may_ask() {
    let trust = Trust { origins: vec!["https://chat.example".into()], ..Trust::default() };
    let server = start(trust, Limits::default(), options());
    let address = server.address();
    for origin in ["https://chat.example", "http://localhost:3000"] {
        let answer = request(address, "GET", "/v1/models", &[("origin", origin)], "");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)));
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-stainless-os"),
        ];
        let preflight = request(address, "OPTIONS", "/v1/chat/completions", &asked, "");
        assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (204, Some("x-stainless-os")));
    }
    for origin in ["https://evil.example", "null"] {
        let answer = request(address, "POST", "/v1/completions", &[("origin", origin)], "{\"prompt\": \"a\"}");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None), "{origin}");
        assert_eq!(request(address, "OPTIONS", "/v1/completions", &[("origin", origin)], "").status, 403);
    }
}
