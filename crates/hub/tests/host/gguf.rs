//! Single files in place of folders.

use super::*;

/// Q8_0, Q4_K_M in two splits, and what lies beside models.
const FILES: [&str; 7] = [
    "README.md",
    "config.json",
    "deep/M-q5_k_m.gguf",
    "m-Q4_K_M-00001-of-00002.gguf",
    "m-Q4_K_M-00002-of-00002.gguf",
    "m.Q8_0.gguf",
    "mmproj-F16.gguf",
];

fn content(file: &str) -> Vec<u8> {
    file.bytes().cycle().take(1000).collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    FILES.map(|file| (file, if file == "config.json" { b"{}".to_vec() } else { content(file) })).to_vec()
}

/// What `model` is with `some-org/some.model` in front.
fn ask(model: &str, options: &HubOptions) -> (Result<PathBuf, String>, Seen) {
    let mut seen = Seen::default();
    let found = resolve(&format!("{NAME}{model}"), None, options, &mut |event| seen.see(event));
    (found.map_err(one_line), seen)
}

#[track_caller]
fn assert_is(path: &Path, file: &str, cache: &Path) {
    let snapshot = cache.join("models--some-org--some.model/snapshots").join(COMMIT);
    assert_eq!(path, snapshot.join(file));
    assert!(fs::read(path).unwrap() == content(file), "{file} differs");
}

#[test]
fn one_file_of_a_repository() {
    let (mut server, cache) = (Server::new(&files()), TempDir::new().unwrap());
    let mut options = options(&server, cache.path());
    let cases = [
        (":Q8_0", "m.Q8_0.gguf", 1),
        (":q8_0", "m.Q8_0.gguf", 0),
        ("/m.Q8_0.gguf", "m.Q8_0.gguf", 0),
        (":Q5_K_M", "deep/M-q5_k_m.gguf", 1),
        ("/deep/M-q5_k_m.gguf", "deep/M-q5_k_m.gguf", 0),
        (":q4_k_m", "m-Q4_K_M-00001-of-00002.gguf", 2),
        ("/m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00001-of-00002.gguf", 0),
    ];
    for (model, file, fetched) in cases {
        let before = server.requests().len();
        let (path, seen) = ask(model, &options);
        assert_is(&path.unwrap(), file, cache.path());
        assert_eq!((seen.files.len(), seen.warnings.len()), (fetched, 0), "{model}");
        let listing = usize::from(fetched > 0);
        assert_eq!(server.requests().len() - before, fetched + listing, "{model}");
    }
    let split = cache.path().join("models--some-org--some.model/snapshots").join(COMMIT).join(FILES[4]);
    assert!(fs::read(&split).unwrap() == content(FILES[4]));
    assert!(!server.served("README.md") && !server.served("config.json") && !server.served("mmproj-F16.gguf"));

    server.shut();
    for offline in [false, true] {
        options.offline = offline;
        for (model, file, _) in cases {
            assert_is(&ask(model, &options).0.unwrap(), file, cache.path());
        }
    }
    // A split that is gone.
    fs::remove_file(&split).unwrap();
    assert_says(&ask(":Q4_K_M", &options).0.unwrap_err(), &["HF_HUB_OFFLINE", "lacks its GGUF file of Q4_K_M"]);
    assert_says(&ask("/other.gguf", &options).0.unwrap_err(), &["HF_HUB_OFFLINE", "lacks its other.gguf"]);
}

#[test]
fn a_repository_of_nothing_else_needs_no_quantization() {
    let (mut server, cache) = (Server::new(&files()), TempDir::new().unwrap());
    let mut opened = options(&server, cache.path());
    let (path, seen) = ask("", &opened);
    assert_is(&path.unwrap(), FILES[3], cache.path());
    let [warning] = &seen.warnings[..] else { panic!("{:?}", seen.warnings) };
    assert_says(warning, &["of 3 GGUF files m-Q4_K_M-00001-of-00002.gguf is taken", "some-org/some.model:QUANT"]);
    let before = server.requests().len();
    assert_is(&ask("", &opened).0.unwrap(), FILES[3], cache.path());
    assert_eq!(server.requests().len(), before, "the cache needs no request");
    server.shut();
    opened.offline = true;
    assert_is(&ask("", &opened).0.unwrap(), FILES[3], cache.path());

    // Without a Q4_K_M the first; and in the cache, what is there.
    let mut files = files();
    files.retain(|(name, _)| !name.contains("Q4_K_M"));
    let (mut server, cache) = (Server::new(&files), TempDir::new().unwrap());
    let mut options = options(&server, cache.path());
    assert_is(&ask(":Q8_0", &options).0.unwrap(), "m.Q8_0.gguf", cache.path());
    let (path, seen) = ask("", &options);
    assert_is(&path.unwrap(), "deep/M-q5_k_m.gguf", cache.path());
    assert_says(&seen.warnings[0], &["of 2 GGUF files deep/M-q5_k_m.gguf is taken"]);
    server.shut();
    for offline in [false, true] {
        options.offline = offline;
        let (path, seen) = ask("", &options);
        assert_is(&path.unwrap(), "deep/M-q5_k_m.gguf", cache.path());
        assert_says(&seen.warnings[0], &["first GGUF file"]);
    }
}

/// Where there are safetensors, these are the model.
#[test]
fn a_folder_with_a_file_beside_it() {
    let mut files = repository();
    files.push(("m-Q4_K_M.gguf", content("m-Q4_K_M.gguf")));
    let (mut server, cache) = (Server::new(&files), TempDir::new().unwrap());
    let mut options = options(&server, cache.path());
    assert_is(&ask(":Q4_K_M", &options).0.unwrap(), "m-Q4_K_M.gguf", cache.path());
    assert_whole(&ask("", &options).0.unwrap());
    server.shut();
    options.offline = true;
    assert_is(&ask(":Q4_K_M", &options).0.unwrap(), "m-Q4_K_M.gguf", cache.path());
    assert_whole(&ask("", &options).0.unwrap());
}

/// Ids and config alone come from the small files.
#[test]
fn without_weights_a_folder_is_enough() {
    let mut files = repository();
    files.retain(|(name, _)| *name != "model.safetensors");
    files.push(("m-Q4_K_M.gguf", content("m-Q4_K_M.gguf")));
    let (server, cache) = (Server::new(&files), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    let folder = glass_hub::resolve_without_weights(NAME, None, &options, &mut |_| ()).unwrap();
    assert!(folder.join("tokenizer.json").exists() && !server.served("m-Q4_K_M.gguf"));
}

#[test]
fn what_a_repository_does_not_have() {
    let (server, cache) = (Server::new(&files()), TempDir::new().unwrap());
    let opened = options(&server, cache.path());
    for (model, parts) in [
        (":Q4_K", ["no GGUF file of \"Q4_K\"", "it has Q5_K_M, Q4_K_M, Q8_0"]),
        (":F16", ["no GGUF file of \"F16\"", "Q8_0"]),
        ("/m.Q2_K.gguf", ["no GGUF model m.Q2_K.gguf", "it has deep/M-q5_k_m.gguf, m-Q4_K_M-00001-of-00002.gguf"]),
        ("/m-Q4_K_M-00002-of-00002.gguf", ["no GGUF model", "m-Q4_K_M-00001-of-00002.gguf"]),
    ] {
        assert_says(&ask(model, &opened).0.unwrap_err(), &parts);
    }
    assert_eq!(server.requests().len(), 4, "nothing is fetched in vain");

    server.set(|state| drop(state.files.remove(FILES[4])));
    let message = ask(":Q4_K_M", &opened).0.unwrap_err();
    assert_says(&message, &["no m-Q4_K_M-00002-of-00002.gguf, one of the splits"]);
    assert!(!server.served(FILES[3]));

    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let message = ask(":Q4_K_M", &options(&server, cache.path())).0.unwrap_err();
    assert_says(&message, &[NAME, "no GGUF file of \"Q4_K_M\"; it has none"]);
}

/// Several models of one quantization: the first, and that is said.
#[test]
fn two_files_of_one_quantization() {
    let files = [("big-Q8_0.gguf", content("big-Q8_0.gguf")), ("small-Q8_0.gguf", content("small-Q8_0.gguf"))];
    let (server, cache) = (Server::new(&files), TempDir::new().unwrap());
    let (path, seen) = ask(":Q8_0", &options(&server, cache.path()));
    assert_is(&path.unwrap(), "big-Q8_0.gguf", cache.path());
    assert_says(&seen.warnings[0], &["of 2 GGUF files big-Q8_0.gguf is taken", "some-org/some.model/FILE"]);
}

#[test]
fn a_download_that_broke_off_goes_on() {
    let (server, cache) = (Server::new(&files()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    server.fail(Fault::HalfBody, FILES[4]);
    assert_says(&ask(":Q4_K_M", &options).0.unwrap_err(), &["download of m-Q4_K_M-00002-of-00002.gguf broke off"]);
    server.heal();
    let (path, seen) = ask(":Q4_K_M", &options);
    assert_is(&path.unwrap(), FILES[3], cache.path());
    assert_eq!(seen.files.len(), 1, "the first split was there");
}

#[test]
fn files_of_this_machine_and_addresses_of_the_hub() {
    let (server, cache) = (Server::new(&files()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("x.gguf");
    fs::write(&file, "x").unwrap();
    let ask = |model: &str, revision| resolve(model, revision, &options, &mut |_| ()).map_err(one_line);
    let path = file.to_str().unwrap();
    assert_eq!(ask(path, None).unwrap(), file);
    // As other programs keep it.
    let blob = folder.path().join("sha256-12");
    fs::write(&blob, "GGUF...").unwrap();
    assert_eq!(ask(blob.to_str().unwrap(), None).unwrap(), blob);
    let other = folder.path().join("model.safetensors");
    fs::write(&other, "x").unwrap();
    let message = ask(other.to_str().unwrap(), None).unwrap_err();
    assert_says(&message, &["is a file, and no GGUF file; give the folder that holds it, or a GGUF file"]);
    assert_says(&ask(path, Some("main")).unwrap_err(), &["revision \"main\" given with the local model", path]);
    for absent in ["models/x.gguf", "./x.gguf", "x.gguf", "a/b/c.bin", "a/b/../c.gguf", "a/b:", "a/b:x/y", "a/b/.gguf"]
    {
        assert_says(&ask(absent, None).unwrap_err(), &["no such folder or file", "org/name:Q4_K_M", "file.gguf"]);
    }
    for host in ["hf.co/", "huggingface.co/", "https://huggingface.co/"] {
        assert_is(&ask(&format!("{host}{NAME}:Q8_0"), None).unwrap(), "m.Q8_0.gguf", cache.path());
    }
}
