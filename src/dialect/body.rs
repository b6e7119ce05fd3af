//! A call as one JSON object: a name, and the arguments under a key that depends on the model family.

use super::read::no_call;
use crate::tools::{Error, ToolCall};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The JSON object of a call, with the extra fields of some families.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body<'t> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'t RawValue>,
    #[serde(borrow)]
    parameters: Option<&'t RawValue>,
    /// An id, which has no meaning outside of the turn that answers it.
    #[serde(rename = "id")]
    _id: Option<String>,
}

impl Body<'_> {
    /// The call with the arguments under `key`: `arguments` or `parameters`.
    pub(super) fn call(self, key: &str) -> Result<ToolCall, Error> {
        let (wanted, other) = match key {
            "parameters" => (self.parameters, self.arguments),
            _ => (self.arguments, self.parameters),
        };
        match (wanted, other) {
            (Some(arguments), None) => ToolCall::from_text(self.name, arguments.get()),
            _ => Err(no_call(format!("its one key beside `name` should be `{key}`"))),
        }
    }
}

/// Parses `text`, which must be a single call.
pub(super) fn parse(text: &str, key: &str) -> Result<ToolCall, Error> {
    let body: Body<'_> = serde_json::from_str(text)
        .map_err(|error| no_call(format!("it is not one JSON object ({error})")))?;
    body.call(key)
}
