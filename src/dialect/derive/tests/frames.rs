//! Frames of calls: ids, counters, blanks, and single calls.

use super::*;

#[test]
fn ids_and_counters_are_slots() {
    let call =
        "{\"name\": \"{{ f.name }}\", \"arguments\": {{ f.arguments | tojson }}, \"id\": \"{{ c.id }}\"}";
    let calls = format!("{{% if m.tool_calls %}}[C][{}]{{% endif %}}", each(call, ", "));
    let with_ids = dialect(&calls);
    let id = |previous| Piece::Id { length: 9, previous };
    assert_eq!(with_ids.last, [text(", \"id\": \""), id(false), text("\"}]")]);
    assert_eq!(with_ids.next.unwrap()[..2], [text(", \"id\": \""), id(true)]);

    let call = "<b>functions.{{ f.name }}:{{ loop.index0 }}<a>{{ f.arguments | tojson }}<e>";
    let counted = dialect(&format!("{{% if m.tool_calls %}}<s>{}<z>{{% endif %}}", each(call, "")));
    assert_eq!(counted.count, Some(Count { start: 0, conversation: false }));
    assert_eq!(counted.first, [text("<s><b>functions."), name(), text(":"), Piece::Count, text("<a>")]);

    let conversation = "{% set n = namespace(i=3) %}".to_owned()
        + &CHAT.replace(
            "CALLS",
            &each("<b {{ n.i }} {{ f.name }}>{{ f.arguments | tojson }}<e>{% set n.i = n.i + 1 %}", ""),
        );
    let counted = derive(&Template::new(&conversation).unwrap()).unwrap().dialect;
    assert_eq!(counted.count, Some(Count { start: 3, conversation: true }));
}

#[test]
fn ids_that_the_last_turn_lacks_are_told_from_those_of_every_turn() {
    let id = "{% if not loop.last %}, \"id\": \"{{ c.id }}\"{% endif %}";
    let call = |id: &str| {
        let call =
            "{\"name\": \"{{ f.name }}\", \"arguments\": {{ f.arguments | tojson }}ID}".replace("ID", id);
        format!("{{% if m.tool_calls %}}{{% set last = loop.last %}}[{}]{{% endif %}}", each(&call, ", "))
    };
    let always = derived(&call(&id.replace("not loop.last", "true"))).unwrap();
    assert!(always.dialect.has_ids() && !always.last_turn_lacks_ids);
    let before_others = derived(&call(&id.replace("loop.last", "last"))).unwrap();
    assert!(before_others.dialect.has_ids() && before_others.last_turn_lacks_ids);
}

#[test]
fn a_call_behind_a_text_begins_without_its_blanks() {
    let call = each("<f={{ f.name }}>{{ f.arguments | tojson }}</f>", "");
    for (blanks, text_end, close) in [
        // In place of a text, and nothing behind one.
        ("{{ '' if m.content else ' ' }}", "", ""),
        // The same in both places.
        ("{{ '\n\n' }}", "", "\n\n"),
        ("{{ '' if m.content else ' ' }}", "|", "|"),
    ] {
        let end = format!("{{{{ '{text_end}' if m.content else '' }}}}");
        let dialect = dialect(&format!("{end}{{% if m.tool_calls %}}{blanks}{call}{{% endif %}}"));
        let blanks = if blanks.contains('\n') { "\n\n" } else { " " };
        assert_eq!(dialect.first[0], text(&format!("{blanks}<f=")));
        assert_eq!(dialect.text, TextPlace::Before { open: String::new(), close: close.to_owned() });
        assert_eq!(dialect.opening().as_deref(), Some("<f="));
    }
}

#[test]
fn an_id_that_stands_in_the_names_place_holds_the_name() {
    let Derived { handover, dialect, .. } =
        derived(&each("<b>{{ c.id }}<a>{{ f.arguments | tojson }}<e>", "")).unwrap();
    assert!(handover.id_holds_name);
    assert_eq!(dialect.count, Some(Count { start: 0, conversation: true }));
    assert_eq!(dialect.first, [text("<b>functions."), name(), text(":"), Piece::Count, text("<a>")]);
}

#[test]
fn a_single_call_is_all_where_others_are_refused_or_dropped() {
    let call = "{% set f = m.tool_calls[0].function %}<f={{ f.name }}>{{ f.arguments | tojson }}</f>";
    let dropped = derived(&format!("{{% if m.tool_calls %}}{call}{{% endif %}}")).unwrap();
    assert_eq!(dropped.dialect.next, None);
    let refuses = format!(
        "{{% if m.tool_calls %}}{{% if m.tool_calls | length > 1 %}}{{{{ raise_exception('one') }}}}{{% endif %}}{call}{{% endif %}}"
    );
    assert_eq!(derived(&refuses).unwrap().dialect.next, None);
}
