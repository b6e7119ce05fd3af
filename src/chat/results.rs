//! Results of tool calls in the order of their calls, by `tool_call_id`.
//!
//! Most chat templates show no ids: the model takes the first result for that of the first call. OpenAI's interface
//! lets results stand in any order.

use super::{Error, FieldError, Message, Role};
use serde_json::Value;
use std::collections::HashSet;

/// Puts each run of `tool` messages into the order of the calls before it. Messages without ids keep their order.
///
/// # Errors
/// [`Error::Field`] for an id that no earlier call has, for a second result of a call, and for a call without a result
/// before one that has its own.
pub(super) fn in_order(messages: &mut [Message]) -> Result<(), Error> {
    let mut known: HashSet<String> = HashSet::new();
    // False once a message may hold calls whose ids are not known: as text, or without ids.
    let mut all_known = true;
    let mut at = 0;
    while at < messages.len() {
        let end = messages[at..]
            .iter()
            .position(|message| message.role() != Role::Tool)
            .map_or(messages.len(), |n| at + n);
        if end > at {
            let caller = at.checked_sub(1).filter(|&caller| !messages[caller].tool_calls().is_empty());
            check_known(&messages[..end], at, caller, &known, all_known)?;
            if let Some(caller) = caller {
                sort(messages, caller, end)?;
            }
            at = end;
            continue;
        }
        if messages[at].role() == Role::Assistant {
            let ids = ids(&messages[at]);
            all_known &= !ids.is_empty() && ids.iter().all(Option::is_some);
            known.extend(ids.into_iter().flatten().map(str::to_owned));
        }
        at += 1;
    }
    Ok(())
}

/// Refuses an id in the results from `start` that no call has.
fn check_known(
    messages: &[Message],
    start: usize,
    caller: Option<usize>,
    known: &HashSet<String>,
    all_known: bool,
) -> Result<(), Error> {
    // The calls right before the results are enough to know that an id is wrong.
    let caller_has_ids = caller.is_some_and(|caller| ids(&messages[caller]).iter().all(Option::is_some));
    if !all_known && !caller_has_ids {
        return Ok(());
    }
    for (index, message) in messages.iter().enumerate().skip(start) {
        if let Some(id) = id(message.fields().get("tool_call_id")).filter(|id| !known.contains(*id)) {
            let problem =
                FieldError::UnknownId { id: id.to_owned(), known: some_of(messages, caller, known) };
            return Err(field(index, ".tool_call_id", problem));
        }
    }
    Ok(())
}

/// The ids to show in an error: those of the caller, else some that are known.
fn some_of(messages: &[Message], caller: Option<usize>, known: &HashSet<String>) -> Vec<String> {
    let mut shown: Vec<String> = match caller {
        Some(caller) => ids(&messages[caller]).into_iter().flatten().map(str::to_owned).collect(),
        None => known.iter().cloned().collect(),
    };
    if caller.is_none() {
        shown.sort();
    }
    shown.truncate(8);
    shown
}

/// Sorts the results between `caller` and `end` by the calls that they answer.
fn sort(messages: &mut [Message], caller: usize, end: usize) -> Result<(), Error> {
    let calls = ids(&messages[caller]);
    let start = caller + 1;
    let mut places: Vec<Option<usize>> = vec![None; end - start];
    let mut taken = vec![false; calls.len()];
    for (i, place) in places.iter_mut().enumerate() {
        let Some(id) = id(messages[start + i].fields().get("tool_call_id")) else { continue };
        // Several calls may have the same id; then their results come in the order of the calls.
        *place = (0..calls.len()).find(|&call| !taken[call] && calls[call] == Some(id));
        if let Some(call) = *place {
            taken[call] = true;
        } else if calls.contains(&Some(id)) {
            return Err(field(start + i, ".tool_call_id", FieldError::SecondResult(id.to_owned())));
        }
    }
    // The result of an earlier call does not belong to this one, so nothing can be said of the order.
    let is_late =
        |i: usize| places[i].is_none() && id(messages[start + i].fields().get("tool_call_id")).is_some();
    if calls.iter().all(Option::is_none) || (0..places.len()).any(is_late) {
        return Ok(());
    }
    let mut free = (0..calls.len()).filter(|&call| !taken[call]).collect::<Vec<_>>().into_iter();
    for place in places.iter_mut().filter(|place| place.is_none()) {
        *place = Some(free.next().unwrap_or(calls.len()));
    }
    let last = places.iter().flatten().copied().filter(|&call| call < calls.len()).max();
    if let Some(missing) = free.next().filter(|missing| last.is_some_and(|last| *missing < last))
        && let Some(id) = calls[missing]
    {
        return Err(field(caller, &format!(".tool_calls[{missing}]"), FieldError::NoResult(id.to_owned())));
    }
    let mut results: Vec<(Option<usize>, Message)> =
        places.into_iter().zip(messages[start..end].iter().cloned()).collect();
    results.sort_by_key(|(place, _)| *place);
    for (slot, (_, result)) in messages[start..end].iter_mut().zip(results) {
        *slot = result;
    }
    Ok(())
}

fn ids(message: &Message) -> Vec<Option<&str>> {
    message.tool_calls().iter().map(|call| id(call.get("id"))).collect()
}

/// An id; empty text is none.
fn id(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|id| !id.is_empty())
}

fn field(index: usize, field: &str, problem: FieldError) -> Error {
    Error::Field { index, field: field.to_owned(), problem, source: None }
}

#[cfg(test)]
mod tests {
    use crate::chat::Conversation;
    use serde_json::{Value, json};

    /// A conversation of calls with these ids and results with these ids and texts.
    fn conversation(calls: &[Value], results: &[(Value, &str)]) -> Result<Conversation, String> {
        let call =
            |id: &Value| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": {}}});
        let mut messages = vec![
            json!({"role": "user", "content": "?"}),
            json!({"role": "assistant", "content": null, "tool_calls": calls.iter().map(call).collect::<Vec<_>>()}),
        ];
        for (id, text) in results {
            let mut message = json!({"role": "tool", "content": text});
            if id.as_str() != Some("absent") {
                message["tool_call_id"] = id.clone();
            }
            messages.push(message);
        }
        Conversation::from_value(Value::from(messages)).map_err(|error| error.to_string())
    }

    fn texts(calls: &[Value], results: &[(Value, &str)]) -> String {
        let read = conversation(calls, results).unwrap();
        read.messages[2..].iter().map(|message| message.content().unwrap()).collect()
    }

    #[test]
    fn results_stand_in_the_order_of_their_calls() {
        let [a, b, c] = ["a", "b", "c"].map(Value::from);
        let absent = Value::from("absent");
        for (calls, results, order) in [
            (vec![a.clone(), b.clone()], vec![(b.clone(), "2"), (a.clone(), "1")], "12"),
            (
                vec![a.clone(), b.clone(), c.clone()],
                vec![(c.clone(), "3"), (a.clone(), "1"), (b.clone(), "2")],
                "123",
            ),
            // Without ids, and with ids on one side only, the order stays.
            (vec![a.clone(), b.clone()], vec![(absent.clone(), "2"), (absent.clone(), "1")], "21"),
            (vec![a.clone(), b.clone()], vec![(Value::Null, "2"), ("".into(), "1")], "21"),
            (vec![Value::Null, "".into()], vec![(b.clone(), "2"), (a.clone(), "1")], "21"),
            // A result without an id answers the call that is left.
            (vec![a.clone(), b.clone()], vec![(absent.clone(), "2"), (a.clone(), "1")], "12"),
            // Calls with one id.
            (vec![a.clone(), a.clone()], vec![(a.clone(), "1"), (a.clone(), "2")], "12"),
            (
                vec![b.clone(), a.clone(), a.clone()],
                vec![(a.clone(), "1"), (a.clone(), "2"), (b.clone(), "0")],
                "012",
            ),
            // The last result is still to come.
            (vec![a.clone(), b.clone()], vec![(a.clone(), "1")], "1"),
            // Numbers as ids.
            (vec![0.into(), 1.into()], vec![(1.into(), "2"), ("0".into(), "1")], "12"),
        ] {
            assert_eq!(texts(&calls, &results), order, "{calls:?} {results:?}");
        }
    }

    #[test]
    fn ids_that_fit_no_call_are_refused_by_message_and_field() {
        let [a, b, x] = ["a", "b", "x"].map(Value::from);
        for (results, expected) in [
            (
                vec![(x.clone(), "1")],
                "messages[2].tool_call_id: no call before it has the id `x`; the ids are `a`, `b`",
            ),
            (
                vec![(a.clone(), "1"), (a.clone(), "1")],
                "messages[3].tool_call_id: `a` has a result already; give each call one",
            ),
            (
                vec![(b.clone(), "2")],
                "messages[1].tool_calls[0]: the call `a` has no result, and a later call has one; give every call its result",
            ),
        ] {
            assert_eq!(conversation(&[a.clone(), b.clone()], &results).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_result_may_come_late() {
        let call =
            |id: &str| json!({"role": "assistant", "tool_calls": [{"id": id, "function": {"name": "f"}}]});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": id});
        let user = json!({"role": "user", "content": "?"});
        let messages =
            json!([user, call("a"), user, call("b"), result("a"), result("b"), user, call("b"), result("b")]);
        let read = Conversation::from_value(messages).unwrap();
        assert_eq!(read.messages[4].content(), Some("a"));
        // A call in the text has an id that nobody knows.
        let text = json!({"role": "assistant", "content": "<tool_call>...</tool_call>"});
        assert!(Conversation::from_value(json!([user, text, result("a")])).is_ok());
        let wrong = json!([user, call("a"), user, result("z")]);
        let message = Conversation::from_value(wrong).unwrap_err().to_string();
        assert!(
            message.starts_with("messages[3].tool_call_id: no call before it has the id `z`"),
            "{message}"
        );
    }
}
