//! `{% generation %}` marks the assistant's text, for training. It adds no text.

use std::borrow::Cow;

/// Replaces `{% generation %}` by `{% with %}`, which opens a scope like it, and keeps the signs that trim whitespace.
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
        let word = inside.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
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
    fn replace_changes_tags_alone() {
        for (source, replaced) in [
            ("{% generation %}a{% endgeneration %}", "{% with %}a{% endwith %}"),
            ("{%- generation-%}\n{%+endgeneration -%}", "{%- with-%}\n{%+endwith -%}"),
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
