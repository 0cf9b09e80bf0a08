//! Results in every format: what they say.

use glass_bench::{Format, Look, Record, chart, render};

use crate::{
    read_back::{read_csv, read_jsonl},
    records::{all, failed, lost, measured, text},
};

#[test]
fn formats_are_named() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "xml".parse::<Format>().unwrap_err().to_string();
    assert_eq!(error, "\"xml\" is no format: use table, md, csv or jsonl");
}

/// Where a row has no room, its numbers stand below each other; none is lost, and no line is broken.
#[test]
fn a_narrow_terminal_gets_a_number_per_line() {
    let piped = text(&all(), Format::Table, false);
    for columns in [50, 80] {
        let look = Look { colour: false, columns: Some(columns) };
        let narrow = render(&all(), Format::Table, look).unwrap();
        assert!(narrow.lines().all(|line| line.chars().count() <= columns), "{narrow}");
        // A row's names stand without their heads.
        let is_head = |word: &&str| ["device", "dtype", "kernels"].contains(word);
        for word in piped.split_whitespace().filter(|word| !is_head(word)) {
            assert!(narrow.contains(word), "{word} is not in {narrow}");
        }
    }
    let look = Look { colour: false, columns: Some(120) };
    assert_eq!(render(&all(), Format::Table, look).unwrap(), piped);
}

#[test]
fn the_table_has_speed_and_correctness_in_one_row() {
    let table = text(&all(), Format::Table, false);
    assert!(table.starts_with("llama-40M, 39.98 M parameters, 64 tokens after the prompt: medians of 5"));
    let row = table.lines().find(|line| line.starts_with("flex")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "flex", "f32", "fused", "512", "4096", "1235", "±12.25", "1.00x", "98.77", "±0.312", "12.35x", "1.3e-5",
            "128/128", "0"
        ]
    );
    assert!(!table.contains('\u{1b}'));
    assert!(table.contains("\nflex: a machine, of two cores\n"));
    // Heads and numbers end at the same place.
    let end = |line: &str, word: &str| line[..line.find(word).unwrap() + word.len()].chars().count();
    let heads: Vec<&str> = table.lines().skip_while(|line| !line.starts_with("device")).take(2).collect();
    assert_eq!(end(heads[0], "prefill"), end(row, "1235"));
    assert_eq!(end(heads[1], "max diff"), end(row, "1.3e-5"));
    for part in ["GFLOP/s", "ms p95", "77.0", "70.5", "159.9", "414.7"] {
        assert!(table.contains(part), "{part} in {table}");
    }
}

#[test]
fn a_row_that_failed_is_struck_out_and_says_so() {
    let plain = text(&all(), Format::Table, false);
    assert_eq!(plain.matches("FAILED: its logits are no numbers").count(), 1);
    assert_eq!(plain.matches("FAILED: see above").count(), 2);
    assert!(plain.lines().any(|line| line.starts_with("ndarray") && line.contains("NaN") && line.contains("32/128")));
    let coloured = text(&all(), Format::Table, true);
    let struck: Vec<&str> = coloured.lines().filter(|line| line.starts_with("\u{1b}[9m")).collect();
    assert_eq!(struck.len(), 3);
    assert!(struck.iter().all(|line| line.starts_with("\u{1b}[9mndarray") && line.ends_with("\u{1b}[0m")));
    assert_eq!(coloured.matches("\u{1b}[1;31mFAILED\u{1b}[0m: ").count(), 3);
    let md = text(&all(), Format::Md, true);
    assert!(md.contains("| ~~ndarray~~ | ~~f32~~ |") && md.contains("| **FAILED**: its logits are no numbers |"));
    assert!(!md.contains("~~flex~~") && !md.contains('\u{1b}'));
    let unexplained = Record { error: None, ..failed() };
    assert!(text(&[unexplained], Format::Table, false).contains("FAILED: no reason given"));
}

#[test]
fn texts_that_part_are_explained() {
    let parts = Record { dtype: "q4".into(), greedy_agreement: Some(0.125), ..measured("flex") };
    let told = |record: &Record| text(std::slice::from_ref(record), Format::Table, false);
    // A model that has learned texts: what its dtype costs.
    let learned = Record { loss_above_f32: Some(0.03125), ..parts.clone() };
    let table = told(&learned);
    assert!(table.contains("16/128  +0.0313"), "{table}");
    for part in ["nats per token of float32's greedy text", "nearly tied"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    // Random weights: the difference in words.
    let random = Record { loss_above_f32: None, max_logit_diff: Some(0.25), ..parts };
    let table = told(&random);
    assert!(!table.contains("nats per token"), "{table}");
    for part in
        ["flex q4 fused: its logits are up to 2.5e-1 from the reference's, 2.00 % of the largest", "nearly tied"]
    {
        assert!(table.contains(part), "{part} in {table}");
    }
    // Nothing to explain.
    let table = told(&measured("flex"));
    assert!(!table.contains("tied") && !table.contains("nats per token"), "{table}");
    // What is off in the fifth decimal is rounding, of whatever sign.
    let rounded = told(&Record { loss_above_f32: Some(-4e-5), ..measured("flex") });
    assert!(rounded.lines().any(|line| line.contains("128/128") && line.ends_with("  0")), "{rounded}");
}

#[test]
fn an_error_stands_in_the_place_of_the_numbers() {
    let table = text(&all(), Format::Table, false);
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("wgpu:0")).collect();
    assert_eq!(rows.len(), 3);
    let ends = ["wgpu:0 ran out of memory", "see above", "see above"];
    for (row, end) in rows.into_iter().zip(ends) {
        assert!(row.ends_with(&format!("error: {end}")) && !row.contains(" - "), "{row}");
    }
    let md = text(&all(), Format::Md, false);
    assert!(md.contains("| wgpu:0 | f16 | plain | 512 | 0 | - | - |"));
    assert!(md.contains("| error: wgpu:0 ran out of memory |"));
}

#[test]
fn what_is_missing_is_a_dash() {
    let bare = Record { error: None, ..lost() };
    let table = text(std::slice::from_ref(&bare), Format::Table, false);
    let row = table.lines().find(|line| line.starts_with("wgpu:0")).unwrap();
    assert_eq!(row.split_whitespace().filter(|cell| *cell == "-").count(), 9);
    let md = text(&[bare], Format::Md, false);
    assert!(!md.contains("note") && md.contains("| - | - |"));
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let long = |what: &str| format!("{what} ").repeat(60);
    let mut records = all().to_vec();
    for record in &mut records {
        (record.device, record.kernels) = (long("device"), "k".repeat(300));
        (record.adapter, record.model) = (long("adapter"), "m".repeat(200));
        (record.prompt, record.depth) = (131_072, 131_072);
        record.prefill_tps = Some(1_234_567.0);
        record.prefill_tps_sd = Some(123_456.7);
    }
    records[1].error = Some(long("reason"));
    records[2].error = Some(format!("{} \u{1b}[2J\n\n{}", long("error"), "Z".repeat(500)));
    let table = text(&records, Format::Table, false);
    for line in table.lines() {
        assert!(line.chars().count() <= 120, "{} in {line:?}", line.chars().count());
    }
    assert!(!table.contains('\u{1b}'), "no text steers the terminal");
    assert_eq!(table.matches("reason").count(), 60, "nothing of it is lost");
    assert_eq!(table.matches('Z').count(), 500);
    // Markdown shortens nothing, and keeps to one line per row.
    let md = text(&records, Format::Md, false);
    assert!(md.contains(&"k".repeat(300)) && md.contains(&"Z".repeat(500)));
}

#[test]
fn markdown_is_a_table_whatever_it_says() {
    let odd = Record { device: "a|b".into(), error: Some("x | y\n`z` <b>".into()), ..failed() };
    let md = text(&[odd], Format::Md, false);
    let lines: Vec<&str> = md.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(lines.len(), 9, "three tables of a head, a rule and a row");
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    for table in lines.chunks(3) {
        assert!(table.iter().all(|line| columns(line) == columns(table[0])), "{table:?}");
    }
    assert!(md.contains("a\\|b") && md.contains("x \\| y \\`z\\` &lt;b>"));
}

#[test]
fn what_adapters_are_asked_for_has_tables_of_its_own() {
    let asked = Record {
        prefill_launches: Some(940),
        prefill_submissions: Some(5),
        prefill_uploads: Some(88),
        prefill_bytes_read: Some(2048),
        prefill_waits: Some(1),
        token_launches: Some(95),
        token_submissions: Some(2),
        token_uploads: Some(41),
        token_bytes_read: Some(2048),
        token_waits: Some(1),
        ..measured("wgpu")
    };
    let records = [measured("flex"), asked];
    let table = text(&records, Format::Table, false);
    let (_, tables) = table.split_once("asked of graphics adapters for the prompt").unwrap();
    let row = |table: &str| {
        table
            .lines()
            .rfind(|line| line.starts_with("wgpu"))
            .unwrap()
            .split_whitespace()
            .skip(5)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (prompt, token) = tables.split_once("asked of graphics adapters for a token").unwrap();
    assert_eq!(row(prompt), ["940", "5", "88", "2.048", "1"]);
    assert_eq!(row(token), ["95", "2", "41", "2.048", "1"]);
    assert!(!tables.contains("flex"), "{table}");
    assert_eq!(read_csv(&text(&records, Format::Csv, false)), records);
    assert_eq!(read_jsonl(&text(&records, Format::Jsonl, false)), records);
}

#[test]
fn models_have_tables_of_their_own() {
    let other = Record { model: "tinyllama-1.1B".into(), ..measured("flex") };
    let table = text(&[measured("flex"), other, measured("wgpu")], Format::Table, false);
    assert_eq!(table.matches("llama-40M, ").count(), 1);
    assert_eq!(table.matches("tinyllama-1.1B, ").count(), 1);
    assert!(table.find("wgpu").unwrap() < table.find("tinyllama").unwrap());
    for format in Format::ALL {
        assert_eq!(text(&[], format, true), "");
    }
}

#[test]
fn the_chart_shows_all_rows() {
    let svg = chart(&all(), "Backends", "of a test").unwrap();
    for part in ["flex f32 fused", "llama-40M, prompt 512, depth 4096", "FAILED", "ran out of memory", "1,235 ±12"] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    // What was measured before an error is not shown as if all had been.
    let partly = Record { error: Some("lost".into()), ..measured("flex") };
    let svg = chart(&[partly], "", "").unwrap();
    assert!(svg.contains("lost") && !svg.contains("1,235"));
}
