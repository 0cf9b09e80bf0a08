//! Texts in lines of a width, as a terminal shows them.

use unicode_width::UnicodeWidthStr;

use wrap::{Wrap, wrapped};

#[allow(dead_code, reason = "not all of it is tested here")]
#[path = "../../src/wrap.rs"]
mod wrap;

/// What a terminal shows of it, line by line.
pub fn screen(printed: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut rest = printed;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let line = lines.last_mut().expect("a line");
        match letter {
            '\n' => lines.push(String::new()),
            '\x1b' => {
                let (back, after) = rest[1..].split_once("D\x1b[K").expect("back, and clear");
                let kept = line.width() - back.parse::<usize>().expect("a number");
                while line.width() > kept {
                    line.pop();
                }
                assert_eq!(line.width(), kept, "half a character was taken back");
                rest = after;
            }
            _ => line.push(letter),
        }
    }
    lines
}

/// The lines of a text, whole and in pieces of any size.
fn shown(text: &str, columns: usize) -> Vec<String> {
    let whole = screen(&Wrap::default().push(text, columns));
    let letters: Vec<char> = text.chars().collect();
    for size in 1..=letters.len() {
        let mut wrap = Wrap::default();
        let pieces = letters.chunks(size).map(|piece| wrap.push(&piece.iter().collect::<String>(), columns));
        assert_eq!(screen(&pieces.collect::<String>()), whole, "{text:?} in pieces of {size}");
    }
    for line in &whole {
        assert!(line.width() <= columns, "{line:?} is wider than {columns}");
    }
    whole
}

#[test]
fn lines_break_between_words() {
    assert_eq!(shown("The quick brown fox jumps", 10), ["The quick ", "brown fox ", "jumps"]);
    assert_eq!(shown("exactly10!", 10), ["exactly10!"]);
    assert_eq!(shown("exactly10! more", 10), ["exactly10!", "more"]);
    assert_eq!(shown("a\n\nb c\n", 10), ["a", "", "b c", ""]);
    // Blanks that begin a line are the text's own.
    assert_eq!(shown("if:\n    do this now", 12), ["if:", "    do this ", "now"]);
    assert_eq!(shown("a\tb", 20), ["a       b"]);
    assert_eq!(shown("one\u{a0}two three", 8), ["one\u{a0}two ", "three"]);
}

#[test]
fn a_word_longer_than_a_line_is_cut() {
    assert_eq!(shown("abcdefghijklm", 5), ["abcde", "fghij", "klm"]);
    assert_eq!(shown("see abcdefghijk", 6), ["see ", "abcdef", "ghijk"]);
    // A family is one character of several.
    let family = "👨‍👩‍👧";
    assert_eq!(shown(&family.repeat(3), 5), [family.repeat(2), family.into()]);
    assert_eq!(shown("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
}

#[test]
fn wide_characters_count_two() {
    // Korean has words.
    assert_eq!(shown("안녕하세요 만나서 반갑습니다", 14), ["안녕하세요 ", "만나서 ", "반갑습니다"]);
    assert_eq!(shown("대한민국은 민주공화국이다.", 11), ["대한민국은 ", "민주공화국", "이다."]);
    // Chinese and Japanese have none, but no line begins with a full stop.
    assert_eq!(shown("你好世界你好", 5), ["你好", "世界", "你好"]);
    assert_eq!(shown("私は学生。です", 8), ["私は学", "生。です"]);
    assert_eq!(shown("これは「本」です", 8), ["これは", "「本」で", "す"]);
    assert_eq!(shown("ab你好 cd", 5), ["ab你", "好 cd"]);
    assert_eq!(shown("👍👍 👍👍", 5), ["👍👍 ", "👍👍"]);
}

#[test]
fn nothing_in_a_text_steers_the_terminal() {
    assert_eq!(shown("a\x1b[2Jb\x07\r\n", 40), ["a\\u{1b}[2Jb\\u{7}", ""]);
}

#[test]
fn texts_that_are_there_are_wrapped_without_going_back() {
    assert_eq!(wrapped("The quick brown fox\njumps", 10), "The quick\nbrown fox\njumps");
    assert_eq!(wrapped("안녕하세요 만나서", 12), "안녕하세요\n만나서");
    assert_eq!(wrapped("abcdefghij", 4), "abcd\nefgh\nij");
    assert_eq!(wrapped("  a  b\n", 20), "  a  b");
}

#[test]
fn any_mixture_fits_and_keeps_its_letters() {
    let letters: Vec<char> = "ab한글中、。（）é\u{301}👍👩‍👧\u{200d}\u{fe0f}☺🇩🇪. \u{a0}\t\n".chars().collect();
    let mut state = 7u64;
    let mut next = |limit: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % limit
    };
    for _ in 0..3000 {
        let text: String = (0..next(40)).map(|_| letters[next(letters.len())]).collect();
        let lines = shown(&text, 5 + next(20));
        let letters = |text: &str| -> String { text.chars().filter(|c| !" \t\n".contains(*c)).collect() };
        assert_eq!(letters(&lines.concat()), letters(&text), "{text:?}");
    }
}
