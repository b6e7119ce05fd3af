//! The command ends by itself with any model file: never by a signal, and with an exit code of its own.

use crate::{
    edited::Edited,
    fixture::Random,
    guard::{folder, renamed},
    oracle, pocket,
};
use edgecall::{
    convert::FileType,
    gguf::{Array, GgmlType, Value},
};
use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

const TOOLS: &str =
    r#"[{"name": "f", "parameters": {"properties": {"a": {"type": "string", "maxLength": 3}}}}]"#;

/// A call with the model at `path`: few tokens, one thread.
pub fn answer(path: &Path, folder: &Path) -> Output {
    fs::write(folder.join("tools.json"), TOOLS).unwrap();
    crate::program::edgecall()
        .args(["call", "--threads", "1", "--tools", "tools.json", "hi", "-m"])
        .arg(path)
        .current_dir(folder)
        .env_remove("EDGECALL_MODEL")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// True if the exit code is an expected one. A signal gives no code, and 70 and 101 are bugs.
fn ended_well(output: &Output) -> bool {
    matches!(output.status.code(), Some(0 | 1 | 2 | 65 | 66 | 69 | 73 | 74))
}

#[test]
fn every_type_that_ggml_writes_makes_a_call() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    // Small tensors, since some of ggml's encoders search for long.
    let names = ["blk.0.attn_k.weight", "blk.4.attn_output.weight"];
    let weights = fs::read(pocket::pocket(FileType::F32)).unwrap();
    let gguf = edgecall::gguf::Gguf::parse(&weights).unwrap();
    let mut ran = Vec::new();
    for &ggml_type in GgmlType::ALL {
        let mut model = Edited::pocket();
        for name in names {
            let dims = gguf.tensor(name).unwrap().dims.clone();
            let bytes = gguf.tensor_bytes(&weights, name).unwrap();
            let row: Vec<f32> = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
            // Matrices whose rows are not whole blocks of the type keep their type.
            if !dims[0].is_multiple_of(ggml_type.block_len()) {
                continue;
            }
            model = model.reshape(name, &dims, ggml_type);
            let Some(blocks) = oracle::encoded(ggml_type, &row, dims[0]) else { continue };
            model.tensor_mut(name).3 = blocks;
        }
        model.write(&path);
        let output = answer(&path, folder.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("a type that llama.cpp multiplies with") {
            assert_eq!(output.status.code(), Some(65), "{ggml_type}");
            continue;
        }
        assert!(output.status.success(), "{ggml_type}: {:?} {stderr}", output.status);
        let call: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(call["name"], "f", "{ggml_type}");
        ran.push(ggml_type);
    }
    assert_eq!(ran.len(), GgmlType::ALL.len() - 7, "{ran:?}");
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

/// Number of damaged files that the test makes; `EDGECALL_FUZZ_CASES` overrides it.
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

/// Positions in a header that are worth damaging, since most of its bytes are texts of tokens and merges.
struct Places {
    header: usize,
    /// Start of the numbers, names and types outside long arrays.
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

/// A value that a key may have by mistake or malice.
fn value(random: &mut Random) -> Value {
    let number = [0, 1, 2, 3, 7, 64, 255, 256, 513, 65_535, 1 << 24, 1 << 31, u64::from(u32::MAX), u64::MAX];
    let number = number[random.bits() as usize % number.len()];
    let float = [0.0, -1.0, 1e-45, 1e38, f32::INFINITY, f32::NAN][random.bits() as usize % 6];
    let len = [0, 1, 5, 6, 7, 513, 4096][random.bits() as usize % 7];
    match random.bits() % 16 {
        0 => Value::U8(number as u8),
        1 => Value::I32(number as i32),
        2 => Value::U64(number),
        3 => Value::I64(number as i64),
        4 | 5 => Value::F32(float),
        6 => Value::F64(float.into()),
        7 => Value::Bool(number & 1 == 1),
        8 => Value::String("x".repeat(len)),
        9 => Value::Array(Array::U32(vec![number as u32; len])),
        10 => Value::Array(Array::I32(vec![number as i32; len])),
        11 => Value::Array(Array::F32(vec![float; len])),
        12 => Value::Array(Array::String((0..len).map(|i| format!("{i}")).collect())),
        _ => Value::U32(number as u32),
    }
}

/// Keys that may be added to the model.
const FURTHER_KEYS: [&str; 14] = [
    "expert_count",
    "expert_used_count",
    "expert_group_count",
    "attention.sliding_window",
    "attention.key_length",
    "attention.value_length",
    "attention.causal",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.dimension_count",
    "rope.dimension_sections",
    "embedding_length_out",
    "pooling_type",
    "nextn_predict_layers",
];

/// Changes or removes a key or tensor of `model`; offsets stay correct.
fn disturb(model: &mut Edited, random: &mut Random) {
    let key = random.bits() as usize % model.metadata.len();
    let tensor = random.bits() as usize % model.tensors.len();
    match random.bits() % 12 {
        0 => drop(model.metadata.remove(key)),
        1 => drop(model.tensors.remove(tensor)),
        2 => {
            let architecture = model.metadata[0].1.as_str().unwrap_or("qwen3").to_owned();
            let name = FURTHER_KEYS[random.bits() as usize % FURTHER_KEYS.len()];
            model.metadata.retain(|(key, _)| *key != format!("{architecture}.{name}"));
            model.metadata.push((format!("{architecture}.{name}"), value(random)));
        }
        3 => {
            // Changes the number of elements in an array of the tokenizer.
            if let Value::Array(Array::String(texts)) = &mut model.metadata[key].1 {
                let len = random.bits() as usize % (texts.len() + 1);
                texts.truncate(len);
            }
        }
        4 => {
            if let Value::Array(Array::String(texts)) = &mut model.metadata[key].1
                && !texts.is_empty()
            {
                let at = random.bits() as usize % texts.len();
                texts[at] =
                    ["", " ", "\0", "a b", "<|im_end|>", "\u{fffd}"][random.bits() as usize % 6].into();
            }
        }
        5 => {
            // Swaps the names of two tensors.
            let (a, b) = (tensor, random.bits() as usize % model.tensors.len());
            let name = model.tensors[a].0.clone();
            model.tensors[a].0 = std::mem::replace(&mut model.tensors[b].0, name);
        }
        6..=8 => {
            let (name, mut dims, mut ggml_type, _) = model.tensors[tensor].clone();
            match random.bits() % 3 {
                0 => ggml_type = GgmlType::ALL[random.bits() as usize % GgmlType::ALL.len()],
                1 => dims.reverse(),
                _ => {
                    let dim = random.bits() as usize % dims.len();
                    dims[dim] = [1, 32, 256, 512, 4096][random.bits() as usize % 5];
                }
            }
            if dims[0].is_multiple_of(ggml_type.block_len()) {
                *model = model.clone().reshape(&name, &dims, ggml_type);
            }
        }
        _ => model.metadata[key].1 = value(random),
    }
}

#[test]
fn a_key_or_tensor_that_is_another_never_ends_the_process() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let whole = Edited::pocket();
    let (mut loaded, mut refused) = (0, 0);
    for seed in 0..cases() {
        let mut random = Random(seed ^ 0xed17);
        let mut model = whole.clone();
        for _ in 0..=random.bits() % 2 {
            disturb(&mut model, &mut random);
        }
        let path = if seed % 4 == 0 {
            let parts = 2 + random.bits() as usize % 3;
            model.write_parts(folder.path(), "s", parts)[0].clone()
        } else {
            model.write(&path);
            path.clone()
        };
        let output = answer(&path, folder.path());
        assert!(
            ended_well(&output),
            "seed {seed} ends with {:?}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() { loaded += 1 } else { refused += 1 }
    }
    println!("{loaded} of them answered, {refused} refused");
    assert!(loaded > 0 && refused > 0, "{loaded} {refused}");
}

#[test]
fn damaged_parts_of_a_split_model_never_end_the_process() {
    let folder = folder();
    let parts = Edited::pocket().write_parts(folder.path(), "m", 3);
    let originals: Vec<Vec<u8>> = parts.iter().map(|part| fs::read(part).unwrap()).collect();
    let (mut loaded, mut refused) = (0, 0);
    for seed in 0..cases() {
        let mut random = Random(seed ^ 0x5711);
        let which = random.bits() as usize % parts.len();
        let mut file = originals[which].clone();
        let header = edgecall::gguf::Gguf::parse(&file).unwrap().data_start as usize;
        // Later parts have only keys and the tensor table; in the first part the table is at its end.
        let from = header.saturating_sub(3000);
        for _ in 0..=random.bits() % 3 {
            let at = if random.bits().is_multiple_of(4) {
                8 + random.bits() as usize % 64
            } else {
                from + random.bits() as usize % (header - from)
            };
            file[at] = match random.bits() % 3 {
                0 => file[at] ^ (1 << (random.bits() % 8)),
                1 => random.bits() as u8,
                _ => [0, 1, 0x7f, 0x80, 0xff][random.bits() as usize % 5],
            };
        }
        fs::write(&parts[which], &file).unwrap();
        let output = answer(&parts[0], folder.path());
        assert!(
            ended_well(&output),
            "seed {seed} ends with {:?}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() {
            loaded += 1
        } else {
            refused += 1
        }
        fs::write(&parts[which], &originals[which]).unwrap();
    }
    println!("{loaded} damaged splits answered, {refused} refused");
    assert!(loaded > 0 && refused > 0, "{loaded} {refused}");
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
    // All weights are NaN: there is no most likely token, and the error says so.
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
        let output = crate::program::edgecall()
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
    // The trie of the grammar has ten bits for a token's length.
    let output = tokens(&|t| t[300] = "x".repeat(1100));
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("token 300 has 1100 bytes"));
    // No token can begin a JSON object, so none can continue the grammar.
    let output = tokens(&|t| {
        t.iter_mut()
            .enumerate()
            .filter(|(_, t)| t.contains('{'))
            .for_each(|(i, t)| *t = format!("no brace {i}"))
    });
    assert_eq!(output.status.code(), Some(65), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the model gives no token that the grammar takes"), "{said}");
    for edit in [
        // No special token that could begin a call or end a turn.
        &|t: &mut Vec<String>| (4000..t.len()).for_each(|i| t[i] = format!("plain{i}")) as (),
        &|t: &mut Vec<String>| t.iter_mut().enumerate().for_each(|(i, t)| *t = format!("x{i}")),
        // Characters outside the byte-level alphabet.
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

/// The pocket model under the name of another architecture, without the tensors that this one does not have.
fn foreign(architecture: &str) -> Edited {
    let mut model = renamed(architecture);
    model.tensors.retain(|(name, ..)| {
        !name.contains("_norm.weight") || !name.contains("attn_q") && !name.contains("attn_k")
    });
    model
}

/// A call with the model at `path`, which is trusted.
fn trusting(path: &Path, folder: &Path, further: &[&str]) -> Output {
    let mut command = crate::program::edgecall();
    command
        .args(["call", "--threads", "1", "--max-tokens", "8", "--no-cache", "--trust-model", "hi", "-m"])
        .arg(path);
    command.args(further).current_dir(folder).env_remove("EDGECALL_MODEL");
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_trusted_model_on_which_llama_cpp_aborts_is_refused_with_the_assertion() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let number = |number| Value::U32(number);
    for (architecture, keys, assertion) in [
        // At a decode, in the header, at the tensors, and in the header of a loop over all layers.
        ("paddleocr", &[][..], "sections[0] > 0"),
        (
            "gemma-embedding",
            &[("dense_2_feat_in", number(3)), ("attention.sliding_window", number(64))],
            "dense_2_feat_in",
        ),
        ("smallthinker", &[], "n_expert must be > 0"),
        (
            "grovemoe",
            &[
                ("expert_feed_forward_length", number(64)),
                ("experts_per_group", number(2)),
                ("expert_group_scale", Value::F32(1.0)),
            ],
            "n_expert must be > 0",
        ),
        ("nanbeige", &[("num_loops", number(100_000))], "LLAMA_MAX_LAYERS"),
    ] {
        let mut model = foreign(architecture);
        for (key, value) in keys {
            model = model.set(&format!("{architecture}.{key}"), value.clone());
        }
        model.write(&path);
        let output = trusting(&path, folder.path(), &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{architecture}: {:?} {stderr}", output.status);
        assert!(
            stderr.contains("llama.cpp crashes on this model") && stderr.contains(assertion),
            "{architecture}: {stderr}"
        );
        assert!(output.stdout.is_empty() && !stderr.contains(".cargo"), "{architecture}: {stderr}");
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["m.gguf"], "no core file");
    }
}

#[test]
fn a_trusted_model_that_runs_is_tried_first_and_answers() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    foreign("ernie4_5").write(&path);
    let output = trusting(&path, folder.path(), &["-v"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("tried in a child process first"), "{stderr}");
    assert!(!output.stdout.is_empty());
    // What is fully checked is not.
    Edited::pocket().write(&path);
    let output = trusting(&path, folder.path(), &["-v"]);
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("child process"));
}

#[test]
fn a_trusted_model_that_passed_its_trial_is_not_tried_again_until_it_changes() {
    let folder = folder();
    let (path, cache) = (folder.path().join("m.gguf"), folder.path().join("cache"));
    foreign("ernie4_5").write(&path);
    let is_tried = |further: &[&str]| {
        let mut command = crate::program::edgecall();
        command.args(["call", "-v", "--max-tokens", "8", "--trust-model", "hi", "-m"]).arg(&path);
        command.arg("--cache-dir").arg(&cache).args(further).env_remove("EDGECALL_MODEL");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        stderr.contains("tried in a child process first")
    };
    assert!(is_tried(&["--threads=1"]) && !is_tried(&["--threads=1"]));
    assert!(is_tried(&["--threads=2"]), "other options are another trial");
    let notes = || {
        let entries = fs::read_dir(cache.join("saved")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "trial")).collect::<Vec<_>>()
    };
    assert_eq!(notes().len(), 2);
    notes().iter().for_each(|note| fs::write(note, "passed\n").unwrap());
    assert!(is_tried(&["--threads=1"]) && !is_tried(&["--threads=1"]), "a damaged note is none");
    foreign("ernie4_5").set("general.name", Value::String("another".into())).write(&path);
    assert!(is_tried(&["--threads=1"]), "the file changed");
}

#[test]
fn what_a_tokenizer_has_no_token_for_is_named_and_not_decoded() {
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let mut model = Edited::pocket();
    *model.value_mut("tokenizer.ggml.model") = Value::String("rwkv".into());
    model.write(&path);
    let output = trusting(&path, folder.path(), &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(ended_well(&output), "{:?} {stderr}", output.status);
}

#[test]
fn a_key_or_tensor_of_a_trusted_model_that_is_another_never_ends_the_process() {
    const FOREIGN: [&str; 20] = [
        "paddleocr",
        "gemma",
        "gemma2",
        "gemma-embedding",
        "grovemoe",
        "smallthinker",
        "jamba",
        "nanbeige",
        "ernie4_5",
        "stablelm",
        "qwen3vl",
        "qwen2vl",
        "qwen3moe",
        "olmo2",
        "starcoder2",
        "mamba",
        "falcon-h1",
        "deepseek2",
        "internlm2",
        "exaone4",
    ];
    let folder = folder();
    let path = folder.path().join("m.gguf");
    let (mut loaded, mut refused) = (0, 0);
    for seed in 0..cases() / 3 {
        let mut random = Random(seed ^ 0xf0e1);
        let (architecture, mut model) = if seed == 0 {
            // One that answers, so that not all are refused for another reason.
            ("ernie4_5", foreign("ernie4_5"))
        } else {
            let architecture = FOREIGN[random.bits() as usize % FOREIGN.len()];
            let is_foreign = random.bits().is_multiple_of(2);
            (architecture, if is_foreign { foreign(architecture) } else { renamed(architecture) })
        };
        for _ in 0..if seed == 0 { 0 } else { random.bits() % 3 } {
            disturb(&mut model, &mut random);
        }
        model.write(&path);
        let output = trusting(&path, folder.path(), &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(ended_well(&output), "seed {seed}, {architecture}: {:?} {stderr}", output.status);
        if output.status.success() { loaded += 1 } else { refused += 1 }
    }
    println!("{loaded} of them answered, {refused} refused");
    assert!(loaded > 0 && refused > 0, "{loaded} {refused}");
}

#[test]
fn a_low_limit_of_the_address_space_is_a_sentence_and_no_abort() {
    let folder = folder();
    let model = pocket::pocket(FileType::Q8_0);
    let at = |path: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string();
    let (checkpoint, data) = (at("models/pocket"), at("examples/restaurants/benchmark"));
    let program = crate::program::edgecall().get_program().to_str().unwrap().to_owned();
    let model = model.display();
    for (command, codes) in [
        (format!("convert {checkpoint} --type q8_0 -o m.gguf --force"), &[69][..]),
        (format!("bench speed --quick -m {model} --threads 1"), &[69]),
        (
            format!(
                "bench tft --data {data} --limit 1 --threads 1 --speed 0 --no-drift -m {model} --out rows.jsonl"
            ),
            &[69],
        ),
        // The report says so, too.
        (format!("doctor -m {model} --cache-dir cache"), &[1, 69]),
    ] {
        // Below that the system's loader cannot map the program, which has 60 MB.
        for mib in [72, 96] {
            let line = format!("ulimit -c 0; ulimit -v {}; exec {program} {command}", mib << 10);
            let mut shell = std::process::Command::new("sh");
            shell
                .args(["-c", &line])
                .current_dir(folder.path())
                .env_remove("EDGECALL_MODEL")
                .env_remove("RUST_BACKTRACE");
            let output = shell.stdin(Stdio::null()).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            assert!(
                code.is_some_and(|code| codes.contains(&code)),
                "{mib} MiB, {command}: {:?} {stderr}",
                output.status
            );
            assert_eq!(stderr.lines().count(), 1, "{mib} MiB, {command}: {stderr}");
            let is_told = ["ulimit -v", "Cannot allocate memory"].iter().any(|words| stderr.contains(words));
            assert!(is_told || code == Some(1), "{mib} MiB, {command}: {stderr}");
        }
    }
}
