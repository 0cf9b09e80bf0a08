//! Turns of a conversation: forgotten where the context is full, broken off, answered anew and taken back.

use std::ops::ControlFlow;

use glass_generate::{Conversation, Error, FinishReason, GenerateOptions, Progress, Reply};
use glass_testing::devices;
use glass_text::{Message, Role};

use crate::conversation::{FULL, go_on, llama, options, say, template};

#[test]
fn a_full_context_loses_its_oldest_turns() {
    let (_folder, template) = template();
    let llama = llama(&["sliding_window=null", "max_position_embeddings=160"], devices::flex());
    let options = options(&llama, 20, "");
    let model = (&llama, &template, &options);
    let mut conversation = Conversation::new(&llama, &template, options.clone());
    conversation.set_system(Some("S".into()));
    let mut lost = 0;
    for turn in 0..8 {
        let before = lost;
        let reply = say(&mut conversation, model, &format!("Turn {turn}"));
        lost = conversation.forgotten();
        assert!(lost >= before && reply.generated.prompt_tokens + 20 <= 160);
        if lost > before {
            // The system message is still the beginning.
            assert!(reply.generated.reused_tokens > 10 && reply.restart.is_none());
        }
    }
    assert!(lost >= 8 && lost % 2 == 0, "{lost}");
    assert_eq!(conversation.messages().len(), 17);
    assert_eq!(conversation.messages()[1].content, "Turn 0");

    // What does not fit alone says so, and leaves everything as it was.
    let before = conversation.messages().to_vec();
    let error = conversation.say(&"x".repeat(200), &mut go_on).expect_err("it is too long");
    assert!(matches!(error, Error::PromptTooLong { context: 160, .. }), "{error}");
    assert_eq!((conversation.messages(), conversation.forgotten()), (&*before, lost));
    say(&mut conversation, model, "Still there?");
    // What just fits gets as much of an answer as there is room for.
    let reply = say(&mut conversation, model, &"x".repeat(120));
    assert_eq!(reply.generated.finish_reason, FinishReason::Length);
    assert!(reply.generated.ids.len() < 20);
    conversation.reset();
    assert_eq!(conversation.forgotten(), 0);
}

#[test]
fn what_is_forgotten_is_told_before_the_answer() {
    let (_folder, template) = template();
    let llama = llama(&["sliding_window=null", "max_position_embeddings=128"], devices::flex());
    let mut conversation = Conversation::new(&llama, &template, options(&llama, 20, ""));
    let (mut told, mut lost) = (Vec::new(), 0);
    for turn in 0..4 {
        let mut events = Vec::new();
        let mut note = |progress: Progress<'_>| {
            events.push(match progress {
                Progress::Forgotten(messages) => messages.iter().map(|message| message.content.clone()).collect(),
                _ => Vec::new(),
            });
            ControlFlow::Continue(())
        };
        conversation.say(&format!("Turn {turn}"), &mut note).expect("an answer");
        let (first, later) = events.split_first().expect("events");
        assert!(later.iter().all(Vec::is_empty), "{events:?}");
        told.extend(first.iter().step_by(2).cloned());
        assert_eq!(told.len() * 2, conversation.forgotten());
        lost = conversation.forgotten();
    }
    assert!(lost >= 2, "{lost}");
    assert_eq!(told[0], "Turn 0");
    // A turn that is not said forgets nothing.
    let reply = conversation.say(&"x".repeat(60), &mut |_| ControlFlow::Break(())).expect("nothing");
    assert!(!reply.counts());
    assert_eq!(conversation.forgotten(), lost);
    // With fewer turns more of them fit.
    while conversation.messages().len() > 2 {
        conversation.undo().expect("a turn");
    }
    assert_eq!(conversation.forgotten(), 0);
}

#[test]
fn an_answer_that_is_broken_off_counts_as_far_as_it_came() {
    let (_folder, template) = template();
    let llama = llama(FULL, devices::flex());
    let mut options = options(&llama, 40, "");
    options.eos_ids.clear();
    let model = (&llama, &template, &options);
    let mut conversation = Conversation::new(&llama, &template, options.clone());
    say(&mut conversation, model, "Hello");

    let mut letters = 0;
    let mut after_three = |progress: Progress<'_>| {
        if let Progress::Text { text, .. } = progress {
            letters += text.len();
        }
        match letters >= 3 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let reply = conversation.say("Go on", &mut after_three).expect("an answer");
    assert_eq!(reply.generated.finish_reason, FinishReason::Interrupted);
    assert!(reply.counts() && reply.text().len() >= 3);
    assert_eq!(conversation.messages().len(), 4);
    assert_eq!(conversation.messages()[3].content, reply.text());
    say(&mut conversation, model, "And then?");

    // Before the answer: as if nothing had been said.
    let before = conversation.messages().to_vec();
    for text in ["Again", &"x".repeat(700)] {
        let reply = conversation.say(text, &mut |_| ControlFlow::Break(())).expect("an answer");
        assert!(!reply.counts() && reply.generated.ids.is_empty());
        assert_eq!(conversation.messages(), before);
    }
    let reply = say(&mut conversation, model, "Again");
    assert!(reply.generated.reused_tokens > 100);
}

#[test]
fn a_break_after_a_pass_leaves_its_token_out() {
    let (_folder, template) = template();
    let llama = llama(FULL, devices::flex());
    let options = GenerateOptions { eos_ids: vec![], ..options(&llama, 20, "") };
    let model = (&llama, &template, &options);
    let mut conversation = Conversation::new(&llama, &template, options.clone());
    let whole = conversation.say("Hello", &mut go_on).expect("an answer");
    conversation.undo();
    let (mut passes, mut shown) = (0, String::new());
    let mut third = |progress: Progress<'_>| {
        match progress {
            Progress::Pass => passes += 1,
            Progress::Text { text, .. } => shown += text,
            _ => {}
        }
        if passes == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let reply = conversation.say("Hello", &mut third).expect("an answer");
    // One token came from the prompt's pass, and one from each of two more.
    assert_eq!(reply.generated.ids, whole.generated.ids[..3]);
    assert_eq!(shown, reply.text());
    say(&mut conversation, model, "And then?");
}

#[test]
fn the_last_turn_is_answered_anew_or_taken_back() {
    let (_folder, template) = template();
    let llama = llama(FULL, devices::flex());
    let mut options = options(&llama, 20, "");
    options.sampling.temperature = 1.0;
    let mut conversation = Conversation::new(&llama, &template, options);
    conversation.set_system(Some("S".into()));
    assert_eq!(conversation.retry(&mut go_on).expect("nothing"), None);
    assert_eq!(conversation.undo(), None);
    let first = conversation.say("Hello", &mut go_on).expect("an answer");
    let second = conversation.retry(&mut go_on).expect("an answer").expect("a turn");
    let third = conversation.retry(&mut go_on).expect("an answer").expect("a turn");
    let texts = [&first, &second, &third].map(Reply::text);
    assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2], "{texts:?}");
    assert_eq!(conversation.messages().len(), 3);
    assert_eq!(conversation.messages()[2].content, texts[2]);

    // Broken off before it began, or refused: the answer that was there stays.
    let before = conversation.messages().to_vec();
    let reply = conversation.retry(&mut |_| ControlFlow::Break(())).expect("nothing").expect("a turn");
    assert!(!reply.counts());
    assert_eq!(conversation.messages(), before);
    conversation.options_mut().sampling.temperature = -1.0;
    conversation.retry(&mut go_on).expect_err("no temperature");
    assert_eq!(conversation.messages(), before);
    conversation.options_mut().sampling.temperature = 1.0;

    // The same again, from the same seed.
    assert_eq!(conversation.undo(), Some(Message::new(Role::User, "Hello")));
    assert_eq!(conversation.messages().len(), 1);
    let again = conversation.say("Hello", &mut go_on).expect("an answer");
    assert_eq!(again.text(), first.text());
}

#[test]
fn seeds_move_on_from_turn_to_turn() {
    let (_folder, template) = template();
    let llama = llama(FULL, devices::flex());
    let mut options = options(&llama, 30, "");
    options.sampling.temperature = 1.0;
    let talk = || {
        let mut conversation = Conversation::new(&llama, &template, options.clone());
        let first = conversation.say("Hello", &mut go_on).expect("an answer");
        let second = conversation.say("Hello", &mut go_on).expect("an answer");
        (first.generated.ids, second.generated.ids)
    };
    let (first, second) = talk();
    assert_ne!(first, second);
    assert_eq!(talk(), (first, second));
}
