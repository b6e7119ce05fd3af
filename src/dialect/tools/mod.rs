//! Tools as a chat template shows them: put into a form that it takes, and what it loses all the same.
//!
//! Tools in ordinary form reach the template as they are. Where it fails on them, or loses less of another form, it gets
//! that form; the grammar keeps the schema as it was given.

mod normal;
mod places;

use super::memo::Memo;
use crate::chat::{LocalTime, RenderOptions, Renderer, Template};
use places::{Marked, Names};
use serde::Serialize;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};

/// Limit on the work of one rendering, in the template engine's steps.
const FUEL: u64 = 4_000_000;

/// Tools for a template.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownTools {
    /// The tools to render.
    pub tools: Vec<Value>,
    /// The parts that the template does not show of them.
    pub lost: Vec<Lost>,
    /// True if they are not as they were given.
    pub changed: bool,
}

/// A part of a tool's schema that a template does not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The tool's name.
    pub tool: String,
    /// The parameter, such as `address.city` or `tags[]`.
    pub parameter: String,
    /// The keyword, such as `enum`; `None` if the parameter itself is lost.
    pub keyword: Option<String>,
    /// The value of the keyword, or the parameter's schema, as JSON.
    pub value: String,
}

impl Lost {
    /// One sentence about it.
    pub fn note(&self) -> String {
        let Lost { tool, parameter, .. } = self;
        match &self.keyword {
            Some(keyword) => {
                format!(
                    "the chat template does not show the model `{keyword}` of `{parameter}` of tool `{tool}`"
                )
            }
            None => format!(
                "the chat template does not show the model the parameter `{parameter}` of tool `{tool}`"
            ),
        }
    }
}

/// Longest text that is added to a description, in bytes.
const MAX_ADDED: usize = 4 << 10;

/// The last tools, by template and tools as given.
static SHOWN: Memo<(String, Vec<Value>), ShownTools> = Memo::new();

impl ShownTools {
    /// As [`ShownTools::new`], and without rendering again for the templates and tools that were asked for last.
    pub fn remembered(template: &Template, tools: &[Value]) -> Arc<ShownTools> {
        let is_key = |(text, known): &(String, Vec<Value>)| text == template.source() && known == tools;
        let make = || {
            let key = (template.source().to_owned(), tools.to_vec());
            Ok::<_, Infallible>((key, ShownTools::new(template, tools)))
        };
        match SHOWN.get(is_key, make) {
            Ok(shown) => shown,
            Err(never) => match never {},
        }
    }

    /// The tools in the form that `template` takes and loses least of.
    pub fn new(template: &Template, tools: &[Value]) -> ShownTools {
        let given = ShownTools { tools: tools.to_vec(), lost: Vec::new(), changed: false };
        let best = template.with_renderer(FUEL, |renderer| {
            let mut best = look(renderer, template, tools);
            if best.as_ref().is_some_and(Vec::is_empty) {
                return best.map(|lost| ShownTools { lost, ..given.clone() });
            }
            let mut chosen = best.clone().map(|lost| ShownTools { lost, ..given.clone() });
            for fills in [false, true] {
                // What is filled in says nothing, so it is only for templates that fail without.
                if fills && best.is_some() {
                    break;
                }
                let normal = normal::tools(tools, fills);
                let Some(lost) = look(renderer, template, &normal) else { continue };
                if best.as_ref().is_none_or(|least| lost.len() < least.len()) {
                    best = Some(lost.clone());
                    chosen = Some(ShownTools { tools: normal, lost, changed: true });
                }
            }
            chosen
        });
        best.ok().flatten().unwrap_or(given)
    }

    /// The tools with what is lost in their descriptions.
    pub fn with_lost_in_descriptions(mut self) -> ShownTools {
        for tool in &mut self.tools {
            let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) else { continue };
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut added = String::new();
            for lost in self.lost.iter().filter(|lost| lost.tool == name) {
                let line = match &lost.keyword {
                    Some(keyword) => format!("\n{}: {keyword} {}", lost.parameter, lost.value),
                    None => format!("\n{}: {}", lost.parameter, lost.value),
                };
                if added.len() + line.len() <= MAX_ADDED {
                    added.push_str(&line);
                }
            }
            if !added.is_empty() {
                let own = function.get("description").and_then(Value::as_str).unwrap_or_default();
                let description = format!("{own}{added}").trim_start().to_owned();
                function.insert("description".into(), description.into());
                self.changed = true;
            }
        }
        self
    }
}

/// The parts of `tools` that `template` loses; `None` if it fails on them.
fn look(renderer: &Renderer<'_>, template: &Template, tools: &[Value]) -> Option<Vec<Lost>> {
    let render = |tools: &[Value]| {
        let question = json!({"role": "user", "content": "question"});
        let options = RenderOptions {
            add_generation_prompt: true,
            bos_token: Some("<s>"),
            eos_token: Some("</s>"),
            now: LocalTime::from_epoch(0),
            ..RenderOptions::default()
        };
        renderer.render(&[question], Some(&Value::Array(tools.to_vec())), &options).ok()
    };
    render(tools)?;
    // Under their own names parameters may be dropped, and under others they show what is dropped of each.
    let own = Marked::new(template.source(), tools, Names::Own)?;
    let other = Marked::new(template.source(), tools, Names::Other)?;
    let (own_text, other_text) = (render(&own.tools)?, render(&other.tools)?);
    // A template that shows no tools at all loses nothing that could be told otherwise.
    if !other.shows_any(&other_text) {
        return Some(Vec::new());
    }
    Some(other.lost(&other_text, &own, &own_text))
}

#[cfg(test)]
mod tests;
