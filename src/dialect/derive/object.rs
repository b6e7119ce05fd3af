//! Arguments that are one JSON object.

use super::{
    Around, NotDerived,
    probe::{Ask, Probe},
};
use crate::dialect::{Arguments, JsonStyle, encode};
use serde_json::{Value, json};

/// The text around the arguments if they are JSON in one of the known styles.
///
/// # Errors
/// The template's error.
pub(super) fn find(probe: &Probe<'_>) -> Result<Option<Around>, NotDerived> {
    let words = &probe.words;
    // Not in alphabetical order, so that a sorted style shows.
    let call = probe.call([
        (words.key(2), json!("a \"b\"\nc\\d ü 🙂 <e> & 'f'")),
        (words.key(1), json!({"z": {"y": []}, "x": {}, "w": [1, "v", null, {"u": true}]})),
        (words.key(3), json!(-1.5)),
        (words.key(4), json!(words.value(1))),
    ]);
    let turn = probe.turn(&Ask::calls(std::slice::from_ref(&call))).map_err(NotDerived::Fails)?.turn;
    let value = Value::Object(call.arguments);
    let found = styles().find_map(|style| {
        let text = encode::json_text(&value, style);
        turn.find(&text).map(|at| (style, at, at + text.len()))
    });
    Ok(found.map(|(style, start, end)| Around {
        head: turn[..start].to_owned(),
        tail: turn[end..].to_owned(),
        arguments: Arguments::Json(style),
    }))
}

/// Every style, the usual ones first.
pub(super) fn styles() -> impl Iterator<Item = JsonStyle> {
    let indented = [2, 4, 1, 3, 8]
        .into_iter()
        .flat_map(|by| [0, 2, 4, 6, 8, 12, 16].into_iter().map(move |base| JsonStyle::Indented { by, base }));
    [JsonStyle::Spaced, JsonStyle::Compact, JsonStyle::Ascii, JsonStyle::Sorted].into_iter().chain(indented)
}
