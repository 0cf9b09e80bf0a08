//! How much memory the keys and values of texts may take, planned before anybody is served.

use std::num::NonZeroUsize;

use glass_bench::free_memory;
use glass_generate::Llama;
use glass_server::engine::{ServiceOptions, longest_text, text_bytes};

use crate::{
    error::CliError,
    info::size,
    say::{status, warn},
};

/// Options of which every text that is taken has its memory: what `--memory` says, or what the texts take, as far as four
/// fifths of the memory that is free go. Says what that is.
///
/// # Errors
/// A context that was asked for and does not fit; the model's own, if next to nothing of it does.
pub fn plan(llama: &Llama, mut options: ServiceOptions) -> Result<ServiceOptions, CliError> {
    let own = llama.config.context();
    let asked = options.context.map(NonZeroUsize::get);
    if let Some(asked) = asked.filter(|asked| *asked > own) {
        warn([format!("--context {asked} is more than the model's context: texts have {own} tokens")]);
    }
    let bytes = |tokens| text_bytes(llama, &options, tokens);
    let free = free_memory(&llama.device).map(|free| free.saturating_sub(options.cache_memory) / 5 * 4);
    let room = options.memory.or(free);
    let mut context = asked.unwrap_or(own).min(own);
    let one = bytes(context)?;
    if let Some(room) = room.filter(|room| one > *room) {
        let fits = longest_text(llama, &options, context, room)?;
        let why =
            format!("keys and values of {context} tokens take {}, and there is room for {}", size(one), size(room));
        if asked.is_some() || options.memory.is_some() || fits == 0 {
            let most = if fits > 0 { format!("--context {fits} fits") } else { "no text fits".to_owned() };
            return Err(CliError::Usage(format!("{why}: {most}; --memory and --cache-memory say what may be taken")));
        }
        warn([format!("{why}: texts have {fits} tokens, not the model's {own} (--context, --memory, --cache)")]);
        context = fits;
    }
    let (one, parallel) = (bytes(context)?, options.parallel.get() as u64);
    let all = one.saturating_mul(parallel);
    let memory = room.map_or(all, |room| room.min(all));
    let at_once = match memory.checked_div(one) {
        Some(texts) if texts < parallel => {
            format!("{texts} at once, or up to {parallel} shorter ones (--memory, --context, --parallel)")
        }
        _ => format!("{parallel} at once"),
    };
    status!("glass: keys and values may take {}: texts of up to {context} tokens, {at_once}", size(memory));
    (options.context, options.memory) = (NonZeroUsize::new(context), Some(memory));
    Ok(options)
}
