use super::*;

fn tools() -> Vec<Value> {
    vec![json!({"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "description": "A kind."},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "days": {"type": "integer", "minimum": 1},
            "place": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
        "required": ["unit"],
    }}})]
}

fn lost(template: &str) -> Vec<(String, Option<String>)> {
    let shown = ShownTools::new(&Template::new(template).unwrap(), &tools());
    shown.lost.into_iter().map(|lost| (lost.parameter, lost.keyword)).collect()
}

#[test]
fn tools_as_json_lose_nothing_and_stay_as_they_are() {
    let template = Template::new("{{ tools | tojson }}{{ messages[0].content }}").unwrap();
    assert_eq!(
        ShownTools::new(&template, &tools()),
        ShownTools { tools: tools(), lost: Vec::new(), changed: false }
    );
    // Nothing is shown, so that nothing could be said otherwise.
    let silent = Template::new("{{ messages[0].content }}").unwrap();
    assert!(ShownTools::new(&silent, &tools()).lost.is_empty());
}

#[test]
fn what_a_notation_drops_is_found() {
    let template = "{% for t in tools %}{{ t.function.name }}({% for k, v in t.function.parameters.properties | items %}\
        {% if k != 'type' %}{{ k }}: {{ v.type }} {{ v.description }}, {% endif %}{% endfor %}){% endfor %}";
    let keyword = |word: &str| Some(word.to_owned());
    assert_eq!(
        lost(template),
        [
            ("type".to_owned(), None),
            ("unit".to_owned(), keyword("enum")),
            ("days".to_owned(), keyword("minimum")),
            ("place.city".to_owned(), None),
        ]
    );
    let shown = ShownTools::new(&Template::new(template).unwrap(), &tools()).with_lost_in_descriptions();
    assert_eq!(
        shown.tools[0]["function"]["description"],
        "Does it.\ntype: {\"type\": \"string\", \"description\": \"A kind.\"}\nunit: enum [\"C\", \"F\"]\n\
         days: minimum 1\nplace.city: {\"type\": \"string\"}"
    );
}

#[test]
fn a_template_that_fails_gets_tools_in_a_form_that_it_takes() {
    let template = "{% for t in tools %}{{ t.function.name + t.function.description }}\
        {% for k, v in t.function.parameters.properties | items %}{{ k ~ v.type.upper() }}{% endfor %}{% endfor %}";
    let given = vec![
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "function", "function": {"name": "g", "description": "G", "parameters": {
            "properties": {"a": {"type": ["string", "null"]}}}}}),
    ];
    let template = Template::new(template).unwrap();
    assert!(
        template.render_values(&[], Some(&Value::Array(given.clone())), &RenderOptions::default()).is_err()
    );
    let shown = ShownTools::new(&template, &given);
    assert!(shown.changed);
    let text = template.render_values(&[], Some(&Value::Array(shown.tools)), &RenderOptions::default());
    assert_eq!(text.unwrap(), "fgGaSTRING");
}
