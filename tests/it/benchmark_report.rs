//! Reports are made from rows alone; the order of rows and files does not matter.

use std::process::Command;

use edgecall::bench::{
    data::{DataId, Style, prediction},
    report::{EXPORTERS, Report, collect, exporter},
    row::{
        ByName, Cost, Divergence, Mode, Record, ReferenceTokens, Rendering, Role, Row, RowFile, RowKey,
        RowWriter, SCHEMA_VERSION, Served, Speed, Start, Variant, merge,
    },
    score::{
        metric::Toolbox,
        score_row,
        stats::Random,
        verdict::{Margin, Rules},
    },
};
use serde_json::json;

const RULES: Rules = Rules { margin: 0.03, alpha: 0.05, draws: 1000, seed: 1, min_conversations: 20 };

/// A model of the run: its size, and the number of wrong answers among a thousand where F16 is right.
struct Model {
    name: &'static str,
    file_bytes: u64,
    role: Role,
    broken: usize,
}

const MODELS: [Model; 4] = [
    Model { name: "tft-F16.gguf", file_bytes: 3_447_000_000, role: Role::Reference, broken: 0 },
    Model { name: "tft-Q8_0.gguf", file_bytes: 1_834_000_000, role: Role::Candidate, broken: 0 },
    Model { name: "tft-Q4_K_M.gguf", file_bytes: 1_107_000_000, role: Role::Candidate, broken: 12 },
    Model { name: "tft-Q2_K.gguf", file_bytes: 700_000_000, role: Role::Candidate, broken: 300 },
];

fn tools() -> Toolbox {
    let tool = |name: &str, key: &str| json!({"name": name, "parameters": {"properties": {key: {"type": "string"}}, "required": [key]}});
    let tools = json!([tool("respond_to_user", "message"), tool("FindRestaurants", "city")]);
    Toolbox::new(&edgecall::tools::ToolSet::from_value(tools).unwrap())
}

/// Rows of `conversations` conversations of ten calls each, for every model in every mode.
fn run_rows(conversations: usize, modes: &[Mode]) -> Vec<Row> {
    let tools = tools();
    let mut rows = Vec::new();
    for model in &MODELS {
        for mode in modes {
            for case in 0..conversations * 10 {
                rows.push(row(model, *mode, case, &tools));
            }
        }
    }
    rows
}

fn row(model: &Model, mode: Mode, case: usize, tools: &Toolbox) -> Row {
    // The hard cases are the same for every model, so a worse model breaks answers that a better one gets right.
    let luck = Random::new(case as u64).below(1000);
    let (name, key) =
        if case % 10 == 3 { ("FindRestaurants", "city") } else { ("respond_to_user", "message") };
    let call = |name: &str, key: &str, value: &str| {
        format!(
            "<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {{\"{key}\": \"{value}\"}}}}\n</tool_call>"
        )
    };
    let gold = call(name, key, &format!("<b>Café</b> & \\\"{case}\\\""));
    let raw_output = match luck {
        // Cases that the reference gets wrong are wrong for all models.
        0..100 => call(name, key, "somewhere"),
        _ if luck - 100 < model.broken && luck.is_multiple_of(7) => "I would like to".into(),
        _ if luck - 100 < model.broken && luck.is_multiple_of(2) => {
            call("FindRestaurants", "city", "<script>alert(1)</script>")
        }
        _ if luck - 100 < model.broken => call(name, key, "nowhere"),
        _ => gold.clone(),
    };
    let (conversation, turn) = (case / 10, case % 10);
    let mut row = Row {
        schema_version: SCHEMA_VERSION,
        key: RowKey {
            variant: Variant {
                file_sha256: format!("{:064x}", model.file_bytes),
                mode,
                max_tokens: 512,
                kv_type: "f16".into(),
                repack: true,
                threads: 4,
                n_ubatch: 512,
                flash_attention: false,
                engine: "llama.cpp b1".into(),
                rules: 1,
                changed: None,
                endpoint: None,
            },
            prompt_sha256: format!("{case:064x}"),
            kernels: "NEON".into(),
        },
        data: DataId { test_md5: "abc".into(), job_sha256: "def".into() },
        model: model.name.into(),
        checkpoint: None,
        file_bytes: model.file_bytes,
        bits_per_weight: Some(model.file_bytes as f64 * 8.0 / 1.72e9),
        role: model.role,
        primary: "staged_tool_call".into(),
        margin: 0.03,
        conversation,
        turn,
        prompt_tail: "Is there <i>anything</i> open?".into(),
        prediction: prediction(&raw_output, Style::Student),
        gold,
        tokens: raw_output.bytes().map(i32::from).collect(),
        raw_output,
        finish: "stop".into(),
        scores: ByName::new(),
        call_error: None,
        judge: None,
        divergence: Some(Divergence {
            reference_tokens: ReferenceTokens::Gold,
            nll: 10.0 + model.broken as f64 / 100.0,
            tokens: 20,
            kl: vec![model.broken as f64 / 5000.0; 20],
            top1_agreeing: Some(20 - model.broken / 100),
        }),
        cost: Some(Cost {
            host: "pi-5".into(),
            prompt_tokens: 1500,
            computed_tokens: 120,
            generated_tokens: 20,
            prefill_s: 2.0,
            decode_s: model.file_bytes as f64 / 5e8,
            wall_s: 2.0 + model.file_bytes as f64 / 5e8,
            ..Cost::default()
        }),
    };
    score(&mut row, tools);
    row
}

/// Scores `row` by its raw output.
fn score(row: &mut Row, tools: &Toolbox) {
    let read = row.raw_output.clone();
    score_row(row, &read, tools);
}

fn file(rows: Vec<Row>) -> RowFile {
    let start = Start {
        schema_version: SCHEMA_VERSION,
        command: ["edgecall", "bench", "tft", "--data", "tft"].map(str::to_owned).to_vec(),
        environment: ByName::from([("cpu".into(), "Cortex-A76".into())]),
        ..Start::default()
    };
    // Every third conversation was measured; calls took half the time of the answers.
    let measured = rows.iter().filter(|row| row.role != Role::NoiseFloor && row.conversation % 3 == 0);
    let speed = |row: &Row| {
        let cost = row.cost.clone().unwrap();
        Speed {
            schema_version: SCHEMA_VERSION,
            variant: row.key.variant.clone(),
            kernels: row.key.kernels.clone(),
            data: row.data.clone(),
            conversation: row.conversation,
            turn: row.turn,
            cost: Cost { wall_s: cost.wall_s / 2.0, mhz: Some(2400.0), throttled: Some(false), ..cost },
        }
    };
    let speeds = measured.map(speed).collect();
    RowFile { starts: vec![start], lines: (1..=rows.len()).collect(), rows, speeds, ..RowFile::default() }
}

fn report(rows: Vec<Row>) -> Report {
    collect(&file(rows), &RULES).unwrap()
}

#[test]
fn the_verdict_is_the_smallest_file_that_passed() {
    let report = report(run_rows(34, &[Mode::Free]));
    let verdict = &report.verdicts[0];
    assert_eq!(verdict.reference, "tft-F16.gguf");
    assert_eq!(
        verdict.sentence,
        "Ship tft-Q4_K_M.gguf: no loss beyond 3.0 points of staged_tool_call against tft-F16.gguf, on 340 rows of 34 \
         conversations."
    );
    let findings = &verdict.verdict.findings;
    assert_eq!(findings.iter().map(|f| f.worse).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(findings[0].margin, Margin::Within);
    assert!(matches!(findings[2].margin, Margin::NotResolved { .. }));
    assert_eq!((report.cases, report.conversations, report.variants.len()), (340, 34, 4));
    // All rows of the same file equal the reference's; most rows of the small file differ.
    assert_eq!(report.distances[0].same_outputs, 340);
    assert!(report.flips.iter().any(|flip| flip.candidate == "tft-Q2_K.gguf"));
    assert!(report.variant("tft-Q2_K.gguf").unwrap().rejected.values().sum::<usize>() > 0);
}

#[test]
fn a_report_depends_on_its_rows_and_not_on_their_order_or_files() {
    let rows = run_rows(21, &[Mode::Free, Mode::Any]);
    let whole = report(rows.clone());
    let mut shuffled = rows.clone();
    let mut random = Random::new(9);
    for i in (1..shuffled.len()).rev() {
        shuffled.swap(i, random.below(i + 1));
    }
    let shards: Vec<_> = (0..3)
        .map(|shard| {
            let of_shard = shuffled.iter().filter(|row| row.conversation % 3 == shard).cloned().collect();
            (format!("{shard}.jsonl").into(), file(of_shard))
        })
        .collect();
    let merged = collect(&merge(&shards).unwrap(), &RULES).unwrap();
    for exporter in EXPORTERS {
        assert_eq!(exporter.export(&whole), exporter.export(&merged), "{}", exporter.name());
    }
}

#[test]
fn too_few_conversations_give_no_verdict() {
    let report = report(run_rows(8, &[Mode::Free]));
    assert_eq!(
        report.verdicts[0].sentence,
        "No verdict: 8 conversations; at least 20 are needed. Add 12 conversations."
    );
    assert!(report.verdicts[0].verdict.ship.is_none());
}

#[test]
fn modes_and_noise_are_told_apart_and_other_kernels_are_marked() {
    let mut rows = run_rows(20, &[Mode::Free, Mode::Schema]);
    let again: Vec<Row> = rows
        .iter()
        .filter(|row| row.role == Role::Reference && row.key.variant.mode == Mode::Free)
        .map(|row| {
            let mut row = row.clone();
            (row.role, row.key.variant.threads) = (Role::NoiseFloor, 1);
            if row.conversation == 5 {
                row.raw_output = "Hm".into();
                row.prediction = String::new();
                score(&mut row, &tools());
            }
            row
        })
        .collect();
    rows.extend(again);
    for row in rows.iter_mut().filter(|row| row.model.contains("Q8_0") && row.conversation < 2) {
        row.key.kernels = "SVE".into();
    }
    let mut file = file(rows);
    file.starts[0].skipped = ByName::from([("repack".into(), "it is not wanted".into())]);
    let report = collect(&file, &RULES).unwrap();
    assert_eq!(report.verdicts.len(), 2);
    assert_eq!(report.verdicts[0].reference, "tft-F16.gguf");
    // Each condition in each mode; those that were not measured have a reason.
    assert_eq!(report.noise_floor.len(), 6);
    let threads = &report.noise_floor[0];
    assert_eq!((&*threads.condition, threads.changed_to.as_deref()), ("threads", Some("1 thread")));
    assert_eq!((threads.output_flips(), threads.score_flips()), (Some(0.05), Some(0.05)));
    assert!(threads.delta.unwrap() < 0.0 && threads.reason.is_none());
    let reasons: Vec<&str> =
        report.noise_floor[1..3].iter().filter_map(|noise| noise.reason.as_deref()).collect();
    assert_eq!(reasons, ["it was not asked for", "it is not wanted"]);
    assert_eq!((report.noise(Mode::Free), report.noise(Mode::Schema)), (Some(0.05), None));
    assert!(report.variants.iter().any(|variant| variant.label == "tft-F16.gguf, 1 thread, free"));
    for exporter in EXPORTERS {
        let text = exporter.export(&report);
        assert!(text.contains("1 thread") && text.contains("it is not wanted"), "{}", exporter.name());
    }
    assert_eq!(report.constraints.iter().filter(|row| row.metric == report.primary).count(), 4);
    assert!(report.constraints.iter().all(|row| row.comparison.delta == 0.0));
    let notes = report.notes.join("\n");
    assert!(
        notes.contains("20 of 200 pairs of tft-Q8_0.gguf, free were made on different CPU kernels"),
        "{notes}"
    );
    assert!(
        notes.contains("ROUGE of schema rows") && notes.contains("something else on up to 5.0 % of rows"),
        "{notes}"
    );
}

#[test]
fn the_json_holds_what_it_takes_to_redo_the_statistics() {
    let report = report(run_rows(21, &[Mode::Free]));
    let json: serde_json::Value = serde_json::from_str(&exporter("json").unwrap().export(&report)).unwrap();
    assert_eq!(json["schema_version"], 1);
    let scores = |variant: &str| -> Vec<f64> {
        let rows = json["rows"].as_array().unwrap().iter().filter(|row| row["arm"] == variant);
        rows.map(|row| row["scores"]["staged_tool_call"].as_f64().unwrap()).collect()
    };
    let (reference, candidate) = (scores("tft-F16.gguf"), scores("tft-Q2_K.gguf"));
    let delta: f64 = candidate.iter().zip(&reference).map(|(c, r)| c - r).sum::<f64>() / 210.0;
    let comparison = json["comparisons"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["candidate"] == "tft-Q2_K.gguf" && c["metric"] == "staged_tool_call")
        .unwrap();
    assert!((comparison["delta"].as_f64().unwrap() - delta).abs() < 1e-12);
    assert_eq!(json["rules"]["seed"], 1);
    assert_eq!(json["environment"][0]["environment"]["cpu"], "Cortex-A76");
}

#[test]
fn the_page_needs_no_network_and_shows_what_models_write_as_text() {
    let page = exporter("html").unwrap().export(&report(run_rows(21, &[Mode::Free, Mode::Any])));
    for sign in ["<script", "http://", "https://", "@import", "url(", "<b>Caf", "<i>anything"] {
        assert!(!page.contains(sign), "{sign}");
    }
    for sign in [
        "<svg",
        "prefers-color-scheme: dark",
        "&lt;i&gt;anything&lt;/i&gt;",
        "<mark>",
        "bench tft --data tft",
        "Cortex-A76",
    ] {
        assert!(page.contains(sign), "{sign}");
    }
    let first_heading = page.split("<h1>").nth(1).unwrap();
    assert!(first_heading.starts_with("Ship ") || first_heading.starts_with("No "), "{first_heading:.80}");
    for (open, close) in [
        ("<section>", "</section>"),
        ("<table", "</table>"),
        ("<svg", "</svg>"),
        ("<div", "</div>"),
        ("<details", "</details>"),
    ] {
        assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "a figure has no place");
    // Scores come first, and each cell of a narrow page has its header.
    let place = |sign: &str| page.find(sign).unwrap_or_else(|| panic!("{sign}"));
    assert!(place("<h1>") < place("<h2>Models") && place("<h2>Models") < place("<h2>Findings"));
    assert!(page.contains("<td class=\"first\" data-head=\"staged_tool_call\">"));
    assert!(
        page.matches("<td").count() <= page.matches("data-head=").count() + page.matches("<tr><td>").count()
    );
    // Charts are as wide as their place, and their labels keep their size.
    assert!(!page.contains("viewBox") && page.contains("<ol class=\"names\">\n<li>tft-F16.gguf</li>"));
    // The two answers of a flip share a row.
    let pairs: Vec<&str> = page.split("<div class=\"flip pair\">").skip(1).collect();
    let sides = |pair: &&str| pair.split("</details>").next().unwrap().matches("<pre>").count();
    assert!(!pairs.is_empty() && pairs.iter().all(|pair| sides(pair) == 2));
}

#[test]
fn markdown_tables_have_as_many_cells_in_every_row() {
    let text = exporter("markdown").unwrap().export(&report(run_rows(21, &[Mode::Free])));
    let mut last = None;
    for line in text.lines() {
        let cells = line.starts_with('|').then(|| line.replace("\\|", "").matches('|').count());
        if let (Some(now), Some(before)) = (cells, last) {
            assert_eq!(now, before, "{line}");
        }
        last = cells;
    }
    assert!(text.contains("staged\\_tool\\_call"));
}

#[test]
fn reports_and_merged_files_are_made_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rows = run_rows(21, &[Mode::Free]);
    for shard in 0..2 {
        let mut writer = RowWriter::create(&at(&format!("{shard}.jsonl"))).unwrap();
        for row in rows.iter().filter(|row| row.conversation % 2 == shard) {
            writer.append(&Record::Row(Box::new(row.clone()))).unwrap();
        }
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
        let output = command.arg("bench").args(args).current_dir(folder.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(
        run(&["merge", "0.jsonl", "1.jsonl", "-o", "run.jsonl"]),
        (Some(0), String::new(), String::new())
    );
    let (code, _, stderr) = run(&["merge", "0.jsonl", "-o", "run.jsonl"]);
    assert_eq!(code, Some(73));
    assert!(stderr.starts_with("error: cannot write run.jsonl: "), "{stderr}");
    let (code, text, _) = run(&["report", "run.jsonl", "--html", "run.html"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("Ship tft-"), "{text}");
    assert!(std::fs::read_to_string(at("run.html")).unwrap().starts_with("<!doctype html>"));
    assert_eq!(run(&["report", "0.jsonl", "1.jsonl"]).1, text, "shards need not be merged first");
    let (_, json, _) = run(&["report", "--json", "run.jsonl"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["cases"], 210);
    assert!(run(&["report", "--markdown", "run.jsonl"]).1.starts_with("# Benchmark\n"));

    std::fs::write(at("empty.jsonl"), "{\"kind\":\"start\",\"schema_").unwrap();
    let (code, _, stderr) = run(&["report", "empty.jsonl"]);
    assert_eq!(code, Some(65));
    assert!(stderr.contains("there are no rows to report"), "{stderr}");
    let mut other = rows[0].clone();
    other.key.variant.threads = 8;
    RowWriter::create(&at("other.jsonl")).unwrap().append(&Record::Row(Box::new(other))).unwrap();
    let (code, _, stderr) = run(&["report", "run.jsonl", "other.jsonl"]);
    assert_eq!(code, Some(65));
    assert!(
        stderr.contains("other.jsonl: line 1 cannot be joined with run.jsonl: threads 8, not 4"),
        "{stderr}"
    );
}

#[test]
fn a_server_that_was_sent_other_prompts_is_marked() {
    let mut rows = run_rows(21, &[Mode::Free]);
    for row in rows.iter_mut().filter(|row| row.model.contains("Q8_0")) {
        let (model, server) = ("big".into(), "vllm".into());
        row.key.variant.endpoint = Some(Served { model, server, rendering: Rendering::Ours });
        row.file_bytes = 0;
        if row.conversation == 3 {
            row.key.prompt_sha256 = "other".into();
        }
    }
    let report = report(rows);
    let candidates: Vec<&str> = report.verdicts[0].verdict.findings.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(candidates, ["tft-Q4_K_M.gguf", "tft-Q2_K.gguf"], "a server is nothing to ship");
    let notes = report.notes.join("\n");
    assert!(
        notes.contains(
            "10 of 210 pairs of tft-F16.gguf and tft-Q8_0.gguf, over HTTP were asked with different prompts"
        ),
        "{notes}"
    );
    let page = exporter("html").unwrap().export(&report);
    assert!(
        page.contains("tft-Q8_0.gguf, over HTTP: vllm") && !page.contains("NaN") && !page.contains("inf")
    );
}

#[test]
fn published_scores_stand_beside_ours_where_checkpoint_and_test_set_are_known() {
    let mut rows = run_rows(21, &[Mode::Free]);
    let name = "distillabs/tft-benchmark-s4-direct-Qwen3-1.7B".to_owned();
    for row in rows.iter_mut().filter(|row| row.model.contains("Q8_0")) {
        row.checkpoint = Some(name.clone());
    }
    // There are no published scores for another test set.
    assert!(
        EXPORTERS.iter().all(|exporter| !exporter.export(&report(rows.clone())).contains("ublished scores"))
    );
    for row in &mut rows {
        row.data.test_md5 = "1c1b7ce2bf4ef1c262d06dd5fad2c59c".into();
    }
    let report = report(rows);
    let published = report.variant("tft-Q8_0.gguf").unwrap().published.as_ref().unwrap();
    assert_eq!((&*published.checkpoint, published.mean, published.same_job), (&*name, 0.66, false));
    assert!(report.variant("tft-F16.gguf").unwrap().published.is_none());
    for exporter in EXPORTERS {
        let text = exporter.export(&report).replace('\\', "");
        let shown = if exporter.name() == "json" { "\"mean\": 0.66" } else { "66.0 staged_tool_call" };
        assert!(text.contains(shown), "{}", exporter.name());
        let text = text.replace('\n', " ");
        assert!(text.contains("Task or tools of this run are not those"), "{}", exporter.name());
    }
}

/// Rows of a run over unlabelled data.
fn unlabelled(conversations: usize, modes: &[Mode]) -> Vec<Row> {
    let tools = tools();
    let mut rows = run_rows(conversations, modes);
    for row in &mut rows {
        row.gold = String::new();
        score(row, &tools);
        row.divergence.as_mut().unwrap().reference_tokens = ReferenceTokens::Reference;
    }
    rows
}

#[test]
fn without_right_answers_nothing_is_decided_and_what_differs_is_shown() {
    let report = report(unlabelled(34, &[Mode::Free, Mode::Any]));
    assert!(!report.labelled && report.flips.iter().all(|flip| flip.gold.is_none()));
    for verdict in &report.verdicts {
        assert!(verdict.verdict.ship.is_none() && verdict.verdict.findings.is_empty());
        let says =
            "No verdict: the test set has no answers. The same call as tft-F16.gguf: tft-Q8_0.gguf 100.0 %; ";
        assert!(verdict.sentence.starts_with(says), "{}", verdict.sentence);
    }
    let worst = report.distances.iter().find(|d| d.candidate == "tft-Q2_K.gguf, any").unwrap();
    let others = report.flips.iter().filter(|flip| flip.candidate == worst.candidate).count();
    // Every call that differs is listed; those with another function come first.
    assert_eq!((others, worst.score_flips), (worst.rows - worst.same_calls, None));
    assert!(worst.name_flips > 0 && worst.name_flips < others);
    let first: Vec<bool> = report
        .flips
        .iter()
        .filter(|flip| flip.candidate == worst.candidate)
        .map(|flip| flip.other_function)
        .collect();
    assert!(first[..worst.name_flips].iter().all(|other| *other) && !first[worst.name_flips]);
    let interval = worst.same_calls_interval.unwrap();
    let share = worst.same_calls as f64 / worst.rows as f64;
    assert!(interval.low < share && share < interval.high);
    let variant = report.variant("tft-Q2_K.gguf, any").unwrap();
    assert_eq!(variant.nll_per_token, None);
    assert!((variant.reference_nll_per_token.unwrap() - 13.0 / 20.0).abs() < 1e-12);
    assert!(variant.mean("staged_tool_call").is_none() && variant.mean("schema_validity").is_some());

    let json: serde_json::Value = serde_json::from_str(&exporter("json").unwrap().export(&report)).unwrap();
    assert_eq!(json["labelled"], false);
    let means = json["arms"][0]["means"].as_array().unwrap();
    let mean = |metric: &str| &means.iter().find(|mean| mean["metric"] == metric).unwrap()["mean"];
    for metric in ["staged_tool_call", "binary_tool_call", "tool_call_equivalence", "rouge", "function_name"]
    {
        assert!(mean(metric).is_null(), "{metric}");
    }
    assert!(mean("json_validity").is_number());
    assert!(json["rows"][0]["function"].is_null() && json["flips"][0]["reference_score"].is_null());
    for exporter in EXPORTERS {
        let text = exporter.export(&report).replace('\\', "");
        for sign in ["No verdict: the test set has no answers", "No line of the test set has an "] {
            assert!(text.contains(sign), "{}: {sign}", exporter.name());
        }
        for sign in ["Ship ", "Keep ", "worse than", "no loss", "NaN", "named as the primary metric"] {
            assert!(!text.contains(sign), "{}: {sign}", exporter.name());
        }
    }
    let page = exporter("html").unwrap().export(&report);
    assert!(page.contains("another function") && page.contains("the function that the reference called"));
    for absent in ["<p class=\"soft\">right</p>", "By function", "Differences by the primary metric"] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn the_terminals_report_without_right_answers_reads_as_it_should() {
    insta::assert_snapshot!(exporter("text").unwrap().export(&report(unlabelled(34, &[Mode::Free]))));
}

#[test]
fn the_terminals_report_fits_80_columns() {
    for rows in
        [run_rows(34, &[Mode::Free]), run_rows(8, &[Mode::Free, Mode::Any]), unlabelled(34, &Mode::ALL)]
    {
        let text = exporter("text").unwrap().export(&report(rows));
        let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 80, "{widest}");
        assert!(text.matches("at least 20 are needed").count() <= 2, "once a mode: {text}");
    }
}

#[test]
fn every_figure_is_defined_below_the_table_that_shows_it() {
    let report = report(run_rows(34, &[Mode::Free]));
    for exporter in EXPORTERS.iter().filter(|exporter| exporter.name() != "json") {
        let text = exporter.export(&report).replace('\n', " ").replace('\\', "");
        for sentence in [
            "staged_tool_call: the mean over all calls of 100 % for the right call, 75 % if only values are wrong",
            "exactly right (binary_tool_call): the share of calls",
            "Of 340 calls, 3.0 points are 40 calls with a wrong value where it was right, or 10 calls with no call",
        ] {
            assert!(text.contains(sentence), "{}: {sentence}", exporter.name());
        }
    }
}

#[test]
fn the_terminals_report_reads_as_it_should() {
    insta::assert_snapshot!(exporter("text").unwrap().export(&report(run_rows(34, &[Mode::Free]))));
}
