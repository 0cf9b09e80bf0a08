//! What one tells `glass chat` with a slash.

use crate::{
    chat::{answers, chat, long_chat, model, said, saved, says},
    run::{command, text},
};

#[test]
fn commands() {
    let model = model();
    let lines = "/help\n/nothing\n/save\n/system\n/system Be kind.\n/system\n/reset now\nHello\n/reset\n/stats\n\
                 /system -\n/system\n//slash\n/exit\nnever said\n";
    let ran = says(chat(&model.path(), &[]), lines);
    assert_eq!(answers(&ran).len(), 2, "{ran:?}");
    ran.says(&[
        "/system TEXT ",
        "there is no /nothing; /help",
        "/save needs",
        "there is no system message",
        "\nBe kind.\n",
        "/reset stands alone",
        "forgotten, all but the system message",
        "1 messages, 0 of them",
        "no system message from here on",
    ]);

    let alone = says(chat(&model.path(), &[]), "/slash\n");
    assert_eq!((alone.code, &*alone.stdout), (Some(0), ""));
    let reset = says(chat(&model.path(), &[]), "Hello\nHello\n/reset\nHello\n");
    let answers = answers(&reset);
    assert_eq!(answers[0], answers[2]);
    assert_ne!(answers[0], answers[1]);
}

#[test]
fn commands_begin_with_one_slash() {
    let model = model();
    let (before, after) = (model.file("before"), model.file("after a blank"));
    let lines = format!(
        "Hello /reset\n//reset\n/save {}\n/reset \n/system  Be terse.\\\nAlways. \nHi\n/save {}\n/\n/Help\n",
        text(&before),
        text(&after)
    );
    let ran = says(chat(&model.path(), &[]), lines);
    assert_eq!(answers(&ran).len(), 3, "{ran:?}");
    ran.says(&["there is no /;", "there is no /Help;"]);
    assert_eq!(said(&before), ["Hello /reset", "/reset"]);
    assert_eq!(said(&after), ["Hi"]);
    assert_eq!(saved(&after)[0]["content"], "Be terse.\nAlways.");
}

#[test]
fn a_turn_is_taken_back_or_answered_anew() {
    let model = model();
    let path = &model.path();
    let file = &text(&model.file("saved.json"));
    let lines = format!("/retry\n/undo\nOne\nTwo\n/undo\nThree\n/retry\n/save {file}\n/undo\n/undo\n/undo\n/retry\n");
    let ran = says(chat(path, &[]), &lines);
    let answered = answers(&ran);
    assert_eq!(said(&model.file("saved.json")), ["One", "Three"]);
    let straight = says(chat(path, &[]), "One\nThree\n");
    // Greedily it is the same answer, and that is said.
    assert_eq!(answered[2..], [answered[2]; 2]);
    assert_eq!(vec![answered[0], answered[2]], answers(&straight));
    ran.says(&["taken back: \"Two\"", "temperature is 0", "nothing to answer anew", "nothing to take back"]);

    let sampled = |lines: &str| {
        let args = ["chat", path, "--device", "flex", "-n", "20", "--temperature", "1", "--seed", "3"];
        says(command(&args), lines)
    };
    let ran = sampled("One\n/retry\n/retry\n/undo\nOne\n");
    let answered = answers(&ran);
    assert_eq!(answered.len(), 4);
    assert!(answered[0] != answered[1] && answered[1] != answered[2], "{answered:?}");
    assert_eq!(answered[0], answered[3]);
}

#[test]
fn settings_change_while_it_runs() {
    let model = model();
    let path = &model.path();
    let lines = "/set\n/set max_new_tokens 3\nOne\n/set max-new-tokens -\nTwo\n/set top-k\n/set top_k 5\n/set temperature=1\n\
                 /set temprature 1\n/set temperature -1\n/set seed x\n/set seed 18446744073709551616\n/set max-new-tokens 0\n/set\n";
    let ran = says(chat(path, &[]), lines);
    let lengths: Vec<usize> = answers(&ran).iter().map(|answer| answer.chars().count()).collect();
    assert!(lengths.len() == 2 && lengths[0] <= 3 && lengths[1] > 3, "{lengths:?}");
    ran.says(&[
        "temperature           0       --temperature",
        "max-new-tokens        12      --max-new-tokens",
        "max-new-tokens 3 (/set)",
        "top-k 50 (generation_config.json): only so many",
        "top-k 5 (/set), without effect while temperature is 0",
        "there is no setting temprature; did you mean temperature? /set lists them",
        "temperature = -1: must be",
        "/set seed: \"x\" is not a whole number",
        "/set seed: \"18446744073709551616\" is not a whole number from 0 to 18446744073709551615",
        "/set max-new-tokens: \"0\" is not a whole number from 1 to 18446744073709551615",
        "temperature           1       /set",
    ]);
}

#[test]
fn a_file_is_not_overwritten_unasked() {
    let model = model();
    let path = &model.path();
    let (here, there) = (model.file("here.json"), model.file("a name.json"));
    let (file, other) = (text(&here), text(&there));
    let lines = format!(
        "One\n/save {file}\nTwo\n/save {file}\n/save --force {file}\n/save \"{other}\"\nThree\n/save! {other}\n/save --force\n"
    );
    let ran = says(chat(path, &[]), lines);
    assert_eq!(answers(&ran).len(), 3);
    ran.says(&["exists", "--force", "/save --force needs the name"]);
    assert_eq!(ran.stderr.matches("exists").count(), 1, "{ran:?}");
    assert_eq!((said(&here).len(), said(&there).len()), (2, 3));

    // What cannot be loaded leaves the conversation as it was.
    let lines = format!("Hi\n/load {file}x\n/load {path}/config.json\n/load {file}\nMore\n/save {file}2\n/stats\n");
    let ran = says(chat(path, &[]), lines);
    assert_eq!(answers(&ran).len(), 2);
    ran.says(&["cannot read", "config.json: ", "glass: 4 messages from", "6 messages, 0 of them"]);
    assert_eq!(said(&model.file("here.json2")), ["One", "Two", "More"]);
}

#[test]
fn an_answer_without_a_next_token_is_kept() {
    let model = model();
    let file = model.file("saved.json");
    let ran = says(
        long_chat(&model.path(), "200", &[]),
        format!("/set no-repeat-ngram-size 1\nhi there\n/save {}\n", text(&file)),
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&["glass: error: no token is left", "1 of 1 messages were not answered, or not to the end"]);
    let saved = saved(&file);
    assert_eq!(saved[1]["role"], "assistant");
    let answer = saved[1]["content"].as_str().expect("a text");
    assert!(answer.len() > 20 && ran.stdout.trim() == answer.trim(), "{ran:?}");
}
