//! Templates of other kinds than published ones: their prompts are those of transformers, their format is derived, and calls
//! in it are written as they are rendered, and read.

use edgecall::{
    chat::{LocalTime, RenderOptions, Template},
    dialect::{
        WrittenCall,
        derive::{Derived, derive},
    },
    json,
    tools::{ToolCall, ToolSet},
};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, fs, path::PathBuf};

/// The reasons why formats are not derived, by template.
const NOT_DERIVED: &[(&str, &str)] = &[
    ("name_behind", "the name of a call stands behind its arguments"),
    // Strings in lists are always in single quotes, which is no `repr`.
    ("python_calls", "lists in an unknown way"),
];

struct Unseen {
    document: Value,
    templates: BTreeMap<String, Template>,
}

fn unseen() -> Unseen {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jinja"));
    let document: Value = serde_json::from_slice(&fs::read(folder.join("unseen.json")).unwrap()).unwrap();
    let template = |name: &String| {
        let text = fs::read_to_string(folder.join(format!("unseen/{name}.jinja"))).unwrap();
        (name.clone(), Template::new(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    let templates = document["templates"].as_object().unwrap().keys().map(template).collect();
    Unseen { document, templates }
}

/// The messages with the arguments of calls as JSON text.
fn with_text(messages: &Value) -> Value {
    let mut messages = messages.clone();
    for message in messages.as_array_mut().unwrap() {
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            call["function"]["arguments"] = json::spaced(&call["function"]["arguments"]).into();
        }
    }
    messages
}

impl Unseen {
    fn render(&self, template: &Template, messages: &Value) -> Result<String, edgecall::chat::Error> {
        let options = RenderOptions {
            add_generation_prompt: true,
            bos_token: Some("<s>"),
            eos_token: Some("</s>"),
            now: LocalTime::from_epoch(self.document["epoch"].as_i64().unwrap()),
            ..RenderOptions::default()
        };
        template.render_values(messages.as_array().unwrap(), Some(&self.document["tools"]), &options)
    }

    /// The formats that are derived.
    fn derived(&self) -> impl Iterator<Item = (&str, Derived)> {
        self.templates.iter().filter_map(|(name, template)| Some((name.as_str(), derive(template).ok()?)))
    }
}

#[test]
fn prompts_of_unseen_templates_are_those_of_transformers() {
    let unseen = unseen();
    let mut checked = 0;
    for (name, template) in &unseen.templates {
        for (case, messages) in unseen.document["cases"].as_object().unwrap() {
            for (form, messages) in [("object", messages.clone()), ("text", with_text(messages))] {
                let expected = unseen.document["templates"][name][case][form].as_str();
                let rendered = unseen.render(template, &messages);
                assert_eq!(rendered.as_deref().ok(), expected, "{name}, {case}, {form}: {rendered:?}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 15 * 16, "{checked}");
}

#[test]
fn formats_of_unseen_templates_are_derived_or_given_up_with_the_reason() {
    for (name, template) in &unseen().templates {
        let reason = NOT_DERIVED.iter().find(|(not, _)| not == name).map(|(_, reason)| *reason);
        match (derive(template), reason) {
            (Ok(_), None) => {}
            (Err(error), Some(reason)) => {
                assert!(error.to_string().contains(reason), "{name}: {error}");
            }
            (derived, _) => panic!("{name}: {derived:?}"),
        }
    }
}

/// The rounds of calls in `messages`.
fn rounds(messages: &Value) -> Vec<Vec<WrittenCall<'_>>> {
    let call = |call: &'_ Value| WrittenCall {
        name: Cow::Owned(call["function"]["name"].as_str().unwrap().to_owned()),
        arguments: Cow::Owned(call["function"]["arguments"].as_object().unwrap().clone()),
        id: call["id"].as_str().map(|id| Cow::Owned(id.to_owned())),
    };
    let calls = messages.as_array().unwrap().iter().filter_map(|message| message["tool_calls"].as_array());
    calls.map(|calls| calls.iter().map(call).collect()).collect()
}

#[test]
fn calls_in_derived_formats_are_written_as_transformers_renders_them() {
    let unseen = unseen();
    let mut checked = 0;
    for (name, derived) in unseen.derived() {
        let form = if derived.handover.text_arguments { "text" } else { "object" };
        for (case, messages) in unseen.document["cases"].as_object().unwrap() {
            let rendered = unseen.document["templates"][name][case][form].as_str().unwrap();
            let mut earlier = 0;
            for calls in rounds(messages) {
                if calls.len() > 1 && derived.dialect.next.is_none() {
                    continue;
                }
                let written = derived.dialect.write_calls(&calls, earlier);
                assert!(rendered.contains(&written), "{name}, {case}: {written:?} is not in\n{rendered}");
                earlier += calls.len();
                checked += 1;
            }
        }
    }
    assert!(checked > 90, "{checked}");
}

#[test]
fn calls_in_derived_formats_are_read_back() {
    let unseen = unseen();
    let tools = ToolSet::from_value(unseen.document["tools"].clone()).unwrap();
    for (name, derived) in unseen.derived() {
        for (case, messages) in unseen.document["cases"].as_object().unwrap() {
            for call in rounds(messages).into_iter().flatten() {
                let call = ToolCall::new(call.name, call.arguments.into_owned());
                let written = derived.dialect.write(&call);
                let read = derived.dialect.read_call_with(&written, Some(&tools));
                let read = read.unwrap_or_else(|error| panic!("{name}, {case}: {error}\n{written}"));
                assert_eq!(read.arguments(), call.arguments(), "{name}, {case}: {written}");
                assert_eq!(read.name(), call.name(), "{name}, {case}: {written}");
            }
        }
    }
}
