//! Rendering: a conversation to the text of a prompt, and on to its tokens.

use super::{
    Choice, Error, Request, Result, Think,
    content::{Marks, RenderedPrompt},
    study::study,
    text_tools,
    tool_format::ToolFormat,
};
use crate::{
    arch::pretokenizer,
    cache::Cache,
    chat::{self, RenderOptions, Template, select_template},
    dialect::{
        self, Wanted,
        tools::{Lost, ShownTools},
    },
    runtime::Vocabulary,
    tools::{Tool, ToolSet},
};
use serde_json::{Map, Value};
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Template and template arguments. The default is the template in the model's file.
#[derive(Clone, Debug, Default)]
pub struct PromptTemplate {
    /// A chat template, in Jinja, in place of the model's.
    pub template: Option<String>,
    /// Further template arguments; they override the standard ones.
    pub arguments: Map<String, Value>,
    /// Reads `<|im_end|>` and the like in messages and tools as special tokens, as transformers does. Otherwise they are
    /// text there.
    pub trust_content: bool,
    /// Adds to the description of a tool what the template's notation cannot say of its parameters.
    pub says_lost: bool,
}

impl PromptTemplate {
    /// The chat template. If the file has several, the one for tools if `with_tools`.
    ///
    /// # Errors
    /// [`Error::NoTemplate`], or several templates among which none can be chosen.
    pub fn template<'a>(&'a self, vocabulary: &'a Vocabulary, with_tools: bool) -> Result<&'a str> {
        if let Some(template) = &self.template {
            return Ok(template);
        }
        let templates = &vocabulary.metadata().chat_templates;
        let templates: Vec<(&str, &str)> = templates.iter().map(|(name, text)| (&**name, &**text)).collect();
        if templates.is_empty() {
            return Err(Error::NoTemplate);
        }
        Ok(select_template(&templates, with_tools)?)
    }

    /// The tool-call format for `request`: the chat template's own unless another is `wanted`. `None`
    /// without tools, and if no call is wanted and the template's format is not supported.
    ///
    /// # Errors
    /// Errors of [`PromptTemplate::template`] and [`ToolFormat::detect`].
    pub fn tool_format(
        &self,
        vocabulary: &Vocabulary,
        request: &Request<'_>,
        wanted: &Wanted,
    ) -> Result<Option<ToolFormat>> {
        self.tool_format_with(vocabulary, request, wanted, None)
    }

    /// As [`PromptTemplate::tool_format`]; what was derived from the template is read from `cache`, or kept there.
    ///
    /// # Errors
    /// As [`PromptTemplate::tool_format`]; failures of the cache are none.
    pub fn tool_format_with(
        &self,
        vocabulary: &Vocabulary,
        request: &Request<'_>,
        wanted: &Wanted,
        cache: Option<&Cache>,
    ) -> Result<Option<ToolFormat>> {
        if request.tools.is_none() {
            return Ok(None);
        }
        let is_token = |text: &str| vocabulary.tokenize(text, true).is_ok_and(|tokens| tokens.len() == 1);
        let template = self.template(vocabulary, true)?;
        match ToolFormat::chosen(&*study(template, cache)?, template, wanted, &is_token) {
            Err(Error::Dialect(dialect::Error::NotTold { .. })) if request.choice == Choice::None => Ok(None),
            tool_format => tool_format.map(Some),
        }
    }

    /// The parts of the tools of `request` that the template does not show the model; none where the tools are told in text.
    ///
    /// # Errors
    /// Errors of [`PromptTemplate::template`].
    pub fn lost(
        &self,
        vocabulary: &Vocabulary,
        request: &Request<'_>,
        tool_format: Option<&ToolFormat>,
    ) -> Result<Vec<Lost>> {
        let Some(tools) = request.tools else { return Ok(Vec::new()) };
        if tool_format.is_some_and(|format| !format.by_template) {
            return Ok(Vec::new());
        }
        let template = Template::new(self.template(vocabulary, true)?)?;
        Ok(ShownTools::remembered(&template, &tools.sources()).lost.clone())
    }

    fn shown(&self, template: &Template, tools: &ToolSet) -> Vec<Value> {
        let shown = ShownTools::remembered(template, &tools.sources());
        match self.says_lost {
            true => (*shown).clone().with_lost_in_descriptions().tools,
            false => shown.tools.clone(),
        }
    }

    /// Renders the prompt: conversation and tools of `request` through the chat template, or with the tools as
    /// text if `tool_format` says so.
    ///
    /// # Errors
    /// [`Error::NoTemplate`], [`chat::Error::EmptyPrompt`], and errors of the template.
    pub fn render(
        &self,
        vocabulary: &Vocabulary,
        request: &Request<'_>,
        tool_format: Option<&ToolFormat>,
        think: Think,
    ) -> Result<RenderedPrompt> {
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
        let template = self.template(vocabulary, request.tools.is_some())?;
        let marks = match self.trust_content {
            true => None,
            false => {
                let tools = request.tools.into_iter().flat_map(ToolSet::iter).map(Tool::source);
                Marks::new(vocabulary, request.conversation, &tools.collect::<Vec<_>>())
            }
        };
        let shown = |template: &Template, tools: &ToolSet| self.shown(template, tools);
        let text = render_marked(template, request, tool_format, (marks.as_ref(), &shown), &options)?;
        let prompt = match marks {
            Some(marks) => marks.cut(&text),
            None => RenderedPrompt::from(text),
        };
        // An empty prompt gets an answer only if the model adds a BOS token, and the answer is noise.
        if prompt.is_empty() { Err(chat::Error::EmptyPrompt.into()) } else { Ok(prompt) }
    }
}

/// Renders the prompt: conversation and tools through the chat template. If `tool_format` says that the template
/// shows no tools, they are put into the messages as text.
///
/// # Errors
/// Errors of the template.
pub fn render_with(
    template: &str,
    request: &Request<'_>,
    tool_format: Option<&ToolFormat>,
    options: &RenderOptions<'_>,
) -> Result<String> {
    let shown = |template: &Template, tools: &ToolSet| {
        ShownTools::remembered(template, &tools.sources()).tools.clone()
    };
    render_marked(template, request, tool_format, (None, &shown), options)
}

/// The tools as a template gets them.
type Shown<'s> = &'s dyn Fn(&Template, &ToolSet) -> Vec<Value>;

/// Renders the prompt like [`render_with`], with marks in the content if there are any.
fn render_marked(
    template: &str,
    request: &Request<'_>,
    tool_format: Option<&ToolFormat>,
    (marks, shown): (Option<&Marks<'_>>, Shown<'_>),
    options: &RenderOptions<'_>,
) -> Result<String> {
    let template = Template::new(template)?;
    let conversation = match marks {
        Some(marks) => Cow::Owned(marks.conversation(request.conversation)),
        None => Cow::Borrowed(request.conversation),
    };
    Ok(match (request.tools, tool_format) {
        (Some(tools), Some(ToolFormat { dialect, by_template: false, .. })) => {
            let describe =
                |text: &str| marks.map_or_else(|| text.to_owned(), |marks| marks.text(text).into_owned());
            let told = text_tools::Told { tools, choice: &request.choice, describe: &describe };
            text_tools::render(&template, dialect, &told, &conversation, options)?
        }
        (tools, format) => {
            let conversation = match format {
                Some(format) => Cow::Owned(format.handed_over(&conversation, tools)),
                None => conversation,
            };
            let tools = tools.map(|tools| Value::Array(shown(&template, tools)));
            let tools = match (tools, marks) {
                (Some(tools), Some(marks)) => Some(marks.tools(&tools)),
                (tools, _) => tools,
            };
            template.render(&conversation, tools.as_ref(), options)?
        }
    })
}

/// Tokenizes a rendered prompt. Special tokens are recognized, the text is normalized as the model's tokenizer
/// does it, and a BOS token is added if the model wants one and the prompt does not start with it.
///
/// # Errors
/// [`runtime::Error::TextTooLong`](crate::runtime::Error::TextTooLong).
pub fn tokenize(vocabulary: &Vocabulary, prompt: &str) -> Result<Vec<i32>> {
    tokenize_parts(vocabulary, [prompt])
}

impl RenderedPrompt {
    /// The token ids; as [`tokenize`] for each part between cuts.
    ///
    /// # Errors
    /// As [`tokenize`].
    pub fn tokenize(&self, vocabulary: &Vocabulary) -> Result<Vec<i32>> {
        tokenize_parts(vocabulary, self.parts())
    }
}

fn tokenize_parts<'p>(vocabulary: &Vocabulary, parts: impl IntoIterator<Item = &'p str>) -> Result<Vec<i32>> {
    let normalizes = normalizes(vocabulary);
    let mut tokens = Vec::new();
    for part in parts {
        let text = if normalizes { normalized(vocabulary, part) } else { Cow::Borrowed(part) };
        tokens.extend(vocabulary.tokenize(&text, true)?);
    }
    if vocabulary.adds_bos()
        && let Some(bos) = vocabulary.bos()
        && tokens.first() != Some(&bos)
    {
        tokens.insert(0, bos);
    }
    Ok(tokens)
}

/// `prompt` in NFC. Each stretch between special tokens is normalized by itself, as `tokenizers` does it: a
/// combining mark after `<|im_end|>` does not join its last character.
fn normalized<'p>(vocabulary: &Vocabulary, prompt: &'p str) -> Cow<'p, str> {
    if is_nfc_quick(prompt.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(prompt);
    }
    let specials = vocabulary.special_texts();
    let (mut out, mut start, mut at) = (String::with_capacity(prompt.len()), 0, 0);
    while let Some(next) = prompt[at..].chars().next() {
        match specials.length_at(&prompt[at..]) {
            Some(length) => {
                out.extend(prompt[start..at].nfc());
                out.push_str(&prompt[at..at + length]);
                at += length;
                start = at;
            }
            None => at += next.len_utf8(),
        }
    }
    out.extend(prompt[start..].nfc());
    Cow::Owned(out)
}

/// True if the model's tokenizer normalizes to NFC, which llama.cpp does not do.
pub(super) fn normalizes(vocabulary: &Vocabulary) -> bool {
    let pre = vocabulary.metadata().pre_tokenizer.as_deref();
    pre.and_then(pretokenizer::named).is_some_and(|pre| pre.normalizes_to_nfc)
}
