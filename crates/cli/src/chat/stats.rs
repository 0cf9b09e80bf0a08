//! The figures of `/stats`.

use glass_generate::{Conversation, Reply};

/// Tokens of the conversation so far.
#[derive(Default)]
pub struct Stats {
    prompt_tokens: usize,
    reused_tokens: usize,
    new_tokens: usize,
    last: Option<Reply>,
}

impl Stats {
    pub fn count(&mut self, reply: Reply) {
        let generated = &reply.generated;
        self.prompt_tokens += generated.prompt_tokens;
        self.reused_tokens += generated.reused_tokens;
        self.new_tokens += generated.ids.len();
        self.last = Some(reply);
    }

    /// Several lines.
    pub fn show(&self, conversation: &Conversation<'_>, context: usize) -> String {
        let mut lines = vec![format!(
            "{} messages, {} of them no longer given to the model; {} of {context} tokens of the context are read",
            conversation.messages().len(),
            conversation.forgotten(),
            conversation.tokens_read(),
        )];
        let Some(reply) = &self.last else {
            lines.push("nothing was answered yet".to_owned());
            return lines.join("\n");
        };
        let last = &reply.generated;
        let at = |speed: Option<f64>| speed.map_or(String::new(), |speed| format!(" at {speed:.1}/s"));
        lines.push(format!(
            "last prompt   {:>6} tokens: {} reused, {} computed{}",
            last.prompt_tokens,
            last.reused_tokens,
            last.prompt_tokens - last.reused_tokens,
            at(last.prefill_tokens_per_second()),
        ));
        if let Some(restart) = reply.restart {
            lines.push(format!("              read from the start: {restart}"));
        }
        lines.push(format!(
            "last answer   {:>6} tokens{} ({})",
            last.ids.len(),
            at(last.decode_tokens_per_second()),
            last.finish_reason,
        ));
        lines.push(format!(
            "all prompts   {:>6} tokens: {} reused, {} computed",
            self.prompt_tokens,
            self.reused_tokens,
            self.prompt_tokens - self.reused_tokens,
        ));
        lines.push(format!("all answers   {:>6} tokens", self.new_tokens));
        lines.push(format!("cache         {:>6} kB of keys and values", last.cache_bytes / 1000));
        lines.join("\n")
    }
}
