//! `glass logits`: logits, hidden states, attention and recurrent states of a text, in one file.

use std::{fs, path::Path};

use burn::tensor::Tensor;
use glass_attention::{Dropouts, ForwardContext, HiddenState, Observer, Padding, Recurrence, Sequences};
use glass_backend::Device;
use glass_config::LayerConfig;
use glass_generate::StepOutput;
use serde_json::Value;

use crate::{
    args::{self, Capture},
    error::CliError,
    load,
    output::{self, Output, check_input, check_model},
    prompt::{self, Prompt},
    say::{status, warn},
};

enum Input {
    Prompt(Prompt),
    Batch(Batch),
}

/// Sequences of one length.
struct Batch {
    ids: Vec<Vec<u32>>,
    /// False where an id is padding.
    mask: Option<Vec<Vec<bool>>>,
}

pub fn run(args: args::Logits) -> Result<(), CliError> {
    check_input(&args.output, args.input.ids_file.as_deref(), "the ids are")?;
    check_model(&args.output, Some(&args.model.source.model))?;
    let input = match args.input {
        args::Input { ids_file: Some(path), .. } => Input::Batch(read_batch(&path)?),
        args::Input { ids: Some(args::Ids(ids)), .. } => Input::Prompt(Prompt::Ids(ids)),
        args::Input { text, .. } => Input::Prompt(Prompt::Text(text.unwrap_or_default())),
    };
    let mut output = Output::create(&args.output, args.overwrite.existing())?;
    let replaces_own = !args.overwrite.force && output::is_own(&args.output);
    let loaded = load::load(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let batch = match input {
        Input::Batch(batch) => batch,
        Input::Prompt(prompt) => {
            prompt::warn_unknown(llama.tokenizer.as_ref(), prompt.text())?;
            Batch { ids: vec![prompt.ids(llama)?], mask: None }
        }
    };
    let (rows, seq) = (batch.ids.len(), batch.ids[0].len());
    if seq == 0 {
        return Err(glass_generate::Error::EmptyPrompt.into());
    }
    let context = llama.config.context();
    if seq > context {
        warn([format!("{seq} positions are {} more than the model's context of {context}", seq - context)]);
    }

    let has = |kind: fn(&LayerConfig) -> bool| llama.config.layers.iter().any(kind);
    let attention: fn(&LayerConfig) -> bool = |layer| layer.attention().is_some();
    let recurrence: fn(&LayerConfig) -> bool = |layer| layer.mixer.state().is_some();
    for (capture, name, kind, layers) in [
        (Capture::Attention, "attention", attention, "attention"),
        (Capture::Recurrence, "recurrence", recurrence, "recurrent"),
    ] {
        if args.capture.contains(&capture) && !has(kind) {
            warn([format!("--capture {name} without effect: the model has no {layers} layers")]);
        }
    }

    let mut recorder = Recorder {
        hidden: args.capture.contains(&Capture::Hidden),
        attention: args.capture.contains(&Capture::Attention),
        recurrence: args.capture.contains(&Capture::Recurrence),
        device: llama.device.clone(),
        rope_rows: None,
        tensors: Vec::new(),
        result: Ok(()),
    };
    if batch.mask.is_some() {
        // With a mask the reference has positions, and so angles, for every row, even where all rows have the same.
        recorder.rope_rows = Some(rows);
    }
    let whole =
        Sequences::Whole { padding: batch.mask.as_deref().and_then(Padding::from_mask), dropouts: Dropouts::default() };
    let ids: Vec<&[u32]> = batch.ids.iter().map(Vec::as_slice).collect();
    let hidden = llama.model.hidden(llama.ids(&ids)?, whole, &mut recorder).map_err(glass_generate::Error::from)?; // [batch, seq, hidden_size]
    recorder.result?;
    for (name, shape, values) in recorder.tensors {
        output.add(name, shape, values);
    }
    let logits = StepOutput::from_hidden(llama, hidden).read()?;
    output.add("logits".into(), vec![rows, seq, llama.config.vocab_size], logits.into_values());
    output.write()?;
    if replaces_own {
        status!("glass: {} was of an earlier glass logits, and is replaced", args.output.display());
    }
    status!(
        "glass: wrote {} ({rows} x {seq} positions, device {}, {})",
        args.output.display(),
        llama.device.name(),
        llama.precision
    );
    Ok(())
}

/// The values of a tensor as float32 on the host.
fn host<const D: usize>(tensor: Tensor<D>, device: &Device) -> Result<Vec<f32>, CliError> {
    tensor.try_into_vec_as::<f32>().map_err(|error| device.failed(error).into())
}

/// Records what a forward pass shows its observer.
struct Recorder {
    device: Device,
    hidden: bool,
    attention: bool,
    recurrence: bool,
    /// Rows of the rotary table, if not only those that differ.
    rope_rows: Option<usize>,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
    result: Result<(), CliError>,
}

impl Recorder {
    fn keep<const D: usize>(&mut self, name: String, tensor: Tensor<D>) {
        let shape = tensor.dims().to_vec();
        match host(tensor, &self.device) {
            Ok(values) => self.tensors.push((name, shape, values)),
            Err(error) => self.result = Err(error),
        }
    }
}

impl Observer for Recorder {
    fn pass(&mut self, ctx: &ForwardContext<'_>) {
        let Some((table, rows)) = ctx.rope_table(0) else { return };
        let seq = ctx.seq();
        let half = table.cos.len() / (rows * seq).max(1);
        // No layer rotates: there are no angles.
        if half == 0 {
            return;
        }
        let repeat = self.rope_rows.unwrap_or(rows) / rows;
        // Both halves of a head are rotated by the same angles; the reference writes them out twice.
        let both = |values: &[f32]| -> Vec<f32> {
            let whole: Vec<f32> = values.chunks(half).flat_map(|angles| [angles, angles].concat()).collect();
            whole.repeat(repeat)
        };
        let shape = vec![rows * repeat, seq, 2 * half];
        self.tensors.push(("rope.cos".into(), shape.clone(), both(&table.cos)));
        self.tensors.push(("rope.sin".into(), shape, both(&table.sin)));
    }

    fn hidden(&mut self, state: HiddenState, x: &Tensor<3>) {
        if self.hidden {
            let name = match state {
                HiddenState::Embed => "hidden.embed".to_owned(),
                HiddenState::Layer(i) => format!("hidden.layer.{i}"),
                HiddenState::Norm => "hidden.norm".to_owned(),
            };
            self.keep(name, x.clone());
        }
    }

    fn wants_attention(&self) -> bool {
        self.attention
    }

    fn attention(&mut self, layer: usize, probabilities: Tensor<4>) {
        self.keep(format!("attn.{layer}"), probabilities);
    }

    fn wants_recurrence(&self) -> bool {
        self.recurrence
    }

    fn recurrence(&mut self, layer: usize, state: Tensor<4>, tokens: Recurrence) {
        let name = |what: &str| format!("recurrence.{layer}.{what}");
        self.keep(name("state"), state);
        if let Some(a) = tokens.a {
            self.keep(name("a"), a);
        }
        for (what, values) in tokens.gates.into_iter().chain(tokens.inputs) {
            self.keep(name(what), values);
        }
    }
}

fn read_batch(path: &Path) -> Result<Batch, CliError> {
    let bad = |reason: String| CliError::input(path, reason);
    let text = fs::read_to_string(path).map_err(CliError::reading(path))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| bad(format!("not JSON: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(bad("expected {\"input_ids\": [[...]]}".into()));
    };
    let ids = matrix(fields.shift_remove("input_ids"), "input_ids")
        .and_then(|rows| rows.ok_or_else(|| "input_ids is missing".to_owned()))
        .map_err(bad)?;
    let mask = matrix(fields.shift_remove("attention_mask"), "attention_mask").map_err(bad)?;
    if let Some(name) = fields.keys().next() {
        return Err(bad(format!("field {name:?} is not known: only input_ids and attention_mask are")));
    }
    let (rows, seq) = (ids.len(), ids.first().map_or(0, Vec::len));
    if seq == 0 {
        return Err(bad("input_ids is empty".into()));
    }
    if ids.iter().any(|row| row.len() != seq) {
        return Err(bad("the rows of input_ids differ in length: pad them on the left and give attention_mask".into()));
    }
    let Some(mask) = mask else {
        return Ok(Batch { ids, mask: None });
    };
    if mask.len() != rows || mask.iter().any(|row| row.len() != seq) {
        return Err(bad(format!("attention_mask must have the shape of input_ids, {rows} x {seq}")));
    }
    if mask.iter().flatten().any(|&value| value > 1) {
        return Err(bad("attention_mask holds something else than 0 and 1".into()));
    }
    if let Some(row) = mask.iter().position(|row| row.iter().all(|&value| value == 0)) {
        return Err(bad(format!("row {row} of attention_mask has no token")));
    }
    let mask = mask.iter().map(|row| row.iter().map(|&value| value == 1).collect()).collect();
    Ok(Batch { ids, mask: Some(mask) })
}

/// `[[1, 2], [3, 4]]`; `None` if it is not there.
fn matrix(value: Option<Value>, name: &str) -> Result<Option<Vec<Vec<u32>>>, String> {
    value
        .filter(|value| !value.is_null())
        .map(|value| {
            serde_json::from_value(value)
                .map_err(|error| format!("{name} must be a list of lists of whole numbers from 0 on: {error}"))
        })
        .transpose()
}
