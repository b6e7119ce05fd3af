//! Tests of incomplete, mixed and merged files.

use super::*;
use crate::bench::Error;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// A row of `model` with a right or a wrong answer.
pub(in crate::bench) fn row(model: &str, conversation: usize, turn: usize, right: bool) -> Row {
    let gold = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"ü\"}}\n</tool_call>".to_owned();
    let prediction = if right { gold.clone() } else { gold.replace('ü', "o") };
    Row {
        schema_version: SCHEMA_VERSION,
        key: RowKey {
            variant: Variant {
                file_sha256: format!("sha of {model}"),
                mode: Mode::Free,
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
            prompt_sha256: format!("sha of {conversation} {turn}"),
            kernels: "AVX2".into(),
        },
        data: DataId { test_md5: "t".into(), job_sha256: "j".into() },
        model: model.into(),
        checkpoint: None,
        file_bytes: 1000,
        bits_per_weight: Some(4.5),
        role: Role::Candidate,
        primary: "staged_tool_call".into(),
        margin: 0.03,
        conversation,
        turn,
        prompt_tail: "Where?\u{2028}".into(),
        gold,
        raw_output: prediction.clone(),
        prediction,
        tokens: vec![1, 2],
        finish: "stop".into(),
        scores: ByName::from([("staged_tool_call".into(), if right { 1.0 } else { 0.75 })]),
        call_error: None,
        judge: None,
        divergence: Some(Divergence {
            reference_tokens: ReferenceTokens::Gold,
            nll: 1.0 / 3.0,
            tokens: 2,
            kl: vec![0.1, 0.2],
            top1_agreeing: Some(2),
        }),
        cost: Some(Cost { host: "pi".into(), wall_s: 0.1, ..Cost::default() }),
    }
}

fn sample() -> Vec<Record> {
    let start =
        Start { schema_version: SCHEMA_VERSION, command: vec!["edgecall".into()], ..Start::default() };
    let rows = (0..4).map(|turn| Record::Row(Box::new(row("q4", 0, turn, turn != 2))));
    std::iter::once(Record::Start(start)).chain(rows).collect()
}

fn bytes(records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(|record| serde_json::to_vec(record).unwrap().into_iter().chain([b'\n'])).collect()
}

fn parse(bytes: &[u8]) -> Result<RowFile, Error> {
    RowFile::parse(Path::new("run.jsonl"), bytes)
}

#[test]
fn rows_are_read_back_as_they_were_written() {
    let records = sample();
    let file = parse(&bytes(&records)).unwrap();
    assert!(!file.torn);
    assert_eq!(file.lines, [2, 3, 4, 5]);
    let read = file
        .starts
        .into_iter()
        .map(Record::Start)
        .chain(file.rows.into_iter().map(|r| Record::Row(Box::new(r))));
    assert_eq!(read.collect::<Vec<_>>(), records);
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_loses_the_torn_row_and_no_other(cut in 0usize..6000) {
        let whole = bytes(&sample());
        let cut = cut.min(whole.len());
        let file = parse(&whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(file.rows.len() + file.starts.len(), lines);
        prop_assert_eq!(file.torn, cut > 0 && whole[cut - 1] != b'\n');
    }

    #[test]
    fn a_run_that_goes_on_after_a_cut_ends_with_the_same_file(cut in 0usize..6000) {
        let records = sample();
        let whole = bytes(&records);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        std::fs::write(&path, &whole[..cut.min(whole.len())]).unwrap();
        let (mut writer, had) = RowWriter::resume(&path).unwrap();
        for record in &records[had.rows.len() + had.starts.len()..] {
            writer.append(record).unwrap();
        }
        prop_assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_new_run_does_not_write_over_an_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    RowWriter::create(&path).unwrap().append(&sample()[1]).unwrap();
    assert_eq!(RowWriter::create(&path).err().unwrap().kind(), crate::kind::Kind::CannotCreate);
    let (mut writer, had) = RowWriter::resume(&path).unwrap();
    assert!(had.done().contains_key(&(had.rows[0].key.variant.clone(), 0, 0)));
    writer.append(&sample()[2]).unwrap();
}

#[test]
fn two_runs_do_not_add_to_one_file_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let refused = || {
        for error in [RowWriter::resume(&path).err().unwrap(), check_unused(&path).unwrap_err()] {
            assert!(matches!(error, Error::InUse { .. }), "{error}");
            assert_eq!(error.kind(), crate::kind::Kind::CannotCreate);
        }
    };
    check_unused(&path).unwrap();
    let (mut writer, _) = RowWriter::resume(&path).unwrap();
    refused();
    writer.append(&sample()[1]).unwrap();
    let file = writer.contents().unwrap();
    // The lock passes to the file that takes its place.
    writer.replace(&file).unwrap();
    refused();
    writer.append(&sample()[2]).unwrap();
    drop(writer);
    check_unused(&path).unwrap();
    let (_, had) = RowWriter::resume(&path).unwrap();
    assert_eq!(had.rows.len() + had.starts.len() + had.speeds.len(), 2);
}

#[test]
fn a_whole_line_that_is_no_record_is_told_by_its_number() {
    let mut text = bytes(&sample());
    let broken = |extra: &str| {
        let mut text = text.clone();
        text.extend_from_slice(extra.as_bytes());
        parse(&text).unwrap_err().to_string()
    };
    assert_eq!(broken("{\"kind\": \"row\"}\n"), "run.jsonl: line 6: is no record of a benchmark run");
    assert_eq!(broken("\nhello\n"), "run.jsonl: line 7: is no record of a benchmark run");
    assert!(broken("{\"kind\":\"row\",\"schema_version\":2}\n").contains("version 2"));
    text.extend_from_slice(b"{\"kind\":\"row\",\"schema_");
    assert!(parse(&text).unwrap().torn);
}

/// Files with these rows.
fn files(shards: &[&[Row]]) -> Vec<(PathBuf, RowFile)> {
    let file = |(i, rows): (usize, &&[Row])| {
        let lines = (1..=rows.len()).collect();
        (PathBuf::from(format!("{i}.jsonl")), RowFile { rows: rows.to_vec(), lines, ..RowFile::default() })
    };
    shards.iter().enumerate().map(file).collect()
}

#[test]
fn shards_are_joined_in_one_order_whatever_theirs() {
    let shards: Vec<Vec<Row>> = (0..3)
        .map(|c| ["q4", "q8"].into_iter().flat_map(|m| [row(m, c, 0, true), row(m, c, 1, false)]).collect())
        .collect();
    let joined = |order: [usize; 3]| merge(&files(&order.map(|i| &shards[i][..]))).unwrap();
    let merged = joined([0, 1, 2]);
    assert_eq!(merged.rows.len(), 12);
    assert_eq!(merged, joined([2, 0, 1]));
    // A shard that is given twice adds nothing.
    let twice = merge(&files(&[&shards[0], &shards[0], &shards[1], &shards[2]])).unwrap();
    assert_eq!(merged.rows, twice.rows);
}

#[test]
fn rows_of_another_run_are_refused_with_what_differs() {
    let ours = [row("q4", 0, 0, true), row("q8", 0, 0, true)];
    let mut other_kernels = row("q4", 1, 0, true);
    other_kernels.key.kernels = "NEON".into();
    assert!(merge(&files(&[&ours, &[other_kernels]])).is_ok(), "the report marks those");
    for (change, expected) in [
        ((|row: &mut Row| row.key.variant.threads = 8) as fn(&mut Row), "threads 8, not 4"),
        (|row| row.key.variant.mode = Mode::Any, "mode any, not free"),
        (|row| row.key.variant.file_sha256 = "x".into(), "model file x, not sha of q4"),
        (|row| row.key.variant.engine = "llama.cpp b2".into(), "engine llama.cpp b2, not llama.cpp b1"),
        (|row| row.key.variant.rules = 2, "made by rules 2, not rules 1"),
        (|row| row.key.variant.rules = 0, "made by rules from before they had a number, not rules 1"),
        (|row| row.data.test_md5 = "u".into(), "the test set is another one"),
        (|row| row.data.job_sha256 = "u".into(), "task or tools are others"),
        (|row| row.primary = "rouge".into(), "the primary metric is rouge, not staged_tool_call"),
        (|row| row.margin = 0.05, "the margin is 0.05, not 0.03"),
        (|row| (row.conversation, row.key.prompt_sha256) = (0, "y".into()), "asked with another prompt"),
        (|row| *row = Row { raw_output: "z".into(), ..self::row("q4", 0, 0, true) }, "answered differently"),
    ] {
        let mut other = row("q4", 1, 0, true);
        change(&mut other);
        let message = merge(&files(&[&ours, &[other]])).unwrap_err().to_string();
        assert!(message.starts_with("1.jsonl: line 1 cannot be joined with 0.jsonl: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn rows_from_before_rules_had_a_number_are_read_and_are_one_run() {
    let text = |mut row: Row| {
        row.key.variant.rules = 0;
        String::from_utf8(bytes(&[Record::Row(Box::new(row))])).unwrap().replace(r#""rules":0,"#, "")
    };
    let old = text(row("q4", 0, 0, true)) + &text(row("q8", 0, 0, true));
    assert!(!old.contains("rules"));
    let old = parse(old.as_bytes()).unwrap();
    assert!(old.rows.iter().all(|row| row.key.variant.rules == 0));
    let at = |name: &str, file: &RowFile| (PathBuf::from(name), file.clone());
    assert_eq!(merge(&[at("old.jsonl", &old)]).unwrap().rows.len(), 2);
    // A served model's rows have no decoding rules, so they merge with any.
    let mut served = row("big", 0, 0, true);
    served.key.variant = Variant::served(
        Served { model: "big".into(), server: "vllm".into(), rendering: Rendering::Ours },
        512,
    );
    let new = RowFile { rows: vec![served, row("q4", 0, 0, true)], lines: vec![1, 2], ..RowFile::default() };
    assert_eq!(merge(&[at("new.jsonl", &new)]).unwrap().rows.len(), 2);
    // The check also finds rows that were concatenated into one file.
    let mut both = old.clone();
    both.rows.extend(new.rows);
    both.lines.extend([3, 4]);
    let message = merge(&[at("both.jsonl", &both)]).unwrap_err().to_string();
    assert!(message.starts_with("both.jsonl: line 4 cannot be joined with both.jsonl: "), "{message}");
}

#[test]
fn models_of_several_servers_are_joined_and_one_that_changed_is_refused() {
    let served = |conversation: usize, model: &str, server: &str, rendering: Rendering| {
        let mut row = row("q4", conversation, 0, true);
        let served = Served { model: model.into(), server: server.into(), rendering };
        row.key.variant = Variant::served(served, 512);
        row
    };
    let ours = [row("q4", 0, 0, true), served(0, "big", "vllm 1", Rendering::Ours)];
    for other in [
        served(0, "big", "vllm 1", Rendering::Server),
        served(0, "bigger", "sglang", Rendering::Ours),
        served(1, "big", "vllm 1", Rendering::Ours),
    ] {
        assert_eq!(merge(&files(&[&ours, &[other]])).unwrap().rows.len(), 3);
    }
    let message =
        merge(&files(&[&ours, &[served(1, "big", "vllm 2", Rendering::Ours)]])).unwrap_err().to_string();
    assert_eq!(message, "1.jsonl: line 1 cannot be joined with 0.jsonl: server vllm 2, not vllm 1");
}
