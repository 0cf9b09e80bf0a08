//! What `glass eval needle` refuses, and what it warns of.

use crate::{
    models::{copy, random_tiny},
    needle::{args, needle},
    run::{command, fails, refused, run},
};

#[test]
fn haystacks_beyond_the_context_are_warned_of() {
    let options = ["--trials", "1", "--depth", "0.5", "--length"];
    let of = |length| needle(&random_tiny(), &[&options[..], &[length]].concat()).stderr;
    let said = of("1100,1030");
    let part = "warning: haystacks of 1100 tokens are 76 more than the model's context of 1024";
    assert!(said.contains(part), "{said}");
    assert!(!of("1024").contains("warning"));
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let model = "/nothing/here";
    for (options, words) in [
        (["--length", "14"], ["14 tokens", "that takes 15 at least"]),
        (["--length", "256,9"], ["9 tokens do not hold", "a key of 4 tokens"]),
        (["--hops", "2"], ["--hops has no meaning", "--mode chain"]),
        (["--chat-template", "x"], ["--chat-template has no meaning", "--mode words"]),
    ] {
        fails(&args(model, &options), &words);
    }
    for (options, words) in [
        (["--depth", "0.5"], "--depth has no meaning with --mode chain"),
        (["--value", "3"], "--value has no meaning with --mode chain"),
        (["--length", "21"], "21 tokens do not hold a chain of 1 hop with"),
    ] {
        let chain = [&["--mode", "chain", "--key", "6"], &options[..]].concat();
        fails(&args(model, &chain), &[words]);
    }
    for (options, words) in [
        (["--hops", "2"], "--hops has no meaning with --mode words"),
        (["--key", "3"], "--key or --value has no meaning"),
    ] {
        fails(&args(model, &[&["--mode", "words"][..], &options].concat()), &[words]);
    }
    for (option, value, word) in [
        ("--depth", "1.5", "from 0 to 1"),
        ("--depth", "-0.1", "from 0 to 1"),
        ("--depth", "nan", "from 0 to 1"),
        ("--depth", "0,,1", "from 0 to 1"),
        ("--trials", "0", "from 1 to"),
        ("--length", "0", "from 1 to"),
        ("--length", "99999999999", "from 1 to"),
        ("--length", "64,x", "from 1 to"),
        ("--key", "0", "from 1 to 1024"),
        ("--value", "2000", "from 1 to 1024"),
        ("--hops", "0", "from 1 to 1024"),
        ("--mode", "double", "single"),
        ("--cache", "none", "sinks:S+W"),
        ("--seed", "x", "whole number"),
    ] {
        refused(&args(model, &[option, value]), &[option, word]);
    }
    // These need the model.
    let model = random_tiny();
    fails(&args(&model, &["--length", "15"]), &["15 tokens do not hold", "16 at least"]);
    fails(&args(&model, &["--key", "96"]), &["the vocabulary has 96 tokens", "a key of 96"]);
    run(&mut command(&args(&model, &["--cache", "sinks:4+33"]))).failed(&["cache policy", "give at most 32"]);
}

#[test]
fn logits_that_are_no_numbers_are_an_error() {
    let copy = copy(&random_tiny());
    copy.edit_weights(|tensors| {
        let norm = tensors.get_mut("model.norm.weight").expect("a norm");
        norm.bytes.fill(0xFF); // NaN in every float type
    });
    fails(&args(&copy.path(), &["--length", "64"]), &["NaN", "damaged"]);
}
