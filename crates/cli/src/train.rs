//! `glass train`: trains a model on a text.

use std::{path::Path, time::Duration};

use glass_backend::Device;
use glass_config::LlamaConfig;
use glass_train::{Checkpoint, Event, NewRun, Outcome, Recipe, Run, Shape, TrainError, tokenizer::TokenizerChoice};
use indicatif::{FormattedDuration, ProgressBar, ProgressDrawTarget};

use crate::{
    args, bars,
    error::CliError,
    interrupt, load,
    output::check_folder,
    say::{status, warn},
    shell::{quoted, quoted_path},
};

const PRESET: &str = "small";
/// The learning rate for a model that has learned something: a tenth of the usual one, so that it forgets less.
const FINE_TUNING: f64 = 1e-4;

pub fn run(args: args::Train) -> Result<(), CliError> {
    let device = Device::open(&args.device);
    let device = device.map_err(|error| CliError::from(error).with_environment(&[("GLASS_DEVICE", &args.device)]))?;
    // Ended at once, the process would leave unfinished files behind.
    interrupt::listen();
    let device_name = args.device.clone();
    let mut run = match &args.resume {
        Some(folder) => Run::resume(folder, args.text.as_deref(), args.steps, device)
            .map_err(|error| go_on(error, folder, &device_name))?,
        None => Run::start(new_run(args, device)?)?,
    };
    warn(run.warnings());
    introduce(&run);

    let bar = bar(&run);
    let outcome = run.train(&mut |event| {
        show(&bar, event);
        interrupt::flow()
    });
    bar.finish_and_clear();
    let outcome = outcome.map_err(|error| go_on(error, run.folder(), &device_name))?;
    sum_up(&run, outcome, &device_name);
    interrupt::outcome(!outcome.complete)
}

/// An error that a run goes on after: with which command.
fn go_on(error: TrainError, folder: &Path, device: &str) -> CliError {
    match Checkpoint::newest(folder) {
        Ok((checkpoint, _)) if error.is_of_writing() => {
            CliError::Unsaved { error: Box::new(error), step: checkpoint.step, command: resume_command(folder, device) }
        }
        _ => error.into(),
    }
}

fn resume_command(folder: &Path, device: &str) -> String {
    let device = if device == "auto" { String::new() } else { format!(" --device {}", quoted(device)) };
    format!("glass train --resume {}{device}", quoted_path(folder))
}

fn new_run(args: args::Train, device: Device) -> Result<NewRun, CliError> {
    let missing = |what: &str| CliError::Usage(format!("{what} is missing (see glass train --help)"));
    args.output.as_deref().map_or(Ok(()), check_folder)?;
    let (shape, usual) = shape(args.shape)?;
    let recipe = args.numbers.recipe(args.steps, &usual);
    Ok(NewRun {
        text: args.text.ok_or_else(|| missing("--text"))?,
        shape,
        dtype: args.new.dtype,
        overrides: args.new.overrides,
        tokenizer: args.new.tokenizer.unwrap_or(TokenizerChoice::Char),
        recipe,
        existing: args.overwrite.existing(),
        output: args.output.ok_or_else(|| missing("--output"))?,
        device,
    })
}

/// The shape, and the recipe where the command line says nothing.
fn shape(shape: args::train::Shape) -> Result<(Shape, Recipe), CliError> {
    let usual = Recipe::default();
    Ok(match (shape.from, shape.config) {
        (Some(name), _) => {
            let folder = load::folder(&args::Source { model: name.clone(), revision: None })?;
            let context = LlamaConfig::from_file(&folder.join("config.json"), &[])?.context();
            let usual = Recipe { learning_rate: FINE_TUNING, context: usual.context.min(context), ..usual };
            (Shape::Model { folder, name }, usual)
        }
        (None, Some(path)) => (Shape::Config(path), usual),
        (None, None) => (Shape::Preset(shape.preset.unwrap_or_else(|| PRESET.into())), usual),
    })
}

fn introduce(run: &Run) {
    let (config, recipe, corpus) = (run.config(), run.recipe(), run.corpus());
    status!(
        "glass: {} parameters on {} ({}); {} tokens to train on, {} held out; {} steps of {} tokens, {:.1} epochs",
        config.num_parameters(),
        run.device().name(),
        run.device().description(),
        corpus.train.len(),
        corpus.held_out.len(),
        recipe.steps,
        recipe.tokens_per_step(),
        (recipe.steps * recipe.tokens_per_step()) as f64 / corpus.train.len() as f64,
    );
    if run.steps() > 0 {
        status!("glass: resuming after step {}", run.steps());
    } else if let Some(name) = run.from() {
        status!("glass: beginning from {name}; trained in f32, saved in {}", run.stored_dtype());
    }
}

/// Steps on standard error; where that is not a terminal, a line per evaluation instead.
fn bar(run: &Run) -> ProgressBar {
    let bar = bars::steps("training", run.steps());
    if !bar.is_hidden() {
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    }
    bar.set_length(run.recipe().steps as u64);
    bar
}

fn show(bar: &ProgressBar, event: Event) {
    match event {
        Event::Step { step, report, tokens_per_second, .. } => {
            bar.set_position(step as u64);
            bar.set_message(format!("loss {:.4}, {}", report.loss, bars::rate(tokens_per_second, "tokens")));
        }
        Event::Evaluating { tokens, total } => {
            bar.set_message(format!("measuring on the held-out text, {}%", 100 * tokens / total.max(1)));
        }
        Event::Evaluated { step, train_loss, loss, seconds } => {
            let train = train_loss.map_or(String::new(), |loss| format!("train {loss:.4}, "));
            let line = format!(
                "glass: step {step}: {train}held out {loss:.4} nats per token, {}",
                FormattedDuration(Duration::from_secs_f64(seconds))
            );
            bar.suspend(|| status!("{line}"));
        }
        Event::Saved { .. } => {}
    }
}

fn sum_up(run: &Run, outcome: Outcome, device: &str) {
    if !outcome.complete {
        status!(
            "glass: stopped after step {} of {}, and saved; resume with: {}",
            outcome.step,
            run.recipe().steps,
            resume_command(run.folder(), device)
        );
        return;
    }
    let loss = outcome.held_out_loss;
    status!(
        "glass: trained {} steps in {}{}; wrote {}",
        outcome.step,
        FormattedDuration(Duration::from_secs_f64(outcome.seconds)),
        loss.map_or(String::new(), |loss| format!(", held out {loss:.4} nats per token")),
        run.folder().display(),
    );
    if let (Some(last), Some((step, best))) = (loss, outcome.best)
        && best < last
    {
        warn([format!(
            "the held-out text was predicted better at step {step} ({best:.4}): the model overfits; fewer --steps, some --dropout or more text help"
        )]);
    }
    status!(
        "glass: the curve is in {}; try it with: glass generate {} -p \"...\"",
        run.folder().join("loss.svg").display(),
        quoted_path(run.folder())
    );
}
