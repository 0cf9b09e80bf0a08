//! Folders as people have them: what is odd in them and changes nothing, and what is read for what it is.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::Dtype;
use serde_json::json;

use crate::{
    models::{Copy, Stored, WEIGHTS, copy, fixture, read},
    run::{Ran, command, fails, run, succeeds, text},
};

const IDS: &str = "1,5,9,33,60,2";
const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// The logits of a folder, and what was said.
fn logits(folder: &str, more: &[&str]) -> (Vec<f32>, Ran) {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let out = text(&scratch.path().join("out.safetensors"));
    let args = ["logits", folder, "--ids", IDS, "--device", "flex", "-o", &out];
    let ran = succeeds(&[&args[..], more].concat());
    (read(Path::new(&out))["logits"].f32s(), ran)
}

fn warnings(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter(|line| line.starts_with("glass: warning: ")).collect()
}

fn renamed(model: &Copy, rename: impl Fn(&str) -> String) {
    model.edit_weights(|tensors| {
        *tensors = std::mem::take(tensors).into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    });
}

/// As another float type: widened, or cut to its upper half.
fn converted(tensor: &Stored, dtype: Dtype) -> Stored {
    let values = tensor.f32s();
    let bytes = match dtype {
        Dtype::F64 => values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| [value.to_le_bytes()[2], value.to_le_bytes()[3]]).collect(),
        other => panic!("{other} is not made here"),
    };
    Stored { dtype, shape: tensor.shape.clone(), bytes }
}

#[test]
fn names_with_something_in_front() {
    let usual = logits(&fixture("llama-gqa"), &[]).0;
    for prefix in
        ["_orig_mod.", "module.", "module._orig_mod.", "model.", "language_model.", "base_model.model.", "llm."]
    {
        let model = copy(&fixture("llama-gqa"));
        renamed(&model, |name| format!("{prefix}{name}"));
        let (own, ran) = logits(&model.path(), &[]);
        assert!(own == usual, "{prefix}");
        assert_eq!(warnings(&ran), [""; 0]);
        // Quantized, it has its names still.
        let small = text(&model.file("small"));
        succeeds(&["quantize", &model.path(), "--dtype", "q8", "-o", &small]);
        logits(&small, &[]);
    }
    // The base model's names alone, and wrappers within.
    for (from, to) in [("model.", ""), ("model.", "model.language_model."), ("self_attn.", "_orig_mod.self_attn.")] {
        let model = copy(&fixture("llama-gqa"));
        renamed(&model, |name| name.replacen(from, to, 1));
        assert!(logits(&model.path(), &[]).0 == usual, "{from} {to}");
    }
    // What cannot be told shows both names.
    let model = copy(&fixture("llama-gqa"));
    model.edit_weights(|tensors| {
        let twice = ["student.", "teacher."]
            .into_iter()
            .flat_map(|prefix| tensors.iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor.clone())));
        *tensors = twice.collect::<BTreeMap<_, _>>();
    });
    fails(&["generate", &model.path(), "--ids", "1"], &[EMBEDDING, "is missing", "student.model.embed_tokens.weight"]);
    let model = copy(&fixture("llama-gqa"));
    renamed(&model, |name| name.replace("q_proj", "query"));
    fails(&["generate", &model.path(), "--ids", "1"], &["q_proj.weight is missing", "names such as model.layers.0"]);
}

#[test]
fn a_tied_head_of_its_own() {
    let tied = fixture("llama-tied");
    let usual = logits(&tied, &[]).0;
    let with_head = |head: &dyn Fn(&Stored) -> Stored| {
        let model = copy(&tied);
        model.edit_weights(|tensors| {
            let head = head(&tensors[EMBEDDING]);
            tensors.insert(HEAD.into(), head);
        });
        model
    };
    // A copy is harmless, in whatever type it is exact.
    for copy in [|embedding: &Stored| embedding.clone(), |embedding: &Stored| converted(embedding, Dtype::F64)] {
        let (own, ran) = logits(&with_head(&copy).path(), &[]);
        assert!(own == usual);
        assert_eq!(warnings(&ran), [""; 0]);
    }
    let backwards = |embedding: &Stored| {
        let rows = embedding.bytes.chunks(embedding.bytes.len() / embedding.shape[0]).rev();
        Stored { bytes: rows.flatten().copied().collect(), ..embedding.clone() }
    };
    let rounded = |embedding: &Stored| converted(embedding, Dtype::BF16);
    let heads: [&dyn Fn(&Stored) -> Stored; 2] = [&backwards, &rounded];
    for head in heads {
        let model = with_head(head);
        let (own, ran) = logits(&model.path(), &["--dtype", "f32"]);
        assert!(own != usual);
        let [warning] = warnings(&ran)[..] else { panic!("{ran:?}") };
        assert!(warning.contains("lm_head is there and differs"), "{warning}");
        // It is what untying says, for every command, and for whoever reads what is written.
        let untied = logits(&model.path(), &["--dtype", "f32", "--set", "tie_word_embeddings=false"]).0;
        assert!(own == untied);
        let info = succeeds(&["info", &model.path(), "--json"]).json();
        assert_eq!(info["config"]["tie_word_embeddings"], json!(false));
        let written = text(&model.file("written"));
        succeeds(&["convert", &model.path(), "-o", &written]).says(&["lm_head is there and differs"]);
        assert!(
            fs::read_to_string(format!("{written}/config.json"))
                .expect("text")
                .contains("\"tie_word_embeddings\": false")
        );
        assert!(logits(&written, &["--dtype", "f32"]).0 == own);
        let small = text(&model.file("small"));
        succeeds(&["quantize", &model.path(), "--dtype", "q8", "-o", &small]).says(&["lm_head is there and differs"]);
        let (quantized, ran) = logits(&small, &[]);
        assert_eq!(warnings(&ran), [""; 0]);
        assert!(quantized == logits(&model.path(), &["--dtype", "q8"]).0);
    }
    // The head alone is both.
    let model = copy(&tied);
    renamed(&model, |name| name.replace(EMBEDDING, HEAD));
    assert!(logits(&model.path(), &[]).0 == usual);
    // The shape of another vocabulary is none of a head.
    let model = with_head(&|embedding| Stored { dtype: embedding.dtype, shape: vec![1, 1], bytes: vec![0; 4] });
    fails(&["generate", &model.path(), "--ids", "1"], &["lm_head.weight has shape [1, 1]"]);
}

#[test]
fn buffers_beside_the_weights() {
    let usual = logits(&fixture("llama-gqa"), &[]).0;
    let attention = "model.layers.0.self_attn.";
    let with = |name: &str, dtype: Dtype, shape: &[usize]| {
        let model = copy(&fixture("llama-gqa"));
        let bytes = vec![1; shape.iter().product::<usize>() * dtype.bitsize() / 8];
        model.edit_weights(|tensors| {
            tensors.insert(name.to_owned(), Stored { dtype, shape: shape.to_vec(), bytes });
        });
        model
    };
    for (name, dtype, shape) in [
        ("rotary_emb.inv_freq", Dtype::F32, &[8][..]),
        ("rotary_emb.original_inv_freq", Dtype::F32, &[8]),
        ("rotary_emb.cos_cached", Dtype::F32, &[1, 1, 8, 8]),
        ("rotary_emb.sin_cached", Dtype::BF16, &[1, 1, 8, 8]),
        ("rotary_emb.cos", Dtype::F32, &[8, 8]),
        ("k_scale", Dtype::F32, &[]),
        ("v_scale", Dtype::BF16, &[1]),
        ("kv_scale", Dtype::F32, &[]),
        ("attn.k_scale", Dtype::F32, &[]),
        ("k_proj.output_scale", Dtype::F32, &[1]),
        ("bias", Dtype::BOOL, &[1, 1, 128, 128]),
        ("bias", Dtype::F32, &[1, 1, 64, 64]),
        ("masked_bias", Dtype::F32, &[]),
        ("position_ids", Dtype::I64, &[1, 128]),
        ("q_proj._extra_state", Dtype::U8, &[0]),
    ] {
        let name = format!("{attention}{name}");
        let model = with(&name, dtype, shape);
        let (own, ran) = logits(&model.path(), &[]);
        assert!(own == usual, "{name}");
        let [warning] = warnings(&ran)[..] else { panic!("{name}: {ran:?}") };
        assert!(
            warning.contains(&format!("tensor {name} is not used: the model computes the same without")),
            "{warning}"
        );
        succeeds(&["convert", &model.path(), "--dtype", "f32", "-o", &text(&model.file("written"))]);
    }
    let model = copy(&fixture("llama-gqa"));
    model.edit_weights(|tensors| {
        for layer in 0..3 {
            let scale = Stored { dtype: Dtype::F32, shape: vec![], bytes: vec![0; 4] };
            tensors.insert(format!("model.layers.{layer}.self_attn.k_scale"), scale);
        }
    });
    logits(&model.path(), &[]).1.says(&["3 tensors such as model.layers.0.self_attn.k_scale are not used"]);
    // What would change the result is no buffer.
    for (name, dtype, shape) in [
        ("q_proj.bias", Dtype::F32, &[64][..]),
        ("q_norm.weight", Dtype::F32, &[16]),
        ("q_proj.weight_scale", Dtype::F32, &[1]),
        ("q_proj.input_scale", Dtype::F32, &[]),
        ("q_proj.lora_A.weight", Dtype::F32, &[4, 48]),
        ("bias", Dtype::F32, &[64]),
        ("sinks", Dtype::F32, &[4]),
    ] {
        let name = format!("{attention}{name}");
        fails(&["generate", &with(&name, dtype, shape).path(), "--ids", "1"], &[&name, "no place"]);
    }
}

#[test]
fn float64_is_rounded() {
    let usual = logits(&fixture("llama-gqa"), &[]).0;
    for which in ["", "norm", "layers.1"] {
        let model = copy(&fixture("llama-gqa"));
        let mut count = 0;
        model.edit_weights(|tensors| {
            for (_, tensor) in tensors.iter_mut().filter(|(name, _)| name.contains(which)) {
                *tensor = converted(tensor, Dtype::F64);
                count += 1;
            }
        });
        let (own, ran) = logits(&model.path(), &[]);
        assert!(own == usual, "{which}");
        ran.says(&[&format!("{count} tensors are stored as F64, and rounded to f32"), "device flex, f32"]);
        for (dtype, stored) in [("f32", Dtype::F32), ("bf16", Dtype::BF16)] {
            let written = model.file(dtype);
            succeeds(&["convert", &model.path(), "--dtype", dtype, "-o", &text(&written)]);
            assert!(read(&written.join(WEIGHTS)).values().all(|tensor| tensor.dtype == stored));
        }
        assert!(logits(&text(&model.file("f32")), &[]).0 == usual);
        succeeds(&["quantize", &model.path(), "--dtype", "q8", "-o", &text(&model.file("q8"))]);
        assert!(logits(&text(&model.file("q8")), &[]).0 == logits(&model.path(), &["--dtype", "q8"]).0);
    }
}

/// One reader for every small file, in which nothing that is not used is an error.
#[test]
fn what_python_writes() {
    let usual = logits(&fixture("llama-sharded"), &[]).0;
    let model = copy(&fixture("llama-sharded"));
    for (file, fields) in [
        ("config.json", "\"time_step_limit\": [0.0, Infinity], \"router_jitter\": NaN, \"torch_dtype\": \"float64\""),
        ("generation_config.json", "\"max_time\": Infinity, \"top_p\": NaN, \"temperature\": 1e999"),
        ("model.safetensors.index.json", "\"metadata\": {\"total_size\": NaN, \"note\": \"\\ud800\"}"),
    ] {
        let before = fs::read_to_string(model.file(file)).unwrap_or_else(|_| "{\"use_cache\": true}".into());
        model.write(file, format!("\u{feff}{}", before.replacen('{', &format!("{{{fields}, "), 1)));
    }
    let (own, ran) = logits(&model.path(), &[]);
    assert!(own == usual);
    ran.says(&["router_jitter = NaN is ignored", "time_step_limit = [0.0,Infinity] is ignored", "float64"]);
    let written = text(&model.file("written"));
    succeeds(&["convert", &model.path(), "--dtype", "bf16", "-o", &written]);
    assert!(fs::read_to_string(format!("{written}/config.json")).expect("text").contains("\"router_jitter\": NaN"));
    succeeds(&["generate", &written, "--ids", IDS, "-n", "2"]);
    let ran = run(&mut command(&["generate", &written, "--ids", IDS, "--temperature", "1"]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&["glass: error: ", "generation_config.json: top_p = NaN: must be"]);
}

/// The model's makers may write what they like where nobody looks.
#[test]
fn settings_of_others() {
    let model = copy(&fixture("llama-gqa"));
    let path = &model.path();
    let greedy = |more: &[&str]| {
        let args = ["generate", path, "--ids", IDS, "-n", "8", "--ignore-eos", "--device", "flex"];
        succeeds(&[&args[..], more].concat()).stdout
    };
    let usual = greedy(&[]);
    for fields in [
        r#""top_k": -1"#,
        r#""top_k": 0"#,
        r#""top_p": 0, "temperature": 0"#,
        r#""top_p": 1.5"#,
        r#""typical_p": 0.0"#,
        r#""min_p": 2"#,
        r#""temperature": "hot", "top_k": "all""#,
        r#""eos_token_id": "</s>""#,
        r#""max_new_tokens": "many""#,
    ] {
        model.write("generation_config.json", format!(r#"{{"do_sample": false, {fields}}}"#));
        assert_eq!(greedy(&[]), usual, "{fields}");
        assert_eq!(greedy(&["--temperature", "0"]), usual, "{fields}");
        logits(path, &[]);
        succeeds(&["info", path]);
        succeeds(&["search", path, "--ids", IDS, "-n", "2", "--ignore-eos"]);
    }
    for (fields, sampled, words) in [
        (r#""top_p": 1.5"#, &["--temperature", "1"][..], "top_p = 1.5: must be above 0 and at most 1"),
        (r#""top_p": 1.5"#, &["--top-k", "5"], "top_p = 1.5"),
        (r#""min_p": 2, "do_sample": true"#, &[], "min_p = 2"),
        (r#""top_k": "all", "do_sample": true"#, &[], "top_k = \"all\""),
        (r#""repetition_penalty": 0"#, &[], "repetition_penalty = 0"),
        (r#""eos_token_id": "</s>""#, &["-n", "1"], "eos_token_id = \"</s>\""),
        (r#""max_new_tokens": "many""#, &["--ignore-eos"], "max_new_tokens = \"many\""),
        (r#""do_sample": 1"#, &[], "do_sample = 1"),
    ] {
        model.write("generation_config.json", format!("{{{fields}}}"));
        let args = ["generate", path, "--ids", IDS, "--device", "flex"];
        fails(&[&args[..], sampled].concat(), &["generation_config.json: ", words]);
    }
    // The command line in place of the nonsense.
    model.write("generation_config.json", r#"{"do_sample": true, "top_p": 1.5, "top_k": -1}"#);
    greedy(&["--top-p", "0.9"]);
}

/// What the folder holds is what is computed with, and said.
#[test]
fn the_stored_type_is_the_default() {
    let f32s = fixture("llama-gqa");
    let model = copy(&f32s);
    for dtype in ["f32", "f16", "bf16"] {
        let written = text(&model.file(dtype));
        succeeds(&["convert", &f32s, "--dtype", dtype, "-o", &written]);
        let args = ["generate", &written, "--ids", IDS, "-n", "2", "--device"];
        succeeds(&[&args[..], &["flex"]].concat()).says(&[&format!("device flex, {dtype}")]);
        let fallen = succeeds(&[&args[..], &["ndarray"]].concat());
        fallen.says(&["device ndarray, f32"]);
        assert_eq!(warnings(&fallen).len(), usize::from(dtype != "f32"), "{fallen:?}");
        if dtype != "f32" {
            fallen.says(&[&format!("stored in {dtype}, in which ndarray does not compute: they are held in f32\n")]);
            fails(&[&args[..], &["ndarray", "--dtype", dtype]].concat(), &["does not compute", "--dtype f32"]);
        }
        let own = logits(&written, &[]).0;
        assert!(own == logits(&written, &["--dtype", dtype]).0);
        assert_eq!(own == logits(&written, &["--dtype", "f32"]).0, dtype == "f32");
        let info = succeeds(&["info", &written, "--json"]).json();
        assert_eq!(info["dtype"], json!(dtype));
    }
    for dtype in ["q8", "q4"] {
        let written = text(&model.file(dtype));
        succeeds(&["quantize", &f32s, "--dtype", dtype, "-o", &written]);
        let (own, ran) = logits(&written, &[]);
        ran.says(&[&format!("device flex, {dtype}")]);
        assert!(own == logits(&written, &["--dtype", dtype]).0 && own == logits(&f32s, &["--dtype", dtype]).0);
        // In a float type the matrices are dequantized.
        let (float, ran) = logits(&written, &["--dtype", "f32"]);
        assert!(float != own);
        ran.says(&["device flex, f32"]);
    }
    let small = text(&model.file("q4"));
    fails(&["generate", &small, "--ids", "1", "--dtype", "q8"], &["in few bits already"]);
}
