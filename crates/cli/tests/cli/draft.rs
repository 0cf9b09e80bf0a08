//! `--draft`: a small model guesses, and the text stays what it is.

use serde_json::Value;

use crate::{
    models::{fixture, shipped},
    run::{fails, refused, succeeds},
};

#[test]
fn a_draft_model_changes_no_text() {
    let (full, window) = (shipped("shakespeare-full"), shipped("shakespeare-window"));
    let run = |more: &[&str]| {
        let args = [
            "generate",
            &full,
            "-p",
            "ROMEO:\nWhat ",
            "-n",
            "150",
            "--ignore-eos",
            "--device",
            "flex",
            "--dtype",
            "f32",
        ];
        succeeds(&[&args[..], &["--json"], more].concat()).json()
    };
    for settings in [
        &["--temperature", "0"][..],
        &["--temperature", "0.7", "--seed", "5"],
        &["--temperature", "0.9", "--top-k", "20", "--seed", "7", "--cache", "sinks:4+40"],
        &["--temperature", "0", "--repetition-penalty", "1.1", "--stop", "\n\n"],
    ] {
        let plain = run(settings);
        assert_eq!(plain["speculation"], Value::Null);
        // The model itself, in fewer bits too; another one of the same vocabulary; one with fewer tokens.
        for draft in [&full, &window, &shipped("recall-full")] {
            let json = run(&[settings, &["--draft", draft]].concat());
            assert_eq!(json["sequences"][0]["ids"], plain["sequences"][0]["ids"], "{settings:?}, {draft}");
            let told = &json["speculation"];
            let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name}: {told}"));
            assert!(number("accepted") <= number("drafted"), "{told}");
            assert_eq!(
                number("passes") + number("accepted"),
                json["generated_tokens"].as_u64().unwrap_or(0) - 1,
                "{told}"
            );
            if draft == &full && settings == ["--temperature", "0"] {
                assert_eq!(number("accepted"), number("drafted"), "it agrees with itself: {told}");
                assert!(number("accepted") > 20, "{told}");
            }
        }
    }
}

#[test]
fn what_cannot_draft_is_said() {
    let (full, bare) = (shipped("shakespeare-full"), fixture("llama-gqa"));
    let says = |more: &[&str], parts: &[&str]| {
        fails(&[&["generate", &full, "-p", "a", "-n", "2"][..], more].concat(), parts);
    };
    says(&["--draft", &bare], &["tokenizer.json"]);
    says(&["--draft", "no/such/folder/there"], &["no/such/folder/there"]);
    says(&["--draft", &full, "--cache", "tova:16"], &["--draft takes wrong guesses back", "use full, ring or sinks"]);
    refused(&["generate", &full, "-p", "a", "--draft", &full, "--prompt-lookup", "3"], &["--prompt-lookup"]);
}
