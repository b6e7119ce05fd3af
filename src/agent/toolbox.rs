//! The tools of several sources under unique names.

use super::{Action, Error, Plan, Result, Source, ToolResult};
use crate::tools::{ToolCall, ToolSet};
use serde_json::Value;
use std::collections::BTreeMap;

/// Tools of several sources.
pub struct Toolbox {
    sources: Vec<Box<dyn Source>>,
    set: Option<ToolSet>,
    places: BTreeMap<String, Place>,
}

/// A tool's place: its source, its name there, and the argument that holds the answer if it is one that ends the run.
#[derive(Clone, Debug)]
struct Place {
    source: usize,
    name: String,
    answer: Option<String>,
}

impl Toolbox {
    /// The tools of `sources`, not yet looked at.
    pub fn new(sources: Vec<Box<dyn Source>>) -> Toolbox {
        Toolbox { sources, set: None, places: BTreeMap::new() }
    }

    /// Looks for changes before step `step`; true if the tools are others now.
    ///
    /// # Errors
    /// Tools that cannot be used, or none at all.
    pub fn refresh(&mut self, step: usize) -> Result<bool> {
        let mut has_changed = self.set.is_none();
        for source in &mut self.sources {
            has_changed |= source.refresh(step)?;
        }
        if has_changed {
            self.read()?;
        }
        Ok(has_changed)
    }

    /// Reads the tools of all sources. A name of two sources gets the name of its source before it, for each but the first
    /// source.
    fn read(&mut self) -> Result<()> {
        let mut definitions = Vec::new();
        self.places.clear();
        for (at, source) in self.sources.iter().enumerate() {
            for tool in source.tools() {
                let mut name = tool.name.clone();
                if self.places.get(&name).is_some_and(|place| place.source != at) {
                    name = format!("{}_{name}", source.name());
                }
                let place = Place { source: at, name: tool.name.clone(), answer: tool.answer.clone() };
                if self.places.insert(name.clone(), place).is_some() {
                    return Err(Error::Duplicate { name });
                }
                definitions.push(named(tool.definition.clone(), &name));
            }
        }
        if definitions.is_empty() {
            let names: Vec<&str> = self.sources.iter().map(|source| source.name()).collect();
            return Err(Error::NoTools { problem: format!("{} has none", names.join(", ")) });
        }
        self.set = Some(ToolSet::from_value(Value::Array(definitions))?);
        Ok(())
    }

    /// The tools, after the first [`refresh`](Self::refresh).
    ///
    /// # Panics
    /// Before it.
    pub fn tools(&self) -> &ToolSet {
        self.set.as_ref().expect("the tools are looked at before the first step")
    }

    /// True if a tool ends the run with an answer.
    pub fn has_answer_tool(&self) -> bool {
        self.places.values().any(|place| place.answer.is_some())
    }

    /// Arguments that hold the answer, by the name of the tool that ends the run.
    pub(super) fn answers(&self) -> Vec<(String, String)> {
        let answer = |(name, place): (&String, &Place)| Some((name.clone(), place.answer.clone()?));
        self.places.iter().filter_map(answer).collect()
    }

    /// The answer in `call`, if it is one of a tool that ends the run.
    pub(super) fn answer(&self, call: &ToolCall) -> Option<String> {
        let argument = self.places.get(call.name())?.answer.as_ref()?;
        Some(match call.arguments().get(argument) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => crate::json::spaced(other),
        })
    }

    pub(super) fn plan(&self, call: &ToolCall) -> Result<Plan, ToolResult> {
        let place = self.place(call);
        self.sources[place.source].plan(&place.name, call)
    }

    pub(super) fn run(&mut self, call: &ToolCall, action: Action) -> Result<ToolResult> {
        let place = self.place(call).clone();
        self.sources[place.source].run(&place.name, call, action)
    }

    fn place(&self, call: &ToolCall) -> &Place {
        self.places.get(call.name()).expect("the call was checked against the tools")
    }
}

/// `definition` with another name.
fn named(mut definition: Value, name: &str) -> Value {
    let function = match definition.get_mut("function") {
        Some(function) => function,
        None => &mut definition,
    };
    if let Some(slot) = function.get_mut("name") {
        *slot = name.into();
    }
    definition
}
