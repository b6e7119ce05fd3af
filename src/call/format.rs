//! A conversation as the text that a model reads.

use super::{Choice, Error, Manner, Request, Think, manner_of, render_with};
use crate::{
    Result,
    chat::{RenderOptions, select_template},
    runtime::Vocabulary,
    tools::dialect::Dialect,
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
    /// The chat template: of several in the file the one for tools, if there are any.
    ///
    /// # Errors
    /// [`Error::NoTemplate`], or several among which none can be chosen.
    pub fn template<'a>(&'a self, vocabulary: &'a Vocabulary, with_tools: bool) -> Result<&'a str> {
        if let Some(template) = &self.template {
            return Ok(template);
        }
        let templates = &vocabulary.metadata().chat_templates;
        let templates: Vec<(&str, &str)> = templates.iter().map(|(name, text)| (&**name, &**text)).collect();
        if templates.is_empty() {
            return Err(Error::NoTemplate.into());
        }
        Ok(select_template(&templates, with_tools)?)
    }

    /// How the model is told of the tools of `request` and writes calls: what the chat template teaches,
    /// unless another `dialect` is asked for. `None` where there is nothing to call: without tools, or
    /// where none is to be called and the template shows them in a format that is not supported.
    ///
    /// # Errors
    /// What [`Format::template`] and [`manner_of`] report.
    pub fn manner(
        &self,
        vocabulary: &Vocabulary,
        request: &Request<'_>,
        dialect: Option<&'static dyn Dialect>,
    ) -> Result<Option<Manner>> {
        if request.tools.is_none() {
            return Ok(None);
        }
        match manner_of(self.template(vocabulary, true)?, dialect) {
            Err(crate::Error::Call(Error::NoDialect { .. })) if request.choice == Choice::None => Ok(None),
            manner => manner.map(Some),
        }
    }

    /// The prompt: the conversation and the tools of `request` as the chat template writes them, or in the
    /// other `manner`.
    ///
    /// # Errors
    /// [`Error::NoTemplate`], and what the template refuses.
    pub fn render(
        &self,
        vocabulary: &Vocabulary,
        request: &Request<'_>,
        manner: Option<&Manner>,
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
        render_with(self.template(vocabulary, request.tools.is_some())?, request, manner, &options)
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
