//! No model file ends the process: it is loaded, or refused by the key or tensor that is wrong.

use crate::{edited::Edited, fixture::Random, pocket};
use edgecall::{
    Kind,
    convert::FileType,
    gguf::{Array, GgmlType, Value},
    runtime::{self, Model, Trust, Vocabulary},
};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Why `model` is not loaded: the whole chain as one text.
fn refusal(model: &Edited) -> String {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    model.write(&path);
    refused(&path, Trust::Checked)
}

fn refused(path: &Path, trust: Trust) -> String {
    let Err(error) = Model::load_with(path, trust) else { panic!("{} was loaded", path.display()) };
    assert_eq!(error.kind(), Kind::Data, "{error}");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn check(model: &Edited, parts: &[&str]) {
    let said = refusal(model);
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn every_hyperparameter_is_present_typed_and_in_agreement_with_the_others() {
    let pocket = Edited::pocket();
    for key in [
        "general.architecture",
        "qwen3.block_count",
        "qwen3.context_length",
        "qwen3.embedding_length",
        "qwen3.feed_forward_length",
        "qwen3.attention.head_count",
        "qwen3.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
    ] {
        check(&pocket.clone().without(key), &[&format!("key `{key}` is missing"), "expected"]);
    }
    let text = |text: &str| Value::String(text.to_owned());
    for (key, value, parts) in [
        ("general.architecture", Value::U32(1), &["the u32 1", "a string"][..]),
        ("qwen3.block_count", Value::U64(6), &["the u64 6", "a u32 from 1 to 512"]),
        ("qwen3.block_count", Value::U32(0), &["the u32 0", "a u32 from 1 to 512"]),
        ("qwen3.block_count", Value::U32(513), &["the u32 513"]),
        ("qwen3.block_count", Value::U32(7), &["tensor `blk.6.attn_norm.weight` is missing"]),
        ("qwen3.block_count", Value::U32(5), &["tensor `blk.5.", "no place in a `qwen3` model of 5 layers"]),
        ("qwen3.context_length", Value::U32(0), &["qwen3.context_length"]),
        ("qwen3.context_length", Value::U32(u32::MAX), &["qwen3.context_length"]),
        ("qwen3.embedding_length", Value::U32(0), &["qwen3.embedding_length"]),
        (
            "qwen3.embedding_length",
            Value::U32(512),
            &["tensor `token_embd.weight`", "[256, 4096]", "[512, 4096]"],
        ),
        ("qwen3.feed_forward_length", Value::U32(1024), &["tensor `blk.0.ffn_gate.weight`", "[256, 1024]"]),
        ("qwen3.feed_forward_length", Value::Array(Array::U32(vec![768; 6])), &["an array of 6 values"]),
        ("qwen3.attention.head_count", Value::U32(0), &["qwen3.attention.head_count"]),
        (
            "qwen3.attention.head_count",
            Value::U32(3),
            &["qwen3.attention.head_count_kv", "a divisor of the 3"],
        ),
        ("qwen3.attention.head_count", Value::U32(8), &["tensor `blk.0.attn_q.weight`", "[256, 512]"]),
        ("qwen3.attention.head_count_kv", Value::U32(0), &["qwen3.attention.head_count_kv"]),
        ("qwen3.attention.head_count_kv", Value::U32(4), &["tensor `blk.0.attn_k.weight`", "[256, 256]"]),
        (
            "qwen3.attention.key_length",
            Value::U32(63),
            &["key `qwen3.attention.key_length`", "an even length"],
        ),
        (
            "qwen3.attention.key_length",
            Value::U32(32),
            &["key `qwen3.attention.value_length`", "a u32 of 32"],
        ),
        ("qwen3.attention.value_length", Value::U32(32), &["a u32 of 64"]),
        ("qwen3.rope.dimension_count", Value::U32(32), &["a u32 of 64, the length of a head's key"]),
        ("qwen3.rope.freq_base", Value::F32(0.0), &["finite and above 0"]),
        ("qwen3.rope.freq_base", Value::F32(f32::NAN), &["the f32 NaN"]),
        (
            "qwen3.rope.scaling.type",
            text("sideways"),
            &["\"sideways\"", "one of none, linear, yarn, longrope"],
        ),
        ("qwen3.rope.scaling.factor", Value::F32(f32::INFINITY), &["qwen3.rope.scaling.factor"]),
        // A negative one is an assertion in ggml's norm.
        ("qwen3.attention.layer_norm_rms_epsilon", Value::F32(-1.0), &["from 0 to 1"]),
        ("qwen3.attention.layer_norm_rms_epsilon", Value::F64(1e-6), &["an f32"]),
        ("qwen3.attention.causal", Value::Bool(false), &["as text is generated"]),
        ("qwen3.expert_count", Value::U32(8), &["mixtures of experts"]),
        ("qwen3.expert_used_count", Value::U32(1), &["mixtures of experts"]),
        ("qwen3.nextn_predict_layers", Value::U32(9), &["qwen3.nextn_predict_layers"]),
        ("split.count", Value::U32(2), &["key `split.count` is the u32 2", "a u16"]),
    ] {
        check(&pocket.clone().set(key, value), parts);
    }
}

#[test]
fn every_tensor_is_expected_of_its_shape_and_of_a_type_that_runs() {
    let pocket = Edited::pocket();
    for tensor in
        ["token_embd.weight", "output_norm.weight", "blk.3.attn_v.weight", "blk.5.attn_q_norm.weight"]
    {
        check(&pocket.clone().without_tensor(tensor), &[&format!("tensor `{tensor}` is missing")]);
    }
    let mut stray = pocket.clone();
    stray.tensors.push(("blk.0.attn_sinks.weight".into(), vec![4], GgmlType::F32, vec![0; 16]));
    check(&stray, &["tensor `blk.0.attn_sinks.weight` has no place"]);
    check(
        &pocket.clone().reshape("blk.1.ffn_down.weight", &[256, 768], GgmlType::Q8_0),
        &["tensor `blk.1.ffn_down.weight` has the shape [256, 768]; expected [768, 256]"],
    );
    // ggml has no dot product for these and calls a null pointer.
    for ggml_type in [GgmlType::Q8K, GgmlType::Q8_1, GgmlType::I32, GgmlType::F64] {
        check(
            &pocket.clone().reshape("blk.1.ffn_up.weight", &[256, 768], ggml_type),
            &[&format!("tensor `blk.1.ffn_up.weight` is {ggml_type}")],
        );
    }
    // ggml ends the process when it multiplies with such a norm.
    check(
        &pocket.clone().reshape("blk.1.attn_norm.weight", &[256], GgmlType::F16),
        &["tensor `blk.1.attn_norm.weight` is F16; expected F32"],
    );
}

#[test]
fn the_tokenizers_arrays_have_one_length_each_text_once_and_ids_that_exist() {
    let pocket = Edited::pocket();
    let strings = |key: &str, edit: &dyn Fn(&mut Vec<String>)| {
        let mut model = pocket.clone();
        let Value::Array(Array::String(texts)) = model.value_mut(key) else { panic!("{key}") };
        edit(texts);
        model
    };
    let tokens = |edit: &dyn Fn(&mut Vec<String>)| strings("tokenizer.ggml.tokens", edit);
    // llama.cpp asserts each of these four.
    check(&tokens(&|t| t[7] = t[9].clone()), &["tokens 7 and 9 are both"]);
    check(&tokens(&|t| t[7] = format!("{}\0tail", t[9])), &["tokens 7 and 9 are both"]);
    check(&tokens(&|t| (t[7], t[9]) = (String::new(), "[EMPTY_7]".into())), &["tokens 9 and 7"]);
    check(&tokens(&|t| t.clear()), &["an array of 0 values"]);
    check(&tokens(&|t| t.truncate(4000)), &["an array of 4000 i32, one for each token"]);
    check(&tokens(&|t| t[100] = "x".repeat(5000)), &["element 100: a text of 5000 bytes"]);
    let merges = |edit: &dyn Fn(&mut Vec<String>)| strings("tokenizer.ggml.merges", edit);
    for merge in ["", "ab", "ab ", " ab"] {
        check(&merges(&|m| m[3] = merge.into()), &["tokenizer.ggml.merges`, element 3", "two tokens"]);
    }
    for (key, value, parts) in [
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![1; 5])), &["an array of 5 values"][..]),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![7; 4096])), &["element 0: 7"]),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(vec![6; 4096])), &["element 0", "`<0x0A>`"]),
        ("tokenizer.ggml.token_type", Value::Array(Array::U32(vec![1; 4096])), &["4096 i32"]),
        ("tokenizer.ggml.scores", Value::Array(Array::F32(vec![0.0])), &["4096 f32"]),
        ("tokenizer.ggml.scores", Value::Array(Array::F32(vec![f32::NAN; 4096])), &["not a number"]),
        ("tokenizer.ggml.eos_token_id", Value::U32(4096), &["the u32 4096", "below 4096"]),
        ("tokenizer.ggml.fim_pre_token_id", Value::I32(-1), &["the i32 -1"]),
        ("tokenizer.ggml.add_bos_token", Value::U8(1), &["a bool"]),
        ("tokenizer.ggml.pre", Value::U8(1), &["a string"]),
        // llama.cpp asserts that no word has a space, and this one leaves them in.
        ("tokenizer.ggml.pre", Value::String("whitespace".into()), &["byte-level"]),
        ("tokenizer.ggml.tokens", Value::Array(Array::I32(vec![1])), &["an array of strings"]),
        ("tokenizer.ggml.merges", Value::Bool(true), &["an array of strings"]),
        ("tokenizer.ggml.model", Value::String("rwkv".into()), &["`rwkv`", "gpt2 or llama", "--trust-model"]),
        // SentencePiece without byte tokens: an exception that nobody catches, at the first emoji.
        ("tokenizer.ggml.model", Value::String("llama".into()), &["without `<0x00>`"]),
    ] {
        check(&pocket.clone().set(key, value), parts);
    }
}

#[test]
fn a_vocabulary_is_checked_where_it_is_loaded_alone() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut model = Edited::pocket();
    model.tensors.clear();
    model.write(&path);
    assert_eq!(Vocabulary::load(&path).unwrap().n_vocab(), 4096);
    let Value::Array(Array::String(tokens)) = model.value_mut("tokenizer.ggml.tokens") else { panic!() };
    tokens[1] = tokens[2].clone();
    model.write(&path);
    assert!(matches!(Vocabulary::load(&path), Err(runtime::Error::Model { .. })));
}

#[test]
fn another_architecture_is_loaded_only_on_trust() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut model = Edited::pocket().set("general.architecture", Value::String("qwen3vl".into()));
    model.write(&path);
    let said = refused(&path, Trust::Checked);
    for part in ["`qwen3vl`", "qwen3, qwen2, llama", "--trust-model"] {
        assert!(said.contains(part), "{said}");
    }
    // On trust llama.cpp decides; this file has none of that architecture's keys.
    assert!(refused(&path, Trust::Unchecked).contains("llama.cpp does not load this model"));
    // The tokenizer's keys are looked at even so.
    *model.value_mut("tokenizer.ggml.eos_token_id") = Value::U32(5000);
    model.write(&path);
    assert!(refused(&path, Trust::Unchecked).contains("tokenizer.ggml.eos_token_id"));
    // What is said of a checked architecture holds with trust too.
    Edited::pocket().without("qwen3.block_count").write(&path);
    assert!(refused(&path, Trust::Unchecked).contains("qwen3.block_count"));
}

#[test]
fn a_split_model_is_loaded_by_its_first_file_and_every_part_is_checked() {
    let folder = folder();
    let parts = Edited::pocket().write_parts(folder.path(), "m", 3);
    let whole = Model::load(&pocket::pocket(FileType::Q8_0)).unwrap();
    let split = Model::load(&parts[0]).unwrap();
    assert_eq!(split.header().tensors.len(), whole.header().tensors.len());
    assert!(answer(&parts[0], folder.path()).status.success());

    let said = refused(&parts[1], Trust::Checked);
    assert!(said.contains("part 2 of 3") && said.contains("m-00001-of-00003.gguf"), "{said}");
    let renamed = folder.path().join("renamed.gguf");
    fs::copy(&parts[0], &renamed).unwrap();
    assert!(refused(&renamed, Trust::Checked).contains("`-00001-of-00003.gguf`"));

    let third = fs::read(&parts[2]).unwrap();
    fs::write(&parts[2], &third[..third.len() / 2]).unwrap();
    let said = refused(&parts[0], Trust::Checked);
    assert!(said.contains("m-00003-of-00003.gguf") && said.contains("cut short"), "{said}");
    fs::copy(&parts[1], &parts[2]).unwrap();
    assert!(refused(&parts[0], Trust::Checked).contains("key `split.no` is the u16 1; expected a u16 of 2"));
    fs::remove_file(&parts[2]).unwrap();
    let Err(missing) = Model::load(&parts[0]) else { panic!("a part is missing") };
    assert_eq!(missing.kind(), Kind::NoInput);
    assert!(missing.to_string().contains("m-00003-of-00003.gguf"), "{missing}");
}

#[test]
fn parts_of_two_models_are_refused() {
    let folder = folder();
    let first = Edited::pocket().write_parts(folder.path(), "m", 2)[0].clone();
    let second = folder.path().join("m-00002-of-00002.gguf");
    let key = |n| ("split.tensors.count", Value::I32(n));
    let part = |tensors: &[&str], no: Value| {
        let mut part = Edited { metadata: Vec::new(), tensors: Edited::pocket().tensors };
        part.tensors.retain(|tensor| tensors.contains(&tensor.0.as_str()));
        part.set("split.no", no).set("split.count", Value::U16(2)).set(key(68).0, key(68).1).write(&second);
        refused(&first, Trust::Checked)
    };
    assert!(part(&[], Value::U16(1)).contains("the parts hold 34 tensors"), "{}", part(&[], Value::U16(1)));
    assert!(
        part(&["token_embd.weight"], Value::U16(1))
            .contains("tensor `token_embd.weight` stands in two parts")
    );
    // llama.cpp asserts the type of this one.
    assert!(part(&[], Value::U32(1)).contains("key `split.no` is the u32 1; expected a u16"));
}

#[test]
fn version_2_and_another_alignment_and_an_odd_data_section_are_loaded() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut file = Edited::pocket().bytes();
    file[4] = 2;
    fs::write(&path, &file).unwrap();
    assert!(answer(&path, folder.path()).status.success());
    // Aligned to 8, the data section may begin where no kernel takes it from a map.
    let model = Edited::pocket().set("general.alignment", Value::U32(8));
    let mut loaded = 0;
    for extra in 0..4 {
        let model = model.clone().set("general.filler", Value::String("x".repeat(8 * extra + 1)));
        let mut file = model.bytes();
        let gguf = edgecall::gguf::Gguf::parse(&file).unwrap_or_else(|e| panic!("{e}"));
        let shift = file.len() as u64 - gguf.data_start;
        assert!(shift > 0);
        // The writer pads to 32; an alignment of 8 puts the data up to 24 bytes before that.
        let data: u64 = gguf.tensors.iter().map(|t| t.byte_len()).sum();
        let written = file.len() as u64 - data;
        file.drain(gguf.data_start as usize..written as usize);
        fs::write(&path, &file).unwrap();
        let output = answer(&path, folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        loaded += usize::from(!gguf.data_start.is_multiple_of(32));
    }
    assert!(loaded > 0, "none of them was odd");
}

const TOOLS: &str =
    r#"[{"name": "f", "parameters": {"properties": {"a": {"type": "string", "maxLength": 3}}}}]"#;

/// A call with the model at `path`: few tokens, one thread.
fn answer(path: &Path, folder: &Path) -> Output {
    fs::write(folder.join("tools.json"), TOOLS).unwrap();
    Command::new(env!("CARGO_BIN_EXE_edgecall"))
        .args(["call", "--threads", "1", "--tools", "tools.json", "hi", "-m"])
        .arg(path)
        .current_dir(folder)
        .env_remove("EDGECALL_MODEL")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What a command may end with; a signal is no code at all, and 70 and 101 are bugs here.
fn ended_well(output: &Output) -> bool {
    matches!(output.status.code(), Some(0 | 1 | 2 | 65 | 66 | 69 | 73 | 74))
}

#[test]
fn every_type_that_can_be_multiplied_runs_whatever_its_bytes_are() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut random = Random(5);
    let mut ran = 0;
    for &ggml_type in GgmlType::ALL {
        let mut model = Edited::pocket();
        for name in ["token_embd.weight", "blk.0.attn_q.weight", "blk.2.ffn_down.weight"] {
            let dims = model.tensor_mut(name).1.clone();
            model = model.reshape(name, &dims, ggml_type);
            model.tensor_mut(name).3.iter_mut().for_each(|byte| *byte = random.bits() as u8);
        }
        model.write(&path);
        let output = answer(&path, folder.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(ended_well(&output), "{ggml_type}: {:?} {stderr}", output.status);
        ran += usize::from(!stderr.contains("a type that llama.cpp multiplies with"));
    }
    assert_eq!(ran, GgmlType::ALL.len() - 7);
}

/// How many damaged files the test makes; `EDGECALL_FUZZ_CASES` sets another number.
fn cases() -> u64 {
    std::env::var("EDGECALL_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
}

#[test]
fn a_damaged_header_never_ends_the_process() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let original = Edited::pocket().bytes();
    let header = edgecall::gguf::Gguf::parse(&original).unwrap().data_start;
    let places = Places::of(&original, header as usize);
    let (mut loaded, mut refused) = (0, 0);
    for seed in 0..cases() {
        let mut random = Random(seed);
        let mut file = original.clone();
        for _ in 0..=random.bits() % 3 {
            places.damage(&mut file, &mut random);
        }
        fs::write(&path, &file).unwrap();
        let output = answer(&path, folder.path());
        if !ended_well(&output) {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("damaged-{seed}.gguf"));
            fs::copy(&path, &kept).unwrap();
            panic!(
                "{} ends with {:?}: {}",
                kept.display(),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        if output.status.success() { loaded += 1 } else { refused += 1 }
    }
    println!("{loaded} damaged files answered, {refused} refused");
    assert!(loaded > 0 && refused > 0, "{loaded} {refused}");
}

/// Where a header is worth damaging: most of its bytes are the texts of tokens and merges.
struct Places {
    header: usize,
    /// Beginnings of the numbers, names and types that are not in a long array.
    small: Vec<usize>,
}

impl Places {
    fn of(file: &[u8], header: usize) -> Places {
        let mut small: Vec<usize> = (0..24).collect();
        let find = |needle: &[u8]| file[..header].windows(needle.len()).position(|window| window == needle);
        for (key, value) in Edited::pocket().metadata {
            let start = find(key.as_bytes()).unwrap();
            let len = if value.as_array().is_some() { 20 } else { 16 };
            small.extend(start - 8..start + key.len() + len);
        }
        let table = find(b"token_embd.weight").unwrap().min(find(b"output_norm.weight").unwrap());
        small.extend(table - 8..header);
        Places { header, small }
    }

    fn damage(&self, file: &mut [u8], random: &mut Random) {
        let at = match random.bits() % 8 {
            0 => random.bits() as usize % self.header,
            _ => self.small[random.bits() as usize % self.small.len()],
        };
        match random.bits() % 4 {
            0 => file[at] ^= 1 << (random.bits() % 8),
            1 => file[at] = random.bits() as u8,
            2 => file[at] = [0, 1, 0x7f, 0x80, 0xff][random.bits() as usize % 5],
            _ => {
                let end = (at + 4).min(self.header);
                file[at..end].fill([0, 0xff][random.bits() as usize % 2]);
            }
        }
    }
}

#[test]
fn weights_that_are_no_numbers_and_random_ones_end_without_a_signal() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut random = Random(11);
    let mut model = Edited::pocket();
    for fill in [Some(0xff), Some(0x7f), Some(0x00), None, None] {
        for (.., data) in &mut model.tensors {
            data.iter_mut().for_each(|byte| *byte = fill.unwrap_or_else(|| random.bits() as u8));
        }
        model.write(&path);
        let output = answer(&path, folder.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(ended_well(&output), "{fill:?}: {:?} {stderr}", output.status);
    }
    // All of them NaN: there is no likeliest token, and that is said.
    for (.., ggml_type, data) in &mut model.tensors {
        if *ggml_type == GgmlType::F32 {
            data.fill(0xff);
        }
    }
    model.write(&path);
    let output = answer(&path, folder.path());
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("finite logit"));
}

#[test]
fn a_prompt_of_many_batches_and_one_that_fills_the_context_end_without_a_signal() {
    // A batch larger than the context's is an assertion in llama.cpp.
    let folder = folder();
    let model = pocket::pocket(FileType::Q8_0);
    for words in [510, 511, 512, 513, 1023, 1024, 1025] {
        fs::write(folder.path().join("tools.json"), TOOLS).unwrap();
        let text = "a ".repeat(words);
        let output = Command::new(env!("CARGO_BIN_EXE_edgecall"))
            .args(["call", "--threads", "1", "--tools", "tools.json", "--max-tokens", "40", &text, "-m"])
            .arg(&model)
            .args(["--ctx", "1024"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(ended_well(&output), "{words}: {:?}", output.status);
    }
}

#[test]
fn a_vocabulary_without_ends_or_with_giants_is_refused_or_runs() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let tokens = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut model = Edited::pocket();
        let Value::Array(Array::String(texts)) = model.value_mut("tokenizer.ggml.tokens") else { panic!() };
        edit(texts);
        model.write(&path);
        answer(&path, folder.path())
    };
    // The trie of the grammar counts a token's bytes in ten bits.
    let output = tokens(&|t| t[300] = "x".repeat(1100));
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("token 300 has 1100 bytes"));
    for edit in [
        // No mark that a call could begin or a turn could end with.
        &|t: &mut Vec<String>| (4000..t.len()).for_each(|i| t[i] = format!("plain{i}")) as (),
        &|t: &mut Vec<String>| t.iter_mut().enumerate().for_each(|(i, t)| *t = format!("x{i}")),
        // Characters that the byte-level alphabet does not have.
        &|t: &mut Vec<String>| t.iter_mut().enumerate().for_each(|(i, t)| *t = format!("\u{1F600}{i} \n")),
        &|t: &mut Vec<String>| t.iter_mut().enumerate().for_each(|(i, t)| *t = format!("<{i}>")),
        &|t: &mut Vec<String>| t[5] = String::new(),
    ] as [&dyn Fn(&mut Vec<String>); 5]
    {
        let output = tokens(edit);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(ended_well(&output), "{:?} {stderr}", output.status);
    }
}
