//! `edgecall bench` with pipes: stdin, a closed stdout, JSON for programs.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// Runs `edgecall` in the root of the repository with `input` on stdin.
fn run(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_edgecall"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

const ROWS: &[u8] = include_bytes!("../fixtures/benchmark/wrong_scores.jsonl");

#[test]
fn rows_on_stdin_score_as_the_same_rows_in_a_file() {
    let file = run(&["bench", "score", "--json", "tests/fixtures/benchmark/wrong_scores.jsonl"], b"");
    let piped = run(&["bench", "score", "--json", "-"], ROWS);
    assert!(file.status.success() && piped.status.success());
    let read = |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    let (mut file, mut piped) = (read(&file), read(&piped));
    assert_eq!(file["file"].take(), "tests/fixtures/benchmark/wrong_scores.jsonl");
    assert_eq!(piped["file"].take(), "stdin");
    assert_eq!(file, piped);
    assert_eq!(file["schema_version"], 1);
    assert_eq!(file["rejected"], serde_json::json!({"no_json": 1}));
    let lines: Vec<&serde_json::Value> =
        file["differences"].as_array().unwrap().iter().map(|difference| &difference["line"]).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn what_cannot_be_scored_ends_with_65_and_its_line() {
    for (input, expected) in [
        (&b""[..], "error: stdin: there are no rows in it"),
        (b"\n\n", "error: stdin: there are no rows in it"),
        (b"{\"answer\": \"\", \"prediction\": \"\"}\n{\"answer\"", "error: stdin: line 2: not valid JSON"),
        (b"\xff\n", "error: stdin: line 1: is not UTF-8"),
    ] {
        let output = run(&["bench", "score", "-"], input);
        assert_eq!(output.status.code(), Some(65));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with(expected), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    for json in [&["--json"][..], &[]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_edgecall"))
            .args(["bench", "score", "tests/fixtures/benchmark/metrics.jsonl"])
            .args(json)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    }
}
