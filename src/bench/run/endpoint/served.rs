//! A server's description of itself and of a model; it tells rows of one server from those of another at any address.

use crate::http::{Client, Error, Place};
use serde_json::Value;

/// Maximum length of the description, in characters.
const MAX_CHARS: usize = 300;

/// Describes the server behind `client` and its `model` in one line.
///
/// The sources are `/models`, llama-server's `/props` and vLLM's `/version`; an endpoint that the server lacks is left
/// out.
///
/// # Errors
/// A server that cannot be reached or that refuses the key. This shows before the first prompt is sent.
pub fn identify(client: &Client, model: &str) -> Result<String, Error> {
    let mut words = Vec::new();
    let models = match client.get(Place::Base, "/models") {
        Ok(models) => models,
        // A server without `/models` may still answer prompts.
        Err(Error::Status { status: 404 | 405 | 501, .. }) => Value::Null,
        Err(error) => return Err(error),
    };
    let listed: &[Value] = models["data"].as_array().map_or(&[], Vec::as_slice);
    let is_named = |entry: &&Value| {
        let aliases = entry["aliases"].as_array().map_or(&[][..], Vec::as_slice);
        entry["id"] == model || aliases.iter().any(|alias| alias == model)
    };
    // A llama-server has one model and accepts any name for it.
    let only = || listed.first().filter(|_| listed.len() == 1);
    if let Some(entry) = listed.iter().find(is_named).or_else(only) {
        words.extend(entry["owned_by"].as_str().map(str::to_owned));
        let count = |value: &Value, unit: &str| value.as_u64().map(|n| format!("{n} {unit}"));
        words.extend(count(&entry["meta"]["n_params"], "parameters"));
        words.extend(count(&entry["meta"]["size"], "bytes"));
    }
    let reply = |path: &str| client.get(Place::Root, path).unwrap_or(Value::Null);
    words.extend(reply("/version")["version"].as_str().map(|version| format!("version {version}")));
    words.extend(reply("/props")["build_info"].as_str().map(|build| format!("build {build}")));
    if words.is_empty() {
        return Ok("a server that says nothing of itself".into());
    }
    // The description is printed on terminals and stored in every row.
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    Ok(words.join(", ").chars().map(plain).take(MAX_CHARS).collect())
}
