//! Limits of a profile's values, and the check of them.

use super::{Error, Profile, Result, SystemText, ToolChoice};
use crate::{dialect, json, tools::ToolSet};
use serde::Serialize;
use std::{num::NonZeroUsize, ops::RangeInclusive};

/// Most bytes of a profile's JSON form.
pub const MAX_JSON_BYTES: usize = 16 << 20;
/// Most bytes of a system text or a task description.
pub const MAX_SYSTEM_BYTES: usize = 1 << 20;
/// Most bytes of the tools as compact JSON.
pub const MAX_TOOLS_BYTES: usize = 4 << 20;
/// Most bytes of the template arguments as compact JSON.
pub const MAX_ARGUMENTS_BYTES: usize = 1 << 18;
/// Highest token budget.
pub const MAX_MAX_TOKENS: usize = 1 << 24;
/// Most calls in one turn.
pub const MAX_PARALLEL: usize = 64;
/// Highest temperature.
pub const MAX_TEMPERATURE: f32 = 100.0;
/// Most bytes of a tool's name in a tool choice.
const MAX_NAME_BYTES: usize = 1 << 10;
/// Highest `top_k`; no vocabulary has as many tokens.
const MAX_TOP_K: usize = 1 << 24;

impl Profile {
    /// Checks sizes and ranges, reads the tools, and looks for the dialect and the chosen tool. Schemas are not compiled.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self) -> Result<()> {
        match &self.system {
            Some(SystemText::Text(text)) => within("system", text.len(), MAX_SYSTEM_BYTES)?,
            Some(SystemText::Task(text)) => within("task", text.len(), MAX_SYSTEM_BYTES)?,
            None => {}
        }
        if let Some(ToolChoice::Named(name)) = &self.tool_choice {
            within("tool_choice", name.len(), MAX_NAME_BYTES)?;
        }
        self.check_tools()?;
        let sampling = &self.sampling;
        in_range("temperature", sampling.temperature, 0.0..=MAX_TEMPERATURE)?;
        in_range("top_p", sampling.top_p, 0.0..=1.0)?;
        in_range("min_p", sampling.min_p, 0.0..=1.0)?;
        at_most("top_k", sampling.top_k, MAX_TOP_K)?;
        at_most("max_tokens", self.max_tokens, MAX_MAX_TOKENS)?;
        at_most("parallel", self.parallel, MAX_PARALLEL)?;
        if let Some(name) = self.dialect.as_deref().filter(|name| dialect::named(name).is_none()) {
            let known = dialect::names();
            let shown: String = name.chars().take(64).collect();
            return Err(Error::value(
                "dialect",
                format!("is `{}`; known are {}", shown.escape_debug(), known.join(", ")),
            ));
        }
        within("template_arguments", json_bytes(&self.template_arguments), MAX_ARGUMENTS_BYTES)
    }

    /// The profile's tools; `None` if it has none, or an empty list.
    ///
    /// # Errors
    /// [`Error::Tools`] with the tool and its invalid field.
    pub fn tool_set(&self) -> Result<Option<ToolSet>> {
        match &self.tools {
            None => Ok(None),
            Some(tools) if tools.as_array().is_some_and(Vec::is_empty) => Ok(None),
            Some(tools) => {
                ToolSet::from_value(tools.clone()).map(Some).map_err(|source| Error::Tools { source })
            }
        }
    }

    fn check_tools(&self) -> Result<()> {
        if let Some(tools) = &self.tools {
            within("tools", json_bytes(&json::Exact(tools)), MAX_TOOLS_BYTES)?;
        }
        let tools = self.tool_set()?;
        match &self.tool_choice {
            Some(ToolChoice::Named(name)) => match tools {
                Some(tools) => tools.only(name).map(drop).map_err(|source| Error::Tools { source }),
                // The tools may come with the request.
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).expect("a JSON value is written to memory").len()
}

pub(super) fn within(key: &'static str, bytes: usize, most: usize) -> Result<()> {
    if bytes > most { Err(Error::TooLong { key, bytes, most }) } else { Ok(()) }
}

fn in_range(key: &'static str, value: Option<f32>, range: RangeInclusive<f32>) -> Result<()> {
    match value {
        Some(number) if !range.contains(&number) => Err(Error::value(
            key,
            format!("is {number}; a number from {} to {} is expected", range.start(), range.end()),
        )),
        _ => Ok(()),
    }
}

fn at_most(key: &'static str, value: Option<NonZeroUsize>, most: usize) -> Result<()> {
    match value {
        Some(number) if number.get() > most => {
            Err(Error::value(key, format!("is {number}; a whole number from 1 to {most} is expected")))
        }
        _ => Ok(()),
    }
}
