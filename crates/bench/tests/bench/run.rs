//! Rows from processes that only act as if they measured: what is done in which order, and what becomes of those that fail.

use std::{ops::ControlFlow, process::Command, time::Duration};

use glass_bench::{Origin, Plan, Record, Results, Setup, Task, Watch, run};
use tempfile::TempDir;

/// Answers by the name of the device: `gone` is not there, `full` cannot load, `bomb` kills itself at a prompt of 13,
/// `wrong` gives other logits, `lossy` loses a quarter of a nat and `silent` has no loss,
/// `adapter` counts its calls, `slow` says that it took a minute, `same` has plain kernels whatever it is asked for.
const ACTOR: &str = r#"
asked='{"prefill":{"launches":40,"submissions":2,"uploads":30,"bytes_read":256,"waits":1},"token":{"launches":20,"submissions":1,"uploads":10,"bytes_read":12,"waits":1}}'
while read -r line; do
    case "$line" in
        *Open*gone*) echo '{"Failed":{"reason":"no such adapter","missing":true}}'; continue;;
        *Open*full*) echo 'glass: error: out of memory' >&2; exit 101;;
        *Open*)
            seconds=0.5; off=0.00001; kernels=fused; loss=1.25; traffic=null
            case "$line" in *slow*) seconds=60;; *wrong*) off=7;; *same*|*plain*) kernels=plain;; esac
            case "$line" in *lossy*) loss=1.5;; *silent*) loss=null;; *adapter*) traffic=$asked;; esac
            bomb=; case "$line" in *bomb*) bomb=1;; esac
            echo '{"Opened":{"adapter":"an actor","kernels":"'$kernels'","dtype":"f32","bytes_per_token":1000,"load_s":0.25,"warnings":["it acts"]}}';;
        *Round*'"prompt":13'*)
            if [ -n "$bomb" ]; then kill -9 $$; fi
            echo '{"Round":{"whole_s":'$seconds',"prefill_s":0.5,"first_s":0.5,"tokens_s":[0.25,0.25],"flops":100,"peak_host_bytes":7,"device_bytes":null}}';;
        *Round*) echo '{"Round":{"whole_s":'$seconds',"prefill_s":0.25,"first_s":0.5,"tokens_s":[0.25,0.25],"flops":100,"peak_host_bytes":7,"device_bytes":null}}';;
        *Reference*) echo '{"Reference":[1,2]}';;
        *Loss*) echo '{"Loss":'$loss'}';;
        *Check*) echo '{"Checked":{"max_logit_diff":'$off',"largest_logit":5.0,"equal":2,"compared":2,"gap":null,"tolerance":0.001}}';;
        *Traffic*) echo '{"Traffic":'$traffic'}';;
        *Peaks*) echo '{"Peaks":{"bandwidth":10000.0,"gemm_flops":1000.0}}';;
    esac
done
"#;

#[derive(Default)]
struct Seen {
    steps: Vec<String>,
    warnings: Vec<String>,
    /// Break off once this begins.
    until: Option<&'static str>,
}

impl Watch for Seen {
    fn now(&mut self, what: &str, _turns: (usize, usize), _remaining: Option<Duration>) {
        self.steps.push(what.to_owned());
    }

    fn warn(&mut self, line: &str) {
        self.warnings.push(line.to_owned());
    }

    fn flow(&mut self) -> ControlFlow<()> {
        let last = self.steps.last().map_or("", String::as_str);
        match self.until {
            Some(until) if last.contains(until) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn plan(devices: &[&str], scratch: &TempDir) -> Plan {
    let setup = |device: &&str| Setup {
        origin: Origin::Shape("llama-40M".into()),
        overrides: vec![],
        device: (*device).to_owned(),
        dtype: "f32".into(),
        any_dtype: false,
        kernels: "fused".into(),
        cache_dtype: None,
    };
    let task = |prompt| Task { depth: 0, prompt, new_tokens: 2 };
    Plan {
        model: "an act".into(),
        parameters: 1000,
        setups: devices.iter().map(setup).collect(),
        tasks: vec![task(13), task(26)],
        repeat: 2,
        patience: Duration::from_secs(30),
        any_device: true,
        base: vec![],
        check: true,
        scratch: scratch.path().into(),
    }
}

fn act(plan: &Plan, seen: &mut Seen, script: &str) -> Results {
    let command = || {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    };
    run(plan, &command, seen)
}

fn acted(devices: &[&str]) -> (Vec<Record>, Seen) {
    let (scratch, mut seen) = (TempDir::new().unwrap(), Seen::default());
    let results = act(&plan(devices, &scratch), &mut seen, ACTOR);
    assert!(!results.interrupted);
    (results.records, seen)
}

fn names(records: &[Record]) -> Vec<(&str, usize)> {
    let name = |record: &'_ Record| record.prompt;
    records.iter().map(|record| (record.device.as_str(), name(record))).collect()
}

#[test]
fn what_is_asked_of_a_device_stands_in_its_rows() {
    let (records, _) = acted(&["adapter"]);
    for row in records {
        assert_eq!((row.prefill_launches, row.prefill_submissions, row.prefill_uploads), (Some(40), Some(2), Some(30)));
        assert_eq!((row.prefill_bytes_read, row.prefill_waits), (Some(256), Some(1)));
        assert_eq!((row.token_launches, row.token_submissions, row.token_uploads), (Some(20), Some(1), Some(10)));
        assert_eq!((row.token_bytes_read, row.token_waits), (Some(12), Some(1)));
    }
}

#[test]
fn rows_take_turns_and_are_summed_up() {
    let (records, seen) = acted(&["a", "b"]);
    assert_eq!(names(&records), [("a", 13), ("b", 13), ("a", 26), ("b", 26)]);
    assert_eq!(
        seen.steps,
        [
            "the reference",
            "loading a f32 fused",
            "loading b f32 fused",
            "a f32 fused, cold",
            "b f32 fused, cold",
            "a f32 fused, cold",
            "b f32 fused, cold",
            "a f32 fused, round 1",
            "b f32 fused, round 1",
            "a f32 fused, round 1",
            "b f32 fused, round 1",
            "a f32 fused, round 2",
            "b f32 fused, round 2",
            "a f32 fused, round 2",
            "b f32 fused, round 2",
            "a f32 fused, counting",
            "b f32 fused, counting",
            "a f32 fused, counting",
            "b f32 fused, counting",
            "a f32 fused, against the reference",
            "b f32 fused, against the reference",
            "a f32 fused, bandwidth and GEMM",
            "b f32 fused, bandwidth and GEMM",
        ]
    );
    assert_eq!(seen.warnings, ["it acts"]);
    let row = &records[0];
    assert_eq!((row.repeat, row.rounds, row.parameters), (2, 2, Some(1000)));
    assert_eq!((row.prefill_tps, row.decode_tps), (Some(26.0), Some(4.0)));
    assert_eq!((row.ttft_ms, row.token_ms_p95), (Some(500.0), Some(250.0)));
    assert_eq!((row.cold_s, row.load_s), (Some(0.5), Some(0.25)));
    // 1000 bytes at 4 tokens per second of 10000; 100 operations in half a second of 1000 a second.
    assert_eq!((row.bandwidth_share, row.gemm_share), (Some(0.4), Some(0.2)));
    assert_eq!((row.max_logit_diff, row.greedy_agreement), (Some(1e-5), Some(1.0)));
    assert_eq!((row.base.as_str(), row.prefill_ratio), ("a f32 fused", Some(1.0)));
    assert_eq!((row.peak_host_bytes, row.peak_device_bytes), (Some(7), None));
    assert_eq!((row.prefill_launches, row.token_launches), (None, None));
}

#[test]
fn a_process_that_is_killed_strikes_its_row() {
    let (records, seen) = acted(&["a", "bomb"]);
    let errors: Vec<Option<&str>> = records.iter().map(|row| row.error.as_deref()).collect();
    let killed = "its process was killed: memory ran out, or somebody did it";
    assert_eq!(errors, [None, Some(killed), None, None], "{:?}", seen.steps);
    assert!(!records[1].failed && records[3].decode_tps == Some(4.0));
}

#[test]
fn what_cannot_be_had_says_so_and_the_others_go_on() {
    let (records, seen) = acted(&["gone", "full", "a", "wrong"]);
    let here = [("full", 13), ("a", 13), ("wrong", 13)];
    assert_eq!(names(&records)[..3], here);
    assert_eq!(records[0].error.as_deref(), Some("out of memory"));
    assert!(seen.warnings.contains(&"gone is left out: no such adapter".to_owned()));
    assert!(records[1].error.is_none());
    assert!(records[2].failed && records[2].max_logit_diff == Some(7.0));
    // The first row that counts is the base.
    assert_eq!(records[2].base, "a f32 fused");
    // Somebody who asks for a device by name gets a row for it.
    let scratch = TempDir::new().unwrap();
    let asked = Plan { any_device: false, ..plan(&["gone", "a"], &scratch) };
    let records = act(&asked, &mut Seen::default(), ACTOR).records;
    assert_eq!(records[0].error.as_deref(), Some("no such adapter"));
    assert_eq!(records[1].error, None);
}

#[test]
fn slow_rows_have_fewer_rounds() {
    let (records, _) = acted(&["slow", "a"]);
    let rounds: Vec<usize> = records.iter().map(|row| row.rounds).collect();
    assert_eq!(rounds, [1, 2, 1, 2]);
}

#[test]
fn the_base_can_be_chosen_and_kernels_that_are_the_same_are_one_row() {
    let scratch = TempDir::new().unwrap();
    let mut chosen = plan(&["same", "a"], &scratch);
    let plain = Setup { kernels: "plain".into(), ..chosen.setups[0].clone() };
    chosen.setups.insert(1, plain);
    chosen.base = vec!["f32".into(), "a".into()];
    let mut seen = Seen::default();
    let records = act(&chosen, &mut seen, ACTOR).records;
    assert_eq!(names(&records)[..2], [("same", 13), ("a", 13)]);
    assert_eq!((records[0].kernels.as_str(), records[0].base.as_str()), ("plain", "a f32 fused"));
    assert!(seen.warnings.contains(&"same f32 plain is left out: it is same f32 plain again".to_owned()));
    chosen.base = vec!["b".into()];
    let records = act(&chosen, &mut seen, ACTOR).records;
    assert!(records.iter().all(|row| row.base.is_empty() && row.decode_ratio.is_none()));
    assert!(seen.warnings.contains(&"there are no ratios: no row that counts is b".to_owned()));
}

#[test]
fn models_that_have_learned_texts_have_a_loss() {
    let scratch = TempDir::new().unwrap();
    let mut learned = plan(&["a", "lossy", "silent"], &scratch);
    for setup in &mut learned.setups {
        setup.origin = Origin::Folder("somewhere".into());
    }
    let losses = |plan: &Plan| -> Vec<Option<f64>> {
        let records = act(plan, &mut Seen::default(), ACTOR).records;
        records[..3].iter().map(|record| record.loss_above_f32).collect()
    };
    assert_eq!(losses(&learned), [Some(0.0), Some(0.25), None]);
    assert_eq!(losses(&plan(&["a", "lossy", "silent"], &scratch)), [None; 3], "random weights");
    // Quantized rows are compared with their own numbers in float32, but lose against float32 itself.
    learned.setups[1].dtype = "q4".into();
    let mut seen = Seen::default();
    act(&learned, &mut seen, ACTOR);
    assert_eq!(seen.steps.iter().filter(|step| *step == "the reference").count(), 2);
}

#[test]
fn nothing_is_compared_where_nobody_asks() {
    let scratch = TempDir::new().unwrap();
    let unchecked = Plan { check: false, ..plan(&["a", "wrong"], &scratch) };
    let mut seen = Seen::default();
    let records = act(&unchecked, &mut seen, ACTOR).records;
    assert!(records.iter().all(|record| record.error.is_none() && record.max_logit_diff.is_none()));
    assert!(records.iter().all(|record| record.decode_tps == Some(4.0)));
    assert!(!seen.steps.iter().any(|step| step.contains("reference")), "{:?}", seen.steps);
    assert!(seen.warnings.iter().all(|line| line == "it acts"), "{:?}", seen.warnings);
}

#[test]
fn what_was_measured_before_it_is_broken_off_is_there() {
    let scratch = TempDir::new().unwrap();
    // This one never answers once it has been opened and had a round.
    let stuck = ACTOR.replace("*Check*)", "*Check*) sleep 100;;\n        never)");
    let mut seen = Seen { until: Some("against"), ..Seen::default() };
    let results = act(&plan(&["a"], &scratch), &mut seen, &stuck);
    assert!(results.interrupted);
    assert_eq!(results.records[0].decode_tps, Some(4.0));
    assert_eq!(results.records[0].max_logit_diff, None);
    let mut seen = Seen { until: Some("cold"), ..Seen::default() };
    let stuck = ACTOR.replace("*Round*)", "*Round*) sleep 100;;\n        never)");
    let stuck = stuck.replace("*Round*'\"prompt\":13'*)", "neither)");
    let results = act(&plan(&["a"], &scratch), &mut seen, &stuck);
    let why = results.records[0].error.as_deref();
    assert_eq!(why, Some("interrupted before it was measured"));
}

#[test]
fn a_program_that_is_no_subject_is_an_error() {
    let scratch = TempDir::new().unwrap();
    let mut seen = Seen::default();
    let results = act(&plan(&["a"], &scratch), &mut seen, "echo what; cat >/dev/null");
    let why = results.records[0].error.as_deref().unwrap();
    assert!(why.starts_with("its process cannot be understood"), "{why}");
    let results = act(&plan(&["a"], &scratch), &mut seen, "exit 3");
    let why = results.records[0].error.as_deref().unwrap();
    assert!(why.contains("without a word") && why.contains('3'), "{why}");
    assert!(seen.warnings[0].contains("no row is compared with the reference"));
}
