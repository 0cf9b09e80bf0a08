//! `glass eval needle`

use std::fs;

use serde_json::Value;

use crate::{
    models::{copy, fixture, random_tiny, shipped},
    run::{Ran, fails, succeeds, text},
    svg::texts,
};

pub fn args<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["eval", "needle", model, "--device", "flex"];
    [&fixed, more].concat()
}

pub fn needle(model: &str, more: &[&str]) -> Ran {
    succeeds(&args(model, more))
}

fn json(model: &str, more: &[&str]) -> Value {
    needle(model, &[more, &["--json"]].concat()).json()
}

fn number(json: &Value, name: &str) -> f64 {
    json[name].as_f64().unwrap_or_else(|| panic!("{name} in {json}"))
}

fn cells(run: &Value) -> &Vec<Value> {
    run["cells"].as_array().expect("cells")
}

#[test]
fn the_fields_of_json_agree() {
    let json = json(&random_tiny(), &["--length", "40,64", "--depth", "0,0.5,1", "--trials", "5"]);
    for (name, value) in [
        ("mode", Value::from("single")),
        ("key", 4.into()),
        ("value", 4.into()),
        ("trials", 5.into()),
        ("seed", 0.into()),
        ("haystack", Value::Null),
        ("interrupted", false.into()),
        ("device", "flex".into()),
        ("dtype", "bf16".into()),
    ] {
        assert_eq!(json[name], value, "{name}");
    }
    let runs = json["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1);
    let run = &runs[0];
    assert_eq!(run["cache"], "as configured");
    assert_eq!(run["tokens"], 5 * 3 * (40 + 64));
    let speed = number(run, "tokens") / number(run, "seconds");
    assert!((number(run, "tokens_per_second") - speed).abs() < 1e-6 * speed);

    let places: Vec<(f64, f64)> =
        cells(run).iter().map(|cell| (number(cell, "depth"), number(cell, "length"))).collect();
    let expected = [(0.0, 40.0), (0.0, 64.0), (0.5, 40.0), (0.5, 64.0), (1.0, 40.0), (1.0, 64.0)];
    assert_eq!(places, expected);
    let mut sum = 0.0;
    for cell in cells(run) {
        assert_eq!(cell["trials"], 5);
        // A model of noise guesses about as badly as chance among its 99 tokens.
        assert!(number(cell, "found") < 0.5, "{cell}");
        assert!(number(cell, "tokens_right") < 0.5, "{cell}");
        assert!((3.0..8.0).contains(&number(cell, "mean_nll")), "{cell}");
        sum += number(cell, "found");
    }
    assert!((number(run, "found") - sum / 6.0).abs() < 1e-9);
}

#[test]
fn the_table_has_the_same_numbers() {
    let model = random_tiny();
    // One token is guessed right every now and then.
    let options = [
        "--length", "32,48", "--depth", "0.25,1", "--trials", "40", "--key", "1", "--value", "1", "--cache", "ring",
        "--cache", "ring:8",
    ];
    let json = json(&model, &options);
    let ran = needle(&model, &options);
    let mut expected = Vec::new();
    for (run, name) in json["runs"].as_array().expect("runs").iter().zip(["ring", "ring:8"]) {
        let found = |cell: usize| format!("{:.4}", number(&cells(run)[cell], "found"));
        expected.push(vec!["cache".into(), name.into()]);
        let words = "found share of 40 trials (tokens: key 1, value 1)";
        expected.push(words.split(' ').map(String::from).collect());
        expected.push(["depth", "\\", "tokens", "read", "32", "48"].map(String::from).into());
        expected.push(vec!["0.25".into(), found(0), found(1)]);
        expected.push(vec!["1".into(), found(2), found(3)]);
    }
    let lines = ran.stdout.lines().filter(|line| !line.is_empty());
    let lines: Vec<Vec<String>> = lines.map(|line| line.split_whitespace().map(String::from).collect()).collect();
    assert_eq!(lines, expected);
    let found = |run: usize| format!("{:.4}", number(&json["runs"][run], "found"));
    ran.says(&[
        &format!("glass: cache ring: found {} in 160 haystacks", found(0)),
        &format!("glass: cache ring:8: found {} in 160 haystacks", found(1)),
        "6400 tokens at ",
        "warning: with --cache ring:8",
    ]);
}

#[test]
fn a_seed_decides_and_nothing_else_does() {
    let model = shipped("shakespeare-window");
    let of = |more: &[&str]| json(&model, &[&["--trials", "3"], more].concat())["runs"][0].clone();
    let all = of(&["--length", "48,100", "--depth", "0,1"]);
    assert_eq!(cells(&of(&["--length", "48,100", "--depth", "0,1"])), cells(&all));
    // The same cells alone, and in another order.
    let alone = of(&["--length", "100", "--depth", "1"]);
    assert_eq!(cells(&alone)[0], cells(&all)[3]);
    let turned = of(&["--length", "100,48", "--depth", "1,0"]);
    assert_eq!(cells(&turned)[0], cells(&all)[3]);
    assert_eq!(cells(&turned)[3], cells(&all)[0]);
    let other = of(&["--length", "48,100", "--depth", "0,1", "--seed", "1"]);
    for (one, another) in cells(&all).iter().zip(cells(&other)) {
        assert_ne!(one["mean_nll"], another["mean_nll"]);
    }
}

#[test]
fn caches_and_pieces_change_what_they_must() {
    let model = shipped("shakespeare-window");
    for mode in [&["--depth", "0.5"][..], &["--mode", "chain", "--hops", "3"]] {
        let of = |more: &[&str]| {
            let fixed = [mode, &["--length", "100,200", "--trials", "3", "--dtype", "f32"], more].concat();
            let json = json(&model, &fixed);
            let runs = json["runs"].as_array().expect("runs").clone();
            let nlls = |run: &Value| -> Vec<f64> { cells(run).iter().map(|cell| number(cell, "mean_nll")).collect() };
            runs.iter().map(nlls).collect::<Vec<_>>()
        };
        let close = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
        };
        let runs = of(&["--cache", "ring", "--cache", "full", "--cache", "sinks:4+28"]);
        let usual = &of(&[])[0];
        assert!(close(&runs[0], usual) && close(&runs[1], usual), "{runs:?}");
        // With sinks something else is seen.
        assert!(!close(&runs[2], usual), "{runs:?}");
        for chunk in ["1", "7", "64", "1000"] {
            let pieces = of(&["--prefill-chunk", chunk]);
            assert!(close(&pieces[0], usual), "{chunk}: {pieces:?} {usual:?}");
        }
    }
}

#[test]
fn a_chain_counts_hops() {
    let options = ["--mode", "chain", "--length", "64,96", "--hops", "1,3", "--key", "2"];
    let model = random_tiny();
    let json = json(&model, &options);
    assert_eq!((&json["mode"], &json["value"]), (&"chain".into(), &Value::Null));
    let cells = cells(&json["runs"][0]);
    let hops: Vec<f64> = cells.iter().map(|cell| number(cell, "hops")).collect();
    assert_eq!(hops, [1.0, 1.0, 3.0, 3.0]);
    assert!(cells.iter().all(|cell| cell.get("depth").is_none()));
    let table = needle(&model, &options).stdout;
    for part in ["hops \\ tokens read", "mean share of hops, 8 trials (tokens: key 2)"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn a_chat_model_is_asked_in_words() {
    let copy = copy(&random_tiny());
    copy.write(
        "chat_template.jinja",
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] ",
    );
    let options = ["--mode", "words", "--length", "300,400", "--depth", "0,1", "--trials", "2"];
    let json = json(&copy.path(), &options);
    assert_eq!((&json["mode"], &json["key"], &json["value"]), (&"words".into(), &Value::Null, &Value::Null));
    let run = &json["runs"][0];
    let places: Vec<(f64, f64)> =
        cells(run).iter().map(|cell| (number(cell, "depth"), number(cell, "length"))).collect();
    assert_eq!(places, [(0.0, 300.0), (0.0, 400.0), (1.0, 300.0), (1.0, 400.0)]);
    for cell in cells(run) {
        // Random weights know no password, and no token of an answer is judged.
        assert_eq!((number(cell, "found"), number(cell, "trials")), (0.0, 2.0));
        assert!(cell["mean_nll"].is_null() && cell["tokens_right"].is_null(), "{cell}");
    }
    // Prompts are as long as sentences of some 45 letters, each a token here, can fill them.
    let tokens = number(run, "tokens");
    assert!((8.0 * 280.0..=4.0 * 700.0).contains(&tokens), "{tokens}");
    let table = needle(&copy.path(), &options).stdout;
    assert!(table.contains("share of 2 trials (a password in a sentence)"), "{table}");

    copy.write("own.txt", "One sentence. Another one! A third?");
    let own = text(&copy.file("own.txt"));
    needle(&copy.path(), &[&options[..], &["--haystack", &own]].concat());
    copy.write("own.txt", "\n \n");
    fails(&args(&copy.path(), &[&options[..], &["--haystack", &own]].concat()), &["no tokens"]);
    fails(
        &args(&copy.path(), &["--mode", "words", "--length", "40"]),
        &["40 tokens do not hold the question", "at least"],
    );
    fails(&args(&random_tiny(), &options), &["chat template"]);
}

#[test]
fn a_model_without_a_tokenizer_takes_all_ids() {
    let model = fixture("llama-gqa");
    let json = json(&model, &["--length", "32,64", "--depth", "0.5"]);
    assert_eq!(cells(&json["runs"][0]).len(), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let file = text(&folder.path().join("some.txt"));
    fs::write(&file, "some text").expect("written");
    fails(
        &args(&model, &["--length", "32", "--haystack", &file]),
        &["llama-gqa", "no tokenizer.json", "leave the text out"],
    );
}

#[test]
fn a_text_can_be_the_haystack() {
    let (model, folder) = (random_tiny(), tempfile::tempdir().expect("a folder"));
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        text(&path)
    };
    let good = file("good", b"To be, or not to be: that is the question.\n");
    let options = ["--length", "64", "--depth", "0.5"];
    let of = |more: &[&str]| json(&model, &[&options, more].concat());
    let with = of(&["--haystack", &good]);
    assert_eq!(with["haystack"], good.as_str());
    assert_ne!(with["runs"][0]["cells"], of(&[])["runs"][0]["cells"]);

    let missing = text(&folder.path().join("none"));
    fails(&args("/nothing/here", &["--haystack", &missing]), &["cannot read", &missing]);
    let empty = file("empty", b"");
    fails(&args(&model, &["--haystack", &empty]), &["an empty file"]);
    let latin = file("latin", b"caf\xe9");
    fails(&args(&model, &["--haystack", &latin]), &["not UTF-8", "byte 3"]);
    let all: Vec<u8> = (b' '..=b'~').chain([b'\n']).collect();
    let all = file("all", &all);
    let one = ["--key", "1", "--length", "300", "--haystack", &all];
    fails(&args(&model, &one), &["a key of 1 token and", "make the key longer"]);
}

#[test]
fn a_picture_is_a_map_for_each_cache() {
    let (model, folder) = (random_tiny(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("map.svg");
    let file = text(&path);
    let options = [
        "--length", "40,80", "--depth", "0,0.5,1", "--trials", "2", "--cache", "ring", "--cache", "tova:16", "--plot",
        &file,
    ];
    needle(&model, &options);
    let svg = fs::read_to_string(&path).expect("a picture");
    let words = texts(&svg);
    for word in ["A needle in a haystack", "ring", "tova:16", "depth", "tokens read", "40", "80", "0.5"] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    assert!(words.iter().any(|word| word.contains("random-tiny: share of 2 trials")));
    let zeros = words.iter().filter(|word| **word == "0.00").count();
    assert!(zeros >= 12, "{words:?}");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);

    // Refused before the model is looked for.
    for (path, part) in
        [(text(folder.path()), "is a folder"), (text(&folder.path().join("no/map.svg")), "its folder does not exist")]
    {
        fails(&args("/nothing/here", &["--plot", &path]), &[&path, part]);
    }
}
