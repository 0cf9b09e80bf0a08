use glass_generate::stop::{FinishReason, StopError, StopRule};
use proptest::prelude::*;

const EOS: u32 = 2;

fn rule(stops: &[&str], limit: usize) -> StopRule {
    let stops = stops.iter().map(|&stop| stop.to_owned()).collect();
    StopRule::new(vec![EOS], stops, limit).unwrap()
}

/// The pieces that a reader sees, the last one from the end, and why it ended.
fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, Option<FinishReason>) {
    let mut rule = rule(stops, usize::MAX);
    let mut seen = Vec::new();
    for piece in pieces {
        let step = rule.push(7, piece, None);
        seen.push(step.text);
        if step.finish.is_some() {
            seen.push(rule.finish(""));
            return (seen, step.finish);
        }
    }
    seen.push(rule.finish(""));
    (seen, None)
}

#[test]
fn text_is_cut_before_the_stop_string() {
    let stop = Some(FinishReason::StopString);
    let cases: [(&[&str], &[&str], &[&str], _); 8] = [
        (&["\n\n"], &["a\n", "\nb"], &["a", "", ""], stop),
        (&["\n\n"], &["a\n", "b"], &["a", "\nb", ""], None),
        (&["STOP"], &["xS", "T", "O", "P", "!"], &["x", "", "", "", ""], stop),
        (&["STOP"], &["xSTOP after"], &["x", ""], stop),
        // Held back to the end, and then shown: it was no stop string.
        (&["STOP"], &["xSTO"], &["x", "STO"], None),
        // A beginning that starts anew inside another.
        (&["aab"], &["a", "a", "a", "b"], &["", "", "a", "", ""], stop),
        (&["é!", "中文"], &["caf", "é", "中", "文"], &["caf", "", "é", "", ""], stop),
        (&[], &["any", "thing"], &["any", "thing", ""], None),
    ];
    for (stops, pieces, expected, finish) in cases {
        let (seen, reason) = run(stops, pieces);
        assert_eq!((seen, reason), (expected.iter().map(|&s| s.to_owned()).collect(), finish));
    }
}

#[test]
fn the_first_complete_stop_string_wins() {
    for stops in [["bc", "abcd"], ["abcd", "bc"]] {
        assert_eq!(run(&stops, &["xabcd"]).0, ["xa", ""]);
        assert_eq!(run(&stops, &["xa", "b", "c", "d"]).0.concat(), "xa");
    }
    // Two end at the same place: the one that begins earlier is cut out whole.
    assert_eq!(run(&["bc", "abc"], &["xabcd"]).0, ["x", ""]);
    assert_eq!(run(&["later", "now"], &["now and later"]).0, ["", ""]);
}

#[test]
fn eos_and_length() {
    let mut eos = rule(&["x"], 10);
    assert_eq!(eos.push(1, "a", None).finish, None);
    assert_eq!(eos.push(EOS, "", None).finish, Some(FinishReason::Eos));
    let mut length = rule(&[], 2);
    assert!(!length.limit_reached());
    assert_eq!(length.push(1, "a", None).finish, None);
    assert_eq!(length.push(1, "b", None).finish, Some(FinishReason::Length));
    assert!(rule(&[], 0).limit_reached());
    // On the last token allowed, the other reasons say more.
    assert_eq!(rule(&["b"], 1).push(1, "b", None).finish, Some(FinishReason::StopString));
    assert_eq!(rule(&["b"], 1).push(EOS, "b", None).finish, Some(FinishReason::Eos));
}

/// Special tokens are looked at, and never shown. Pieces in angle brackets are special tokens.
#[test]
fn stop_strings_may_hold_special_tokens() {
    let stop = Some(FinishReason::StopString);
    let cases: [(&[&str], &[&str], &str, _); 12] = [
        (&["<|s|>"], &["x", "<|s|>", "y"], "x", stop),
        (&["x<|s|>"], &["ax", "<|s|>", "y"], "a", stop),
        (&["<|s|>y"], &["x", "<|s|>", "yz"], "x", stop),
        (&["x<|s|>y"], &["ax", "<|s|>", "yz"], "a", stop),
        (&["|s|"], &["x", "<|s|>", "y"], "x", stop),
        (&["x<|"], &["ax", "<|s|>", "y"], "a", stop),
        (&["<|s|><|t|>"], &["x", "<|s|>", "<|t|>", "y"], "x", stop),
        // Held back, and no stop string after all.
        (&["x<|s|>y"], &["ax", "<|s|>", "z", "!"], "axz!", None),
        (&["x<|s|>y"], &["ax", "<|s|>"], "ax", None),
        (&["<|s|>yy"], &["x", "<|s|>", "<|s|>", "y", "yz"], "x", stop),
        (&["xy"], &["x", "<|s|>", "y"], "xy", None),
        (&["q"], &["<|s|>", "x", "<|t|>"], "x", None),
    ];
    for (stops, pieces, expected, finish) in cases {
        let mut rule = rule(stops, usize::MAX);
        let (mut seen, mut reason) = (String::new(), None);
        for &piece in pieces {
            let step = match piece.starts_with('<') {
                true => rule.push(7, "", Some(piece)),
                false => rule.push(7, piece, None),
            };
            seen.push_str(&step.text);
            reason = step.finish;
            if reason.is_some() {
                break;
            }
        }
        seen.push_str(&rule.finish(""));
        assert_eq!((seen.as_str(), reason), (expected, finish), "{stops:?} in {pieces:?}");
    }
}

#[test]
fn the_last_piece_may_complete_a_stop_string() {
    let mut rule = rule(&["ab"], 2);
    assert_eq!(rule.push(1, "xa", None).text, "x");
    assert_eq!(rule.finish("bc"), "");
}

#[test]
fn an_empty_stop_string_is_an_error() {
    let error = StopRule::new(Vec::new(), vec!["a".into(), String::new()], 1).unwrap_err();
    assert_eq!(error, StopError::EmptyStopString { index: 1 });
}

#[test]
fn reasons_have_names() {
    use FinishReason::{Eos, Interrupted, Length, StopString};
    let names = [Eos, StopString, Length, Interrupted].map(|reason| reason.to_string());
    assert_eq!(names, ["eos", "stop", "length", "interrupted"]);
}

/// The text before the stop string that is complete first, found the slow way.
fn cut(text: &str, stops: &[String]) -> String {
    for (end, _) in text.char_indices().chain([(text.len(), ' ')]) {
        let longest = stops.iter().filter(|stop| text[..end].ends_with(*stop)).map(String::len).max();
        if let Some(length) = longest {
            return text[..end - length].to_owned();
        }
    }
    text.to_owned()
}

proptest! {
    #[test]
    fn the_text_does_not_depend_on_the_pieces(
        pieces in prop::collection::vec("[abé]{0,4}", 0..12),
        stops in prop::collection::vec("[abé]{1,4}", 0..4),
    ) {
        let text = pieces.concat();
        let expected = cut(&text, &stops);
        let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (seen, reason) = run(&stops, &pieces);
        prop_assert_eq!(seen.concat(), expected.clone());
        prop_assert_eq!(reason.is_some(), expected != text || stops.iter().any(|stop| text.ends_with(stop)));
        // No prefix of what was shown ever went beyond the final text.
        let mut shown = String::new();
        for piece in seen {
            shown.push_str(&piece);
            prop_assert!(expected.starts_with(&shown));
        }
    }
}
