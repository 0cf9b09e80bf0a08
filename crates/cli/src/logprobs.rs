//! Log-probabilities of tokens, as JSON and as a table.

use glass_generate::TokenLogprobs;
use glass_text::Tokenizer;
use serde_json::{Value, json};

/// One object per token; `token` is as the vocabulary spells it, null without a tokenizer.
pub fn json(logprobs: &[TokenLogprobs], tokenizer: Option<&Tokenizer>) -> Value {
    let entry = |id: u32, logprob: f64| {
        let token = tokenizer.and_then(|tokenizer| tokenizer.token(id));
        json!({"id": id, "token": token, "logprob": logprob})
    };
    let tokens = logprobs.iter().map(|at| {
        let mut token = entry(at.id, at.logprob);
        token["top"] = at.top.iter().map(|&(id, p)| entry(id, p)).collect();
        token
    });
    tokens.collect()
}

/// One line per token: its number, itself, its log-probability, and the most probable tokens with theirs.
pub fn table(logprobs: &[TokenLogprobs], tokenizer: Option<&Tokenizer>) -> String {
    let shown = |id: u32| match tokenizer.and_then(|tokenizer| tokenizer.token(id)) {
        Some(token) => token.escape_debug().to_string(),
        None => id.to_string(),
    };
    let tokens: Vec<String> = logprobs.iter().map(|at| shown(at.id)).collect();
    let wide = |token: &String| token.chars().count();
    let width = tokens.iter().map(wide).max().unwrap_or(0).max("token".len());
    let mut lines = vec![format!("{:>5}  {:width$}  {:>8}", "", "token", "logprob")];
    if logprobs.iter().any(|at| !at.top.is_empty()) {
        lines[0] += "  most probable";
    }
    for (number, (at, token)) in logprobs.iter().zip(&tokens).enumerate() {
        let mut line = format!("{:>5}  {token:width$}  {:>8.4}", number + 1, at.logprob);
        for &(id, logprob) in &at.top {
            line += &format!("  {} {logprob:.4}", shown(id));
        }
        lines.push(line);
    }
    lines.join("\n")
}
