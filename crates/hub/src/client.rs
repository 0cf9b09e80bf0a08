//! Requests to the hub, and the one place that knows the token.

use ureq::http::{HeaderMap, Response, Uri};
use ureq::{Agent, Body, Error};

use crate::{HubError, HubOptions};

const MAX_REDIRECTS: usize = 10;

/// Asks the hub, and the hosts that it redirects to. Has no `Debug`, so that no log can show the token.
pub struct Client {
    agent: Agent,
    hub: Uri,
    token: Option<String>,
}

impl Client {
    pub fn new(options: &HubOptions) -> Result<Self, HubError> {
        let is_http = |hub: &Uri| matches!(hub.scheme_str(), Some("http" | "https"));
        let hub = options.endpoint.parse().ok().filter(is_http);
        if options.token.as_ref().is_some_and(|token| !token.chars().all(|letter| letter.is_ascii_graphic())) {
            return Err(HubError::BadToken);
        }
        let config = Agent::config_builder()
            // Redirects are followed below, where each request decides anew whether it may carry the token.
            .max_redirects(0)
            // Compressed answers have other lengths than the files.
            .accept_encoding("")
            .http_status_as_error(false)
            .timeout_resolve(Some(options.patience))
            .timeout_connect(Some(options.patience))
            .timeout_per_read(Some(options.patience));
        Ok(Self {
            agent: config.build().into(),
            hub: hub.ok_or_else(|| {
                // What stands before an @ may be a password, wherever a broken address has it.
                let host = options.endpoint.rsplit_once('@').map(|(_, host)| format!("***@{host}"));
                HubError::BadEndpoint(host.unwrap_or_else(|| options.endpoint.clone()))
            })?,
            token: options.token.clone(),
        })
    }

    /// The answer to a request for `url` from byte `from` on, whatever its status, after all redirects; `see` is shown the
    /// headers of each answer on the way.
    pub fn get(&self, url: &str, from: u64, mut see: impl FnMut(&HeaderMap)) -> Result<Response<Body>, Error> {
        let mut url: Uri = url.parse().map_err(ureq::http::Error::from)?;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.agent.get(&url);
            // Stricter than the same origin (RFC 6454): a port that is not named is not taken for the default one.
            let is_hub = url.scheme() == self.hub.scheme() && url.authority() == self.hub.authority();
            if let Some(token) = self.token.as_ref().filter(|_| is_hub) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let answer = request.call()?;
            see(answer.headers());
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let next = header(answer.headers(), "location").and_then(|to| join(&url, to));
            // The address itself is not shown: it may hold a credential of its own.
            url = next.ok_or_else(|| Error::BadUri("in a redirect".to_owned()))?;
        }
        Err(Error::TooManyRedirects)
    }
}

pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The address that a redirect from `base` to `location` means: a whole address, or a path from `/` on.
fn join(base: &Uri, location: &str) -> Option<Uri> {
    let location = match location.strip_prefix("//") {
        Some(rest) => format!("{}://{rest}", base.scheme_str()?),
        None => location.to_owned(),
    };
    let mut parts = location.parse::<Uri>().ok()?.into_parts();
    parts.scheme = parts.scheme.or_else(|| base.scheme().cloned());
    parts.authority = parts.authority.or_else(|| base.authority().cloned());
    Uri::from_parts(parts).ok()
}
