//! `--keep`: a quantized copy of a model, in the user's cache folder.

use glass_checkpoint::{ConvertError, Precision, SaveError};
use glass_config::Override;
use glass_generate::ModelFiles;
use glass_hub::HubOptions;

use crate::{
    bars,
    error::CliError,
    interrupt,
    say::{status, warn},
    shell::quoted_path,
};

/// The copy of a model whose matrices are quantized, if it can be had: a line says where it is, and a warning why there is none.
///
/// # Errors
/// The files cannot be read; Ctrl-C.
pub fn copy(
    files: &ModelFiles,
    overrides: &[Override],
    precision: Option<Precision>,
) -> Result<Option<ModelFiles>, CliError> {
    let format = precision.filter(|precision| !precision.fake_quantize).and_then(|precision| precision.quantize);
    let Some(format) = format else {
        return Ok(without_effect("it is for --dtype q8 and q4"));
    };
    if files.path().is_file() {
        return Ok(without_effect("copies are kept of folders alone, and this is a GGUF file"));
    }
    if !overrides.is_empty() {
        return Ok(without_effect("with --set the model is another than in the folder"));
    }
    if files.stored(&mut files.config(overrides)?)?.0.quantize.is_some() {
        return Ok(without_effect("the folder is quantized already"));
    }
    let Some(caches) = HubOptions::from_env().own else {
        return Ok(without_effect("neither XDG_CACHE_HOME nor a home folder is set"));
    };
    let bar = bars::bytes("quantizing");
    let progress = &mut |written, total| {
        bar.set_length(total);
        bar.set_position(written);
        interrupt::flow()
    };
    let kept = glass_checkpoint::kept(files.path(), &caches, format, progress);
    bar.finish_and_clear();
    match kept {
        Ok(kept) => {
            let what =
                if kept.is_new { "a quantized copy is kept in" } else { "the quantized copy is used that is kept in" };
            status!("glass: {what} {}", quoted_path(&kept.folder));
            Ok(Some(ModelFiles::open(&kept.folder)?))
        }
        Err(error @ ConvertError::Save(SaveError::Interrupted)) => Err(error.into()),
        Err(error) => {
            warn([format!("no quantized copy is kept, and the model is quantized while it is read: {error}")]);
            Ok(None)
        }
    }
}

/// Says why; there is no copy.
pub fn without_effect(why: &str) -> Option<ModelFiles> {
    warn([format!("--keep without effect: {why}")]);
    None
}
