//! The tools that answers are held against: defaults, and a validator for each schema.

use crate::benchmark::answer::Call;
use crate::benchmark::json::{Json, Object};
use crate::tools::ToolSet;
use indexmap::IndexMap;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// How far a pattern may backtrack before its value counts as refused.
const BACKTRACK_LIMIT: usize = 100_000;

/// Tools with what scoring needs of them.
pub struct Toolbox {
    tools: IndexMap<String, Entry>,
}

struct Entry {
    defaults: Object,
    /// `None` where the schema cannot be compiled: nothing is valid or invalid by it.
    validator: Option<Validator>,
}

impl Toolbox {
    /// Compiles the schema of every tool.
    pub fn new(tools: &ToolSet) -> Toolbox {
        let entry = |tool: &crate::tools::Tool| {
            let properties = tool.parameters().get("properties").and_then(Value::as_object);
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
            (tool.name().to_owned(), Entry { defaults, validator })
        };
        Toolbox { tools: tools.iter().map(entry).collect() }
    }

    /// The arguments of a call, and the default of each property that it leaves out.
    pub fn with_defaults(&self, call: &Call) -> Object {
        let mut arguments = call.arguments.clone();
        for (key, value) in self.tools.get(&call.name).into_iter().flat_map(|tool| &tool.defaults) {
            if !arguments.contains_key(key) {
                arguments.insert(key.clone(), value.clone());
            }
        }
        arguments
    }

    /// Whether the call is of one of the tools and its arguments satisfy that tool's schema; `None` where the schema
    /// is none.
    pub fn accepts(&self, call: &Call) -> Option<bool> {
        let Some(tool) = self.tools.get(&call.name) else { return Some(false) };
        let validator = tool.validator.as_ref()?;
        // NaN is in no schema: it is not JSON.
        let arguments = Json::Object(call.arguments.clone()).to_serde();
        Some(arguments.is_some_and(|arguments| validator.is_valid(&arguments)))
    }
}
