//! Prompts for models behind a server: the chat template, and the model's BOS, EOS and stop texts.

use crate::{
    bench::{
        Error, Result,
        data::{Case, Dataset},
    },
    call::{self, PromptTemplate, Request, Think, ToolFormat},
    chat::RenderOptions,
    dialect::{Dialect, Wanted},
    files,
    hash::hex,
    runtime::Vocabulary,
};
use sha2::{Digest, Sha256};
use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Limit on the size of a template file. No chat template is this long, but a path may name a device without an end.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// End-of-turn texts of known model families.
const ENDS: [&str; 7] =
    ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "</s>"];

/// A chat template with the special tokens of its model.
#[derive(Clone, Debug)]
pub struct Template {
    /// Path of the template's file, used in errors.
    path: PathBuf,
    text: String,
    /// Text of the BOS token, if the model's tokenizer adds one.
    bos: Option<String>,
    eos: Option<String>,
    ends: Vec<String>,
    tool_format: ToolFormat,
    /// Tokenizer of the model, if the template is from its file.
    vocabulary: Option<Vocabulary>,
}

/// One prompt.
pub(super) struct Prompt {
    /// Text to send.
    pub(super) sent: String,
    /// SHA-256 of the rendered prompt, BOS included, in hex.
    pub(super) sha256: String,
    /// Lengths in bytes of the parts of `sent` that are to be tokenized apart, because a message spells special tokens;
    /// empty if none does.
    pub(super) parts: Vec<usize>,
}

impl Template {
    /// Reads a template from a GGUF file or a Jinja file. A Jinja file has no special tokens; the server adds BOS
    /// itself where the model wants it.
    ///
    /// # Errors
    /// A file that cannot be read, or is neither of the two.
    pub fn open(path: &Path) -> Result<Template> {
        let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
        let mut file = files::open_input(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.by_ref().take(4).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes == b"GGUF" {
            return Template::from_vocabulary(&Vocabulary::load(path)?, path);
        }
        let wrong = |problem: &str| Error::File { path: path.into(), problem: problem.into(), source: None };
        let rest = files::read_within(MAX_FILE_BYTES, file).map_err(unreadable)?;
        bytes.extend(rest.ok_or_else(|| wrong("is longer than any chat template"))?);
        let text =
            String::from_utf8(bytes).map_err(|_| wrong("is neither GGUF nor a chat template in UTF-8"))?;
        if text.trim().is_empty() {
            return Err(wrong("the chat template is empty"));
        }
        let ends = ENDS.iter().filter(|end| text.contains(**end)).map(|end| (*end).to_owned()).collect();
        let tool_format = ToolFormat::detect(&text, &Wanted::Auto, &|_| true)?;
        Ok(Template {
            path: path.to_path_buf(),
            text,
            bos: None,
            eos: None,
            ends,
            tool_format,
            vocabulary: None,
        })
    }

    /// Template of a model whose vocabulary is loaded; `path` is used in errors.
    ///
    /// # Errors
    /// A model without a chat template.
    pub fn from_vocabulary(vocabulary: &Vocabulary, path: &Path) -> Result<Template> {
        let text = PromptTemplate::default().template(vocabulary, true)?.to_owned();
        let piece = |token: Option<i32>| {
            token.map(|token| String::from_utf8_lossy(&vocabulary.piece(token)).into_owned())
        };
        let ends_turn = |end: &str| {
            let tokens = vocabulary.tokenize(end, true).unwrap_or_default();
            matches!(tokens[..], [token] if vocabulary.is_eog(token))
        };
        let mut ends: Vec<String> =
            [piece(vocabulary.eos()), piece(vocabulary.eot())].into_iter().flatten().collect();
        ends.extend(ENDS.iter().filter(|end| ends_turn(end)).map(|end| (*end).to_owned()));
        let mut seen = std::collections::BTreeSet::new();
        ends.retain(|end| !end.is_empty() && seen.insert(end.clone()));
        let tool_format = ToolFormat::detect(&text, &Wanted::Auto, &|text| {
            vocabulary.tokenize(text, true).is_ok_and(|tokens| tokens.len() == 1)
        })?;
        Ok(Template {
            path: path.to_path_buf(),
            text,
            tool_format,
            bos: piece(vocabulary.bos().filter(|_| vocabulary.adds_bos())),
            eos: piece(vocabulary.eos()),
            ends,
            vocabulary: Some(vocabulary.clone()),
        })
    }

    /// The template's text.
    pub fn into_text(self) -> String {
        self.text
    }

    /// True if it is known which texts are special tokens.
    pub(super) fn knows_specials(&self) -> bool {
        self.vocabulary.is_some()
    }

    /// Path of the template's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Format in which a model with this template writes tool calls.
    pub(super) fn dialect(&self) -> &Arc<Dialect> {
        &self.tool_format.dialect
    }

    /// Stop texts of an answer; at most four, OpenAI's limit.
    pub(super) fn ends(&self) -> &[String] {
        &self.ends[..self.ends.len().min(4)]
    }

    /// Renders the prompt of a case as for a local model, with its hash.
    pub(super) fn prompt(&self, dataset: &Dataset, case: &Case) -> Result<Prompt> {
        let conversation = dataset.conversation(case);
        let request = Request::new(&conversation, Some(case.tools()));
        let options = RenderOptions {
            add_generation_prompt: true,
            enable_thinking: Some(false),
            bos_token: self.bos.as_deref(),
            eos_token: self.eos.as_deref(),
            ..RenderOptions::default()
        };
        if let Some(vocabulary) = &self.vocabulary {
            let template = PromptTemplate { template: Some(self.text.clone()), ..PromptTemplate::default() };
            let prompt = template.render(vocabulary, &request, Some(&self.tool_format), Think::Off)?;
            let (sha256, cuts) = (prompt.fingerprint(), prompt.cuts().to_vec());
            return Ok(self.prompt_without_bos(prompt.into_text(), sha256, &cuts));
        }
        let text = call::render_with(&self.text, &request, Some(&self.tool_format), &options)?;
        let sha256 = hex(&Sha256::digest(&text));
        Ok(self.prompt_without_bos(text, sha256, &[]))
    }

    /// The prompt of a rendered text with cuts. Servers add BOS themselves; with a second one the prompt would be unlike
    /// any that the model was trained on.
    fn prompt_without_bos(&self, text: String, sha256: String, cuts: &[usize]) -> Prompt {
        let sent = self.bos.as_deref().and_then(|bos| text.strip_prefix(bos)).map(str::to_owned);
        let sent = sent.unwrap_or_else(|| text.clone());
        let taken = text.len() - sent.len();
        let mut parts = Vec::new();
        let mut start = taken;
        for &end in cuts.iter().chain(&[text.len()]).filter(|_| !cuts.is_empty()) {
            parts.push(end - start);
            start = end;
        }
        Prompt { sent, sha256, parts }
    }
}
