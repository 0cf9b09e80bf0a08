//! `glass bench`: speed and correctness, side by side.

mod progress;
pub mod subject;

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::Path,
    process::Command,
    time::Duration,
};

use glass_backend::Device;
use glass_bench::{
    Look, OpResults, Origin, Plan, Record, RenderError, Results, Setup, Task, chart, render, render_ops,
    run as measure, run_ops,
};

use crate::{
    args, embedded,
    error::CliError,
    interrupt, load,
    output::{OutputFile, check_model},
    say::{status, warn},
    terminal::Stream,
};
use progress::Progress;

/// A model to measure.
struct Model {
    name: String,
    origin: Origin,
}

pub fn run(args: args::Bench) -> Result<(), CliError> {
    if let Some(plot) = &args.plot {
        check_model(plot, args.model.as_deref())?;
    }
    let picture = OutputFile::wanted(args.plot.as_deref(), &args.overwrite)?;
    // Ended at once, the process would leave the unpacked model behind.
    interrupt::listen();
    let scratch = tempfile::Builder::new().prefix("glass-").tempdir();
    let scratch = scratch.map_err(CliError::writing(&env::temp_dir()))?;
    let folder = match (&args.model, args.preset.is_empty()) {
        (None, true) => Some(embedded::unpack()?),
        _ => None,
    };
    let models = models(&args, folder.as_ref().map(|folder| folder.path()))?;
    // What can be refused without a process is refused before one is started.
    let plans: Vec<Plan> =
        models.into_iter().map(|model| plan(&args, model, scratch.path())).collect::<Result<_, _>>()?;
    let program = env::current_exe()
        .map_err(|error| CliError::Usage(format!("the program does not find itself on disk: {error}")))?;
    let command = || {
        let mut command = Command::new(&program);
        command.arg(args::BENCH_SUBJECT);
        command
    };
    if args.ops {
        return take_apart(&args, &plans, &command);
    }
    let mut results = Results::default();
    for plan in &plans {
        let mut progress = Progress::new();
        let found = measure(plan, &command, &mut progress);
        results.records.extend(found.records);
        results.interrupted = found.interrupted;
        if found.interrupted {
            break;
        }
    }
    show(&args, &results.records, picture)?;
    if args.no_check {
        status!("glass: whether the results are right was not checked (--no-check)");
    }
    let bad = |record: &&Record| record.error.is_some();
    let bad = results.records.iter().filter(bad).count();
    ended(results.interrupted, bad, results.records.len())
}

fn models(args: &args::Bench, embedded: Option<&Path>) -> Result<Vec<Model>, CliError> {
    if let Some(folder) = embedded {
        return Ok(vec![Model { name: embedded::NAME.into(), origin: Origin::Folder(folder.into()) }]);
    }
    if let Some(name) = &args.model {
        let folder = load::path(&args::Source { model: name.clone(), revision: args.revision.clone() })?;
        let last = Path::new(name).file_name().unwrap_or_default();
        return Ok(vec![Model { name: last.to_string_lossy().into_owned(), origin: Origin::Folder(folder) }]);
    }
    let shapes =
        args.preset.iter().map(|shape| Model { name: shape.name.into(), origin: Origin::Shape(shape.name.into()) });
    Ok(shapes.collect())
}

fn plan(args: &args::Bench, model: Model, scratch: &Path) -> Result<Plan, CliError> {
    let (config, stored) = model.origin.config(&args.overrides)?;
    let every = || Device::known().into_iter().filter(|name| name != "auto");
    let devices = if args.device.is_empty() { every().collect() } else { args.device.clone() };
    let dtypes = if args.dtype.is_empty() { &[stored][..] } else { &args.dtype };
    let mut setups = Vec::new();
    for device in &devices {
        for dtype in dtypes {
            setups.extend(args.kernels.iter().map(|kernels| Setup {
                origin: model.origin.clone(),
                overrides: args.overrides.iter().map(ToString::to_string).collect(),
                device: device.clone(),
                dtype: dtype.to_string(),
                any_dtype: args.dtype.is_empty(),
                kernels: kernels.to_string(),
                cache_dtype: args.cache_dtype.map(|dtype| dtype.to_string()),
            }));
        }
    }
    let tasks = args.depth.iter().flat_map(|&depth| {
        args.prompt.iter().map(move |prompt| Task { depth, prompt: prompt.get(), new_tokens: args.generate.get() })
    });
    let tasks: Vec<Task> = tasks.collect();
    let longest = tasks.iter().map(|task| task.depth.saturating_add(task.prompt).saturating_add(task.new_tokens)).max();
    if let Some(tokens) = longest.filter(|tokens| *tokens > config.context()) {
        warn([format!(
            "{}: --depth, --prompt and --gen come to {tokens} tokens, more than the {} of the model's context: it is measured \
             where it has learned nothing",
            model.name,
            config.context()
        )]);
    }
    Ok(Plan {
        setups,
        tasks,
        model: model.name,
        parameters: config.num_parameters() as u64,
        repeat: args.repeat.get(),
        patience: Duration::from_secs_f64(args.row_seconds),
        any_device: args.device.is_empty(),
        base: args.base.clone(),
        check: !args.no_check,
        scratch: scratch.into(),
    })
}

/// The time of a prefill and of one token, op by op.
fn take_apart(args: &args::Bench, plans: &[Plan], command: &dyn Fn() -> Command) -> Result<(), CliError> {
    let mut all = OpResults::default();
    for plan in plans {
        let found = run_ops(plan, command, &mut Progress::new());
        all.rows.extend(found.rows);
        all.all += found.all;
        all.bad += found.bad;
        all.interrupted = found.interrupted;
        if found.interrupted {
            break;
        }
    }
    print(|look| render_ops(&all.rows, args.format, look))?;
    ended(all.interrupted, all.bad, all.all)
}

fn ended(interrupted: bool, bad: usize, all: usize) -> Result<(), CliError> {
    match (interrupted, bad) {
        (true, _) => Err(CliError::Interrupted),
        (false, 0) => Ok(()),
        (false, bad) => Err(CliError::Rows { bad, all }),
    }
}

/// On standard output, in colour where that is a terminal and NO_COLOR is not set, and as wide as that.
fn print(text: impl FnOnce(Look) -> Result<String, RenderError>) -> Result<(), CliError> {
    let mut out = io::stdout();
    // https://no-color.org
    let colour = out.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let look = Look { colour, columns: Stream::Out.width() };
    out.write_all(text(look)?.as_bytes()).and_then(|()| out.flush()).map_err(CliError::stdout)
}

/// On standard output, and as a plot if that was asked for.
fn show(args: &args::Bench, records: &[Record], picture: Option<OutputFile>) -> Result<(), CliError> {
    print(|look| render(records, args.format, look))?;
    if let Some(picture) = picture {
        let subtitle = format!(
            "{} tokens after the prompt; medians of up to {} rounds, and their standard deviation",
            args.generate, args.repeat
        );
        picture.write(chart(records, "How fast, where", &subtitle)?.as_bytes())?;
    }
    Ok(())
}
