//! Calls whose arguments are not JSON: each notation's grammar both ways, its checks, and reading without loss, without a
//! model: each byte is a token.

use edgecall::{
    call,
    dialect::{Arguments, Dialect, JsonStyle, turn::Turn},
    runtime::Compiler,
    schema::{KeyOrder, Status},
    tools::ToolSet,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The formats of families by name, as `--dialect FILE.json` takes them.
pub fn families() -> Vec<Arc<Dialect>> {
    let same = |value: Value| -> Value {
        let kinds = ["string", "number", "boolean", "null", "array", "object"];
        kinds.iter().map(|kind| ((*kind).to_owned(), value.clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let with = |mut values: Value, kinds: &[&str], value: Value| {
        kinds.iter().for_each(|kind| values[*kind] = value.clone());
        values
    };
    let json_style = json!({"json": "spaced"});
    let form = |before: &str, encoding: &Value, after: &str| json!({"before": [before], "encoding": encoding, "after": if after.is_empty() { json!([]) } else { json!([after]) }});
    let xml = |encoding: Value| form(">\n", &encoding, "\n</parameter>");
    let qwen = with(
        with(same(xml(json!("python"))), &["array", "object"], xml(json_style.clone())),
        &["string"],
        xml(json!("raw")),
    );
    let qwen = json!({"name": "qwen3-coder", "first": ["<tool_call>\n<function=", {"name": "plain"}, ">\n"],
        "next": ["</function>\n</tool_call>\n<tool_call>\n<function=", {"name": "plain"}, ">\n"],
        "last": ["</function>\n</tool_call>"],
        "arguments": {"members": {"open": "<parameter=", "separator": "\n<parameter=", "close": "\n", "values": qwen}}});
    let dsml = |strings: bool, encoding: Value| {
        form(&format!("\" string=\"{strings}\">"), &encoding, "</｜DSML｜parameter>")
    };
    let values = with(same(dsml(false, json_style.clone())), &["string"], dsml(true, json!("raw")));
    let typed = json!({"name": "deepseek-v3.2",
        "first": ["<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"", {"name": "xml"}, "\">\n"],
        "next": ["</｜DSML｜invoke>\n<｜DSML｜invoke name=\"", {"name": "xml"}, "\">\n"],
        "last": ["</｜DSML｜invoke>\n</｜DSML｜function_calls>"],
        "arguments": {"members": {"open": "<｜DSML｜parameter name=\"",
            "separator": "\n<｜DSML｜parameter name=\"", "close": "\n", "key": "xml", "values": values}}});
    let glm = |name: &str, end: &str| {
        let value = |encoding: Value| form(&format!("</arg_key>{end}<arg_value>"), &encoding, "</arg_value>");
        let values = with(same(value(json_style.clone())), &["string"], value(json!("raw")));
        json!({"name": name, "first": ["<tool_call>", {"name": "plain"}, end],
            "next": [format!("</tool_call>{end}<tool_call>"), {"name": "plain"}, end], "last": ["</tool_call>"],
            "arguments": {"members": {"open": "<arg_key>", "separator": format!("{end}<arg_key>"), "close": end,
                "values": values}}})
    };
    let python = with(
        with(same(form("=", &json!("python"), "")), &["object"], form("=", &json_style, "")),
        &["string"],
        form("=", &json!({"python_string": {"escaped": true}}), ""),
    );
    let lfm = json!({"name": "lfm2", "first": ["<|tool_call_start|>[", {"name": "plain"}, "("],
        "next": ["), ", {"name": "plain"}, "("], "last": [")]<|tool_call_end|>"],
        "arguments": {"members": {"open": "", "separator": ", ", "close": "", "key": "identifier", "values": python}}});
    let bare = json!({"nested": {"delimiter": "<|\"|>", "null": "None", "sorted": true}});
    let gemma = with(
        same(form(":", &bare, "")),
        &["string"],
        form(":", &json!({"delimited": {"delimiter": "<|\"|>"}}), ""),
    );
    let gemma = json!({"name": "gemma4", "first": ["<|tool_call>call:", {"name": "plain"}, "{"],
        "next": ["}<tool_call|><|tool_call>call:", {"name": "plain"}, "{"], "last": ["}<tool_call|>"],
        "arguments": {"members": {"open": "", "separator": ",", "close": "", "sorted": true, "values": gemma}}});
    let cdata = |encoding: Value| form("\">", &encoding, "</param>");
    let values = with(same(cdata(json!("python"))), &["string"], cdata(json!("raw_or_cdata")));
    let minicpm = json!({"name": "minicpm5", "first": ["<function name=\"", {"name": "plain"}, "\">"],
        "next": ["</function>\n<function name=\"", {"name": "plain"}, "\">"], "last": ["</function>"],
        "arguments": {"members": {"open": "<param name=\"", "separator": "<param name=\"", "close": "", "values": values}}});
    let lists = [qwen, typed, glm("glm4.6", "\n"), glm("glm4.7", ""), lfm, gemma, minicpm];
    lists.into_iter().map(|dialect| Arc::new(serde_json::from_value(dialect).unwrap())).collect()
}

/// Elements named by keys, as MiniMax-M3's template writes them, with `before_tag` in front of each tag.
pub fn elements(before_tag: &str) -> Arc<Dialect> {
    let form = |encoding: &Value| json!({"before": [">"], "encoding": encoding, "after": [format!("{before_tag}</"), "key", ">"]});
    let spaced = json!({"json": "spaced"});
    let container = json!({"elements": {"item": "item", "before_tag": before_tag}});
    let values = json!({"string": form(&json!("raw")), "number": form(&spaced), "boolean": form(&spaced),
        "null": form(&json!("omitted")), "array": form(&container), "object": form(&container)});
    let first = json!(["<tool_call>\n", format!("{before_tag}<invoke name=\""), {"name": "plain"}, "\">"]);
    let next =
        json!([format!("{before_tag}</invoke>\n{before_tag}<invoke name=\""), {"name": "plain"}, "\">"]);
    let open = format!("{before_tag}<");
    let dialect = json!({"name": "elements", "first": first, "next": next,
        "last": [format!("{before_tag}</invoke>\n</tool_call>")],
        "arguments": {"members": {"open": open, "separator": open, "close": "", "values": values}}});
    Arc::new(serde_json::from_value(dialect).unwrap())
}

fn family(name: &str) -> Arc<Dialect> {
    families().into_iter().find(|dialect| dialect.name == name).unwrap()
}

fn one(parameters: Value) -> ToolSet {
    ToolSet::from_value(json!([{"name": "f", "parameters": parameters}])).unwrap()
}

/// `Ok` if `text` is a complete turn, else the part that grammar and checks accept.
fn verdict(compiler: &Compiler, turn: &Turn, text: &str) -> Result<(), String> {
    let mut constraint = call::constraint(compiler, turn).unwrap();
    for (i, byte) in text.bytes().enumerate() {
        if !constraint.accept(i32::from(byte)).unwrap() {
            return Err(format!("stops after {:?}", String::from_utf8_lossy(&text.as_bytes()[..i])));
        }
    }
    // Another call may follow.
    if constraint.may_end().unwrap() { Ok(()) } else { Err("does not end there".into()) }
}

/// Checks texts of calls of `f` against what they mean; `None` for those to refuse.
fn hold(dialect: &Arc<Dialect>, parameters: Value, table: &[(&str, Option<&str>)]) {
    let compiler = Compiler::for_bytes().unwrap();
    let set = one(parameters);
    let turn = Turn::new(&set, dialect, KeyOrder::Any).unwrap();
    for (text, meaning) in table {
        let verdict = verdict(&compiler, &turn, text);
        assert_eq!(verdict.is_ok(), meaning.is_some(), "{}: {text}: {verdict:?}", dialect.name);
        if let Some(meaning) = meaning {
            let call =
                dialect.read_call_with(text, Some(&set)).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(call.arguments_text(), *meaning, "{}: {text}", dialect.name);
        }
    }
}

fn mixed() -> Value {
    json!({"type": "object", "properties": {
        "s": {"type": "string"}, "n": {"type": "integer", "minimum": 1}, "b": {"type": "boolean"},
        "x": {"type": ["string", "null", "number"]}, "l": {"type": "array", "items": {"type": "string"}},
        "o": {"type": "object", "properties": {"k": {"type": "null"}}},
        "e": {"enum": ["one", "two words", 3]}, "p": {"type": "string", "pattern": "^[a-z]{2}\\d$"}},
        "required": ["s"]})
}

/// A call of Qwen3-Coder's with these parameters.
fn xml(parameters: &[(&str, &str)]) -> String {
    let each: String =
        parameters.iter().map(|(key, value)| format!("<parameter={key}>\n{value}\n</parameter>\n")).collect();
    format!("<tool_call>\n<function=f>\n{each}</function>\n</tool_call>")
}

#[test]
fn xml_parameters_hold_raw_strings_and_the_types_of_the_schema() {
    let yes: &[(&[(&str, &str)], &str)] = &[
        (&[("s", "Tokyo")], r#"{"s": "Tokyo"}"#),
        (&[("s", "")], r#"{"s": ""}"#),
        (&[("s", "\n")], r#"{"s": "\n"}"#),
        (&[("s", "42")], r#"{"s": "42"}"#),
        (&[("s", "null")], r#"{"s": "null"}"#),
        (
            &[("s", "a \"b\" \\ < c </param> \t é 😀\n\nend ")],
            r#"{"s": "a \"b\" \\ < c </param> \t é 😀\n\nend "}"#,
        ),
        (&[("n", "17"), ("s", "x"), ("b", "True")], r#"{"n": 17, "s": "x", "b": true}"#),
        (&[("b", "false"), ("s", "x"), ("x", "None")], r#"{"b": false, "s": "x", "x": null}"#),
        (&[("x", "1.50"), ("s", "x")], r#"{"x": 1.50, "s": "x"}"#),
        (&[("x", "1.5.0"), ("s", "x")], r#"{"x": "1.5.0", "s": "x"}"#),
        (&[("s", "x"), ("l", "[\"a\", \"</parameter>\"]")], r#"{"s": "x", "l": ["a", "</parameter>"]}"#),
        (&[("s", "x"), ("o", "{\"k\": null}")], r#"{"s": "x", "o": {"k": null}}"#),
        (&[("s", "x"), ("e", "two words")], r#"{"s": "x", "e": "two words"}"#),
        (&[("s", "x"), ("e", "3")], r#"{"s": "x", "e": 3}"#),
        (&[("s", "x"), ("p", "ab7")], r#"{"s": "x", "p": "ab7"}"#),
    ];
    let no: &[&[(&str, &str)]] = &[
        &[],
        &[("n", "17")],
        &[("s", "x"), ("s", "y")],
        &[("s", "x"), ("n", "0")],
        &[("s", "x"), ("n", "\"17\"")],
        &[("s", "x"), ("z", "1")],
        &[("s", "a</parameter1>b")],
        &[("s", "a</parameter>b")],
        &[("s", "x"), ("e", "three")],
        &[("s", "x"), ("p", "abc")],
        &[("s", "x"), ("o", "{'k': None}")],
    ];
    let yes: Vec<(String, Option<&str>)> = yes.iter().map(|(call, json)| (xml(call), Some(*json))).collect();
    let all: Vec<(String, Option<&str>)> =
        yes.into_iter().chain(no.iter().map(|call| (xml(call), None))).collect();
    let table: Vec<(&str, Option<&str>)> = all.iter().map(|(text, json)| (text.as_str(), *json)).collect();
    hold(&family("qwen3-coder"), mixed(), &table);
}

#[test]
fn other_notations_are_read_as_what_they_mean() {
    let glm = |inner: &str| format!("<tool_call>f{inner}</tool_call>");
    hold(
        &family("glm4.7"),
        mixed(),
        &[
            (
                &glm(
                    "<arg_key>s</arg_key><arg_value>a\nb</arg_value><arg_key>b</arg_key><arg_value>true</arg_value>",
                ),
                Some(r#"{"s": "a\nb", "b": true}"#),
            ),
            (&glm("<arg_key>s</arg_key><arg_value></arg_value>"), Some(r#"{"s": ""}"#)),
            (&glm("<arg_key>s</arg_key><arg_value>a</arg_valueb</arg_value>"), None),
            (&glm(""), None),
        ],
    );
    hold(&family("glm4.7"), json!({}), &[(&glm(""), Some("{}"))]);
    hold(
        &family("glm4.6"),
        mixed(),
        &[(
            "<tool_call>f\n<arg_key>s</arg_key>\n<arg_value>x</arg_value>\n<arg_key>n</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
            Some(r#"{"s": "x", "n": 2}"#),
        )],
    );
    let lfm = |inner: &str| format!("<|tool_call_start|>[f({inner})]<|tool_call_end|>");
    hold(
        &family("lfm2"),
        mixed(),
        &[
            (&lfm("s='it\\'s', n=7, b=False"), Some(r#"{"s": "it's", "n": 7, "b": false}"#)),
            (&lfm("s=\"it's\", x=None"), Some(r#"{"s": "it's", "x": null}"#)),
            (&lfm("l=['a', 'b)]'], s=''"), Some(r#"{"l": ["a", "b)]"], "s": ""}"#)),
            (&lfm("s='a\\nb', x='1'"), Some(r#"{"s": "a\nb", "x": "1"}"#)),
            (&lfm("s='x', e='two words', p='ab1'"), Some(r#"{"s": "x", "e": "two words", "p": "ab1"}"#)),
            (&lfm("s='x', o={\"k\": null}"), Some(r#"{"s": "x", "o": {"k": null}}"#)),
            (&lfm("s='it's'"), None),
            (&lfm("s=it"), None),
            (&lfm("n=7"), None),
        ],
    );
    let gemma = |inner: &str| format!("<|tool_call>call:f{{{inner}}}<tool_call|>");
    hold(
        &family("gemma4"),
        mixed(),
        &[
            (
                &gemma("l:[<|\"|>a<|\"|>,<|\"|>\"q\"<|\"|>],n:3,s:<|\"|>a {b}, c:d\n<|\"|>"),
                Some(r#"{"l": ["a", "\"q\""], "n": 3, "s": "a {b}, c:d\n"}"#),
            ),
            (&gemma("s:<|\"|><|\"|>,o:{k:null},x:None"), Some(r#"{"s": "", "o": {"k": null}, "x": null}"#)),
            (&gemma("s:<|\"|>x<|\"|>,e:<|\"|>one<|\"|>"), Some(r#"{"s": "x", "e": "one"}"#)),
            (&gemma("s:x"), None),
        ],
    );
    let dsml = |inner: &str| {
        format!(
            "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n{inner}</｜DSML｜invoke>\n</｜DSML｜function_calls>"
        )
    };
    let parameter = |key: &str, strings: bool, value: &str| {
        format!("<｜DSML｜parameter name=\"{key}\" string=\"{strings}\">{value}</｜DSML｜parameter>\n")
    };
    hold(
        &family("deepseek-v3.2"),
        mixed(),
        &[
            (&dsml(&parameter("s", true, "true")), Some(r#"{"s": "true"}"#)),
            (
                &dsml(&format!("{}{}", parameter("x", false, "1"), parameter("s", true, "é"))),
                Some(r#"{"x": 1, "s": "é"}"#),
            ),
            (&dsml(&parameter("s", false, "true")), None),
        ],
    );
    let cpm = |inner: &str| format!("<function name=\"f\">{inner}</function>");
    hold(
        &family("minicpm5"),
        mixed(),
        &[
            (&cpm("<param name=\"s\">plain</param>"), Some(r#"{"s": "plain"}"#)),
            (
                &cpm("<param name=\"s\"><![CDATA[a < b\n</param>]]></param>"),
                Some(r#"{"s": "a < b\n</param>"}"#),
            ),
            (
                &cpm("<param name=\"s\">x</param><param name=\"l\">['a']</param>"),
                Some(r#"{"s": "x", "l": ["a"]}"#),
            ),
            (&cpm("<param name=\"s\">a < b</param>"), None),
        ],
    );
}

#[test]
fn what_no_rule_says_is_checked_in_every_notation() {
    let parameters = json!({"type": "object", "properties": {
        "l": {"type": "array", "items": {"type": "integer"}, "uniqueItems": true},
        "s": {"type": "string", "maxLength": 60}}});
    for dialect in families() {
        let compiler = Compiler::for_bytes().unwrap();
        let set = one(parameters.clone());
        let turn = Turn::new(&set, &dialect, KeyOrder::Any).unwrap();
        for (arguments, accepted) in [
            (r#"{"l": [1, 2]}"#, true),
            (r#"{"l": [1, 1]}"#, false),
            (&format!(r#"{{"s": "{}"}}"#, "x".repeat(60)), true),
            (&format!(r#"{{"s": "{}"}}"#, "x".repeat(61)), false),
        ] {
            let text = dialect.write(&edgecall::tools::ToolCall::from_text("f", arguments).unwrap());
            let verdict = verdict(&compiler, &turn, &text);
            assert_eq!(verdict.is_ok(), accepted, "{}: {text}: {verdict:?}", dialect.name);
        }
    }
}

#[test]
fn a_value_that_the_notation_cannot_write_is_refused_by_name() {
    let set =
        one(json!({"type": "object", "properties": {"a": {"enum": ["</parameter>"]}}, "required": ["a"]}));
    let error = Turn::new(&set, &family("qwen3-coder"), KeyOrder::Any).err().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("`f`"), "{error}");
    assert!(source.contains("</parameter>") && source.contains("#/properties/a"), "{source}");
}

#[test]
fn several_calls_and_cut_off_ones_are_told_apart_in_every_notation() {
    let set = ToolSet::from_value(json!([{"name": "f", "parameters": mixed()}, {"name": "g"}])).unwrap();
    let compiler = Compiler::for_bytes().unwrap();
    for dialect in families() {
        let turn = Turn::new(&set, &dialect, KeyOrder::Any).unwrap().up_to(3);
        let call =
            |arguments: &str| dialect.write(&edgecall::tools::ToolCall::from_text("f", arguments).unwrap());
        let text = call(r#"{"s": "x", "x": 5}"#);
        let accepted = verdict(&compiler, &turn, &text);
        assert!(accepted.is_ok(), "{}: {text}: {accepted:?}", dialect.name);
        let cut = &text[..text.find('5').unwrap()];
        let endings = turn.endings(cut.as_bytes());
        assert_eq!(String::from_utf8(endings[0].clone()).unwrap(), call(r#"{"s": "x"}"#), "{}", dialect.name);
        assert!(verdict(&compiler, &turn, &call(r#"{"s": "x"}"#)).is_ok());
    }
}

/// Strings that formats have trouble with.
const STRINGS: [&str; 22] = [
    "",
    " ",
    "\n",
    "plain",
    "it's",
    "say \"no\"",
    "back\\slash",
    "line\nline\n",
    "\ttab\r",
    "😀 é 名前",
    "42",
    "-0.0",
    "true",
    "None",
    "null",
    "[1, 2]",
    "{\"a\": 1}",
    "</param>",
    "a, b=c(d)]",
    "{x:<y>}",
    "&amp; < >",
    "<tool_call>f",
];

#[test]
fn a_call_comes_back_as_it_was_written_in_every_notation() {
    let properties = json!({"s": {"type": "string"}, "n": {"type": "number"}, "b": {"type": "boolean"},
        "z": {"type": "null"}, "l": {"type": "array"}, "o": {"type": "object"}});
    let set = ToolSet::from_value(json!([{"name": "Calendar.create-event_2", "parameters":
        {"type": "object", "properties": properties}}]))
    .unwrap();
    let compiler = Compiler::for_bytes().unwrap();
    let values = [
        ("n", "1e+300"),
        ("n", "-0.0"),
        ("n", "123456789012345678901234567890"),
        ("b", "true"),
        ("z", "null"),
        ("l", "[]"),
        ("l", r#"[null, [true, {"k": null}], "it's", "a\nb", -1.50]"#),
        ("o", "{}"),
        ("o", r#"{"k": {"e": [[]], "q": "\"\\"}, "n": null}"#),
    ];
    for dialect in families() {
        let turn = Turn::new(&set, &dialect, KeyOrder::Any).unwrap();
        let strings = STRINGS.iter().map(|text| ("s", serde_json::to_string(text).unwrap()));
        let others = values.iter().map(|(key, value)| (*key, (*value).to_owned()));
        for (key, value) in strings.chain(others) {
            for arguments in
                [format!("{{\"{key}\": {value}}}"), format!("{{\"{key}\": {value}, \"b\": false}}")]
            {
                let Ok(call) = edgecall::tools::ToolCall::from_text("Calendar.create-event_2", &arguments)
                else {
                    continue;
                };
                let text = dialect.write(&call);
                let read = dialect.read_call_with(&text, Some(&set));
                let read = read.unwrap_or_else(|error| panic!("{}: {text}: {error}", dialect.name));
                match dialect.name.as_str() {
                    // Its templates write keys in alphabetical order.
                    "gemma4" => assert_eq!(read.arguments(), call.arguments(), "{text}"),
                    name => assert_eq!(read.arguments_text(), arguments, "{name}: {text}"),
                }
                assert_eq!(dialect.write(&read), text, "{}", dialect.name);
                // Longer numbers are read, but no grammar lets a model write them.
                let verdict = verdict(&compiler, &turn, &text);
                let is_long = value.len() > 20 && key == "n" || value == "1e+300";
                assert_eq!(verdict.is_ok(), !is_long, "{}: {text}: {verdict:?}", dialect.name);
            }
        }
    }
}

/// What the report says is left out, by pointer and keyword.
fn left_out(parameters: Value, dialect: &Dialect) -> Vec<(String, String, String)> {
    let set = one(parameters);
    let compiled = set.get("f").unwrap().compiled_in(KeyOrder::Any, &dialect.notation().unwrap()).unwrap();
    let lines = compiled.report.with(Status::LeftOut);
    lines.map(|line| (line.pointer.clone(), line.keyword.clone(), line.note.clone())).collect()
}

#[test]
fn keys_and_values_that_cannot_be_written_are_reported_and_left_out() {
    let keys = json!({"type": "object", "properties": {"a b": {"type": "string"}, "c": {"type": "string"}}});
    let lfm = family("lfm2");
    assert_eq!(
        left_out(keys.clone(), &lfm),
        [("#".into(), "properties".into(), "the call format cannot write the key \"a b\"".into())]
    );
    hold(
        &lfm,
        keys,
        &[
            ("<|tool_call_start|>[f(c='x')]<|tool_call_end|>", Some(r#"{"c": "x"}"#)),
            ("<|tool_call_start|>[f(a b='x')]<|tool_call_end|>", None),
        ],
    );
    let values = json!({"type": "object", "properties": {
        "s": {"enum": ["x", "</parameter>", "null"]}, "o": {"const": "</parameter>"}}});
    let qwen = family("qwen3-coder");
    let found = left_out(values.clone(), &qwen);
    assert_eq!(
        found,
        [
            (
                "#/properties/o".into(),
                "const".into(),
                "the call format cannot write \"</parameter>\"".to_owned()
            ),
            ("#/properties/s".into(), "enum".into(), "the call format cannot write \"</parameter>\"".into()),
        ]
    );
    let null = xml(&[("s", "null")]);
    let (all, none) = (xml(&[("s", "</parameter>")]), xml(&[("o", "</parameter>")]));
    hold(&qwen, values, &[(&null, Some(r#"{"s": "null"}"#)), (&all, None), (&none, None)]);
    // JSON says all there is.
    let hermes = edgecall::dialect::named("hermes").unwrap();
    assert!(
        left_out(json!({"type": "object", "properties": {"a b": {"enum": ["</tool_call>"]}}}), &hermes)
            .is_empty()
    );
}

#[test]
fn required_keys_and_values_that_cannot_be_written_are_refused_with_the_reason() {
    for (name, parameters, reason) in [
        (
            "lfm2",
            json!({"type": "object", "properties": {"a b": {"type": "string"}}, "required": ["a b"]}),
            "cannot write the key \"a b\"",
        ),
        (
            "qwen3-coder",
            json!({"type": "object", "properties": {"s": {"const": "</parameter>"}}, "required": ["s"]}),
            "cannot write \"</parameter>\"",
        ),
        (
            "gemma4",
            json!({"type": "object", "properties": {"o": {"const": {"a:b": 1}}}, "required": ["o"]}),
            "cannot write the key \"a:b\"",
        ),
        (
            "gemma4",
            json!({"type": "object", "properties": {"l": {"enum": [["<|\"|>"]]}}, "required": ["l"]}),
            "cannot write \"<|\\\"|>\"",
        ),
        ("gemma4", json!({"const": {"l": "<|\"|>"}}), "cannot write \"<|\\\"|>\""),
    ] {
        let set = one(parameters.clone());
        let notation = family(name).notation().unwrap();
        let error = set.get("f").unwrap().compiled_in(KeyOrder::Any, &notation).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(source.contains(reason), "{name}: {parameters}: {source}");
    }
}

#[test]
fn python_strings_are_read_with_every_escape_of_repr() {
    let lfm = |text: &str| format!("<|tool_call_start|>[f(s={text})]<|tool_call_end|>");
    hold(
        &family("lfm2"),
        mixed(),
        &[
            (&lfm(r"'\x85\u2028\U0001f600'"), Some("{\"s\": \"\u{85}\u{2028}😀\"}")),
            (&lfm(r"'\x0a'"), Some(r#"{"s": "\n"}"#)),
            (&lfm(r"'\ud800'"), None),
            (&lfm(r"'\x8'"), None),
        ],
    );
    hold(
        &family("lfm2"),
        json!({"type": "object", "properties": {"l": {"const": ["it's"]}}}),
        &[
            ("<|tool_call_start|>[f(l=[\"it's\"])]<|tool_call_end|>", Some(r#"{"l": ["it's"]}"#)),
            (r"<|tool_call_start|>[f(l=['it\'s'])]<|tool_call_end|>", Some(r#"{"l": ["it's"]}"#)),
        ],
    );
}

#[test]
fn the_text_that_ends_a_value_may_be_in_a_string_of_a_list_whose_type_is_not_declared() {
    let call = "<tool_call>f<arg_key>x</arg_key><arg_value>[\"}</arg_value>\"]</arg_value></tool_call>";
    let any = json!({"type": "object", "properties": {"x": {}}});
    hold(&family("glm4.7"), any, &[(call, Some(r#"{"x": ["}</arg_value>"]}"#))]);
}

#[test]
fn a_call_without_arguments_ends_where_a_key_would_begin_alike() {
    let value = json!({"before": [">"], "encoding": {"json": "spaced"}, "after": ["</", "key", ">"]});
    let kinds = ["string", "number", "boolean", "null", "array", "object"];
    let values: serde_json::Map<String, Value> =
        kinds.iter().map(|kind| ((*kind).to_owned(), value.clone())).collect();
    let elements = json!({"name": "elements", "first": ["<f n=\"", {"name": "plain"}, "\">"], "last": ["</f>"],
        "arguments": {"members": {"open": "<", "separator": "<", "close": "", "values": values}}});
    let elements: Arc<Dialect> = Arc::new(serde_json::from_value(elements).unwrap());
    hold(
        &elements,
        json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}),
        &[
            ("<f n=\"f\"></f>", Some("{}")),
            ("<f n=\"f\"><a>1</a></f>", Some(r#"{"a": 1}"#)),
            ("<f n=\"f\"><b>\"</f>\"</b><a>1</a></f>", Some(r#"{"b": "</f>", "a": 1}"#)),
            ("<f n=\"f\"><a>1</b></f>", None),
        ],
    );
}

#[test]
fn calls_that_nothing_enforced_are_read_with_other_blanks_and_without_their_end() {
    let set = one(mixed());
    let read = |name: &str, text: &str| {
        let call = family(name).read_call_loosely(text, Some(&set)).ok()?;
        Some(call.arguments_text().to_owned())
    };
    let both = Some(r#"{"s": "x y", "n": 7}"#.to_owned());
    for (name, text) in [
        (
            "qwen3-coder",
            "<tool_call>\n<function=f>\n<parameter=s>\nx y\n</parameter>\n<parameter=n>\n7\n</parameter>\n</function>",
        ),
        (
            "qwen3-coder",
            "<tool_call><function=f><parameter=s>x y</parameter>\n\n<parameter=n> 7 </parameter></function></tool_call>",
        ),
        (
            "qwen3-coder",
            "<tool_call>\n<function=f>\n<parameter=s>\nx y\n</parameter>\n<parameter=n>\n7\n</parameter>",
        ),
        (
            "glm4.6",
            "<tool_call>f <arg_key>s</arg_key> <arg_value>x y</arg_value>\n\n<arg_key>n</arg_key><arg_value>7</arg_value>",
        ),
        (
            "glm4.7",
            "<tool_call>f\n<arg_key>s</arg_key>\n<arg_value>x y</arg_value>\n<arg_key>n</arg_key>\n<arg_value>7</arg_value>\n</tool_call>",
        ),
        ("lfm2", "<|tool_call_start|>[f(s=\"x y\", n=7)]"),
        ("gemma4", "<|tool_call>call:f{s:<|\"|>x y<|\"|>,n:7}"),
    ] {
        assert_eq!(read(name, text), both, "{name}: {text}");
    }
    for (name, text) in [
        // A text that was cut off is no value.
        ("qwen3-coder", "<tool_call>\n<function=f>\n<parameter=s>\nx y"),
        ("qwen3-coder", "<tool_call>\n<function=f>\n<parameter=s>\nx y\n</param"),
        ("lfm2", "<|tool_call_start|>[f(s='x y"),
        ("lfm2", "<|tool_call_start|>[f(s='x y', n=7"),
        ("gemma4", "<|tool_call>call:f{s:<|\"|>x y"),
        ("glm4.6", "f<arg_key>s</arg_key><arg_value>x</arg_value>"),
        ("glm4.6", ""),
    ] {
        assert_eq!(read(name, text), None, "{name}: {text}");
    }
    // What is written in the format is read as it is.
    let exact = xml(&[("s", "\n<b> x </b>\n")]);
    assert_eq!(read("qwen3-coder", &exact).unwrap(), r#"{"s": "\n<b> x </b>\n"}"#);
}

#[test]
fn indented_json_is_taken_as_the_template_writes_it_and_printed_on_one_line() {
    let dialect = edgecall::dialect::named("hermes").unwrap();
    let style = JsonStyle::Indented { by: 4, base: 4 };
    let dialect = Arc::new(Dialect { arguments: Arguments::Json(style), ..(*dialect).clone() });
    let arguments = r#"{"s": "a\nb", "l": ["x", ""], "o": {"k": null}, "b": true, "n": 17}"#;
    let call = edgecall::tools::ToolCall::from_text("f", arguments).unwrap();
    let text = dialect.write(&call);
    assert!(text.contains("{\n        \"s\": \"a\\nb\",\n        \"l\": [\n            \"x\","), "{text}");
    let frame = |arguments: &str| {
        format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {arguments}}}\n</tool_call>")
    };
    hold(
        &dialect,
        mixed(),
        &[
            (&text, Some(arguments)),
            (&frame("{\n  \"s\": \"\"\n}"), Some(r#"{"s": ""}"#)),
            (&frame("{\n\"s\": \"\",\n\"l\": [],\n\"o\": {}\n}"), Some(r#"{"s": "", "l": [], "o": {}}"#)),
            (&frame("{\n\"s\": \"\", \"n\": 1\n}"), None),
            (&frame("{\n\"n\": 17\n}"), None),
            (&frame("{\n\"s\": \"\",\n}"), None),
            (&frame("{\n}"), None),
        ],
    );
    // Where nothing is declared, too.
    let free = json!({"type": "object", "properties": {"o": {"type": "object"}}});
    let text =
        dialect.write(&edgecall::tools::ToolCall::from_text("f", r#"{"o": {"a": [1, {"b": []}]}}"#).unwrap());
    hold(&dialect, free, &[(&text, Some(r#"{"o": {"a": [1, {"b": []}]}}"#))]);
    // And in arrays whose items are counted.
    let counted = json!({"type": "object", "properties": {
        "set": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": true},
        "has": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}, "maxContains": 1}}});
    let write =
        |arguments: &str| dialect.write(&edgecall::tools::ToolCall::from_text("f", arguments).unwrap());
    for (arguments, accepted) in [
        (r#"{"set": ["b", "a"], "has": [1, 7, 2]}"#, true),
        (r#"{"set": []}"#, true),
        (r#"{"set": ["a", "a"]}"#, false),
        (r#"{"has": [1, 2]}"#, false),
        (r#"{"has": [7, 7]}"#, false),
    ] {
        hold(&dialect, counted.clone(), &[(&write(arguments), accepted.then_some(arguments))]);
    }
}

/// A call of `f` in elements, `[` standing for the text before a tag.
fn in_elements(before_tag: &str, inner: &str) -> String {
    let inner = inner.replace('[', before_tag);
    format!("<tool_call>\n{before_tag}<invoke name=\"f\">{inner}{before_tag}</invoke>\n</tool_call>")
}

/// Parameters with objects and arrays inside of each other.
fn nested() -> Value {
    json!({"type": "object", "properties": {
        "s": {"type": "string"}, "n": {"type": "integer"}, "b": {"type": "boolean"}, "z": {"type": "null"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3},
        "counts": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "two": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false},
        "set": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": true},
        "has": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}},
        "o": {"type": "object", "properties": {"id": {"type": "string"}, "to": {"type": "object",
            "properties": {"id": {"type": "integer"}, "list": {"type": "array", "items": {"type": "object",
                "properties": {"k": {"type": ["string", "number"]}}}}}, "required": ["id"]}}},
        "tree": {"$ref": "#/$defs/tree"},
        "u": {"type": ["integer", "object"], "properties": {"k": {"type": "integer"}}},
        "any": {"type": ["string", "array"], "items": {"type": ["boolean", "null"]}},
        "c": {"enum": [{"a": "x y", "l": [1, "</b>"]}, ["q"], "text"]}},
        "$defs": {"tree": {"type": "object", "properties": {"v": {"type": "integer"},
            "sub": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "required": ["v"]}}})
}

#[test]
fn objects_and_arrays_as_elements_hold_their_schemas() {
    for before_tag in ["]<]minimax[>[", ""] {
        let yes: &[(&str, &str)] = &[
            ("", "{}"),
            ("[<s>a \"b\"\n < & c[</s>", r#"{"s": "a \"b\"\n < & c"}"#),
            ("[<s>[</s>[<n>7[</n>[<b>true[</b>", r#"{"s": "", "n": 7, "b": true}"#),
            ("[<tags>[<item>a[</item>[<item>42[</item>[</tags>", r#"{"tags": ["a", "42"]}"#),
            ("[<tags>[</tags>", r#"{"tags": []}"#),
            ("[<counts>[<item>42[</item>[</counts>", r#"{"counts": [42]}"#),
            (
                "[<grid>[<item>[<item>1[</item>[<item>-2.5[</item>[</item>[<item>[</item>[</grid>",
                r#"{"grid": [[1, -2.5], []]}"#,
            ),
            ("[<two>[<item>x[</item>[<item>7[</item>[</two>", r#"{"two": ["x", 7]}"#),
            ("[<set>[<item>b[</item>[<item>a[</item>[</set>", r#"{"set": ["b", "a"]}"#),
            ("[<has>[<item>1[</item>[<item>7[</item>[</has>", r#"{"has": [1, 7]}"#),
            (
                "[<o>[<to>[<list>[<item>[<k>x[</k>[</item>[<item>[<k>2[</k>[</item>[</list>[<id>3[</id>[</to>[<id>3[</id>[</o>[<n>1[</n>",
                r#"{"o": {"to": {"list": [{"k": "x"}, {"k": 2}], "id": 3}, "id": "3"}, "n": 1}"#,
            ),
            ("[<o>[</o>", r#"{"o": {}}"#),
            (
                "[<tree>[<sub>[<item>[<v>2[</v>[</item>[</sub>[<v>1[</v>[</tree>",
                r#"{"tree": {"sub": [{"v": 2}], "v": 1}}"#,
            ),
            ("[<any>[<item>true[</item>[<item>null[</item>[</any>", r#"{"any": [true, null]}"#),
            ("[<any>x[1][</any>", r#"{"any": "xTAG1]"}"#),
            ("[<any>[</any>", r#"{"any": ""}"#),
            ("[<u>[</u>", r#"{"u": {}}"#),
            ("[<u>[<k>1[</k>[</u>", r#"{"u": {"k": 1}}"#),
            ("[<u>12[</u>", r#"{"u": 12}"#),
            ("[<c>[<l>[<item>1[</item>[<item>q[</item>[</l>[<a>x y[</a>[</c>", "no"),
            ("[<c>[<item>q[</item>[</c>", r#"{"c": ["q"]}"#),
            ("[<c>text[</c>", r#"{"c": "text"}"#),
        ];
        let no = [
            "[<s>a[</s>[<s>b[</s>",
            "[<n>x[</n>",
            "[<z>null[</z>",
            "[<tags>[<item>toolong[</item>[</tags>",
            "[<tags>[<item>a[</item>[<item>b[</item>[<item>c[</item>[<item>d[</item>[</tags>",
            "[<counts>[</counts>",
            "[<two>[<item>x[</item>[<item>x[</item>[</two>",
            // Items have one list of types, by which a text that reads as a number is one.
            "[<two>[<item>7[</item>[<item>7[</item>[</two>",
            "[<set>[<item>a[</item>[<item>a[</item>[</set>",
            "[<has>[<item>1[</item>[</has>",
            "[<o>[<to>[<id>x[</id>[</to>[</o>",
            "[<o>[<to>[</to>[</o>",
            "[<o>[<other>1[</other>[</o>",
            "[<o>[<id>1[</o>[</id>",
            "[<tree>[<sub>[<item>[</item>[</sub>[<v>1[</v>[</tree>",
            "[<c>other[</c>",
        ];
        let meant = |(inner, json): &(&str, &'static str)| {
            // What holds the text before a tag is a string in no format.
            let is_odd = json.contains("TAG") || *json == "no";
            (in_elements(before_tag, inner), (!is_odd).then_some(*json))
        };
        let all: Vec<(String, Option<&str>)> = yes
            .iter()
            .filter(|(inner, _)| !before_tag.is_empty() || !inner.contains("x[1]"))
            .map(meant)
            .chain(no.iter().map(|inner| (in_elements(before_tag, inner), None)))
            .collect();
        let table: Vec<(&str, Option<&str>)> =
            all.iter().map(|(text, json)| (text.as_str(), *json)).collect();
        hold(&elements(before_tag), nested(), &table);
    }
}

#[test]
fn elements_say_what_they_can_and_the_rest_is_reported() {
    let dialect = elements("");
    let set = one(nested());
    let compiler = Compiler::for_bytes().unwrap();
    let turn = Turn::new(&set, &dialect, KeyOrder::Any).unwrap();
    for arguments in [
        r#"{"s": "<item>1</item>", "n": 3, "tags": ["", " ", "é"]}"#,
        r#"{"o": {"id": "null", "to": {"id": -1, "list": [{}, {"k": "1.5x"}, {"k": 1.5}]}}}"#,
        r#"{"tree": {"v": 0, "sub": [{"v": 1, "sub": [{"v": 2, "sub": []}]}]}, "grid": [[], [0.5]]}"#,
        r#"{"c": {"a": "x y", "l": [1, "</b>"]}}"#,
    ] {
        let call = edgecall::tools::ToolCall::from_text("f", arguments).unwrap();
        let text = dialect.write(&call);
        let read =
            dialect.read_call_with(&text, Some(&set)).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(read.arguments_text(), arguments, "{text}");
        assert_eq!(dialect.write(&read), text);
        let verdict = verdict(&compiler, &turn, &text);
        assert!(verdict.is_ok(), "{text}: {verdict:?}");
    }
    let odd = json!({"type": "object", "properties": {
        "a b": {"type": "string"}, "c": {"enum": [{"k": null}, {"k": 1}, ["</item"], "</c"]},
        "z": {"type": "null"}}});
    let found = left_out(odd.clone(), &dialect);
    let notes: Vec<&str> = found.iter().map(|(_, _, note)| note.as_str()).collect();
    for part in ["the key \"a b\"", "null", "\"</item\"", "\"</c\""] {
        assert!(notes.iter().any(|note| note.contains(part)), "{part}: {notes:?}");
    }
    hold(&dialect, odd, &[(&in_elements("", "<c><k>1</k></c>"), Some(r#"{"c": {"k": 1}}"#))]);
}
