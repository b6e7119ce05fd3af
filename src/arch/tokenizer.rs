//! Tokenizers by name: llama.cpp's kinds, transformers' classes, and keys that only some converters write.

/// A kind of tokenizer in llama.cpp, the value of `tokenizer.ggml.model`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerModel {
    /// Byte-level BPE: a vocabulary and merges.
    ByteLevelBpe,
    /// SentencePiece with byte tokens: a vocabulary and scores.
    SentencePiece,
}

impl TokenizerModel {
    /// Every kind that is known here.
    pub const ALL: [TokenizerModel; 2] = [TokenizerModel::ByteLevelBpe, TokenizerModel::SentencePiece];

    /// llama.cpp's name.
    pub fn name(self) -> &'static str {
        match self {
            TokenizerModel::ByteLevelBpe => "gpt2",
            TokenizerModel::SentencePiece => "llama",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<TokenizerModel> {
        TokenizerModel::ALL.into_iter().find(|model| model.name() == name)
    }
}

/// A tokenizer class of transformers.
#[derive(Debug)]
pub struct TokenizerClass {
    /// Its name, without `Fast`.
    pub name: &'static str,
    /// Settings with a special token, and the tokens that they have unless a checkpoint says otherwise.
    pub special_tokens: &'static [(&'static str, &'static str)],
}

/// The class of Llama's SentencePiece vocabularies.
pub static LLAMA_CLASS: TokenizerClass = TokenizerClass {
    name: "LlamaTokenizer",
    special_tokens: &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")],
};

/// The class of Qwen's vocabularies.
pub static QWEN2_CLASS: TokenizerClass = TokenizerClass {
    name: "Qwen2Tokenizer",
    special_tokens: &[
        ("eos_token", "<|endoftext|>"),
        ("unk_token", "<|endoftext|>"),
        ("pad_token", "<|endoftext|>"),
    ],
};

/// The class of GPT-2's vocabulary, which checkpoints of other architectures name.
pub static GPT2_CLASS: TokenizerClass = TokenizerClass {
    name: "GPT2Tokenizer",
    special_tokens: &[
        ("bos_token", "<|endoftext|>"),
        ("eos_token", "<|endoftext|>"),
        ("unk_token", "<|endoftext|>"),
    ],
};

/// A class without special tokens of its own.
pub static PLAIN_CLASS: TokenizerClass = TokenizerClass { name: "PreTrainedTokenizer", special_tokens: &[] };

/// The class of Gemma's SentencePiece vocabularies.
pub static GEMMA_CLASS: TokenizerClass = TokenizerClass {
    name: "GemmaTokenizer",
    special_tokens: &[
        ("bos_token", "<bos>"),
        ("eos_token", "<eos>"),
        ("unk_token", "<unk>"),
        ("pad_token", "<pad>"),
    ],
};

/// The class of this name, with or without `Fast`; `None` for a class without default tokens.
pub fn class_named(name: &str) -> Option<&'static TokenizerClass> {
    let name = name.trim_end_matches("Fast");
    [&LLAMA_CLASS, &QWEN2_CLASS, &GPT2_CLASS, &GEMMA_CLASS].into_iter().find(|class| class.name == name)
}

/// Keys that a converter class of the reference adds to those that follow from the tokenizer.
#[derive(Clone, Copy, Debug)]
pub struct ExtraKeys {
    /// True if `add_prefix_space` of `tokenizer_config.json` is written, as the first key.
    pub space_prefix: bool,
    /// The infill tokens of one size of vocabulary.
    pub infill: Option<Infill>,
    /// A size of vocabulary whose models get no BOS token, whatever the tokenizer says.
    pub without_bos: Option<u32>,
}

impl ExtraKeys {
    /// No keys.
    pub const NONE: ExtraKeys = ExtraKeys { space_prefix: false, infill: None, without_bos: None };
}

/// Infill tokens that the reference writes by the size of the vocabulary.
#[derive(Clone, Copy, Debug)]
pub struct Infill {
    /// The size.
    pub vocab_size: u32,
    /// The end-of-turn token, unless the tokenizer names another.
    pub end_of_turn: u32,
}
