//! Files that are refused.

use super::Draft;

#[test]
fn wrong_files_get_one_line() {
    let known = "llama, qwen2, qwen3, qwen3moe, gemma, gemma2, gemma3, phi3, smollm3, granite, olmo2, exaone4, gpt-oss";
    let missing = "the file was written by a faulty converter, convert or fetch it again";
    for (draft, expected) in [
        (
            Draft::of("mamba"),
            format!("general.architecture = \"mamba\" is not supported; supported are {known}"),
        ),
        (
            Draft::of("llama").without("general.architecture"),
            "there is no general.architecture; this is no model, or a damaged file".into(),
        ),
        (Draft::of("llama").without("llama.block_count"), format!("there is no key \"llama.block_count\"; {missing}")),
        (
            Draft::of("llama").with("block_count", "four"),
            format!("\"llama.block_count\" is string \"four\" where a non-negative integer that fits this machine belongs; {missing}"),
        ),
        (
            Draft::of("llama").with("attention.value_length", 7u32),
            "llama.attention.value_length = u32 7 is not supported: values are as long as keys here".into(),
        ),
        (
            Draft::of("llama").with("attention.head_count_kv", vec![1u32, 2, 1, 2]),
            "llama.attention.head_count_kv = array of 4 x u32 is not supported: layers that differ in it are not supported".into(),
        ),
        (
            Draft::of("llama").with("attention.causal", false),
            "llama.attention.causal = bool false is not supported: attention is causal here".into(),
        ),
        (
            Draft::of("llama").with("rope.scaling.type", "ntk").with("rope.scaling.factor", 2f32),
            "llama.rope.scaling.type = string \"ntk\" is not supported: it is none, linear, yarn or longrope".into(),
        ),
        (
            Draft::of("llama").with("rope.scaling.attn_factor", 1.5f32),
            "llama.rope.scaling.attn_factor = f32 1.5 is not supported: only yarn and longrope scale scores here".into(),
        ),
        (
            Draft::of("llama")
                .with("rope.scaling.factor", 2f32)
                .values("rope_factors_long.weight", &[6], vec![2.0; 6])
                .values("rope_factors_short.weight", &[6], vec![1.5; 6]),
            "llama.rope.scaling.factor = f32 2 is not supported: rope_factors_long.weight scales positions already".into(),
        ),
        (
            Draft::of("llama").with("attention.head_count", 1u32 << 31).tensor("blk.0.attn_q.weight", &[48, 48])
                .with("attention.key_length", 12u32),
            "llama.attention.head_count = u32 2147483648 is not supported: with 12 numbers in a head, it is not the 48 rows of blk.0.attn_q.weight".into(),
        ),
        (
            Draft::of("llama").without("llama.attention.layer_norm_rms_epsilon"),
            format!("there is no key \"llama.attention.layer_norm_rms_epsilon\"; {missing}"),
        ),
        (
            Draft::of("granite").without("granite.logit_scale"),
            format!("there is no key \"granite.logit_scale\"; {missing}"),
        ),
        (
            Draft::of("llama")
                .with("rope.scaling.type", "ntk")
                .values("rope_factors_long.weight", &[6], vec![2.0; 6])
                .values("rope_factors_short.weight", &[6], vec![1.5; 6]),
            "llama.rope.scaling.type = string \"ntk\" is not supported: it is none, linear, yarn or longrope".into(),
        ),
        (
            Draft::of("llama").tensor("rope_freqs.weight", &[5]),
            "tensor rope_freqs.weight is F32 [5], where F32 [6] belongs".into(),
        ),
        (
            Draft::of("llama").tensor("rope_freqs.weight", &[6]),
            "tensor rope_freqs.weight has 0, which divides no frequency".into(),
        ),
        (
            Draft::of("gemma3").with("attention.sliding_window_pattern", vec![true, false]),
            "gemma3.attention.sliding_window_pattern = array of 2 x bool is not supported: a truth value for each layer, or a period, belongs there".into(),
        ),
        (
            Draft::of("llama").with("attention.head_count", 5u32),
            "head_dim = 9: must be even, for the rotation pairs the halves of a head".into(),
        ),
        (
            Draft::of("granite").with("rope.scaling.finetuned", false),
            "granite.rope.scaling.finetuned = bool false is not supported: it is a Granite that does not rotate positions".into(),
        ),
        (
            Draft { tensors: vec![], ..Draft::of("llama") },
            "there is no tensor token_embd.weight, the embedding; is this a whole model?".into(),
        ),
    ] {
        assert_eq!(draft.error(), format!("model.gguf: {expected}"));
    }
}
