//! Prompts equal those of `transformers`.

use edgecall::chat::{Conversation, LocalTime, RenderOptions, Template, task_system_text};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::shared::shared;

/// 2026-01-02 03:04:05, when the golden renderings were made.
fn golden_time() -> Option<LocalTime> {
    LocalTime::from_epoch(1_767_323_045)
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn lines(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn conformance_the_templates_of_the_wild_render_as_transformers_renders_them() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("golden/templates");
    let cases: Vec<Value> = serde_json::from_str(&read(&folder.join("cases.json"))).unwrap();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for line in lines(&read(&folder.join("expected.jsonl"))) {
        let name = line["template"].as_str().unwrap();
        let case = cases.iter().find(|case| case["name"] == line["case"]).unwrap();
        let template = Template::new(&read(&folder.join(format!("jinja/{name}.jinja")))).unwrap();
        let options = RenderOptions {
            add_generation_prompt: case["add_generation_prompt"].as_bool().unwrap_or(true),
            bos_token: Some("<s>"),
            eos_token: Some("</s>"),
            arguments: case["kwargs"].as_object().cloned().unwrap_or_default(),
            now: golden_time(),
            ..RenderOptions::default()
        };
        let messages = case["messages"].as_array().unwrap();
        let rendered = template.render_values(messages, case.get("tools"), &options);
        checked += 1;
        match (&rendered, line["expected"].as_str()) {
            (Ok(text), Some(expected)) if text == expected => {}
            (Err(_), None) => {}
            _ => wrong.push(format!("{name} / {}:\n{rendered:?}\n{line}", line["case"])),
        }
    }
    assert_eq!(checked, 280);
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Every turn of the benchmark as a prompt: each prefix that ends before an assistant's message,
/// and the whole conversation.
fn benchmark_prompts(data: &str, task: &str, tools: &Value, template: &Template) -> Vec<String> {
    let options = RenderOptions {
        add_generation_prompt: true,
        enable_thinking: Some(false),
        ..RenderOptions::default()
    };
    let mut prompts = Vec::new();
    for line in lines(data) {
        let whole = Conversation::parse(line["question"].as_str().unwrap().as_bytes()).unwrap();
        let answered = |i: &usize| whole.messages[*i].role() == edgecall::chat::Role::Assistant;
        let ends = (0..whole.messages.len()).filter(answered).chain([whole.messages.len()]);
        for end in ends.collect::<Vec<_>>() {
            let prefix = Conversation { messages: whole.messages[..end].to_vec(), tools: None };
            let prompt = template.render(&prefix.with_system(task_system_text(task)), Some(tools), &options);
            prompts.push(prompt.unwrap());
        }
    }
    prompts
}

#[test]
fn conformance_the_benchmarks_359_prompts_have_the_golden_hashes() {
    let Some(shared) = shared() else { return };
    let template = Template::new(&read(&shared.join("data/qwen3/chat_template.jinja"))).unwrap();
    for (data, job, golden) in [
        ("s1-direct", "s1-direct", "35a9d814678985b210554018368334fff13c93b720570b4be714698c085e9836"),
        ("s4-direct", "s4-direct", "7923ac071cd69c7d974ad4de987da409153e21b6046169662445797e05697547"),
        ("s4-direct", "predictions", "ea98b50a6af2c0225ca114f055c94343f30e0865aa455b2e93b52438d3653933"),
    ] {
        let tft = shared.join("data/tft");
        let job: Value = serde_json::from_str(&read(&tft.join(job).join("job_description.json"))).unwrap();
        let prompts = benchmark_prompts(
            &read(&tft.join(data).join("test.jsonl")),
            job["task_description"].as_str().unwrap(),
            &job["tools"],
            &template,
        );
        assert_eq!(prompts.len(), 359);
        let hash: String =
            Sha256::digest(prompts.join("\0")).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, golden);
    }
}

fn fixture(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jinja/");
    serde_json::from_str(&read(&std::path::Path::new(path).join(name))).unwrap()
}

#[test]
fn small_templates_give_what_transformers_gives_or_are_refused_as_there() {
    let fixture = fixture("snippets.json");
    let context = &fixture["context"];
    let options = RenderOptions {
        add_generation_prompt: true,
        bos_token: Some("<s>"),
        eos_token: Some("</s>"),
        arguments: context["kwargs"].as_object().cloned().unwrap(),
        now: LocalTime::from_epoch(fixture["epoch"].as_i64().unwrap()),
        ..RenderOptions::default()
    };
    let messages = context["messages"].as_array().unwrap();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for row in fixture["groups"].as_object().unwrap().values().flat_map(|rows| rows.as_array().unwrap()) {
        let source = row[0].as_str().unwrap();
        let rendered = Template::new(source)
            .and_then(|template| template.render_values(messages, context.get("tools"), &options));
        checked += 1;
        match (&rendered, row[1].as_str()) {
            (Ok(text), Some(expected)) if text == expected => {}
            (Err(_), None) => {}
            (got, expected) => wrong.push(format!("{source}\n  got      {got:?}\n  expected {expected:?}")),
        }
    }
    assert!(checked > 500, "{checked}");
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_pocket_models_template_gives_the_prompts_of_transformers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/pocket/tokenizer_config.json");
    let config: Value = serde_json::from_str(&read(std::path::Path::new(path))).unwrap();
    let template = Template::new(config["chat_template"].as_str().unwrap()).unwrap();
    for case in fixture("conversations.json")["conversations"].as_array().unwrap() {
        let conversation = Conversation::from_value(case.clone()).unwrap();
        for (think, name) in [(None, "auto"), (Some(false), "off"), (Some(true), "on")] {
            let options = RenderOptions {
                add_generation_prompt: true,
                enable_thinking: think,
                ..RenderOptions::default()
            };
            let prompt = template.render(&conversation, conversation.tools.as_ref(), &options).unwrap();
            assert_eq!(prompt, case["prompts"][name].as_str().unwrap());
        }
    }
}
