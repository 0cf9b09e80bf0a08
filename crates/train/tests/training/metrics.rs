//! `metrics.jsonl`: its format, and a resumed run's view of it after a kill.

use std::{fs, path::Path};

use glass_train::metrics::{EvaluationRecord, MetricsError, MetricsLog, Record, TrainRecord};

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
        log.append(record.clone()).unwrap();
    }
}

/// All records of a file.
fn read(path: &Path) -> Vec<Record> {
    MetricsLog::resume(path, u64::MAX).unwrap().records().to_vec()
}

#[test]
fn lines_have_the_documented_format_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let records = [train(120, 0.1 + 0.2), evaluation(120, 1.7)];
    let mut log = MetricsLog::create(&path).unwrap();
    write(&mut log, &records);
    assert_eq!(log.records(), records);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        concat!(
            r#"{"step":120,"train_loss":0.30000000000000004,"lr":0.001,"grad_norm":0.8,"tokens":491520,"seconds":60.0}"#,
            "\n",
            r#"{"step":120,"val_loss":1.7}"#,
            "\n"
        )
    );
    assert_eq!(read(&path), records);
}

#[test]
fn resume_leads_to_the_file_of_an_unbroken_run() {
    let folder = tempfile::tempdir().unwrap();
    let unbroken = folder.path().join("unbroken.jsonl");
    write(&mut MetricsLog::create(&unbroken).unwrap(), &run(200));
    let expected = fs::read(&unbroken).unwrap();

    // Killed at any byte after the checkpoint of step 100.
    let path = folder.path().join("metrics.jsonl");
    let known = run(100);
    let start: usize = expected.split_inclusive(|&byte| byte == b'\n').take(known.len()).map(<[u8]>::len).sum();
    for killed_at in (start..expected.len()).step_by(13).chain([expected.len()]) {
        fs::write(&path, &expected[..killed_at]).unwrap();
        let mut log = MetricsLog::resume(&path, 100).unwrap();
        assert_eq!(log.records(), known);
        assert_eq!(fs::read(&path).unwrap(), expected[..start], "{killed_at}");
        write(&mut log, &run(200)[known.len()..]);
        log.sync().unwrap();
        assert_eq!(fs::read(&path).unwrap(), expected, "{killed_at}");
    }
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2, "temporary files stay behind");
}

#[test]
fn resume_discards_later_steps_and_works_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    write(&mut MetricsLog::create(&path).unwrap(), &run(30));
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.clone() + r#"{"step":40,"tr"#).unwrap();
    assert_eq!(read(&path), run(30));
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    let log = MetricsLog::resume(&path, 10).unwrap();
    assert_eq!(log.records(), run(10));
    assert_eq!(read(&path), run(10));

    let missing = folder.path().join("missing.jsonl");
    let mut log = MetricsLog::resume(&missing, 10).unwrap();
    assert_eq!(log.records(), []);
    write(&mut log, &[train(20, 1.0)]);
    assert_eq!(read(&missing), [train(20, 1.0)]);
}

#[test]
fn a_last_line_without_newline_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    fs::write(&path, r#"{"step":5,"val_loss":1.5}"#).unwrap();
    let mut log = MetricsLog::resume(&path, 5).unwrap();
    assert_eq!(log.records(), [evaluation(5, 1.5)]);
    write(&mut log, &[evaluation(6, 1.4)]);
    assert_eq!(read(&path), [evaluation(5, 1.5), evaluation(6, 1.4)]);
}

#[test]
fn damaged_lines_are_errors_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let whole = r#"{"step":5,"val_loss":1.5}"#;
    for (damaged, problem) in [
        (&br#"{"step":6,"val_lo"#[..], "control character"),
        (br#"{"step":6,"val_loss":null}"#, "invalid type: null"),
        (br#"{"step":6,"train_loss":1.0}"#, "missing field `lr`"),
        (br#"{"step":6,"val_loss":1,"mood":2}"#, "unknown field `mood`"),
        (br#"{"step":-6,"val_loss":1}"#, "invalid value: integer `-6`"),
        (b"\xff\xfe", "expected value"),
        (b"", "EOF while parsing"),
        (b"[]", "invalid type: sequence"),
    ] {
        let lines = [whole.as_bytes(), damaged, whole.as_bytes(), b""].join(&b'\n');
        fs::write(&path, &lines).unwrap();
        let error = MetricsLog::resume(&path, 9).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl, line 2: "), "{error}");
        assert!(error.contains(problem), "{error}");
        assert!(!error.contains("at line 1"), "{error}");
        let left = fs::read(&path).unwrap();
        assert_eq!(left, lines, "a refused file is unchanged");
    }
}

/// A power cut can leave anything behind what was synced with the checkpoint.
#[test]
fn damage_after_the_checkpoint_is_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    write(&mut MetricsLog::create(&path).unwrap(), &run(30));
    let whole = fs::read(&path).unwrap();
    for damage in
        [&b"\0\0\0\n"[..], b"{\"step\":40}\n{\"step\":50}\n", b"\n\n", b"\xff\n{\"step\":31,\"val_loss\":1}\n"]
    {
        fs::write(&path, [&whole, damage].concat()).unwrap();
        assert_eq!(MetricsLog::resume(&path, 30).unwrap().records(), run(30));
        assert_eq!(fs::read(&path).unwrap(), whole);
        // Before the checkpoint it is an error.
        fs::write(&path, [&whole, damage].concat()).unwrap();
        assert!(MetricsLog::resume(&path, 99).is_err());
    }
}

#[test]
fn append_refuses_nan_and_infinity_and_leaves_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::create(&path).unwrap();
    write(&mut log, &[train(1, 2.0)]);
    let error = log.append(evaluation(7, f64::NAN)).unwrap_err();
    assert!(error.to_string().contains("val_loss is NaN at step 7"));
    assert!(log.append(train(8, f64::INFINITY)).is_err());
    assert_eq!(log.records(), [train(1, 2.0)]);
    assert_eq!(read(&path), [train(1, 2.0)]);
}

#[test]
fn unwritable_paths_are_errors_by_name() {
    let nowhere = Path::new("no-such-folder/metrics.jsonl");
    for error in [MetricsLog::create(nowhere).unwrap_err(), MetricsLog::resume(nowhere, 3).unwrap_err()] {
        assert!(matches!(error, MetricsError::Io { .. }));
        assert!(error.to_string().starts_with("no-such-folder"), "{error}");
    }
}
