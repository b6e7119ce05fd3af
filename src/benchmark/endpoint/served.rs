//! What a server says of itself and of a model: it tells its rows from another's, wherever the server stands.

use crate::http::{Client, Error, Place};
use serde_json::Value;

/// The most characters that are kept of it.
const MOST: usize = 300;

/// What the server behind `client` says of itself and of `model`, in words.
///
/// Asked are the list of models, which all servers have, llama-server's properties and vLLM's version; what a server
/// does not have is left out.
///
/// # Errors
/// Where the server cannot be reached or refuses the key, so that this is said before the first prompt is sent.
pub fn identify(client: &Client, model: &str) -> Result<String, Error> {
    let mut words = Vec::new();
    let models = match client.get(Place::Base, "/models") {
        Ok(models) => models,
        // A server without the list may still answer prompts.
        Err(Error::Status { status: 404 | 405 | 501, .. }) => Value::Null,
        Err(error) => return Err(error),
    };
    let listed: &[Value] = models["data"].as_array().map_or(&[], Vec::as_slice);
    let is_named = |entry: &&Value| {
        let aliases = entry["aliases"].as_array().map_or(&[][..], Vec::as_slice);
        entry["id"] == model || aliases.iter().any(|alias| alias == model)
    };
    // A llama-server has one model and answers to any name.
    let only = || listed.first().filter(|_| listed.len() == 1);
    if let Some(entry) = listed.iter().find(is_named).or_else(only) {
        words.extend(entry["owned_by"].as_str().map(str::to_owned));
        let count = |value: &Value, what: &str| value.as_u64().map(|n| format!("{n} {what}"));
        words.extend(count(&entry["meta"]["n_params"], "parameters"));
        words.extend(count(&entry["meta"]["size"], "bytes"));
    }
    let said = |path: &str| client.get(Place::Root, path).unwrap_or(Value::Null);
    words.extend(said("/version")["version"].as_str().map(|version| format!("version {version}")));
    words.extend(said("/props")["build_info"].as_str().map(|build| format!("build {build}")));
    if words.is_empty() {
        return Ok("a server that says nothing of itself".into());
    }
    // It ends up on terminals, and in every row.
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    Ok(words.join(", ").chars().map(plain).take(MOST).collect())
}
