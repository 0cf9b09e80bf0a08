//! What an observer is shown of a recurrent layer: applied in float64, it gives the state that is shown with it.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor, TensorData};
use glass_attention::{ForwardContext, NextTokens, Observer, Recurrence, Rope, Sequences};
use glass_backend::{Device, Dtype, Weights};
use glass_config::LlamaConfig;
use glass_kv_cache::{CacheConfig, KvCache};
use glass_recurrent::RecurrentMixer;
use glass_testing::{Random, RandomWeights, devices};

const HIDDEN: usize = 8;
const LAYER: usize = 5;

const MIXERS: [&str; 5] = [
    r#"{"model_type": "mamba", "vocab_size": 8, "hidden_size": 8, "state_size": 3, "time_step_rank": 2,
        "num_hidden_layers": 1}"#,
    r#"{"model_type": "falcon_mamba", "vocab_size": 8, "hidden_size": 8, "state_size": 3, "time_step_rank": 2,
        "num_hidden_layers": 1}"#,
    r#"{"model_type": "mamba2", "vocab_size": 8, "hidden_size": 8, "num_heads": 4, "head_dim": 4, "n_groups": 2,
        "state_size": 3, "num_hidden_layers": 1}"#,
    r#"{"model_type": "recurrent_gemma", "vocab_size": 8, "hidden_size": 8, "lru_width": 8, "num_attention_heads": 2,
        "intermediate_size": 8, "num_hidden_layers": 1, "block_types": ["recurrent"]}"#,
    r#"{"model_type": "retnet", "vocab_size": 8, "decoder_embed_dim": 8, "decoder_ffn_embed_dim": 8,
        "decoder_value_embed_dim": 12, "decoder_retention_heads": 2, "decoder_layers": 1}"#,
];

/// Numbers on the host.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Shown {
    fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let values = tensor.try_into_vec_as::<f32>().expect("read back");
        Self { shape, values: values.into_iter().map(f64::from).collect() }
    }

    /// Of a token, of those in the one text.
    fn row(&self, token: usize) -> &[f64] {
        let width = self.shape[2];
        &self.values[token * width..(token + 1) * width]
    }
}

/// What was shown of each call, in their order.
#[derive(Default)]
struct Watch {
    wants: bool,
    calls: Vec<BTreeMap<String, Shown>>,
}

impl Observer for Watch {
    fn wants_recurrence(&self) -> bool {
        self.wants
    }

    fn recurrence(&mut self, layer: usize, state: Tensor<4>, tokens: Recurrence) {
        assert!(self.wants, "nobody asked");
        assert_eq!((layer, state.dtype()), (LAYER, DType::F32));
        let mut call = BTreeMap::from([("state".to_owned(), Shown::of(state))]);
        call.extend(tokens.a.map(|a| ("a".to_owned(), Shown::of(a))));
        let named = tokens.gates.into_iter().chain(tokens.inputs);
        call.extend(named.map(|(name, values)| (name.to_owned(), Shown::of(values))));
        self.calls.push(call);
    }
}

struct Layer {
    config: LlamaConfig,
    mixer: RecurrentMixer,
    device: Device,
}

impl Layer {
    fn new(config: &str, device: &Device) -> Self {
        let config = LlamaConfig::from_json(config, "test", &[]).expect("a config");
        let mut source = RandomWeights(3);
        let weights = Weights::new(&mut source, device, Dtype::F32);
        let mixer = RecurrentMixer::load(weights, &config.layers[0].mixer, HIDDEN, LAYER).expect("weights");
        Self { mixer: mixer.expect("recurrent"), config, device: device.clone() }
    }

    /// Reads so many tokens of each of some texts in each pass -> the outputs, `[tokens of all][HIDDEN]`
    fn read(&self, passes: &[&[usize]], observer: &mut Watch) -> Vec<f64> {
        let cache = || {
            let cache = KvCache::new(&self.config, CacheConfig::default(), |_| &self.device, Dtype::F32);
            cache.expect("a cache")
        };
        let mut caches: Vec<KvCache> = passes[0].iter().map(|_| cache()).collect();
        // The tokens of a text are drawn one behind the other.
        let mut texts: Vec<Random> = (0..caches.len() as u64).map(Random::new).collect();
        let mut out = Vec::new();
        for counts in passes {
            let mut row = Vec::new();
            for (text, count) in texts.iter_mut().zip(*counts) {
                row.extend((0..count * HIDDEN).map(|_| text.uniform() as f32));
            }
            let total = row.len() / HIDDEN;
            let x = Tensor::<3>::from_data(TensorData::new(row, [1, total, HIDDEN]), self.device.burn());
            let next = caches.iter_mut().zip(*counts);
            let mut next: Vec<_> = next.map(|(cache, &tokens)| NextTokens { cache, tokens }).collect();
            let mut sequences = Sequences::Next(&mut next);
            let ropes = Rope::all(&self.config);
            let width = self.config.max_width();
            let ctx = ForwardContext::new(&ropes, width, [1, total], &mut sequences, &self.device, observer);
            let ctx = ctx.expect("a pass");
            let never = || unreachable!("caches are given");
            let y = sequences.with_layer(0, never, |states| self.mixer.forward(x, states, &ctx));
            out.extend(Shown::of(y).values);
        }
        out
    }
}

/// What the tokens of a call make of a state, by the formulas; `first`: they begin their text.
fn apply(call: &BTreeMap<String, Shown>, state: &mut [f64], first: bool) {
    let [_, heads, rows, columns] = call["state"].shape[..] else { panic!("a state has four axes") };
    for token in 0..call["decay"].shape[1] {
        let at = |name: &str| call[name].row(token);
        let decay = at("decay");
        assert_eq!(decay.len(), heads);
        for (i, state) in state.iter_mut().enumerate() {
            let (head, row, column) = (i / columns / rows, i / columns % rows, i % columns);
            *state = if let Some(a) = call.get("a") {
                let decays = a.shape[1];
                let a = &a.values[head * decays..(head + 1) * decays];
                let dt = at("dt")[head];
                let mean = a.iter().map(|a| (dt * a).exp()).sum::<f64>() / decays as f64;
                assert!((decay[head] - mean).abs() < 1e-5 && dt > 0.0 && mean > 0.0 && mean < 1.0);
                let groups = at("b").len() / columns;
                let b = at("b")[head / (heads / groups) * columns + column];
                (dt * a[column.min(decays - 1)]).exp() * *state + dt * at("x")[head * rows + row] * b
            } else if call.contains_key("input_gate") {
                let left = if first && token == 0 { 1.0 } else { (1.0 - decay[head] * decay[head]).sqrt() };
                assert!(
                    [at("input_gate")[head], at("recurrent_gate")[head], decay[head]]
                        .iter()
                        .all(|x| *x > 0.0 && *x < 1.0)
                );
                decay[head] * *state + left * at("input_gate")[head] * at("x")[head]
            } else {
                assert_eq!(decay[head], 1.0 - (-5.0 - head as f64).exp2(), "head {head}");
                decay[head] * *state + at("v")[head * rows + row] * at("k")[head * columns + column]
            };
        }
    }
}

#[track_caller]
fn same(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - expected).abs();
        assert!(off <= 2e-5 * expected.abs().max(1.0), "{what}: number {i} is {found}, not {expected}");
    }
}

#[test]
fn what_is_shown_makes_the_state() {
    for (config, device) in MIXERS.iter().flat_map(|config| devices::all().into_iter().map(move |on| (config, on))) {
        let layer = Layer::new(config, &device);
        let who = format!("{:?} on {}", layer.config.model_type, device.name());
        // Two texts side by side, in pieces.
        let passes: [&[usize]; 3] = [&[5, 2], &[1, 1], &[4, 3]];
        let mut watch = Watch { wants: true, ..Watch::default() };
        let observed = layer.read(&passes, &mut watch);
        assert_eq!(watch.calls.len(), 6, "{who}: each text in each pass");
        for text in 0..2 {
            let mut state = vec![0.0; watch.calls[0]["state"].values.len()];
            let calls = watch.calls.iter().skip(text).step_by(2);
            for (pass, (call, tokens)) in calls.zip(passes).enumerate() {
                assert_eq!(call["decay"].shape[1], tokens[text]);
                assert_eq!(call["gate"].shape[2], call["state"].shape[1] * call["state"].shape[2]);
                apply(call, &mut state, pass == 0);
                same(&call["state"].values, &state, &format!("{who}: text {text}, pass {pass}"));
            }
        }
        // Nobody who looks changes anything.
        assert_eq!(layer.read(&passes, &mut Watch::default()), observed, "{who}");
    }
}

#[test]
fn pieces_and_company_show_the_same() {
    for (config, device) in MIXERS.iter().flat_map(|config| devices::all().into_iter().map(move |on| (config, on))) {
        let layer = Layer::new(config, &device);
        let who = format!("{:?} on {}", layer.config.model_type, device.name());
        let seen = |passes: &[&[usize]]| {
            let mut watch = Watch { wants: true, ..Watch::default() };
            layer.read(passes, &mut watch);
            watch.calls
        };
        let whole = seen(&[&[9]]).remove(0);
        let pieces: Vec<_> = seen(&[&[4, 3], &[1, 2], &[4, 1]]).into_iter().step_by(2).collect();
        for (name, expected) in &whole {
            let found: Vec<f64> = match name.as_str() {
                "state" | "a" => pieces[2][name].values.clone(),
                _ => pieces.iter().flat_map(|call| call[name].values.clone()).collect(),
            };
            same(&found, &expected.values, &format!("{who}: {name}"));
        }
    }
}
