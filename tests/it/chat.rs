//! Prompts equal those of `transformers`.

use edgecall::chat::{
    Conversation, Error, LocalTime, RenderOptions, Role, Template, select_template, task_system_text,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

use crate::shared::shared;

/// 2026-01-02 03:04:05, the time at which the golden renderings were made.
fn golden_time() -> Option<LocalTime> {
    LocalTime::from_epoch(1_767_323_045)
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn lines(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap())
}

/// Checks every row of `folder/expected.jsonl`; returns the number of rows and the differences.
fn compare_with_golden(folder: &std::path::Path) -> (usize, Vec<String>) {
    let cases: Vec<Value> = serde_json::from_str(&read(&folder.join("cases.json"))).unwrap();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for line in lines(&read(&folder.join("expected.jsonl"))) {
        let name = line["template"].as_str().unwrap();
        let case = cases.iter().find(|case| case["name"] == line["case"]).unwrap();
        let options = RenderOptions {
            add_generation_prompt: case["add_generation_prompt"].as_bool().unwrap_or(true),
            bos_token: Some("<s>"),
            eos_token: Some("</s>"),
            arguments: case["kwargs"].as_object().cloned().unwrap_or_default(),
            now: golden_time(),
            ..RenderOptions::default()
        };
        let messages = case["messages"].as_array().unwrap();
        let rendered = Template::new(&read(&folder.join(format!("jinja/{name}.jinja"))))
            .and_then(|template| template.render_values(messages, case.get("tools"), &options));
        checked += 1;
        match (&rendered, line["expected"].as_str()) {
            (Ok(text), Some(expected)) if text == expected => {}
            (Err(_), None) => {}
            _ => wrong.push(format!("{name} / {}:\n{rendered:?}\n{line}", line["case"])),
        }
    }
    (checked, wrong)
}

#[test]
fn conformance_the_templates_of_the_wild_render_as_transformers_renders_them() {
    let Some(shared) = shared() else { return };
    let (checked, wrong) = compare_with_golden(&shared.join("golden/templates"));
    assert_eq!(checked, 280);
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Prompts of every turn of the benchmark: each prefix before an assistant's message, and the whole conversation.
fn benchmark_prompts(data: &str, task: &str, tools: &Value, template: &Template) -> Vec<String> {
    let options = RenderOptions {
        add_generation_prompt: true,
        enable_thinking: Some(false),
        ..RenderOptions::default()
    };
    let mut prompts = Vec::new();
    for line in lines(data) {
        let whole = Conversation::parse(line["question"].as_str().unwrap().as_bytes()).unwrap();
        let answered = |i: &usize| whole.messages[*i].role() == Role::Assistant;
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

fn pocket_template() -> Template {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/pocket/tokenizer_config.json");
    let config: Value = serde_json::from_str(&read(std::path::Path::new(path))).unwrap();
    Template::new(config["chat_template"].as_str().unwrap()).unwrap()
}

#[test]
fn the_pocket_models_template_gives_the_prompts_of_transformers() {
    let template = pocket_template();
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

#[test]
fn a_template_that_does_not_end_or_grows_without_end_is_stopped_with_its_line() {
    let many = |part: &str, n: usize| part.repeat(n);
    for (source, line) in [
        ("a\n{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}\n{{ a }}{% endfor %}{% endfor %}{% endfor %}".to_owned(), 3),
        ("{% macro m() %}\n{{ m() }}{% endmacro %}{{ m() }}".to_owned(), 2),
        ("\n{% set ns = namespace(s='ab') %}{% for a in range(99999) %}{% set ns.s = ns.s + ns.s %}{% endfor %}".to_owned(), 2),
        ("{{ 'x' * 99999999999 }}".to_owned(), 1),
        ("{{ 'x'.ljust(99999999999) }}".to_owned(), 1),
        ("{% for a in range(99999) %}".to_owned() + &many("text ", 9999) + "{% endfor %}", 1),
    ] {
        let error = Template::new(&source).unwrap().render_values(&[], None, &RenderOptions::default());
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Runaway { line: l, .. } if l == line), "{error}: {source:.100}");
    }
}

/// Templates that stay within few steps, and take time or memory by the size of what a step handles.
const COSTLY: &[&str] = &[
    "{{ ('ab' * 4000000)|sort|join|length }}",
    "{{ ([1] * 60000000)|length }}",
    "{% set l = [1] * 2000000 %}{{ l|sort|length }}{{ l|unique|list|length }}{{ l|groupby('x')|length }}",
    "{% set s = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = s|string %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = s[1:] %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = s.upper() %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = s|replace('a', 'b') %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = 'abb' in s %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% set u = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = s == u %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% set u = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = s < u %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% set d = {'a': 1} %}{% for i in range(99999) %}{% set t = d[s] %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% set d = {'a': 1} %}{% for i in range(99999) %}{% set t = d.get(s) %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% for i in range(99999) %}{% set t = {s: 1} %}{% endfor %}",
    "{% set s = 'ab' * 400000 %}{% set c = 'cdefg' * 400000 + 'ab' %}{{ s.strip(c)|length }}{% for i in range(99999) %}{% set t = s.strip(c) %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l + l %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l == l + [] %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = 2 in l %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l[1:] %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l|tojson %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l|string %}{% endfor %}",
    "{% set l = [''] * 200000 %}{% for i in range(99999) %}{% set t = l|join(',') %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l|batch(1)|list %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l|map('string')|list %}{% endfor %}",
    "{% set l = [1] * 200000 %}{% for i in range(99999) %}{% set t = l|select('odd')|list %}{% endfor %}",
    "{% set s = '\n' * 4000000 %}{{ s.splitlines()|length }}{{ s.split('\n')|length }}{{ (s|indent(900))|length }}",
    "{% set s = ' ' * 9000000 %}{% for i in range(99999) %}{% set t = s.split() %}{% endfor %}",
    "{% set s = 'ab' * 1000000 %}{{ ('{0}' * 90000).format(s)|length }}",
    "{% set s = 'ab' * 1000000 %}{{ ('%(a)s' * 90000) % {'a': s} }}",
    "{{ ('{:9999}' * 90000).format(*([1] * 90000))|length }}",
    "{{ ('%9999d' * 90000) % ((1,) * 90000) }}",
    "{% set x = '\t' * 4000000 %}{{ x.expandtabs(9999)|length }}",
    "{% set s = 'ab' * 4000000 %}{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + [s ~ i] %}{% endfor %}",
    "{% set s = 'ab' * 4000000 %}{% for i in range(99999) %}{{ s }}{% endfor %}",
    "{% set s %}{% for i in range(99999) %}{{ 'abcdefgh' * 9999 }}{% endfor %}{% endset %}",
];

#[test]
fn templates_that_handle_much_in_few_steps_are_stopped() {
    let mut sources: Vec<String> = COSTLY.iter().map(|source| (*source).to_owned()).collect();
    let deep = |n: usize| "{% for a in [1,2] %}".repeat(n) + "x" + &"{% endfor %}".repeat(n);
    sources.push(deep(30));
    // The engine's own comparison of two lists that hold themselves twice, 99 times over.
    let tower = |name: &str| {
        format!("{{% set {name} = [1] %}}") + &format!("{{% set {name} = [{name}, {name}] %}}").repeat(99)
    };
    sources.push(tower("x") + &tower("y") + "{% for i in [x, y] %}{{ loop.changed(i) }}{% endfor %}");
    for source in sources {
        let started = Instant::now();
        let error = Template::new(&source).unwrap().render_values(&[], None, &RenderOptions::default());
        let error = error.expect_err(&source);
        assert!(matches!(error, Error::Runaway { .. }), "{error}: {source:.200}");
        // Two seconds by itself; tests run beside each other on machines of any kind.
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}: {source:.200}", started.elapsed());
    }
}

#[test]
fn a_loop_that_cycles_through_nothing_is_refused() {
    for source in [
        "{% for a in [1] %}{{ loop.cycle() }}{% endfor %}",
        "{% for a in [1] %}{{ loop.cycle(*[]) }}{% endfor %}",
    ] {
        let error = Template::new(source).unwrap().render_values(&[], None, &RenderOptions::default());
        assert!(error.unwrap_err().to_string().contains("no items for cycling"));
    }
    let source =
        "{% for a in [1, 1, 2] %}{{ loop.cycle('x', *['y']) }}{{ loop.changed(a, [a]) }} {% endfor %}";
    let rendered = Template::new(source).unwrap().render_values(&[], None, &RenderOptions::default());
    assert_eq!(rendered.unwrap(), "xTrue yFalse xTrue ");
}

#[test]
fn a_conversation_of_ten_thousand_messages_takes_a_fraction_of_the_work() {
    let text = "A table for two in Oakland, please. ".repeat(15);
    let messages: Vec<Value> = (0..10_000)
        .map(|i| {
            let role = if i % 2 == 0 { "user" } else { "assistant" };
            serde_json::json!({"role": role, "content": text})
        })
        .collect();
    let prompt = pocket_template().render_values(&messages, None, &RenderOptions::default()).unwrap();
    assert!(prompt.len() > 10_000 * text.len());
}

#[test]
fn hostile_templates_end_in_a_message_and_not_in_a_crash() {
    let nested =
        "{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}";
    for source in [
        nested.to_owned(),
        nested.replace("[ns.x]", "(ns.x,)"),
        nested.replace("[ns.x]", "{'a': ns.x}"),
        nested.replace("[ns.x]", "ns.x | batch(1) | list"),
        nested.replace("[ns.x]", "dict(a=ns.x)"),
        nested.replace("[ns.x]", "{'a': ns.x}.items"),
        nested.replace("[ns.x]", "namespace(x=ns.x)"),
        nested.replace("[ns.x]", "cycler(ns.x)"),
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}{{ ns == ns }}".to_owned(),
        // Two to the power of 99 items in 99 lists.
        format!("{{% set x = [1] %}}{}{{{{ x }}}}", "{% set x = [x, x] %}".repeat(99)),
        format!("{{% set x = [1] %}}{}{{{{ x | tojson }}}}", "{% set x = [x, x] %}".repeat(99)),
        format!(
            "{{% set x = [1] %}}{0}{{% set y = [1] %}}{1}{{{{ x == y }}}}",
            "{% set x = [x, x] %}".repeat(99),
            "{% set y = [y, y] %}".repeat(99)
        ),
        "{{ '%99999999d' % 1 }}".to_owned(),
        "{{ '%*d' % (99999999, 1) }}".to_owned(),
        "{{ '{:>99999999}'.format(1) }}".to_owned(),
        "{{ range(0, 9, 99999999999999999999999999) }}".to_owned(),
        "{{ 2 ** 9999999 }}".to_owned(),
        format!("{{{{ 1{} }}}}", "+1".repeat(200_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(200_000)),
        format!("{{{{ {}1 }}}}", "(".repeat(200_000)),
        format!("{{{{ x{} }}}}", "|e".repeat(200_000)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(50_000)),
        "{% if 1 %}".repeat(50_000),
        "\n".repeat(70_000),
        "x".repeat(2_000_000),
        "{{ x".to_owned(),
    ] {
        let result =
            Template::new(&source).and_then(|t| t.render_values(&[], None, &RenderOptions::default()));
        assert!(result.is_err(), "{source:.100} gave {result:?}");
    }
}

#[test]
fn a_long_tag_and_a_deep_conversation_are_still_rendered() {
    let source = format!("{{{{ 1{} }}}}", "+1".repeat(1_900));
    let rendered = Template::new(&source).unwrap().render_values(&[], None, &RenderOptions::default());
    assert_eq!(rendered.unwrap(), "1901");
}

#[test]
fn a_template_with_a_syntax_error_is_refused_with_its_line() {
    for (source, line) in [
        ("a\n{% for x in y %}\n", 2),
        ("a\n\n{{ 'x }}", 3),
        ("{% unknown %}", 1),
        ("a\n{% do x %}", 2),
        ("\n{% for x in y %}\n{% with a = 1 %}{% if a %}{% break %}{% endif %}{% endwith %}{% endfor %}", 3),
        ("\n{% for x in y %}\n{% set a %}{% continue %}{% endset %}{% endfor %}", 3),
        ("{% for x in y %}\n{% generation %}{% break %}{% endgeneration %}{% endfor %}", 2),
        ("a\n{% if x = 1 %}{% endif %}", 2),
    ] {
        let error = Template::new(source).unwrap_err();
        assert!(matches!(error, Error::Syntax { line: l, .. } if l == line), "{error}");
    }
}

#[test]
fn what_a_template_raises_is_told_in_its_own_words() {
    let template = Template::new(
        "\n{% if messages[0].role == 'system' %}\n{{ raise_exception('no system!') }}{% endif %}",
    );
    let messages = [serde_json::json!({"role": "system", "content": "x"})];
    let error = template.unwrap().render_values(&messages, None, &RenderOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the chat template refuses this conversation: no system! (line 3 of the template)"
    );
    let template = Template::new("\n{{ messages[0].content.parts[0] }}").unwrap();
    let error = template.render_values(&messages, None, &RenderOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the chat template failed at its line 2: 'messages[0].content.parts' is undefined"
    );
}

#[test]
fn of_several_templates_the_one_for_tools_is_taken_where_there_are_tools() {
    let both = [("default", "d"), ("tool_use", "t")];
    assert_eq!(select_template(&both, true).unwrap(), "t");
    assert_eq!(select_template(&both, false).unwrap(), "d");
    assert_eq!(select_template(&[("default", "d")], true).unwrap(), "d");
    assert_eq!(select_template(&[("rag", "r")], false).unwrap(), "r");
    let error = select_template(&[("rag", "r"), ("tool_use", "t")], false).unwrap_err();
    assert_eq!(error.to_string(), "the model has the chat templates rag, tool_use and none named `default`");
}

#[test]
fn a_developers_message_is_the_systems_where_the_template_does_not_know_it() {
    let json = br#"[{"role": "developer", "content": "x"}]"#;
    let conversation = Conversation::parse(json).unwrap();
    let render = |source| {
        Template::new(source).unwrap().render(&conversation, None, &RenderOptions::default()).unwrap()
    };
    assert_eq!(render("{{ messages[0].role }}"), "system");
    assert_eq!(render("{{ messages[0].role }}{# developer #}"), "developer");
}

#[test]
fn the_restaurant_example_reads_and_ends_with_the_user() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/restaurants"));
    let conversation = Conversation::parse(read(&folder.join("conversation.json")).as_bytes()).unwrap();
    assert_eq!(conversation.messages.last().unwrap().role(), Role::User);
    let tools: Value = serde_json::from_str(&read(&folder.join("tools.json"))).unwrap();
    let prompt = Template::new("{{ messages[0].content }}{{ tools[2].function.name }}").unwrap().render(
        &conversation.with_system(task_system_text(&read(&folder.join("task.txt")))),
        Some(&tools),
        &RenderOptions::default(),
    );
    let prompt = prompt.unwrap();
    assert!(
        prompt.starts_with("You are a tool-calling model working on:\n<task_description>You help guests")
    );
    assert!(prompt.ends_with("Always respond with a tool call.\n\nFindRestaurants"));
}

/// Names, keys and enum values of a tool list, without its descriptions, in order.
fn shape(tools: &Value) -> Vec<Vec<String>> {
    let function = |tool: &Value| {
        let function = &tool["function"];
        let properties = function["parameters"]["properties"].as_object().unwrap();
        let keys =
            properties.iter().map(|(key, schema)| format!("{key}: {} {}", schema["type"], schema["enum"]));
        let required = function["parameters"]["required"].to_string();
        [function["name"].to_string()].into_iter().chain(keys).chain([required]).collect()
    };
    tools.as_array().unwrap().iter().map(function).collect()
}

#[test]
fn conformance_the_restaurant_example_has_the_benchmarks_tools_and_none_of_its_sentences() {
    let Some(shared) = shared() else { return };
    let job: Value =
        serde_json::from_str(&read(&shared.join("data/tft/s4-direct/job_description.json"))).unwrap();
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/restaurants"));
    let text = read(&folder.join("tools.json"));
    assert_eq!(shape(&serde_json::from_str(&text).unwrap()), shape(&job["tools"]));
    let ours = text + &read(&folder.join("task.txt")) + &read(&folder.join("conversation.json"));
    let theirs = job["task_description"].as_str().unwrap().to_owned() + &job["tools"].to_string();
    let sentences =
        theirs.split(['.', '\n', '"', ';']).map(str::trim).filter(|part| part.split(' ').count() > 4);
    for sentence in sentences {
        assert!(!ours.contains(sentence), "{sentence}");
    }
}

#[test]
fn format_fields_outside_ascii_are_refused_or_written_and_never_panic() {
    let render = |source: &str| {
        let template = Template::new(source).unwrap();
        template.render_values(&[], None, &RenderOptions::default())
    };
    // What Python gives.
    for (source, text) in [
        ("{{ 'é %s ü' % 'ö' }}", "é ö ü"),
        ("{{ '%(a)s é' % {'a': 'ö'} }}", "ö é"),
        ("{{ '100%% é' % () }}", "100% é"),
        ("{{ 'é {} ü'.format('ö') }}", "é ö ü"),
        ("{{ '{{é}} {}'.format('ö') }}", "{é} ö"),
        ("{{ '{:·<4}'.format('a') }}", "a···"),
    ] {
        assert_eq!(render(source).map_err(|error| error.to_string()).as_deref(), Ok(text), "{source}");
    }
    for source in [
        "{{ '%(é)s' % {'é': 1} }}",
        "{{ '%(é' % {'a': 1} }}",
        "{{ '%(¾x' % (1, 2) }}",
        "{{ '100%é' % 1 }}",
        "{{ '50% é' % 1 }}",
        "{{ '%é' % 1 }}",
        "{{ '{é}'.format(1) }}",
        "{{ '{0[é]}'.format({'é': 1}) }}",
        "{{ '{0.é}'.format({'é': 1}) }}",
        "{{ '{é'.format(1) }}",
        "{{ '{:é}'.format('a') }}",
        "{{ '{:·<4é}'.format('a') }}",
        "{{ '{0!é}'.format('a') }}",
        "{{ '{:é'.format('a') }}",
    ] {
        assert!(render(source).is_err(), "{source}");
    }
}
