//! Speed and correctness, side by side. No test says how fast.

use std::fs;

use serde_json::Value;

use crate::{
    models::{fixture, random_tiny, shipped},
    run::{Ran, command, fails, refused, run, succeeds, text},
    svg,
};

/// As little as can be measured.
const LITTLE: [&str; 6] = ["--gen", "4", "--repeat", "2", "--prompt", "8"];

fn bench(args: &[&str]) -> Ran {
    run(&mut command(&[&["bench"], args, &LITTLE].concat()))
}

fn rows(ran: &Ran) -> Vec<Value> {
    let lines = ran.stdout.lines();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn number(row: &Value, field: &str) -> f64 {
    row[field].as_f64().unwrap_or_else(|| panic!("no {field} in {row}"))
}

#[test]
fn every_row_has_speed_memory_and_correctness() {
    let model = &random_tiny()[..];
    let both = ["--device", "flex", "--device", "ndarray", "--dtype", "f32"];
    let ran = bench(&[&[model][..], &both, &["--depth", "0,40", "--format", "jsonl"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let rows = rows(&ran);
    let names: Vec<(&str, u64)> =
        rows.iter().map(|row| (row["device"].as_str().unwrap(), row["depth"].as_u64().unwrap())).collect();
    assert_eq!(names, [("flex", 0), ("ndarray", 0), ("flex", 40), ("ndarray", 40)]);
    for row in &rows {
        for field in [
            "prefill_tps",
            "prefill_tps_mean",
            "prefill_tps_sd",
            "decode_tps",
            "decode_tps_mean",
            "decode_tps_sd",
            "ttft_ms",
            "token_ms_p50",
            "token_ms_p95",
            "cold_s",
            "load_s",
            "bytes_per_token",
            "bandwidth",
            "bandwidth_share",
            "flops",
            "gemm_flops",
            "gemm_share",
            "prefill_ratio",
            "decode_ratio",
        ] {
            assert!(number(row, field) > 0.0, "{field} in {row}");
        }
        assert!(number(row, "token_ms_p50") <= number(row, "token_ms_p95"));
        assert_eq!(row["model"], "random-tiny");
        assert_eq!((row["dtype"].as_str(), &row["error"]), (Some("f32"), &Value::Null));
        assert_eq!((number(row, "prompt"), number(row, "gen")), (8.0, 4.0));
        assert_eq!((number(row, "rounds"), number(row, "repeat")), (2.0, 2.0));
        assert!(number(row, "max_logit_diff") < 1e-4);
        assert_eq!(number(row, "greedy_tokens"), 128.0);
        if cfg!(target_os = "linux") {
            assert!(number(row, "peak_host_bytes") > 1e6);
        }
    }
    assert_eq!(rows[0]["greedy_agreement"], 1.0);
    assert_eq!((&rows[0]["decode_ratio"], &rows[2]["prefill_ratio"]), (&1.0.into(), &1.0.into()));
}

#[test]
fn a_dtype_tells_what_it_costs() {
    let model = &shipped("shakespeare-window");
    let ran = bench(&[model, "--device", "flex", "--dtype", "f32,q8,q4", "--format", "jsonl"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let losses: Vec<f64> = rows(&ran).iter().map(|row| number(row, "loss_above_f32")).collect();
    assert!(losses[0].abs() < 1e-5 && losses[1].abs() < 0.02, "{losses:?}");
    assert!(losses[2] > losses[1] && losses[2] < 0.5, "{losses:?}");
    // Random weights have learned nothing that could be lost.
    let shape = ["--preset", "llama-40M", "--device", "flex", "--dtype", "q4", "--set", "num_hidden_layers=1"];
    let row = &rows(&bench(&[&shape[..], &["--format", "jsonl"]].concat()))[0];
    assert!(row["loss_above_f32"].is_null() && number(row, "largest_logit") > number(row, "max_logit_diff"), "{row}");
}

#[test]
fn what_is_beyond_the_context_is_said() {
    let model = random_tiny();
    let args = [&*model, "--device", "flex", "--no-check", "--prompt"];
    let ran = bench(&[&args[..], &["1021"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.says(&["come to 1025 tokens, more than the 1024 of the model's context"]);
    assert!(!bench(&[&args[..], &["1020"]].concat()).stderr.contains("context"));
}

#[test]
fn a_check_can_be_left_out() {
    let ran = bench(&[&random_tiny(), "--device", "flex", "--no-check", "--format", "jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.says(&["glass: whether the results are right was not checked (--no-check)"]);
    let row = &rows(&ran)[0];
    assert!(number(row, "decode_tps") > 0.0 && row["max_logit_diff"].is_null(), "{row}");
}

#[test]
fn the_table_and_the_picture_show_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.svg");
    let ran = bench(&[&random_tiny(), "--device", "flex", "--dtype", "f32,f16", "--plot", &text(&path)]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("random-tiny, "), "{ran:?}");
    assert_eq!(ran.stdout.matches("flex    f32 ").count(), 3, "{ran:?}");
    assert_eq!(ran.stdout.matches("flex    f16 ").count(), 3, "{ran:?}");
    assert!(ran.stdout.contains("128/128") && !ran.stdout.contains('\u{1b}'));
    let picture = fs::read_to_string(path).unwrap();
    let texts = svg::texts(&picture);
    assert!(texts.iter().any(|text| text.contains("flex f16")), "{texts:?}");
}

/// What the folder holds is measured, and where a device does not compute it, what takes its place.
#[test]
fn rows_are_in_the_stored_type() {
    let ran = bench(&[&random_tiny(), "--device", "flex,ndarray", "--format", "jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows = rows(&ran);
    let dtypes: Vec<&str> = rows.iter().map(|row| row["dtype"].as_str().expect("a word")).collect();
    assert_eq!(dtypes, ["bf16", "f32"]);
    ran.says(&["stored in bf16, in which ndarray does not compute"]);
}

#[test]
fn a_device_that_is_not_there_has_a_row_that_says_so() {
    let ran = bench(&[&random_tiny(), "--device", "fpga,flex,wgpu:4000", "--format", "jsonl"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&["glass: error: 2 of 3 rows"]);
    let rows = rows(&ran);
    let error = |row: &Value| row["error"].as_str().unwrap_or_default().to_owned();
    assert!(error(&rows[0]).contains("no device is called \"fpga\""));
    assert!(error(&rows[2]).contains("wgpu:4000"));
    assert_eq!(rows[0]["decode_tps"], Value::Null);
    assert!(number(&rows[1], "decode_tps") > 0.0);
    assert_eq!(rows[1]["base"], rows[0]["base"].as_str().map_or("", |_| "flex bf16 fused"));
}

#[test]
fn a_dtype_that_is_not_computed_has_a_row_that_says_so() {
    let ran = bench(&[&random_tiny(), "--device", "ndarray", "--dtype", "f16,f32"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("error: device ndarray does not compute in f16"), "{ran:?}");
    assert!(ran.stdout.contains("128/128"), "{ran:?}");
}

#[test]
fn a_shape_needs_no_files() {
    let ran = bench(&["--preset", "llama-40M", "--device", "flex", "--format", "csv", "--set", "num_hidden_layers=1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut lines = ran.stdout.lines();
    assert!(lines.next().unwrap().starts_with("device,adapter,dtype,kernels,model,parameters,"));
    assert!(lines.next().unwrap().contains(",llama-40M,"));
    assert_eq!(lines.next(), None);
}

#[test]
fn without_a_model_it_is_the_built_in_one() {
    let ran = bench(&["--device", "flex", "--format", "jsonl"]);
    assert_eq!(rows(&ran)[0]["model"], "shakespeare-window");
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line() {
    let model = random_tiny();
    refused(&["bench", &model, "--prompt", "0"], &["--prompt"]);
    refused(&["bench", &model, "--gen", "0"], &["--gen"]);
    refused(&["bench", &model, "--repeat", "0"], &["--repeat"]);
    refused(&["bench", &model, "--depth", "-1"], &["-1"]);
    refused(&["bench", &model, "--dtype", "f8"], &["f8", "f32, f16, bf16, q8 or q4"]);
    refused(&["bench", &model, "--format", "xml"], &["xml", "table, md, csv or jsonl"]);
    refused(&["bench", &model, "--row-seconds", "soon"], &["soon"]);
    refused(&["bench", &model, "--preset", "llama-40M"], &["--preset"]);
    refused(&["bench", "--revision", "main"], &["MODEL"]);
    refused(&["bench", "--preset", "llama-40"], &["\"llama-40\"", "did you mean llama-40M?"]);
    fails(&["bench", "no/such/folder"], &["no/such/folder"]);
    fails(&["bench", &model, "--set", "hidden_size=-1"], &["hidden_size"]);
    fails(&["bench", &model, "--plot", "no/such/folder/a.svg"], &["no/such/folder"]);
    let ran = bench(&[&model, "--device", "flex", "--base", "wgpu"]);
    assert_eq!(ran.code, Some(0));
    ran.says(&["no row that counts is wgpu"]);
}

#[test]
fn a_broken_model_has_a_row_that_says_so() {
    let broken = crate::models::copy(&fixture("llama-gqa"));
    broken.truncate(crate::models::WEIGHTS, 1000);
    let ran = bench(&[&broken.path(), "--device", "flex"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("error: ") && ran.stdout.contains(crate::models::WEIGHTS));
    ran.says(&["no row is compared with the reference", "1 of 1 rows"]);
}

#[test]
fn the_process_behind_a_row_answers_and_ends() {
    // Nobody asks: it ends without a word.
    let ran = succeeds(&["bench-subject"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert!(!succeeds(&["--help"]).stdout.contains("bench-subject"));
}

#[test]
fn ops_take_a_step_apart() {
    let model = &random_tiny();
    let ran = bench(&[model, "--device", "flex,ndarray", "--ops", "--depth", "0,40", "--format", "jsonl"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let rows = rows(&ran);
    // Two devices, two depths, two phases.
    assert_eq!(rows.len(), 2 * 2 * 2 * 13);
    for step in rows.chunks(13) {
        let of = |row: &Value| {
            let fields = ["device", "depth", "phase", "unobserved_s"];
            fields.map(|field| row[field].clone())
        };
        assert!(step.iter().all(|row| of(row) == of(&step[0])), "{step:?}");
        let shares: f64 = step.iter().map(|row| number(row, "share")).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let named = |name: &str| {
            let row = step.iter().find(|row| row["op"] == name);
            row.unwrap_or_else(|| panic!("no {name}"))
        };
        for op in ["embedding", "norms", "q, k, v", "rope", "cache", "attention", "output", "mlp", "head", "host sync"]
        {
            assert!(number(named(op), "seconds") > 0.0, "{op}");
            assert!(number(named(op), "roofline_share") > 0.0, "{op}");
        }
        assert!(number(named("sampling"), "seconds") > 0.0);
        assert_eq!(named("sampling")["bytes"], Value::Null);
    }
    let table = bench(&[model, "--device", "flex", "--ops"]).stdout;
    assert!(table.starts_with("random-tiny on flex bf16 "), "{table}");
    assert!(table.contains("one token of decode at depth 8 "), "{table}");
    refused(&["bench", model, "--ops", "--plot", "a.svg"], &["--plot"]);
    let ran = bench(&[model, "--ops", "--device", "fpga,flex"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&["fpga", "1 of 2 rows"]);
    assert!(ran.stdout.contains("total"));
}
