//! Saved conversations.

use glass_text::{Message, Role, read_messages};

#[test]
fn saved_messages_read_back() {
    let messages =
        [Message::new(Role::System, "s"), Message::new(Role::User, "ü\n\"x\""), Message::new(Role::Assistant, "")];
    for messages in [&messages[..], &messages[1..]] {
        let json = serde_json::to_vec(messages).expect("JSON");
        assert_eq!(read_messages(&json, "f"), Ok(messages.to_vec()));
    }
    for short in [&b"[]"[..], br#"[{"role": "system", "content": "s"}]"#] {
        assert!(read_messages(short, "f").is_ok());
    }
}

#[test]
fn wrong_messages_are_refused_by_number() {
    let message = |role: &str| format!(r#"{{"role": "{role}", "content": "x"}}"#);
    for (roles, words) in [
        (&["assistant"][..], "message 1 is the assistant's"),
        (&["system", "assistant"], "message 2 is the assistant's"),
        (&["user", "user"], "message 2 is the user's"),
        (&["user", "assistant", "system"], "message 3 is the system's"),
        (&["user"], "no answer"),
        (&["user", "assistant", "user"], "no answer"),
        (&["tool"], "unknown variant `tool`"),
    ] {
        let list: Vec<String> = roles.iter().map(|role| message(role)).collect();
        let json = format!("[{}]", list.join(","));
        let line = read_messages(json.as_bytes(), "f.json").expect_err("refused");
        let line = line.to_string();
        assert!(line.starts_with("f.json: ") && !line.contains('\n'), "{line}");
        assert!(line.contains(words), "{line}");
    }
    for bad in ["", "{}", "[1]", r#"[{"role": "user"}]"#, r#"[{"role": "user", "content": "x", "name": "y"}]"#] {
        assert!(read_messages(bad.as_bytes(), "f").is_err(), "{bad}");
    }
}
