//! Scores equal the published ones; the cases and prompts are those of the published benchmark.

use std::path::Path;

use edgecall::{
    bench::{
        Dataset, Split,
        data::{self, Call, Style, json::Json},
        score::{
            metric::{self, Pair},
            predictions,
        },
    },
    chat::{RenderOptions, Template},
};
use nltk_porter::{Mode, PorterStemmer};
use sha2::{Digest, Sha256};

use crate::shared::shared;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn conformance_every_published_row_scores_as_published_to_ten_decimals() {
    let Some(shared) = shared() else { return };
    for (name, judge_proxy, published) in [
        ("base", 0.949, [0.5353, 0.0513, 0.0513, 0.5137]),
        ("tuned", 0.885, [0.7692, 0.1282, 0.1282, 0.6889]),
    ] {
        let path = shared.join(format!("data/tft/predictions/{name}-model-predictions-download.jsonl"));
        let rows = predictions::read(&path, read(&path).as_bytes()).unwrap();
        let scored = predictions::score(name, &rows, None);
        assert_eq!((scored.rows, scored.differences.len()), (78, 0), "{:?}", scored.differences);
        let published_metrics = ["staged_tool_call", "binary_tool_call", "tool_call_equivalence", "rouge"];
        for (metric, mean) in published_metrics.into_iter().zip(published) {
            let summary = scored.metrics.iter().find(|summary| summary.name == metric).unwrap();
            assert_eq!(summary.agreeing_rows, Some(78));
            assert_eq!(format!("{:.4}", summary.mean.unwrap()), format!("{mean:.4}"), "{name} {metric}");
        }
        let proxy = metric::named("judge_proxy").unwrap();
        let agreeing = rows.iter().filter(|row| {
            let pair = Pair::new(&row.answer, &row.prediction, None, None);
            proxy.score(&pair) == row.scores.get("llm-as-a-judge").copied()
        });
        assert_eq!(format!("{:.3}", agreeing.count() as f64 / 78.0), format!("{judge_proxy:.3}"));
    }
}

#[test]
fn conformance_the_worked_examples_score_as_worked_out() {
    let Some(shared) = shared() else { return };
    let text = read(&shared.join("data/tft/worked_examples.jsonl"));
    let mut checked = 0;
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |key: &str| row[key].as_str().unwrap();
        assert_eq!(data::prediction(field("raw_output"), Style::Student), field("prediction"), "{line}");
        let pair = Pair::new(field("answer"), field("prediction"), Some(field("raw_output")), None);
        for name in ["rouge", "tool_call_equivalence", "binary_tool_call", "staged_tool_call", "judge_proxy"]
        {
            let score = metric::named(name).unwrap().score(&pair).unwrap();
            assert!(metric::agree(score, row[name].as_f64().unwrap()), "{name} {score}: {line}");
        }
        let raw = Pair::new(field("answer"), field("raw_output"), None, None);
        let rouge = metric::named("rouge").unwrap().score(&raw).unwrap();
        assert!(metric::agree(rouge, row["rouge_on_raw_text"].as_f64().unwrap()), "{rouge}: {line}");
        checked += 1;
    }
    assert_eq!(checked, 13);
}

#[test]
fn conformance_words_are_stemmed_as_nltk_stems_them() {
    let Some(shared) = shared() else { return };
    let stemmer = PorterStemmer::new(Mode::Nltk);
    let fixture = read(&shared.join("data/tft/stem_fixture.tsv"));
    let pairs: Vec<(&str, &str)> = fixture.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(pairs.len(), 692);
    for (word, stem) in pairs {
        // Like rouge-score: words of up to three characters are not stemmed.
        let stemmed = if word.len() > 3 { stemmer.stem(word) } else { word.to_owned() };
        assert_eq!(stemmed, stem, "{word}");
    }
}

#[test]
fn conformance_34_conversations_expand_to_359_cases_whose_prompts_have_the_golden_hashes() {
    let Some(shared) = shared() else { return };
    let tft = shared.join("data/tft");
    let template = Template::new(&read(&shared.join("data/qwen3/chat_template.jinja"))).unwrap();
    let options = RenderOptions {
        add_generation_prompt: true,
        enable_thinking: Some(false),
        ..RenderOptions::default()
    };
    for (job, golden) in [
        ("s1-direct", "35a9d814678985b210554018368334fff13c93b720570b4be714698c085e9836"),
        ("s4-direct", "7923ac071cd69c7d974ad4de987da409153e21b6046169662445797e05697547"),
        ("predictions", "ea98b50a6af2c0225ca114f055c94343f30e0865aa455b2e93b52438d3653933"),
    ] {
        let dataset = Dataset::open_files(
            &tft.join(job).join("job_description.json"),
            &tft.join("s1-direct/test.jsonl"),
        )
        .unwrap();
        assert_eq!((dataset.conversations, dataset.cases.len()), (34, 359));
        assert!(dataset.is_public());
        assert_eq!(dataset.split(Split::First78).unwrap(), 0..78);
        assert_eq!(dataset.identity().test_md5, "1c1b7ce2bf4ef1c262d06dd5fad2c59c");
        let count =
            |name: &str| dataset.cases.iter().filter(|case| case.gold.as_ref().unwrap().name == name).count();
        assert_eq!(
            [count("respond_to_user"), count("ReserveRestaurant"), count("FindRestaurants")],
            [287, 44, 28]
        );
        let tools = serde_json::Value::Array(dataset.job.tools.sources());
        let prompts: Vec<String> = dataset
            .cases
            .iter()
            .map(|case| template.render(&dataset.conversation(case), Some(&tools), &options).unwrap())
            .collect();
        let hash: String =
            Sha256::digest(prompts.join("\0")).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, golden, "{job}");
    }
}

#[test]
fn conformance_the_first_78_cases_are_those_of_the_published_predictions() {
    let Some(shared) = shared() else { return };
    let tft = shared.join("data/tft");
    let dataset = Dataset::open(&tft.join("s1-direct")).unwrap();
    let path = tft.join("predictions/tuned-model-predictions-download.jsonl");
    let published = read(&path);
    let cases = &dataset.cases[dataset.split(Split::First78).unwrap()];
    for (case, line) in cases.iter().zip(published.lines()) {
        let row = Json::parse(line).unwrap();
        let row = row.as_object().unwrap();
        assert_eq!(case.answer(Style::Student).as_deref(), row["answer"].as_text());
        let question = Json::parse(row["question"].as_text().unwrap()).unwrap();
        let Json::List(messages) = question else { panic!("no list: {line}") };
        assert_eq!(messages.len(), case.messages().len());
        let last = messages.last().unwrap().as_object().unwrap();
        assert_eq!(last["content"].as_text(), case.messages().last().unwrap().content());
        assert_eq!(Call::parse(row["answer"].as_text().unwrap()).ok(), case.gold);
    }
}

#[test]
fn odd_rows_score_as_python_scores_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/benchmark/metrics.jsonl");
    let rows = predictions::read(&path, read(&path).as_bytes()).unwrap();
    let scored = predictions::score("metrics.jsonl", &rows, None);
    assert!(scored.differences.is_empty(), "{scored}");
    assert_eq!(scored.rows, 95);
    for name in ["rouge", "staged_tool_call", "binary_tool_call", "tool_call_equivalence"] {
        let summary = scored.metrics.iter().find(|summary| summary.name == name).unwrap();
        assert_eq!(summary.agreeing_rows, Some(95));
    }
}

#[test]
fn a_data_set_that_cannot_be_used_is_refused_by_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job_description.json");
    let test = folder.path().join("test.jsonl");
    let good_job = r#"{"task_description": "t", "tools": [{"name": "f"}]}"#;
    std::fs::write(&job, good_job).unwrap();
    let line = |messages: &str, answer: &str| {
        serde_json::json!({"question": messages, "answer": answer, "context": null}).to_string()
    };
    let user = r#"[{"role": "user", "content": "x"}]"#;
    let call = r#"{"name": "f", "parameters": {}}"#;
    let assistant = r#"{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}"#;
    let good = line(user, call);
    for (text, expected) in [
        (String::new(), "test.jsonl: there is no conversation in it"),
        (format!("{good}\n\n{{"), "test.jsonl: line 3: not valid JSON: EOF"),
        ("7".into(), "line 1: is a number, not an object"),
        (r#"{"answer": "{}"}"#.into(), "line 1: `question` is missing"),
        (r#"{"question": [], "answer": "{}"}"#.into(), "`question` holds no messages: there are no messages"),
        (good.replace("answer", "anwser"), "line 1: there is no key `anwser`; is `answer` meant?"),
        (r#"{"question": 3, "answer": "{}"}"#.into(), "`question` is a number, not a list of messages"),
        (r#"{"messages": [{"role": "user", "content": "x"}]}"#.into(), "there is no conversation in it"),
        (
            r#"{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}"#
                .into(),
            "no message in it is a single tool call (line 1: messages[1] is text and no call)",
        ),
        (
            format!(
                r#"{{"messages": [{{"role": "user", "content": "x"}}, {assistant}], "tools": [{{"name": "other"}}]}}"#
            ),
            "line 1: messages[1] calls `f`, which is none of its tools",
        ),
        (
            format!(r#"{{"messages": [{{"role": "user", "content": "x"}}, {assistant}], "tools": [{{}}]}}"#),
            "line 1: `tools` cannot be used",
        ),
        (line("[]", call), "line 1: `question` holds no messages: there are no messages"),
        (line(user, "hello"), "`answer` is no call: no JSON"),
        (line(user, r#"{"name": "g"}"#), "`answer` calls `g`, which is none of its tools"),
        (line(&format!("[{assistant}]"), call), "nothing is asked before messages[0]"),
        (line(&user.replace("}]", &format!("}}, {assistant}]")), call), "nothing is asked before `answer`"),
        (line(&user.replace("user", "system"), call), "messages[0] is the system's"),
    ] {
        std::fs::write(&test, &text).unwrap();
        let error = Dataset::open(folder.path()).unwrap_err();
        let source = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
        let message = format!("{error}{source}");
        assert!(message.contains(expected), "{message}\nshould say\n{expected}");
        assert_eq!(error.kind(), edgecall::Kind::Data);
    }
    std::fs::write(&test, format!("{good}\n")).unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!((dataset.cases.len(), dataset.is_public()), (1, false));
    assert_eq!(dataset.split(Split::First78).unwrap_err().kind(), edgecall::Kind::Usage);
    for (text, expected) in [
        ("[]", "is an array, not an object"),
        (r#"{"tools": []}"#, "`task_description` is missing"),
        (r#"{"task_description": 1}"#, "`task_description` is a number"),
        (r#"{"task_description": "t"}"#, "`tools` is missing"),
        (r#"{"task_description": "t", "tools": []}"#, "the tools cannot be used"),
    ] {
        std::fs::write(&job, text).unwrap();
        let message = Dataset::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("job_description.json") && message.contains(expected), "{message}");
    }
    std::fs::remove_file(&job).unwrap();
    assert_eq!(Dataset::open(folder.path()).unwrap_err().kind(), edgecall::Kind::NoInput);
}

/// A line of a fine-tuning file: a question and a call of `tool`, the only tool of the line.
pub fn line_with_tool(tool: &str, parameters: serde_json::Value) -> String {
    serde_json::json!({
        "messages": [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": tool, "arguments": {"n": 1}}}]}],
        "tools": [{"type": "function", "function": {"name": tool, "parameters": parameters}}]
    })
    .to_string()
}

#[test]
fn each_line_has_its_own_tools_or_else_those_of_the_job() {
    use serde_json::json;
    let folder = tempfile::tempdir().unwrap();
    let job = r#"{"task_description": "t", "tools": [{"name": "f", "parameters": {"type": "object"}}]}"#;
    std::fs::write(folder.path().join("job_description.json"), job).unwrap();
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let odd = json!({"type": "object", "properties": {"n": {"type": "integer", "minimun": 1}}});
    let lines = [
        line_with_tool("g", schema.clone()),
        json!({"question": [{"role": "user", "content": "go"}], "answer": {"name": "f", "parameters": {}}})
            .to_string(),
        line_with_tool("g", schema),
        line_with_tool("h", odd),
    ];
    std::fs::write(folder.path().join("test.jsonl"), lines.join("\n")).unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    let names =
        |case: &data::Case| case.tools().iter().map(|tool| tool.name().to_owned()).collect::<Vec<_>>();
    let each: Vec<Vec<String>> = dataset.cases.iter().map(names).collect();
    assert_eq!(each, [["g"], ["f"], ["g"], ["h"]]);
    // Equal lists are one set.
    assert!(std::ptr::eq(dataset.cases[0].tools(), dataset.cases[2].tools()));
    let warnings = dataset.line_warnings();
    assert!(matches!(&warnings[..], [(4, text)] if text.contains("minimun")), "{warnings:?}");
    // A call is validated and compared by its own line's tools.
    let toolboxes = metric::Toolboxes::new(&dataset);
    let call = Call::parse(r#"{"name": "g", "arguments": {"n": "x"}}"#).unwrap();
    let accepted: Vec<Option<bool>> =
        dataset.cases.iter().map(|case| toolboxes.of_case(case).accepts(&call)).collect();
    assert_eq!(accepted, [Some(false); 4]);
    let call = Call::parse(r#"{"name": "g", "arguments": {"n": 2}}"#).unwrap();
    let accepted: Vec<Option<bool>> =
        dataset.cases.iter().map(|case| toolboxes.of_case(case).accepts(&call)).collect();
    assert_eq!(accepted, [Some(true), Some(false), Some(true), Some(false)]);
}

#[test]
fn half_a_surrogate_pair_in_a_line_stands_for_no_character() {
    let folder = tempfile::tempdir().unwrap();
    let test = folder.path().join("test.jsonl");
    let line = r#"{"messages": [{"role": "user", "content": "a\ud83d"}, {"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}"#;
    std::fs::write(&test, line).unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.cases[0].messages()[0].content(), Some("a\u{fffd}"));
}

#[test]
fn real_logs_and_fine_tuning_files_are_read_and_what_is_not_scored_is_named() {
    use serde_json::{Value, json};
    let folder = tempfile::tempdir().unwrap();
    let test = folder.path().join("test.jsonl");
    let job = folder.path().join("job_description.json");
    let open = |text: &str| {
        std::fs::write(&test, text).unwrap();
        Dataset::open(folder.path()).unwrap()
    };
    let call = |id: &str, arguments: Value| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello, what can I do?"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "I look it up.", "tool_calls": [call("a", json!("{\"n\": 1}"))]},
        {"role": "tool", "tool_call_id": "a", "content": "done"},
        {"role": "assistant", "content": null, "tool_calls": [call("b", json!({"n": 2})), call("c", json!({"n": 3}))]},
        {"role": "tool", "tool_call_id": "b", "content": "done"},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
        {"role": "assistant", "weight": 0, "tool_calls": [call("d", json!({"n": 4}))]},
        {"role": "user", "content": "five"},
        {"role": "assistant", "tool_calls": [call("e", json!({"n": 5}))]},
    ]);
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
        "properties": {"n": {"type": "integer"}}}}}]);
    let tuning = json!({"messages": messages, "tools": tools, "parallel_tool_calls": false});

    // Without a job description: the tools are those of the lines, and there is no task.
    let of_lines = open(&format!("{tuning}\n{tuning}\n"));
    assert!(of_lines.labelled && of_lines.conversations == 2 && of_lines.job.task_description.is_empty());
    let golds: Vec<String> = of_lines.cases.iter().map(|case| case.answer(Style::Teacher).unwrap()).collect();
    let expected = [1, 5].map(|n| format!(r#"{{"name": "f", "parameters": {{"n": {n}}}}}"#));
    assert_eq!(golds, [expected.clone(), expected].concat());
    let reasons: Vec<String> = of_lines.unscored.iter().take(3).map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "line 1: messages[2] is text and no call",
            "line 1: messages[6] makes 2 calls at once",
            "line 1: messages[9] has the weight 0"
        ]
    );
    let sent = of_lines.conversation(&of_lines.cases[0]);
    assert_eq!((sent.messages.len(), sent.messages[0].content()), (4, Some("Be brief.")));

    // The same as one array over several lines, and beside a job.
    let array = serde_json::to_string_pretty(&json!([tuning, tuning])).unwrap();
    assert_eq!(open(&array).cases.len(), 4);
    std::fs::write(&job, json!({"task_description": "t", "tools": tools}).to_string()).unwrap();
    let with_job = open(&array);
    assert!(with_job.cases[0].line == 2 && with_job.cases[2].line > 90);

    // Values in place of strings that hold JSON are the same cases.
    let question = json!([messages[1], messages[2], messages[3]]);
    let answer = json!({"name": "f", "arguments": {"n": 1}});
    let plain = open(&json!({"question": question, "answer": answer}).to_string());
    let encoded = open(&json!({"question": question.to_string(), "answer": answer.to_string()}).to_string());
    for data in [&plain, &encoded] {
        assert_eq!((data.cases.len(), data.unscored.len(), data.labelled), (1, 1, true));
        assert_eq!(data.cases[0].answer(Style::Teacher), encoded.cases[0].answer(Style::Teacher));
        assert_eq!(data.conversation(&data.cases[0]), encoded.conversation(&encoded.cases[0]));
        assert!(data.conversation(&data.cases[0]).messages[0].content().unwrap().contains(">t</task"));
    }
}

#[test]
fn a_data_set_without_answers_has_no_right_calls_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let test = folder.path().join("test.jsonl");
    let job = r#"{"task_description": "t", "tools": [{"name": "f"}]}"#;
    std::fs::write(folder.path().join("job_description.json"), job).unwrap();
    let user = serde_json::json!({"role": "user", "content": "x"});
    let call = serde_json::json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]});
    let line = |messages: &[&serde_json::Value], more: serde_json::Value| {
        let mut line = serde_json::json!({"question": serde_json::json!(messages).to_string()});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{line}\n")
    };
    let none = serde_json::json!({});
    let null = serde_json::json!({"answer": null});
    let answer = serde_json::json!({"answer": r#"{"name": "f", "parameters": {}}"#});
    let open = |text: String| {
        std::fs::write(&test, text).unwrap();
        Dataset::open(folder.path())
    };
    let without =
        open(line(&[&user, &call, &user], none.clone()) + &line(&[&user, &call], null.clone())).unwrap();
    assert!(!without.labelled);
    let places: Vec<_> = without.cases.iter().map(|c| (c.conversation, c.turn, c.messages().len())).collect();
    // The second conversation ends with an assistant's message, so no call is asked for after it.
    assert_eq!(places, [(0, 0, 1), (0, 1, 3), (1, 0, 1)]);
    assert!(without.cases.iter().all(|case| case.gold.is_none() && case.answer(Style::Student).is_none()));
    let error = without.require_labels("a judge").unwrap_err();
    assert_eq!(error.kind(), edgecall::Kind::Usage);
    assert!(error.to_string().starts_with("a judge needs right answers, and no line of "), "{error}");

    let with = open(line(&[&user, &call, &user], answer.clone())).unwrap();
    assert!(with.labelled && with.cases.iter().all(|case| case.gold.is_some()));
    assert!(with.require_labels("a judge").is_ok());
    let mixed = line(&[&user], answer.clone())
        + "\n"
        + &line(&[&user], none)
        + &line(&[&user], null)
        + &line(&[&user], answer);
    let error = open(mixed).unwrap_err();
    assert_eq!(error.kind(), edgecall::Kind::Data);
    assert!(
        error.to_string().contains(
            "test.jsonl: line 3: `answer` is missing or null (2 lines have none), and line 1 has one (2 lines have one)"
        ),
        "{error}"
    );
    // Unlabelled conversations are validated too.
    let unknown = serde_json::json!({"role": "assistant", "tool_calls": [{"function": {"name": "g", "arguments": {}}}]});
    let error = open(line(&[&user, &unknown], serde_json::json!({}))).unwrap_err();
    assert!(error.to_string().contains("messages[1] calls `g`, which is none of its tools"), "{error}");
}

#[test]
fn the_example_data_set_is_whole_and_has_the_examples_task_and_tools() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants");
    let dataset = Dataset::open(&folder.join("benchmark")).unwrap();
    assert_eq!((dataset.conversations, dataset.cases.len(), dataset.is_public()), (8, 61, false));
    assert_eq!(dataset.job.task_description, read(&folder.join("task.txt")));
    let tools = edgecall::tools::ToolSet::parse(read(&folder.join("tools.json")).as_bytes()).unwrap();
    assert_eq!(dataset.job.tools, tools);
    let toolbox = metric::Toolbox::new(&tools);
    for case in &dataset.cases {
        assert_eq!(toolbox.accepts(case.gold.as_ref().unwrap()), Some(true), "{:?}", case.gold);
    }
    for name in metric::JUDGE_PROXY_TOOLS {
        assert!(
            dataset.cases.iter().filter(|case| case.gold.as_ref().unwrap().name == name).count() >= 6,
            "{name}"
        );
    }
}

#[test]
fn conformance_the_example_data_set_shares_no_sentence_with_the_public_one() {
    let Some(shared) = shared() else { return };
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants/benchmark/test.jsonl");
    let public = read(&shared.join("data/tft/s1-direct/test.jsonl"));
    let mut checked = 0;
    for line in read(&ours).lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let messages: Vec<serde_json::Value> =
            serde_json::from_str(row["question"].as_str().unwrap()).unwrap();
        for content in messages.iter().filter_map(|message| message["content"].as_str()) {
            // Short messages of thanks or goodbye occur in many conversations.
            if content.split_whitespace().count() > 5 {
                assert!(!public.contains(content), "{content}");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn a_number_beyond_64_bits_is_right_only_where_it_is_the_same_number() {
    const WIDE: &str = "18446744073709551617";
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "job_description.json",
        &format!(
            r#"{{"task_description": "t", "tools": [{{"name": "f", "parameters": {{"properties": {{"id": {{"const": {WIDE}}},
                "x": {{"type": "number", "default": 0.300000000000000044}}}}, "required": ["id"]}}}}]}}"#
        ),
    );
    let question = r#""question": [{"role": "user", "content": "go"}]"#;
    let as_text =
        format!(r#"{{{question}, "answer": "{{\"name\": \"f\", \"parameters\": {{\"id\": {WIDE}}}}}"}}"#);
    let as_object = format!(r#"{{{question}, "answer": {{"name": "f", "parameters": {{"id": {WIDE}}}}}}}"#);
    write("test.jsonl", &format!("{as_text}\n{as_object}\n"));
    let dataset = Dataset::open(folder.path()).unwrap();
    let toolboxes = metric::Toolboxes::new(&dataset);
    for case in &dataset.cases {
        let gold = case.answer(Style::Student).unwrap();
        assert!(gold.contains(WIDE), "it is printed as it was written: {gold}");
        let score = |name: &str, arguments: &str| {
            let prediction = format!(r#"{{"name": "f", "arguments": {arguments}}}"#);
            let pair = Pair::new(&gold, &prediction, None, Some(toolboxes.of_case(case)));
            metric::named(name).unwrap().score(&pair).unwrap()
        };
        for (arguments, is_right, is_valid) in [
            (format!(r#"{{"id": {WIDE}}}"#), 1.0, 1.0),
            (format!(r#"{{"id": {WIDE}.0}}"#), 1.0, 1.0),
            // The nearest double, and the next integer.
            (r#"{"id": 18446744073709551616}"#.into(), 0.0, 0.0),
            (r#"{"id": 1.8446744073709552e19}"#.into(), 0.0, 0.0),
            (r#"{"id": 18446744073709551618}"#.into(), 0.0, 0.0),
            (format!(r#"{{"id": {WIDE}, "x": 0.1000000000000000055}}"#), 0.0, 1.0),
        ] {
            assert_eq!(score("binary_tool_call", &arguments), is_right, "{arguments}");
            assert_eq!(score("schema_validity", &arguments), is_valid, "{arguments}");
        }
        // A default counts as written, too.
        let with_default = format!(r#"{{"id": {WIDE}, "x": 0.300000000000000044}}"#);
        let rounded = format!(r#"{{"id": {WIDE}, "x": 0.30000000000000004}}"#);
        assert_eq!(score("tool_call_equivalence", &with_default), 1.0);
        assert_eq!(score("tool_call_equivalence", &rounded), 0.0);
    }
    // In a call that the prompt shows, programs would round it.
    for arguments in [format!(r#"{{"id": {WIDE}}}"#), format!(r#""{{\"id\": {WIDE}}}""#)] {
        let call =
            format!(r#"{{"type": "function", "function": {{"name": "f", "arguments": {arguments}}}}}"#);
        let line = format!(
            r#"{{"messages": [{{"role": "user", "content": "go"}}, {{"role": "assistant", "tool_calls": [{call}]}}]}}"#
        );
        write("test.jsonl", &format!("{as_text}\n{line}\n"));
        let error = Dataset::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains(WIDE) && error.contains("as a string"), "{error}");
    }
}
