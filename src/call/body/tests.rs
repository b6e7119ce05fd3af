//! Fields of requests that are held, ignored and refused.

use super::*;

fn read(body: Value) -> Result<RequestFields> {
    let fields: Map<String, Value> = body.as_object().unwrap().clone();
    let names = RequestFields::names();
    let (known, unknown): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
    RequestFields::read(&known, &unknown.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
}

#[test]
fn what_a_request_asks_for_is_held() {
    let default = RequestFields::default;
    let named = Some(Choice::Named("f".into()));
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    for (body, expected) in [
        (
            json!({"model": "m", "stream": true, "user": "u", "metadata": {}, "store": false, "n": 1}),
            default(),
        ),
        (json!({"tool_choice": "none"}), RequestFields { choice: Some(Choice::None), ..default() }),
        (json!({"tool_choice": "any"}), RequestFields { choice: Some(Choice::Required), ..default() }),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
            RequestFields { choice: named.clone(), ..default() },
        ),
        (
            json!({"tool_choice": {"type": "function", "name": "f"}}),
            RequestFields { choice: named.clone(), ..default() },
        ),
        (
            json!({"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true}}),
            RequestFields { choice: named.clone(), parallel: Some(NonZeroUsize::MIN), ..default() },
        ),
        (json!({"function_call": {"name": "f"}}), RequestFields { choice: named, ..default() }),
        (
            json!({"tool_choice": {"type": "auto"}, "parallel_tool_calls": false}),
            RequestFields { choice: Some(Choice::Auto), parallel: Some(NonZeroUsize::MIN), ..default() },
        ),
        (json!({"parallel_tool_calls": true}), RequestFields { parallel: Some(MOST_CALLS), ..default() }),
        (json!({"response_format": format}), RequestFields { schema: Some(format), ..default() }),
        (json!({"response_format": {"type": "text"}}), default()),
        (
            json!({"response_format": {"type": "json_object"}}),
            RequestFields { schema: Some(json!({"type": "json_object"})), ..default() },
        ),
        (
            json!({"max_completion_tokens": 7, "max_tokens": 9, "temperature": 0.5, "top_p": 1, "top_k": -1, "seed": 3}),
            RequestFields {
                max_tokens: NonZeroUsize::new(7),
                temperature: Some(0.5),
                top_p: Some(1.0),
                top_k: Some(0),
                seed: Some(3),
                ..default()
            },
        ),
        (
            json!({"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            RequestFields { system: Some("a\nb".into()), ..default() },
        ),
        (
            json!({"chat_template_kwargs": {"enable_thinking": true, "date": "today"}}),
            RequestFields {
                think: Some(Think::On),
                template_arguments: json!({"date": "today"}).as_object().cloned().unwrap(),
                ..default()
            },
        ),
        (json!({"frequency_penalty": 0, "logprobs": false, "logit_bias": {}}), default()),
        (json!({"top_logprobs": 3, "logprobs": true}), RequestFields { logprobs: Some(3), ..default() }),
        (json!({"logprobs": true}), RequestFields { logprobs: Some(0), ..default() }),
        (json!({"stop": []}), RequestFields { stop: Some(StopStrings::default()), ..default() }),
        (
            json!({"stop_sequences": ["\n", "x"]}),
            RequestFields {
                stop: Some(StopStrings::new("", vec!["\n".into(), "x".into()]).unwrap()),
                ..default()
            },
        ),
    ] {
        assert_eq!(read(body.clone()).unwrap(), expected, "{body}");
    }
}

#[test]
fn what_cannot_be_held_is_refused_by_name() {
    for (body, message) in [
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "the request's `stop` has 5 strings; up to 4"),
        (json!({"stop": ["a", ""]}), "the request's `stop` has an empty string"),
        (
            json!({"stop": ["a", 1]}),
            "the request's `stop` is an array; a string or a list of strings is expected",
        ),
        (json!({"stop": 1}), "the request's `stop` is a number"),
        (json!({"n": 2}), "the request's `n` is 2"),
        (json!({"frequency_penalty": 0.5}), "the request's `frequency_penalty` cannot be held"),
        (json!({"logit_bias": {"1": 2}}), "the request's `logit_bias` cannot"),
        (json!({"logprobs": 2}), "the request's `logprobs` is a number, not a boolean"),
        (json!({"top_logprobs": 2}), "the request's `top_logprobs` stands without `logprobs`"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "the request's `top_logprobs` is 21; a whole number from 0 to 20",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools"}}),
            "the request's `tool_choice` allows tools in no mode",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}),
            "the request's `tool_choice` allows no tools",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "name": "f"}]}}),
            "the request's `tool_choice` allows something that is not the name of a function",
        ),
        (json!({"tool_choice": {"type": "custom"}}), "the request's `tool_choice` is `custom`"),
        (json!({"tool_choice": {"type": "function"}}), "the request's `tool_choice` names no function"),
        (json!({"tool_choice": true}), "the request's `tool_choice` is a boolean"),
        (json!({"parallel_tool_calls": "no"}), "the request's `parallel_tool_calls` is a string"),
        (json!({"response_format": {"type": "grammar"}}), "the request's `response_format` has the type"),
        (json!({"response_format": "json"}), "the request's `response_format` has no `type`"),
        (json!({"max_tokens": 0}), "the request's `max_tokens` is 0; a whole number from 1"),
        (json!({"max_tokens": 1.5}), "the request's `max_tokens` is 1.5"),
        (json!({"temperature": -1}), "the request's `temperature` is -1"),
        (json!({"temperature": "hot"}), "the request's `temperature` is a string"),
        (json!({"top_p": 2}), "the request's `top_p` is 2; a number from 0 to 1"),
        (json!({"seed": -1}), "the request's `seed` is -1"),
        (json!({"guided_json": "{}"}), "the request's `guided_json` is a string"),
        (
            json!({"tool_chioce": "none"}),
            "the request's `tool_chioce` is not a field of a request; did you mean `tool_choice`?",
        ),
        (json!({"maxTokens": 5}), "did you mean `max_tokens`?"),
    ] {
        let error = read(body.clone()).unwrap_err();
        assert!(
            error.to_string().starts_with(message) || error.to_string().ends_with(message),
            "{body}: {error}"
        );
    }
    let warned = read(json!({"conversation_id": 5, "source": "x"})).unwrap();
    assert_eq!(warned.warnings, ["the request's `conversation_id`, `source` has no effect: not known here"]);
}

#[test]
fn allowed_tools_are_read_as_chat_completions_and_as_responses_write_them() {
    let nested = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
        {"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]}});
    let flat =
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]});
    let read = |choice: Value| {
        let read = read(json!({"tool_choice": choice})).unwrap();
        (read.choice.unwrap(), read.allowed)
    };
    assert_eq!(read(nested), (Choice::Auto, Some(vec!["f".into(), "g".into()])));
    assert_eq!(read(flat), (Choice::Required, Some(vec!["f".into()])));
    assert_eq!(read(json!("auto")), (Choice::Auto, None));
}
