//! Results as a program reads them back.

use glass_bench::{Format, Record};

use crate::records::{all, text};

const HEAD: &str = "device,adapter,dtype,kernels,model,parameters,prompt,gen,depth,repeat,rounds,prefill_tps,prefill_tps_mean,\
prefill_tps_sd,decode_tps,decode_tps_mean,decode_tps_sd,ttft_ms,token_ms_p50,token_ms_p95,cold_s,load_s,peak_host_bytes,\
peak_device_bytes,bytes_per_token,bandwidth,bandwidth_share,flops,gemm_flops,gemm_share,prefill_launches,\
prefill_submissions,prefill_uploads,prefill_bytes_read,prefill_waits,token_launches,token_submissions,token_uploads,\
token_bytes_read,token_waits,max_logit_diff,largest_logit,\
greedy_agreement,greedy_tokens,loss_above_f32,base,prefill_ratio,decode_ratio,failed,error";

/// NaN is not equal to itself, and JSON has none.
fn without_nan(mut records: Vec<Record>) -> Vec<Record> {
    for record in &mut records {
        record.max_logit_diff = record.max_logit_diff.filter(|diff| !diff.is_nan());
    }
    records
}

pub fn read_csv(text: &str) -> Vec<Record> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

pub fn read_jsonl(text: &str) -> Vec<Record> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn csv_is_read_back() {
    let text = text(&all(), Format::Csv, true);
    assert_eq!(text.lines().next().unwrap(), HEAD);
    assert!(text.contains(",\"a machine, of two cores\","), "{text}");
    let lost = text.lines().nth(3).unwrap();
    assert!(lost.contains(",,,,,") && !lost.contains("null") && !lost.contains(",-,"));
    assert_eq!(read_csv(&text), without_nan(all().to_vec()));
}

#[test]
fn jsonl_is_read_back_and_has_every_field_in_order() {
    let text = text(&all(), Format::Jsonl, true);
    assert_eq!(text.lines().count(), 3);
    for line in text.lines() {
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert_eq!(fields.keys().cloned().collect::<Vec<_>>().join(","), HEAD);
    }
    assert!(text.lines().nth(2).unwrap().contains("\"prefill_tps\":null"));
    assert!(text.lines().nth(1).unwrap().contains("\"max_logit_diff\":null"));
    assert_eq!(read_jsonl(&text), without_nan(all().to_vec()));
}

#[test]
fn what_must_be_quoted_is_read_back() {
    let odd = "a \"quoted\", text\nof two lines\r\n; = ü";
    let record = Record { device: odd.into(), adapter: odd.into(), error: Some(odd.into()), ..Record::default() };
    let records = [record];
    assert_eq!(read_csv(&text(&records, Format::Csv, false)), records);
    assert_eq!(read_jsonl(&text(&records, Format::Jsonl, false)), records);
    assert_eq!(text(&records, Format::Jsonl, false).lines().count(), 1);
}
