//! `glass convert`: the same model in other files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::Dtype;
use tempfile::TempDir;

use crate::{
    models::{Stored, copy, fixture, random_tiny, read},
    run::{Ran, fails, succeeds, text},
};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("readable")
        .map(|entry| text(Path::new(&entry.expect("readable").file_name())))
        .collect();
    names.sort();
    names
}

fn convert(model: &str, target: &Path, more: &[&str]) -> Ran {
    let ran = succeeds(&[&["convert", model, "-o", &text(target)], more].concat());
    assert_eq!(ran.stdout, "");
    ran.says(&[&format!("glass: wrote {} (", text(target))]);
    ran
}

/// Every logit of one pass, as bytes.
fn logits(model: &str, dtype: &str, folder: &TempDir) -> Vec<u8> {
    let out = folder.path().join("logits.safetensors");
    let args = ["--ids", "1,5,9,2,7,64,90", "--device", "flex"];
    let tail = ["--dtype", dtype, "--force", "-o", &text(&out)];
    succeeds(&[&["logits", model], &args[..], &tail].concat());
    read(&out).remove("logits").expect("logits").bytes
}

#[test]
fn shards_and_single_files_give_the_same_logits() {
    let folder = folder();
    for (number, name) in ["llama-gqa", "llama-tied", "llama-sharded", "llama-bf16"].into_iter().enumerate() {
        let model = &fixture(name);
        let place = |form: &str| -> PathBuf { folder.path().join(format!("{form}{number}")) };
        let (single, sharded, back) = (place("single"), place("sharded"), place("back"));
        convert(model, &single, &[]);
        let ran = convert(model, &sharded, &["--max-shard-size", "30kB"]);
        ran.says(&["tensors in ", " files)"]);
        convert(&text(&sharded), &back, &[]);
        assert!(names(&sharded).len() > 5 && names(&back) == names(&single));
        let wanted = logits(model, "f32", &folder);
        for form in [&single, &sharded, &back] {
            assert!(logits(&text(form), "f32", &folder) == wanted, "{form:?}");
        }
        let file = |form: &Path| fs::read(form.join("model.safetensors")).expect("readable");
        assert!(file(&single) == file(&back));
    }
}

/// Rounding on the way to the disk is the rounding on the way to the device.
#[test]
fn a_converted_model_computes_as_one_converted_at_loading() {
    let folder = folder();
    for (dtype, name) in [("bf16", "bfloat16"), ("f16", "float16")] {
        let model = fixture("mistral-swa");
        let target = folder.path().join(dtype);
        convert(&model, &target, &["--dtype", dtype]);
        let config = fs::read_to_string(target.join("config.json")).expect("readable");
        assert!(config.contains(&format!("\"dtype\": \"{name}\"")));
        let converted = logits(&text(&target), dtype, &folder);
        assert!(converted == logits(&model, dtype, &folder));
        assert!(converted != logits(&model, "f32", &folder));
    }
}

#[test]
fn the_tokenizer_comes_along_and_what_does_not_is_said() {
    let folder = folder();
    let target = folder.path().join("x");
    let ran = convert(&random_tiny(), &target, &["--dtype", "f32"]);
    ran.says(&[
        "glass: warning: not copied from ",
        "README.md, make.py",
        "20 tensors in F32, 370.7 kB in model.safetensors",
    ]);
    assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
    let args = ["-p", "ROMEO:", "-n", "20", "--device", "flex", "--dtype", "f32"];
    let said = |model: &str| succeeds(&[&["generate", model], &args[..]].concat()).stdout;
    assert_eq!(said(&text(&target)), said(&random_tiny()));
}

#[test]
fn overflow_is_warned_of() {
    let model = copy(&fixture("llama-gqa"));
    model.edit_weights(|tensors| {
        let norm = tensors.get_mut("model.norm.weight").expect("it is there");
        norm.bytes[..4].copy_from_slice(&1e6_f32.to_le_bytes());
    });
    let folder = folder();
    let target = folder.path().join("x");
    convert(&model.path(), &target, &["--dtype", "f16"])
        .says(&["glass: warning: 1 values of model.norm.weight are too large for f16"]);
}

#[test]
fn what_cannot_be_written_is_one_line() {
    let folder = folder();
    let model = &copy(&fixture("llama-gqa"));
    let (path, target) = (&model.path(), &text(&folder.path().join("x")));
    let fails_to = |target: &str, words: &[&str]| {
        fails(&["convert", path, "-o", target], &[words, &[target]].concat());
    };
    fails_to(path, &["is the folder the model is read from"]);
    fails_to(&format!("{target}/y"), &["make it first"]);
    fails_to(&text(&model.file("config.json")), &["is a file"]);
    fails_to(&fixture("llama-mha"), &["is not empty"]);
    fails(&["convert", "/nothing/here", "-o", target], &["/nothing/here"]);
    model.edit_weights(|tensors| {
        let ids = Stored { dtype: Dtype::I64, shape: vec![1], bytes: vec![0; 8] };
        tensors.insert("ids".into(), ids);
    });
    fails(&["convert", path, "-o", target, "--dtype", "bf16"], &["\"ids\"", "I64", "leave --dtype out"]);
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[cfg(unix)]
mod stopped {
    use std::{
        fs::File,
        io::Write,
        os::unix::process::CommandExt,
        process::Child,
        thread::sleep,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::run::{PATIENCE, command, run};

    /// A model of 4 GiB, nearly all of it a hole that takes no place on the disk.
    fn large() -> crate::models::Copy {
        const TENSOR: usize = 64 << 20;
        let model = copy(&fixture("llama-gqa"));
        let entries: Vec<String> = (0..64)
            .map(|i| {
                let (start, end) = (i * TENSOR, (i + 1) * TENSOR);
                let shape = TENSOR / 4;
                format!(r#""{i}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{start},{end}]}}"#)
            })
            .collect();
        let header = format!("{{{}}}", entries.join(","));
        let mut file = File::create(model.file("model.safetensors")).expect("made");
        file.write_all(&(header.len() as u64).to_le_bytes()).expect("written");
        file.write_all(header.as_bytes()).expect("written");
        file.set_len((8 + header.len() + 64 * TENSOR) as u64).expect("long");
        model
    }

    /// Starts a conversion and waits until it is writing tensors.
    fn writing(model: &str, target: &Path) -> Child {
        let child = command(&["convert", model, "-o", &text(target)]).spawn();
        let start = Instant::now();
        let half = target.join(".glass-saving/model.safetensors");
        while fs::metadata(&half).map_or(0, |meta| meta.len()) < 16 << 20 {
            assert!(start.elapsed() < PATIENCE);
            sleep(Duration::from_millis(2));
        }
        child.expect("glass starts")
    }

    fn signal(child: &Child, signal: libc::c_int) {
        let id = libc::pid_t::try_from(child.id()).expect("a process id");
        // SAFETY: the child was not waited for yet, so that the id is its own.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    #[test]
    fn ctrl_c_leaves_nothing_and_a_kill_nothing_that_is_in_the_way() {
        let folder = folder();
        let target = folder.path().join("x");
        let model = large();
        let mut child = writing(&model.path(), &target);
        signal(&child, libc::SIGINT);
        assert_eq!(child.wait().expect("it ends").code(), Some(130));
        assert_eq!(names(folder.path()), Vec::<String>::new());

        let mut child = writing(&model.path(), &target);
        signal(&child, libc::SIGKILL);
        assert_eq!(child.wait().expect("it ends").code(), None);
        assert_eq!(names(&target), [".glass-saving"]);
        convert(&fixture("llama-gqa"), &target, &[]);
        let files = ["config.json", "generation_config.json", "model.safetensors"];
        assert_eq!(names(&target), files);
    }

    /// A limit on the size of files stands for a disk that fills up.
    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let folder = folder();
        let target = text(&folder.path().join("x"));
        for size in ["5GB", "50kB"] {
            let model = fixture("llama-gqa");
            let mut glass = command(&["convert", &model, "-o", &target, "--max-shard-size", size]);
            // SAFETY: both calls are allowed between fork and exec.
            unsafe {
                glass.pre_exec(|| {
                    let limit = libc::rlimit { rlim_cur: 40_000, rlim_max: 40_000 };
                    libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                    match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                        0 => Ok(()),
                        _ => Err(std::io::Error::last_os_error()),
                    }
                });
            }
            let ran = run(&mut glass);
            ran.failed(&["cannot write", &target, "model", "safetensors"]);
            assert_eq!(names(folder.path()), Vec::<String>::new());
        }
    }
}
