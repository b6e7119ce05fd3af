//! Tool-call formats are derived from chat templates, and written as the templates write them.

use crate::shared::shared;
use edgecall::{
    chat::{LocalTime, RenderOptions, Template},
    dialect::{
        Arguments, Encoding, JsonStyle, Piece, TextPlace, Turn, WrittenCall,
        derive::{Derived, NotDerived, derive},
        json_text,
    },
};
use serde_json::Value;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

const QUESTION: &str = "probe question";

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

struct Golden {
    folder: PathBuf,
    templates: PathBuf,
}

impl Golden {
    fn new() -> Option<Golden> {
        let golden = shared()?.join("golden");
        Some(Golden { folder: golden.join("dialects"), templates: golden.join("templates/jinja") })
    }

    fn template(&self, name: &str) -> Template {
        let own = self.folder.join(format!("jinja/{name}.jinja"));
        let path = if own.exists() { own } else { self.templates.join(format!("{name}.jinja")) };
        Template::new(&fs::read_to_string(path).unwrap()).unwrap()
    }

    fn cases(&self) -> (Value, Vec<Value>) {
        let text = fs::read_to_string(self.folder.join("cases.json")).unwrap();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        let Value::Array(cases) = document["cases"].take() else { panic!("no cases") };
        (document["tools"].take(), cases)
    }

    /// The rows by template, each template's own row first.
    fn rows(&self) -> BTreeMap<String, Vec<Value>> {
        let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in lines(&self.folder.join("expected.jsonl")) {
            rows.entry(text(&row, "template").to_owned()).or_default().push(row);
        }
        rows
    }
}

/// The format of pieces in `derived.jsonl`.
fn shown(pieces: &[Piece], count: u32) -> String {
    let shown = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Optional { text, written } => {
            if *written {
                text.clone()
            } else {
                String::new()
            }
        }
        Piece::OptionalId { .. } => String::new(),
        Piece::Name(_) => "{name}".to_owned(),
        Piece::Id { previous: true, .. } => "{id before}".to_owned(),
        Piece::Id { .. } => "{id}".to_owned(),
        Piece::Count => count.to_string(),
        Piece::Key => "{key}".to_owned(),
    };
    pieces.iter().map(shown).collect()
}

fn encoding(encoding: &Encoding) -> String {
    match encoding {
        Encoding::Raw => "raw".into(),
        Encoding::RawTrimmed => "raw stripped".into(),
        Encoding::RawOrCdata => "raw or CDATA".into(),
        Encoding::Json(_) => "json".into(),
        Encoding::Python => "python".into(),
        Encoding::Delimited { delimiter } => format!("quotes {delimiter}"),
        Encoding::PythonString { escaped: false } => "quotes unescaped '".into(),
        Encoding::PythonString { escaped: true } => "quotes '".into(),
        Encoding::Nested(nested) => format!("gemma {} {}", nested.delimiter, nested.null),
        other => format!("{other:?}"),
    }
}

/// What is in `row` of `derived.jsonl` and not in `derived`.
fn differences(row: &Value, derived: &Derived) -> Vec<String> {
    let Derived { dialect, .. } = derived;
    let start = dialect.count.map_or(0, |count| count.start);
    let (mut open, mut close, mut wrong) = (String::new(), String::new(), Vec::new());
    let mut equal = |what: &str, ours: &str, theirs: &str| {
        if ours != theirs {
            wrong.push(format!("{what}: {ours:?} for {theirs:?}"));
        }
    };
    if let Arguments::Members(members) = &dialect.arguments {
        open.clone_from(&members.open);
        close = shown(&members.values.string.after, 0) + &members.close;
        let string = &members.values.string;
        equal("between key and value", &shown(&string.before, 0), text(row, "between_key_and_value"));
        let between = shown(&string.after, 0) + &members.separator;
        equal("between arguments", &between, text(row, "between_arguments"));
        for (kind, form) in [
            ("string", &members.values.string),
            ("number", &members.values.number),
            ("boolean", &members.values.boolean),
            ("null", &members.values.null),
            ("array", &members.values.array),
            ("object", &members.values.object),
        ] {
            equal(kind, &encoding(&form.encoding), text(&row["arguments"], kind));
        }
        equal(
            "sorted",
            &members.sorted.to_string(),
            &row["keys_sorted"].as_bool().unwrap_or(false).to_string(),
        );
    } else {
        equal("arguments", "json", row["arguments"].as_str().unwrap_or("members"));
    }
    let none = dialect.thought.as_ref().map_or("", |thought| thought.none.as_str());
    let first = shown(&dialect.first, start);
    equal("open", &format!("{none}{first}{open}"), text(row, "open"));
    let end = dialect.end.first().map_or("", String::as_str);
    equal("close", &format!("{close}{}{end}", shown(&dialect.last, start)), text(row, "close"));
    let next = dialect.next.as_ref().map(|next| format!("{close}{}{open}", shown(next, start + 1)));
    equal("between calls", &format!("{next:?}"), &format!("{:?}", row["between_calls"].as_str()));
    equal("counts", &dialect.count.is_some().to_string(), &row.get("counts").is_some().to_string());
    match &dialect.text {
        TextPlace::Before { open, close } => {
            equal("before text", &format!("{none}{open}"), text(row, "before_text"));
            let behind = text(row, "behind_text");
            let call = first.trim_start();
            equal("behind text", &format!("{close}{call}").starts_with(behind).to_string(), "true");
        }
        _ => equal("text", "left out", row.get("before_text").map_or("left out", |_| "before")),
    }
    if let (Some(before), Some(behind)) = (row.get("before_thought"), row.get("behind_thought")) {
        match &dialect.thought {
            None => equal("thought", "none", "some"),
            Some(thought) => {
                equal("before thought", &thought.open, before.as_str().unwrap());
                let behind = behind.as_str().unwrap();
                equal(
                    "behind thought",
                    &format!("{}{first}", thought.close).starts_with(behind).to_string(),
                    "true",
                );
            }
        }
    }
    wrong
}

#[test]
fn conformance_the_formats_of_templates_are_those_that_the_prototype_derived() {
    let Some(golden) = Golden::new() else { return };
    let (mut wrong, mut times, mut shows) = (Vec::new(), Vec::new(), 0);
    for row in lines(&golden.folder.join("derived.jsonl")) {
        let name = text(&row, "template");
        let template = golden.template(name);
        let started = Instant::now();
        let derived = derive(&template);
        times.push((started.elapsed(), name.to_owned()));
        match (&derived, row.get("not_derived")) {
            (Err(NotDerived::NoName), Some(_)) => {}
            (Ok(derived), None) => {
                shows += 1;
                let differences = differences(&row, derived);
                if !differences.is_empty() {
                    wrong.push(format!("{name}:\n  {}\n  {derived:?}", differences.join("\n  ")));
                }
            }
            (Ok(derived), Some(_)) => wrong.push(format!("{name}: shows no call, but {derived:?}")),
            (Err(error), _) => wrong.push(format!("{name}: {error}")),
        }
    }
    times.sort();
    println!("median {:?}, longest {:?}", times[times.len() / 2].0, times.last().unwrap());
    assert_eq!(times.len(), 42);
    assert!(wrong.is_empty(), "{} differ of {shows}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The case's messages as the template wants them.
fn messages(case: &Value, derived: &Value) -> Vec<Value> {
    let mut messages = case["messages"].as_array().unwrap().clone();
    let keeps_content = text(case, "name").starts_with("content.");
    for message in &mut messages {
        if message.get("tool_calls").is_none() {
            continue;
        }
        if message["content"] == "" && derived["content"].is_null() && !keeps_content {
            message["content"] = Value::Null;
        }
        if derived["args"] == "text" {
            for call in message["tool_calls"].as_array_mut().unwrap() {
                let arguments = json_text(&call["function"]["arguments"], JsonStyle::Spaced);
                call["function"]["arguments"] = arguments.into();
            }
        }
    }
    messages
}

fn rendered(
    template: &Template,
    name: &str,
    tools: &Value,
    case: &Value,
    messages: &[Value],
    prompt: bool,
) -> Result<String, String> {
    let mut arguments = case["kwargs"].as_object().cloned().unwrap_or_default();
    if name.starts_with("fireworks") {
        arguments.insert("functions".into(), edgecall::json::spaced(tools).into());
        arguments.insert("datetime".into(), "2026-01-02 03:04:05".into());
    }
    let options = RenderOptions {
        add_generation_prompt: prompt,
        bos_token: Some("<s>"),
        eos_token: Some("</s>"),
        arguments,
        now: LocalTime::from_epoch(1_767_323_045),
        ..RenderOptions::default()
    };
    let text = template.render_values(messages, Some(tools), &options).map_err(|e| e.to_string())?;
    let at = text.find(QUESTION).map_or(0, |at| at + QUESTION.len());
    Ok(text[at..].to_owned())
}

#[test]
fn conformance_turns_with_calls_render_as_transformers_renders_them() {
    let Some(golden) = Golden::new() else { return };
    let (tools, cases) = golden.cases();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (name, rows) in golden.rows() {
        let template = golden.template(&name);
        let usual = &rows[0];
        let field = |row: &Value, key: &str| {
            row.get(key).map_or_else(|| text(usual, key), |v| v.as_str().unwrap_or_default()).to_owned()
        };
        for row in &rows[1..] {
            let case = cases.iter().find(|case| case["name"] == row["case"]).unwrap();
            let messages = messages(case, usual);
            let mut all = messages.clone();
            for more in ["results", "after"] {
                all.extend(case.get(more).and_then(Value::as_array).into_iter().flatten().cloned());
            }
            let whole = match row.get("no_result") {
                Some(_) => rendered(&template, &name, &tools, case, &messages, false),
                None => rendered(&template, &name, &tools, case, &all, true),
            };
            checked += 1;
            let same = match (&whole, row.get("error")) {
                (Err(_), Some(_)) => true,
                (Ok(whole), None) => {
                    let after =
                        if row.get("no_result").is_some() { String::new() } else { field(row, "after") };
                    *whole == format!("{}{}{after}", field(row, "prompt"), text(row, "assistant"))
                }
                _ => false,
            };
            if !same {
                wrong.push(format!("{name} / {}:\n{whole:?}\n{row}", row["case"]));
            }
        }
    }
    assert_eq!(checked, 42 * 101);
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Turns whose texts are the template's own doing, by template and case.
const TEMPLATES_OWN: &[(&str, &str)] = &[
    // The text comes in another turn behind the calls.
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "content.text"),
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "content.text_newline"),
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "content.text_and_parallel"),
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "thought.and_text"),
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "thought.inline"),
    // The text comes behind the results.
    ("google-gemma-4-31B-it", "content.text"),
    ("google-gemma-4-31B-it", "content.text_newline"),
    ("google-gemma-4-31B-it", "content.text_and_parallel"),
    ("google-gemma-4-31B-it", "thought.and_text"),
    ("google-gemma-4-31B-it", "thought.inline"),
    // A line end more than behind a thought or a text alone.
    ("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "thought.and_text"),
];

fn turn_of(message: &Value) -> (Vec<WrittenCall<'_>>, &str, &str) {
    let calls = message["tool_calls"].as_array().unwrap();
    let call = |call: &'_ Value| WrittenCall {
        name: Cow::Owned(text(&call["function"], "name").to_owned()),
        arguments: Cow::Owned(call["function"]["arguments"].as_object().unwrap().clone()),
        id: Some(Cow::Owned(text(call, "id").to_owned())),
    };
    (calls.iter().map(call).collect(), text(message, "content"), text(message, "reasoning_content"))
}

/// The turn of `message` with its calls, text and thought, in the ways in which templates read messages: blanks at the
/// ends of texts go, a thought inside a text is a thought, one of an earlier question goes.
fn written(derived: &Derived, message: &Value, case: &str) -> Vec<String> {
    let dialect = &derived.dialect;
    let (calls, content, thought) = turn_of(message);
    let end = dialect.end.first().map_or("", String::as_str);
    let write = |thought: &str, text: &str| {
        let some = |text: &'_ str| -> Option<String> { (!text.is_empty()).then(|| text.to_owned()) };
        let (thought, text) = (some(thought), some(text));
        let turn =
            Turn { thought: thought.as_deref(), text: text.as_deref(), calls: &calls, earlier_calls: 0 };
        dialect.write_turn(&turn) + end
    };
    let mut ways = vec![write(thought, content)];
    if case.starts_with("content.text") || case == "thought.inline" {
        ways.push(write(thought, content.trim()));
    }
    if case == "thought.inline" {
        ways.extend([write("I should call.", ""), write("", "")]);
    }
    if case == "content.null" {
        ways.push(write(thought, "None"));
    }
    let forgets = derived.notes.iter().any(|note| note.starts_with("a thought is left out"));
    if case == "later.question" || forgets {
        ways.push(write("", content));
    }
    if case == "later.question" {
        // Nor is an empty thought written there.
        ways.push(dialect.write_calls(&calls, 0) + end);
    }
    ways
}

#[test]
fn conformance_a_derived_format_writes_what_the_template_writes() {
    let Some(golden) = Golden::new() else { return };
    let (_, cases) = golden.cases();
    let (mut checked, mut refused, mut wrong) = (0, 0, Vec::new());
    for (name, rows) in golden.rows() {
        let Ok(derived) = derive(&golden.template(&name)) else { continue };
        let Derived { dialect, handover, .. } = &derived;
        assert_eq!(handover.text_arguments, rows[0]["args"] == "text", "{name}");
        assert_eq!(handover.null_content, rows[0]["content"].is_null(), "{name}");
        let case_of = |row: &Value| cases.iter().find(|case| case["name"] == row["case"]).unwrap();
        let calling = |case: &Value| case["messages"].as_array().unwrap().last().unwrap().clone();
        let plain = rows.iter().find(|row| row["case"] == "string").unwrap();
        let end =
            text(plain, "assistant").strip_prefix(&written(&derived, &calling(case_of(plain)), "string")[0]);
        let Some(end) = end else {
            wrong.push(format!("{name}: {dialect:?}\n{plain}"));
            continue;
        };
        for row in &rows[1..] {
            let (case, expected) = (case_of(row), text(row, "assistant"));
            if row.get("error").is_some() {
                refused += 1;
                continue;
            }
            if TEMPLATES_OWN.contains(&(name.as_str(), text(row, "case"))) {
                continue;
            }
            checked += 1;
            let message = calling(case);
            let ours = written(&derived, &message, text(row, "case"));
            let same = match case.get("kwargs") {
                // The prompt begins the turn otherwise.
                Some(_) => {
                    let (calls, ..) = turn_of(&message);
                    let calls = dialect.write_calls(&calls, 0);
                    expected.contains(&calls)
                }
                None => ours.iter().any(|ours| format!("{ours}{end}") == expected),
            };
            if !same {
                wrong.push(format!("{name} / {}:\n  {ours:?}\n  {expected:?}", row["case"]));
            }
        }
    }
    println!("{checked} written, {refused} refused by the templates");
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn a_template_without_end_is_given_up_by_its_work() {
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}";
    let Err(NotDerived::Fails(reason)) = derive(&Template::new(template).unwrap()) else {
        panic!("it is derived");
    };
    assert!(reason.contains("loops or writes without end"), "{reason}");
}
