//! All kernels make the same call; they are named in rows and states, and chosen or refused by name.

use crate::{pocket, program};
use edgecall::{
    convert::FileType,
    runtime::{LoadOptions, Model, Options, Session, Trust, kernels},
};
use std::{
    num::NonZeroUsize,
    process::{Output, Stdio},
};

const PROMPT: &str = "Find me a Thai place in San Jose";

/// A call with the example's tools on the pocket model.
fn call(kernels: &str, more: &[&str]) -> Output {
    program::edgecall()
        .args(["call", "--threads", "1", "--tools", "examples/restaurants/tools.json"])
        .args(["--task", "examples/restaurants/task.txt", "--kernels", kernels, PROMPT, "-m"])
        .arg(pocket::pocket(FileType::Q8_0))
        .args(more)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Names of the compiled kernels that this CPU can run.
fn runnable() -> Vec<&'static str> {
    kernels::compiled()
        .into_iter()
        .filter(|kernels| kernels.is_supported())
        .map(|kernels| kernels.name)
        .collect()
}

#[test]
fn all_kernels_make_the_same_call_where_no_two_tokens_are_nearly_as_likely() {
    let mut calls = Vec::new();
    for name in runnable() {
        let output = call(name, &["--no-cache", "--exact"]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        calls.push(String::from_utf8(output.stdout).unwrap());
    }
    assert!(!calls.is_empty());
    assert!(calls.iter().all(|call| call == &calls[0]), "{calls:?}");
}

#[test]
fn a_state_of_other_kernels_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    // A state that is read as fast as it is computed is not kept, and fast kernels compute a small model's fast.
    let folder = folder.path().to_str().unwrap();
    let cached = ["--timings", "--cache-read-rate", "1000000", "--cache-dir", folder];
    for name in runnable() {
        let restored = || {
            let output = call(name, &cached);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{name}: {text}");
            let row =
                text.lines().find(|line| line.starts_with("restore")).expect("--timings has a row for it");
            row.split_whitespace()
                .nth(2)
                .and_then(|tokens| tokens.parse::<usize>().ok())
                .expect("a count of tokens")
        };
        assert_eq!(restored(), 0, "{name} took a state that others left");
        assert!(restored() > 500, "{name} did not take its own state");
    }
}

#[test]
fn kernels_that_are_not_there_are_a_usage_error_that_names_those_that_are() {
    let output = call("avx9", &[]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("error: there are no kernels named `avx9` in this program; it has "), "{text}");
    assert!(runnable().iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn the_environment_chooses_too_and_an_empty_value_leaves_the_choice() {
    for (value, code) in [("avx9", 2), ("", 0), ("auto", 0)] {
        let output = program::edgecall()
            .args([
                "call",
                "--no-cache",
                "--max-tokens",
                "200",
                "--tools",
                "examples/restaurants/tools.json",
                "hi",
                "-m",
            ])
            .arg(pocket::pocket(FileType::Q8_0))
            .env("EDGECALL_KERNELS", value)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "`{value}`: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Products with repacked weights have code of their own for one token, two, three, four, eight and twelve, some of it ours.
#[test]
fn repacked_weights_give_the_logits_of_stored_ones_for_any_number_of_tokens() {
    const TEXTS: i32 = 8;
    let options =
        Options { n_ctx: NonZeroUsize::new(256), threads: NonZeroUsize::new(2), ..Options::default() };
    for file_type in [FileType::Q4KM, FileType::Q6K, FileType::Q8_0] {
        let model = |repack| {
            Model::load_with(&pocket::pocket(file_type), LoadOptions { trust: Trust::Checked, repack })
                .unwrap()
        };
        let (repacked, stored) = (model(true), model(false));
        let mut repacked = Session::new(&repacked, 64, 64, &options).unwrap();
        let mut stored = Session::new(&stored, 64, 64, &options).unwrap();
        let mut error_of = |tokens: &[i32]| {
            let logits = |session: &mut Session<'_>| {
                session.cut(0).unwrap();
                session.append(tokens).unwrap();
                session.logits().to_vec()
            };
            let (repacked, stored) = (logits(&mut repacked), logits(&mut stored));
            let deviation = |of: &dyn Fn(usize) -> f32| {
                let squares = (0..stored.len()).map(|i| f64::from(of(i)).powi(2)).sum::<f64>();
                (squares / stored.len() as f64).sqrt()
            };
            let mean = stored.iter().sum::<f32>() / stored.len() as f32;
            deviation(&|i| repacked[i] - stored[i]) / deviation(&|i| stored[i] - mean)
        };
        let mut equal_long = 0;
        for n in (1..=17).chain([28, 39, 40]) {
            let mut equal = 0;
            for text in 0..TEXTS {
                let tokens: Vec<i32> = (0..n).map(|i| 300 + (37 * i + 211 * text) % 2000).collect();
                let error = error_of(&tokens);
                assert!(error < 0.1, "{file_type:?}, {n} tokens of text {text}: {error}");
                equal += usize::from(error < 1e-5);
            }
            // In the other texts one activation lies so near to the middle of two steps that it is rounded the other way:
            // on which CPU depends on the order of its sums, and the more tokens there are, the likelier it is.
            if n <= 8 {
                assert!(equal > 0, "{file_type:?}, {n} tokens: no text of {TEXTS} gives the same logits");
            } else {
                equal_long += equal;
            }
        }
        assert!(equal_long > 0, "{file_type:?}: no text of more than 8 tokens gives the same logits");
    }
}

#[test]
fn kernels_that_do_not_exist_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("pocket.gguf");
    let output = output.to_str().unwrap();
    for line in [
        &["convert", "models/pocket", "-o", output][..],
        &["convert", "nowhere", "-o", output],
        &["doctor", "-m", "nowhere.gguf"],
        &["verify", "nowhere.gguf", "--witness", "nowhere.json"],
    ] {
        let done = program::edgecall()
            .args(["--kernels", "nope"])
            .args(line)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(stderr.starts_with("error: there are no kernels named `nope`"), "{line:?}: {stderr}");
        assert_eq!(done.status.code(), Some(2), "{line:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{line:?}");
    }
}
