//! `/v1/glass/trace`.

use std::net::SocketAddr;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::{
    client::{Answer, post},
    server::{samba, shared},
};

fn ask(more: Value) -> Answer {
    ask_at(shared(), more)
}

fn ask_at(server: SocketAddr, more: Value) -> Answer {
    let mut body = json!({"prompt": "Once upon a", "continuation": " time", "top": 3});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(server, "/v1/glass/trace", &body)
}

const ALL: [&str; 7] = ["attention", "recurrence", "norms", "lens", "rope", "cache", "timings"];

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

/// Of a model of Mamba and attention in turn, each layer as what it is.
#[test]
fn recurrent_layers_are_seen() {
    let server = samba();
    let body = ask_at(server.address(), json!({"include": ALL})).ok();
    let seq = body["tokens"].as_array().unwrap().len();
    let layers = |part: &str| -> Vec<u64> {
        body[part].as_array().unwrap().iter().map(|seen| seen["layer"].as_u64().unwrap()).collect()
    };
    assert_eq!(
        (layers("attention"), layers("recurrence"), layers("cache")),
        (vec![1, 3], vec![0, 2], vec![0, 1, 2, 3])
    );
    assert_eq!(body["layers"][0]["mixer"], "Mamba");
    assert_eq!((&body["layers"][0]["state"], &body["layers"][0]["heads"]), (&json!([64, 1, 4]), &Value::Null));
    assert_eq!((&body["layers"][1]["mixer"], &body["layers"][1]["window"]), (&json!("attention"), &json!(8)));
    assert_eq!((&body["cache"][0]["policy"], &body["cache"][1]["policy"]), (&Value::Null, &json!("ring")));
    // Four numbers of state and three inputs of the convolution for each channel, in float32.
    assert_eq!(body["cache"][0]["bytes"], 64 * (4 + 3) * 4);
    let seen = &body["recurrence"][1];
    assert_eq!(seen["state"]["norms"].as_array().unwrap().len(), 64);
    let row = |name: &str, position: usize| -> Vec<f64> {
        let row = seen["gates"][name][position].as_array().unwrap();
        row.iter().map(|number| number.as_f64().unwrap()).collect()
    };
    for position in 0..seq {
        let (decay, dt) = (row("decay", position), row("dt", position));
        assert!(decay.iter().all(|share| *share > 0.0 && *share < 1.0) && dt.iter().all(|step| *step > 0.0));
        assert_eq!((decay.len(), row("gate", position).len()), (64, 64));
    }
    assert_ne!(row("dt", 1), row("dt", 2), "a token says how far it moves the state");

    let some = json!({"include": ["recurrence"], "layers": [1, 2], "positions": [2, 5], "format": "safetensors"});
    let answer = ask_at(server.address(), some);
    let tensors = SafeTensors::deserialize(&answer.body).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let four = tensors.tensor(name).unwrap().data().chunks(4);
        four.map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    };
    assert_eq!(tensors.tensor("recurrence.2.state").unwrap().shape(), [64, 1, 4]);
    assert!(tensors.tensor("recurrence.1.state").is_err(), "layer 1 attends");
    let state = floats("recurrence.2.state");
    let norm = state[..4].iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((f64::from(norm) - seen["state"]["norms"][0].as_f64().unwrap()).abs() < 1e-5);
    let dt: Vec<f64> = floats("recurrence.2.dt").into_iter().map(f64::from).collect();
    // Attention was shown in the first answer, and so computed by plain operations.
    let json = [row("dt", 2), row("dt", 5)].concat();
    assert_eq!(dt.len(), json.len());
    assert!(dt.iter().zip(&json).all(|(a, b)| (a - b).abs() < 1e-5), "{dt:?} is not {json:?}");
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
    let long = ask(json!({"continuation": vec![5; 1020]}));
    assert!(long.text().contains("1024 are looked at"), "{}", long.text());
    let chat = post(
        shared(),
        "/v1/glass/trace",
        &json!({"messages": [{"role": "user", "content": "Hi"}], "include": [], "format": "json"}),
    );
    assert!(chat.ok()["tokens"].as_array().unwrap().len() > 5);
}
