//! Rows of a benchmark with other settings: they are the calls that `ask` makes with these settings, and are kept apart.

use crate::{
    benchmark_run::data,
    fixture::Fixture,
    fixture_adapter::Lora,
    pocket::{pocket, settings},
    program::edgecall,
};
use edgecall::{
    bench::{
        Dataset, Mode, Row,
        row::{Role, RowFile},
        run::{CallSettings, LoadedModel, RunPlan, Settings, VariantConfig},
    },
    call::{self, Draft, PromptTemplate, Request, Think},
    convert::FileType,
    runtime::Sampling,
};
use serde_json::{Value, json};
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Output,
};

/// A template that knows no tools, so that they are told as text.
const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if \
                      add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const MAX_TOKENS: usize = 96;

fn plan<'s>(
    loaded: &'s LoadedModel,
    dataset: &'s Dataset,
    cases: &[usize],
    modes: &[Mode],
    calls: CallSettings,
) -> RunPlan<'s> {
    let settings = Settings {
        modes: modes.to_vec(),
        max_tokens: MAX_TOKENS,
        primary: "staged_tool_call".into(),
        margin: 0.03,
        divergence: false,
        calls,
    };
    let session = crate::pocket::settings().session;
    let configs = vec![VariantConfig { loaded, session, role: Role::Reference }];
    RunPlan { dataset, cases: cases.to_vec(), configs, settings }
}

fn rows(plan: &RunPlan<'_>) -> Vec<Row> {
    let (none, mut rows) = (RowFile::default(), Vec::new());
    let mut sink = |mut row: Row| {
        row.cost = None;
        rows.push(row);
        Ok(())
    };
    plan.begin(Path::new("none.jsonl"), &none).unwrap().rows(&none, &mut sink).unwrap();
    rows
}

/// The call in a row's answer, by its outermost braces.
fn written(row: &Row) -> Option<Value> {
    let text = row.raw_output.get(row.raw_output.find('{')?..=row.raw_output.rfind('}')?)?;
    let call: Value = serde_json::from_str(text).ok()?;
    let arguments = call.get("arguments").or_else(|| call.get("parameters"))?;
    Some(json!({"name": call["name"], "arguments": arguments}))
}

#[test]
fn rows_are_the_calls_that_a_call_with_the_same_settings_makes() {
    let dataset = Dataset::open(&data()).unwrap();
    let loaded = LoadedModel::load(&pocket(FileType::Q8_0)).unwrap();
    let cases = [0, 1, 7];
    let mut different = 0;
    let benchmarks = rows(&plan(&loaded, &dataset, &cases, &[Mode::Any], CallSettings::default()));
    for calls in [
        CallSettings::default(),
        CallSettings { think: Think::On, ..CallSettings::default() },
        CallSettings { think: Think::Auto, temperature: 1.5, seed: 5, ..CallSettings::default() },
        CallSettings { template: Some(CHATML.into()), ..CallSettings::default() },
    ] {
        let made = rows(&plan(&loaded, &dataset, &cases, &[Mode::Any], calls.clone()));
        assert_eq!(made.len(), cases.len());
        for ((&case, row), benchmarks) in cases.iter().zip(&made).zip(&benchmarks) {
            assert_eq!(row.key.variant.changed, calls.changed());
            different += usize::from(row.raw_output != benchmarks.raw_output);
            let conversation = dataset.conversation(&dataset.cases[case]);
            let request = Request::new(&conversation, Some(dataset.cases[case].tools()));
            let template = PromptTemplate { template: calls.template.clone(), ..PromptTemplate::default() };
            let sampling = Sampling {
                temperature: calls.temperature,
                seed: calls.seed + case as u64,
                ..Sampling::default()
            };
            let settings = call::Settings {
                think: calls.think,
                sampling,
                max_tokens: MAX_TOKENS,
                draft: Draft::Off,
                ..settings()
            };
            let go_on = &mut |_: &str| ControlFlow::Continue(());
            match call::ask(&loaded.model, &template, &request, &settings, go_on) {
                Ok(answer) => {
                    let call = &answer.calls[0];
                    let call = json!({"name": call.name(), "arguments": call.arguments()});
                    assert_eq!(written(row), Some(call), "{calls:?}: {row:?}");
                }
                Err(error) => assert_ne!(row.finish, "stop", "{calls:?}: {error}"),
            }
        }
    }
    assert!(different > 0, "no setting changes anything");
}

#[test]
fn a_seed_gives_one_set_of_rows_and_each_call_has_its_own() {
    let dataset = Dataset::open(&data()).unwrap();
    let loaded = LoadedModel::load(&pocket(FileType::Q8_0)).unwrap();
    let of = |seed, cases: &[usize]| {
        let calls = CallSettings { temperature: 1.0, seed, ..CallSettings::default() };
        rows(&plan(&loaded, &dataset, cases, &[Mode::Free, Mode::Any], calls))
    };
    let all = of(1, &[0, 1, 2]);
    assert_eq!(of(1, &[0, 1, 2]), all);
    // The last call alone, and the same call of another seed.
    let alone = of(1, &[2]);
    assert!(alone.iter().all(|row| all.contains(row)));
    let outputs = |rows: &[Row]| rows.iter().map(|row| row.raw_output.clone()).collect::<Vec<_>>();
    assert_ne!(outputs(&of(1000, &[0, 1, 2])), outputs(&all));
}

#[test]
fn rows_of_other_settings_are_not_added_to() {
    let dataset = Dataset::open(&data()).unwrap();
    let loaded = LoadedModel::load(&pocket(FileType::Q8_0)).unwrap();
    let warm = |seed| CallSettings { temperature: 0.5, seed, ..CallSettings::default() };
    let made = rows(&plan(&loaded, &dataset, &[0], &[Mode::Any], warm(1)));
    let json = serde_json::to_string(&made[0]).unwrap();
    assert!(json.contains(r#""changed":{"thinking":"off","temperature":"0.5","seed":1}"#), "{json}");
    let done = RowFile { lines: vec![1], rows: made, ..RowFile::default() };
    for other in [CallSettings::default(), warm(2)] {
        let plan = plan(&loaded, &dataset, &[0], &[Mode::Any], other);
        let error = plan.begin(Path::new("rows.jsonl"), &done).err().unwrap().to_string();
        let expected = "the settings of its calls are others: temperature 0.5 with seeds from 1";
        assert!(error.contains(expected), "{error}");
    }
    let benchmarks = rows(&plan(&loaded, &dataset, &[0], &[Mode::Any], CallSettings::default()));
    assert!(!serde_json::to_string(&benchmarks[0]).unwrap().contains("changed"), "old rows stay as they are");
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bench(folder: &Path, args: &[&str]) -> Output {
    let mut command = edgecall();
    command.args(["bench", "tft", "--limit", "2", "--threads", "1", "--max-tokens", "48"]);
    command.current_dir(folder).args(args).output().unwrap()
}

#[test]
fn options_change_the_settings_of_rows_and_of_measured_calls_and_the_report_says_so() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(folder.path().join("chatml.jinja"), CHATML).unwrap();
    let (data, model) = (data().display().to_string(), pocket(FileType::Q8_0).display().to_string());
    let common = ["--data", &data, "-m", &model, "--out", "rows.jsonl", "--speed", "1"];
    let more = ["--think", "on", "--temperature", "0.7", "--seed", "3", "--chat-template", "chatml.jinja"];
    let report = succeeded(bench(folder.path(), &[&common[..], &more].concat()));
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "The calls were not made as the benchmark makes them: reasoning on, temperature 0.7 with seeds from 3, \
                    another chat template, SHA-256";
    assert!(report.contains(expected), "{report}");
    let rows = fs::read_to_string(folder.path().join("rows.jsonl")).unwrap();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let changed = |kind: &str, at: &dyn Fn(&Value) -> Value| {
        let of_kind: Vec<Value> = rows.iter().filter(|row| row["kind"] == kind).map(at).collect();
        assert!(!of_kind.is_empty(), "{kind}");
        of_kind
    };
    for changed in changed("row", &|row| row["key"]["changed"].clone())
        .into_iter()
        .chain(changed("speed", &|speed| speed["arm"]["changed"].clone()))
    {
        assert_eq!(changed["seed"], 3, "{changed}");
        assert_eq!(changed["template_sha256"].as_str().map(str::len), Some(64), "{changed}");
    }
    for (args, expected) in [
        (&["--chat-template", "nowhere.jinja"][..], "cannot read nowhere.jinja"),
        (&["--seed", "3"], "--temperature"),
        (
            &[
                "--temperature",
                "1",
                "--endpoint",
                "http://127.0.0.1:9",
                "--endpoint-model",
                "m",
                "--mode",
                "free",
            ],
            "leave out",
        ),
        (
            &[
                "--chat-template",
                "chatml.jinja",
                "--endpoint-chat",
                "http://127.0.0.1:9",
                "--endpoint-model",
                "m",
                "--mode",
                "free",
            ],
            "writes the prompts",
        ),
    ] {
        let words = ["--data", &data, "-m", &model, "--out", "other.jsonl", "--speed", "0"];
        let refused = bench(folder.path(), &[&words[..], args].concat());
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && message.contains(expected), "{args:?}: {message}");
        assert!(!folder.path().join("other.jsonl").exists());
    }
}

/// A bundle of the pocket model with the job of the data, as a tar.
fn bundle(job: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all("model", Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")).unwrap();
    builder.append_path_with_name(job, "job_description.json").unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn a_bundle_is_converted_measured_and_brings_task_and_tools() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("pocket.tar"), bundle(&data().join("job_description.json"))).unwrap();
    fs::copy(data().join("test.jsonl"), at("test.jsonl")).unwrap();
    let types = ["--types", "f16,q8_0", "--no-drift"];
    let data = data().display().to_string();
    let of_data = [
        "--data",
        &data,
        "--checkpoint",
        "pocket.tar",
        "--out",
        "data.jsonl",
        "--speed",
        "0",
        "--models-dir",
        "a",
    ];
    succeeded(bench(folder.path(), &[&of_data[..], &types].concat()));
    let of_bundle = [
        "--test",
        "test.jsonl",
        "--checkpoint",
        "pocket.tar",
        "--out",
        "own.jsonl",
        "--speed",
        "1",
        "--models-dir",
        "b",
    ];
    let output = bench(folder.path(), &[&of_bundle[..], &types].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    succeeded(output);
    assert!(stderr.contains("task and tools are those of the profile in pocket.tar"), "{stderr}");
    let rows = |name: &str| {
        let text = fs::read_to_string(at(name)).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let rows = rows.filter(|row| row["kind"] == "row").map(|mut row| {
            row["cost"] = Value::Null;
            row
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(rows("own.jsonl").len(), 4);
    assert_eq!(rows("own.jsonl"), rows("data.jsonl"));
    assert!(fs::read_to_string(at("own.jsonl")).unwrap().contains("\"kind\":\"speed\""));
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.map(|name| name.into_string().unwrap()).all(|name| !name.contains("unpacked")));

    // A file with another profile would have other tools in the measuring process.
    let file: PathBuf = at("b/pocket-F16.gguf");
    let set = edgecall().arg("profile").arg(&file).args(["--set", "task=Else."]).output();
    succeeded(set.unwrap());
    let again =
        ["--test", "test.jsonl", "--checkpoint", "pocket.tar", "--out", "more.jsonl", "--models-dir", "b"];
    let refused = bench(folder.path(), &[&again[..], &types].concat());
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && message.contains("has another profile than the bundle"),
        "{message}"
    );
}

#[test]
fn an_adapter_is_merged_into_its_base_before_it_is_measured() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let pocket = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let config = json!({"base_model_name_or_path": "nowhere/at-all"});
    let base = Fixture { layers: 6, ..Fixture::default() };
    Lora { layers: 6, base, config, ..Lora::default() }.write(&folder.path().join("lora"));
    let data = data().display().to_string();
    let common = ["--data", &data, "--checkpoint", "lora", "--types", "q8_0", "--speed", "0", "--no-drift"];
    let refused = bench(folder.path(), &common);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && message.contains("with --base"), "{message}");
    let based = ["--base", pocket.to_str().unwrap()];
    let report = succeeded(bench(folder.path(), &[&common[..], &based].concat()));
    assert!(report.contains("lora-F16") && report.contains("lora-Q8_0"), "{report}");
    let mut command = edgecall();
    command.current_dir(folder.path()).args(["convert", "lora", "-t", "f16", "-o", "lora.gguf"]).args(based);
    succeeded(command.output().unwrap());
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(read("bench-tft-models/lora-F16.gguf") == read("lora.gguf"), "another file was measured");
    // The same command takes files and rows again.
    let again = bench(folder.path(), &[&common[..], &based].concat());
    let message = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(message.contains("2 of 2 files in bench-tft-models/ fit the checkpoint"), "{message}");
}
