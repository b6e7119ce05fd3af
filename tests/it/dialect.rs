//! Call formats: detection from the chat template, the grammar of each format both ways, and tools described in text.

use crate::{
    pocket::{self},
    shared::shared,
};
use edgecall::{
    Kind,
    call::{self, Request},
    chat::{Conversation, RenderOptions},
    dialect::{self, Dialect, Wanted, entries, grammar::IncrementalGrammar, turn::Turn},
    remedy::Remedy,
    runtime::Compiler,
    schema::KeyOrder,
    tools::{ToolCall, ToolSet},
};
use serde_json::{Value, json};
use std::{fs, sync::Arc};

fn named(name: &str) -> Arc<Dialect> {
    dialect::named(name).unwrap()
}

pub fn tools(list: Value) -> ToolSet {
    ToolSet::from_value(list).unwrap()
}

/// The call format of a template; `true` if the template itself shows the tools to the model.
fn taught(template: &str) -> Result<(Arc<Dialect>, bool), String> {
    match call::ToolFormat::detect(template, &Wanted::Strict, &|_| true) {
        Ok(tool_format) => Ok((tool_format.dialect, tool_format.by_template)),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Data);
            assert_eq!(error.remedies(), [Remedy::GenericDialect]);
            Err(error.to_string())
        }
    }
}

fn detected(template: &str, name: &str) -> call::ToolFormat {
    let wanted = if name == "auto" { Wanted::Auto } else { Wanted::Named(name.to_owned()) };
    call::ToolFormat::detect(template, &wanted, &|_| true).unwrap()
}

// ChatML; the format of a call is inserted in place of CALL.
pub const CHATML: &str = "\
{%- if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}\n
{%- if m.tool_calls %}{% set call = m.tool_calls[0].function %}CALL{% else %}{{ m.content }}{% endif -%}
<|im_end|>\n{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

#[test]
fn a_template_teaches_the_dialect_that_it_writes_a_call_in() {
    let json = |key: &str| {
        format!(r#"{{{{ '{{"name": "' + call.name + '", "{key}": ' + (call.arguments | tojson) + '}}' }}}}"#)
    };
    let (arguments, parameters) = (json("arguments"), json("parameters"));
    let call = ToolCall::from_text("find", r#"{"city": "Leeds", "n": 2}"#).unwrap();
    let as_json = |key: &str| format!(r#"{{"name": "find", "{key}": {{"city": "Leeds", "n": 2}}}}"#);
    let xml = "<function={{ call.name }}>\n{% for k, v in call.arguments.items() %}<parameter={{ k }}>\n\
        {{- v if v is string else v | tojson }}\n</parameter>\n{% endfor %}</function>";
    for (written, expected) in [
        (
            format!("<tool_call>\n{arguments}\n</tool_call>"),
            format!("<tool_call>\n{}\n</tool_call>", as_json("arguments")),
        ),
        (
            format!("<tool_call>{arguments}</tool_call>"),
            format!("<tool_call>{}</tool_call>", as_json("arguments")),
        ),
        (parameters.clone(), as_json("parameters")),
        (format!("[TOOL_CALLS] [{arguments}]"), format!("[TOOL_CALLS] [{}]", as_json("arguments"))),
        (
            "[TOOL_CALLS]{{ call.name }}[ARGS]{{ call.arguments | tojson }}".into(),
            r#"[TOOL_CALLS]find[ARGS]{"city": "Leeds", "n": 2}"#.into(),
        ),
        (
            "<function={{ call.name }}>{{ call.arguments | tojson }}</function>".into(),
            r#"<function=find>{"city": "Leeds", "n": 2}</function>"#.into(),
        ),
        (format!("<|python_tag|>{parameters}"), format!("<|python_tag|>{}", as_json("parameters"))),
        (
            xml.into(),
            "<function=find>\n<parameter=city>Leeds\n</parameter>\n<parameter=n>2\n</parameter>\n</function>"
                .into(),
        ),
    ] {
        let (dialect, by_template) = taught(&CHATML.replace("CALL", &written)).unwrap();
        assert!(by_template, "{written}");
        let text = dialect.write(&call);
        // Mistral's space is allowed, not written.
        assert_eq!(text.replace("] [", "]["), expected.replace("] [", "]["), "{written}");
    }
    let nothing = CHATML.replace("CALL", "<tool_call>\n<function={{ call.name }}>\n<parameter=key>\n1");
    assert!(taught(&nothing).unwrap_err().contains("cannot be told"));
}

#[test]
fn a_template_that_knows_no_tools_takes_the_generic_dialect() {
    for template in [
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        // As in some templates: no system message, only two roles, no two turns of one role in a row.
        "{% for m in messages %}{% if m.role != ['user', 'assistant'][loop.index0 % 2] %}
         {{ raise_exception('roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}",
        // The tag alone does not determine a format.
        "{# <tool_call> arguments #}{% for m in messages %}{{ m.content }}{% endfor %}",
    ] {
        let found = detected(template, "auto");
        assert_eq!((found.dialect.name.as_str(), found.by_template), ("generic", false), "{template}");
        assert!(found.note.is_some(), "{template}");
    }
    // The template renders calls of the history but not the tools: edgecall describes the tools, in the template's
    // format.
    let hermes = "<tool_call>\n{{ call | tojson }}\n</tool_call>";
    let silent = CHATML.replace("CALL", hermes).replace("{%- if tools %}", "{%- if false %}");
    assert!(!taught(&silent).unwrap().1);
}

#[test]
fn a_chosen_dialect_that_the_template_does_not_teach_is_told_as_text() {
    let template = CHATML.replace("CALL", "<tool_call>\n{{ call | tojson }}\n</tool_call>");
    for dialect in entries::all().iter().filter(|dialect| dialect.name != "hermes") {
        let tool_format = detected(&template, &dialect.name);
        assert_eq!((&*tool_format.dialect.name, tool_format.by_template), (&*dialect.name, false));
    }
}

#[test]
fn conformance_each_golden_template_has_its_dialect() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("golden/templates/jinja");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let found = detected(&fs::read_to_string(&path).unwrap(), "auto");
        let expected = match name.as_str() {
            "google-gemma-2-2b-it" | "microsoft-Phi-3.5-mini-instruct" => "generic",
            "Qwen-Qwen2.5-7B-Instruct" | "Qwen-Qwen3-0.6B" => "hermes",
            "meta-llama-Llama-3.1-8B-Instruct" | "meta-llama-Llama-3.2-3B-Instruct" => "llama3",
            "mistralai-Mistral-Nemo-Instruct-2407" => "mistral",
            "meetkai-functionary-medium-v3.1" => "functionary",
            _ => {
                assert_ne!(found.dialect.name, "generic", "{name}");
                continue;
            }
        };
        assert_eq!(found.dialect.name, expected, "{name}");
    }
}

/// A question, a call, its result, and another question.
pub fn history() -> Conversation {
    Conversation::from_value(json!([
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "tool_calls": [
            {"id": "a1", "type": "function", "function": {"name": "find", "arguments": {"city": "Leeds"}}},
            {"id": "a2", "type": "function", "function": {"name": "look", "arguments": {}}}]},
        {"role": "tool", "tool_call_id": "a2", "content": "nothing"},
        {"role": "tool", "tool_call_id": "a1", "content": "[1, 2]"},
        {"role": "user", "content": "And now?"},
    ]))
    .unwrap()
}

pub fn find() -> ToolSet {
    tools(json!([{"name": "find", "description": "Finds.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "maxLength": 30}}, "required": ["city"]}}]))
}

#[test]
fn conformance_any_golden_template_takes_tools_and_history_as_text() {
    let Some(shared) = shared() else { return };
    for entry in fs::read_dir(shared.join("golden/templates/jinja")).unwrap() {
        let path = entry.unwrap().path();
        let template = fs::read_to_string(&path).unwrap();
        let options = RenderOptions {
            add_generation_prompt: true,
            bos_token: Some("<s>"),
            eos_token: Some("</s>"),
            ..RenderOptions::default()
        };
        let tool_format = detected(&template, "generic");
        let (tools, history) = (find(), history());
        let request = Request::new(&history, Some(&tools));
        let rendered = call::render_with(&template, &request, Some(&tool_format), &options);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match rendered {
            Ok(prompt) => {
                for text in [r#""description": "Finds.""#, r#"{"name": "look", "arguments": {}}"#, "[1, 2]"] {
                    assert!(prompt.contains(text), "{name}: {text} is not in {prompt}");
                }
            }
            // These templates require a list of tools, or a variable of their own.
            Err(error) => assert!(
                name.contains("functionary") || name.contains("firefunction") || name.contains("Hermes-3"),
                "{name}: {error}"
            ),
        }
    }
}

#[test]
fn tools_calls_and_results_are_told_as_text() {
    let told = r#"You can call these functions, given as JSON with a JSON schema of their parameters:
{"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}}, "required": ["city"]}}

Answer the user by calling one of them. Write the call and nothing else, in this form:
{"name": "FUNCTION", "arguments": {"PARAMETER": "VALUE"}}"#;
    let turns = r#"user: Where?
assistant: {"name": "find", "arguments": {"city": "Leeds"}}
{"name": "look", "arguments": {}}
user: Result of find:
[1, 2]

Result of look:
nothing

And now?
"#;
    let render = |template: &str, conversation: &Conversation| {
        let (tools, tool_format) = (find(), detected(template, "auto"));
        let request = Request::new(conversation, Some(&tools));
        call::render_with(template, &request, Some(&tool_format), &RenderOptions::default()).unwrap()
    };
    let plain = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
    assert_eq!(render(plain, &history()), format!("system: {told}\n{turns}"));
    let own = history().with_system("Be brief.");
    assert_eq!(render(plain, &own), format!("system: Be brief.\n\n{told}\n{turns}"));
    // A template that refuses a system message, and one that drops it.
    let refuses = plain.replace(
        "{{ m.role",
        "{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.role",
    );
    let drops = plain.replace("{% for m in messages", "{% for m in messages if m.role != 'system'");
    for template in [refuses, drops] {
        assert_eq!(render(&template, &history()), turns.replacen("user: ", &format!("user: {told}\n\n"), 1));
    }
}

/// `Ok` if `text`, fed byte by byte, is a complete call, else the part that the grammar accepts.
/// A template that declares tools behind the system message and leaves that message to the application, as FunctionGemma's.
const DECLARES: &str = "\
{%- if messages[0].role in ['system', 'developer'] %}{% set system = messages[0].content %}{% set messages = messages[1:] %}{% endif %}
{%- if tools or system %}<start_of_turn>developer\n{{ system }}
{%- for t in tools %}<start_function_declaration>declaration:{{ t.function.name }}{}<end_function_declaration>{% endfor %}<end_of_turn>\n{% endif %}
{%- for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content }}
{%- for c in m.tool_calls %}<start_function_call>call:{{ c.function.name }}{
{%- for k, v in c.function.arguments | dictsort %}{{ ',' if not loop.first }}{{ k }}:{{ v | tojson }}{% endfor %}}<end_function_call>{% endfor -%}
<end_of_turn>\n{% endfor %}
{%- if add_generation_prompt %}<start_of_turn>model\n{% endif %}";

#[test]
fn tools_of_a_model_that_needs_a_system_message_get_it_unless_there_is_one() {
    let tool_format = detected(DECLARES, "auto");
    assert!(tool_format.by_template);
    let asked = json!([{"role": "user", "content": "Where?"}]);
    let developer =
        json!([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Where?"}]);
    let render = |conversation: Conversation, tools: Option<&ToolSet>| {
        let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
        let request = Request::new(&conversation, tools);
        call::render_with(DECLARES, &request, Some(&tool_format), &options).unwrap()
    };
    let [asked, developer] = [asked, developer].map(|messages| Conversation::from_value(messages).unwrap());
    let declared = "<start_function_declaration>declaration:find{}<end_function_declaration><end_of_turn>\n";
    let question = "<start_of_turn>user\nWhere?<end_of_turn>\n<start_of_turn>model\n";
    let needed = "You are a model that can do function calling with the following functions";
    let tools = find();
    for (conversation, system) in [
        (asked.clone(), needed),
        (developer, "Be brief."),
        (asked.clone().with_system("Be kind."), "Be kind."),
        (asked.clone().with_system(""), ""),
    ] {
        let expected = format!("<start_of_turn>developer\n{system}{declared}{question}");
        assert_eq!(render(conversation, Some(&tools)), expected);
    }
    assert_eq!(render(asked, None), question);
}

fn verdict(compiler: &Compiler, grammar: &Turn, text: &str) -> Result<(), String> {
    let mut constraint = call::constraint(compiler, grammar).unwrap();
    for (i, byte) in text.bytes().enumerate() {
        if !constraint.accept(i32::from(byte)).unwrap() {
            return Err(format!("stops after {:?}", String::from_utf8_lossy(&text.as_bytes()[..i])));
        }
    }
    if constraint.is_complete() { Ok(()) } else { Err("does not end there".into()) }
}

fn few_keys() -> Value {
    json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]})
}

/// Enough keys for the grammar to be built in stages.
fn many_keys() -> Value {
    let mut parameters = few_keys();
    for i in 0..20 {
        parameters["properties"][format!("optional{i}")] = json!({"type": "integer"});
    }
    parameters
}

/// Text before the name, between name and arguments, and after the arguments; then texts to refuse.
const TABLE: &[(&str, [&str; 3], &[&str])] = &[
    (
        "hermes",
        ["<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "}\n</tool_call>"],
        &[
            "{\"name\": \"f\", \"arguments\": {\"b\": 1}}",
            "<tool_call>\n{\"name\": \"f\", \"parameters\": {\"b\": 1}}",
        ],
    ),
    (
        "llama3",
        ["{\"name\": \"", "\", \"parameters\": ", "}"],
        &[
            "{\"name\": \"f\", \"arguments\": {\"b\": 1}}",
            "[{\"name\": \"f\", \"parameters\": {\"b\": 1}}]",
            "<|python_tag|>{\"name\": \"f\", \"parameters\": {\"b\": 1}}",
            "{\"name\": \"f\", \"parameters\": {\"b\": 1}}; {\"name\": \"f\", \"parameters\": {\"b\": 1}}",
        ],
    ),
    (
        "mistral",
        ["[TOOL_CALLS][{\"name\": \"", "\", \"arguments\": ", "}]"],
        &[
            "[TOOL_CALLS]{\"name\": \"f\", \"arguments\": {\"b\": 1}}",
            "[TOOL_CALLS]  [{\"name\": \"f\", \"arguments\": {\"b\": 1}}]",
            "[TOOL_CALLS][]",
            "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"b\": 1}}, {\"name\": \"f\", \"arguments\": {\"b\": 1}}]",
            "[{\"name\": \"f\", \"arguments\": {\"b\": 1}}]",
        ],
    ),
    (
        "mistral",
        ["[TOOL_CALLS] [{\"name\": \"", "\", \"arguments\": ", "}]"],
        &["[TOOL_CALLS][ {\"name\": \"f\", \"arguments\": {\"b\": 1}}]"],
    ),
    (
        "mistral-args",
        ["[TOOL_CALLS]", "[ARGS]", ""],
        &[
            "[TOOL_CALLS]f{\"b\": 1}",
            "[TOOL_CALLS]\"f\"[ARGS]{\"b\": 1}",
            "f[ARGS]{\"b\": 1}",
            "[TOOL_CALLS]f[ARGS]",
        ],
    ),
    (
        "functionary",
        ["<function=", ">", "</function>"],
        &[
            "<function=f>\n{\"b\": 1}</function>",
            "<function=\"f\">{\"b\": 1}</function>",
            "<function=f>{\"b\": 1}</function><function=f>{\"b\": 1}</function>",
            "<function=f>{\"b\": 1}",
            "<function=f><parameter=b>1</parameter></function>",
        ],
    ),
    (
        "generic",
        ["{\"name\": \"", "\", \"arguments\": ", "}"],
        &[
            "{\"name\": \"f\", \"parameters\": {\"b\": 1}}",
            "Sure: {\"name\": \"f\", \"arguments\": {\"b\": 1}}",
            "{\"arguments\": {\"b\": 1}, \"name\": \"f\"}",
        ],
    ),
];

#[test]
fn each_dialect_takes_its_own_calls_and_no_others() {
    let compiler = Compiler::for_bytes().unwrap();
    for parameters in [few_keys(), many_keys()] {
        // Names with a common prefix are distinguished even if only a tag ends them.
        let set = tools(json!([{"name": "f", "parameters": parameters}, {"name": "fg"}, {"name": "f g ü"}]));
        for (name, [open, middle, close], refused) in TABLE {
            let dialect = named(name);
            let grammar = Turn::new(&set, &dialect, KeyOrder::Any).unwrap();
            let text = |tool: &str, arguments: &str| format!("{open}{tool}{middle}{arguments}{close}");
            for (tool, arguments, accepted) in [
                ("f", r#"{"b": 1}"#, true),
                ("f", r#"{"b": 1, "a": "x"}"#, true),
                ("f", r#"{"a": "]}</function></tool_call>", "b": 1}"#, true),
                ("f", r#"{"a": "x"}"#, false),
                ("f", r#"{"b": 1, "b": 2}"#, false),
                ("f", r#"{"b": "1"}"#, false),
                ("f", r#"{"b": 1, "c": 1}"#, false),
                ("fg", "{}", true),
                ("fg", r#"{"b": 1}"#, false),
                ("f g ü", "{}", true),
                ("fgh", "{}", false),
                ("g", "{}", false),
                ("", "{}", false),
            ] {
                let text = text(tool, arguments);
                let verdict = verdict(&compiler, &grammar, &text);
                assert_eq!(verdict.is_ok(), accepted, "{name}: {text}: {verdict:?}");
                if accepted {
                    let call = dialect.read_call(&text).unwrap();
                    assert_eq!((call.name(), call.arguments_text()), (tool, arguments), "{name}: {text}");
                }
            }
            for text in refused.iter().copied().chain([" ", "{}", "none"]) {
                assert!(verdict(&compiler, &grammar, text).is_err(), "{name}: {text}");
            }
            let whole = text("f", r#"{"b": 1}"#);
            for text in [format!(" {whole}"), format!("{whole} "), whole[..whole.len() - 1].into()] {
                assert!(verdict(&compiler, &grammar, &text).is_err(), "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn a_call_is_read_back_as_it_was_written_in_every_dialect() {
    for arguments in [r#"{}"#, r#"{"b": "</tool_call>[ARGS]>]\n</function>", "a": [1.0, {"c": 1e3}]}"#] {
        let call = ToolCall::from_text("wörter und \"so\"", arguments).unwrap();
        for dialect in entries::all() {
            let text = dialect.write(&call);
            assert_eq!(dialect.read_call(&text).unwrap(), call, "{text}");
            assert!(dialect.read_call(&format!("{text}{text}")).is_err(), "{text}");
        }
    }
}

#[test]
fn what_is_no_call_of_a_dialect_is_not_read_as_one() {
    for (name, texts) in [
        (
            "llama3",
            &[
                "",
                "{}",
                r#"{"name": "f"}"#,
                r#"{"name": "f", "arguments": {}}"#,
                r#"{"name": 1, "parameters": {}}"#,
            ][..],
        ),
        (
            "generic",
            &[
                r#"{"name": "f", "parameters": {}}"#,
                r#"{"name": "f", "arguments": {}, "parameters": {}}"#,
                r#"{"name": "f", "arguments": [1]}"#,
            ],
        ),
        (
            "mistral",
            &[
                "[TOOL_CALLS]",
                "[TOOL_CALLS][]",
                r#"[TOOL_CALLS]{"name": "f", "arguments": {}}"#,
                r#"[{"name": "f", "arguments": {}}]"#,
            ],
        ),
        ("mistral-args", &["[TOOL_CALLS]f{}", "f[ARGS]{}", "[TOOL_CALLS]f[ARGS]", "[TOOL_CALLS]f[ARGS]1"]),
        (
            "functionary",
            &["<function=f>{}", "f>{}</function>", "<function=f{}</function>", "<function=f>1</function>"],
        ),
    ] {
        for text in texts {
            let error = named(name).read_call(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Negative, "{text}");
        }
    }
    // Calls in histories have ids, so a model may imitate them.
    let with_id = r#"[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}]"#;
    assert_eq!(named("mistral").read_call(with_id).unwrap().arguments_text(), r#"{"a": 1}"#);
}

#[test]
fn a_name_that_holds_what_ends_a_name_is_refused() {
    let set = tools(json!([{"name": "fine"}, {"name": "a>b[ARGS]"}]));
    for dialect in entries::all() {
        let expected = match dialect.name.as_str() {
            "functionary" => Some(">"),
            "mistral-args" => Some("[ARGS]"),
            _ => None,
        };
        match (Turn::new(&set, dialect, KeyOrder::Any), expected) {
            (Err(error), Some(end)) => {
                assert_eq!(error.kind(), Kind::Data);
                assert!(error.to_string().contains(&format!("holds `{end}`")), "{error}");
            }
            (Ok(_), None) => {}
            (found, _) => panic!("{}: {:?}", dialect.name, found.err()),
        }
    }
}

#[test]
fn a_mark_is_one_token_where_the_vocabulary_has_it_and_else_its_text() {
    let compiler = pocket::loaded().compiler().unwrap();
    let first = |name: &str| {
        let grammar = Turn::new(&find(), &named(name), KeyOrder::Any).unwrap();
        grammar.lark(b"", &|text| compiler.mark(text)).unwrap().lines().next().unwrap().to_owned()
    };
    let id = compiler.mark("<tool_call>").unwrap();
    assert!(first("hermes").starts_with(&format!("start: <[{id}]> ")), "{}", first("hermes"));
    assert!(first("mistral").starts_with("start: \"[TOOL_CALLS]\" "), "{}", first("mistral"));
}
