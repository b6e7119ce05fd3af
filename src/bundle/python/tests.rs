//! Clients that people have, and what is read of them.

use super::{Client, Problem};
use crate::bundle::Wanted;
use serde_json::{Value, json};

fn read(source: &str) -> Result<Client, Problem> {
    super::read(source, Wanted::ALL)
}

/// The system message and the arguments by name.
fn client(source: &str) -> (Option<String>, Value) {
    let client = read(source).unwrap_or_else(|problem| panic!("{problem:?} in\n{source}"));
    let arguments = client.arguments.into_iter().map(|(name, value, _)| (name, value)).collect();
    (client.system, Value::Object(arguments))
}

/// The value of `expression`, as the tools of a call.
fn value(expression: &str) -> Value {
    let source =
        format!("x = {expression}\nclient.chat.completions.create(model='m', messages=[], tools=x)\n");
    client(&source).1["tools"].clone()
}

fn problem(source: &str) -> Problem {
    match read(source) {
        Ok(client) => panic!("{client:?} was read from\n{source}"),
        Err(problem) => problem,
    }
}

/// The reason why `expression` is no constant.
fn refused(expression: &str) -> String {
    problem(&format!("create.completions.create(tools={expression})\n")).text
}

/// A client as the vendor's platform writes it, in small.
const VENDOR: &str = r#"import argparse
import json

from openai import OpenAI

SYSTEM_PROMPT = [
    {
        "role": "system",
        "content": f"""You are a model for {{lamps}}.
<task_description>Don't \"guess\".</task_description>

""",
    }
]

DEFAULT_QUESTION = "[{\"role\": \"user\", \"content\": \"Light!\"}]"

TOOLS = [{'type': 'function', 'function': {'name': 'lamp', 'description': "The user's lamp", 'parameters': {'type': 'object', 'properties': {'on': {'type': 'boolean', 'default': False}}, 'required': []}}}]


class Client(object):
    def __init__(self, model_name: str, api_key: str = "EMPTY", port: int = 11434):
        self.model_name = model_name
        self.client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=api_key)

    def invoke(self, history: list[dict]) -> dict | str:
        messages = SYSTEM_PROMPT + history
        response = self.client.chat.completions.create(
            model=self.model_name,
            messages=messages,
            temperature=0,
            tools=TOOLS,
            tool_choice="required",
            extra_body={"chat_template_kwargs": {"enable_thinking": False}},
        )
        return f"No valid tool call, model returned {response}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    args = parser.parse_args()
    for message in json.loads(args.question):
        message["tool_calls"] = [str(t) for t in message["tool_calls"]]
    print(Client(model_name=args.model).invoke([]))
"#;

#[test]
fn the_vendors_client_is_read_whole() {
    let (system, arguments) = client(VENDOR);
    assert_eq!(
        system.unwrap(),
        "You are a model for {lamps}.\n<task_description>Don't \"guess\".</task_description>\n\n"
    );
    assert_eq!(
        arguments,
        json!({
            "temperature": 0,
            "tools": [{"type": "function", "function": {
                "name": "lamp", "description": "The user's lamp",
                "parameters": {"type": "object", "properties": {"on": {"type": "boolean", "default": false}}, "required": []},
            }}],
            "tool_choice": "required",
            "extra_body": {"chat_template_kwargs": {"enable_thinking": false}},
        })
    );
    assert_eq!(client(&VENDOR.replace('\n', "\r\n")), client(VENDOR));
    assert!(read(VENDOR).unwrap().warnings.is_empty());
}

#[test]
fn an_f_string_with_an_empty_field_is_read_as_text_with_a_warning() {
    let source = VENDOR.replace("{{lamps}}", "{} lamps");
    let client = read(&source).unwrap();
    assert!(client.system.unwrap().starts_with("You are a model for {} lamps."));
    assert_eq!(client.warnings.len(), 1);
    assert_eq!(client.warnings[0].line, 9);
    assert!(client.warnings[0].text.contains("which Python refuses"));
}

#[test]
fn literals_have_the_values_that_python_gives_them() {
    // Expected values: Python's `json.dumps` of the same expressions.
    for (expression, expected) in [
        (r#""a\n\t\\\x41\u00e9\U0001F600\101\q""#, json!("a\n\t\\Aé😀A\\q")),
        (r#"r"\d\n" 'b' "c""#, json!("\\d\\nbc")),
        (
            r#"("one "  # why
             "two")"#,
            json!("one two"),
        ),
        (r#"u'x' + "y" + ("z")"#, json!("xyz")),
        ("'''a\n'b' \\\nc'''", json!("a\n'b' c")),
        (r#"f"{{}} {{x}}" "y""#, json!("{} {x}y")),
        (r#"rf"\n{{""#, json!("\\n{")),
        (r#""\ud83d\ude00""#, json!("😀")),
        ("[1, -2, +3, 1_000, 0x1F, 0b11, 0o17, 00]", json!([1, -2, 3, 1000, 31, 3, 15, 0])),
        ("[1.5, .5, 5., 1e3, 1.E-2, -0.0, 00.5]", json!([1.5, 0.5, 5.0, 1e3, 0.01, -0.0, 0.5])),
        ("(1, True, False, None)", json!([1, true, false, null])),
        ("()", json!([])),
        ("(1,)", json!([1])),
        ("{'a': 1, 'b': [2, *[3, 4]], **{'c': 5}, 'a': 6}", json!({"a": 6, "b": [2, 3, 4], "c": 5})),
        ("[1] + [2] + [3]", json!([1, 2, 3])),
        ("{'a': [1, {'b': 'c'}]}['a'][1]['b']", json!("c")),
        (r#"json.loads('{"a": [1, null]}')"#, json!({"a": [1, null]})),
        ("textwrap.dedent('''\\\n    a\n      b\n\n    c\n   \n''')", json!("a\n  b\n\nc\n\n")),
        ("'''\n a \n'''.strip()", json!("a")),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    let wide = value("[12345678901234567890123]");
    assert_eq!(crate::json::wide_number(&wide[0]), Some("12345678901234567890123"));
}

#[test]
fn names_stand_for_what_they_were_given() {
    let call = "client.chat.completions.create(model=m, messages=h, tools=";
    for source in [
        format!("A = [1]\nTOOLS: list = A\n{call}TOOLS)"),
        format!("A = B = [1]\n{call}B)"),
        format!("class C:\n    TOOLS = [1]\n    def f(self):\n        {call}self.TOOLS)"),
        format!("class C:\n    TOOLS = [1]\n{call}C.TOOLS)"),
        format!(
            "class C:\n    def __init__(self):\n        self.t = [1]\n    def f(self):\n        {call}self.t)"
        ),
        format!(
            "def f():\n    tools = [1]\n    return {call}tools)\ndef g():\n    tools = [2]\n    tools.append(3)"
        ),
        format!("TOOLS = [1]\ndef f():\n    return {call}TOOLS)"),
        format!("class A:\n    async def f(self):\n        r = await self.{call}[1])"),
        "kw = {'model': 'm', 'messages': h(), 'tools': [1]}\nc.chat.completions.create(**kw)".to_owned(),
        "ollama.chat(model='m', messages=x, tools=[1])".to_owned(),
    ] {
        assert_eq!(client(&source).1["tools"], json!([1]), "{source}");
    }
}

#[test]
fn a_name_whose_value_only_running_the_file_would_give_is_refused_by_line() {
    let call = "\nclient.chat.completions.create(model=m, messages=h, tools=TOOLS)";
    for (source, line, part) in [
        ("TOOLS = [1]\nTOOLS = [2]", 3, "`TOOLS`, which has more than one value (lines 1 and 2)"),
        ("TOOLS = []\nTOOLS += [2]", 3, "more than one value"),
        ("TOOLS = []\nTOOLS.append(1)", 3, "`TOOLS`, which is changed later (line 2)"),
        ("TOOLS = [{}]\nTOOLS[0]['x'] = 1", 3, "changed later"),
        ("TOOLS = []\ndef f():\n    TOOLS.append(1)", 4, "changed later (line 3)"),
        ("TOOLS = []\ndef f():\n    global TOOLS\n    TOOLS = 1", 5, "more than one value (lines 1 and 4)"),
        ("from tools import TOOLS", 2, "is imported from another file (line 1)"),
        ("for TOOLS in x: pass", 2, "is the variable of a loop"),
        ("TOOLS, B = 1, 2", 2, "is assigned together with others"),
        ("x = 1", 2, "`TOOLS`, which the file does not define"),
        ("TOOLS = load()", 1, "calls `load`, and nothing of the file is run"),
        ("TOOLS = [t for t in x]", 1, "is a comprehension, not a constant"),
        ("TOOLS = a if b else c", 1, "is a condition"),
        ("TOOLS = TOOLS", 1, "made of itself"),
        ("import json\ndef loads(x): pass\nTOOLS = json.loads('[]')", 3, "calls `json.loads`"),
        ("def f(TOOLS):\n    c.chat.completions.create(tools=TOOLS)", 2, "is a parameter"),
    ] {
        let found = problem(&format!("{source}{call}"));
        assert_eq!(found.line, line, "{source}: {found:?}");
        assert!(found.text.contains(part), "{source}: {found:?}");
    }
}

#[test]
fn expressions_that_are_no_constants_are_refused_with_the_reason() {
    for (expression, part) in [
        ("f'a {b!r:>3} c'", "is an f-string with the field `{b!r:>3}`"),
        ("'x' f'{y}'", "with the field `{y}`"),
        ("'a %s' % b", "is a computation"),
        ("'a' * 3", "is a computation"),
        ("'a {}'.format(b)", "calls `'a {}'.format`"),
        ("b'bytes'", "is bytes"),
        ("'\\N{DASH}'", "write the character itself"),
        ("'\\ud83d'", "stands for no character"),
        ("'\\xg0'", "too few digits"),
        ("{1: 2}", "a key that is no string"),
        ("{1, 2}", "is a set"),
        ("1 + 2", "other things than two strings"),
        ("1e999", "which JSON cannot write"),
        ("2j", "which JSON cannot write"),
        ("[1][5]", "is not there"),
        ("json.loads('{')", "is not valid JSON"),
        ("lambda: 1", "is a function"),
        ("not True", "is a computation"),
        ("...", "`...`"),
    ] {
        let text = refused(expression);
        assert!(text.contains(part), "{expression}: {text}");
    }
}

#[test]
fn the_system_message_is_found_wherever_it_is_written() {
    for source in [
        "m = [{'role': 'system', 'content': 'S'}, {'role': 'user', 'content': q}]",
        "P = 'S'\nclass C:\n    def prompt(self, q):\n        return [{'role': 'system', 'content': P}, *q]",
        "class C:\n    P = 'S'\n    def f(self):\n        m.insert(0, {'role': 'system', 'content': self.P})",
        "m = [dict(role='system', content='S')]",
        "SYSTEM_PROMPT = 'S'",
        "system_prompt = 'S'\nm = [message('system', system_prompt)]",
        "a = {'role': 'system', 'content': 'S'}\nb = {'content': 'S', 'role': 'system'}",
        "m = [{'role': 'system', 'content': [{'type': 'text', 'text': 'S'}]}]",
        "m = [{'role': 'developer', 'content': 'S'}]",
    ] {
        assert_eq!(client(source).0.as_deref(), Some("S"), "{source}");
    }
    let two = problem("a = {'role': 'system', 'content': 'S'}\nb = {'role': 'system', 'content': 'T'}");
    assert_eq!((two.line, two.text.contains("another system message than that on line 1")), (2, true));
    let field = problem("a = 1\nb = {'role': 'system', 'content': f'{a} x'}");
    assert_eq!((field.line, field.text.contains("with the field `{a}`")), (2, true));
    assert!(problem("SYSTEM_PROMPT = [1]").text.contains("something else than a string"));
}

#[test]
fn of_several_calls_those_with_tools_count_and_must_agree() {
    let with = "c.chat.completions.create(tools=[1], temperature=0)\n";
    let without = "c.chat.completions.create(messages=m)\n";
    assert_eq!(client(&format!("{without}{with}{with}{without}")).1["tools"], json!([1]));
    let other = with.replace("=0", "=1");
    let found = problem(&format!("{with}{other}"));
    assert_eq!(
        (found.line, found.text.contains("other tools or settings than the call on line 1")),
        (2, true)
    );
}

#[test]
fn settings_that_are_no_constants_and_text_around_the_users_words_are_warned_of() {
    let source = "def f(t):\n    c.chat.completions.create(tools=[1], temperature=t, seed=3,\n        \
                  messages=[{'role': 'user', 'content': f'Question: {q}'}])";
    let client = read(source).unwrap();
    assert_eq!(
        client.arguments.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(),
        ["tools", "seed"]
    );
    let warnings: Vec<_> =
        client.warnings.iter().map(|warning| (warning.line, warning.text.as_str())).collect();
    assert!(warnings[0].0 == 2 && warnings[0].1.starts_with("`temperature` uses `t`, which is a parameter"));
    assert!(warnings[1].0 == 3 && warnings[1].1.contains("text around the words of the user"));
}

#[test]
fn what_is_no_client_or_no_python_is_refused() {
    assert!(problem("print('hello')\n").text.contains("calls no model"));
    let found = problem("x = 1\ny = [1,\ndef f(:\n");
    assert!(found.text.contains("is not Python") && found.line >= 2, "{found:?}");
}

#[test]
fn hostile_files_neither_exhaust_the_stack_nor_the_memory() {
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for expression in [
        nested("(", ")"),
        nested("[", "]"),
        nested("{'a':", "}"),
        nested("-", ""),
        nested("not ", ""),
        nested("f(", ")"),
        nested("lambda: ", ""),
        nested("x.a[0].", ""),
    ] {
        refused_or_not_python(&format!("c.completions.create(tools={expression})\n"));
    }
    refused_or_not_python(&"[".repeat(500_000));
    refused_or_not_python(&format!("x{}\n", ".append(1)".repeat(100_000)));
    // A sum of many terms is no deep nesting.
    let sum = vec!["'ab'"; 20_000].join(" + ");
    assert_eq!(value(&sum).as_str().unwrap().len(), 40_000);
    // Each name doubles what the last one stands for.
    let mut source = "a0 = ['xxxxxxxxxxxxxxxx']\n".to_owned();
    for i in 1..40 {
        source += &format!("a{i} = a{} + a{}\n", i - 1, i - 1);
    }
    source += "c.completions.create(tools=a39)\n";
    assert!(problem(&source).text.contains("more text than any prompt"));
}

fn refused_or_not_python(source: &str) {
    assert!(read(source).is_err());
}

#[test]
fn a_prompt_or_tools_that_are_not_wanted_are_not_refused() {
    let source =
        "m = {'role': 'system', 'content': f'{a}'}\nc.chat.completions.create(tools=load(), temperature=0)";
    let found = super::read(source, Wanted { system: false, tools: false, settings: true }).unwrap();
    assert_eq!((found.system, found.arguments.len()), (None, 1));
    assert!(super::read(source, Wanted { system: false, ..Wanted::ALL }).is_err());
    assert!(super::read(source, Wanted { tools: false, ..Wanted::ALL }).is_err());
}
