//! What the environment says of the hub.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use glass_hub::HubOptions;

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
    assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
    assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")]), Path::new("/home/a/h/hub"));
    assert_eq!(cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
    assert_eq!(cache(&[("HF_HOME", ""), ("HUGGINGFACE_HUB_CACHE", "/o")]), Path::new("/o"));
    assert_eq!(from(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")]).own.unwrap(), Path::new("/x/glass-llama"));
    let nowhere = HubOptions::from_variables(|_| None, None);
    assert!(nowhere.cache.is_none() && nowhere.own.is_none());
}

#[test]
fn endpoint_token_and_offline() {
    let plain = from(&[("HF_HUB_OFFLINE", "0")]);
    assert_eq!((plain.endpoint.as_str(), plain.offline), ("https://huggingface.co", false));
    assert!(from(&[("HF_HUB_OFFLINE", "true")]).offline);
    assert_eq!(from(&[("HF_ENDPOINT", "http://mirror/ ")]).endpoint, "http://mirror");

    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("token"), "from_file\n").unwrap();
    let home = home.path().to_str().unwrap();
    assert_eq!(from(&[("HF_HOME", home)]).token.as_deref(), Some("from_file"));
    assert_eq!(from(&[("HF_HOME", home), ("HF_TOKEN", "given")]).token.as_deref(), Some("given"));
    assert_eq!(from(&[("HF_HOME", home), ("HF_TOKEN_PATH", "/absent")]).token, None);
}
