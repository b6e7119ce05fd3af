//! Defaults and schema validators of the tools that calls are scored against.

use crate::{
    bench::data::{
        Call, Case, Dataset,
        json::{Json, Object},
    },
    json::has_wide_numbers,
    tools::{self, ToolCall, ToolSet, check},
};
use indexmap::IndexMap;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use std::ptr;

/// Backtracking limit of a regular expression; a value that exceeds it is invalid.
const BACKTRACK_LIMIT: usize = 100_000;

/// Tools with the data that scoring needs, for every case of a data set.
pub struct Toolboxes<'d> {
    each: Vec<(&'d ToolSet, Toolbox)>,
}

impl<'d> Toolboxes<'d> {
    /// Compiles the schema of every tool of `dataset`.
    pub fn new(dataset: &'d Dataset) -> Toolboxes<'d> {
        let mut each: Vec<(&ToolSet, Toolbox)> = Vec::new();
        for tools in dataset.cases.iter().map(Case::tools) {
            if !each.iter().any(|(known, _)| ptr::eq(*known, tools)) {
                each.push((tools, Toolbox::new(tools)));
            }
        }
        Toolboxes { each }
    }

    /// The tools of `case`.
    ///
    /// # Panics
    /// If it is a case of another data set.
    pub fn of_case(&self, case: &Case) -> &Toolbox {
        let known = self.each.iter().find(|(known, _)| ptr::eq(*known, case.tools()));
        &known.expect("it is a case of the data set").1
    }
}

/// Tools with the data that scoring needs.
pub struct Toolbox {
    set: ToolSet,
    tools: IndexMap<String, Entry>,
}

struct Entry {
    defaults: Object,
    /// `None` if the schema cannot be compiled; calls of the tool are then not scored.
    validator: Option<Validator>,
    /// True if numbers of the schema are wide, so that the `validator` has others.
    is_wide: bool,
}

impl Toolbox {
    /// Compiles the schema of every tool.
    pub fn new(tools: &ToolSet) -> Toolbox {
        let entry = |tool: &crate::tools::Tool| {
            let exact = tool.exact_parameters();
            let properties = exact.get("properties").and_then(Value::as_object);
            let defaults = properties
                .into_iter()
                .flatten()
                .filter_map(|(key, schema)| Some((key.clone(), Json::from(schema.get("default")?))))
                .collect();
            let validator = jsonschema::options()
                .should_validate_formats(true)
                .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
                .build(&Value::Object(tool.parameters().clone()))
                .ok();
            (
                tool.name().to_owned(),
                Entry { defaults, validator, is_wide: exact.values().any(has_wide_numbers) },
            )
        };
        Toolbox { set: tools.clone(), tools: tools.iter().map(entry).collect() }
    }

    /// Names of the tools whose schema cannot be compiled; their calls are not validated.
    pub fn uncompiled(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter(|(_, entry)| entry.validator.is_none()).map(|(name, _)| name.as_str())
    }

    /// Arguments of a call, with the default of each omitted property filled in.
    pub fn with_defaults(&self, call: &Call) -> Object {
        let mut arguments = call.arguments.clone();
        for (key, value) in self.tools.get(&call.name).into_iter().flat_map(|tool| &tool.defaults) {
            if !arguments.contains_key(key) {
                arguments.insert(key.clone(), value.clone());
            }
        }
        arguments
    }

    /// True if the call names one of the tools and that tool's schema accepts its arguments; `None` if the schema
    /// cannot be compiled.
    pub fn accepts(&self, call: &Call) -> Option<bool> {
        let Some(tool) = self.tools.get(&call.name) else { return Some(false) };
        let validator = tool.validator.as_ref()?;
        // NaN and infinities are not JSON, so no schema accepts them.
        let arguments = Json::Object(call.arguments.clone());
        let Some(value) = arguments.to_serde() else { return Some(false) };
        if !tool.is_wide && !arguments.has_wide_numbers() {
            return Some(validator.is_valid(&value));
        }
        // Only our own validator knows numbers beyond 64 bits.
        let call = ToolCall::from_text(&*call.name, &arguments.to_string()).ok()?;
        match check::check(&self.set, &call) {
            Ok(()) => Some(true),
            Err(tools::Error::Mismatch { .. }) => Some(false),
            Err(_) => None,
        }
    }
}
