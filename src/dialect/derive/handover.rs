//! The form in which a template wants calls.

use super::{
    NotDerived,
    probe::{Ask, Call, Handover, Probe},
};
use serde_json::{Map, Value, json};

/// A look at one way; the smallest is right.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Look {
    lacks_name: bool,
    lacks_results: bool,
    is_escaped: bool,
    text_arguments: bool,
    bytes: usize,
    null_content: bool,
}

/// The way in which calls come out whole.
///
/// # Errors
/// [`NotDerived::NoName`], or the template's error if it fails on each.
pub(super) fn find(probe: &mut Probe<'_>) -> Result<Handover, NotDerived> {
    let inner = probe.words.other("inner");
    let arguments: Map<String, Value> =
        [(probe.words.key(1), json!({(inner.clone()): probe.words.value(1)}))].into_iter().collect();
    let call = [Call { name: probe.words.name(0), arguments }];
    let (mut failure, mut renders) = (None, false);
    for (functions, id_holds_name) in [(false, false), (false, true), (true, false)] {
        let mut best: Option<(Look, Handover)> = None;
        for null_content in [false, true] {
            for text_arguments in [false, true] {
                probe.handover = Handover {
                    text_arguments,
                    null_content,
                    id_holds_name,
                    functions,
                    ..Handover::default()
                };
                let ask = Ask::calls(&call);
                let (text, has_results) = match probe.look(&ask) {
                    Ok(look) => look,
                    Err(error) => {
                        failure = failure.or(Some(error));
                        continue;
                    }
                };
                // The turn ends before the results, which may name their tool.
                let turn = text.split(&probe.words.result).next().unwrap_or_default();
                let look = Look {
                    lacks_name: !turn.contains(&call[0].name) || !turn.contains(&inner),
                    lacks_results: !has_results,
                    // As a JSON string, or all arguments as Python prints them: a value alone may be printed so.
                    is_escaped: turn.contains(&format!("\\\"{inner}"))
                        || turn.contains(&format!("{{'{}': ", probe.words.key(1))),
                    text_arguments,
                    bytes: text.len(),
                    null_content,
                };
                if best.as_ref().is_none_or(|(least, _)| look < *least) {
                    best = Some((look, probe.handover));
                }
            }
        }
        renders |= best.is_some();
        if let Some((Look { lacks_name: false, .. }, handover)) = best {
            probe.handover = handover;
            let results_need_names = probe.results_need_names(&Ask::calls(&call));
            return Ok(Handover { results_need_names, ..handover });
        }
    }
    Err(failure.filter(|_| !renders).map_or(NotDerived::NoName, NotDerived::Fails))
}
