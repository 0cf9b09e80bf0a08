//! `glass tokenize`: the tokens of a text.

use std::path::Path;

use glass_generate::ModelFiles;
use glass_gguf::Gguf;
use glass_text::{Message, Piece, Role, Tokenizer};
use serde_json::{Value, json};

use crate::{
    args, embedded,
    error::CliError,
    load,
    prompt::{self, Prompt},
    say::{print_line, status, warn},
};

pub fn run(args: args::Tokenize) -> Result<(), CliError> {
    let prompt = match args.argument {
        Some(text) => Prompt::Text(text),
        None => prompt::read(&args.prompt)?,
    };
    let (tokenizer, files) = open(args.model.as_deref(), args.revision.as_deref())?;
    warn(tokenizer.warnings());
    let (text, pieces) = match prompt {
        Prompt::Ids(ids) => {
            let pieces = tokenizer.pieces_of_ids(&ids)?;
            if let Some(unknown) = pieces.iter().find(|piece| piece.token.is_none()) {
                let words = format!("--ids: the tokenizer has no token {}: leave it out", unknown.id);
                return Err(CliError::Usage(words));
            }
            (None, pieces)
        }
        Prompt::Text(text) if args.chat => {
            let template = match (&files, &args.model) {
                (Some(files), _) => files.chat_template()?,
                (None, None) => embedded::chat_template()?,
                (None, Some(_)) => {
                    let words = "--chat needs a model with a chat template, and not a tokenizer.json alone";
                    return Err(CliError::Usage(words.into()));
                }
            };
            let text = template.prompt(&[Message::new(Role::User, text)])?;
            let pieces = tokenizer.pieces(&text, false)?;
            (Some(text), pieces)
        }
        Prompt::Text(text) => {
            let pieces = tokenizer.pieces(&text, true)?;
            (Some(text), pieces)
        }
    };
    prompt::warn_unknown(Some(&tokenizer), text.as_deref())?;
    if args.json {
        return print_line(format!("{:#}", report(&pieces, text.as_deref())));
    }
    if !pieces.is_empty() {
        print_line(table(&pieces))?;
    }
    status!("glass: {}", summary(&pieces, text.as_deref()));
    Ok(())
}

/// The tokenizer, and the model's files if it comes from there.
fn open(model: Option<&str>, revision: Option<&str>) -> Result<(Tokenizer, Option<ModelFiles>), CliError> {
    let Some(model) = model else {
        return Ok((embedded::tokenizer()?, None));
    };
    let path = Path::new(model);
    if path.is_file() && !Gguf::is_at(path) {
        let json = std::fs::read(path).map_err(CliError::reading(path))?;
        return Ok((Tokenizer::from_json(&json, model)?, None));
    }
    let files = load::files_without_weights(model, revision)?;
    match files.tokenizer()? {
        Some(tokenizer) => Ok((tokenizer, Some(files))),
        None => Err(glass_generate::Error::NoTokenizer { folder: files.path().to_owned() }.into()),
    }
}

fn report(pieces: &[Piece], text: Option<&str>) -> Value {
    let tokens = pieces.iter().map(|piece| {
        json!({
            "id": piece.id,
            "piece": piece.token,
            "text": piece.text,
            "start": piece.span.map(|(start, _)| start),
            "end": piece.span.map(|(_, end)| end),
            "special": piece.special,
        })
    });
    json!({ "text": text, "count": pieces.len(), "tokens": tokens.collect::<Vec<_>>() })
}

/// One line per token: its number, id, piece and place, and the text there.
fn table(pieces: &[Piece]) -> String {
    let shown = |text: Option<&str>| text.map_or(String::new(), |text| text.escape_debug().to_string());
    let tokens: Vec<String> = pieces.iter().map(|piece| shown(piece.token.as_deref())).collect();
    let width = tokens.iter().map(|token| token.chars().count()).max().unwrap_or(0).max("piece".len());
    let mut lines = vec![format!("{:>5}  {:>7}  {:width$}  {:>11}  text", "", "id", "piece", "characters")];
    for (number, (piece, token)) in pieces.iter().zip(&tokens).enumerate() {
        let span = piece.span.map_or(String::new(), |(start, end)| format!("{start}..{end}"));
        let text = match &piece.text {
            Some(text) => format!("'{}'", text.escape_debug()),
            None => String::new(),
        };
        let special = if piece.special { " (special)" } else { "" };
        let line = format!("{:>5}  {:>7}  {token:width$}  {span:>11}  {text}{special}", number + 1, piece.id);
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn summary(pieces: &[Piece], text: Option<&str>) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let tokens = count(pieces.len(), "token");
    match text.map(|text| text.chars().count()) {
        Some(characters) if !pieces.is_empty() && characters > 0 => format!(
            "{tokens} for {}, {:.2} characters per token",
            count(characters, "character"),
            characters as f64 / pieces.len() as f64
        ),
        _ => tokens,
    }
}
