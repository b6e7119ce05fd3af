//! Requests go before the defaults, and what neither can mean is refused.

use super::*;
use crate::{call::Think, profile::Profile};
use serde_json::json;

fn defaults(profile: Value) -> Defaults {
    let profile = Profile::from_value(profile).unwrap();
    Defaults::new(&profile, Settings::default(), PromptTemplate::default()).unwrap()
}

fn request(fields: Value, defaults: &Defaults) -> Result<ChatRequest> {
    let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    ChatRequest::new(ChatBody::read(body.to_string().as_bytes())?, defaults)
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn a_request_stands_above_a_profile() {
    let defaults = defaults(json!({"system": "Be brief.", "tools": [{"name": "f"}], "temperature": 0.7,
        "seed": 3, "max_tokens": 99, "thinking": "on", "parallel": 2, "template_arguments": {"a": 1, "b": 2}}));
    let plain = request(json!({}), &defaults).unwrap();
    assert_eq!(plain.choice, Choice::Required);
    assert_eq!(plain.parallel.get(), 2);
    assert_eq!(plain.conversation.messages[0].content(), Some("Be brief."));
    assert_eq!((plain.settings.max_tokens, plain.settings.sampling.seed), (99, 3));
    assert_eq!(plain.settings.think, Think::On);

    let fields = json!({"messages": [{"role": "developer", "content": "Mine."}, {"role": "user", "content": "Hi"}],
        "tools": [tool("g")], "temperature": 0, "seed": 5, "max_completion_tokens": 7, "max_tokens": 8,
        "reasoning_effort": "none", "chat_template_kwargs": {"b": 3}});
    let own = request(fields, &defaults).unwrap();
    assert_eq!((own.choice, own.parallel.get()), (Choice::Auto, 1));
    assert_eq!(own.tools.unwrap().iter().map(|tool| tool.name()).collect::<Vec<_>>(), ["g"]);
    assert_eq!(own.conversation.messages[0].content(), Some("Mine."));
    assert_eq!((own.settings.max_tokens, own.settings.sampling.seed), (7, 5));
    assert_eq!((own.settings.sampling.temperature, own.settings.think), (0.0, Think::Off));
    assert_eq!(Value::Object(own.template.arguments), json!({"a": 1, "b": 3}));
}

#[test]
fn json_takes_the_place_of_a_profiles_tools_unless_a_call_is_asked_for() {
    let defaults = defaults(json!({"tools": [{"name": "f"}]}));
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    let json = request(json!({"response_format": format}), &defaults).unwrap();
    assert!(json.tools.is_none() && json.schema.is_some());
    let call = request(json!({"response_format": format, "tool_choice": "required"}), &defaults).unwrap();
    assert!(call.tools.is_some() && call.schema.is_none());
    let none = request(json!({"response_format": format, "tool_choice": "none"}), &defaults).unwrap();
    assert!(none.tools.is_some() && none.schema.is_some());
}

#[test]
fn what_a_request_cannot_mean_is_refused_by_the_field() {
    let own = json!({"tools": [tool("f")], "response_format": {"type": "json_object"}});
    let unknown =
        json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}});
    let wide = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
        "description": "x".repeat(MAX_SCHEMA_BYTES)}}}]});
    let system = json!({"system": "A", "messages": [{"role": "system", "content": "B"}]});
    for (fields, name) in [
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [], "tool_choice": "required"}), "tool_choice"),
        (own, "response_format"),
        (unknown, "tool_choice"),
        (wide, "tools"),
        (json!({"tools": [{"name": 3}]}), "tools"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format"),
        (system, "system"),
    ] {
        let error = request(fields.clone(), &Defaults::default()).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some(name)), "{fields}: {error}");
    }
}

#[test]
fn stop_strings_end_text_and_never_a_call() {
    let stops = |fields: Value| request(fields, &Defaults::default()).unwrap().stop;
    assert!(!stops(json!({"stop": "x"})).is_empty());
    assert!(!stops(json!({"stop": ["x"], "tools": [tool("f")]})).is_empty());
    assert!(stops(json!({"stop": "x", "tools": [tool("f")], "tool_choice": "required"})).is_empty());
    assert!(stops(json!({"stop": "x", "response_format": {"type": "json_object"}})).is_empty());
}
