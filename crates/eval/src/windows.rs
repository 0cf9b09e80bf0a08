use std::{num::NonZeroUsize, ops::Range};

use super::EvalError;

/// How a text longer than the model's context is cut, and so what each of its tokens is predicted from.
///
/// Of the tokens `x[0] .. x[T-1]`, all but the first are scored, each once. Window number `k` begins at token `k *
/// stride`; the model reads `window` tokens from there, fewer at the end of the text, and predicts the token after each
/// of them. What an earlier window has predicted is not counted again. So:
///
/// - in the first window, `x[i]` is predicted from the `i` tokens before it;
/// - in every other, from `window - stride + 1` to `window` tokens before it. With `stride` = `window`, which is the
///   cheapest, windows do not overlap, and each begins its predictions from a single token. With `stride` = 1 every
///   token has as much before it as a window holds, at the price of one window per token.
///
/// This is the strided evaluation of transformers' guide "Perplexity of fixed-length models"
/// (<https://huggingface.co/docs/transformers/perplexity>) with a `max_length` of `window + 1`: there a window counts its
/// last token too, which is never read, only predicted. Without overlap the guide leaves the first token of each window
/// unscored; here none but the first of the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    window: NonZeroUsize,
    stride: NonZeroUsize,
}

/// One window: the tokens that are read, and those whose prediction counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Positions in the text, one at least.
    pub read: Range<usize>,
    /// Positions in the text, one at least; the last is the one after `read`.
    pub scored: Range<usize>,
}

impl Windows {
    /// `stride` is `window` if it is not given.
    ///
    /// # Errors
    /// [`EvalError::Stride`]: a stride above the window.
    pub fn new(window: NonZeroUsize, stride: Option<NonZeroUsize>) -> Result<Self, EvalError> {
        let stride = stride.unwrap_or(window);
        match stride > window {
            true => Err(EvalError::Stride { stride, window }),
            false => Ok(Self { window, stride }),
        }
    }

    /// Most tokens that are read at once.
    pub fn window(self) -> usize {
        self.window.get()
    }

    /// Tokens between the beginnings of two windows.
    pub fn stride(self) -> usize {
        self.stride.get()
    }

    /// The windows over a text of so many tokens, in order.
    pub fn segments(self, tokens: usize) -> impl Iterator<Item = Segment> {
        let mut next = 1;
        (0..tokens).step_by(self.stride()).map_while(move |start| {
            if next >= tokens {
                return None;
            }
            let end = start.saturating_add(self.window()).min(tokens - 1);
            let scored = next..end + 1;
            next = scored.end;
            Some(Segment { read: start..end, scored })
        })
    }
}

impl Segment {
    /// How many of the tokens read come before the one whose successor is the first that counts.
    pub(super) fn unscored(&self) -> usize {
        self.scored.start - 1 - self.read.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(window: usize, stride: usize) -> Windows {
        let size = |n| NonZeroUsize::new(n).unwrap();
        Windows::new(size(window), Some(size(stride))).unwrap()
    }

    #[test]
    fn every_token_but_the_first_counts_once_with_the_context_promised() {
        for tokens in 0..40 {
            for window in 1..12 {
                for stride in 1..=window {
                    let segments: Vec<_> = windows(window, stride).segments(tokens).collect();
                    let scored: Vec<usize> = segments.iter().flat_map(|s| s.scored.clone()).collect();
                    assert_eq!(scored, (1..tokens.max(1)).collect::<Vec<_>>());
                    for (k, segment) in segments.iter().enumerate() {
                        assert_eq!(segment.read.start, k * stride);
                        assert_eq!(segment.read.end + 1, segment.scored.end);
                        assert!((1..=window).contains(&segment.read.len()));
                        for target in segment.scored.clone() {
                            let before = target - segment.read.start;
                            let least = if k == 0 { target } else { window - stride + 1 };
                            assert!((least..=window).contains(&before));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_window_as_long_as_the_text_is_one_pass() {
        let all = Segment { read: 0..9, scored: 1..10 };
        for window in [9, 10, usize::MAX] {
            let segments: Vec<_> = windows(window, window).segments(10).collect();
            assert_eq!(segments, std::slice::from_ref(&all));
        }
        assert_eq!(windows(8, 8).segments(10).count(), 2);
    }

    #[test]
    fn a_stride_above_the_window_is_refused() {
        let [three, four] = [3, 4].map(|n| NonZeroUsize::new(n).unwrap());
        let error = Windows::new(three, Some(four)).unwrap_err();
        assert!(error.to_string().contains("a stride of 4"), "{error}");
        assert_eq!(Windows::new(three, None).unwrap(), Windows::new(three, Some(three)).unwrap());
    }
}
