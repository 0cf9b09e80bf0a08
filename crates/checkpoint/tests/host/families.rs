//! Files of every family: read by the names of modules, written by the family's own.

use std::{collections::BTreeMap, path::Path};

use glass_backend::{Device, Dtype, WeightRole, WeightSource, WeightSpec, Weights, quant::E2M1};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{CheckpointSource, FamilyTensors, Files, Parameters, TensorSource, convert_bytes, float};
use glass_config::LlamaConfig;
use glass_testing::{Random, fixtures};
use safetensors::{
    serialize,
    tensor::{Dtype as Stored, TensorView},
};

/// The tensors of a family's file in float32, by name.
fn tensors(files: &Files) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let tensors = files.names().map(|name| {
        let tensor = files.get(name).expect("a tensor of the file");
        let from = float(tensor.dtype).expect("a float");
        let mut bytes = vec![0; tensor.bytes.len() / from.bytes() * 4];
        convert_bytes(tensor.bytes, from, &mut bytes, Dtype::F32);
        (name.to_owned(), (tensor.shape.to_vec(), bytes))
    });
    tensors.collect()
}

fn load(files: &Files, config: &LlamaConfig) -> LlamaForCausalLM {
    let device = Device::open("flex").expect("a device");
    let mut ignore = |_| {};
    let mut source = CheckpointSource::new(files, config, &mut ignore);
    let model = LlamaForCausalLM::load(Weights::new(&mut source, &device, Dtype::F32), config).expect("the weights");
    assert_eq!(source.finish().expect("every tensor has a place"), Vec::<String>::new());
    model
}

#[test]
fn a_model_in_memory_is_written_as_its_family_writes_it() {
    for folder in fixtures::families() {
        let config = LlamaConfig::from_file(&folder.join("config.json"), &[]).expect("a config");
        let files = Files::open(&folder).expect("the weights");
        let mut parameters = Parameters::new(Dtype::F32);
        parameters.add("", &load(&files, &config));
        let mut written = FamilyTensors::new(parameters, &config);
        let specs = written.tensors();
        let written: BTreeMap<_, _> = specs
            .into_iter()
            .map(|spec| {
                let bytes = written.bytes(&spec.name).expect("bytes").into_owned();
                (spec.name, (spec.shape, bytes))
            })
            .collect();
        let expected = tensors(&files);
        assert_eq!(written.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", folder.display());
        for (name, (shape, bytes)) in &expected {
            assert_eq!(&written[name].0, shape, "{}: {name}", folder.display());
            assert!(written[name].1 == *bytes, "{}: {name}", folder.display());
        }
    }
}

/// Version 5 of transformers holds experts so in memory; some files have them so.
#[test]
fn experts_in_one_tensor_are_those_of_many() {
    for family in ["mixtral", "qwen2_moe", "qwen3_moe"] {
        let folder = fixtures::root().join("families").join(family);
        let config = LlamaConfig::from_file(&folder.join("config.json"), &[]).expect("a config");
        let files = Files::open(&folder).expect("the weights");
        let mut parameters = Parameters::new(Dtype::F32);
        parameters.add("", &load(&files, &config));
        let specs = parameters.tensors();
        let mut fused: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
        for spec in specs {
            let bytes = parameters.bytes(&spec.name).expect("bytes").into_owned();
            let ways = config.stored(&spec.name, &spec.shape);
            // The way that is neither the family's own nor the model's.
            let way = if spec.name.contains(".experts.") { &ways[1][0] } else { &ways[ways.len() - 1][0] };
            let (_, whole) = fused
                .entry(way.name.clone())
                .or_insert_with(|| (way.shape.clone(), vec![0; way.shape.iter().product::<usize>() * 4]));
            whole[way.start * 4..][..bytes.len()].copy_from_slice(&bytes);
        }
        assert!(fused.keys().any(|name| name.ends_with("mlp.experts.gate_up_proj")), "{family}");
        let views = fused.iter().map(|(name, (shape, bytes))| {
            (name.clone(), TensorView::new(Stored::F32, shape.clone(), bytes).expect("a tensor"))
        });
        let bytes = serialize(views, None).expect("a file");
        let again = Files::from_bytes(Path::new("fused"), bytes).expect("a file");
        let mut read = Parameters::new(Dtype::F32);
        read.add("", &load(&again, &config));
        for spec in parameters.tensors() {
            let expected = parameters.bytes(&spec.name).expect("bytes").into_owned();
            assert!(read.bytes(&spec.name).expect("bytes") == expected, "{family}: {}", spec.name);
        }
    }
}

const EXPERTS: usize = 3;
const INNER: usize = 32;
const HIDDEN: usize = 64;

/// Experts in MXFP4 are the numbers that the format's definition says, expert by expert, gate and up apart.
#[test]
fn mxfp4_is_its_definition() {
    let config = LlamaConfig::from_json(
        r#"{"model_type": "gpt_oss", "vocab_size": 8, "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 1, "num_key_value_heads": 1, "num_local_experts": 3, "num_experts_per_tok": 1,
            "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}"#,
        "config.json",
        &[],
    );
    let config = config.expect("a config");
    let mut random = Random::new(4);
    let mut tensor = |shape: &[usize], below: usize, least: u8| -> (Vec<usize>, Vec<u8>) {
        let bytes = (0..shape.iter().product()).map(|_| least + random.below(below) as u8);
        (shape.to_vec(), bytes.collect())
    };
    let module = "model.layers.0.mlp.experts";
    let parts = [
        (format!("{module}.gate_up_proj_blocks"), tensor(&[EXPERTS, 2 * INNER, HIDDEN / 32, 16], 256, 0)),
        (format!("{module}.gate_up_proj_scales"), tensor(&[EXPERTS, 2 * INNER, HIDDEN / 32], 20, 115)),
        (format!("{module}.down_proj_blocks"), tensor(&[EXPERTS, HIDDEN, INNER / 32, 16], 256, 0)),
        (format!("{module}.down_proj_scales"), tensor(&[EXPERTS, HIDDEN, INNER / 32], 20, 115)),
    ];
    let views = parts.iter().map(|(name, (shape, bytes))| {
        (name.clone(), TensorView::new(Stored::U8, shape.clone(), bytes).expect("a tensor"))
    });
    let files = Files::from_bytes(Path::new("mxfp4"), serialize(views, None).expect("a file")).expect("a file");
    let number = |tensor: usize, row: usize, column: usize, columns: usize| {
        let (blocks, scales) = (&parts[tensor].1.1, &parts[tensor + 1].1.1);
        let byte = blocks[(row * columns + column) / 2];
        let code = if column.is_multiple_of(2) { byte & 15 } else { byte >> 4 };
        let power = i32::from(scales[(row * columns + column) / 32]) - 127;
        f32::from(E2M1[usize::from(code)]) / 2.0 * 2f32.powi(power)
    };
    let mut ignore = |_| {};
    let mut source = CheckpointSource::new(&files, &config, &mut ignore);
    for expert in 0..EXPERTS {
        for (projection, tensor, second, several, [rows, columns]) in [
            ("gate_proj", 0, 0, 2, [INNER, HIDDEN]),
            ("up_proj", 0, 1, 2, [INNER, HIDDEN]),
            ("down_proj", 2, 0, 1, [HIDDEN, INNER]),
        ] {
            let name = format!("{module}.{expert}.{projection}.weight");
            let weight = WeightSpec { name: &name, shape: &[rows, columns], role: WeightRole::Projection, layer: None };
            assert!(source.is_quantized(weight).expect("a weight"), "{name}");
            let read = source.read_quantized(weight, 3..rows).expect("rows");
            let found = read.dequantize(columns);
            let place = |row: usize| (expert * rows + row) * several + second;
            let expected = (3..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
            let expected = expected.map(|(row, column)| number(tensor, place(row), column, columns));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{name}");
        }
    }
}

/// The same weights under other names, and in company, make the same model.
#[track_caller]
fn same_under_other_names(folder: &Path, config: &str, rename: impl Fn(&LlamaConfig, &str, &[usize]) -> String) {
    let plain = LlamaConfig::from_file(&folder.join("config.json"), &[]).expect("a config");
    let files = Files::open(folder).expect("the weights");
    let mut expected = Parameters::new(Dtype::F32);
    expected.add("", &load(&files, &plain));

    let config = LlamaConfig::from_json(config, "config.json", &[]).expect("a config");
    let image = [0u8; 8];
    let tower = TensorView::new(Stored::F32, vec![2], &image).expect("a tensor");
    let tensors: Vec<_> = files.names().filter_map(|name| Some((name, files.get(name)?))).collect();
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.to_vec(), tensor.bytes).expect("a tensor");
        (rename(&config, name, tensor.shape), view)
    });
    let views = views.chain([("vision_tower.encoder.norm.weight".to_owned(), tower)]);
    let renamed = Files::from_bytes(Path::new("renamed"), serialize(views, None).expect("a file")).expect("a file");
    let device = Device::open("flex").expect("a device");
    let mut ignore = |_| {};
    let mut source = CheckpointSource::new(&renamed, &config, &mut ignore);
    let model = LlamaForCausalLM::load(Weights::new(&mut source, &device, Dtype::F32), &config).expect("the weights");
    let warnings = source.finish().expect("every tensor has a place, or none");
    assert!(warnings.iter().all(|line| line.contains("vision_tower")), "{warnings:?}");
    let mut found = Parameters::new(Dtype::F32);
    found.add("", &model);
    for spec in expected.tensors() {
        assert!(found.bytes(&spec.name).expect("bytes") == expected.bytes(&spec.name).expect("bytes"), "{}", spec.name);
    }
}

#[test]
fn a_model_of_text_and_images_is_its_text() {
    let folder = fixtures::root().join("families").join("gemma3_text");
    let text = std::fs::read_to_string(folder.join("config.json")).expect("a config");
    let config = format!(r#"{{"model_type": "gemma3", "text_config": {text}, "vision_config": {{"hidden_size": 8}}}}"#);
    same_under_other_names(&folder, &config, |_, name, _| format!("language_model.{name}"));
    same_under_other_names(&folder, &config, |_, name, _| name.replacen("model.", "model.language_model.", 1));
}

#[test]
fn exaone_is_a_llama_under_other_names() {
    let folder = fixtures::root().join("llama-gqa");
    let text = std::fs::read_to_string(folder.join("config.json")).expect("a config");
    let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let fields = config.as_object_mut().expect("an object");
    fields.insert("model_type".into(), "exaone".into());
    for (llama, exaone) in [
        ("num_hidden_layers", "num_layers"),
        ("hidden_act", "activation_function"),
        ("rms_norm_eps", "layer_norm_epsilon"),
    ] {
        let value = fields.remove(llama).expect("a field of every Llama");
        fields.insert(exaone.into(), value);
    }
    same_under_other_names(&folder, &config.to_string(), |config, name, shape| {
        config.stored(name, shape)[0][0].name.clone()
    });
}
