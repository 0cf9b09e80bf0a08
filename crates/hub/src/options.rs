//! The settings of the hub, and the environment variables that the Python library reads them from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to reach the hub and where to keep what came from it. Has no `Debug`, so that no log can show the token.
#[derive(Clone)]
pub struct HubOptions {
    /// Address of the hub, without a slash at the end.
    pub endpoint: String,
    /// Folder of the cache; `None` if the environment gives no place for one.
    pub cache: Option<PathBuf>,
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

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let set = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        };
        let text =
            |names: &[&str]| set(names).map(|value| value.to_string_lossy().trim().to_owned());
        let path =
            |names: &[&str]| set(names).map(|value| expand(Path::new(&value), home.as_deref()));

        let hf_home = path(&["HF_HOME"]).or_else(|| {
            path(&["XDG_CACHE_HOME"])
                .or_else(|| home.as_ref().map(|home| home.join(".cache")))
                .map(|caches| caches.join("huggingface"))
        });
        let cache = path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
            .or_else(|| hf_home.as_ref().map(|hf_home| hf_home.join("hub")));
        let token = text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
            .or_else(|| {
                let file = path(&["HF_TOKEN_PATH"])
                    .or_else(|| hf_home.map(|hf_home| hf_home.join("token")))?;
                Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
            })
            .filter(|token| !token.is_empty());
        let offline = text(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]).is_some_and(|value| {
            ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
        });
        let endpoint =
            text(&["HF_ENDPOINT"]).unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache,
            token,
            offline,
            patience: Duration::from_secs(60),
        }
    }
}

/// Replaces a leading `~`, as the Python library does; no shell has seen these values.
fn expand(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> HubOptions {
        let variable = |name: &str| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(value))
        };
        HubOptions::from_variables(variable, Some(PathBuf::from("/home/a")))
    }

    #[test]
    fn where_the_cache_is() {
        let cache = |variables: &[(&str, &str)]| from(variables).cache.unwrap();
        assert_eq!(cache(&[]), Path::new("/home/a/.cache/huggingface/hub"));
        assert_eq!(
            cache(&[("XDG_CACHE_HOME", "/x")]),
            Path::new("/x/huggingface/hub")
        );
        assert_eq!(
            cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")]),
            Path::new("/home/a/h/hub")
        );
        assert_eq!(
            cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]),
            Path::new("/c")
        );
        assert_eq!(
            cache(&[("HF_HOME", ""), ("HUGGINGFACE_HUB_CACHE", "/o")]),
            Path::new("/o")
        );
        assert!(HubOptions::from_variables(|_| None, None).cache.is_none());
    }

    #[test]
    fn endpoint_token_and_offline() {
        let plain = from(&[("HF_HUB_OFFLINE", "0")]);
        assert_eq!(
            (plain.endpoint.as_str(), plain.offline),
            ("https://huggingface.co", false)
        );
        assert!(from(&[("HF_HUB_OFFLINE", "true")]).offline);
        assert_eq!(
            from(&[("HF_ENDPOINT", "http://mirror/ ")]).endpoint,
            "http://mirror"
        );

        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "from_file\n").unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(
            from(&[("HF_HOME", home)]).token.as_deref(),
            Some("from_file")
        );
        assert_eq!(
            from(&[("HF_HOME", home), ("HF_TOKEN", "given")])
                .token
                .as_deref(),
            Some("given")
        );
        assert_eq!(
            from(&[("HF_HOME", home), ("HF_TOKEN_PATH", "/absent")]).token,
            None
        );
    }
}
