//! Tensor types of a file: the file types, llama-quantize's mixtures, and the fallbacks.
//!
//! Source: llama.cpp, `llama-quant.cpp`, `llama_tensor_get_type_impl`.

use crate::{gguf::GgmlType, profile::Profile};
use std::str::FromStr;

macro_rules! file_types {
    ($($variant:ident $name:literal $label:literal = $id:literal, $default:ident;)*) => {
        /// A file type: the type of most of its matrices, and rules that give some matrices more bits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, non_camel_case_types)] // llama-quantize's names
        pub enum FileType { $($variant),* }

        impl FileType {
            /// Every file type the converter writes.
            pub const ALL: &[FileType] = &[$(FileType::$variant),*];

            /// The name on the command line, such as `q4_k_m`.
            pub fn name(self) -> &'static str {
                match self { $(FileType::$variant => $name),* }
            }

            /// llama-quantize's name, such as `Q4_K_M`.
            pub fn label(self) -> &'static str {
                match self { $(FileType::$variant => $label),* }
            }

            /// `general.file_type` (llama.cpp `llama.h`, `enum llama_ftype`).
            pub fn id(self) -> u32 {
                match self { $(FileType::$variant => $id),* }
            }

            /// The type of the matrices without a rule.
            pub fn default_type(self) -> GgmlType {
                match self { $(FileType::$variant => GgmlType::$default),* }
            }
        }
    };
}

file_types! {
    F32 "f32" "F32" = 0, F32;
    F16 "f16" "F16" = 1, F16;
    Bf16 "bf16" "BF16" = 32, Bf16;
    Q8_0 "q8_0" "Q8_0" = 7, Q8_0;
    Q4_0 "q4_0" "Q4_0" = 2, Q4_0;
    Q4_1 "q4_1" "Q4_1" = 3, Q4_1;
    Q5_0 "q5_0" "Q5_0" = 8, Q5_0;
    Q5_1 "q5_1" "Q5_1" = 9, Q5_1;
    Q4KS "q4_k_s" "Q4_K_S" = 14, Q4K;
    Q4KM "q4_k_m" "Q4_K_M" = 15, Q4K;
    Q5KS "q5_k_s" "Q5_K_S" = 16, Q5K;
    Q5KM "q5_k_m" "Q5_K_M" = 17, Q5K;
    Q6K "q6_k" "Q6_K" = 18, Q6K;
}

impl FileType {
    /// True if llama.cpp's converter writes this type itself. The others come from llama-quantize, which orders
    /// tensors and keys differently.
    pub fn is_converters(self) -> bool {
        matches!(self, FileType::F32 | FileType::F16 | FileType::Bf16 | FileType::Q8_0)
    }
}

impl std::fmt::Display for FileType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The error for a name that is not a file type.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is no type; the types are {}", FileType::ALL.iter().map(|t| t.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownFileType {
    /// The name.
    pub found: String,
}

impl FromStr for FileType {
    type Err = UnknownFileType;

    fn from_str(name: &str) -> Result<FileType, UnknownFileType> {
        FileType::ALL
            .iter()
            .copied()
            .find(|file_type| file_type.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownFileType { found: name.to_owned() })
    }
}

/// The options of a conversion that determine the bytes of its files.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// The types of file to write, each once.
    pub file_types: Vec<FileType>,
    /// Types for matching matrices; the first match wins.
    pub overrides: Vec<Override>,
    /// Rounds every matrix to F16 first, as a conversion by way of an F16 file does.
    pub via_f16: bool,
    /// Leaves out a stored head that is a copy of the embedding.
    pub drop_tied_head: bool,
    /// llama.cpp's name of the pre-tokenizer; `None` recognizes it.
    pub pre: Option<String>,
    /// Settings that calls with the files take unless they say otherwise.
    pub profile: Option<Profile>,
}

/// A type override `REGEX=TYPE`: matrices whose GGUF name matches get this type.
#[derive(Clone, Debug)]
pub struct Override {
    /// Regular expression, searched for anywhere in the name, as in llama-quantize.
    pub pattern: regex::Regex,
    /// The type they get.
    pub ggml_type: GgmlType,
}

/// Errors of a malformed type override.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// No `=`.
    #[error("`{0}` is not of the form REGEX=TYPE, such as attn_v=q6_k")]
    Form(String),
    /// Not a type the converter writes.
    #[error("`{found}` is no tensor type; the types are {}", writable().map(GgmlType::name).collect::<Vec<_>>().join(", "))]
    Type {
        /// The text after the `=`.
        found: String,
    },
    /// Not a regular expression.
    #[error("`{pattern}` is not a regular expression")]
    Pattern {
        /// The text before the `=`.
        pattern: String,
        /// The parser's error.
        #[source]
        source: regex::Error,
    },
}

/// The types that tensors can be written in: those with an encoder.
fn writable() -> impl Iterator<Item = GgmlType> {
    crate::quant::CODECS.iter().map(|codec| codec.ggml_type())
}

impl FromStr for Override {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Override, OverrideError> {
        let (pattern, name) = text.rsplit_once('=').ok_or_else(|| OverrideError::Form(text.to_owned()))?;
        let ggml_type = writable()
            .find(|ggml_type| ggml_type.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| OverrideError::Type { found: name.to_owned() })?;
        let pattern = regex::Regex::new(pattern)
            .map_err(|source| OverrideError::Pattern { pattern: pattern.to_owned(), source })?;
        Ok(Override { pattern, ggml_type })
    }
}

/// Facts about the model that the rules need.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// `block_count`.
    pub block_count: usize,
    /// See [`crate::arch::Architecture::is_70b`].
    pub is_70b: bool,
}

/// A tensor whose rows are not whole blocks of the intended type.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fallback {
    /// The tensor.
    pub tensor: String,
    /// The intended type, by ggml's name.
    pub wanted: &'static str,
    /// The type that was used instead.
    pub got: &'static str,
    /// The length of the tensor's rows.
    pub row_len: u64,
}

/// Parts of names of matrices that are always F32: norms, and the kernels of convolutions.
const ALWAYS_F32: [&str; 3] = ["_norm.weight", "shortconv.conv.weight", "ssm_conv1d"];

/// True if a tensor may have a type other than F32: no norms, biases, factors and kernels.
pub fn is_quantizable(name: &str, dims: &[u64]) -> bool {
    let n_dims = dims.iter().rposition(|&length| length > 1).map_or(1, |last| last + 1);
    n_dims >= 2 && name.ends_with("weight") && !ALWAYS_F32.iter().any(|part| name.contains(part))
}

/// True for the matrices that get more bits in some layers, as an error in the values is never averaged out: values, and
/// queries, keys and values in one.
fn has_values(name: &str) -> bool {
    name.contains("attn_v.weight") || name.contains("attn_qkv.weight")
}

/// The type of each of `tensors`, `(name, dims)` in llama-quantize's order (see [`quantizer_order`]), and the
/// fallbacks.
pub fn tensor_types(
    file_type: FileType,
    overrides: &[Override],
    shape: Shape,
    tensors: &[(&str, &[u64])],
) -> (Vec<GgmlType>, Vec<Fallback>) {
    let mut mixture = Mixture {
        file_type,
        shape,
        is_tied: tensors.iter().all(|(name, _)| *name != "output.weight"),
        attn_v_count: tensors.iter().filter(|(name, _)| has_values(name)).count(),
        attn_v_seen: 0,
        ffn_down_seen: 0,
    };
    let mut fallbacks = Vec::new();
    let types = tensors.iter().map(|&(name, dims)| {
        if !is_quantizable(name, dims) {
            return GgmlType::F32;
        }
        let wanted = match overrides.iter().find(|rule| rule.pattern.is_match(name)) {
            Some(rule) => rule.ggml_type,
            None => mixture.next(name, dims[0]),
        };
        let got = fitting(wanted, dims[0]);
        if got != wanted {
            let (wanted, got) = (wanted.name(), got.name());
            fallbacks.push(Fallback { tensor: name.to_owned(), wanted, got, row_len: dims[0] });
        }
        got
    });
    (types.collect(), fallbacks)
}

/// llama-quantize's counters, over the tensors without an override.
struct Mixture {
    file_type: FileType,
    shape: Shape,
    is_tied: bool,
    attn_v_count: usize,
    attn_v_seen: usize,
    ffn_down_seen: usize,
}

impl Mixture {
    fn next(&mut self, name: &str, row_len: u64) -> GgmlType {
        use FileType::{Q4KM, Q4KS, Q5KM};
        let default = self.file_type.default_type();
        if matches!(default, GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16) {
            return default;
        }
        if name == "output.weight" || (self.is_tied && name == "token_embd.weight") {
            let fits = row_len.is_multiple_of(default.block_len());
            return if !fits || default == GgmlType::Q8_0 { GgmlType::Q8_0 } else { GgmlType::Q6K };
        }
        if has_values(name) {
            let (k, n) = (self.attn_v_seen, self.attn_v_count);
            self.attn_v_seen += 1;
            let mixed = match self.file_type {
                Q4KM | Q5KM if gets_more_bits(k, n) => GgmlType::Q6K,
                Q4KS if k < 4 => GgmlType::Q5K,
                _ => default,
            };
            return if self.shape.is_70b && mixed == GgmlType::Q4K { GgmlType::Q5K } else { mixed };
        }
        if name.contains("ffn_down") {
            let (k, n) = (self.ffn_down_seen, self.shape.block_count);
            self.ffn_down_seen += 1;
            return match self.file_type {
                Q4KM | Q5KM if gets_more_bits(k, n) => GgmlType::Q6K,
                Q4KS if k < n / 8 => GgmlType::Q5K,
                _ => default,
            };
        }
        default
    }
}

/// True for the first and last eighth of the layers, and for every third one between.
fn gets_more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}

/// `wanted`, or llama-quantize's fallback if the rows are not whole blocks of it.
fn fitting(wanted: GgmlType, row_len: u64) -> GgmlType {
    if row_len.is_multiple_of(wanted.block_len()) {
        return wanted;
    }
    let smaller = match wanted {
        GgmlType::Q4K => GgmlType::Q5_0,
        GgmlType::Q5K => GgmlType::Q5_1,
        GgmlType::Q6K => GgmlType::Q8_0,
        other => other,
    };
    if row_len.is_multiple_of(smaller.block_len()) { smaller } else { GgmlType::F16 }
}

/// Sort key for llama-quantize's order: tensors outside the blocks first, then block by block, by name in each.
pub fn quantizer_order(name: &str) -> (i64, &str) {
    let block = name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or(-1);
    (block, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn more(layers: usize) -> Vec<usize> {
        (0..layers).filter(|&layer| gets_more_bits(layer, layers)).collect()
    }

    #[test]
    fn fourteen_of_28_layers_get_more_bits() {
        assert_eq!(more(28), [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27]);
    }

    /// A model of 28 layers with rows of 2048.
    fn tensors(head: bool) -> Vec<(String, Vec<u64>)> {
        let mut tensors = vec![
            ("output_norm.weight".to_owned(), vec![2048]),
            ("token_embd.weight".to_owned(), vec![2048, 512]),
        ];
        if head {
            tensors.push(("output.weight".to_owned(), vec![2048, 512]));
        }
        for block in 0..28 {
            for name in ["attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up"] {
                tensors.push((format!("blk.{block}.{name}.weight"), vec![2048, 256]));
            }
            tensors.push((format!("blk.{block}.attn_q_norm.weight"), vec![128]));
        }
        tensors
    }

    fn count(file_type: FileType, overrides: &[&str], head: bool, counted: GgmlType) -> usize {
        let tensors = tensors(head);
        let tensors: Vec<_> = tensors.iter().map(|(name, dims)| (name.as_str(), dims.as_slice())).collect();
        let overrides: Vec<Override> = overrides.iter().map(|rule| rule.parse().unwrap()).collect();
        let shape = Shape { block_count: 28, is_70b: false };
        let (types, _) = tensor_types(file_type, &overrides, shape, &tensors);
        types.into_iter().filter(|&ggml_type| ggml_type == counted).count()
    }

    #[test]
    fn mixtures_have_the_counts_of_the_reference() {
        assert_eq!(count(FileType::Q4KM, &[], false, GgmlType::Q4K), 168);
        assert_eq!(count(FileType::Q4KM, &[], false, GgmlType::Q6K), 29);
        assert_eq!(count(FileType::Q4KS, &[], false, GgmlType::Q5K), 7);
        assert_eq!(count(FileType::Q4_0, &[], false, GgmlType::Q6K), 1);
        assert_eq!(count(FileType::Q8_0, &[], false, GgmlType::Q8_0), 197);
        assert_eq!(count(FileType::Q4KM, &[], true, GgmlType::Q4K), 169);
        assert_eq!(count(FileType::F16, &[], true, GgmlType::F16), 198);
    }

    #[test]
    fn rows_that_are_no_whole_blocks_fall_back() {
        assert_eq!(fitting(GgmlType::Q4K, 288), GgmlType::Q5_0);
        assert_eq!(fitting(GgmlType::Q5K, 288), GgmlType::Q5_1);
        assert_eq!(fitting(GgmlType::Q6K, 288), GgmlType::Q8_0);
        assert_eq!(fitting(GgmlType::Q4_0, 300), GgmlType::F16);
        assert_eq!(fitting(GgmlType::Q6K, 300), GgmlType::F16);
        assert_eq!(fitting(GgmlType::F16, 300), GgmlType::F16);
    }

    #[test]
    fn blocks_are_ordered_by_number_behind_everything_else() {
        let mut names = ["blk.10.a", "blk.2.b", "blk.2.a", "token_embd.weight", "output.weight"];
        names.sort_by_key(|name| quantizer_order(name));
        assert_eq!(names, ["output.weight", "token_embd.weight", "blk.2.a", "blk.2.b", "blk.10.a"]);
    }

    #[test]
    fn a_file_type_is_read_in_any_case_and_an_unknown_one_is_named() {
        assert_eq!("Q4_K_M".parse::<FileType>().unwrap(), FileType::Q4KM);
        assert!("q3_k".parse::<FileType>().unwrap_err().to_string().starts_with("`q3_k` is no type"));
    }
}
