//! Whose requests are read.

use std::{fmt, net::IpAddr};

use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

/// Keys of which a request must bring one.
#[derive(Clone)]
pub struct Keys(Vec<String>);

/// Why there are no keys. Each message is one line, and shows no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    #[error("there is no key: put one on a line of its own")]
    None,
    #[error("line {line} is no key: a key is 16 letters or more, without spaces and in ASCII")]
    NotAKey { line: usize },
}

impl Keys {
    /// One key on each line; what begins with # is a remark.
    ///
    /// # Errors
    /// No key, or one that nobody can send or anybody can guess.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let key = line.trim();
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            if key.len() < 16 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(KeyError::NotAKey { line: index + 1 });
            }
            keys.push(key.to_owned());
        }
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self(keys)) }
    }

    /// Whether this is one of them. The time does not depend on how much of a key is right.
    pub fn has(&self, key: &[u8]) -> bool {
        let found = self.0.iter().fold(Choice::from(0), |found, own| found | own.as_bytes().ct_eq(key));
        found.into()
    }
}

/// No key is ever shown.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// Who may come in.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// `None`: whoever reaches the port.
    pub keys: Option<Keys>,
    /// Web pages whose scripts may ask, as `https://example.org`; `*`: all. Pages of this machine may anyway.
    pub origins: Vec<String>,
    /// The name that the server was told to listen at, beside addresses and localhost.
    pub host: Option<String>,
}

impl Trust {
    /// Whether a request may be meant for this server. A page elsewhere can give its own name this machine's address (DNS
    /// rebinding) and would then ask as if it were served from here; the name in `Host` tells. Who has a key needs no name.
    pub fn knows_host(&self, host: &str) -> bool {
        let name = host_name(host);
        self.keys.is_some() || is_address(name) || is_localhost(name) || self.host.as_deref() == Some(name)
    }

    /// Whether scripts of this origin may ask. `host` is the request's own.
    pub fn allows_origin(&self, origin: &str, host: &str) -> bool {
        // A browser's has small letters, and no slash at its end.
        let is = |allowed: &String| allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin);
        if self.origins.iter().any(is) {
            return true;
        }
        let Some(authority) = origin.split_once("://").map(|(_, authority)| authority) else {
            return false;
        };
        let name = host_name(authority);
        authority.eq_ignore_ascii_case(host) || is_localhost(name) || name == "127.0.0.1" || name == "::1"
    }
}

/// The name of a host without its port.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(name, _)| name);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_as_a_whole() {
        let keys = Keys::parse("# mine\n 0123456789abcdef \n\nfedcba9876543210\n").unwrap();
        assert!(keys.has(b"0123456789abcdef") && keys.has(b"fedcba9876543210"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "# mine"] {
            assert!(!keys.has(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{keys:?}"), "2 keys");
        assert_eq!(Keys::parse("# nothing\n").unwrap_err(), KeyError::None);
        for bad in ["short", "with space 0123456789", "0123456789abcdeé"] {
            assert_eq!(Keys::parse(bad).unwrap_err(), KeyError::NotAKey { line: 1 }, "{bad}");
        }
    }

    #[test]
    fn names_of_other_hosts_are_not_known() {
        let open = Trust { host: Some("glass.lan".into()), ..Trust::default() };
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.168.1.7",
            "a.localhost:1",
            "glass.lan:80",
        ] {
            assert!(open.knows_host(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", ""] {
            assert!(!open.knows_host(host), "{host}");
        }
        let keyed = Trust { keys: Some(Keys::parse("0123456789abcdef").unwrap()), ..Trust::default() };
        assert!(keyed.knows_host("evil.example"));
    }

    #[test]
    fn pages_of_other_hosts_may_not_ask() {
        let origins = vec!["https://chat.example".into(), "https://Slash.example/".into()];
        let trust = Trust { origins, ..Trust::default() };
        for origin in [
            "https://chat.example",
            "https://slash.example",
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "http://[::1]:1",
            "http://10.0.0.1:8080",
        ] {
            assert!(trust.allows_origin(origin, "10.0.0.1:8080"), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "http://chat.example",
            "null",
            "http://localhost.evil.example",
            "http://10.0.0.1:81",
        ] {
            assert!(!trust.allows_origin(origin, "10.0.0.1:8080"), "{origin}");
        }
        assert!(Trust { origins: vec!["*".into()], ..Trust::default() }.allows_origin("null", ""));
    }
}
