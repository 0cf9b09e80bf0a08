//! What a cache or a repository holds, and lacks.

use super::*;

/// A cache that another program filled: complete enough to run, but with optional files unaccounted for.
#[test]
fn a_cache_made_by_others() {
    let (mut server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let repo = cache.path().join("models--some-org--some.model");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for (name, bytes) in repository() {
        if ["config.json", "tokenizer.json", "model.safetensors"].contains(&name) {
            fs::write(snapshot.join(name), bytes).unwrap();
        }
    }
    let mut options = options(&server, cache.path());
    // Out of reach: used, and said so.
    server.fail(Fault::Drop, "");
    let mut seen = Seen::default();
    assert_eq!(get_seen(None, &options, &mut seen).unwrap(), snapshot);
    assert!(matches!(&seen.warnings[..], [line] if line.contains("cannot be reached") && line.contains("cached")));
    // In reach: what is missing comes, what is there stays.
    server.heal();
    assert_whole(&get(&options).unwrap());
    assert!(server.served("generation_config.json") && !server.served("model.safetensors"));

    server.shut();
    options.offline = true;
    fs::remove_file(snapshot.join("config.json")).unwrap();
    assert_says(&get(&options).unwrap_err(), &["lacks its config.json"]);
}

#[test]
fn repositories_that_hold_no_model_for_this_crate() {
    for (absent, part) in [
        ("config.json", "the repository has neither config.json nor a GGUF file"),
        (
            "model.safetensors",
            "the repository has neither model.safetensors nor model.safetensors.index.json nor a GGUF",
        ),
    ] {
        let mut files = repository();
        files.retain(|(name, _)| *name != absent);
        let (server, cache) = (Server::new(&files), TempDir::new().unwrap());
        assert_says(
            &get(&options(&server, cache.path())).unwrap_err(),
            &[NAME, part, "save_pretrained"][..2 + usize::from(absent != "config.json")],
        );
        assert_eq!(server.requests().len(), 1, "nothing is fetched in vain");
    }
}

/// A model that takes and gives ids needs no tokenizer.
#[test]
fn a_repository_without_a_tokenizer() {
    let mut files = repository();
    files.retain(|(name, _)| *name != "tokenizer.json");
    let (mut server, cache) = (Server::new(&files), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    let folder = get(&options).unwrap();
    assert!(folder.join("model.safetensors").exists() && !folder.join("tokenizer.json").exists());
    server.shut();
    assert_eq!(get(&options).unwrap(), folder, "known not to exist: nobody is asked again");
}
