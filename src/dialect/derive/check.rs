//! The last step of a derivation: what the dialect writes, held against what the template renders.

use super::{
    NotDerived,
    frame::written_call,
    probe::{Ask, Call, Probe},
};
use crate::dialect::{Dialect, WrittenCall};
use serde_json::{Map, Value, json};

/// Compares further values, calls without arguments, and several calls in a turn.
///
/// # Errors
/// [`NotDerived::Differs`] with what was asked first that differs.
pub(super) fn check(probe: &Probe<'_>, dialect: &Dialect, lead: &str) -> Result<(), NotDerived> {
    let words = &probe.words;
    let call = |nth: usize, values: Vec<Value>| {
        let arguments: Map<String, Value> =
            values.into_iter().enumerate().map(|(at, value)| (words.key(at + 10), value)).collect();
        Call { name: words.name(nth), arguments }
    };
    let mut asked = vec![
        ("further values", vec![call(0, values())]),
        ("a call without arguments", vec![call(1, Vec::new())]),
    ];
    if dialect.next.is_some() {
        asked.push(("two calls without arguments", vec![call(0, Vec::new()), call(2, Vec::new())]));
        let several = vec![
            call(2, vec![json!({"a": [1, "x"]}), json!("")]),
            call(0, Vec::new()),
            call(0, vec![json!("one\ntwo"), json!(null), json!(7)]),
        ];
        asked.push(("several calls", several));
    }
    for (what, calls) in asked {
        let rendered = probe.turn(&Ask::calls(&calls)).map_err(NotDerived::Fails)?;
        let calls: Vec<WrittenCall<'_>> =
            calls.iter().enumerate().map(|(nth, call)| written_call(probe, call, nth)).collect();
        let end = dialect.end.first().map_or("", String::as_str);
        let written = format!("{lead}{}{end}", dialect.write_calls(&calls, 0));
        // A mark that the template forgets behind a single call is in the dialect; see the notes.
        let is_short = calls.len() == 1 && dialect.next.is_some() && written.starts_with(&rendered.turn);
        let forgot = is_short && !rendered.turn.is_empty() && rendered.turn.len() + 64 > written.len();
        if written != rendered.turn && !forgot {
            return Err(NotDerived::Differs(difference(what, &written, &rendered.turn)));
        }
    }
    Ok(())
}

/// The place where two texts part, in words.
fn difference(what: &str, written: &str, rendered: &str) -> String {
    let at = super::cut::common(written, rendered);
    let near = |text: &str| text[at..].chars().take(40).collect::<String>();
    format!("for {what}, {:?} in place of {:?}", near(written), near(rendered))
}

fn values() -> Vec<Value> {
    vec![
        json!("text"),
        json!("a, b"),
        json!("a: b"),
        json!("{x}"),
        json!("[y]"),
        json!("tab\tand\\t"),
        json!("\n"),
        json!("  "),
        json!("two\n\nlines\n"),
        json!("''"),
        json!("\"\""),
        json!("true"),
        json!("null"),
        json!("None"),
        json!("1.50"),
        json!("naïve 東京"),
        json!("a < b && c > d"),
        json!("(f(x))"),
        json!(12_345_678_901_i64),
        json!(-42),
        json!(0.1),
        json!(2.0),
        json!(-1e-9),
        json!(false),
        json!([[]]),
        json!([{"k": [null, "v"]}, 1.0]),
        json!(["a", "b"]),
        json!({"k": "v"}),
        json!({"b": {"a": {}}, "A": [], "c": "it's"}),
        json!({"n": -7, "t": true, "z": null, "s": "x, y"}),
        json!("last"),
    ]
}
