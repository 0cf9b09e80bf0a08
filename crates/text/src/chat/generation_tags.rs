//! `{% generation %}` marks what the assistant says, for those who train on it. It leaves no text.

use std::borrow::Cow;

/// The template with `{% with %}` in the place of `{% generation %}`: like that it opens a scope, and it keeps the signs
/// that cut whitespace.
pub(super) fn replace(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return source.into();
    }
    let mut out = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        out.push_str(before);
        let length = tag.find("%}").unwrap_or(tag.len());
        let (inside, after) = tag.split_at(length);
        let word = inside
            .trim_start_matches(['-', '+'])
            .trim_end_matches(['-', '+'])
            .trim();
        match word {
            "generation" => out.push_str(&inside.replacen(word, "with", 1)),
            "endgeneration" => out.push_str(&inside.replacen(word, "endwith", 1)),
            _ => out.push_str(inside),
        }
        rest = after;
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_alone_are_replaced() {
        for (source, replaced) in [
            (
                "{% generation %}a{% endgeneration %}",
                "{% with %}a{% endwith %}",
            ),
            (
                "{%- generation-%}\n{%+endgeneration -%}",
                "{%- with-%}\n{%+endwith -%}",
            ),
            (
                "{% if add_generation_prompt %}generation{% endif %}",
                "{% if add_generation_prompt %}generation{% endif %}",
            ),
            ("{% generation", "{% with"),
            ("a generation", "a generation"),
        ] {
            assert_eq!(replace(source), replaced);
        }
    }
}
