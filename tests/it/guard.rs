//! No model file ends the process: it is loaded, or refused with the name of the wrong key or tensor.

use crate::{edited::Edited, pocket, signals::answer};
use edgecall::{
    Kind,
    convert::FileType,
    gguf::{Array, GgmlType, Value},
    remedy::Remedy,
    runtime::{self, LoadOptions, Model, Trust, Vocabulary},
};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

pub fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Error for `model`, with all causes as one text.
fn refusal(model: &Edited) -> String {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    model.write(&path);
    refused(&path, Trust::Checked)
}

fn refused(path: &Path, trust: Trust) -> String {
    let Err(error) = Model::load_with(path, LoadOptions { trust, ..LoadOptions::default() }) else {
        panic!("{} was loaded", path.display())
    };
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
        // A negative value is an assertion in ggml's norm.
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
    // ggml has no dot product for these types and calls a null pointer.
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
    // Each of these four is an assertion in llama.cpp.
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
        // llama.cpp asserts that no word has a space; this pre-tokenizer keeps them.
        ("tokenizer.ggml.pre", Value::String("whitespace".into()), &["byte-level"]),
        ("tokenizer.ggml.tokens", Value::Array(Array::I32(vec![1])), &["an array of strings"]),
        ("tokenizer.ggml.merges", Value::Bool(true), &["an array of strings"]),
        ("tokenizer.ggml.model", Value::String("rwkv".into()), &["`rwkv`", "gpt2 or llama"]),
        // SentencePiece without byte tokens: an uncaught exception at the first emoji.
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
    for part in ["`qwen3vl`", "qwen3, qwen2, llama"] {
        assert!(said.contains(part), "{said}");
    }
    let error = Model::load(&path).err().unwrap();
    assert_eq!(error.remedies(), [Remedy::TrustModel]);
    // Unchecked, llama.cpp decides, except for the keys that every architecture has; this file lacks them.
    assert!(refused(&path, Trust::Unchecked).contains("key `qwen3vl.block_count` is missing"));
    // The tokenizer's keys are checked even then.
    *model.value_mut("tokenizer.ggml.eos_token_id") = Value::U32(5000);
    model.write(&path);
    assert!(refused(&path, Trust::Unchecked).contains("tokenizer.ggml.eos_token_id"));
    // A fully checked architecture is checked in unchecked mode too.
    Edited::pocket().without("qwen3.block_count").write(&path);
    assert!(refused(&path, Trust::Unchecked).contains("qwen3.block_count"));
}

/// The pocket model, renamed to another architecture.
pub fn renamed(architecture: &str) -> Edited {
    let mut model = Edited::pocket().set("general.architecture", Value::String(architecture.into()));
    for (key, _) in &mut model.metadata {
        if let Some(name) = key.strip_prefix("qwen3.") {
            *key = format!("{architecture}.{name}");
        }
    }
    model
}

#[test]
fn what_llama_cpp_refuses_is_refused_with_its_reason() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let said = |model: Edited| {
        model.write(&path);
        refused(&path, Trust::Unchecked)
    };
    assert!(said(renamed("nonesuch")).contains("unknown model architecture: 'nonesuch'"));
    let text = said(renamed("gemma2").without("gemma2.attention.layer_norm_rms_epsilon"));
    assert!(text.contains("does not load this model: error loading model"), "{text}");
    assert!(text.contains("gemma2.attention.layer_norm_rms_epsilon"), "{text}");
    let text = said(renamed("phi3").without_tensor("blk.3.ffn_down.weight"));
    assert!(text.contains("blk.") && text.contains("tensor"), "{text}");
}

#[test]
fn an_architecture_that_is_trusted_is_still_asked_for_what_all_of_them_have() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let foreign = renamed("stablelm");
    let u32s = |numbers: &[u32]| Value::Array(Array::U32(numbers.to_vec()));
    for (key, value, parts) in [
        // llama.cpp asserts these, or divides by them.
        ("block_count", Value::U32(0), &["a u32 from 1 to 512"][..]),
        ("block_count", Value::U32(513), &["a u32 from 1 to 512"]),
        ("nextn_predict_layers", Value::U32(7), &["a u32 from 0 to 6"]),
        ("expert_count", Value::U32(1025), &["a u32 from 0 to 1024"]),
        ("expert_count", Value::U32(8), &["key `stablelm.expert_used_count` is missing"]),
        ("expert_used_count", Value::U32(2), &["stablelm.expert_used_count", "element 0: 2"]),
        ("rope.scaling.type", Value::String("sideways".into()), &["one of none, linear"]),
        // Values that no model has.
        ("context_length", Value::U32(0), &["stablelm.context_length"]),
        ("context_length", Value::U32(u32::MAX), &["stablelm.context_length"]),
        ("embedding_length", Value::U32(u32::MAX), &["stablelm.embedding_length"]),
        ("embedding_length", Value::String("256".into()), &["the string"]),
        ("feed_forward_length", u32s(&[768; 5]), &["an array of 5 values", "or 6 of them"]),
        ("attention.head_count", Value::U32(u32::MAX), &["attention.head_count`, element 0"]),
        ("attention.head_count_kv", u32s(&[2, 2, 3, 2, 2, 2]), &["element 2: 3", "a divisor"]),
        ("attention.key_length", Value::U32(0), &["attention.key_length"]),
        ("attention.layer_norm_epsilon", Value::F32(-1.0), &["from 0 to 1"]),
        ("rope.dimension_count", Value::U32(33), &["an even number"]),
        ("rope.freq_base", Value::F32(0.0), &["above 0"]),
        ("anything.at_all", Value::F32(f32::NAN), &["a finite number"]),
    ] {
        foreign.clone().set(&format!("stablelm.{key}"), value).write(&path);
        let said = refused(&path, Trust::Unchecked);
        for part in parts {
            assert!(said.contains(part), "{key}: `{part}` is not in: {said}");
        }
    }
    for ggml_type in [GgmlType::Q8K, GgmlType::I32] {
        foreign.clone().reshape("blk.1.ffn_up.weight", &[256, 768], ggml_type).write(&path);
        assert!(refused(&path, Trust::Unchecked).contains("multiplies with"), "{ggml_type}");
    }
    foreign.clone().reshape("blk.1.attn_norm.weight", &[256], GgmlType::F16).write(&path);
    assert!(refused(&path, Trust::Unchecked).contains("is F16; expected F32"));
}

#[test]
fn tokenizers_that_are_trusted_are_still_asked_for_what_all_of_them_have() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let model = |name: &str| {
        let mut model = Edited::pocket();
        *model.value_mut("tokenizer.ggml.model") = Value::String(name.into());
        model
    };
    for name in ["none", "no_vocab"] {
        model(name).write(&path);
        assert!(refused(&path, Trust::Unchecked).contains("the model has no tokenizer"), "{name}");
    }
    for name in ["bert", "t5", "rwkv", "plamo2", "gemma4", "whitespace", "hybriddna"] {
        model(name).write(&path);
        assert_eq!(Model::load(&path).err().unwrap().remedies(), [Remedy::TrustModel], "{name}");
        let mut twice = model(name);
        let Value::Array(Array::String(texts)) = twice.value_mut("tokenizer.ggml.tokens") else { panic!() };
        texts[7] = texts[9].clone();
        twice.write(&path);
        assert!(refused(&path, Trust::Unchecked).contains("tokens 7 and 9"), "{name}");
        model(name).set("tokenizer.ggml.eos_token_id", Value::U32(4096)).write(&path);
        assert!(refused(&path, Trust::Unchecked).contains("below 4096"), "{name}");
        model(name).set("tokenizer.ggml.scores", Value::Array(Array::F32(vec![0.0]))).write(&path);
        assert!(refused(&path, Trust::Unchecked).contains("4096 f32"), "{name}");
    }
    // SentencePiece, as in another model family, is checked completely and needs byte tokens.
    model("llama").write(&path);
    assert!(refused(&path, Trust::Unchecked).contains("without `<0x00>`"));
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let folder = folder();
    let pipe = folder.path().join("pipe.gguf");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for path in [pipe.as_path(), Path::new("/dev/zero")] {
        assert!(refused(path, Trust::Checked).contains("is no regular file"));
    }
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
    // llama.cpp asserts the type of this key.
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
    // With an alignment of 8 the data section may start at an address that no kernel accepts for mapped weights.
    let model = Edited::pocket().set("general.alignment", Value::U32(8));
    let mut loaded = 0;
    for extra in 0..4 {
        let model = model.clone().set("general.filler", Value::String("x".repeat(8 * extra + 1)));
        let mut file = model.bytes();
        let gguf = edgecall::gguf::Gguf::parse(&file).unwrap_or_else(|e| panic!("{e}"));
        let shift = file.len() as u64 - gguf.data_start;
        assert!(shift > 0);
        // The writer pads to 32; an alignment of 8 puts the data up to 24 bytes earlier.
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
