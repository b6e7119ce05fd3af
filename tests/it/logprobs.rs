//! Log probabilities are those of the model: of transformers' logits, and of a softmax over the logits of a text that is
//! decoded again.

use crate::{
    pocket::{self, settings},
    serving::{Serving, reply, restaurants},
    shared::shared,
};
use edgecall::{
    call::{
        self, AnswerToken, Choice, End, Observer, PromptTemplate, Request, Settings, Slot, StopStrings, Think,
    },
    chat::Conversation,
    convert::FileType,
    runtime::{KvType, Model, Options, Session, TokenDetail, TokenSource},
    schema::KeyOrder,
    tools::{ToolSet, arguments::AnswerSchema},
};
use serde_json::{Value, json};
use std::ops::ControlFlow;

struct Nobody;

impl Observer for Nobody {
    fn text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

#[test]
fn conformance_log_probabilities_are_those_of_transformers() {
    let Some(shared) = shared() else { return };
    let rows = std::fs::read_to_string(shared.join("golden/pocket-greedy.jsonl")).unwrap();
    let model = Model::load(&pocket::pocket(FileType::F32)).unwrap();
    let session = Options { kv_type: KvType::named("f32").unwrap(), ..settings().session };
    let settings = Settings { session, detail: TokenDetail::Logprobs(5), ..settings() };
    let (mut slot, mut compared) = (Slot::new(&model), 0);
    for row in rows.lines().take(6) {
        let row: Value = serde_json::from_str(row).unwrap();
        let id = |id: &Value| id.as_i64().unwrap() as i32;
        let prompt: Vec<i32> = row["prompt_ids"].as_array().unwrap().iter().map(id).collect();
        let made =
            call::continuation(&mut slot, &prompt, &settings, &StopStrings::default(), None, &mut Nobody)
                .unwrap();
        let theirs = row["greedy_top5"].as_array().unwrap();
        for (token, top) in made.tokens.iter().zip(theirs) {
            assert_eq!(token.token, id(&top[0][0]));
            assert_eq!(
                (token.top[0].0.as_slice(), token.top[0].1),
                (&token.bytes[..], token.logprob.unwrap())
            );
            let of = |bytes: &[u8]| {
                token.top.iter().find(|(other, _)| other == bytes).map(|(_, logprob)| *logprob)
            };
            let first = top[0][1].as_f64().unwrap();
            let others = top.as_array().unwrap()[1..].iter();
            // The fifth may be another where two are close.
            for other in others.filter_map(|other| {
                let ours = of(&model.vocabulary().piece(id(&other[0])))?;
                Some((ours, other[1].as_f64().unwrap()))
            }) {
                let (ours, theirs) = (f64::from(other.0 - token.top[0].1), other.1 - first);
                assert!((ours - theirs).abs() < 0.02, "{ours} {theirs}");
                compared += 1;
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

/// Checks the tokens of an answer after `prompt` by decoding them again, one after the other.
fn check(model: &Model, prompt: &[i32], tokens: &[AnswerToken]) {
    let mut session = Session::new(model, prompt.len(), 512, &settings().session).unwrap();
    session.append(prompt).unwrap();
    for token in tokens {
        let logits: Vec<f64> = session.logits().iter().map(|&logit| f64::from(logit)).collect();
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let expected = (logits[token.token as usize].exp() / total).ln();
        let found = f64::from(token.logprob.unwrap());
        assert!((found - expected).abs() < 1e-2, "{:?}: {found} {expected}", token.bytes);
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        assert_eq!(token.top.len(), 3);
        assert!((f64::from(token.top[0].1) - (logits[order[0]].exp() / total).ln()).abs() < 1e-2);
        session.append(&[token.token]).unwrap();
    }
}

fn bytes(tokens: &[AnswerToken]) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.bytes.clone()).collect()
}

#[test]
fn every_token_of_text_calls_and_json_has_the_log_probability_of_a_softmax_over_the_vocabulary() {
    let model = pocket::loaded();
    let body = restaurants("Thai food in San Jose");
    let conversation = Conversation::from_value(body["messages"].clone()).unwrap();
    let tools = ToolSet::from_value(body["tools"].clone()).unwrap();
    let schema = json!({"type": "object", "properties": {"kind": {"enum": ["p", "q"]}, "n": {"type": "integer"}},
        "required": ["kind", "n"], "additionalProperties": false});
    let schema = AnswerSchema::new(&schema, KeyOrder::Any).unwrap();
    let call = Request::new(&conversation, Some(&tools));
    let text = Request { choice: Choice::None, ..call.clone() };
    let json = Request { schema: Some(&schema), ..Request::new(&conversation, None) };
    let template = PromptTemplate::default();
    for (request, is_text) in [(&call, false), (&text, true), (&json, true)] {
        let plain = Settings { max_tokens: 48, ..settings() };
        let settings = Settings { detail: TokenDetail::Logprobs(3), ..plain.clone() };
        let ask = |settings: &Settings| {
            call::ask(model, &template, request, settings, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        let answer = ask(&settings);
        let without = ask(&plain);
        assert_eq!((&answer.content, &answer.id), (&without.content, &without.id));
        assert!(without.tokens.is_empty() && !answer.tokens.is_empty());
        if is_text {
            assert_eq!(bytes(&answer.tokens), answer.content.unwrap().as_bytes());
        } else {
            assert!(
                String::from_utf8(bytes(&answer.tokens)).unwrap().contains(answer.calls[0].arguments_text())
            );
        }
        let format = template.tool_format(model.vocabulary(), request, &settings.dialect).unwrap();
        let prompt = template.render(model.vocabulary(), request, format.as_ref(), Think::Off).unwrap();
        check(model, &prompt.tokenize(model.vocabulary()).unwrap(), &answer.tokens);
        assert_eq!(
            answer.tokens.iter().any(|token| token.source == TokenSource::Forced),
            request.choice != Choice::None
        );
    }
}

#[test]
fn sources_tell_forced_and_drafted_tokens_and_cost_no_decode() {
    let model = pocket::loaded();
    let body = restaurants("A table for two at Paper Lantern in Oakland on March 8th, 2019 at 7:30 pm");
    let conversation = Conversation::from_value(body["messages"].clone()).unwrap();
    let tools = ToolSet::from_value(body["tools"].clone()).unwrap();
    let request = Request::new(&conversation, Some(&tools));
    let draft = call::Draft::Tokens(std::num::NonZeroUsize::new(4).unwrap());
    let ask = |detail| {
        let settings = Settings { detail, draft, ..settings() };
        let template = PromptTemplate::default();
        call::ask(model, &template, &request, &settings, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let (answer, plain) = (ask(TokenDetail::Source), ask(TokenDetail::None));
    assert_eq!(answer.id, plain.id);
    assert_eq!(answer.timings.steps, plain.timings.steps);
    let count = |source| answer.tokens.iter().filter(|token| token.source == source).count();
    let steps = answer.timings.steps;
    assert_eq!(count(TokenSource::Forced), steps.forced);
    let drafted = count(TokenSource::Drafted);
    assert!(drafted > 0 && drafted <= steps.accepted, "{drafted} {steps:?}");
    assert_eq!(answer.end, End::Complete);
    assert!(answer.tokens.iter().all(|token| token.logprob.is_none()));
}

/// The `logprobs.content` of a stream's chunks, joined.
fn streamed(events: &[Value]) -> Vec<Value> {
    let content = |event: &Value| event["choices"][0]["logprobs"]["content"].as_array().cloned();
    events.iter().filter_map(content).flatten().collect()
}

#[test]
fn openais_forms_hold_them_whole_and_in_streams() {
    let serving = Serving::start(&[]);
    let hello = json!({"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 24});
    let mut stopped = hello.clone();
    stopped["stop"] = json!(["e"]);
    let mut json = hello.clone();
    json["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["first", "second"]}}});
    for mut body in [hello, stopped, json, restaurants("Thai food in San Jose")] {
        let plain = serving.answer(&body);
        assert!(plain["choices"][0]["logprobs"].is_null());
        body["logprobs"] = json!(true);
        body["top_logprobs"] = json!(2);
        let whole = serving.answer(&body);
        assert_eq!(whole["choices"][0]["finish_reason"], plain["choices"][0]["finish_reason"]);
        assert_eq!(whole["choices"][0]["message"]["content"], plain["choices"][0]["message"]["content"]);
        let logprobs = &whole["choices"][0]["logprobs"];
        assert!(logprobs["refusal"].is_null());
        let content = logprobs["content"].as_array().unwrap();
        let text: String = content.iter().map(|token| token["token"].as_str().unwrap()).collect();
        match whole["choices"][0]["message"]["content"].as_str() {
            // A stop string may begin within the last token.
            Some(said) => assert!(text.starts_with(said) && text.len() <= said.len() + 8, "{text} {said}"),
            None => assert!(text.contains("FindRestaurants"), "{text}"),
        }
        for token in content {
            let (own, top) = (token["logprob"].as_f64().unwrap(), token["top_logprobs"].as_array().unwrap());
            assert!(own <= 0.0 && top.len() == 2 && top[0]["logprob"].as_f64() >= top[1]["logprob"].as_f64());
            assert!(top[0]["logprob"].as_f64().unwrap() >= own);
        }
        body["stream"] = json!(true);
        assert_eq!(&streamed(&serving.chat(&body).events()), content, "{body}");
    }
    let wrong = json!({"messages": [{"role": "user", "content": "Hi"}], "top_logprobs": 2});
    assert_eq!(serving.chat(&wrong).error(), (400, Value::Null, json!("top_logprobs")));
}

#[test]
fn a_continuation_streams_with_the_older_form_of_log_probabilities() {
    let serving = Serving::start(&[]);
    let post = |body: &Value| reply(serving.send("POST /v1/completions", "", body.to_string().as_bytes()));
    let prompt = "<|im_start|>user\nGrüße!<|im_end|>\n<|im_start|>assistant\n";
    for (stop, logprobs) in [(json!([]), json!(null)), (json!(["e"]), json!(2)), (json!([]), json!(0))] {
        let mut body = json!({"prompt": prompt, "max_tokens": 20, "stop": stop, "logprobs": logprobs});
        let whole = post(&body).json();
        let choice = &whole["choices"][0];
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let answer = post(&body);
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let events = answer.events();
        let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
        assert_eq!(text, choice["text"].as_str().unwrap());
        assert!(
            events.iter().all(|event| event["object"] == "text_completion" && event["id"] == events[0]["id"])
        );
        let last = &events[events.len() - 2]["choices"][0];
        assert_eq!(last["finish_reason"], choice["finish_reason"]);
        assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
        if logprobs.is_null() {
            assert!(choice["logprobs"].is_null());
            continue;
        }
        for name in ["tokens", "token_logprobs", "text_offset"] {
            let joined: Vec<Value> = events
                .iter()
                .filter_map(|event| event["choices"][0]["logprobs"][name].as_array().cloned())
                .flatten()
                .collect();
            assert_eq!(&joined, choice["logprobs"][name].as_array().unwrap(), "{name}");
        }
        let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
        let mut offset = 0;
        for (token, at) in tokens.iter().zip(choice["logprobs"]["text_offset"].as_array().unwrap()) {
            assert_eq!(at, offset);
            offset += token.as_str().unwrap().chars().count() as u64;
        }
        assert_eq!(choice["logprobs"]["top_logprobs"].is_null(), logprobs == 0);
    }
}
