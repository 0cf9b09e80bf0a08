//! A loaded model: config, weights, tokenizer.

mod load;

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use burn::tensor::{Int, Tensor, TensorData};
use glass_backend::{Device, DeviceError, Dtype, KernelMode};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{Files, Precision};
use glass_config::{LayerConfig, LlamaConfig, Override, RopeScaling};
use glass_kv_cache::{CacheConfig, CachePolicyError, KvCache, KvDtype, LayerCache};
use glass_text::Tokenizer;

use crate::{Error, GenerationConfig, ModelFiles, StoredWeights};

/// A Llama that is ready to run.
pub struct Llama {
    pub model: LlamaForCausalLM,
    pub config: LlamaConfig,
    pub generation_config: GenerationConfig,
    /// `None` if the model has no tokenizer: then the model takes and gives ids.
    pub tokenizer: Option<Tokenizer>,
    pub device: Device,
    /// Float type of what is computed with beside quantized or packed matrices.
    pub dtype: Dtype,
    /// What the weights are held in: [`dtype`](Self::dtype), or quantized matrices beside it, or those of a type of 16 bits that
    /// the device keeps and does not compute in.
    pub precision: Precision,
    /// What keys and values are kept in where a [`CacheConfig`] does not say; `None`: what fits the weights.
    pub kv_dtype: Option<KvDtype>,
    /// The folder or the GGUF file.
    pub folder: PathBuf,
    /// What is not as expected and does not stop the model: one line each.
    pub warnings: Vec<String>,
}

/// How to load a model.
pub struct LoadOptions<'a> {
    pub device: Device,
    /// What weights are held and multiplied in; matrices are quantized as they are read, by the rule of [`QuantRecipe`], or
    /// dequantized. `None`: as they are stored, or in the next best that the device computes.
    pub precision: Option<Precision>,
    /// Laid over the config before it is read.
    pub overrides: &'a [Override],
    /// Told the bytes read so far and the bytes in all.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// A model's files in memory: in a browser, or built into a program.
pub struct ModelBytes<'a> {
    /// Stands for the folder in messages.
    pub name: &'a str,
    pub config: &'a str,
    pub generation_config: Option<&'a [u8]>,
    pub tokenizer: Option<&'a [u8]>,
    /// A safetensors file with all weights.
    pub weights: Cow<'static, [u8]>,
}

/// What is read before the weights.
struct Parts<'a> {
    path: PathBuf,
    weights: StoredWeights<'a>,
    config: LlamaConfig,
    /// Stands for the config in warnings.
    config_name: String,
    generation_config: GenerationConfig,
    tokenizer: Option<Tokenizer>,
}

impl Llama {
    /// Loads a folder in the Hugging Face layout, or a GGUF file, as it is; [`load`](Self::load) has the choices.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn open(path: &Path, device: Device) -> Result<Self, Error> {
        let options = LoadOptions { device, precision: None, overrides: &[], progress: &mut |_, _| {} };
        Self::load(path, options)
    }

    /// Loads a folder in the Hugging Face layout, or a GGUF file.
    ///
    /// The device's types, the config, the tokenizer and the files' headers are checked before the first weight is read.
    ///
    /// # Errors
    /// Anything in the files that is not as it must be.
    pub fn load(path: &Path, options: LoadOptions<'_>) -> Result<Self, Error> {
        check_dtype(&options)?;
        Self::load_files(&ModelFiles::open(path)?, options)
    }

    /// As [`load`](Self::load), from files that are opened.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_files(files: &ModelFiles, options: LoadOptions<'_>) -> Result<Self, Error> {
        check_dtype(&options)?;
        let parts = Parts {
            path: files.path().to_owned(),
            weights: files.weights()?,
            config: files.config(options.overrides)?,
            config_name: files.config_name(),
            generation_config: files.generation_config()?,
            tokenizer: files.tokenizer()?,
        };
        Self::from_parts(parts, options)
    }

    /// Loads a model from memory, as [`load`](Self::load) does.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn from_bytes(bytes: ModelBytes<'_>, options: LoadOptions<'_>) -> Result<Self, Error> {
        check_dtype(&options)?;
        let origin = |file: &str| format!("{}/{file}", bytes.name);
        let weights = origin("model.safetensors");
        let config = LlamaConfig::from_json(bytes.config, &origin("config.json"), options.overrides)?;
        let generation_config = bytes.generation_config.map_or_else(
            || Ok(GenerationConfig::default()),
            |json| GenerationConfig::from_json(json, &origin("generation_config.json")),
        )?;
        let tokenizer = bytes.tokenizer.map(|json| Tokenizer::from_json(json, &origin("tokenizer.json")));
        let parts = Parts {
            path: PathBuf::from(bytes.name),
            config,
            config_name: "config.json".to_owned(),
            generation_config,
            tokenizer: tokenizer.transpose()?,
            weights: StoredWeights::Files(Files::from_bytes(Path::new(&weights), bytes.weights)?),
        };
        Self::from_parts(parts, options)
    }

    fn from_parts(parts: Parts<'_>, options: LoadOptions<'_>) -> Result<Self, Error> {
        let LoadOptions { device, precision, overrides, progress } = options;
        let Parts { path, weights, mut config, config_name, mut generation_config, tokenizer } = parts;
        // `--set` goes before what the makers wrote down elsewhere.
        let overridden = |field| overrides.iter().any(|set| set.key() == field);
        if overridden("eos_token_id") {
            generation_config.eos_token_id.clear();
        }
        if overridden("bos_token_id") {
            generation_config.bos_token_id = None;
        }

        let loaded = match &weights {
            StoredWeights::Files(files) => load::files((&path, files), &mut config, &device, precision, progress)?,
            StoredWeights::Gguf(file) => load::gguf((&path, file), &config, &device, precision, progress)?,
        };
        device.sync()?;
        let load::Loaded { model, precision, mut warnings } = loaded;
        let dtype = device.computes(precision.dtype);
        warnings.extend(device.caveat(dtype).map(str::to_owned));
        let is_plain = device.kernel_mode() == KernelMode::Plain;
        if precision.quantize.is_some() && !precision.fake_quantize && is_plain {
            warnings.push(format!(
                "matrices in few bits are dequantized for every product by the plain kernels of {}, which is many times slower than \
                 the fused ones of flex and wgpu",
                device.name()
            ));
        }
        warnings.extend(generation_config.warnings.iter().cloned());
        let ignored = config.ignored.iter();
        warnings.extend(
            ignored.map(|field| format!("{config_name}: {} = {} is ignored: {}", field.name, field.value, field.why)),
        );
        let kv_dtype = None;
        Ok(Self {
            model,
            config,
            generation_config,
            tokenizer,
            device,
            dtype,
            precision,
            kv_dtype,
            folder: path,
            warnings,
        })
    }

    /// A model that comes from no folder: there is no tokenizer.
    pub fn new(
        model: LlamaForCausalLM,
        config: &LlamaConfig,
        device: &Device,
        precision: impl Into<Precision>,
    ) -> Self {
        let precision = precision.into();
        Self {
            model,
            config: config.clone(),
            generation_config: GenerationConfig::default(),
            tokenizer: None,
            device: device.clone(),
            dtype: device.computes(precision.dtype),
            precision,
            kv_dtype: None,
            folder: PathBuf::new(),
            warnings: vec![],
        }
    }

    /// An empty cache for one sequence.
    ///
    /// # Errors
    /// Policies that do not fit the model.
    pub fn cache(&self, config: CacheConfig) -> Result<KvCache, CachePolicyError> {
        let device_of = |layer| self.model.layer_device(layer);
        let dtype = config.dtype.or(self.kv_dtype).unwrap_or(self.cache_dtype().into());
        KvCache::new(&self.config, config, device_of, dtype)
    }

    /// What keys and values are kept in unless something else is asked for.
    pub fn cache_dtype(&self) -> Dtype {
        let has_kernel = self.device.kernel_mode() == KernelMode::Fused && self.device.dtypes().contains(&Dtype::F16);
        match self.precision.cache_dtype() {
            _ if !has_kernel => self.dtype,
            wanted if self.device.dtypes().contains(&wanted) => wanted,
            _ => Dtype::F16,
        }
    }

    /// An empty cache for one sequence with policies of one's own: `layer` gives one to each layer of the model.
    pub fn cache_from_layers(&self, layer: impl FnMut(&LayerConfig) -> Box<dyn LayerCache>) -> KvCache {
        let device_of = |layer| self.model.layer_device(layer);
        KvCache::from_layers(&self.config, device_of, self.dtype, layer)
    }

    /// Whether a RoPE of the model rotates the tokens of a text of this length by angles that depend on that length, so
    /// that it makes a difference in how many passes the text is read.
    pub fn depends_on_length(&self, tokens: usize) -> bool {
        self.config.rope_by_length(tokens).is_some()
    }

    /// How many new tokens the model's context has room for after a prompt of `prompt` tokens, one at least.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] if it does not even hold the prompt.
    pub fn room(&self, prompt: usize) -> Result<usize, Error> {
        let context = self.config.context();
        match context.checked_sub(prompt) {
            // The last new token is never read by the model, so that it needs no position.
            Some(free) => Ok(free + 1),
            None => Err(Error::PromptTooLong {
                tokens: prompt,
                context,
                over: prompt - context,
                // Most scalings compute angles from the context: raising it would make another model.
                advice: if self
                    .config
                    .ropes
                    .iter()
                    .all(|rope| matches!(rope.scaling, RopeScaling::Default | RopeScaling::Linear(_)))
                {
                    ", or raise the limit with --set max_position_embeddings=N"
                } else {
                    ""
                },
            }),
        }
    }

    /// The tokenizer, or the error that says there is none.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`].
    pub fn tokenizer(&self) -> Result<&Tokenizer, Error> {
        self.tokenizer.as_ref().ok_or_else(|| Error::NoTokenizer { folder: self.folder.clone() })
    }

    /// Ids of the tokens that end a text.
    pub fn eos_ids(&self) -> Vec<u32> {
        self.generation_config.eos_ids(&self.config.eos_token_id)
    }

    /// Rows of ids, all of one length, as a tensor `[batch, seq]` on the model's device.
    ///
    /// # Errors
    /// [`Error::IdOutOfRange`]: the embedding has no row for such an id.
    ///
    /// # Panics
    /// If the rows differ in length.
    pub fn ids(&self, rows: &[&[u32]]) -> Result<Tensor<2, Int>, Error> {
        for (number, row) in rows.iter().enumerate() {
            self.check_ids(row, |index| match rows.len() {
                1 => format!("number {} of the prompt", index + 1),
                _ => format!("number {} of row {}", index + 1, number + 1),
            })?;
        }
        let seq = rows.first().map_or(0, |row| row.len());
        let ids: Vec<i32> = rows.iter().copied().flatten().map(|&id| id as i32).collect();
        let data = TensorData::new(ids, [rows.len(), seq]);
        Ok(Tensor::from_data(data, self.device.burn()))
    }

    /// Whether the embedding has a row for every id; `place` says where the one with this index stands.
    ///
    /// # Errors
    /// [`Error::IdOutOfRange`].
    pub fn check_ids(&self, ids: &[u32], place: impl FnOnce(usize) -> String) -> Result<(), Error> {
        let vocab_size = self.config.vocab_size;
        match ids.iter().position(|&id| id as usize >= vocab_size) {
            None => Ok(()),
            Some(index) => Err(Error::IdOutOfRange { id: ids[index], place: place(index), vocab_size }),
        }
    }
}

/// A type that was asked for is refused before anything is read.
fn check_dtype(options: &LoadOptions<'_>) -> Result<(), DeviceError> {
    let device = &options.device;
    options.precision.map_or(Ok(()), |precision| device.check_dtype(device.computes(precision.dtype)))
}
