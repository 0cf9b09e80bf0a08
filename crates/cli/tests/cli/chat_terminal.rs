//! Conversations at a terminal.

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use serde_json::Value;

use crate::{
    chat::model,
    run::text,
    terminal::{Terminal, chat},
    wrapping::screen,
};

#[test]
fn a_conversation_at_a_terminal() {
    let model = model();
    let file = model.file("saved.json");
    let mut terminal = Terminal::open(&model, "8");
    let answered = |terminal: &mut Terminal| {
        terminal.shows("cut off after 8 tokens");
        terminal.shows("> ");
    };
    terminal.says("Hello");
    answered(&mut terminal);
    terminal.says("two\\");
    terminal.says("lines");
    answered(&mut terminal);
    // The arrow goes up through both lines, and then to what was said before them.
    terminal.types("\x1b[A\x1b[A\x1b[A");
    terminal.shows("Hello");
    terminal.says("!");
    answered(&mut terminal);
    // What is pasted is sent when Enter is pressed, whatever is in it.
    terminal.types("\x1b[200~a\nb\x1b[201~");
    terminal.says("");
    answered(&mut terminal);
    terminal.says(&format!("/save {}", text(&file)));
    terminal.shows("8 messages in");
    terminal.shows("> ");
    terminal.presses_control('d');
    terminal.ends(0);

    let saved: Value = serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON");
    let said: Vec<_> = (0..8).step_by(2).map(|i| &saved[i]["content"]).collect();
    assert_eq!(said, ["Hello", "two\nlines", "Hello!", "a\nb"]);
}

#[test]
fn ctrl_c_stops_the_answer_and_twice_at_an_empty_prompt_leaves() {
    let model = model();
    let mut terminal = Terminal::open(&model, "100000000");
    for said in ["Hello", "Again"] {
        terminal.says(said);
        // The line that was typed, and then the answer to it.
        terminal.shows(said);
        terminal.goes_on();
        terminal.presses_control('c');
        terminal.shows("glass: stopped");
        terminal.shows("> ");
    }
    terminal.says("/stats");
    terminal.shows("4 messages, 0 of them");
    terminal.shows("(interrupted)");
    terminal.shows("> ");

    // What is being typed is thrown away, and nothing else.
    for _ in 0..3 {
        terminal.types("half a line");
        terminal.shows("half a line");
        terminal.presses_control('c');
        terminal.shows("> ");
    }
    let warned = |terminal: &mut Terminal| {
        terminal.presses_control('c');
        terminal.shows("once more leaves");
        terminal.shows("> ");
    };
    warned(&mut terminal);
    terminal.says("/system");
    terminal.shows("no system message");
    terminal.shows("> ");
    warned(&mut terminal);
    terminal.presses_control('c');
    terminal.ends(130);
}

/// What was shown of an answer: behind the line that was typed, before the note below.
fn answer(shown: &str) -> String {
    let (_, answer) = shown.split_once("\r\n").expect("the typed line ends");
    answer.replace("\r\n", "\n")
}

#[test]
fn answers_are_wrapped_while_they_come() {
    let model = model();
    for columns in [20, 41] {
        let mut chat = chat(&model, "200");
        chat.env("NO_COLOR", "1");
        let mut terminal = Terminal::of_size(&chat, columns, "xterm");
        terminal.says("Hello");
        terminal.shows("Hello");
        let shown = terminal.shows("glass: cut off");
        let lines = screen(answer(&shown).trim_end_matches('\n'));
        assert!(lines.len() > 200 / columns, "{lines:?}");
        for line in &lines {
            assert!(line.chars().count() < columns, "{line:?}");
        }
        terminal.shows("> ");
        terminal.presses_control('d');
        terminal.ends(0);
    }
}

#[test]
fn ctrl_c_leaves_no_trace_in_an_answer() {
    let model = model();
    let mut chat = chat(&model, "100000000");
    chat.env("NO_COLOR", "1");
    let mut terminal = Terminal::of_size(&chat, 80, "xterm");
    terminal.says("Hello");
    terminal.shows("Hello");
    let mut shown = terminal.goes_on();
    terminal.types("typed ahead");
    shown += &terminal.goes_on();
    terminal.presses_control('c');
    shown += &terminal.shows("glass: stopped");
    assert!(!shown.contains("^C") && !shown.contains("typed"), "{shown:?}");
    assert!(shown.ends_with('\n'), "a note stands on a line of its own: {shown:?}");
    // The terminal echoes again for who comes after.
    terminal.shows("> ");
    terminal.presses_control('d');
    terminal.ends(0);
}

#[test]
fn what_is_typed_ahead_is_said_in_its_turn() {
    let model = model();
    let mut terminal = Terminal::open(&model, "8");
    terminal.types("One\rTwo\r");
    for _ in 0..2 {
        terminal.shows("cut off after 8 tokens");
    }
    terminal.shows("> ");
    terminal.says("/set max-new-tokens 200");
    terminal.shows("> ");
    terminal.says("Three");
    terminal.types("Four\rFive\r");
    for _ in 0..3 {
        terminal.shows("cut off after 200 tokens");
    }
    terminal.shows("> ");
    // What cannot be read is not said, and nothing else is lost.
    terminal.0.process().get_file_handle().expect("the terminal").write_all(b"caf\xe9 ").expect("sent");
    terminal.shows("not UTF-8");
    terminal.shows("> ");
    terminal.says("");
    terminal.says("/stats");
    terminal.shows("10 messages, 0 of them");
    terminal.presses_control('d');
    terminal.ends(0);
}

#[test]
fn what_is_forgotten_is_said_before_the_answer() {
    let model = model();
    let mut chat = chat(&model, "12");
    chat.args(["--set", "max_position_embeddings=128"]).env("NO_COLOR", "1");
    let mut terminal = Terminal::of_size(&chat, 200, "xterm");
    for said in ["Number one", "Number two"] {
        terminal.says(said);
        terminal.shows("cut off");
        terminal.shows("> ");
    }
    terminal.says("Number three");
    let before = terminal.shows("no longer knows 1 turn, \"Number one\"");
    assert!(!before.contains("cut off") && before.trim_end().lines().count() <= 2, "{before:?}");
    terminal.shows("cut off");
    terminal.shows("> ");
    terminal.presses_control('d');
    terminal.ends(0);
}

#[test]
fn messages_are_remembered_for_the_next_run_and_for_nobody_else() {
    let model = model();
    let home = tempfile::tempdir().expect("a folder");
    let start = |options: &[&str]| {
        let mut chat = chat(&model, "4");
        chat.args(options).env_remove("GLASS_HISTORY").env("XDG_STATE_HOME", home.path()).env("TERM", "xterm");
        Terminal::begin(chat, true)
    };
    let say = |mut terminal: Terminal, line: &str| {
        terminal.says(line);
        terminal.shows("cut off");
        terminal.shows("> ");
        terminal.presses_control('d');
        terminal.ends(0);
    };
    let file = home.path().join("glass/chat-history");
    say(start(&["--no-history"]), "not this");
    assert!(!file.exists());
    say(start(&[]), "remember me");
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&home.path().join("glass"))), (0o600, 0o700));
    let mut next = start(&[]);
    next.types("\x1b[A");
    next.shows("remember me");
    next.presses_control('c');
    next.shows("> ");
    next.presses_control('d');
    next.ends(0);
    let kept = fs::read_to_string(&file).expect("readable");
    assert!(kept.contains("remember me") && !kept.contains("not this"), "{kept}");

    // A file that was everybody's is one's own from now on; one that is no file is done without.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("changed");
    say(start(&[]), "again");
    assert_eq!(mode(&file), 0o600);
    let mut chat = chat(&model, "4");
    chat.env("GLASS_HISTORY", home.path()).env("TERM", "xterm");
    say(Terminal::begin(chat, true), "lost");
}

#[test]
fn tab_completes_commands_settings_and_files() {
    let model = model();
    model.write("said here.json", "[]");
    let mut terminal = Terminal::open(&model, "4");
    terminal.types("/set\ttemp\t1\r");
    terminal.shows("temperature 1 (/set)");
    terminal.shows("> ");
    terminal.types(&format!("/lo\t{}/sai\t\r", model.path()));
    terminal.shows("0 messages from");
    terminal.shows("> ");
    terminal.types("/u\t\r");
    terminal.shows("nothing to take back");
    terminal.shows("> ");
    // In a message there is nothing to complete.
    terminal.types("/");
    terminal.types("/x\ty\r");
    terminal.shows("cut off");
    terminal.shows("> ");
    terminal.presses_control('d');
    terminal.ends(0);
}

#[test]
fn colours_are_for_terminals_that_have_them() {
    let model = model();
    let colourful = |name: &str, variable: Option<(&str, &str)>| {
        let mut chat = chat(&model, "4");
        chat.envs(variable);
        let mut terminal = Terminal::of_size(&chat, 80, name);
        terminal.says("Hello");
        let mut shown = terminal.shows("cut off");
        shown += &terminal.shows("> ");
        terminal.says("/exit");
        shown + &terminal.ends(0)
    };
    let painted = |shown: &str| (shown.contains("\x1b[1m"), shown.contains("\x1b[2m"));
    assert_eq!(painted(&colourful("xterm", None)), (true, true));
    for (name, variable) in [("xterm", Some(("NO_COLOR", "1"))), ("xterm", Some(("CLICOLOR", "0"))), ("dumb", None)] {
        let shown = colourful(name, variable);
        assert_eq!(painted(&shown), (false, false), "{shown:?}");
        assert!(name != "dumb" || !shown.contains('\x1b'), "{shown:?}");
    }
}

#[test]
fn a_terminal_without_a_cursor_has_several_lines_and_ctrl_c_too() {
    let model = model();
    let file = model.file("saved.json");
    let mut terminal = Terminal::of_size(&chat(&model, "100000000"), 80, "dumb");
    terminal.says("/set max-new-tokens 6");
    terminal.shows("> ");
    terminal.says("a\\");
    terminal.says("b");
    terminal.shows("cut off");
    terminal.shows("> ");
    terminal.says("/set max-new-tokens 100000000");
    terminal.shows("> ");
    terminal.says("Go on");
    terminal.goes_on();
    terminal.presses_control('c');
    terminal.shows("glass: stopped");
    terminal.shows("> ");
    terminal.says(&format!("/save {}", text(&file)));
    terminal.shows("4 messages in");
    terminal.shows("> ");
    terminal.presses_control('c');
    terminal.shows("^C");
    terminal.leaves_by_control_c();
    let saved: Value = serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON");
    assert_eq!(saved[0]["content"], "a\nb");
}
