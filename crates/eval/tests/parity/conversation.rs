//! A conversation that keeps its cache says what one would say that reads everything anew.

use std::{ops::ControlFlow, path::Path};

use glass_backend::{Device, Dtype};
use glass_config::Override;
use glass_generate::{
    Conversation, GenerateOptions, Lane, Llama, LoadOptions, PrefillOptions, Progress, Reply, Restart, generate,
    generate_from, step,
};
use glass_testing::devices;
use glass_text::{ChatTemplate, Message, Role};
use tempfile::TempDir;

use crate::random_model;

/// Two ways of one sum differ by rounding.
const SAME: f64 = 1e-4;

/// Whitespace around what was said is cut, as most templates do.
const TEMPLATE: &str = "{% for m in messages %}{{ bos_token + m.role + ': ' + m.content | trim + eos_token }}{% endfor %}\
                        {% if add_generation_prompt %}{{ bos_token + 'assistant: ' }}{% endif %}";

/// The random model of the repository, a token per character, laid over with these fields.
pub fn llama(overrides: &[&str], device: Device) -> Llama {
    let overrides: Vec<Override> = overrides.iter().map(|text| text.parse().expect("an override")).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../weights/random-tiny");
    let options =
        LoadOptions { device, precision: Some(Dtype::F32.into()), overrides: &overrides, progress: &mut |_, _| {} };
    Llama::load(&folder, options).expect("a model")
}

pub fn template() -> (TempDir, ChatTemplate) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("chat_template.jinja", TEMPLATE);
    write("tokenizer_config.json", r#"{"bos_token": "<s>", "eos_token": "</s>"}"#);
    let template = ChatTemplate::from_folder(folder.path()).expect("a template");
    (folder, template)
}

pub fn options(llama: &Llama, tokens: usize, cache: &str) -> GenerateOptions {
    let prefill = PrefillOptions::default();
    GenerateOptions {
        eos_ids: llama.eos_ids(),
        prefill: match cache {
            "" => prefill,
            cache => PrefillOptions { cache: cache.parse().expect("a policy"), ..prefill },
        },
        score: true,
        ..GenerateOptions::new(tokens)
    }
}

pub fn go_on(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Says it, and compares the answer with that to the same prompt without anything kept.
pub fn say(
    conversation: &mut Conversation<'_>,
    (llama, template, options): (&Llama, &ChatTemplate, &GenerateOptions),
    text: &str,
) -> Reply {
    let reply = conversation.say(text, &mut go_on).expect("an answer");
    let said = conversation.messages();
    let system = usize::from(conversation.system().is_some());
    let mut given = said[..system].to_vec();
    given.extend_from_slice(&said[system + conversation.forgotten()..said.len() - 1]);
    assert_eq!(given.last(), Some(&Message::new(Role::User, text)));
    assert_eq!(said.last(), Some(&Message::new(Role::Assistant, reply.text())));

    let prompt = template.prompt(&given).expect("a prompt");
    let tokenizer = llama.tokenizer().expect("a tokenizer");
    let ids = tokenizer.encode(&prompt, false).expect("ids");
    assert_eq!(reply.generated.prompt_tokens, ids.len());
    let options = GenerateOptions {
        max_new_tokens: options.max_new_tokens.min(llama.room(ids.len()).expect("room")),
        ..options.clone()
    };
    let fresh = generate(llama, &ids, &options, &mut go_on).expect("an answer");
    assert_eq!(fresh.reused_tokens, 0);
    assert_eq!(reply.generated.ids, fresh.ids, "{text}");
    assert_eq!(reply.generated.text, fresh.text, "{text}");
    let scores = reply.generated.score.zip(fresh.score).expect("asked for");
    let apart = (scores.0 - scores.1).abs();
    assert!(apart < SAME * fresh.ids.len() as f64, "{text}: {apart}");
    reply
}

pub const FULL: &[&str] = &["sliding_window=null"];
const WINDOW: &[&str] = &[];
const TEXTS: [&str; 5] = ["Hello", "  What is it? ", "a\nb", "</s> and <s>", "Bye"];

#[test]
fn answers_with_a_kept_cache_are_those_without() {
    let (_folder, template) = template();
    for device in devices::all() {
        let cases = [
            (FULL, "", true),
            (WINDOW, "", false),
            (WINDOW, "full", true),
            (FULL, "ring:48", false),
            (FULL, "sinks:4+44", false),
            (FULL, "tova:64", false),
        ];
        // A GPU in software takes seconds for each.
        let some = if devices::is_wgpu(&device) { 2 } else { 6 };
        for (overrides, plan, always) in cases.into_iter().take(some) {
            let llama = llama(overrides, device.clone());
            let options = options(&llama, 20, plan);
            let model = (&llama, &template, &options);
            let mut conversation = Conversation::new(&llama, &template, options.clone());
            let mut before = 0;
            for (turn, text) in TEXTS.iter().enumerate() {
                let reply = say(&mut conversation, model, text);
                let reused = reply.generated.reused_tokens;
                match (always, turn) {
                    (_, 0) => assert_eq!(reused, 0),
                    // All but what a trimmed answer ends with.
                    (true, _) => assert!(reused + 3 > before, "{reused} of {before}"),
                    (false, _) => assert!(reused > 0 || reply.restart.is_some()),
                }
                assert!(!always || reply.restart.is_none());
                before = conversation.tokens_read();
                assert_eq!(before, reply.generated.prompt_tokens + reply.generated.ids.len() - 1);
            }
        }
    }
}

#[test]
fn logits_after_a_kept_beginning_are_those_without() {
    let device = devices::flex();
    let mut refused = 0;
    for windows in [vec![None, None], vec![Some(8), Some(8)], vec![Some(8), None]] {
        let llama = random_model::llama(&random_model::config(&windows), 5, &device);
        let ids = random_model::tokens(48, 6);
        let options = options(&llama, 5, "");
        for (first, cut) in [(1, 1), (7, 7), (7, 3), (30, 30), (47, 47), (12, 11)] {
            let lane = || Lane::new(&llama, options.prefill).expect("a lane");
            let read = generate_from(&llama, lane(), &ids[..first], &options, &mut go_on);
            let (read, mut kept) = read.expect("a text");
            assert_eq!(kept.len(), first + read.ids.len() - 1);
            if kept.truncate(cut).is_err() {
                assert!(windows[0].is_some() && kept.len() > 8);
                refused += 1;
                continue;
            }
            let [(kept, a), (fresh, b)] = [kept, lane()].map(|lane| {
                let text = generate_from(&llama, lane, &ids, &options, &mut go_on);
                let (text, mut lane) = text.expect("a text");
                lane.push(&[3], 1);
                let logits = step(&llama, [&mut lane]).expect("a pass").read();
                (text, logits.expect("logits").into_values())
            });
            assert_eq!((kept.reused_tokens, fresh.reused_tokens), (cut, 0));
            assert_eq!(kept.ids, fresh.ids);
            for (a, b) in a.iter().zip(b.iter()) {
                assert!((a - b).abs() < SAME as f32, "{a} {b}");
            }
        }
    }
    assert!((1..12).contains(&refused), "{refused}");
}

#[test]
fn what_was_overwritten_is_read_again() {
    let (_folder, template) = template();
    let llama = llama(WINDOW, devices::flex());
    let options = options(&llama, 60, "");
    let model = (&llama, &template, &options);
    let mut conversation = Conversation::new(&llama, &template, options.clone());
    conversation.set_system(Some("Be terse.".into()));
    say(&mut conversation, model, "Hello");
    // The answer has gone round the ring; nothing parts before its end.
    let second = say(&mut conversation, model, "And now?");
    assert_eq!(second.restart, None);
    assert!(second.generated.reused_tokens > 64);

    conversation.set_system(Some("Be kind.".into()));
    assert_eq!(conversation.messages().len(), 5);
    let third = say(&mut conversation, model, "So?");
    assert_eq!(third.restart, Some(Restart::Overwritten));
    assert_eq!(third.generated.reused_tokens, 0);

    conversation.reset();
    assert_eq!(conversation.messages(), [Message::new(Role::System, "Be kind.")]);
    say(&mut conversation, model, "Hello");
    conversation.set_system(None);
    assert_eq!((conversation.system(), conversation.messages().len()), (None, 2));
    say(&mut conversation, model, "Hello");
}

#[test]
fn keys_that_depend_on_the_length_are_computed_again() {
    let (_folder, template) = template();
    let dynamic = [
        "sliding_window=null",
        "max_position_embeddings=100",
        "rope_parameters.rope_type=dynamic",
        "rope_parameters.factor=4.0",
    ];
    let llama = llama(&dynamic, devices::flex());
    let options = options(&llama, 10, "");
    let model = (&llama, &template, &options);
    let mut conversation = Conversation::new(&llama, &template, options.clone());
    let replies = TEXTS.map(|text| say(&mut conversation, model, text));
    let long = |reply: &Reply| reply.generated.prompt_tokens > 100;
    assert!(!long(&replies[1]) && long(&replies[4]));
    for reply in &replies[1..] {
        assert_eq!(reply.restart, long(reply).then_some(Restart::RotatedByLength));
        assert_eq!(reply.generated.reused_tokens == 0, long(reply));
    }
}
