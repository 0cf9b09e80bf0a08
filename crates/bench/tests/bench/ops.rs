//! The breakdown by op.

use glass_bench::{Format, OpRow, Phase, fill_shares, render_ops};

fn op(device: &str, phase: Phase, op: &str, seconds: f64, roofline_share: Option<f64>) -> OpRow {
    OpRow {
        model: "m".into(),
        device: device.into(),
        dtype: "f32".into(),
        kernels: "fused".into(),
        prompt: 512,
        depth: 4096,
        phase,
        op: op.into(),
        seconds,
        share: None,
        bytes: roofline_share.map(|_| 1_500_000),
        flops: roofline_share.map(|_| 2e9),
        roofline_share,
        launches: None,
        uploads: None,
        bytes_read: None,
        unobserved_s: 0.0095,
    }
}

fn ops() -> Vec<OpRow> {
    let mut rows = vec![
        op("flex", Phase::Decode, "embedding", 0.001, Some(0.25)),
        op("flex", Phase::Prefill, "embedding", 0.5, None),
        op("flex", Phase::Decode, "mlp", 0.006, Some(0.75)),
        op("flex", Phase::Decode, "host sync", 0.003, None),
    ];
    fill_shares(&mut rows);
    rows
}

fn cells(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn shares_are_of_one_step() {
    let shares: Vec<f64> = ops().iter().map(|row| row.share.unwrap()).collect();
    for (share, expected) in shares.iter().zip([0.1, 1.0, 0.6, 0.3]) {
        assert!((share - expected).abs() < 1e-12, "{shares:?}");
    }
    let mut idle = [op("flex", Phase::Decode, "norm", 0.0, None)];
    fill_shares(&mut idle);
    assert_eq!(idle[0].share, None);
}

#[test]
fn tables_keep_the_order_of_the_walk_and_add_up() {
    let table = render_ops(&ops(), Format::Table, false).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "m on flex f32 fused, one token of decode at depth 4608 (9.500 ms without a halt after each op)"
    );
    let names: Vec<&str> = lines[3..7].iter().map(|line| &line[..5]).collect();
    assert_eq!(names, ["embed", "mlp  ", "host ", "total"]);
    assert_eq!(cells(lines[3]), ["embedding", "1.000", "10.0", "1.500", "2.000", "25.0"]);
    assert_eq!(cells(lines[5]), ["host", "sync", "3.000", "30.0", "-", "-", "-"]);
    // (0.25 · 1 ms + 0.75 · 6 ms) of 10 ms.
    assert_eq!(cells(lines[6]), ["total", "10.00", "100.0", "3.000", "4.000", "47.5"]);
    assert!(table.contains("\nm on flex f32 fused, prefill of 512 tokens at depth 4096 ("));
    assert_eq!(cells(lines.last().unwrap()), ["total", "500.0", "100.0", "-", "-", "-"]);
    let md = render_ops(&ops(), Format::Md, false).unwrap();
    assert!(md.contains("| host sync | 3.000 | 30.0 | - | - | - |\n| total |"));
}

#[test]
fn what_adapters_are_asked_for_stands_behind_the_rest() {
    let mut rows = ops();
    for row in &mut rows[..3] {
        (row.launches, row.uploads, row.bytes_read) = (Some(3), Some(1), Some(500));
    }
    let table = render_ops(&rows, Format::Table, false).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(cells(lines[4]), ["mlp", "6.000", "60.0", "1.500", "2.000", "75.0", "3", "1", "0.500"]);
    assert_eq!(cells(lines[5]), ["host", "sync", "3.000", "30.0", "-", "-", "-", "-", "-", "-"]);
    assert_eq!(cells(lines[6]), ["total", "10.00", "100.0", "3.000", "4.000", "47.5", "6", "2", "1.000"]);
    let read: Vec<OpRow> = {
        let csv = render_ops(&rows, Format::Csv, false).unwrap();
        csv::Reader::from_reader(csv.as_bytes()).into_deserialize().map(Result::unwrap).collect()
    };
    assert_eq!(read, rows);
}

#[test]
fn programs_read_the_rows_back_without_totals() {
    let csv = render_ops(&ops(), Format::Csv, false).unwrap();
    assert!(csv.starts_with(
        "model,device,dtype,kernels,prompt,depth,phase,op,seconds,share,bytes,flops,roofline_share,launches,uploads,\
         bytes_read,unobserved_s\n\
         m,flex,f32,fused,512,4096,decode,embedding,"
    ));
    let read = csv::Reader::from_reader(csv.as_bytes()).into_deserialize();
    assert_eq!(read.map(Result::unwrap).collect::<Vec<OpRow>>(), ops());
    let jsonl = render_ops(&ops(), Format::Jsonl, false).unwrap();
    let read: Vec<OpRow> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, ops());
    assert!(jsonl.contains("\"phase\":\"prefill\"") && jsonl.contains("\"bytes\":null"));
    for format in Format::ALL {
        assert_eq!(render_ops(&[], format, true).unwrap(), "");
    }
}
