//! `edgecall bench tft` as a command: killed and resumed runs, merged shards, gates, other runtime options.

use crate::{
    benchmark::line_with_tool,
    benchmark_run::{data, unlabelled},
    pocket::pocket,
};
use edgecall::{bench::run::RULES, convert::FileType};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

/// `edgecall bench tft` on the first 18 calls, which belong to three conversations.
fn tft(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command
        .args(["bench", "tft", "--limit", "18", "--threads", "1", "--max-tokens", "96", "--data"])
        .arg(data());
    command.arg("-m").arg(pocket(FileType::F16)).arg("-m").arg(pocket(FileType::Q4KM));
    command.arg("--out").arg(out).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Merges rows into the file `out`.
fn merged(shards: &[PathBuf], out: PathBuf) -> PathBuf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.args(["bench", "merge", "--output"]).arg(&out).args(shards);
    succeeded(command.output().unwrap());
    out
}

/// Report of rows, without times and facts about the host.
fn report_of(rows: &Path) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_edgecall")).args(["bench", "report", "--json"]).arg(rows).output();
    let mut report: Value = serde_json::from_slice(&succeeded(output.unwrap()).stdout).unwrap();
    report["environment"] = Value::Null;
    for variant in report["arms"].as_array_mut().unwrap() {
        variant["costs"] = Value::Null;
    }
    report
}

#[test]
fn a_killed_run_that_goes_on_and_shards_that_are_joined_give_the_report_of_an_unbroken_run() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = |name: &str| folder.path().join(name);
    let tft = |out: &Path, more: &[&str]| tft(out, &[&["--speed", "0"], more].concat());
    succeeded(tft(&place("whole.jsonl"), &[]).output().unwrap());
    let whole = report_of(&place("whole.jsonl"));
    assert_eq!((whole["cases"].as_u64(), whole["conversations"].as_u64()), (Some(18), Some(3)));

    // Killed once it has written so many lines: another number in each process, and well before the last row.
    let killed = place("killed.jsonl");
    let lines = 2 + std::process::id() as usize % 20;
    let mut child = tft(&killed, &[]).spawn().unwrap();
    let written = || fs::read(&killed).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count());
    while written() < lines && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = written();
    assert!(before < 1 + 18 * 2, "killed after {before} lines");
    // The state after a kill in the middle of a write.
    let torn = b"{\"kind\":\"row\",\"schema_version\":1,\"ke";
    fs::write(&killed, [&fs::read(&killed).unwrap()[..], torn].concat()).unwrap();
    let without = tft(&killed, &[]).output().unwrap();
    assert_eq!(without.status.code(), Some(73), "a file that is there is never begun anew");
    succeeded(tft(&killed, &["--resume"]).output().unwrap());
    assert_eq!(written(), 2 + 18 * 2, "one more start and the rows that were missing");
    assert_eq!(report_of(&killed), whole, "killed after {before} lines");

    let shards = ["1/3", "2/3", "3/3"].map(|shard| {
        let out = place(&format!("{}.jsonl", &shard[..1]));
        succeeded(tft(&out, &["--shard", shard]).output().unwrap());
        out
    });
    assert_eq!(report_of(&merged(&shards, place("merged.jsonl"))), whole);

    // Rows of a program with other decoding rules, or of one from before these had a version.
    let text = fs::read_to_string(&killed).unwrap();
    for (rules, said) in [("\"rules\":99,", "rules 99"), ("", "rules from before they had a number")] {
        let old = place("old.jsonl");
        let ours = format!("\"rules\":{RULES},");
        fs::write(&old, text.replace(&ours, rules)).unwrap();
        assert_eq!(report_of(&old)["verdicts"], whole["verdicts"], "they are still reported");
        let refused = tft(&old, &["--resume"]).output().unwrap();
        let stderr = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(65), "{stderr}");
        assert!(stderr.contains(&format!("its tokens were made by {said}, not rules {RULES}")), "{stderr}");
        assert!(stderr.contains("begin another file"), "{stderr}");
        assert_eq!(fs::read_to_string(&old).unwrap(), text.replace(&ours, rules), "nothing was added");
        let merge = Command::new(env!("CARGO_BIN_EXE_edgecall"))
            .args(["bench", "merge", "--output"])
            .arg(place("mixed.jsonl"))
            .args([&killed, &old])
            .output()
            .unwrap();
        assert_eq!(merge.status.code(), Some(65));
        assert!(
            String::from_utf8_lossy(&merge.stderr).contains(&format!("made by {said}, not rules {RULES}"))
        );
    }

    let other = tft(&killed, &["--resume", "--margin", "5"]).output().unwrap();
    assert_eq!(other.status.code(), Some(65));
    let stderr = String::from_utf8(other.stderr).unwrap();
    assert!(stderr.contains("cannot be joined with this run: the margin is 3 points, not 5"), "{stderr}");
}

#[test]
fn a_gate_that_is_not_reached_ends_with_1_and_the_report_is_there() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let page = folder.path().join("page.html");
    // No model of this size writes every message exactly as in the data.
    let gate = ["--shard", "3/3", "--no-drift", "--speed", "0", "--fail-under", "rouge=1", "--html"];
    let output = tft(&folder.path().join("rows.jsonl"), &gate).arg(&page).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(stderr.starts_with("error: rouge of pocket-"), "{stderr}");
    assert!(stdout.contains("pocket-F16 (reference)"), "{stdout}");
    assert!(fs::read_to_string(&page).unwrap().contains("</html>"));
}

/// Records of one kind in a file of rows.
fn records(path: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind).collect()
}

#[test]
fn the_reference_answers_again_under_other_conditions_and_calls_are_measured_in_turns() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = folder.path().join("rows.jsonl");
    // One of the first three conversations.
    let more =
        ["--shard", "2/3", "--noise-floor", "--speed", "1", "--kv-type", "f16,q8_0", "--repack", "on,off"];
    let report = succeeded(tft(&out, &more).output().unwrap());
    let (rows, speeds) = (records(&out, "row"), records(&out, "speed"));
    let cases = rows.iter().filter(|row| row["role"] == "reference").count();
    let count = |role: &str| rows.iter().filter(|row| row["role"] == role).count();
    // Two models, two KV cache types, with and without repacking; one of the eight is the reference.
    assert_eq!((count("candidate"), speeds.len()), (cases * 7, cases * 8));
    let two_cpus = thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
    // The reference with and without repacking is compared as a candidate anyway.
    assert_eq!(count("noise_floor"), cases * (1 + usize::from(two_cpus)));
    for row in rows.iter().filter(|row| row["role"] == "noise_floor") {
        let key = &row["key"];
        let changed =
            [key["threads"] != 1, key["n_ubatch"] != 512, key["repack"] != true, key["kv_type"] != "f16"];
        assert_eq!(changed.iter().filter(|changed| **changed).count(), 1, "{key}");
    }
    for speed in &speeds {
        let cost = &speed["cost"];
        assert!(cost["wall_s"].as_f64().unwrap() > 0.0 && cost["cpu_s"].as_f64().unwrap() > 0.0);
        // Weights, KV cache and buffers of one model, far less than those of eight.
        let peak = cost["peak_resident_bytes"].as_u64().unwrap();
        assert!((20 << 20..200 << 20).contains(&peak), "{peak}");
    }
    // One conversation, one mode: each variant makes all of its calls before the next.
    let variants: Vec<&Value> = speeds.iter().map(|speed| &speed["arm"]).collect();
    assert_eq!(1 + variants.windows(2).filter(|pair| pair[0] != pair[1]).count(), 8);
    let text = String::from_utf8(report.stdout).unwrap();
    assert!(text.contains("n_ubatch 64") && text.contains("it is compared as a candidate"), "{text}");

    // Nothing is missing, so nothing is measured or answered again.
    let before = fs::metadata(&out).unwrap().len();
    succeeded(tft(&out, &[&more[..], &["--resume"]].concat()).output().unwrap());
    assert_eq!((records(&out, "row").len(), records(&out, "speed").len()), (rows.len(), speeds.len()));
    assert!(fs::metadata(&out).unwrap().len() > before, "a start is written down all the same");

    // If a measured call is lost, its whole conversation is measured again.
    let text = fs::read_to_string(&out).unwrap();
    let is_speed = |line: &&str| line.contains("\"kind\":\"speed\"");
    let lost = text.lines().count() - 1 - text.lines().rev().position(|line| is_speed(&line)).unwrap();
    let kept: Vec<&str> =
        text.lines().enumerate().filter(|(at, _)| *at != lost).map(|(_, line)| line).collect();
    fs::write(&out, kept.join("\n") + "\n").unwrap();
    succeeded(tft(&out, &[&more[..], &["--resume"]].concat()).output().unwrap());
    assert_eq!(records(&out, "speed").len(), speeds.len() - 1 + cases);
}

#[test]
fn a_run_without_right_answers_goes_on_is_spread_and_joined_and_decides_nothing() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = |name: &str| folder.path().join(name);
    let data = unlabelled(folder.path());
    let tft = |out: &str, more: &[&str]| {
        let mut command = tft(&place(out), &["--speed", "0", "--mode", "free,any"]);
        // The last value of a repeated option counts.
        command.arg("--test").arg(data.join("test.jsonl")).args(more);
        command.output().unwrap()
    };
    let page = place("page.html");
    let text = succeeded(tft("whole.jsonl", &["--html", page.to_str().unwrap()]));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("free: No verdict: the test set has no answers"), "{text}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<title>No verdict: ") && !page.contains("NaN"));
    let whole = report_of(&place("whole.jsonl"));
    assert_eq!((&whole["labelled"], whole["cases"].as_u64()), (&Value::Bool(false), Some(18)));
    let distances = whole["distances"].as_array().unwrap();
    assert_eq!(distances.len(), 2);
    assert!(distances.iter().all(|d| d["kl_mean"].as_f64().unwrap() > 0.0 && d["score_flips"].is_null()));

    // The state after a kill: among the reference's first rows, and in the second conversation.
    let lines = fs::read_to_string(place("whole.jsonl")).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 1 + 18 * 4);
    for kept in [9, 40] {
        let name = format!("cut-{kept}.jsonl");
        fs::write(place(&name), lines[..kept].join("\n") + "\n").unwrap();
        succeeded(tft(&name, &["--resume"]));
        assert_eq!(report_of(&place(&name)), whole, "{kept}");
        let again = fs::read_to_string(place(&name)).unwrap();
        assert_eq!(again.lines().count(), lines.len() + 1);
    }
    let shards = ["1/2", "2/2"].map(|shard| {
        let name = format!("{}.jsonl", &shard[..1]);
        succeeded(tft(&name, &["--shard", shard]));
        place(&name)
    });
    assert_eq!(report_of(&merged(&shards, place("merged.jsonl"))), whole);

    let judge = ["--judge", "http://localhost:1", "--judge-model", "grader"];
    for (more, expected) in [
        (&["--fail-if-worse"][..], "--fail-if-worse needs right answers, and no line of "),
        (&["--fail-under", "rouge=0.1"], "--fail-under rouge needs right answers"),
        (
            &["--primary", "schema_validity"],
            "--primary names what decides, and a decision needs right answers",
        ),
        (&judge, "a judge, who compares with them, needs right answers"),
    ] {
        let output = tft("refused.jsonl", more);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!place("refused.jsonl").exists(), "it is said before anything is run");
    }
    let mut judged = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    judged.args(["bench", "report"]).arg(place("whole.jsonl")).args(judge).arg("--data").arg(&data);
    let output = judged.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    // Metrics that need no labels can be gates.
    succeeded(tft("whole.jsonl", &["--resume", "--fail-under", "schema_validity=0.5"]));
}

#[test]
fn a_checkpoint_is_converted_first_f16_included_and_not_again() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (models, out) = (folder.path().join("models"), folder.path().join("rows.jsonl"));
    let tft = |more: &[&str]| {
        let output = crate::program::edgecall()
            .args(["bench", "tft", "--types", "q8_0", "--limit", "1", "--threads", "1", "--speed", "0"])
            .arg("--checkpoint")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket"))
            .arg("--models-dir")
            .arg(&models)
            .arg("--data")
            .arg(data())
            .arg("--out")
            .arg(&out)
            .args(more)
            .output();
        String::from_utf8(succeeded(output.unwrap()).stdout).unwrap()
    };
    let report = tft(&[]);
    assert!(report.contains("pocket-F16 (reference)") && report.contains("pocket-Q8_0 "), "{report}");
    let made = |name: &str| fs::metadata(models.join(name)).unwrap().modified().unwrap();
    let before = (made("pocket-F16.gguf"), made("pocket-Q8_0.gguf"));
    assert_eq!((tft(&["--resume"]), records(&out, "row").len()), (report, 2));
    assert_eq!((made("pocket-F16.gguf"), made("pocket-Q8_0.gguf")), before);
}

/// The pocket checkpoint in a folder of its own.
fn checkpoint_in(folder: &Path) -> PathBuf {
    let copy = folder.join("pocket");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")).unwrap() {
        let path = entry.unwrap().path();
        fs::write(copy.join(path.file_name().unwrap()), fs::read(&path).unwrap()).unwrap();
    }
    copy
}

/// `edgecall bench tft` on the first call, on a checkpoint's files, run in `folder`.
fn on_checkpoint(folder: &Path, more: &[&str]) -> Output {
    let mut command = crate::program::edgecall();
    command.current_dir(folder).args([
        "bench",
        "tft",
        "--checkpoint",
        "pocket",
        "--types",
        "q8_0",
        "--limit",
        "1",
    ]);
    command
        .args(["--threads", "1", "--speed", "0", "--no-drift", "--max-tokens", "16", "--data"])
        .arg(data());
    command.args(more).output().unwrap()
}

#[test]
fn files_of_another_checkpoint_are_not_measured_as_files_of_this_one() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = |name: &str| folder.path().join(name);
    let (weights, manifest) = (
        checkpoint_in(folder.path()).join("model.safetensors"),
        place("bench-tft-models/pocket-F16.gguf.json"),
    );
    let run = |more: &[&str]| {
        let output = on_checkpoint(folder.path(), more);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["--out", "before.jsonl"]), (Some(0), String::new()));
    let before = fs::read_to_string(&manifest).unwrap();

    // Trained on: some weights are others.
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 64..].fill(0);
    fs::write(&weights, bytes).unwrap();
    let (code, stderr) = run(&["--out", "after.jsonl"]);
    assert_eq!(code, Some(73), "{stderr}");
    assert!(
        stderr.contains("pocket-F16.gguf is of another checkpoint: `model.safetensors` differs; name another folder with --models-dir"),
        "{stderr}"
    );
    let (code, stderr) = run(&["--out", "after.jsonl", "--resume"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains(
            "pocket-Q8_0.gguf is of another checkpoint: `model.safetensors` differs; it is converted again"
        ),
        "{stderr}"
    );
    assert_ne!(fs::read_to_string(&manifest).unwrap(), before);

    // Rows of the files before are not mixed with rows of the files after.
    let (code, stderr) = run(&["--out", "before.jsonl", "--resume"]);
    assert_eq!(code, Some(65), "{stderr}");
    assert!(stderr.contains("it is of another file called pocket-F16"), "{stderr}");

    fs::remove_file(&manifest).unwrap();
    let (code, stderr) = run(&["--out", "after.jsonl", "--resume"]);
    assert_eq!(code, Some(73), "{stderr}");
    assert!(stderr.contains("pocket-F16.gguf cannot be compared with the checkpoint"), "{stderr}");
}

#[test]
fn the_same_command_can_be_run_twice_and_says_what_it_uses_again() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    checkpoint_in(folder.path());
    let first = succeeded(on_checkpoint(folder.path(), &["--html", "report.html"]));
    let again = succeeded(on_checkpoint(folder.path(), &["--html", "report.html"]));
    assert_eq!(first.stdout, again.stdout);
    let stderr = String::from_utf8(again.stderr).unwrap();
    for note in [
        "report.html is there and will be replaced",
        "bench-tft.jsonl has rows of this command, which are used again",
        "2 of 2 files in bench-tft-models/ fit the checkpoint and are used again",
    ] {
        assert!(stderr.contains(note), "{stderr}");
    }
    let other = on_checkpoint(folder.path(), &[]);
    assert_eq!(other.status.code(), Some(73), "another command does not add to these rows");
}

#[test]
fn a_gate_on_which_nothing_is_decided_does_not_pass() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rows = folder.path().join("rows.jsonl");
    let gate = |more: &[&str]| {
        let args = ["--shard", "3/3", "--no-drift", "--speed", "0", "--resume", "--fail-if-worse"];
        let output = tft(&rows, &[&args, more].concat()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = gate(&[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("is not decided: No verdict: 1 conversation; at least 20 are needed"),
        "{stderr}"
    );
    let (code, stderr) = gate(&["--undecided", "pass"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("note: not decided: No verdict"), "{stderr}");

    let mut alone = crate::program::edgecall();
    alone.args([
        "bench",
        "tft",
        "--limit",
        "1",
        "--threads",
        "1",
        "--max-tokens",
        "8",
        "--no-drift",
        "--speed",
        "0",
    ]);
    alone.arg("--data").arg(data()).arg("-m").arg(pocket(FileType::Q4KM));
    alone.arg("--out").arg(folder.path().join("alone.jsonl")).arg("--fail-if-worse");
    let output = alone.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("there is no other file to compare with pocket-Q4_K_M"), "{stderr}");
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_first_row() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rows = folder.path().join("rows.jsonl");
    let page = folder.path().join("nodir/page.html");
    for option in ["--html", "--json", "--markdown"] {
        let output = tft(&rows, &[option]).arg(&page).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(73), "{stderr}");
        assert!(
            stderr.contains("no row was computed") && stderr.contains("edgecall bench report "),
            "{stderr}"
        );
        assert!(!rows.exists());
    }
    let output = tft(&folder.path().join("nodir/rows.jsonl"), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn lines_with_tools_of_their_own_are_answered_with_these() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let schema = |word: &str| {
        let n = serde_json::json!({"type": "string", "enum": [word]});
        serde_json::json!({"type": "object", "properties": {"n": n}, "required": ["n"], "additionalProperties": false})
    };
    let lines = [line_with_tool("left", schema("apple")), line_with_tool("right", schema("pear"))];
    fs::write(folder.path().join("test.jsonl"), lines.join("\n")).unwrap();
    let rows = folder.path().join("rows.jsonl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.args(["bench", "tft", "--threads", "1", "--max-tokens", "64", "--speed", "0", "--test"]);
    command
        .arg(folder.path().join("test.jsonl"))
        .arg("-m")
        .arg(pocket(FileType::F16))
        .arg("--out")
        .arg(&rows);
    succeeded(command.output().unwrap());
    let text = fs::read_to_string(&rows).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let constrained = rows.filter(|row| row["kind"] == "row" && row["mode"] != "free");
    let predictions: Vec<String> =
        constrained.map(|row| row["prediction"].as_str().unwrap().to_owned()).collect();
    assert!(!predictions.is_empty());
    for (index, prediction) in predictions.iter().enumerate() {
        let (tool, word) = [("left", "apple"), ("right", "pear")][index % 2];
        assert!(prediction.contains(&format!("\"{tool}\"")) && prediction.contains(word), "{predictions:?}");
    }
}
