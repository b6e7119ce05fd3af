//! `inspect` reports facts and needs of a file, or the reason why it is not a model.

use edgecall::{
    gguf::{Array, GgmlType, Header, Value},
    inspect::{self, Report, Run},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A file with the metadata of a small Qwen3 and zeros for weights.
fn small_qwen3(folder: &TempDir) -> PathBuf {
    let key = |name: &str, n| (format!("qwen3.{name}"), Value::U32(n));
    let text = |name: &str, text: &str| (name.to_owned(), Value::String(text.to_owned()));
    let tokens = ["a", "b", "<|endoftext|>", "<|im_end|>"].map(str::to_owned).to_vec();
    let mut header = Header::new(vec![
        text("general.architecture", "qwen3"),
        text("general.name", "Small \u{1b}[31mQwen3"),
        text("general.license", "apache-2.0"),
        key("block_count", 2),
        key("context_length", 8192),
        key("embedding_length", 256),
        key("feed_forward_length", 768),
        key("attention.head_count", 4),
        key("attention.head_count_kv", 2),
        key("attention.key_length", 64),
        key("attention.value_length", 64),
        ("qwen3.rope.freq_base".into(), Value::F32(1e6)),
        text("tokenizer.ggml.model", "gpt2"),
        text("tokenizer.ggml.pre", "qwen2"),
        ("tokenizer.ggml.tokens".into(), Value::Array(Array::String(tokens))),
        ("tokenizer.ggml.eos_token_id".into(), Value::U32(3)),
        ("tokenizer.ggml.padding_token_id".into(), Value::U32(2)),
        ("tokenizer.ggml.bos_token_id".into(), Value::U32(99)),
        ("tokenizer.ggml.add_bos_token".into(), Value::Bool(false)),
        text("tokenizer.chat_template", "{%- if tools %}{{ tools | tojson }}{% endif %}"),
    ]);
    header.push_tensor("output_norm.weight".into(), vec![256], GgmlType::F32);
    header.push_tensor("token_embd.weight".into(), vec![256, 4], GgmlType::Q6K);
    header.push_tensor("blk.0.ffn_up.weight".into(), vec![256, 768], GgmlType::Q4K);
    header.push_tensor("blk.1.ffn_up.weight".into(), vec![256, 768], GgmlType::Q4K);
    let mut file = header.encode();
    file.resize(file.len() + header.data_bytes() as usize, 0);
    write(folder, "small.gguf", &file)
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn edgecall(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.env("HF_HUB_CACHE", "/dev/null/hub");
    command.arg("inspect").args(arguments).arg(path).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// True if a line has these words, with any space between them; the machine's memory changes the column widths.
fn has_line(output: &Output, words: &[&str]) -> bool {
    stdout(output).lines().any(|line| line.split_whitespace().eq(words.iter().copied()))
}

#[test]
fn a_file_is_told_with_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_qwen3(&folder);
    let Report::Gguf(report) = inspect::inspect(&path, Run::default()).unwrap() else {
        panic!("a file is no checkpoint")
    };
    assert_eq!(report.file_bytes, fs::metadata(&path).unwrap().len());
    assert_eq!(report.model.architecture.as_deref(), Some("qwen3"));
    assert_eq!(report.model.parameters, 256 + 1024 + 2 * 256 * 768);
    assert_eq!((report.model.head_count, report.model.head_count_kv), (Some(4), Some(2)));
    assert_eq!((report.model.vocabulary, report.tensors.len()), (Some(4), 4));
    let types: Vec<_> = report.types.iter().map(|row| (row.type_name, row.tensors, row.bytes)).collect();
    assert_eq!(types, [("F32", 1, 1024), ("Q4_K", 2, 2 * 768 * 144), ("Q6_K", 1, 4 * 210)]);
    let need = &report.need;
    // 2 layers of 2 heads, a key and a value of 64 f16s each.
    assert_eq!((need.n_ctx, need.kv_bytes_per_token), (4096, Some(1024)));
    let memory = need.memory.unwrap();
    assert_eq!((memory.weights_bytes, memory.kv_bytes), (1024 + 2 * 768 * 144 + 840, 4 << 20));
    assert_eq!(memory.total_bytes, memory.weights_bytes + memory.kv_bytes + memory.compute_bytes);
}

#[test]
fn the_context_and_the_cache_s_type_change_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_qwen3(&folder);
    let kv = |arguments: &[&str]| {
        let output = edgecall(&[arguments, &["--json"]].concat(), &path);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json["need"]["memory"]["kv_bytes"].as_u64().unwrap()
    };
    assert_eq!(kv(&["--ctx", "1000"]), 1 << 20);
    assert_eq!(kv(&["--ctx", "1024", "--kv-type", "q8_0"]), (1 << 20) * 34 / 64);
}

#[test]
fn people_get_a_table_and_programs_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_qwen3(&folder);
    let table = edgecall(&[], &path);
    assert!(table.status.success());
    for needle in [
        "architecture      qwen3\n",
        "name              Small \\u{1b}[31mQwen3\n",
        "licence           apache-2.0\n",
        "parameters        394,496\n",
        "tokenizer         gpt2, pre-tokenizer qwen2\n",
        "special tokens    bos 99 not in the vocabulary, eos 3 <|im_end|>, padding 2 <|endoftext|>\n",
        "adds bos, eos     no, —\n",
        "chat template     46 bytes, takes tools\n",
        "Q4_K        2  393,216  221,184         4.50\n",
    ] {
        assert!(stdout(&table).contains(needle), "{needle}\n{}", stdout(&table));
    }
    assert!(has_line(&table, &["KV", "cache", "4.0"]), "{}", stdout(&table));
    assert!(!stdout(&table).contains("blk.1.ffn_up.weight"));
    let listed = edgecall(&["--tensors"], &path);
    assert!(
        stdout(&listed).contains("blk.1.ffn_up.weight  Q4_K  256 × 768  110,592\n"),
        "{}",
        stdout(&listed)
    );
    let json: serde_json::Value = serde_json::from_slice(&edgecall(&["--json"], &path).stdout).unwrap();
    assert_eq!(json["kind"], "gguf");
    assert_eq!(json["model"]["block_count"], 2);
    assert_eq!(json["chat_template"]["takes_tools"], true);
    assert_eq!(json["tensors"][2]["shape"], serde_json::json!([256, 768]));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_qwen3(&folder);
    for arguments in [&["--json"][..], &["--tensors"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
        let mut child =
            command.arg("inspect").args(arguments).arg(&path).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let good = fs::read(small_qwen3(&folder)).unwrap();
    let cases: [(&str, Option<&[u8]>, i32, &str); 6] = [
        ("missing.gguf", None, 66, "cannot read"),
        ("empty.gguf", Some(b""), 65, "the file is empty"),
        ("page.gguf", Some(b"<!DOCTYPE html>"), 65, "web page"),
        ("pointer.gguf", Some(b"version https://git-lfs.github.com/spec/v1\n"), 65, "git lfs pull"),
        ("model.safetensors", Some(b"\x10\0\0\0\0\0\0\0{\"a\":{}}"), 65, "takes the folder that it is in"),
        ("cut.gguf", Some(&good[..good.len() - 4000]), 65, "tensor `blk.1.ffn_up.weight` needs bytes"),
    ];
    for (name, bytes, code, needle) in cases {
        let path = match bytes {
            Some(bytes) => write(&folder, name, bytes),
            None => folder.path().join(name),
        };
        let output = edgecall(&[], &path);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {message}");
        assert!(message.contains(needle) && message.contains(name), "{name}: {message}");
        assert!(output.stdout.is_empty());
    }
    let output = edgecall(&["--kv-type", "q6_k"], &folder.path().join("small.gguf"));
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("possible values: f32, f16"), "{message}");
}

/// The pocket model of the repository.
fn pocket() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")
}

/// A copy of the pocket model's folder with one text in its `config.json` replaced.
fn pocket_with(from: &str, to: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(pocket()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let config = fs::read_to_string(pocket().join("config.json")).unwrap();
    assert!(config.contains(from), "{config}");
    fs::write(folder.path().join("config.json"), config.replace(from, to)).unwrap();
    folder
}

#[test]
fn a_checkpoint_is_told_with_the_files_it_would_become() {
    let Report::Checkpoint(report) = inspect::inspect(&pocket(), Run::default()).unwrap() else {
        panic!("a folder is no file")
    };
    assert_eq!(report.obstacle, None);
    assert_eq!(report.model.parameters, 5_771_264);
    assert_eq!((report.types.len(), report.types[0].type_name, report.types[0].tensors), (1, "BF16", 68));
    assert_eq!(report.tokenizer.unwrap().pre.as_deref(), Some("qwen2"));
    assert!(report.chat_template.unwrap().takes_tools);
    let weights = |name: &str| {
        let row = report.sizes.iter().find(|row| row.file_type == name).unwrap();
        row.memory.unwrap().weights_bytes
    };
    // Bytes of the tensors in the files that llama.cpp's own tools make from this model.
    for (file_type, bytes) in [
        ("f32", 23_085_056),
        ("bf16", 11_550_720),
        ("q8_0", 6_144_000),
        ("q4_0", 3_530_752),
        ("q4_k_m", 3_649_024),
        ("q6_k", 4_747_264),
    ] {
        assert_eq!(weights(file_type), bytes, "{file_type}");
    }
}

#[test]
fn a_checkpoint_that_does_not_convert_is_still_told_with_the_reason() {
    let folder = pocket_with("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7");
    let output = edgecall(&[], folder.path());
    assert!(output.status.success());
    for needle in
        ["layers            7\n", "converts          no: ", "model.layers.6.", "tokenizer         —\n"]
    {
        assert!(stdout(&output).contains(needle), "{needle}\n{}", stdout(&output));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&edgecall(&["--json"], folder.path()).stdout).unwrap();
    assert_eq!(json["kind"], "checkpoint");
    assert!(json["obstacle"].as_str().unwrap().contains("model.layers.6."));
    assert_eq!(json["sizes"], serde_json::json!([]));
}

#[test]
fn a_folder_that_is_no_checkpoint_is_refused_by_name() {
    let empty = tempfile::tempdir().unwrap();
    let unknown = pocket_with("Qwen3ForCausalLM", "MambaForCausalLM");
    for (path, code, needle) in [
        (empty.path(), 66, "has no config.json"),
        (&empty.path().join("not-there"), 66, "no such checkpoint folder"),
        (Path::new("Qwen/Qwen3-1.7B"), 66, "edgecall pull Qwen/Qwen3-1.7B"),
        (unknown.path(), 65, "architecture `MambaForCausalLM` is not supported"),
    ] {
        let output = edgecall(&[], path);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(needle), "{message}");
    }
}

#[test]
fn a_model_that_keeps_something_else_than_keys_and_values_has_no_cache_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut header = Header::new(vec![
        ("general.architecture".into(), Value::String("mamba".into())),
        ("mamba.block_count".into(), Value::U32(u32::MAX)),
        ("mamba.ssm.state_size".into(), Value::U32(16)),
    ]);
    header.push_tensor("token_embd.weight".into(), vec![32, 2], GgmlType::F16);
    let mut file = header.encode();
    file.resize(file.len() + header.data_bytes() as usize, 0);
    let output = edgecall(&[], &write(&folder, "mamba.gguf", &file));
    assert!(has_line(&output, &["KV", "cache", "—"]), "{}", stdout(&output));
    assert!(stdout(&output).contains("tokenizer         none\n"));
}

#[test]
fn another_machine_is_named_and_the_longest_context_for_it_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_qwen3(&folder);
    let table = edgecall(&["--board", "pi4-1gb"], &path);
    assert!(has_line(&table, &["pi4-1gb,", "available", "768.0"]), "{}", stdout(&table));
    assert!(has_line(&table, &["pi4-1gb,", "all", "896.0"]) && has_line(&table, &["fits", "yes"]));
    assert!(has_line(&table, &["longest", "context", "(tokens)", "8,192"]));
    let json = |arguments: &[&str], path: &Path| {
        let output = edgecall(&[arguments, &["--json"]].concat(), path);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let need = json(&["--memory", "256M"], &path)["need"].clone();
    assert_eq!((&need["machine_name"], &need["fit"]), (&"256 MiB".into(), &"if_freed".into()));
    assert_eq!(
        (&need["machine"]["available_bytes"], &need["longest_n_ctx"]),
        (&0.into(), &serde_json::Value::Null)
    );
    let checkpoint = json(&["--board", "pi-zero2w"], &pocket());
    assert_eq!(checkpoint["machine_name"], "pi-zero2w");
    assert!(checkpoint["sizes"].as_array().unwrap().iter().all(|row| row["longest_n_ctx"] == 4096));
    let wrong = edgecall(&["--memory", "2"], &path);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("expected a size such as 512M or 2G"));
}
