//! `metrics.jsonl`: what a kill leaves in it, and what a resumed run makes of it.

use std::{fs, path::Path};

use glass_train::metrics::{
    EvaluationRecord, MetricsError, MetricsLog, Record, TrainRecord, read_metrics,
};

fn train(step: u64, train_loss: f64) -> Record {
    Record::Train(TrainRecord {
        step,
        train_loss,
        lr: 1e-3,
        grad_norm: 0.8,
        tokens: step * 4096,
        seconds: step as f64 * 0.5,
    })
}

fn evaluation(step: u64, val_loss: f64) -> Record {
    Record::Evaluation(EvaluationRecord { step, val_loss })
}

/// A training line every 10 steps, an evaluation every 50.
fn run(steps: u64) -> Vec<Record> {
    let mut records = Vec::new();
    for step in (10..=steps).step_by(10) {
        let loss = 1.2 + 3.0 / (1.0 + step as f64 / 50.0);
        records.push(train(step, loss));
        if step % 50 == 0 {
            records.push(evaluation(step, loss + 0.1));
        }
    }
    records
}

fn write(log: &mut MetricsLog, records: &[Record]) {
    for record in records {
        log.append(record).unwrap();
    }
}

#[test]
fn a_line_is_what_the_format_says_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let records = [train(120, 0.1 + 0.2), evaluation(120, 1.7)];
    write(&mut MetricsLog::create(&path).unwrap(), &records);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        concat!(
            r#"{"step":120,"train_loss":0.30000000000000004,"lr":0.001,"grad_norm":0.8,"tokens":491520,"seconds":60.0}"#,
            "\n",
            r#"{"step":120,"val_loss":1.7}"#,
            "\n"
        )
    );
    assert_eq!(read_metrics(&path).unwrap(), records);
}

#[test]
fn a_resumed_run_leaves_the_file_of_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = folder.path().join("unbroken.jsonl");
    write(&mut MetricsLog::create(&unbroken).unwrap(), &run(200));
    let expected = fs::read(&unbroken).unwrap();

    // Killed anywhere in what follows the checkpoint of step 100.
    let path = folder.path().join("metrics.jsonl");
    let known = run(100);
    let start: usize = expected
        .split_inclusive(|&byte| byte == b'\n')
        .take(known.len())
        .map(<[u8]>::len)
        .sum();
    for killed_at in (start..expected.len()).step_by(13).chain([expected.len()]) {
        fs::write(&path, &expected[..killed_at]).unwrap();
        let (mut log, resumed) = MetricsLog::resume(&path, 100).unwrap();
        assert_eq!(resumed.kept, known);
        assert_eq!(resumed.dropped == 0, killed_at == start, "{killed_at}");
        write(&mut log, &run(200)[known.len()..]);
        log.sync().unwrap();
        assert_eq!(fs::read(&path).unwrap(), expected, "{killed_at}");
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "temporary files stay behind");
}

#[test]
fn resuming_counts_what_it_drops_and_does_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    write(&mut MetricsLog::create(&path).unwrap(), &run(30));
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str(r#"{"step":40,"tr"#);
    fs::write(&path, &text).unwrap();
    assert_eq!(read_metrics(&path).unwrap(), run(30));
    let (_, resumed) = MetricsLog::resume(&path, 10).unwrap();
    assert_eq!((resumed.kept, resumed.dropped), (run(10), 3));

    let missing = folder.path().join("missing.jsonl");
    let (mut log, resumed) = MetricsLog::resume(&missing, 10).unwrap();
    assert_eq!((resumed.kept.len(), resumed.dropped), (0, 0));
    write(&mut log, &[train(20, 1.0)]);
    assert_eq!(read_metrics(&missing).unwrap(), [train(20, 1.0)]);
}

#[test]
fn a_last_line_that_lacks_only_its_newline_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    fs::write(&path, r#"{"step":5,"val_loss":1.5}"#).unwrap();
    let (mut log, resumed) = MetricsLog::resume(&path, 5).unwrap();
    assert_eq!(resumed.dropped, 0);
    write(&mut log, &[evaluation(6, 1.4)]);
    let read = read_metrics(&path).unwrap();
    assert_eq!(read, [evaluation(5, 1.5), evaluation(6, 1.4)]);
}

#[test]
fn a_damaged_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let whole = r#"{"step":5,"val_loss":1.5}"#;
    for (damaged, problem) in [
        (&br#"{"step":6,"val_lo"#[..], "control character"),
        (br#"{"step":6,"val_loss":null}"#, "invalid type: null"),
        (br#"{"step":6,"train_loss":1.0}"#, "missing field `lr`"),
        (
            br#"{"step":6,"val_loss":1,"mood":2}"#,
            "unknown field `mood`",
        ),
        (
            br#"{"step":-6,"val_loss":1}"#,
            "invalid value: integer `-6`",
        ),
        (b"\xff\xfe", "expected value"),
        (b"", "EOF while parsing"),
        (b"[]", "invalid type: sequence"),
    ] {
        let lines = [whole.as_bytes(), damaged, whole.as_bytes(), b""].join(&b'\n');
        fs::write(&path, &lines).unwrap();
        for error in [
            read_metrics(&path).unwrap_err(),
            MetricsLog::resume(&path, 9).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("metrics.jsonl, line 2: "), "{text}");
            assert!(text.contains(problem), "{text}");
            assert!(!text.contains("at line 1"), "{text}");
        }
        assert_eq!(
            fs::read(&path).unwrap(),
            lines,
            "a refused file is left alone"
        );
    }
}

#[test]
fn what_json_cannot_hold_is_refused_and_leaves_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::create(&path).unwrap();
    write(&mut log, &[train(1, 2.0)]);
    let error = log.append(&evaluation(7, f64::NAN)).unwrap_err();
    assert!(error.to_string().contains("val_loss is NaN at step 7"));
    assert!(log.append(&train(8, f64::INFINITY)).is_err());
    assert_eq!(read_metrics(&path).unwrap(), [train(1, 2.0)]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let nowhere = Path::new("no-such-folder/metrics.jsonl");
    for error in [
        MetricsLog::create(nowhere).unwrap_err(),
        MetricsLog::resume(nowhere, 3).unwrap_err(),
        read_metrics(nowhere).unwrap_err(),
    ] {
        assert!(matches!(error, MetricsError::Io { .. }));
        assert!(error.to_string().starts_with("no-such-folder"), "{error}");
    }
}
