//! What the hub says of a repository: its commit and its files.

use serde::Deserialize;

use super::fetch::Download;
use super::{HubError, is_commit};

/// The hub's description of a repository at one commit.
#[derive(Deserialize)]
pub(super) struct Listing {
    pub sha: String,
    pub siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
pub(super) struct Sibling {
    pub rfilename: String,
    pub size: Option<u64>,
}

impl Listing {
    pub fn get(&self, file: &str) -> Option<&Sibling> {
        self.siblings
            .iter()
            .find(|sibling| sibling.rfilename == file)
    }
}

impl Download<'_> {
    /// Asks which commit `revision` is, which files it has and how long they are.
    pub(super) fn listing(&self) -> Result<Listing, HubError> {
        let repo = self.api.repo(self.repo(self.revision));
        let url = format!(
            "{}/api/{}",
            self.options.endpoint,
            self.repo(self.revision).api_url()
        );
        let unreachable = |error: ureq::Error| HubError::Unreachable {
            model: self.name(),
            endpoint: self.options.endpoint.clone(),
            reason: error.to_string(),
        };
        let not_a_hub = |reason: String| HubError::NotAHub {
            model: self.name(),
            url: url.clone(),
            reason,
        };
        let mut response = repo
            .info_request()
            .query("blobs", "true")
            .config()
            .http_status_as_error(false)
            .timeout_global(Some(self.options.patience))
            .build()
            .call()
            .map_err(unreachable)?;
        let status = response.status().as_u16();
        if status != 200 {
            let reason = response.headers().get("x-error-message");
            let reason = reason
                .and_then(|reason| reason.to_str().ok())
                .unwrap_or_default();
            return Err(self.status(status, reason, url));
        }
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        let listing: Listing =
            serde_json::from_str(&text).map_err(|error| not_a_hub(error.to_string()))?;
        if !is_commit(&listing.sha) {
            return Err(not_a_hub(format!("commit {:?}", listing.sha)));
        }
        Ok(listing)
    }

    /// The error that an HTTP status other than success stands for.
    pub(super) fn status(&self, status: u16, reason: &str, url: String) -> HubError {
        let model = self.name();
        // The message comes from the server: no line breaks, no control characters.
        let reason: String = reason
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let reason = if reason.is_empty() {
            reason
        } else {
            format!(": {reason}")
        };
        match status {
            401 | 403 => HubError::Denied {
                page: format!("{}/{}", self.options.endpoint, self.model),
                model,
                status,
                reason,
                url,
            },
            404 => HubError::NotFound { model, reason, url },
            429 | 500.. => HubError::Server {
                model,
                status,
                reason,
                url,
            },
            _ => HubError::NotAHub {
                model,
                url,
                reason: format!("HTTP {status}{reason}"),
            },
        }
    }
}
