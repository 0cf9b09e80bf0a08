//! A tokenizer from a model's folder: `tokenizer.json`, and what the files beside it say.

use std::path::Path;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use tokenizers::{AddedToken, models::ModelWrapper, processors::PostProcessorWrapper};

use super::{
    Tokenizer, TokenizerError, catch_panic,
    class::{Class, PostProcessor},
    clean_up, one_line,
    post_processor::template,
    special::{SpecialTokens, TokenFiles},
};
use crate::read_small_file;

const FILE: &str = "tokenizer.json";
const CONFIG_FILE: &str = "tokenizer_config.json";

/// `tokenizer.json` without its vocabulary.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts {
    added_tokens: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: ModelParts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ModelParts {
    #[serde(rename = "type")]
    kind: Option<String>,
    merges: Option<IgnoredAny>,
}

impl Parts {
    /// Byte-pair encoding, which is what the classes that are built anew have.
    fn is_bpe(&self) -> bool {
        self.model.kind.as_ref().is_none_or(|kind| kind == "BPE") && self.model.merges.is_some()
    }

    fn is_byte_level(&self) -> bool {
        let parts = [&self.normalizer, &self.pre_tokenizer, &self.post_processor, &self.decoder];
        parts.iter().any(|part| part.to_string().contains("\"ByteLevel\""))
    }
}

impl Tokenizer {
    /// The tokenizer of a model's folder; `None` when the folder has none.
    ///
    /// # Errors
    /// [`TokenizerError::SentencePieceOnly`] when there is only a `tokenizer.model`; a file is unreadable or broken.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>, TokenizerError> {
        let path = folder.join(FILE);
        let Some(json) = read(&path)? else {
            if folder.join("tokenizer.model").exists() {
                let folder = folder.display().to_string();
                return Err(TokenizerError::SentencePieceOnly { folder });
            }
            return Ok(None);
        };
        let origin = path.display().to_string();
        // A broken file is an error below.
        let parts: Parts = serde_json::from_slice(&json).unwrap_or_default();
        let (files, class, mut warnings) = read_folder(folder, parts)?;
        let rebuilt = class.as_ref().and_then(|class| class.rebuild(&serde_json::from_slice(&json).ok()?));
        let mut tokenizer = match &rebuilt {
            Some(rebuilt) => Self::from_json(rebuilt.to_string().as_bytes(), &origin)?,
            None => Self::from_json(&json, &origin)?,
        };
        let defaults = class.as_ref().map_or(Vec::new(), |class| class.defaults.clone());
        let tokens = SpecialTokens::new(&files, &defaults);
        let broken = |reason: String| TokenizerError::Broken { path: origin.clone(), reason };

        let known = tokenizer.inner.get_added_vocabulary().get_added_tokens_decoder().values();
        let known: Vec<String> = known.map(|token| token.content.clone()).collect();
        tokenizer.add(tokens.to_add(&known)).map_err(broken)?;
        if let Some(class) = &class {
            if class.resets_named() {
                tokenizer.add(tokens.as_special()).map_err(broken)?;
            }
            if let PostProcessor::Anew { bos } = class.post_processor() {
                tokenizer.set_template(tokens.text("bos_token").filter(|_| bos)).map_err(broken)?;
            }
        }
        if files.tokenizer_config.get("split_special_tokens") == Some(&Value::Bool(true)) {
            tokenizer.inner.set_encode_special_tokens(true);
        }
        let is_bpe = matches!(tokenizer.inner.get_model(), ModelWrapper::BPE(_));
        tokenizer.cleans_up = clean_up::is_asked(&files.tokenizer_config, is_bpe);
        warnings.extend(tokenizer.compare_with(&files.tokenizer_config, &folder.join(CONFIG_FILE)));
        tokenizer.warnings = warnings;
        Ok(Some(tokenizer))
    }

    fn add(&mut self, tokens: Vec<AddedToken>) -> Result<(), String> {
        catch_panic(|| self.inner.add_tokens(tokens)).map(|_| ())
    }

    /// A post-processor that puts `bos` before every text, if there is one.
    fn set_template(&mut self, bos: Option<&str>) -> Result<(), String> {
        let bos = bos.and_then(|bos| Some((bos, self.token_id(bos)?)));
        let template: PostProcessorWrapper =
            serde_json::from_value(template(bos, None)).map_err(|error| one_line(&error))?;
        self.inner.with_post_processor(Some(template));
        Ok(())
    }

    /// With a `tokenizer.json`, `transformers` 5 takes no notice of `add_bos_token` and `add_eos_token`: folders in which
    /// they contradict the file get a warning.
    fn compare_with(&self, config: &Map<String, Value>, path: &Path) -> Vec<String> {
        let mut warnings = Vec::new();
        // With an empty text, the front is the end: when "a" has no token, nothing is compared.
        let Ok(encoding) = self.encoding("a", true) else {
            return warnings;
        };
        let mask = encoding.get_special_tokens_mask();
        if mask.iter().all(|&mark| mark == 1) {
            return warnings;
        }
        for (field, end, adds) in
            [("add_bos_token", "front", mask.first() == Some(&1)), ("add_eos_token", "end", mask.last() == Some(&1))]
        {
            let Some(asked) = config.get(field).and_then(Value::as_bool) else {
                continue;
            };
            if asked != adds {
                let does = if adds { "adds a" } else { "adds no" };
                warnings.push(format!(
                    "{}: {field} = {asked} is not honoured: {FILE} decides, and its post_processor {does} token at the {end}",
                    path.display()
                ));
            }
        }
        warnings
    }
}

/// The named tokens of a folder, as templates see them.
///
/// # Errors
/// A file is unreadable or broken.
pub(crate) fn read_named_tokens(folder: &Path) -> Result<Vec<(String, String)>, TokenizerError> {
    let json = read(&folder.join(FILE))?;
    // A broken tokenizer is reported by those who need it.
    let parts = json.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let (files, class, _) = read_folder(folder, parts)?;
    let defaults = class.map_or(Vec::new(), |class| class.defaults);
    let tokens = SpecialTokens::new(&files, &defaults);
    Ok(tokens.texts().map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
}

/// The files beside `tokenizer.json`, the class that they name, and what is not as they say.
fn read_folder(folder: &Path, parts: Parts) -> Result<(TokenFiles, Option<Class>, Vec<String>), TokenizerError> {
    let (is_bpe, is_byte_level) = (parts.is_bpe(), parts.is_byte_level());
    let files = TokenFiles {
        tokenizer_config: object(&folder.join(CONFIG_FILE))?,
        special_tokens_map: object(&folder.join("special_tokens_map.json"))?,
        added_tokens: object(&folder.join("added_tokens.json"))?,
        of_tokenizer: parts.added_tokens,
    };
    // A broken config is reported by those who need it.
    let config = read(&folder.join("config.json")).ok().flatten();
    let config = config.and_then(|json| glass_json::parse_object(&json).ok()).unwrap_or_default();
    match Class::find(&files.tokenizer_config, &config, is_byte_level) {
        Ok(class) => Ok((files, class.filter(|_| is_bpe), Vec::new())),
        Err(name) => {
            let warning = format!(
                "{}: tokenizer_class {name} is built anew by transformers 5: here {FILE} decides how text is cut",
                folder.join(CONFIG_FILE).display()
            );
            Ok((files, None, vec![warning]))
        }
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    read_small_file(path)
        .map_err(|error| TokenizerError::Unreadable { path: path.display().to_string(), reason: one_line(&error) })
}

/// An empty object where there is no such file.
fn object(path: &Path) -> Result<Map<String, Value>, TokenizerError> {
    let Some(json) = read(path)? else {
        return Ok(Map::new());
    };
    glass_json::parse_object(&json)
        .map_err(|error| TokenizerError::BrokenConfig { path: path.display().to_string(), reason: one_line(&error) })
}
