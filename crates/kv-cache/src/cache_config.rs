//! What the layers of a model keep, together.

use std::{fmt, str::FromStr};

use glass_backend::KvDtype;
use glass_config::{LayerConfig, LlamaConfig, RopeScaling};

use crate::{CachePolicy, CachePolicyError, Window};

/// The policies of all layers: what the config asks for (full layers keep everything, sliding layers a ring of their
/// window), unless something else is asked for; and the type that keys and values are kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CacheConfig {
    /// Of layers with full attention.
    pub full: Option<CachePolicy>,
    /// Of layers with a sliding window.
    pub sliding: Option<CachePolicy>,
    /// What keys and values are kept in. `None`: what fits the model's own type.
    pub dtype: Option<KvDtype>,
}

impl FromStr for CacheConfig {
    type Err = CachePolicyError;

    /// A policy for all layers, or for those of one kind behind `full=` or `sliding=`; several behind commas, of which a
    /// later one goes before an earlier one: `tova:512,sliding=full`. Behind `dtype=` stands the type of keys and values.
    fn from_str(text: &str) -> Result<Self, CachePolicyError> {
        let mut config = Self::default();
        for part in text.split(',') {
            match part.split_once('=') {
                None => {
                    let policy = Some(part.parse()?);
                    (config.full, config.sliding) = (policy, policy);
                }
                Some(("full", policy)) => config.full = Some(policy.parse()?),
                Some(("sliding", policy)) => config.sliding = Some(policy.parse()?),
                Some(("dtype", dtype)) => {
                    let unknown = |_| CachePolicyError::UnknownDtype { text: dtype.to_owned() };
                    config.dtype = Some(dtype.parse().map_err(unknown)?);
                }
                Some(_) => {
                    let text = part.to_owned();
                    return Err(CachePolicyError::Unknown { text });
                }
            }
        }
        Ok(config)
    }
}

impl fmt::Display for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies = match (self.full, self.sliding) {
            (None, None) => None,
            (Some(full), Some(sliding)) if full == sliding => Some(full.to_string()),
            (Some(full), Some(sliding)) => Some(format!("full={full},sliding={sliding}")),
            (Some(full), None) => Some(format!("full={full}")),
            (None, Some(sliding)) => Some(format!("sliding={sliding}")),
        };
        match (policies, self.dtype) {
            (None, None) => write!(f, "as configured"),
            (Some(policies), None) => f.write_str(&policies),
            (None, Some(dtype)) => write!(f, "dtype={dtype}"),
            (Some(policies), Some(dtype)) => write!(f, "{policies},dtype={dtype}"),
        }
    }
}

impl CacheConfig {
    /// The policy of a layer with this window.
    pub fn policy(self, window: Window) -> CachePolicy {
        match window {
            Window::Full => self.full.unwrap_or(CachePolicy::Full),
            Window::Last(_) => self.sliding.unwrap_or(CachePolicy::Ring { window: None }),
        }
    }

    /// Whether a policy drops states by what they were attended to, so that nothing can be taken back.
    pub fn drops_states(self) -> bool {
        let mut policies = [self.full, self.sliding].into_iter().flatten();
        policies.any(|policy| matches!(policy, CachePolicy::Tova { .. }))
    }

    /// Whether every layer keeps every token, so that a cache can go back to any.
    pub fn keeps_everything(self, config: &LlamaConfig) -> bool {
        let recurrent = config.layers.iter().any(|layer| layer.attention().is_none());
        !recurrent
            && windows(config).all(|own| match self.policy(own) {
                CachePolicy::Full => true,
                // A ring without a window has no end.
                CachePolicy::Ring { window } => window.is_none() && own == Window::Full,
                CachePolicy::StreamingLlm { .. } | CachePolicy::Tova { .. } => false,
            })
    }

    /// Whether the model computes what its config says: nothing is forgotten that a layer would see.
    pub fn is_exact(self, config: &LlamaConfig) -> bool {
        windows(config).all(|window| {
            let policy = self.policy(window);
            let exact = matches!(policy, CachePolicy::Full | CachePolicy::Ring { .. });
            exact && policy.window(window) == window
        })
    }

    /// # Errors
    /// A policy that does not fit the model, or layers that it does not have.
    pub fn check(self, config: &LlamaConfig) -> Result<(), CachePolicyError> {
        // Where no layer has keys, a policy is for nothing.
        if let (Some(policy), None) = (self.full.or(self.sliding), windows(config).next()) {
            return Err(CachePolicyError::NoSuchLayers { policy, kind: "attention" });
        }
        if let (Some(dtype), None) = (self.dtype, windows(config).next()) {
            return Err(CachePolicyError::NoKeys { dtype });
        }
        // One for all layers is one for those that there are.
        if self.full != self.sliding {
            for (policy, kind, full) in [(self.full, "full-attention", true), (self.sliding, "sliding-window", false)] {
                let mut windows = windows(config);
                if let Some(policy) = policy.filter(|_| !windows.any(|it| (it == Window::Full) == full)) {
                    return Err(CachePolicyError::NoSuchLayers { policy, kind });
                }
            }
        }
        let chunked = |layer: &LayerConfig| layer.attention().is_some_and(|attention| attention.dual_chunk.is_some());
        let policy = self.policy(Window::Full);
        if config.layers.iter().any(chunked)
            && !matches!(policy, CachePolicy::Full | CachePolicy::Ring { window: None })
        {
            return Err(CachePolicyError::DualChunk { policy });
        }
        for own in windows(config) {
            let policy = self.policy(own);
            let CachePolicy::StreamingLlm { window, .. } = policy else {
                continue;
            };
            if let Window::Last(own) = own
                && window > own
            {
                let (window, own) = (window.get(), own.get());
                return Err(CachePolicyError::BeyondWindow { policy, window, own });
            }
            let by_length =
                |scaling: &RopeScaling| matches!(scaling, RopeScaling::Dynamic(_) | RopeScaling::Longrope(_));
            if let Some(rope) = config.ropes.iter().find(|rope| by_length(&rope.scaling)) {
                let rope = rope.scaling.name();
                return Err(CachePolicyError::Rope { policy, rope });
            }
        }
        Ok(())
    }
}

/// The windows of a model's attention layers.
fn windows(config: &LlamaConfig) -> impl Iterator<Item = Window> {
    let attention = config.layers.iter().filter_map(|layer| layer.attention());
    attention.map(|attention| attention.window.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_name_kinds_of_layers() {
        let policies: CacheConfig = "tova:8,sliding=full".parse().unwrap();
        assert_eq!(policies.full, Some("tova:8".parse().unwrap()));
        assert_eq!(policies.sliding, Some(CachePolicy::Full));
        assert_eq!(policies.to_string().parse(), Ok(policies));
        for text in ["", "layer3=full", "full=", "tova:8,", "full=full=full"] {
            assert!(text.parse::<CacheConfig>().is_err(), "{text}");
        }
    }

    fn config(fields: &str) -> LlamaConfig {
        let text = format!(
            r#"{{"vocab_size": 7, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64, {fields}}}"#
        );
        LlamaConfig::from_json(&text, "test", &[]).unwrap()
    }

    #[test]
    fn what_does_not_fit_a_model_is_refused() {
        let full = config(r#""model_type": "llama""#);
        let sliding = config(r#""model_type": "mistral", "sliding_window": 8"#);
        let mixed = config(
            r#""model_type": "qwen2", "use_sliding_window": true, "sliding_window": 8,
               "layer_types": ["full_attention", "sliding_attention"]"#,
        );
        let dynamic = config(
            r#""model_type": "llama", "rope_parameters":
               {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}"#,
        );
        let chunked =
            config(r#""model_type": "llama", "dual_chunk_attention_config": {"chunk_size": 8, "local_size": 2}"#);
        let check = |text: &str, config| {
            let policies: CacheConfig = text.parse().unwrap();
            policies.check(config).map_err(|error| error.to_string())
        };
        for text in ["full", "ring", "ring:3", "sinks:2+6", "tova:4"] {
            for config in [&full, &sliding, &mixed] {
                assert_eq!(check(text, config), Ok(()), "{text}");
            }
        }
        for text in ["full", "ring", "dtype=f16"] {
            assert_eq!(check(text, &chunked), Ok(()), "{text}");
        }
        for (text, config, part) in [
            ("sliding=full", &full, "no sliding-window layers"),
            ("full=tova:4", &sliding, "no full-attention layers"),
            ("sinks:2+9", &sliding, "give at most 8"),
            ("sliding=sinks:1+64", &mixed, "give at most 8"),
            ("sinks:2+6", &dynamic, "rope type dynamic"),
            ("sinks:2+6", &chunked, "use full"),
            ("ring:64", &chunked, "use full"),
            ("full=tova:64", &chunked, "use full"),
        ] {
            let error = check(text, config).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn a_plan_knows_whether_it_forgets() {
        let full = config(r#""model_type": "llama""#);
        let sliding = config(r#""model_type": "mistral", "sliding_window": 8"#);
        for (text, of_full, of_sliding) in [
            ("full", true, true),
            ("ring", true, true),
            ("ring:8", false, true),
            ("ring:9", false, true),
            ("ring:7", false, false),
            ("sinks:1+7", false, false),
            ("tova:4", false, false),
        ] {
            let policies: CacheConfig = text.parse().unwrap();
            assert_eq!(policies.is_exact(&full), of_full, "{text}");
            assert_eq!(policies.is_exact(&sliding), of_sliding, "{text}");
        }
        assert!(CacheConfig::default().is_exact(&full) && CacheConfig::default().is_exact(&sliding));
    }
}
