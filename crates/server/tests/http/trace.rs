//! `/v1/glass/trace`.

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::{
    client::{Answer, post},
    server::shared,
};

fn ask(more: Value) -> Answer {
    let mut body = json!({"prompt": "Once upon a", "continuation": " time", "top": 3});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(shared(), "/v1/glass/trace", &body)
}

const ALL: [&str; 6] = ["attention", "norms", "lens", "rope", "cache", "timings"];

#[test]
fn everything_is_seen() {
    let body = ask(json!({"include": ALL})).ok();
    let tokens = body["tokens"].as_array().unwrap();
    let seq = tokens.len();
    let text: String = tokens.iter().map(|token| token["text"].as_str().unwrap()).collect();
    assert_eq!(text, "<s>Once upon a time");
    assert_eq!(seq - body["prompt_tokens"].as_u64().unwrap() as usize, 5);
    let attention = body["attention"].as_array().unwrap();
    assert_eq!(attention.len(), 2);
    for head in attention[1]["heads"].as_array().unwrap() {
        let rows = head["probabilities"].as_array().unwrap();
        assert_eq!(rows.len(), seq);
        for (position, row) in rows.iter().enumerate() {
            let row: Vec<f64> = row.as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).collect();
            // In bfloat16, as the model is stored.
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 0.02);
            assert!(row[position + 1..].iter().all(|share| *share == 0.0), "nobody sees what comes later");
        }
    }
    let states = body["states"].as_array().unwrap();
    let names: Vec<&str> = states.iter().map(|state| state["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["embed", "layer.0", "layer.1", "norm"]);
    assert!(states.iter().all(|state| state["norms"].as_array().unwrap().len() == seq));
    assert_eq!(states[2]["top"], states[3]["top"], "the last layer's lens is the head");
    assert_eq!(body["ropes"][0]["cos"].as_array().unwrap().len(), seq);
    assert_eq!(body["cache"][0]["policy"], "ring");
    assert!(body["cache"][0]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(body["steps"].as_array().unwrap().len(), 6, "the prompt, and each token behind it");
}

#[test]
fn the_last_layer_says_what_the_model_says() {
    let body = ask(json!({"include": ["lens"], "layers": [1]})).ok();
    let asked =
        json!({"prompt": "Once upon a time", "max_tokens": 1, "temperature": 0, "logprobs": 3, "ignore_eos": true});
    let told = post(shared(), "/v1/completions", &asked).ok();
    let top = body["states"].as_array().unwrap().last().unwrap()["top"].as_array().unwrap().last().unwrap()[0].clone();
    let logprob = told["choices"][0]["logprobs"]["token_logprobs"][0].as_f64().unwrap();
    assert_eq!(top["text"], told["choices"][0]["logprobs"]["tokens"][0]);
    assert!((top["logprob"].as_f64().unwrap() - logprob).abs() < 0.05, "{top} {logprob}");
}

#[test]
fn a_part_of_it_and_the_same_as_tensors() {
    let more = json!({"include": ["attention", "norms", "lens"], "layers": [1], "heads": [0, 2], "positions": [3, 5]});
    let body = ask(more.clone()).ok();
    let heads = body["attention"][0]["heads"].as_array().unwrap();
    assert_eq!((heads.len(), &heads[1]["head"]), (2, &json!(2)));
    let mut as_tensors = more;
    as_tensors["format"] = "safetensors".into();
    let answer = ask(as_tensors);
    assert_eq!(answer.status, 200);
    let tensors = SafeTensors::deserialize(&answer.body).unwrap();
    let attention = tensors.tensor("attention.1").unwrap();
    let seq = body["tokens"].as_array().unwrap().len();
    assert_eq!(attention.shape(), [2, 2, seq]);
    let values: Vec<f32> =
        attention.data().chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    for (index, share) in heads[1]["probabilities"][1].as_array().unwrap().iter().enumerate() {
        assert_eq!(values[3 * seq + index], share.as_f64().unwrap() as f32);
    }
    assert_eq!(tensors.tensor("lens.layer.1.ids").unwrap().shape(), [2, 3]);
    assert_eq!(tensors.tensor("norms.norm").unwrap().shape(), [seq]);
}

#[test]
fn what_is_too_much_is_refused() {
    for (more, status) in [
        (json!({"include": ["thoughts"]}), 400),
        (json!({"layers": [2]}), 400),
        (json!({"top": 0}), 400),
        (json!({"continuation": "x".repeat(1100)}), 400),
        (json!({"continuation": "x".repeat(1000), "include": ["attention"]}), 413),
    ] {
        let answer = ask(more.clone());
        assert_eq!(answer.status, status, "{more}: {}", answer.text());
    }
    let chat =
        post(shared(), "/v1/glass/trace", &json!({"messages": [{"role": "user", "content": "Hi"}], "include": []}));
    assert!(chat.ok()["tokens"].as_array().unwrap().len() > 5);
}
