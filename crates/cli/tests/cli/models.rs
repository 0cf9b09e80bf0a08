//! Models to run: those of the repository, and damaged copies of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use glass_testing::fixtures;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::run::text;

pub const WEIGHTS: &str = "model.safetensors";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A model for trying things: a tokenizer of characters, sampling by its generation_config.json, a context of 1024.
pub fn random_tiny() -> String {
    text(&repository().join("weights/random-tiny"))
}

/// A trained model of the repository.
pub fn shipped(name: &str) -> String {
    text(&repository().join("weights").join(name))
}

/// A model without a tokenizer, with what transformers computes from it.
pub fn fixture(name: &str) -> String {
    text(&fixtures::root().join(name))
}

/// Every fixture.
pub fn fixtures() -> Vec<String> {
    fixtures::all().iter().map(|path| text(path)).collect()
}

/// A copy of a model that a test may change.
pub struct Copy(TempDir);

pub fn copy(model: &str) -> Copy {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for entry in fs::read_dir(model).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("copied");
        }
    }
    Copy(copy)
}

impl Copy {
    pub fn path(&self) -> String {
        text(self.0.path())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).expect("removed");
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).expect("written");
    }

    /// Changes the fields of a JSON file.
    pub fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Map<String, Value>)) {
        let json = fs::read(self.file(name)).expect("readable");
        let mut fields: Map<String, Value> = serde_json::from_slice(&json).expect("a JSON object");
        edit(&mut fields);
        self.write(name, Value::Object(fields).to_string());
    }

    /// Changes the tensors of model.safetensors.
    pub fn edit_weights(&self, edit: impl FnOnce(&mut BTreeMap<String, Stored>)) {
        let mut tensors = read(&self.file(WEIGHTS));
        edit(&mut tensors);
        let views = tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            (name, view.expect("bytes that fill the shape"))
        });
        self.write(WEIGHTS, safetensors::serialize(views, None).expect("a file"));
    }

    /// Cuts a file to so many bytes.
    pub fn truncate(&self, name: &str, bytes: u64) {
        let file = fs::OpenOptions::new().write(true).open(self.file(name));
        file.and_then(|file| file.set_len(bytes)).expect("cut");
    }
}

/// A tensor as it lies in a file.
#[derive(Clone)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Stored {
    pub fn f32s(&self) -> Vec<f32> {
        assert_eq!(self.dtype, Dtype::F32);
        let (values, rest) = self.bytes.as_chunks();
        assert!(rest.is_empty());
        values.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    pub fn ids(&self) -> Vec<u32> {
        assert_eq!(self.dtype, Dtype::I64);
        let (values, rest) = self.bytes.as_chunks();
        assert!(rest.is_empty());
        values.iter().map(|b| u32::try_from(i64::from_le_bytes(*b)).expect("an id")).collect()
    }

    /// The rows of a matrix.
    pub fn rows(&self) -> Vec<Vec<u32>> {
        self.ids().chunks(self.shape[1]).map(<[u32]>::to_vec).collect()
    }
}

/// The tensors of a safetensors file.
pub fn read(path: &Path) -> BTreeMap<String, Stored> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let stored = Stored { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name, stored)
        })
        .collect()
}

/// What transformers computes from a fixture.
pub fn expected(model: &str) -> BTreeMap<String, Stored> {
    read(&Path::new(model).join("expected.safetensors"))
}

/// 1,2,3 as `--ids` wants it.
pub fn comma(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(",")
}
