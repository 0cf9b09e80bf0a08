//! The settings of the hub, and the environment variables that the Python library reads them from.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach the hub and where to keep what came from it. Has no `Debug`, so that no log can show the token.
#[derive(Clone)]
pub struct HubOptions {
    /// Address of the hub, without a slash at the end.
    pub endpoint: String,
    /// Folder of the cache; `None` if the environment gives no place for one.
    pub cache: Option<PathBuf>,
    /// Folder of this program's own among the user's caches, for what it makes of models; `None` as for `cache`.
    pub own: Option<PathBuf>,
    /// Sent as the bearer token, for gated and private models.
    pub token: Option<String>,
    /// Use the cache only, never the network.
    pub offline: bool,
    /// How long a server may be silent before the download is given up.
    pub patience: Duration,
}

impl HubOptions {
    /// Reads `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH` (else the file
    /// `token` in `HF_HOME`) and `HF_HUB_OFFLINE`, with the older names `HUGGINGFACE_HUB_CACHE`,
    /// `HUGGING_FACE_HUB_TOKEN` and `TRANSFORMERS_OFFLINE`, as `huggingface_hub` does
    /// (<https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>).
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name), std::env::home_dir())
    }

    /// The same from other variables and another home folder.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| Some(set(name)?.to_string_lossy().trim().to_owned());
        // A leading `~` is the home folder, as in the Python library; no shell has seen these values.
        let path = |name: &str| {
            let path = PathBuf::from(set(name)?);
            let in_home = path.strip_prefix("~").ok().zip(home.as_ref());
            Some(in_home.map_or(path.clone(), |(rest, home)| home.join(rest)))
        };
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")));
        let own = caches.as_ref().map(|caches| caches.join("glass-llama"));
        let hf_home = path("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
        let in_hf_home = |name| Some(hf_home.as_ref()?.join(name));
        let token_file = path("HF_TOKEN_PATH").or_else(|| in_hf_home("token"));
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| Some(std::fs::read_to_string(token_file?).ok()?.trim().to_owned()));
        let offline = text("HF_HUB_OFFLINE").or_else(|| text("TRANSFORMERS_OFFLINE"));
        let offline = offline.map(|value| value.to_ascii_uppercase());
        let endpoint = text("HF_ENDPOINT").unwrap_or("https://huggingface.co".to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).or_else(|| in_hf_home("hub")),
            own,
            token: token.filter(|token| !token.is_empty()),
            offline: ["1", "ON", "YES", "TRUE"].map(Some).contains(&offline.as_deref()),
            patience: Duration::from_secs(60),
        }
    }
}
