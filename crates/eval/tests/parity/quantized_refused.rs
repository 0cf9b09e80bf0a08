//! Quantized models that contradict themselves.

use std::path::Path;

use glass_backend::quant::QuantFormat;
use glass_checkpoint::{CheckpointError, ConvertError, Existing, Files, ShardSize, quantize};
use glass_generate::Error;
use glass_testing::devices;
use safetensors::Dtype as Stored;
use serde_json::{Value, json};

use crate::{
    fixture,
    quantized::{Written, config, folder, load, quantized},
};

#[test]
fn what_contradicts_itself_is_refused() {
    let (_four, four) = quantized(&fixture::root().join("llama-gqa"), QuantFormat::Int4);
    let (_kept, target) = quantized(&fixture::root().join("llama-gqa"), QuantFormat::Int8);
    let name = "model.layers.0.mlp.down_proj.weight";
    let all = |files: &Files| -> Vec<Written> {
        files
            .names()
            .map(|name| {
                let tensor = files.get(name).expect("it is there");
                Written {
                    name: name.to_owned(),
                    dtype: tensor.dtype,
                    shape: tensor.shape.to_vec(),
                    bytes: tensor.bytes.to_vec(),
                }
            })
            .collect()
    };
    let refused_of = |target: &Path, config: &Value, change: &dyn Fn(&mut Vec<Written>)| {
        let mut tensors = all(&Files::open(target).expect("a checkpoint"));
        change(&mut tensors);
        let folder = folder(config, &tensors);
        let error = load(folder.path(), &devices::flex(), None).err().expect("it is broken").to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    let refused = |change: &dyn Fn(&mut Vec<Written>)| refused_of(&target, &config(&target), change);
    let part = |part: &str| format!("{name}_{part}");
    let find = |tensors: &mut Vec<Written>, wanted: &str| {
        tensors.iter().position(|tensor| tensor.name == wanted).expect("it is there")
    };

    let error = refused(&|tensors| {
        let at = find(tensors, &part("scale"));
        tensors.remove(at);
    });
    assert!(error.contains("weight_scale is missing"), "{error}");
    let error = refused(&|tensors| {
        let at = find(tensors, &part("shape"));
        tensors[at].bytes[0] ^= 1;
    });
    assert!(error.contains("weight_shape does not say [48, 96]"), "{error}");
    let error = refused(&|tensors| {
        let at = find(tensors, &part("packed"));
        tensors[at].shape[1] /= 3;
        tensors[at].shape[0] *= 3;
    });
    assert!(error.contains("does not make [48, 96]"), "{error}");
    let error = refused(&|tensors| {
        tensors.push(Written {
            name: name.to_owned(),
            dtype: Stored::F32,
            shape: vec![48, 96],
            bytes: vec![0; 48 * 96 * 4],
        });
    });
    assert!(error.contains("is there twice"), "{error}");

    // Scales are held in float16: what that rounds is told.
    for (scale, told) in [(0.0123f32, true), (0.125, false)] {
        let mut tensors = all(&Files::open(&target).expect("a checkpoint"));
        let at = find(&mut tensors, &part("scale"));
        tensors[at].dtype = Stored::F32;
        tensors[at].bytes = scale.to_le_bytes().repeat(tensors[at].shape.iter().product());
        let folder = folder(&config(&target), &tensors);
        let warnings = load(folder.path(), &devices::flex(), None).expect("loads").warnings;
        let warned = warnings.iter().any(|warning| warning.contains("scales of 1 matrix are stored as F32"));
        assert_eq!(warned, told, "{scale}: {warnings:?}");
    }

    // Zero points: none in 8 bits; of the scales' shape; within 4 bits; as the config says.
    let zero_points = |dtype, shape: [usize; 2], byte| {
        let bytes = vec![byte; shape.iter().product::<usize>() * if dtype == Stored::I8 { 1 } else { 4 }];
        Written { name: part("zero_point"), dtype, shape: shape.to_vec(), bytes }
    };
    let error = refused(&|tensors| tensors.push(zero_points(Stored::I32, [6, 3], 0x88)));
    assert!(error.contains("zero points are read in 4 bits only"), "{error}");
    let of_four = |dtype, shape, byte| {
        refused_of(&four, &config(&four), &|tensors| {
            let at = find(tensors, &part("zero_point"));
            tensors[at] = zero_points(dtype, shape, byte);
        })
    };
    let error = of_four(Stored::I32, [48, 3], 0x88);
    assert!(error.contains("weight_zero_point has the shape [48, 3], where [6, 3] belongs"), "{error}");
    let error = of_four(Stored::F32, [6, 3], 0);
    assert!(error.contains("is stored as F32, where I32 or I8 is read"), "{error}");
    let error = of_four(Stored::I8, [48, 3], 8);
    assert!(error.contains("holds 8, where 4 bits are -8 to 7"), "{error}");
    let error = refused_of(&four, &config(&four), &|tensors| {
        let at = find(tensors, &part("zero_point"));
        tensors.remove(at);
    });
    assert!(error.contains("has no zero points, but the config says symmetric = false of 4 bits"), "{error}");
    let mut symmetric = config(&four);
    symmetric["quantization_config"]["config_groups"]["group_0"]["weights"]["symmetric"] = json!(true);
    let error = refused_of(&four, &symmetric, &|_| {});
    assert!(error.contains("has zero points, but the config says symmetric = true of 4 bits"), "{error}");

    let error = load(&target, &devices::flex(), Some(QuantFormat::Int4)).err();
    assert!(matches!(error.as_deref(), Some(Error::Checkpoint(CheckpointError::Quantized(_)))));
    let progress = &mut |_, _| std::ops::ControlFlow::Continue(());
    let again = tempfile::tempdir().expect("a temporary folder");
    let size = "5GB".parse::<ShardSize>().expect("a size");
    let error = quantize(&target, &again.path().join("x"), QuantFormat::Int4, size, Existing::Refuse, progress)
        .expect_err("it is quantized");
    assert!(matches!(error, ConvertError::Checkpoint(CheckpointError::Quantized(_))), "{error}");
}
