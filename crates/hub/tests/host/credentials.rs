//! The token goes to the hub, and nowhere else.

use super::server::{Fault, OLD_NAME, Server};
use super::*;

fn with_token(server: &Server, cache: &TempDir) -> HubOptions {
    HubOptions { token: Some("hf_secret".to_owned()), ..options(server, cache.path()) }
}

fn all_carry_it(requests: &[String]) -> bool {
    !requests.is_empty() && requests.iter().all(|line| line.ends_with(" [Bearer hf_secret]"))
}

#[track_caller]
fn assert_none_carries_one(requests: &[String]) {
    assert!(!requests.is_empty());
    for line in requests {
        assert!(!line.contains('['), "{line}");
    }
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = with_token(&server, &cache);
    server.fail(Fault::Status(403), "/resolve/");
    let message = get(&options).unwrap_err();
    assert!(!message.contains("hf_secret"), "{message}");
    server.heal();
    get(&options).unwrap();
    // Its storage is at the same address here.
    assert!(all_carry_it(&server.requests()));
}

/// Storage at another address, in one piece and after a broken connection.
#[test]
fn storage_never_sees_the_token() {
    for refuses_credentials in [false, true] {
        let (hub, storage) = (Server::new(&repository()), Server::new(&repository()));
        let cache = TempDir::new().unwrap();
        let options = with_token(&hub, &cache);
        hub.set(|state| state.storage = Some(storage.address.clone()));
        storage.set(|state| state.refuses_credentials = refuses_credentials);
        storage.fail(Fault::HalfBody, "/cdn/");
        assert_says(&get(&options).unwrap_err(), &["broke off"]);
        storage.heal();
        assert_whole(&get(&options).unwrap());
        assert!(all_carry_it(&hub.requests()));
        assert_none_carries_one(&storage.requests());
        assert!(storage.served("model.safetensors"));
    }
}

/// A hub that sends every request on to another: that one is not the one that the token is for.
#[test]
fn a_hub_that_moved_takes_no_token_along() {
    for refuses_credentials in [false, true] {
        let (old, new) = (Server::new(&[]), Server::new(&repository()));
        let cache = TempDir::new().unwrap();
        old.set(|state| state.moved = Some(new.address.clone()));
        new.set(|state| state.refuses_credentials = refuses_credentials);
        assert_whole(&get(&with_token(&old, &cache)).unwrap());
        assert!(all_carry_it(&old.requests()));
        assert_none_carries_one(&new.requests());
    }
    // The same host by another name, in an address without a scheme.
    let (old, new) = (Server::new(&[]), Server::new(&repository()));
    let cache = TempDir::new().unwrap();
    let port = new.address.rsplit_once(':').unwrap().1.to_owned();
    old.set(|state| state.moved = Some(format!("//localhost:{port}")));
    assert_whole(&get(&with_token(&old, &cache)).unwrap());
    assert_none_carries_one(&new.requests());
}

/// A renamed model is at the same hub: without the token, a private one could not be read.
#[test]
fn a_renamed_model_is_asked_for_with_the_token() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = with_token(&server, &cache);
    assert_whole(&resolve(OLD_NAME, None, &options, &mut |_| ()).unwrap());
    assert!(all_carry_it(&server.requests()));
    assert!(server.requests().iter().any(|line| line.contains(OLD_NAME)));
}

#[test]
fn redirects_without_end() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    server.set(|state| state.moved = Some(server.address.clone()));
    assert_says(&get(&options(&server, cache.path())).unwrap_err(), &["cannot be reached", "too many redirects"]);
}
