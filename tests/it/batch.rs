//! `edgecall batch` answers each line as a call does, says what is wrong with a bad one, and goes on after a kill.

use crate::{
    pocket, program,
    serving::{example, restaurants},
};
use edgecall::convert::FileType;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Output, Stdio},
};

fn batch(folder: &Path, arguments: &[&str]) -> Output {
    program::edgecall()
        .args(["batch", "--threads", "1", "--no-cache", "-m"])
        .arg(pocket::pocket(FileType::Q8_0))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Answers without their times, and without what an earlier line left in the context.
fn timeless(mut answers: Vec<Value>) -> Vec<Value> {
    for answer in &mut answers {
        if let Some(answer) = answer.as_object_mut() {
            answer.shift_remove("timings");
        }
        if let Some(usage) = answer.get_mut("usage").and_then(Value::as_object_mut) {
            usage.shift_remove("cached_tokens");
        }
    }
    answers
}

const TEXTS: [&str; 4] = [
    "Thai food in San Jose",
    "Something cheap in Berkeley",
    "A table for two in Oakland",
    "Pizza in Fremont",
];

/// Requests whose tools and task come from options.
fn prompts(folder: &Path) {
    let line = |(id, text): (usize, &&str)| format!("{}\n", json!({"id": id, "prompt": text}));
    fs::write(folder.join("in.jsonl"), TEXTS.iter().enumerate().map(line).collect::<String>()).unwrap();
    fs::copy(example("tools.json"), folder.join("tools.json")).unwrap();
    fs::copy(example("task.txt"), folder.join("task.txt")).unwrap();
}

const TASK: [&str; 4] = ["--tools", "tools.json", "--task", "task.txt"];

#[test]
fn each_line_is_answered_as_a_call_and_a_bad_one_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = restaurants(TEXTS[0]);
    whole["id"] = json!("whole");
    let openai = json!({"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": restaurants(TEXTS[0])});
    let cut = json!({"id": "cut", "prompt": TEXTS[0], "max_tokens": 5});
    let bad = json!({"id": [1], "prompt": TEXTS[0], "n": 3});
    let text = format!("{whole}\nnope\n\n{openai}\n{cut}\n{bad}\n");
    prompts(folder.path());
    fs::write(folder.path().join("mixed.jsonl"), text).unwrap();
    let output = batch(folder.path(), &[&["mixed.jsonl"], &TASK[..]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("2 answered, 3 failed"), "{stderr}");
    let answers = lines(&output.stdout);
    assert_eq!(answers.len(), 5);
    let call = program::edgecall()
        .args(["call", "--threads", "1", "--no-cache", "-m"])
        .arg(pocket::pocket(FileType::Q8_0))
        .args(TASK)
        .args(["--", TEXTS[0]])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let call: Value = serde_json::from_slice(&call.stdout).unwrap();
    assert_eq!((&answers[0]["id"], &answers[0]["call"]), (&json!("whole"), &call));
    assert!(answers[0]["usage"]["prompt_tokens"].as_u64().unwrap() > 0);
    assert_eq!(answers[1]["id"], Value::Null);
    let response = &answers[2]["response"];
    assert_eq!((&answers[2]["custom_id"], &response["status_code"]), (&json!("c"), &json!(200)));
    assert_eq!(response["body"]["choices"][0]["message"]["tool_calls"][0]["function"]["name"], call["name"]);
    assert_eq!(answers[3]["id"], "cut");
    assert!(answers[3]["error"]["message"].as_str().unwrap().contains("budget"), "{}", answers[3]);
    assert_eq!(
        (&answers[4]["id"], answers[4]["error"]["message"].as_str().unwrap().contains("`n`")),
        (&json!([1]), true)
    );
}

#[test]
fn a_run_that_was_cut_off_is_gone_on_with_and_ends_with_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.jsonl");
    prompts(folder.path());
    let whole = batch(folder.path(), &[&["in.jsonl"], &TASK[..]].concat());
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let expected = timeless(lines(&whole.stdout));
    assert_eq!(expected.len(), TEXTS.len());
    // Two answers, and a half of the third.
    let text = String::from_utf8(whole.stdout).unwrap();
    let end = text.match_indices('\n').nth(1).unwrap().0 + 20;
    fs::write(&out, &text[..end]).unwrap();
    let arguments = [&["in.jsonl", "-o", "out.jsonl"], &TASK[..]].concat();
    let refused = batch(folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(73));
    let resumed = batch(folder.path(), &[&arguments[..], &["--resume"]].concat());
    let stderr = String::from_utf8_lossy(&resumed.stderr);
    assert!(resumed.status.success() && stderr.contains("2 answered, 0 failed, 2 before"), "{stderr}");
    assert_eq!(timeless(lines(&fs::read(&out).unwrap())), expected);

    fs::write(folder.path().join("in.jsonl"), "{\"id\": 9, \"prompt\": \"x\"}\n").unwrap();
    let other = batch(folder.path(), &[&arguments[..], &["--resume"]].concat());
    assert_eq!(other.status.code(), Some(65), "{}", String::from_utf8_lossy(&other.stderr));
}

#[test]
fn shards_have_all_answers_together_and_the_first_failure_may_end_a_run() {
    let folder = tempfile::tempdir().unwrap();
    prompts(folder.path());
    let whole = timeless(lines(&batch(folder.path(), &[&["in.jsonl"], &TASK[..]].concat()).stdout));
    let mut joined: Vec<Value> = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let output = batch(folder.path(), &[&["in.jsonl", "--shard", shard], &TASK[..]].concat());
        joined.extend(timeless(lines(&output.stdout)));
    }
    joined.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(joined, whole);

    let text = "{\"id\": 1, \"prompt\": 3}\n{\"id\": 2, \"prompt\": \"x\"}\n";
    fs::write(folder.path().join("in.jsonl"), text).unwrap();
    let output = batch(folder.path(), &["in.jsonl", "--fail-fast"]);
    assert_eq!((output.status.code(), lines(&output.stdout).len()), (Some(65), 1));
}

#[test]
fn several_lines_at_the_same_time_are_answered_as_one_by_one_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    prompts(folder.path());
    let arguments = [&["in.jsonl"], &TASK[..]].concat();
    let expected = timeless(lines(&batch(folder.path(), &arguments).stdout));
    for slots in ["2", "4"] {
        let output = batch(folder.path(), &[&arguments[..], &["--parallel", slots]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(timeless(lines(&output.stdout)), expected);
        let output = batch(folder.path(), &[&arguments[..], &["--parallel", slots, "--unordered"]].concat());
        let mut answers = timeless(lines(&output.stdout));
        answers.sort_by_key(|answer| answer["id"].as_u64());
        assert_eq!(answers, expected);
    }
    // A long answer comes first, and the short ones behind it do not wait for it in vain.
    let text = fs::read_to_string(folder.path().join("in.jsonl")).unwrap();
    let slow = json!({"id": "slow", "prompt": "x", "tool_choice": "none", "max_tokens": 300});
    fs::write(folder.path().join("in.jsonl"), format!("{slow}\n{text}")).unwrap();
    let output = batch(folder.path(), &[&arguments[..], &["--parallel", "2"]].concat());
    let answers = timeless(lines(&output.stdout));
    assert_eq!((&answers[0]["id"], &answers[1..]), (&json!("slow"), &expected[..]));
}

#[test]
fn answers_in_any_order_are_gone_on_with_by_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.jsonl");
    prompts(folder.path());
    let whole = batch(folder.path(), &[&["in.jsonl"], &TASK[..]].concat());
    let expected = timeless(lines(&whole.stdout));
    let text = String::from_utf8(whole.stdout).unwrap();
    let line = |nth: usize| text.lines().nth(nth).unwrap();
    // The third and the first, and a half of the last.
    fs::write(&out, format!("{}\n{}\n{}", line(2), line(0), &line(3)[..20])).unwrap();
    let arguments = [&["in.jsonl", "-o", "out.jsonl", "--resume", "--parallel", "2"], &TASK[..]].concat();
    let in_order = batch(folder.path(), &arguments);
    let stderr = String::from_utf8_lossy(&in_order.stderr);
    assert!(in_order.status.code() == Some(65) && stderr.contains("--unordered"), "{stderr}");
    let arguments = [&arguments[..], &["--unordered"]].concat();
    for (answered, before) in [(2, 2), (0, 4)] {
        let resumed = batch(folder.path(), &arguments);
        let stderr = String::from_utf8_lossy(&resumed.stderr);
        let counts = format!("{answered} answered, 0 failed, {before} before");
        assert!(resumed.status.success() && stderr.contains(&counts), "{stderr}");
        let mut answers = timeless(lines(&fs::read(&out).unwrap()));
        assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&json!(2), &json!(0)));
        answers.sort_by_key(|answer| answer["id"].as_u64());
        assert_eq!(answers, expected);
    }
    for (twice, problem) in [("{\"prompt\": \"x\"}", "no id"), ("{\"id\": 1, \"prompt\": \"x\"}", "earlier")]
    {
        let requests = format!("{{\"id\": 1, \"prompt\": \"x\", \"max_tokens\": 2}}\n{twice}\n");
        fs::write(folder.path().join("in.jsonl"), requests).unwrap();
        let output = batch(folder.path(), &["in.jsonl", "--unordered", "--parallel", "2"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(65) && stderr.contains(problem), "{stderr}");
        assert!(stderr.contains("request 2"), "{stderr}");
    }
}

#[test]
fn the_first_failure_ends_a_run_of_several_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    prompts(folder.path());
    let good: String = (0..40).map(|id| format!("{}\n", json!({"id": id, "prompt": TEXTS[0]}))).collect();
    fs::write(folder.path().join("in.jsonl"), format!("{{\"id\": \"bad\", \"prompt\": 3}}\n{good}")).unwrap();
    let arguments = [&["in.jsonl", "--fail-fast", "--parallel", "3"], &TASK[..]].concat();
    let output = batch(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(65), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(&output.stdout).len(), 1);
}

#[test]
fn a_program_that_waits_for_an_answer_before_it_asks_again_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    prompts(folder.path());
    let mut child = program::edgecall()
        .args(["batch", "--threads", "1", "--no-cache", "--parallel", "2", "-m"])
        .arg(pocket::pocket(FileType::Q8_0))
        .args(TASK)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut requests, mut answers) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for (id, text) in TEXTS.iter().enumerate() {
        writeln!(requests, "{}", json!({"id": id, "prompt": text})).unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id);
    }
    drop(requests);
    assert!(child.wait().unwrap().success());
}
