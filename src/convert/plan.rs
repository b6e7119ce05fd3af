//! Plan of a conversion: keys and tensor table of each file, made before any weight is read.

use super::{
    Error, folder_name,
    general::{self, General},
    loadable, pretokenizer,
    recipe::{self, Fallback, FileType, Recipe, Shape},
    tensors::{self, Head, ModelTensor},
    vocab,
};
use crate::{
    arch::{Attention, Unsupported, tokenizer::TokenizerModel},
    checkpoint::{
        Checkpoint,
        tokenizer::{ChatTemplate, Tokenizer},
    },
    display,
    gguf::{GgmlType, Header, TensorInfo, Value},
    profile::Profile,
};

const FILE_TYPE: &str = "general.file_type";
const QUANTIZATION_VERSION: &str = "general.quantization_version";
/// ggml's `GGML_QNT_VERSION`.
const GGML_QUANTIZATION_VERSION: u32 = 2;

/// The plan of a conversion.
#[derive(Debug)]
pub struct Plan {
    /// llama.cpp's name of the architecture.
    pub architecture: &'static str,
    /// The model's name in file names.
    pub name: String,
    /// The requested recipe.
    pub recipe: Recipe,
    /// llama.cpp's name of the pre-tokenizer.
    pub pretokenizer: String,
    /// The kind of output head in the checkpoint.
    pub head: Head,
    /// The model's tensors in the reference converter's order.
    pub tensors: Vec<ModelTensor>,
    /// Warnings about files of the checkpoint that could not be used and were not needed.
    pub warnings: Vec<String>,
    keys: Keys,
    /// The files, one for each requested type, in that order.
    pub files: Vec<FilePlan>,
}

/// The plan of one file.
#[derive(Debug)]
pub struct FilePlan {
    /// Its type.
    pub file_type: FileType,
    /// The tensor table in file order.
    pub tensors: Vec<TensorInfo>,
    /// Index in `tensors` of each of [`Plan::tensors`].
    pub places: Vec<usize>,
    /// Size of metadata and tensor table: the start of the data section.
    pub header_bytes: u64,
    /// Size of the data section.
    pub data_bytes: u64,
    /// Matrices whose rows are not whole blocks of the type they should have.
    pub fallbacks: Vec<Fallback>,
    /// Bytes that the stored copy of the embedding adds to the file; `None` if there is none.
    pub tied_head_bytes: Option<u64>,
}

impl FilePlan {
    /// Size of the file.
    pub fn file_bytes(&self) -> u64 {
        self.header_bytes + self.data_bytes
    }

    /// Size of the tensors' data, without padding.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.byte_len()).sum()
    }

    /// Number of weights in the file.
    pub fn element_count(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.element_count()).sum()
    }
}

impl Plan {
    /// Plans the files of `recipe`. The tokenizer is read and dropped again.
    ///
    /// # Errors
    /// Every error that can be found without reading weights. The only weights read are a stored head and the
    /// embedding, to compare them.
    pub fn new(checkpoint: &Checkpoint, recipe: Recipe) -> Result<Plan, Error> {
        check_types(&recipe)?;
        let config = &checkpoint.config;
        let architecture = config.architecture;
        (architecture.check)(config).map_err(|Unsupported { field, reason }| Error::Feature {
            class: architecture.class,
            field,
            reason,
        })?;
        let head = tensors::stored_head(checkpoint)?;
        if recipe.drop_tied_head && head != Head::TiedCopy && !tensors::head_is_embedding(checkpoint)? {
            return Err(Error::HeadDiffers);
        }
        let (tensors, left_out) = tensors::match_tensors(checkpoint, recipe.drop_tied_head)?;
        check_overrides(&recipe, &tensors)?;
        let keys = Keys::read(checkpoint, &tensors, &recipe)?;
        let mut warnings = keys.warnings.clone();
        warnings.extend((architecture.caution)(config));
        warnings.extend(other_part(checkpoint, &left_out));
        let block_count = config.block_count();
        let attention = Attention::with_heads(config.num_attention_heads, config.num_key_value_heads);
        let is_70b = (architecture.is_70b)(block_count, attention);
        let shape = Shape { block_count: block_count as usize, is_70b };
        let files = recipe
            .file_types
            .iter()
            .map(|&file_type| file_plan(file_type, &recipe, shape, &tensors, &keys, head))
            .collect();
        let plan = Plan {
            architecture: architecture.name,
            name: folder_name::joined_name(&checkpoint.identity.named_after),
            recipe,
            pretokenizer: keys.pretokenizer.clone(),
            warnings,
            head,
            tensors,
            files,
            keys,
        };
        // The files differ in nothing that is checked: every type that is written can be multiplied with.
        plan.files.first().map_or(Ok(()), |file| loadable::check_header(&plan.header(file)))?;
        Ok(plan)
    }

    /// Metadata and tensor table of `file`, one of this plan's.
    ///
    /// They are built on each call: a vocabulary is tens of megabytes, and a plan may have many files.
    pub fn header(&self, file: &FilePlan) -> Header {
        let mut header = Header::new(self.keys.ordered(file.file_type));
        for tensor in &file.tensors {
            header.push_tensor(tensor.name.clone(), tensor.dims.clone(), tensor.ggml_type);
        }
        header
    }
}

/// Warnings about the checkpoint's files.
fn warnings(checkpoint: &Checkpoint, tokenizer: &Tokenizer, general: &General) -> Result<Vec<String>, Error> {
    let mut warnings = checkpoint.warnings.clone();
    warnings.extend(general.warnings.iter().map(|warning| display::chain(warning)));
    warnings.extend(tokenizer.warning().map(str::to_owned));
    let has_template = |template: &ChatTemplate| template.texts().any(|text| !text.is_empty());
    if !tokenizer.chat_template().is_some_and(has_template) {
        warnings.push(format!(
            "{} has no chat template, which calls need: copy chat_template.jinja, or the `chat_template` of \
             tokenizer_config.json, from the model that it was trained from",
            checkpoint.identity.tokenizer.display()
        ));
    }
    warnings.extend(loadable::check_templates(tokenizer.chat_template())?);
    Ok(warnings)
}

/// A line about the tensors that are left out since they read images.
fn other_part(checkpoint: &Checkpoint, left_out: &[String]) -> Option<String> {
    checkpoint.config.is_text_part.then(|| match left_out.first() {
        None => "the checkpoint is that of a model that reads images, without the tensors that read them: the file is \
                 its language model"
            .to_owned(),
        Some(first) => format!(
            "the checkpoint reads images, too: its {} tensors for that (`{first}` and so on) are left out, and the file \
             is the language model alone",
            left_out.len()
        ),
    })
}

fn check_types(recipe: &Recipe) -> Result<(), Error> {
    let types = &recipe.file_types;
    if types.is_empty() {
        return Err(Error::NoType);
    }
    match types.iter().enumerate().find(|(i, file_type)| types[..*i].contains(file_type)) {
        Some((_, file_type)) => Err(Error::TypeTwice(file_type.name())),
        None => Ok(()),
    }
}

fn check_overrides(recipe: &Recipe, tensors: &[ModelTensor]) -> Result<(), Error> {
    let matrices = || tensors.iter().filter(|tensor| recipe::is_quantizable(&tensor.name, &tensor.dims));
    match recipe.overrides.iter().find(|rule| !matrices().any(|tensor| rule.pattern.is_match(&tensor.name))) {
        None => Ok(()),
        Some(rule) => Err(Error::OverrideUnmatched {
            pattern: rule.pattern.as_str().to_owned(),
            example: matrices().next().map(|tensor| tensor.name.clone()).unwrap_or_default(),
        }),
    }
}

/// Kind of vocabulary that is written.
#[derive(Clone, Copy)]
enum Written<'p> {
    /// Byte-level BPE with the pre-tokenizer of this name of llama.cpp's.
    ByteLevelBpe(&'p str),
    /// SentencePiece's pieces and scores.
    SentencePiece,
}

/// The kind of vocabulary to write, with the pre-tokenizer `pre` if the user named one.
///
/// A `tokenizer.model` comes first, as in the reference. Without it, a named pre-tokenizer asks for the reference's BPE
/// vocabulary.
fn written<'p>(
    tokenizer: &Tokenizer,
    checkpoint: &Checkpoint,
    pre: Option<&'p str>,
) -> Result<Written<'p>, Error> {
    if let Some(name) = pre {
        pretokenizer::check_name(name)?;
    }
    if tokenizer.model() == TokenizerModel::SentencePiece {
        if !checkpoint.config.architecture.is_sentencepiece {
            return Err(vocab::Error::from(tokenizer.sentencepiece_refused()).into());
        }
        if tokenizer.pieces().is_some() || pre.is_none() {
            return Ok(Written::SentencePiece);
        }
    }
    match pre {
        Some(name) => Ok(Written::ByteLevelBpe(name)),
        None => Ok(Written::ByteLevelBpe(pretokenizer::recognize(tokenizer, &checkpoint.config.raw)?.0)),
    }
}

/// The metadata keys, grouped by their position in the reference's order.
#[derive(Debug)]
struct Keys {
    pretokenizer: String,
    warnings: Vec<String>,
    before_file_type: Vec<(String, Value)>,
    after_file_type: Vec<(String, Value)>,
    tokenizer: Vec<(String, Value)>,
    profile: Vec<(String, Value)>,
}

impl Keys {
    fn read(checkpoint: &Checkpoint, tensors: &[ModelTensor], recipe: &Recipe) -> Result<Keys, Error> {
        let config = &checkpoint.config;
        let architecture = config.architecture;
        let tokenizer = Tokenizer::open(&checkpoint.identity.tokenizer)?;
        let written = written(&tokenizer, checkpoint, recipe.pre.as_deref())?;
        let vocab_size = config.vocab_size.try_into().expect("the configuration's counts are below 2^32");
        let extra = &architecture.extra_tokenizer_keys;
        let parameters = tensors.iter().map(ModelTensor::element_count).sum();
        let mut before_file_type =
            vec![("general.architecture".to_owned(), Value::String(architecture.name.to_owned()))];
        before_file_type.extend(architecture.early_keys(config));
        let general = general::metadata(&checkpoint.dir, &checkpoint.identity, &config.raw, parameters);
        before_file_type.extend(general.metadata.iter().cloned());
        before_file_type.extend(architecture.keys(config));
        let (keys, more) = match written {
            Written::ByteLevelBpe(pre) => {
                (vocab::metadata(&tokenizer, &config.raw, vocab_size, pre, extra)?, Vec::new())
            }
            Written::SentencePiece => vocab::sentencepiece(&tokenizer, &config.raw, vocab_size)?,
        };
        let mut warnings = warnings(checkpoint, &tokenizer, &general)?;
        warnings.extend(more);
        Ok(Keys {
            before_file_type,
            after_file_type: architecture.late_keys(config),
            tokenizer: keys,
            pretokenizer: match written {
                Written::ByteLevelBpe(pre) => pre.to_owned(),
                Written::SentencePiece => "default".to_owned(),
            },
            warnings,
            profile: recipe.profile.as_ref().map_or(Ok(Vec::new()), Profile::to_metadata)?,
        })
    }

    /// All keys in the order of the tool that writes this type in llama.cpp: converter or quantizer.
    fn ordered(&self, file_type: FileType) -> Vec<(String, Value)> {
        let id = (FILE_TYPE.to_owned(), Value::U32(file_type.id()));
        let version = (QUANTIZATION_VERSION.to_owned(), Value::U32(GGML_QUANTIZATION_VERSION));
        let mut keys = self.before_file_type.clone();
        if file_type.is_converters() {
            keys.push(id);
            keys.extend_from_slice(&self.after_file_type);
            keys.push(version);
            keys.extend_from_slice(&self.tokenizer);
        } else {
            keys.extend_from_slice(&self.after_file_type);
            keys.extend_from_slice(&self.tokenizer);
            keys.extend([version, id]);
        }
        // Ours come last, behind those of llama.cpp's tools.
        keys.extend_from_slice(&self.profile);
        keys
    }
}

fn file_plan(
    file_type: FileType,
    recipe: &Recipe,
    shape: Shape,
    tensors: &[ModelTensor],
    keys: &Keys,
    head: Head,
) -> FilePlan {
    let (types, fallbacks) = types(file_type, recipe, shape, tensors);
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    if !file_type.is_converters() {
        order.sort_by_key(|&i| recipe::quantizer_order(&tensors[i].name));
    }
    let mut header = Header::new(keys.ordered(file_type));
    let mut places = vec![0; tensors.len()];
    for (place, &i) in order.iter().enumerate() {
        header.push_tensor(tensors[i].name.clone(), tensors[i].dims.clone(), types[i]);
        places[i] = place;
    }
    let tied_head_bytes = (head == Head::TiedCopy && !recipe.drop_tied_head)
        .then(|| head_cost(file_type, recipe, shape, tensors, header.data_bytes()));
    FilePlan {
        file_type,
        places,
        header_bytes: header.encode().len() as u64,
        data_bytes: header.data_bytes(),
        tensors: header.tensors().to_vec(),
        fallbacks,
        tied_head_bytes,
    }
}

/// The type of each of `tensors`, and the fallbacks.
fn types(
    file_type: FileType,
    recipe: &Recipe,
    shape: Shape,
    tensors: &[ModelTensor],
) -> (Vec<GgmlType>, Vec<Fallback>) {
    // The mixture's counters run in llama-quantize's order, whatever the order of the file.
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| recipe::quantizer_order(&tensors[i].name));
    let ordered: Vec<(&str, &[u64])> =
        order.iter().map(|&i| (tensors[i].name.as_str(), tensors[i].dims.as_slice())).collect();
    let (ordered_types, fallbacks) = recipe::tensor_types(file_type, &recipe.overrides, shape, &ordered);
    let mut types = vec![GgmlType::F32; tensors.len()];
    for (&i, ggml_type) in order.iter().zip(ordered_types) {
        types[i] = ggml_type;
    }
    (types, fallbacks)
}

/// Bytes that the file would save without `output.weight`. The embedding then gets the head's type.
fn head_cost(
    file_type: FileType,
    recipe: &Recipe,
    shape: Shape,
    tensors: &[ModelTensor],
    with_head_bytes: u64,
) -> u64 {
    let tied: Vec<ModelTensor> =
        tensors.iter().filter(|tensor| tensor.name != "output.weight").cloned().collect();
    let (types, _) = types(file_type, recipe, shape, &tied);
    let mut header = Header::default();
    for (tensor, ggml_type) in tied.into_iter().zip(types) {
        header.push_tensor(tensor.name, tensor.dims, ggml_type);
    }
    with_head_bytes.saturating_sub(header.data_bytes())
}
