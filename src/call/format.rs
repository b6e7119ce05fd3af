//! A conversation as the text that a model reads.

use super::{Error, Think};
use crate::{
    Result,
    chat::{Conversation, RenderOptions, Template, select_template},
    runtime::Vocabulary,
    tools::{
        ToolSet,
        dialect::{self, DIALECTS, Dialect},
    },
};
use serde_json::{Map, Value};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// How a conversation is written for a model. The default is what the model's file says.
#[derive(Clone, Debug, Default)]
pub struct Format {
    /// A chat template, in Jinja, in place of the model's.
    pub template: Option<String>,
    /// Further names for the template; they win over those that it always gets.
    pub arguments: Map<String, Value>,
}

impl Format {
    /// The chat template for calls: of several in the file, the one for tools.
    ///
    /// # Errors
    /// [`Error::NoTemplate`], or several among which none can be chosen.
    pub fn template<'a>(&'a self, vocabulary: &'a Vocabulary) -> Result<&'a str> {
        if let Some(template) = &self.template {
            return Ok(template);
        }
        let templates = &vocabulary.metadata().chat_templates;
        let templates: Vec<(&str, &str)> = templates.iter().map(|(name, text)| (&**name, &**text)).collect();
        if templates.is_empty() {
            return Err(Error::NoTemplate.into());
        }
        Ok(select_template(&templates, true)?)
    }

    /// The dialect that the chat template teaches.
    ///
    /// # Errors
    /// [`Error::NoDialect`], and what [`Format::template`] reports.
    pub fn dialect(&self, vocabulary: &Vocabulary) -> Result<&'static dyn Dialect> {
        let supported = || DIALECTS.iter().map(|dialect| dialect.name()).collect();
        let taught = dialect::taught_by(self.template(vocabulary)?);
        Ok(taught.ok_or_else(|| Error::NoDialect { supported: supported() })?)
    }

    /// The prompt: `conversation` and `tools` as the chat template writes them.
    ///
    /// # Errors
    /// [`Error::NoTemplate`], and what the template refuses.
    pub fn render(
        &self,
        vocabulary: &Vocabulary,
        tools: &ToolSet,
        conversation: &Conversation,
        think: Think,
    ) -> Result<String> {
        let text = |token: Option<i32>| {
            token.map(|token| String::from_utf8_lossy(&vocabulary.piece(token)).into_owned())
        };
        let bos = text(vocabulary.bos().filter(|_| vocabulary.adds_bos()));
        let eos = text(vocabulary.eos());
        let options = RenderOptions {
            add_generation_prompt: true,
            enable_thinking: match think {
                Think::Off => Some(false),
                Think::On => Some(true),
                Think::Auto => None,
            },
            bos_token: bos.as_deref(),
            eos_token: eos.as_deref(),
            arguments: self.arguments.clone(),
            ..RenderOptions::default()
        };
        let tools = Value::Array(tools.sources());
        let template = Template::new(self.template(vocabulary)?)?;
        Ok(template.render(conversation, Some(&tools), &options)?)
    }
}

/// The token ids of a rendered prompt: special tokens recognized, text normalized as the model's
/// tokenizer was trained to see it, a BOS token in front only where the model wants one and the
/// prompt does not begin with it.
///
/// # Errors
/// [`runtime::Error::TextTooLong`](crate::runtime::Error::TextTooLong).
pub fn tokenize(vocabulary: &Vocabulary, prompt: &str) -> Result<Vec<i32>> {
    let normalized = match normalizes(vocabulary) {
        true => Cow::Owned(prompt.nfc().collect::<String>()),
        false => Cow::Borrowed(prompt),
    };
    let mut tokens = vocabulary.tokenize(&normalized, true)?;
    if vocabulary.adds_bos()
        && let Some(bos) = vocabulary.bos()
        && tokens.first() != Some(&bos)
    {
        tokens.insert(0, bos);
    }
    Ok(tokens)
}

/// Whether the model's tokenizer brings text into NFC, which llama.cpp does not do.
pub(super) fn normalizes(vocabulary: &Vocabulary) -> bool {
    let pre = vocabulary.metadata().pre_tokenizer.as_deref();
    pre.is_some_and(|pre| NFC_PRE_TOKENIZERS.contains(&pre))
}

/// Pre-tokenizers of the families whose tokenizer.json normalizes to NFC.
const NFC_PRE_TOKENIZERS: &[&str] = &["qwen2", "qwen35", "deepseek-r1-qwen"];
