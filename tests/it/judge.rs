//! LLM judges behind servers: verdicts, votes, cache and calibration.

use crate::{
    pocket::pocket,
    server::{Answer, Request, Server, never},
    shared::shared,
};
use edgecall::{bench::row::RowFile, convert::FileType};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn edgecall(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    for key in ["EDGECALL_API_KEY", "EDGECALL_JUDGE_API_KEY", "OPENAI_API_KEY"] {
        command.env_remove(key);
    }
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `edgecall bench tft` on the first 9 calls, with a judge.
fn tft(folder: &Path, judge: &Server, more: &[&str]) -> Command {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants/benchmark");
    let mut command =
        edgecall(&["bench", "tft", "--limit", "9", "--threads", "1", "--max-tokens", "96", "--no-drift"]);
    command
        .arg("--data")
        .arg(data)
        .arg("-m")
        .arg(pocket(FileType::Q4KM))
        .arg("--out")
        .arg(folder.join("rows.jsonl"));
    command.args(["--judge", &judge.url(), "--judge-model", "grader", "--judge-cache"]);
    command.arg(folder.join("votes.jsonl")).args(more);
    command
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn says(text: &str) -> Answer {
    let choice = json!({"message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    Answer::json(&json!({"choices": [choice]}))
}

/// Content of a block in the judge's prompt.
fn block<'r>(request: &'r Request, name: &str) -> &'r str {
    let text = request.body["messages"][1]["content"].as_str().unwrap();
    let (_, rest) = text.split_once(&format!("<{name}>\n")).unwrap();
    rest.split_once(&format!("\n</{name}>")).unwrap().0
}

fn name_of(call: &str) -> String {
    let call: Value = serde_json::from_str(call).unwrap();
    assert!(call["parameters"].is_object(), "written as the criteria speak of it: {call}");
    call["name"].as_str().unwrap().to_owned()
}

/// Good if the functions are the same.
fn by_name(request: &Request) -> Answer {
    let same = name_of(block(request, "reference")) == name_of(block(request, "prediction"));
    says(if same { "Same function.\n**VERDICT: good**" } else { "Another function.\nverdict: BAD" })
}

#[test]
fn rows_are_graded_once_and_the_report_has_the_mean_with_its_interval() {
    let folder = folder();
    let judge = Server::start(|request, n| match n {
        0 => Answer::status(429, "retry-after: 0\r\n", "slow down"),
        1 => Answer::of(200, "", "application/json", "{\"choices\": [{\"mess"),
        2 => says("I cannot decide."),
        _ => by_name(request),
    });
    let one_at_a_time = ["--judge-concurrency", "1"];
    let stdout = succeeded(tft(folder.path(), &judge, &one_at_a_time).output().unwrap());
    assert!(stdout.contains("llm_judge (95 %)"), "{stdout}");
    // Sentences are wrapped.
    let stdout = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(stdout.contains("llm_judge: grader graded 9 rows"), "{stdout}");
    assert!(stdout.contains("1 of 9 votes could not be read, and 1 rows without a verdict"), "{stdout}");
    let rows = RowFile::read(&folder.path().join("rows.jsonl")).unwrap();
    let mut scored = 0;
    for row in &rows.rows {
        let judged = row.judge.as_ref().unwrap();
        assert_eq!((&*judged.config.model, judged.votes.len()), ("grader", 1));
        let by_name = row.scores["function_name"];
        assert!(row.scores.get("llm_judge").is_none_or(|score| *score == by_name));
        scored += usize::from(row.scores.contains_key("llm_judge"));
    }
    assert_eq!(scored, 8, "the reply without a verdict is left out");
    let seen = judge.seen();
    assert_eq!(seen.len(), 11);
    assert!(block(&seen[5], "criteria").starts_with("Both sides are JSON tool calls"));
    assert_eq!(seen[5].body["temperature"], 0.0);
    assert!(seen[5].body["messages"][0]["content"].as_str().unwrap().ends_with("VERDICT: bad."));

    // No request is repeated: neither for judged rows, nor for new rows with the same answers.
    succeeded(tft(folder.path(), &judge, &["--resume"]).output().unwrap());
    fs::remove_file(folder.path().join("rows.jsonl")).unwrap();
    let again = succeeded(tft(folder.path(), &judge, &["--primary", "llm_judge"]).output().unwrap());
    assert_eq!(judge.seen().len(), 11);
    assert!(again.contains("primary metric"), "{again}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(folder.path().join("votes.jsonl")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "replies repeat conversations");
}

#[test]
fn rows_that_are_there_are_graded_for_a_report_and_only_with_their_own_data() {
    let folder = folder();
    let judge = Server::start(|request, _| by_name(request));
    let rows = folder.path().join("rows.jsonl");
    let model = pocket(FileType::Q4KM);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("examples/restaurants/benchmark");
    let mut run = edgecall(&["bench", "tft", "--limit", "3", "--threads", "1", "--no-drift", "-m"]);
    succeeded(run.arg(model).arg("--data").arg(&data).arg("--out").arg(&rows).output().unwrap());
    let before = fs::read(&rows).unwrap();
    let report = |data: Option<&Path>| {
        let mut command =
            edgecall(&["bench", "report", "--json", "--judge", &judge.url(), "--judge-model", "grader"]);
        command.arg("--judge-cache").arg(folder.path().join("votes.jsonl")).arg(&rows);
        data.map(|data| command.arg("--data").arg(data));
        command.output().unwrap()
    };
    let graded: Value = serde_json::from_str(&succeeded(report(Some(&data)))).unwrap();
    assert_eq!((&graded["judges"][0]["rows"], &graded["judges"][0]["model"]), (&json!(3), &json!("grader")));
    let has_mean = |mean: &Value| mean["metric"] == "llm_judge" && mean["interval"].is_object();
    assert!(graded["arms"][0]["means"].as_array().unwrap().iter().any(has_mean));
    assert_eq!(fs::read(&rows).unwrap(), before, "the rows stay as they are");
    assert_eq!(report(None).status.code(), Some(2));
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let job = fs::read_to_string(data.join("job_description.json")).unwrap();
    fs::write(other.join("job_description.json"), job).unwrap();
    let lines = fs::read_to_string(data.join("test.jsonl")).unwrap();
    fs::write(other.join("test.jsonl"), lines.lines().next().unwrap()).unwrap();
    let output = report(Some(&other));
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the rows are of other data"));
}

#[test]
fn several_votes_are_cast_and_most_of_them_decide() {
    let folder = folder();
    // The second vote is always bad, and the third is unreadable on half of the rows.
    let judge = Server::start(|request, _| match request.body["seed"].as_u64().unwrap() {
        0 => says("VERDICT: good"),
        1 => says("VERDICT: bad"),
        _ if block(request, "conversation").len().is_multiple_of(2) => says("Hm."),
        _ => says("VERDICT: good"),
    });
    let stdout = succeeded(tft(folder.path(), &judge, &["--judge-votes", "3"]).output().unwrap());
    assert!(stdout.contains("Votes differ on 9 rows"), "{stdout}");
    let rows = RowFile::read(&folder.path().join("rows.jsonl")).unwrap();
    for row in &rows.rows {
        let votes = &row.judge.as_ref().unwrap().votes;
        assert_eq!(votes[..2], [Some(true), Some(false)]);
        assert_eq!(row.scores.get("llm_judge").copied(), votes[2].map(|_| 1.0));
    }
    assert!(judge.seen().iter().all(|request| request.body["temperature"] == 0.7));
    for (more, expected) in [
        (["--judge-votes", "2"], "an even number of votes can be split"),
        (["--judge-temperature", "3"], "from 0 to 2"),
    ] {
        let output = tft(folder.path(), &judge, &more).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected));
    }
}

#[test]
fn votes_outlive_a_server_that_fails_and_a_run_that_is_killed() {
    let folder = folder();
    let failing = Server::start(|request, n| match n {
        0..4 => by_name(request),
        _ => Answer::status(500, "", "out of memory"),
    });
    let one = ["--judge-concurrency", "1", "--retries", "0"];
    let output = tft(folder.path(), &failing, &one).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("status 500, tried once: out of memory"));
    let votes = || fs::read_to_string(folder.path().join("votes.jsonl")).unwrap().lines().count();
    assert_eq!(votes(), 4);

    let stuck = Server::start(|request, n| match n {
        0..2 => by_name(request),
        _ => never(),
    });
    let mut child = tft(folder.path(), &stuck, &["--resume", "--judge-concurrency", "1"]).spawn().unwrap();
    while votes() < 6 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(votes(), 6);
    let rest = Server::start(|request, _| by_name(request));
    succeeded(tft(folder.path(), &rest, &["--resume"]).output().unwrap());
    assert_eq!(rest.seen().len(), 9 - 6);
    let rows = RowFile::read(&folder.path().join("rows.jsonl")).unwrap();
    assert!(rows.rows.iter().all(|row| row.scores["llm_judge"] == row.scores["function_name"]));
}

/// A folder with the criteria and a file of rows (published verdict, ground-truth function, called function).
fn labelled(rows: &[(Value, &str, &str)]) -> TempDir {
    let folder = folder();
    let job =
        json!({"task_description": "t", "tools": [{"name": "f"}], "llm_as_a_judge_instructions": "Be fair."});
    fs::write(folder.path().join("job_description.json"), job.to_string()).unwrap();
    let call = |name: &str| match name {
        "" => String::new(),
        name => format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {{}}}}\n</tool_call>"),
    };
    let line = |(i, (label, gold, called)): (usize, &(Value, &str, &str))| {
        // Two rows per conversation.
        let question = json!([{"role": "user", "content": format!("conversation {}", i / 2)}]).to_string();
        let row = json!({"question": question, "answer": call(gold), "prediction": call(called), "llm-as-a-judge": label});
        format!("{row}\n")
    };
    let text: String = rows.iter().enumerate().map(line).collect();
    fs::write(folder.path().join("predictions.jsonl"), text).unwrap();
    folder
}

fn calibrate(folder: &Path, judge: &Server, more: &[&str]) -> Output {
    let mut command =
        edgecall(&["bench", "calibrate-judge", "--judge", &judge.url(), "--judge-model", "grader"]);
    let votes: PathBuf = folder.join("votes.cache");
    command.arg("--judge-cache").arg(votes).args(more).output().unwrap()
}

#[test]
fn a_judge_is_held_against_published_verdicts() {
    let mut rows = Vec::new();
    rows.extend(vec![(json!(1), "f", "f"); 20]);
    rows.extend(vec![(json!(0), "f", "f"); 5]);
    rows.extend(vec![(json!(1.0), "f", "g"); 10]);
    rows.extend(vec![(json!(0), "f", "g"); 14]);
    // A row without a call, and a row without a published verdict.
    rows.extend([(json!(0), "f", ""), (Value::Null, "f", "f")]);
    let folder = labelled(&rows);
    let judge = Server::start(|request, _| by_name(request));
    let data = folder.path().to_str().unwrap();
    let output = succeeded(calibrate(folder.path(), &judge, &["--data", data, "--json"]));
    let report: Value = serde_json::from_str(&output).unwrap();
    let file = &report["files"][0];
    assert_eq!((&file["rows"], &file["without_verdict"]), (&json!(50), &json!(0)));
    assert_eq!(file["confusion"], json!({"good_good": 20, "good_bad": 10, "bad_good": 5, "bad_bad": 15}));
    // The worked example of the article on Cohen's kappa: 35 of 50 agree, and chance alone gives 0.5.
    assert!((file["agreement"].as_f64().unwrap() - 0.7).abs() < 1e-12);
    assert!((file["kappa"].as_f64().unwrap() - 0.4).abs() < 1e-12);
    let interval = &file["kappa_interval"];
    assert!(interval["low"].as_f64().unwrap() < 0.4 && interval["high"].as_f64().unwrap() > 0.4);
    assert_eq!((&file["published_mean"], &file["judge_mean"]), (&json!(0.6), &json!(0.5)));
    // Identical questions are sent once.
    assert!(judge.seen().len() < 50, "{}", judge.seen().len());
    let table = succeeded(calibrate(folder.path(), &judge, &["--data", data]));
    assert!(table.contains("-0.1000") && table.contains("0.400"), "{table}");
}

/// `edgecall bench score` on the prediction file in a folder, with a judge.
fn score(folder: &Path, judge: &Server, more: &[&str]) -> Output {
    let mut command = edgecall(&["bench", "score", "--judge", &judge.url(), "--judge-model", "grader"]);
    command.arg(folder.join("predictions.jsonl")).arg("--job").arg(folder.join("job_description.json"));
    command.arg("--judge-cache").arg(folder.join("votes.cache")).args(more).output().unwrap()
}

#[test]
fn predictions_of_a_file_are_graded_by_a_server_that_misbehaves() {
    let mut rows = vec![(Value::Null, "f", "f"); 6];
    rows.extend(vec![(Value::Null, "f", "g"); 3]);
    rows.push((Value::Null, "f", ""));
    let folder = labelled(&rows);
    let judge = Server::start(|request, n| match n {
        0 => Answer::status(500, "", "out of memory"),
        1 => by_name(request).cut(40),
        2 => Answer::of(200, "", "application/json", "{\"choices\": [{\"mess"),
        3 => Answer::status(429, "retry-after: 0\r\n", "slow down"),
        4 => says("I cannot decide."),
        _ => by_name(request),
    });
    let one_at_a_time = ["--judge-concurrency", "1", "--json"];
    let scored: Value =
        serde_json::from_str(&succeeded(score(folder.path(), &judge, &one_at_a_time))).unwrap();
    let metrics = scored["metrics"].as_array().unwrap();
    let llm_judge = metrics.iter().find(|metric| metric["name"] == "llm_judge").unwrap();
    // Both rows of a conversation have the same question; that of the first conversation has no readable verdict. The
    // answer that is not a call is bad without a request.
    assert_eq!(llm_judge["rows"], 8);
    assert_eq!(llm_judge["mean"], 0.5);
    let graded = &scored["judge"];
    assert_eq!(
        (&graded["model"], &graded["rows"], &graded["without_verdict"]),
        (&json!("grader"), &json!(10), &json!(2))
    );
    let verdicts: Vec<&Value> = graded["verdicts"].as_array().unwrap().iter().map(|v| &v["good"]).collect();
    let (good, bad) = (json!(true), json!(false));
    assert_eq!(verdicts, [&Value::Null, &Value::Null, &good, &good, &good, &good, &bad, &bad, &bad, &bad]);
    assert_eq!(graded["verdicts"][9]["line"], 10);
    let (low, high) =
        (graded["interval"]["low"].as_f64().unwrap(), graded["interval"]["high"].as_f64().unwrap());
    assert!(low < 0.5 && high > 0.5, "{low} {high}");
    // Five questions, and four failed requests; printing the table sends none.
    let asked = judge.seen().len();
    assert_eq!(asked, 4 + 5);
    let table = succeeded(score(folder.path(), &judge, &[]));
    assert_eq!(judge.seen().len(), asked);
    assert!(table.contains("llm_judge                    8  0.5000"), "{table}");
    assert!(table.contains("llm_judge: grader graded 10 rows by the criteria"), "{table}");
    assert!(table.contains("is the 95 % interval of its mean, conversations drawn"), "{table}");
    // Votes are counted as in `bench tft`.
    let three = succeeded(score(folder.path(), &judge, &["--judge-votes", "3"]));
    assert!(three.contains("Votes differ on 0 rows"), "{three}");
}

#[test]
fn what_cannot_be_graded_is_said_with_its_line() {
    let judge = Server::start(|_, _| Answer::status(500, "", "out of memory"));
    let folder = labelled(&[(Value::Null, "f", "f")]);
    let check = |output: Output, code: i32, expected: &str| {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(expected) && output.stdout.is_empty(), "{stderr}");
    };
    check(score(folder.path(), &judge, &["--retries", "0"]), 69, "status 500, tried once: out of memory");
    let asked = judge.seen().len();
    let file = folder.path().join("predictions.jsonl");
    let without = edgecall(&["bench", "score", file.to_str().unwrap(), "--judge", &judge.url()])
        .args(["--judge-model", "grader"])
        .output();
    check(without.unwrap(), 2, "name the file that has them with --job JOB.json");
    fs::write(&file, "\n{\"answer\": \"\", \"prediction\": \"\"}\n").unwrap();
    check(
        score(folder.path(), &judge, &[]),
        65,
        "line 2: `question` is missing, and a judge needs the conversation",
    );
    let job = json!({"task_description": "t", "tools": [{"name": "f"}]});
    fs::write(folder.path().join("job_description.json"), job.to_string()).unwrap();
    check(score(folder.path(), &judge, &[]), 2, "has no `llm_as_a_judge_instructions`");
    assert_eq!(judge.seen().len(), asked);
}

#[test]
fn what_cannot_be_calibrated_is_said_with_its_line() {
    let judge = Server::start(|request, _| by_name(request));
    let none = labelled(&[(Value::Null, "f", "f")]);
    let data = none.path().to_str().unwrap();
    let check = |more: &[&str], code: i32, expected: &str| {
        let output = calibrate(none.path(), &judge, more);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    check(&["--data", data], 65, "there is no row with a verdict");
    let row = r#"{"answer": "", "prediction": "", "llm-as-a-judge": 1, "question": 7}"#;
    fs::write(none.path().join("predictions.jsonl"), format!("\n{row}\n")).unwrap();
    check(&["--data", data], 65, "line 2: `question` is missing");
    fs::write(none.path().join("predictions.jsonl"), row.replace('7', "\"[\"")).unwrap();
    check(&["--data", data], 65, "line 1: `question` holds no messages");
    let job = json!({"task_description": "t", "tools": [{"name": "f"}]});
    fs::write(none.path().join("job_description.json"), job.to_string()).unwrap();
    check(&["--data", data], 2, "has no `llm_as_a_judge_instructions`");
    let output = edgecall(&["bench", "calibrate-judge", "--data", data]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("name one with --judge URL"));
    assert!(judge.seen().is_empty());
}

#[test]
fn conformance_a_judge_that_looks_at_names_alone_agrees_as_often_as_was_measured() {
    let Some(shared) = shared() else { return };
    let folder = folder();
    let judge = Server::start(|request, _| by_name(request));
    let data = shared.join("data/tft/predictions");
    let output = calibrate(folder.path(), &judge, &["--json", "--data", data.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&succeeded(output)).unwrap();
    // From the table of proxies: agreement, and the judge's mean minus the published one.
    for (file, agreement, shift) in [(0, 0.936, 0.064), (1, 0.872, 0.128)] {
        let file = &report["files"][file];
        assert_eq!((&file["rows"], &file["without_verdict"]), (&json!(78), &json!(0)));
        let number = |key: &str| file[key].as_f64().unwrap();
        assert!((number("agreement") - agreement).abs() < 0.0005, "{file}");
        assert!((number("judge_mean") - number("published_mean") - shift).abs() < 0.0005, "{file}");
    }
    assert_eq!(report["pooled"]["rows"], 156);
}
