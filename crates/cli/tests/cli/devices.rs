//! Where to compute, and in which type.

use crate::{
    models::{WEIGHTS, comma, copy, expected, fixture},
    run::{command, fails, run, succeeds},
};

#[test]
fn devices_are_listed() {
    let list = succeeds(&["devices"]).stdout;
    let line = |name: &str| {
        list.lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap_or_else(|| panic!("no {name} in {list}"))
    };
    assert!(line("flex").contains("f32"), "{list}");
    assert!(line("ndarray").contains("f32"), "{list}");
    assert!(!line("ndarray").contains("f16"), "{list}");
    assert!(line("auto").contains(" is "), "{list}");
    assert!(list.lines().any(|line| line.starts_with("wgpu")), "{list}");
}

#[test]
fn an_unknown_device_is_refused() {
    let model = &fixture("llama-gqa");
    let on = |device: &str, words: &[&str]| {
        fails(&["generate", model, "--ids", "1", "--device", device], words);
    };
    on("fpga", &["\"fpga\"", "flex, ndarray, wgpu"]);
    on("", &["\"\""]);
    on("wgpu:x", &["\"wgpu:x\""]);
    on("wgpu:4000", &["\"wgpu:4000\"", "glass devices"]);
    if !cfg!(feature = "cuda") {
        on("cuda", &["\"cuda\"", "not in this build", "--features cuda"]);
    }
}

#[test]
fn a_dtype_that_is_not_computed_is_said_before_loading() {
    let broken = copy(&fixture("llama-gqa"));
    broken.truncate(WEIGHTS, 1000);
    let model = &broken.path();
    for dtype in ["f16", "bf16"] {
        fails(
            &["generate", model, "--ids", "1", "--device", "ndarray", "--dtype", dtype],
            &["ndarray", dtype, "--dtype f32"],
        );
    }
    fails(&["generate", model, "--ids", "1", "--device", "ndarray"], &[WEIGHTS]);
}

/// Greedy tokens of a fixture on a device, in float32.
fn greedy(device: &str) {
    let model = &fixture("llama-gqa");
    let expected = expected(model);
    let prompt = expected["greedy.prompt_ids"].ids();
    let output = expected["greedy.output_ids"].ids();
    let new = &output[prompt.len()..];
    let ran = succeeds(&[
        "generate",
        model,
        "--ids",
        &comma(&prompt),
        "--ignore-eos",
        "--json",
        "--device",
        device,
        "-n",
        &new.len().to_string(),
    ]);
    let json = ran.json();
    assert_eq!(json["sequences"][0]["ids"], serde_json::json!(new), "{device}");
    assert!(json["device"].as_str().is_some_and(|name| name.starts_with(device)), "{json}");
}

#[test]
fn ndarray_gives_the_reference() {
    greedy("ndarray");
}

/// Skipped where there is no adapter, unless GLASS_REQUIRE_WGPU is set.
#[test]
fn wgpu_gives_the_reference() {
    let list = succeeds(&["devices"]).stdout;
    let there = list.lines().any(|line| line.starts_with("wgpu:0"));
    if !there && !glass_testing::wgpu_is_required() {
        eprintln!("not tested on wgpu: no adapter");
        let ran = run(&mut command(&["generate", &fixture("llama-gqa"), "--ids", "1", "--device", "wgpu"]));
        ran.failed(&["wgpu", "adapter"]);
        return;
    }
    greedy("wgpu");
}

#[test]
fn half_precision_runs_on_flex() {
    let model = &fixture("llama-bf16");
    for dtype in ["f16", "bf16"] {
        let ran = succeeds(&[
            "generate",
            model,
            "--ids",
            "1,5,9",
            "-n",
            "4",
            "--ignore-eos",
            "--json",
            "--device",
            "flex",
            "--dtype",
            dtype,
        ]);
        let json = ran.json();
        assert_eq!(json["dtype"], dtype);
        assert_eq!(json["generated_tokens"], 4);
    }
}
