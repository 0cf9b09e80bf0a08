//! The sums of retention, by chunks: one chunk for a text is the parallel form of the paper, one for each token the recurrent
//! form, and whatever is between the chunkwise form. All compute the same.

use burn::tensor::{DType, Tensor, TensorData};

use crate::retention::gamma;

/// y_t = sum over j <= t of gamma^(t - j) (q_t . k_j) v_j, head by head, in float32; the state behind token t is
/// S_t = gamma S_(t-1) + v_t k_t^T.
///
/// `q`, `k` `[batch, seq, heads, key_dim]`, `v` `[batch, seq, heads, head_dim]`; `state` `[batch, heads, head_dim, key_dim]`
/// (`None`: zeros) -> y `[batch, seq, heads, head_dim]` in the type of `v`, and the state behind the last token
pub fn retain(qkv: [Tensor<4>; 3], state: Option<&Tensor<4>>, chunk: usize) -> (Tensor<4>, Tensor<4>) {
    let [_, seq, ..] = qkv[0].dims();
    let dtype = qkv[2].dtype();
    let [q, k, v] = qkv.map(|x| x.cast(DType::F32).swap_dims(1, 2)); // [batch, heads, seq, key_dim or head_dim]
    let mut state = state.cloned();
    let mut out = Vec::new();
    for start in (0..seq).step_by(chunk) {
        let tokens = chunk.min(seq - start);
        let of_chunk = |x: &Tensor<4>| x.clone().narrow(2, start, tokens); // [batch, heads, tokens, _]
        let (y, behind) = of_one_chunk([&q, &k, &v].map(of_chunk), state);
        out.push(y);
        state = Some(behind);
    }
    let y = Tensor::cat(out, 2).swap_dims(1, 2); // [batch, seq, heads, head_dim]
    let Some(state) = state else { unreachable!("a pass has tokens") };
    (y.cast(dtype), state)
}

/// `q`, `k` `[batch, heads, tokens, key_dim]`, `v` `[batch, heads, tokens, head_dim]`
/// -> `[batch, heads, tokens, head_dim]`, and the state
fn of_one_chunk([q, k, v]: [Tensor<4>; 3], state: Option<Tensor<4>>) -> (Tensor<4>, Tensor<4>) {
    let [_, heads, tokens, _] = q.dims();
    let device = q.device();
    let table = |shape: [usize; 4], value: &dyn Fn(f32, usize, usize) -> f32| {
        let [_, _, rows, columns] = shape;
        let of_head = |head| (0..rows * columns).map(move |i| value(gamma(head), i / columns, i % columns));
        let values: Vec<f32> = (0..heads).flat_map(of_head).collect();
        Tensor::<4>::from_data(TensorData::new(values, shape), (&device, DType::F32))
    };
    let power = |gamma: f32, n: usize| f64::from(gamma).powi(n as i32) as f32;

    // Inside of the chunk, as attention: a token sees those before it, the less the further they are.
    let seen = |gamma, t: usize, j: usize| if j > t { 0.0 } else { power(gamma, t - j) };
    let decay = table([1, heads, tokens, tokens], &seen);
    let scores = q.clone().matmul(k.clone().swap_dims(2, 3)) * decay; // [batch, heads, tokens, tokens]
    let mut y = scores.matmul(v.clone()); // [batch, heads, tokens, head_dim]

    // Across chunks, through the state.
    let to_end = table([1, heads, tokens, 1], &|gamma, t, _| power(gamma, tokens - 1 - t));
    let mut behind = (v * to_end).swap_dims(2, 3).matmul(k); // [batch, heads, head_dim, key_dim]
    if let Some(state) = state {
        let from_start = table([1, heads, tokens, 1], &|gamma, t, _| power(gamma, t + 1));
        y = y + (q * from_start).matmul(state.clone().swap_dims(2, 3));
        behind = behind + state * table([1, heads, 1, 1], &|gamma, _, _| power(gamma, tokens));
    }
    (y, behind)
}
