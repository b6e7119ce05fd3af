use super::*;
use crate::dialect::{Count, Elements, Encoding, JsonStyle, KeyForm, Members, Nested, TextPlace, Thought};
use xxhash_rust::xxh3::xxh3_64;

mod frames;

/// A chat in which CALLS stands for the calls of a turn.
const CHAT: &str = "\
    {%- if tools %}<|sys|>{{ tools | tojson }}<|end|>\n{% endif %}\
    {%- for m in messages %}<|{{ m.role }}|>\n{{ m.content }}CALLS<|end|>\n{% endfor %}\
    {%- if add_generation_prompt %}<|assistant|>\n{% endif %}";

fn derived(calls: &str) -> Result<Derived, NotDerived> {
    derive(&Template::new(&CHAT.replace("CALLS", calls)).unwrap())
}

fn dialect(calls: &str) -> Dialect {
    derived(calls).unwrap_or_else(|error| panic!("{calls}: {error}")).dialect
}

/// The calls of a turn, each written by `call`, with `between` two of them.
fn each(call: &str, between: &str) -> String {
    format!(
        "{{%- for c in m.tool_calls %}}{{%- set f = c.function %}}{{%- if not loop.first %}}{{{{ '{between}' }}}}{{% endif %}}{call}\
         {{%- endfor %}}"
    )
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn name() -> Piece {
    Piece::Name(crate::dialect::NameForm::Plain)
}

fn members(dialect: &Dialect) -> &Members {
    match &dialect.arguments {
        Arguments::Members(members) => members,
        Arguments::Json(_) => panic!("{dialect:?}"),
    }
}

#[test]
fn json_arguments_are_found_in_every_style() {
    for (filter, style) in [
        ("tojson", JsonStyle::Spaced),
        ("tojson(separators=(',', ':'))", JsonStyle::Compact),
        ("tojson(ensure_ascii=true)", JsonStyle::Ascii),
        ("tojson(sort_keys=true)", JsonStyle::Sorted),
        ("tojson(indent=2)", JsonStyle::Indented { by: 2, base: 0 }),
        ("tojson(indent=4) | indent(8)", JsonStyle::Indented { by: 4, base: 8 }),
    ] {
        let call = format!("<f={{{{ f.name }}}}>{{{{ f.arguments | {filter} }}}}</f>");
        let dialect = dialect(&each(&call, ""));
        assert_eq!(dialect.arguments, Arguments::Json(style), "{filter}");
        assert_eq!(dialect.first, [text("<f="), name(), text(">")]);
        assert_eq!(dialect.next.unwrap(), [text("</f><f="), name(), text(">")]);
        assert_eq!(dialect.last, [text("</f>")]);
        assert_eq!(dialect.text, TextPlace::Before { open: String::new(), close: String::new() });
    }
}

#[test]
fn arguments_are_handed_over_as_text_where_the_template_joins_them() {
    let Derived { handover, dialect, .. } =
        derived(&each("<f={{ f.name }}>{{ f.arguments }}</f>", "")).unwrap();
    assert!(handover.text_arguments);
    assert_eq!(dialect.arguments, Arguments::Json(JsonStyle::Spaced));
    let object = derived(&each("<f={{ f.name }}>{{ f.arguments | tojson }}</f>", "")).unwrap();
    assert!(!object.handover.text_arguments);
}

#[test]
fn arguments_are_handed_over_as_an_object_where_texts_are_taken_too_and_values_printed_as_python_does() {
    let parameters = "{% for k, v in f.arguments.items() %}<p n=\"{{ k }}\">{{ v }}</p>{% endfor %}";
    let call = format!(
        "<f n=\"{{{{ f.name }}}}\">{{% if f.arguments is string %}}{{{{ f.arguments }}}}{{% else %}}{parameters}{{% endif %}}</f>"
    );
    let Derived { handover, dialect, .. } = derived(&each(&call, "")).unwrap();
    assert!(!handover.text_arguments);
    assert_eq!(members(&dialect).values.object.encoding, Encoding::Python);
}

#[test]
fn xml_parameters_are_raw_text_and_python_words() {
    let value = "{{ v | tojson if v is mapping or (v is iterable and v is not string) else v | string }}";
    let call = format!(
        "<call>\n<function={{{{ f.name }}}}>\n{{% for k, v in f.arguments | items %}}<parameter={{{{ k }}}}>\n{value}\n</parameter>\n{{% endfor %}}</function>\n</call>"
    );
    let dialect = dialect(&each(&call, "\\n"));
    assert_eq!(dialect.first, [text("<call>\n<function="), name(), text(">\n")]);
    assert_eq!(dialect.last, [text("</function>\n</call>")]);
    let next = [text("</function>\n</call>\n<call>\n<function="), name(), text(">\n")];
    assert_eq!(dialect.next.as_deref().unwrap(), next);
    let members = members(&dialect);
    assert_eq!(
        [&members.open, &members.separator, &members.close],
        ["<parameter=", "\n</parameter>\n<parameter=", "\n</parameter>\n"]
    );
    let values = &members.values;
    assert_eq!(values.string.encoding, Encoding::Raw);
    assert_eq!(values.boolean.encoding, Encoding::Python);
    assert_eq!(values.null.encoding, Encoding::Python);
    assert_eq!(values.array.encoding, Encoding::Json(JsonStyle::Spaced));
    assert_eq!(values.object.before, [text(">\n")]);
}

#[test]
fn the_text_between_key_and_value_may_tell_the_type() {
    let call = "<i n=\"{{ f.name }}\">{% for k, v in f.arguments | items %}<p n=\"{{ k }}\" s=\"{{ 'true' if v is string else 'false' }}\">{{ v if v is string else v | tojson }}</p>{% endfor %}</i>";
    let dialect = dialect(&each(call, ""));
    let values = &members(&dialect).values;
    assert_eq!(values.string.before, [text("\" s=\"true\">")]);
    assert_eq!(values.null.before, [text("\" s=\"false\">")]);
    assert_eq!(values.array.encoding, Encoding::Json(JsonStyle::Spaced));
    assert_eq!(members(&dialect).open, "<p n=\"");
}

#[test]
fn elements_named_by_keys_repeat_the_key() {
    let call = "<i n=\"{{ f.name }}\">{% for k, v in f.arguments | items %}<{{ k }}>{{ v if v is string else v | tojson }}</{{ k }}>{% endfor %}</i>";
    let dialect = dialect(&each(call, ""));
    let values = &members(&dialect).values;
    assert_eq!(values.string.after, [text("</"), Piece::Key, text(">")]);
    assert_eq!(members(&dialect).separator, "<");
    assert_eq!(members(&dialect).close, "");
}

#[test]
fn python_calls_have_unescaped_or_escaped_strings() {
    let value = |string: &str| {
        format!("{{{{ {string} if v is string else (v | tojson if v is mapping else v | string) }}}}")
    };
    for (string, encoding) in [
        ("\"'\" ~ v ~ \"'\"", Encoding::PythonString { escaped: false }),
        ("v | tojson", Encoding::Json(JsonStyle::Spaced)),
    ] {
        let arguments = format!(
            "{{% for k, v in f.arguments | items %}}{{{{ ', ' if not loop.first }}}}{{{{ k }}}}={}{{% endfor %}}",
            value(string)
        );
        let calls = each(&format!("{{{{ f.name }}}}({arguments})"), ", ");
        let dialect = dialect(&format!("{{% if m.tool_calls %}}<s>[{calls}]<e>{{% endif %}}"));
        let members = members(&dialect);
        assert_eq!(members.values.string.encoding, encoding, "{string}");
        assert_eq!(members.key, KeyForm::Identifier);
        assert_eq!(members.values.array.encoding, Encoding::Python);
        assert_eq!(members.separator, ", ");
        assert_eq!(dialect.next.as_deref().unwrap(), [text("), "), name(), text("(")]);
        assert_eq!(dialect.last, [text(")]<e>")]);
    }
}

#[test]
fn delimited_texts_and_bare_keys_are_sorted() {
    let chat = "\
        {%- macro write(v) %}\
        {%- if v is string %}<q>{{ v }}<q>{% elif v is none %}None{% elif v is boolean %}{{ 'true' if v else 'false' }}\
        {%- elif v is mapping %}{{ '{' }}{% for k, w in v | dictsort %}{{ ',' if not loop.first }}{{ k }}:{{ write(w) }}{% endfor %}{{ '}' }}\
        {%- elif v is iterable %}[{% for w in v %}{{ ',' if not loop.first }}{{ write(w) }}{% endfor %}]\
        {%- else %}{{ v }}{% endif %}{% endmacro %}";
    let calls = each("<c>call:{{ f.name }}{{ write(f.arguments) }}</c>", "");
    let template = format!("{chat}{}", CHAT.replace("CALLS", &calls));
    let dialect = derive(&Template::new(&template).unwrap()).unwrap().dialect;
    assert_eq!(dialect.first, [text("<c>call:"), name(), text("{")]);
    assert_eq!(dialect.last, [text("}</c>")]);
    let members = members(&dialect);
    assert!(members.sorted);
    assert_eq!(members.values.string.encoding, Encoding::Delimited { delimiter: "<q>".into() });
    let nested = Nested { delimiter: "<q>".into(), null: "None".into(), sorted: true };
    assert_eq!(members.values.object.encoding, Encoding::Nested(nested));
    assert_eq!([&members.open, &members.separator, &members.close], ["", ",", ""]);
}

#[test]
fn thoughts_are_found_and_an_open_one_is_ended() {
    let call = each("<f={{ f.name }}>{{ f.arguments | tojson }}</f>", "");
    let shown = CHAT.replace(
        "{{ m.content }}CALLS",
        &format!(
            "{{% if m.reasoning_content %}}<think>\n{{{{ m.reasoning_content }}}}\n</think>\n\n{{% endif %}}{{{{ m.content }}}}{call}"
        ),
    );
    let thought = derive(&Template::new(&shown).unwrap()).unwrap().dialect.thought;
    let expected = Thought { open: "<think>\n".into(), close: "\n</think>\n\n".into(), none: String::new() };
    assert_eq!(thought, Some(expected));

    // The prompt opens a thought, whatever the switch says, and the history closes it.
    let opened = CHAT
        .replace(
            "{{ m.content }}CALLS",
            &format!(
                "{{% if m.role == 'assistant' %}}<think>\n{{{{ m.reasoning_content }}}}\n</think>\n\n{{% endif %}}{{{{ m.content }}}}{call}"
            ),
        )
        .replace("{%- if add_generation_prompt %}<|assistant|>\n", "{%- if add_generation_prompt %}<|assistant|>\n<think>\n");
    let dialect = derive(&Template::new(&opened).unwrap()).unwrap().dialect;
    assert_eq!(dialect.first[0], text("<f="));
    let close = "\n</think>\n\n".to_owned();
    assert_eq!(dialect.thought, Some(Thought { open: String::new(), close: close.clone(), none: close }));
}

#[test]
fn a_token_that_ends_turns_with_calls_is_no_part_of_the_frame() {
    let calls = each("<f={{ f.name }}>{{ f.arguments | tojson }}</f>", "");
    let dialect = dialect(&format!("{{% if m.tool_calls %}}{calls}<|eom_id|>{{% endif %}}"));
    assert_eq!(dialect.last, [text("</f>")]);
    assert_eq!(dialect.end, ["<|eom_id|>"]);
}

#[test]
fn calls_may_stand_in_a_message_of_their_own_behind_an_empty_answer() {
    let call =
        "{% set f = m.tool_calls[0].function %}<|end|>\n<|call|>\n<f={{ f.name }}>{{ f.arguments | tojson }}";
    let derived = derived(&format!("{{% if m.tool_calls %}}{call}{{% endif %}}")).unwrap();
    assert_eq!(derived.dialect.first, [text("<|end|>\n<|call|>\n<f="), name(), text(">")]);
    assert_eq!((derived.dialect.last, derived.dialect.next), (Vec::new(), None));
    assert_eq!(derived.turn_end, "<|end|>\n");
    assert_eq!(derived.dialect.text, TextPlace::Before { open: String::new(), close: String::new() });
}

#[test]
fn tags_of_one_kind_may_stand_around_turns_calls_and_arguments() {
    // Behind every tag's name comes the same mark, so that none of them tells by itself where a turn ends.
    let kind = "{{ 'text' if v is string else 'null' if v is none else 'json' }}";
    let argument = format!(
        "<[>arg k=\"{{{{ k }}}}\" is=\"{kind}\"<|>{{{{ v if v is string else v | tojson }}}}<]>arg<|>"
    );
    let call = format!(
        "<[>call f=\"{{{{ f.name }}}}\" n=\"{{{{ loop.index }}}}\"<|>{{% for k, v in f.arguments | items %}}{argument}{{% endfor %}}<]>call<|>"
    );
    let calls = format!("{{% if m.tool_calls %}}<[>calls<|>{}<]>calls<|>{{% endif %}}", each(&call, ""));
    let chat = "{%- if tools %}<[>tools<|>{{ tools | tojson }}<]>tools<|><end>{% endif %}\
        {%- for m in messages %}<[>{{ m.role }}<|>{% if m.role == 'assistant' %}<[>answer<|>{{ m.content }}<]>answer<|>CALLS\
        {%- else %}{{ m.content }}{% endif %}<]>{{ m.role }}<|><end>{% endfor %}\
        {%- if add_generation_prompt %}<[>assistant<|><[>answer<|>{% endif %}";
    let dialect = derive(&Template::new(&chat.replace("CALLS", &calls)).unwrap()).unwrap().dialect;
    let around = [text("\" n=\""), Piece::Count, text("\"<|>")];
    let call = |before: &str| [&[text(before), name()][..], &around].concat();
    assert_eq!(dialect.first, call("<]>answer<|><[>calls<|><[>call f=\""));
    assert_eq!(dialect.next.as_deref().unwrap(), call("<]>call<|><[>call f=\""));
    assert_eq!(dialect.last, [text("<]>call<|><]>calls<|><]>assistant<|>")]);
    assert_eq!(dialect.count, Some(Count { start: 1, conversation: false }));
    let members = members(&dialect);
    assert_eq!([&members.open, &members.close], ["<[>arg k=\"", "<]>arg<|>"]);
    assert_eq!(members.separator, "<]>arg<|><[>arg k=\"");
}

#[test]
fn results_get_the_names_that_a_template_fails_without() {
    let call = each("<f={{ f.name }}>{{ f.arguments | tojson }}</f>", "");
    let named = "{% if m.role == 'tool' %}{{ '<r>' + m.name }}{% endif %}";
    assert!(derived(&format!("{named}{call}")).unwrap().handover.results_need_names);
    assert!(!derived(&format!("{}{call}", named.replace('+', "~"))).unwrap().handover.results_need_names);
    assert!(!derived(&call).unwrap().handover.results_need_names);
}

#[test]
fn what_cannot_be_told_is_given_up_with_a_reason() {
    assert_eq!(derived(""), Err(NotDerived::NoName));
    // Only the name is shown.
    assert!(derived(&each("<f={{ f.name }}>", "")).is_err());
    // Texts in upper case are in no known encoding.
    let loud = "<f={{ f.name }}>{% for k, v in f.arguments | items %}<p={{ k }}>{{ v | string | upper }}</p>{% endfor %}</f>";
    assert!(derived(&each(loud, "")).is_err());
    // Texts between commas, which no text ends.
    let bare = "<{{ f.name }}({% for k, v in f.arguments | items %}{{ k }}={{ v if v is string else v | tojson }}{% if not loop.last %}, {% endif %}{% endfor %})>";
    assert!(
        matches!(derived(&each(bare, "")), Err(NotDerived::Unusable(_))),
        "{:?}",
        derived(&each(bare, ""))
    );
    let refusal = "{% if m.tool_calls %}{{ raise_exception('no calls') }}{% endif %}";
    let error = derived(refusal).unwrap_err();
    assert!(error.to_string().contains("no calls"), "{error}");
    // Wherever it stands in a text, `x` is doubled: no single question shows it, the last step does.
    let odd = "<f={{ f.name }}>{{ f.arguments | tojson | replace('(f(x))', '((f(x)))') }}</f>";
    assert!(matches!(derived(&each(odd, "")), Err(NotDerived::Differs(_))));
}

/// A template with elements named by keys, each tag behind `before`; `word` writes what is neither text nor container.
fn of_elements(before: &str, word: &str, keeps: &str) -> String {
    let value = format!(
        "{{%- macro value(v) -%}}{{%- if v is mapping -%}}{{%- for k, x in v | items if x is not none -%}}{before}<{{{{ k }}}}>{{{{ value(x) }}}}{before}</{{{{ k }}}}>{{%- endfor -%}}\
         {{%- elif v is string -%}}{{{{ v }}}}{{%- elif v is iterable -%}}{{%- for x in v {keeps} -%}}{before}<item>{{{{ value(x) }}}}{before}</item>{{%- endfor -%}}\
         {{%- else -%}}{{{{ {word} }}}}{{%- endif -%}}{{%- endmacro -%}}"
    );
    let call =
        format!("{before}<invoke name=\"{{{{ f.name }}}}\">{{{{ value(f.arguments) }}}}{before}</invoke>");
    format!("{value}{{%- if m.tool_calls %}}<calls>{}</calls>{{% endif %}}", each(&call, ""))
}

#[test]
fn arguments_may_be_elements_named_by_their_keys() {
    for before_tag in ["", "]<]minimax[>["] {
        for (word, python) in [("v | tojson", false), ("v | string", true)] {
            for (keeps, drops_null) in [("", false), ("if x is not none", true)] {
                let dialect = dialect(&of_elements(before_tag, word, keeps));
                let members = members(&dialect);
                let elements = Encoding::Elements(Elements {
                    item: "item".into(),
                    before_tag: before_tag.into(),
                    python,
                    drops_null,
                });
                assert_eq!(members.values.array.encoding, elements);
                assert_eq!(members.values.object.encoding, elements);
                assert_eq!(members.values.null.encoding, Encoding::Omitted);
                assert_eq!(members.values.string.encoding, Encoding::Raw);
                assert!(dialect.notation().is_ok(), "{dialect:?}");
                let call =
                    crate::tools::ToolCall::from_text("f", r#"{"a": [{"b": "x"}], "c": true}"#).unwrap();
                let word = if python { "True" } else { "true" };
                let written = format!(
                    "<calls>[<invoke name=\"f\">[<a>[<item>[<b>x[</b>[</item>[</a>[<c>{word}[</c>[</invoke></calls>"
                );
                assert_eq!(dialect.write(&call), written.replace('[', before_tag));
            }
        }
    }
}

#[test]
fn the_revision_changes_with_what_is_stored() {
    let xml = "<f={{ f.name }}>{% for k, v in f.arguments | items %}<p={{ k }}>{{ v }}</p>{% endfor %}</f>";
    let ids =
        "[{\"name\": \"{{ f.name }}\", \"arguments\": {{ f.arguments | tojson }}, \"id\": \"{{ c.id }}\"}]";
    let counted =
        "<b>functions.{{ f.name }}:{{ loop.index0 }}<a>{{ f.arguments | tojson(separators=(',', ':')) }}<e>";
    let elements = of_elements("|", "v | tojson", "");
    let blanks = format!("{{% if m.tool_calls and not m.content %}} {{% endif %}}{}", each(xml, ""));
    let few_ids = ids.replace(", \"id", "{% if not loop.last %}, \"id").replace("\"}]", "\"{% endif %}}]");
    let few_ids =
        format!("{{% set last = loop.last %}}{}", each(&few_ids.replace("loop.last", "last"), ", "));
    let calls =
        [each(xml, "\\n"), each(ids, ", "), each(counted, ""), elements, blanks, few_ids, String::new()];
    let stored = calls.map(|calls| {
        let study = study(&Template::new(&CHAT.replace("CALLS", &calls)).unwrap());
        serde_json::to_string(&study).unwrap()
    });
    // Another hash: something else would be stored under the same key, so raise the revision.
    assert_eq!((REVISION, xxh3_64(stored.concat().as_bytes())), (2, 2_004_528_290_540_978_614));
}
