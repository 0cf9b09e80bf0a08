//! What rows are compared with, and the loss that tells what a dtype costs.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Answer, Origin, Precision, Request, Setup, Watch,
    run::reason,
    subject::{Subject, unexpected},
};

/// The precision that others are measured by.
pub const F32: &str = "f32";

/// What rows are compared with.
pub struct Reference {
    /// Has its logits.
    pub file: PathBuf,
    /// Its greedy text.
    pub tokens: Vec<u32>,
    /// The mean negative log-likelihood of that, in nats.
    pub loss: Option<f64>,
}

impl Reference {
    /// That of rows of this precision, from a process that is gone before they load; `None`, and a warning, if it fails.
    pub fn of(
        like: &Setup,
        precision: &str,
        scratch: &Path,
        command: &dyn Fn() -> Command,
        watch: &mut dyn Watch,
    ) -> ControlFlow<(), Option<Self>> {
        watch.now("the reference", (0, 0), None);
        let (device, kernels, cache_dtype) = ("flex".into(), "plain".into(), None);
        let setup = Setup { device, dtype: precision.into(), kernels, cache_dtype, ..like.clone() };
        let file = scratch.join(format!("reference.{precision}"));
        let mut subject = Subject::new(setup, command);
        let lost = match subject.ask(&Request::Reference(file.clone()), watch) {
            Ok(Answer::Reference(tokens)) => {
                let loss = if has_text(like) { loss(&mut subject, &tokens, watch)? } else { None };
                return ControlFlow::Continue(Some(Self { file, tokens, loss }));
            }
            Ok(_) => unexpected(),
            Err(lost) => lost,
        };
        let reason = reason(lost)?;
        watch
            .warn(&format!("no row is compared with the reference (flex, {precision}, plain), which failed: {reason}"));
        ControlFlow::Continue(None)
    }
}

/// Whether the model's weights have learned texts: random ones find any text as improbable as any other.
pub fn has_text(setup: &Setup) -> bool {
    matches!(setup.origin, Origin::Folder(_))
}

/// The mean negative log-likelihood of a text; a warning where it cannot be had.
pub fn loss(subject: &mut Subject<'_>, tokens: &[u32], watch: &mut dyn Watch) -> ControlFlow<(), Option<f64>> {
    let lost = match subject.ask(&Request::Loss(tokens.to_vec()), watch) {
        Ok(Answer::Loss(loss)) => return ControlFlow::Continue(loss),
        Ok(_) => unexpected(),
        Err(lost) => lost,
    };
    let reason = reason(lost)?;
    watch.warn(&format!("{}: its loss is not known: {reason}", subject.setup()));
    ControlFlow::Continue(None)
}

/// The precision of the reference for this setup; one that is not known has none, and will say so when it is opened.
pub fn reference_of(setup: &Setup) -> String {
    let precision = setup.dtype.parse::<Precision>();
    precision.map_or_else(|_| F32.into(), |precision| precision.reference().to_string())
}
