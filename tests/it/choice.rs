//! Texts that a grammar accepts: for a tool choice, several calls, text, JSON, and calls that are cut off.

use edgecall::{
    Kind,
    call::{self},
    dialect::{
        self, Dialect, Piece, TextPlace,
        grammar::{self, IncrementalGrammar, JsonAnswer},
        turn::Turn,
    },
    runtime::{Compiler, Constraint, constraint::Fixed},
    schema::KeyOrder,
    tools::{ToolCall, ToolSet, arguments::AnswerSchema, check},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn hermes() -> Arc<Dialect> {
    dialect::named("hermes").unwrap()
}

pub fn tools(list: Value) -> ToolSet {
    ToolSet::from_value(list).unwrap()
}

/// `f` with few keys, and `g` with so many that its grammar is rebuilt after each key.
fn two() -> ToolSet {
    let many: serde_json::Map<String, Value> =
        (0..9).map(|i| (format!("k{i}"), json!({"type": "integer"}))).collect();
    tools(json!([
        {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}, "required": ["a"]}},
        {"name": "g", "parameters": {"properties": many, "required": ["k0"]}},
    ]))
}

fn f(arguments: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {arguments}}}\n</tool_call>")
}

fn g(arguments: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"g\", \"arguments\": {arguments}}}\n</tool_call>")
}

/// `Ok` if `constraint` accepts all of `text`, else the part that it accepts.
fn verdict(mut constraint: Constraint<'_>, text: &str) -> Result<(), String> {
    for (i, byte) in text.bytes().enumerate() {
        if !constraint.accept(i32::from(byte)).unwrap() {
            return Err(format!("stops after {:?}", String::from_utf8_lossy(&text.as_bytes()[..i])));
        }
    }
    if constraint.may_end().unwrap() { Ok(()) } else { Err("may not end there".into()) }
}

fn hold(grammar: &dyn IncrementalGrammar, table: &[(&str, bool)]) {
    let compiler = Compiler::for_bytes().unwrap();
    for (text, accepted) in table {
        let verdict = verdict(call::constraint(&compiler, grammar).unwrap(), text);
        assert_eq!(verdict.is_ok(), *accepted, "{text:?}: {verdict:?}");
    }
}

#[test]
fn a_turn_holds_as_many_calls_as_are_allowed_and_at_least_one() {
    let (one, other, many) =
        (f(r#"{"a": "x"}"#), f(r#"{"a": "</tool_call>\n"}"#), g(r#"{"k3": 1, "k0": 2}"#));
    let turn = Turn::new(&two(), &hermes(), KeyOrder::Any).unwrap().up_to(3);
    hold(
        &turn,
        &[
            (&one, true),
            (&many, true),
            (&format!("{one}\n{many}"), true),
            (&format!("{many}\n{one}"), true),
            (&format!("{many}\n{other}\n{many}"), true),
            (&format!("{one}\n{one}\n{one}"), true),
            (&format!("{one}\n{one}\n{one}\n{one}"), false),
            (&format!("{one}\n{one}\n{one}\n"), false),
            (&format!("{one}\n"), false),
            (&format!("{one}{one}"), false),
            (&format!("{one}\n{}", f("{}")), false),
            (&format!("{one}\n{}", g(r#"{"k1": 1}"#)), false),
            (&format!("{}\n{one}", g(r#"{"k1": 1}"#)), false),
            (&format!("{one} and"), false),
            ("", false),
            ("Sure.", false),
        ],
    );
    let single = Turn::new(&two(), &hermes(), KeyOrder::Any).unwrap();
    hold(&single, &[(&one, true), (&format!("{one}\n{one}"), false)]);
}

#[test]
fn text_may_stand_before_a_call_or_instead_of_it_but_never_hold_half_of_one() {
    let (one, many) = (f(r#"{"a": "x"}"#), g(r#"{"k3": 1, "k0": 2}"#));
    let turn = Turn::new(&two(), &hermes(), KeyOrder::Any).unwrap().or_text();
    hold(
        &turn,
        &[
            ("Sure.", true),
            ("a < b <tool_cal", true),
            ("größer\n\n{\"name\": \"f\"}", true),
            (&one, true),
            (&format!("I look.\n{one}"), true),
            (&format!("I look.\n{many}"), true),
            ("", false),
            ("I look: <tool_call>", false),
            ("<tool_call>\nno call", false),
            (&format!("{one} Done."), false),
            (&format!("{one}\n{one}"), false),
            (&f("{}"), false),
        ],
    );
    let several = Turn::new(&two(), &hermes(), KeyOrder::Any).unwrap().or_text().up_to(2);
    hold(
        &several,
        &[
            (&format!("Both.\n{one}\n{many}"), true),
            (&format!("Both.\n{many}\n{one}\n{one}"), false),
            (&format!("{one}\nand\n{one}"), false),
        ],
    );
    let text = format!("Both.\n{one}\n{many}");
    assert_eq!(several.split(&text), ("Both.\n", vec![one, many]));
    assert_eq!(several.split("No call."), ("No call.", vec![]));
}

#[test]
fn a_call_before_another_and_text_before_a_call_may_hold_any_character() {
    let turn = Turn::new(&two(), &hermes(), KeyOrder::Any).unwrap().or_text().up_to(2);
    for odd in ["\u{7f}", "\u{85}", "\u{2028}", "\u{feff}", "\u{10ffff}", "\\u0001", "\\\"", "\\n", "/", "é"]
    {
        let call = f(&format!("{{\"a\": \"x{odd}y\"}}"));
        let said = if odd.starts_with('\\') { "\r\t\u{1}" } else { odd };
        hold(&turn, &[(&format!("{call}\n{call}"), true), (&format!("{said}{call}\n{call}"), true)]);
    }
}

#[test]
fn a_call_behind_a_text_needs_none_of_the_blanks_that_it_begins_with_otherwise() {
    let mut dialect = (*hermes()).clone();
    dialect.first[0] = Piece::Text("\n\n<tool_call>\n{\"name\": \"".into());
    dialect.text = TextPlace::Before { open: String::new(), close: " ".into() };
    let (dialect, one) = (Arc::new(dialect), f(r#"{"a": "x"}"#));
    let blank = format!("\n\n{one}");
    let only_call = Turn::new(&two(), &dialect, KeyOrder::Any).unwrap();
    hold(&only_call, &[(&blank, true), (&one, false)]);
    let turn = Turn::new(&two(), &dialect, KeyOrder::Any).unwrap().or_text();
    hold(
        &turn,
        &[(&blank, true), (&one, true), (&format!("I look.{one}"), true), ("So: <tool_call>", false)],
    );
    assert_eq!(turn.split(&format!("I look.{one}")), ("I look.", vec![one.clone()]));
    assert_eq!(turn.calls_text(&blank), Some(one.as_str()));
    let call = dialect.read_call(&one).unwrap();
    assert_eq!(call, dialect.read_call(&blank).unwrap());
    assert_eq!(dialect.write(&call), blank);
    let calls = [(&call).into()];
    let said = dialect::Turn { text: Some("I look."), calls: &calls, ..Default::default() };
    assert_eq!(dialect.write_turn(&said), format!("I look. {one}"));
}

#[test]
fn an_id_behind_the_arguments_may_be_written_and_is_dropped() {
    let mistral = dialect::named("mistral").unwrap();
    let call = |id: &str| format!(r#"{{"name": "f", "arguments": {{"a": "x"}}{id}}}"#);
    let id = |id: &str| format!(r#", "id": "{id}""#);
    let (with, without) = (call(&id("Ab3Ab3Ab3")), call(""));
    let turn = Turn::new(&two(), &mistral, KeyOrder::Any).unwrap().up_to(2);
    let list = |calls: &[&str]| format!("[TOOL_CALLS][{}]", calls.join(", "));
    hold(
        &turn,
        &[
            (&list(&[&with]), true),
            (&list(&[&without]), true),
            (&list(&[&with, &without]), true),
            (&list(&[&without, &with]), true),
            (&list(&[&call(&id("short"))]), false),
            (&list(&[&call(&id("Ab3-Ab3-A"))]), false),
            (&list(&[&call(&id("Ab3Ab3Ab3Ab3"))]), false),
            (&list(&[&call(&id("Ab3Ab3Ab3").repeat(2))]), false),
        ],
    );
    for text in [list(&[&with, &with]), list(&[&with, &without]), list(&[&without, &with])] {
        let (_, calls) = turn.split(&text);
        let calls: Vec<String> =
            calls.iter().map(|call| mistral.write(&mistral.read_call(call).unwrap())).collect();
        assert_eq!(calls, [list(&[&without]), list(&[&without])], "{text}");
    }
    let read = mistral.read_call(&list(&[&with])).unwrap();
    assert_eq!(mistral.write(&read), list(&[&without]));
    let cut = list(&[&with, &without]);
    let cut = &cut[..cut.find("Ab3Ab3Ab3").unwrap() + 4];
    let endings = turn.endings(cut.as_bytes());
    assert_eq!(String::from_utf8_lossy(&endings[0]), list(&[&without]));
}

#[test]
fn several_calls_are_written_in_the_dialects_own_form() {
    for (name, two_calls, wrong) in [
        (
            "mistral",
            r#"[TOOL_CALLS][{"name": "g", "arguments": {"k0": 1}}, {"name": "f", "arguments": {"a": "]"}}]"#,
            r#"[TOOL_CALLS][{"name": "g", "arguments": {"k0": 1}}][{"name": "f", "arguments": {"a": "]"}}]"#,
        ),
        (
            "mistral",
            r#"[TOOL_CALLS] [{"name": "f", "arguments": {"a": ""}}, {"name": "g", "arguments": {"k0": 1}}]"#,
            r#"[TOOL_CALLS] [{"name": "f", "arguments": {"a": ""}}, ]"#,
        ),
        (
            "mistral-args",
            r#"[TOOL_CALLS]g[ARGS]{"k0": 1}[TOOL_CALLS]f[ARGS]{"a": "x"}"#,
            r#"[TOOL_CALLS]g[ARGS]{"k0": 1}[TOOL_CALLS]"#,
        ),
        (
            "functionary",
            r#"<function=f>{"a": "x"}</function><function=g>{"k0": 1}</function>"#,
            r#"<function=f>{"a": "x"}</function><function=h>{"k0": 1}</function>"#,
        ),
    ] {
        let dialect = dialect::named(name).unwrap();
        let turn = Turn::new(&two(), &dialect, KeyOrder::Any).unwrap().up_to(2);
        hold(&turn, &[(two_calls, true), (wrong, false)]);
        hold(&Turn::new(&two(), &dialect, KeyOrder::Any).unwrap(), &[(two_calls, false)]);
        let (said, calls) = turn.split(two_calls);
        assert_eq!((said, calls.len()), ("", 2));
        calls.iter().for_each(|call| check::check(&two(), &dialect.read_call(call).unwrap()).unwrap());
        let cut = &two_calls[..two_calls.rfind([':', '{']).unwrap()];
        let endings = turn.endings(cut.as_bytes());
        let first = String::from_utf8(endings.last().unwrap().clone()).unwrap();
        hold(&turn, &[(&first, true)]);
    }
    for name in ["llama3", "generic"] {
        let dialect = dialect::named(name).unwrap();
        let call = dialect.write(&ToolCall::from_text("f", r#"{"a": "x"}"#).unwrap());
        hold(
            &Turn::new(&two(), &dialect, KeyOrder::Any).unwrap().up_to(2),
            &[(&call, true), (&call.repeat(2), false)],
        );
        let auto = Turn::new(&two(), &dialect, KeyOrder::Any).unwrap().or_text();
        hold(&auto, &[(&call, true), ("So: {\"name\": \"f\"}", false), ("So: {\"names\"", true)]);
    }
}

#[test]
fn a_name_that_ends_the_text_before_the_arguments_is_ended_by_what_may_follow() {
    let glm = r#"{"name": "glm", "first": ["<tool_call>", {"name": "plain"}], "last": ["</tool_call>"],
        "next": ["</tool_call><tool_call>", {"name": "plain"}],
        "arguments": {"members": {"open": "<k>", "separator": "</v><k>", "close": "</v>", "values": {
            "string": {"before": ["</k><v>"], "encoding": "raw"}, "number": {"before": ["</k><v>"], "encoding": {"json": "spaced"}},
            "boolean": {"before": ["</k><v>"], "encoding": {"json": "spaced"}}, "null": {"before": ["</k><v>"], "encoding": {"json": "spaced"}},
            "array": {"before": ["</k><v>"], "encoding": {"json": "spaced"}}, "object": {"before": ["</k><v>"], "encoding": {"json": "spaced"}}}}}}"#;
    let glm = Arc::new(Dialect::parse(glm.as_bytes()).unwrap());
    let turn = Turn::new(&two(), &glm, KeyOrder::Any).unwrap().up_to(2);
    hold(
        &turn,
        &[
            ("<tool_call>f<k>a</k><v>x</v></tool_call>", true),
            ("<tool_call>f<k>a</k><v>x</v></tool_call><tool_call>g<k>k0</k><v>1</v></tool_call>", true),
            ("<tool_call>f</tool_call>", false),
        ],
    );
    // What is no end of the name is refused at once, in the first call and in the next one.
    let compiler = Compiler::for_bytes().unwrap();
    for (text, accepted) in [
        ("<tool_call>f", "<tool_call>f"),
        ("<tool_call>f\"}", "<tool_call>f"),
        (
            "<tool_call>f<k>a</k><v>x</v></tool_call><tool_call>g ",
            "<tool_call>f<k>a</k><v>x</v></tool_call><tool_call>g",
        ),
    ] {
        let error = verdict(call::constraint(&compiler, &turn).unwrap(), text).unwrap_err();
        let expected = if text == accepted {
            "may not end there".to_owned()
        } else {
            format!("stops after {accepted:?}")
        };
        assert_eq!(error, expected);
    }
    // Every text that the grammar takes can be ended: a name that may go on, and an end that a tool lacks.
    let more = tools(json!([
        {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}, "required": ["a"]}},
        {"name": "f_more"},
    ]));
    let turn = Turn::new(&more, &glm, KeyOrder::Any).unwrap();
    hold(
        &turn,
        &[
            ("<tool_call>f<k>a</k><v>x</v></tool_call>", true),
            ("<tool_call>f_more</tool_call>", true),
            ("<tool_call>f</tool_call>", false),
            ("<tool_call>f_more_more</tool_call>", false),
        ],
    );
    let error = verdict(call::constraint(&compiler, &turn).unwrap(), "<tool_call>f</").unwrap_err();
    assert_eq!(error, "stops after \"<tool_call>f<\"");
    let bare = r#"{"name": "bare", "first": ["<f>", {"name": "plain"}, ""], "last": [""], "arguments": {"json": "spaced"}}"#;
    let bare = Arc::new(Dialect::parse(bare.as_bytes()).unwrap());
    let turn = Turn::new(&two(), &bare, KeyOrder::Any).unwrap();
    hold(&turn, &[(r#"<f>f{"a": "x"}"#, true), (r#"<f>f {"a": "x"}"#, false), (r#"<f>h{"a": "x"}"#, false)]);
}

#[test]
fn each_call_has_its_own_grammar_however_many_ways_there_are_to_begin_the_first() {
    let mut many = (*hermes()).clone();
    let way = |nth: usize| {
        vec![Piece::Text(format!("<w{nth}>{{\"name\": \"")), many.first[1].clone(), many.first[2].clone()]
    };
    many.also_first = (0..40).map(way).collect();
    let (many, one, other) = (Arc::new(many), f(r#"{"a": "x"}"#), f("{}"));
    let turn = Turn::new(&two().only("f").unwrap(), &many, KeyOrder::Any).unwrap().up_to(2);
    let last = one.replace("<tool_call>\n", "<w39>");
    hold(&turn, &[(&format!("{last}\n{one}"), true), (&format!("{last}\n{other}"), false)]);
    hold(&turn, &[(&format!("{}\n{other}", one.replace("<tool_call>\n", "<w15>")), false)]);
}

#[test]
fn tools_that_a_format_cannot_write_are_refused_before_a_call() {
    let dialect = dialect::named("lfm").unwrap();
    let tools = tools(json!([
        {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}},
        {"name": "g", "parameters": {"properties": {"a.b": {"type": "string"}}, "required": ["a.b"]}},
    ]));
    let error = Turn::new(&tools, &dialect, KeyOrder::Any).err().unwrap();
    assert!(error.to_string().contains("`g`"), "{error}");
}

#[test]
fn only_the_tool_that_is_named_can_be_called() {
    let turn = Turn::new(&two().only("f").unwrap(), &hermes(), KeyOrder::Any).unwrap();
    hold(&turn, &[(&f(r#"{"a": "x"}"#), true), (&g(r#"{"k0": 1}"#), false)]);
    let error = two().only("h").unwrap_err();
    assert_eq!(error.to_string(), "there is no tool `h`; the tools are f, g");
    assert_eq!(error.kind(), Kind::Usage);
}

#[test]
fn text_where_no_call_is_wanted_holds_no_mark_of_one() {
    let compiler = Compiler::for_bytes().unwrap();
    for (without, text, accepted) in [
        (Some("<tool_call>"), "Sure: a < b", true),
        (Some("<tool_call>"), "<tool_calls>", true),
        (Some("<tool_call>"), "see <tool_call>", false),
        (Some("<tool_call>"), "<tool_call>\n{}", false),
        (Some("<tool_call>"), "", false),
        (Some("{\"name\": "), "{\"name\": \"f\"}", false),
        (Some("{\"name\": "), "{\"names\": 1}", true),
        (None, "<tool_call>", true),
    ] {
        let lark = grammar::text_grammar("", without);
        let constraint = Constraint::new(&compiler, Box::new(Fixed(lark))).unwrap();
        assert_eq!(verdict(constraint, text).is_ok(), accepted, "{text}");
    }
}

#[test]
fn an_answer_in_json_is_of_its_schema_and_has_one_space_after_its_separators() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}},
        "required": ["n", "s"], "additionalProperties": false});
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let compiler = Compiler::for_bytes().unwrap();
    for (text, accepted) in [
        (r#"{"n": 1, "s": "x"}"#, true),
        (r#"{"n":1,"s":"x"}"#, false),
        (r#"{"n": 1}"#, false),
        (r#"{"n": "1", "s": "x"}"#, false),
        ("\n{}", false),
    ] {
        let answer = JsonAnswer::new(&schema);
        let constraint = call::constraint(&compiler, &answer).unwrap();
        assert_eq!(verdict(constraint, text).is_ok(), accepted, "{text}");
    }
    let error = AnswerSchema::new(&json!({"$ref": "http://x/y"}), KeyOrder::Any).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
}

#[test]
fn a_call_that_is_cut_off_is_ended_without_the_member_that_was_being_written() {
    let turn = Turn::new(&two(), &hermes(), KeyOrder::Any).unwrap().up_to(2);
    let endings = |text: &str| -> Vec<String> {
        turn.endings(text.as_bytes()).into_iter().map(|text| String::from_utf8(text).unwrap()).collect()
    };
    let cut = |arguments: &str| format!("<tool_call>\n{{\"name\": \"g\", \"arguments\": {arguments}");
    assert_eq!(endings(&cut(r#"{"k0": 1, "k1": 2"#)), [g(r#"{"k0": 1}"#)]);
    assert_eq!(endings(&cut(r#"{"k0": 1, "k"#)), [g(r#"{"k0": 1}"#)]);
    assert_eq!(endings(&cut(r#"{"k0": 1}"#)), [g(r#"{"k0": 1}"#)]);
    assert_eq!(endings(&cut("{\"k0\": 1}}\n")), [g(r#"{"k0": 1}"#)]);
    assert!(endings("<tool_call>\n{\"na").is_empty());
    assert!(endings("<tool_call>\n{\"name\": \"g").is_empty());
    let first = f(r#"{"a": "x"}"#);
    assert_eq!(endings(&format!("{first}\n<tool_call>\n{{\"name\": \"")), std::slice::from_ref(&first));
    let second = format!("{first}\n{}", cut(r#"{"k0": 1, "#));
    assert_eq!(endings(&second), [format!("{first}\n{}", g(r#"{"k0": 1}"#)), first]);
}
