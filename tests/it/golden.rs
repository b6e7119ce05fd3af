//! Equality with the reference's output, tensor by tensor and key by key: golden lists of llama.cpp's converter and
//! quantizer for checkpoints made from a seed.

use crate::program::python;
use crate::shared::shared;
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, FileType, Plan, Recipe, Targets},
    gguf::{Array, Gguf, Value},
    mmap::Map,
};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, atomic::AtomicBool},
};

macro_rules! mini {
    () => {
        "--hidden 256 --layers 4 --heads 4 --kv-heads 2 --head-dim 64 --ffn 768 --vocab 544"
    };
}

/// Checkpoints: name, tokenizer, and the arguments of `gen_ckpt.py`, from `golden/README.md`.
const CHECKPOINTS: &[(&str, &str, &str)] = &[
    ("qwen3-tied", "mini-tok", mini!()),
    ("qwen3-sharded", "mini-tok", concat!(mini!(), " --shard-bytes 1000000")),
    ("qwen3-tied-with-head", "mini-tok", concat!(mini!(), " --tied-with-head")),
    ("qwen3-edge", "mini-tok", concat!(mini!(), " --edge --untied")),
    ("qwen2", "mini-tok", concat!(mini!(), " --arch qwen2")),
    (
        "qwen3-28l",
        "mini-tok",
        "--hidden 256 --layers 28 --heads 4 --kv-heads 2 --head-dim 64 --ffn 256 --vocab 544",
    ),
    (
        "qwen3-odd288",
        "mini-tok",
        "--hidden 288 --layers 4 --heads 3 --kv-heads 1 --head-dim 96 --ffn 800 --vocab 544",
    ),
    (
        "llama",
        "tok-mini-llama3",
        "--arch llama --hidden 256 --layers 4 --heads 4 --kv-heads 2 --head-dim 64 --ffn 768 --vocab 768 \
         --untied --rope-theta 500000 --eps 1e-5",
    ),
    ("tiny", "../data/qwen3", "--hidden 256 --layers 2 --heads 4 --kv-heads 2 --head-dim 64 --ffn 768"),
];

/// Keys that come from the folder's name and are only for display.
const OUTSIDE_THE_PROMISE: [&str; 4] =
    ["general.name", "general.basename", "general.finetune", "general.size_label"];

#[test]
fn conformance_the_golden_lists_of_small_checkpoints_hold() {
    hold("mini", generated);
}

#[test]
fn conformance_the_golden_lists_of_the_real_vocabulary_hold() {
    hold("tiny", generated);
}

#[test]
fn conformance_the_golden_lists_of_the_pocket_model_hold() {
    // The lists were made before the model had a model card, and a card adds keys.
    let bare = tempfile::tempdir().unwrap();
    hold("pocket", |golden, name| {
        let dir = bare.path().join(name);
        fs::create_dir(&dir).unwrap();
        for entry in fs::read_dir(golden.join("../models").join(name)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "README.md" {
                symlink(fs::canonicalize(entry.path()).unwrap(), dir.join(entry.file_name())).unwrap();
            }
        }
        Some(dir)
    });
}

/// Converts each checkpoint that has lists in `folder`, and compares the files with the lists.
fn hold(folder: &str, checkpoint: impl Fn(&Path, &str) -> Option<PathBuf>) {
    let Some(shared) = shared() else { return };
    let golden = shared.join("golden");
    let lists = lists(&golden.join("lists").join(folder));
    assert!(!lists.is_empty(), "no lists in {folder}");
    let mut held = 0;
    for (name, lists) in &lists {
        let Some(dir) = checkpoint(&golden, name) else { return };
        let checkpoint = Checkpoint::open(&dir).unwrap();
        for via_f16 in [false, true] {
            let lists: Vec<&List> = lists.iter().filter(|list| list.via_f16() == via_f16).collect();
            held += hold_lists(&checkpoint, name, &lists, via_f16);
        }
    }
    println!("{held} golden lists of {folder} hold");
}

/// A list, with the facts from its file name.
pub struct List {
    path: PathBuf,
    /// `None` for the converter's own output.
    quantized_from: Option<String>,
    file_type: FileType,
}

impl List {
    /// True for the lists of files that were quantized from F16.
    pub fn via_f16(&self) -> bool {
        self.quantized_from.as_deref() == Some("f16")
    }

    /// True if our file should have the tensor order of this list: its last tool is the one whose order we follow for
    /// the type.
    fn has_our_order(&self) -> bool {
        self.file_type.is_converters() == self.quantized_from.is_none()
    }
}

/// Lists of the types that we write, by checkpoint.
pub fn lists(folder: &Path) -> BTreeMap<String, Vec<List>> {
    let mut lists: BTreeMap<String, Vec<List>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_name().unwrap().to_str().unwrap().strip_suffix(".json").unwrap().to_owned();
        // `tiny-bf16-to-Q4_K_M` has a dash, the other names have a dot.
        let (name, kind) = stem.rsplit_once('.').unwrap_or_else(|| stem.split_once('-').unwrap());
        let (quantized_from, file_type) = match kind.split_once("-to-") {
            Some((from, file_type)) => (Some(from.to_owned()), file_type),
            None => (None, kind),
        };
        if let Ok(file_type) = file_type.parse() {
            let list = List { path, quantized_from, file_type };
            lists.entry(name.to_owned()).or_default().push(list);
        }
    }
    lists
}

/// Converts once to all types of `lists`, and returns the number of lists that match.
pub fn hold_lists(checkpoint: &Checkpoint, name: &str, lists: &[&List], via_f16: bool) -> usize {
    // The reference's converter writes infinities there; its quantizer refuses them, and so does ours.
    let refused = |list: &&List| name == "qwen3-edge" && list.file_type == FileType::F16;
    let (refused, lists): (Vec<&List>, Vec<&List>) = lists.iter().copied().partition(refused);
    let out = tempfile::tempdir().unwrap();
    for list in &refused {
        let error = convert_to(checkpoint, name, &[list.file_type], via_f16, out.path()).unwrap_err();
        assert!(
            error.to_string().contains("has 70144 at index 1792, which is beyond F16's range"),
            "{error}"
        );
        assert_eq!(
            fs::read_dir(out.path()).unwrap().count(),
            0,
            "a refused conversion left something behind"
        );
    }
    let mut types: Vec<FileType> = lists.iter().map(|list| list.file_type).collect();
    types.sort();
    types.dedup();
    if types.is_empty() {
        return refused.len();
    }
    let paths = convert_to(checkpoint, name, &types, via_f16, out.path()).unwrap();
    let found: BTreeMap<FileType, Json> =
        types.iter().copied().zip(paths.iter().map(|path| listing(path))).collect();
    for list in &lists {
        let wanted: Json = serde_json::from_slice(&fs::read(&list.path).unwrap()).unwrap();
        compare(list, &found[&list.file_type], &wanted);
    }
    refused.len() + lists.len()
}

/// The pre-tokenizer that a checkpoint's lists were made with, as its cut vocabulary has no known hash; `None` for a
/// SentencePiece vocabulary.
pub fn pretokenizer(name: &str) -> Option<&'static str> {
    let families = [
        ("llama", "llama-bpe"),
        ("lfm2-", "lfm2"),
        ("gemma3-json", "granite-embed-multi-311m"),
        ("granite3-", "refact"),
        ("granite4-", "dbrx"),
        ("smollm3-", "smaug-bpe"),
        ("phi4-", "gpt-4o"),
        ("qwen35-", "qwen35"),
    ];
    let found = families.iter().find(|(family, _)| name.starts_with(family));
    match found {
        Some((_, pre)) => Some(pre),
        None => (!name.starts_with("gemma3-")).then_some("qwen2"),
    }
}

fn convert_to(
    checkpoint: &Checkpoint,
    name: &str,
    types: &[FileType],
    via_f16: bool,
    out: &Path,
) -> Result<Vec<PathBuf>, convert::Error> {
    let pre = pretokenizer(name).map(str::to_owned);
    let recipe = Recipe { file_types: types.to_vec(), via_f16, pre, ..Recipe::default() };
    let plan = Plan::new(checkpoint, recipe)?;
    let targets = Targets::new(checkpoint, &plan, Some(out), true)?;
    let converted = convert::convert(checkpoint, &plan, &targets, None, &mut (), &AtomicBool::new(false))?;
    converted.publish()?;
    Ok(targets.paths().to_vec())
}

fn compare(list: &List, found: &Json, wanted: &Json) {
    let path = list.path.display();
    let tensors = |json: &Json| -> Vec<Json> {
        let tensors = json["tensors"].as_array().unwrap();
        tensors.iter().map(|t| json!([t["name"], t["type"], t["shape"], t["sha256"]])).collect()
    };
    let (mut ours, mut theirs) = (tensors(found), tensors(wanted));
    if !list.has_our_order() {
        ours.sort_by_key(|tensor| tensor[0].to_string());
        theirs.sort_by_key(|tensor| tensor[0].to_string());
    }
    assert_eq!(ours.len(), theirs.len(), "{path}: number of tensors");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{path}");
    }
    if !list.has_our_order() {
        return;
    }
    let keys = |json: &Json| -> Vec<Json> {
        let keys = json["kv"].as_array().unwrap().iter().cloned();
        keys.filter(|kv| !OUTSIDE_THE_PROMISE.contains(&kv["key"].as_str().unwrap())).collect()
    };
    let (ours, theirs) = (keys(found), keys(wanted));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{path}");
    }
    assert_eq!(ours.len(), theirs.len(), "{path}: number of keys");
}

/// Lists a file in the format of `golden/ggufhash.py`.
fn listing(path: &Path) -> Json {
    let file = Map::open(path).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let keys: Vec<Json> = gguf.metadata.iter().map(|(key, value)| listed_key(key, value)).collect();
    let tensors = gguf.tensors.iter().map(|tensor| {
        json!({
            "name": tensor.name, "type": tensor.ggml_type.name(), "shape": tensor.dims,
            "sha256": sha256(gguf.tensor_bytes(&file, &tensor.name).unwrap()),
        })
    });
    json!({"kv": keys, "tensors": tensors.collect::<Vec<_>>()})
}

fn listed_key(key: &str, value: &Value) -> Json {
    let (type_name, listed) = match value {
        Value::U32(n) => ("u32", json!(n)),
        Value::I32(n) => ("i32", json!(n)),
        Value::Bool(b) => ("bool", json!(b)),
        Value::F32(n) => ("f32", json!({"f32": f64::from(*n), "bits": format!("0x{:08x}", n.to_bits())})),
        Value::String(text) if text.chars().count() > 200 => {
            ("str", json!({"string_len": text.len(), "sha256": sha256(text.as_bytes())}))
        }
        Value::String(text) => ("str", json!(text)),
        Value::Array(Array::String(texts)) => {
            let mut bytes = array_header(8, texts.len());
            for text in texts {
                bytes.extend((text.len() as u64).to_le_bytes());
                bytes.extend(text.as_bytes());
            }
            ("arr", listed_array("str", texts.len(), json!(&texts[..texts.len().min(3)]), &bytes))
        }
        Value::Array(Array::I32(numbers)) => {
            let mut bytes = array_header(5, numbers.len());
            numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            ("arr", listed_array("i32", numbers.len(), json!(&numbers[..numbers.len().min(3)]), &bytes))
        }
        Value::Array(Array::F32(numbers)) => {
            let mut bytes = array_header(6, numbers.len());
            numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            let first: Vec<f64> = numbers.iter().take(3).copied().map(f64::from).collect();
            ("arr", listed_array("f32", numbers.len(), json!(first), &bytes))
        }
        Value::Array(Array::Bool(truths)) => {
            let mut bytes = array_header(7, truths.len());
            bytes.extend(truths.iter().map(|&truth| u8::from(truth)));
            ("arr", listed_array("bool", truths.len(), json!(&truths[..truths.len().min(3)]), &bytes))
        }
        other => panic!("{key}: no list has a value like {other:?}"),
    };
    json!({"key": key, "type": type_name, "value": listed})
}

fn array_header(type_id: u32, len: usize) -> Vec<u8> {
    let mut bytes = type_id.to_le_bytes().to_vec();
    bytes.extend((len as u64).to_le_bytes());
    bytes
}

fn listed_array(of: &str, len: usize, first: Json, bytes: &[u8]) -> Json {
    json!({"array_of": of, "len": len, "first": first, "sha256": sha256(bytes)})
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checkpoint `name`, generated from its seed once for all runs; `None`, with a message, without numpy.
///
/// # Panics
/// Under `CI=true` missing numpy fails the test instead of skipping it.
pub fn generated(golden: &Path, name: &str) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-checkpoints");
    fs::create_dir_all(&cache).unwrap();
    let dir = cache.join(name);
    if dir.is_dir() {
        return Some(with_one_template(dir));
    }
    let has_numpy = python().args(["-c", "import numpy"]).output().is_ok_and(|o| o.status.success());
    if !has_numpy {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "the golden checkpoints are made with numpy, and CI must not skip conformance: \
             eval \"$(scripts/setup --dev)\""
        );
        println!("skipped: EDGECALL_PYTHON (else python3) has no numpy");
        return None;
    }
    let (_, tokenizer, arguments) = CHECKPOINTS
        .iter()
        .find(|(known, ..)| *known == name)
        .unwrap_or_else(|| panic!("no recipe for {name}"));
    let tokenizer = match *tokenizer {
        "mini-tok" => mini_tokenizer(golden, &cache),
        other => golden.join(other),
    };
    // Made under a temporary name and renamed, so that an interrupted run leaves no partial checkpoint.
    let half = tempfile::tempdir_in(&cache).unwrap();
    let mut command = python();
    command.arg(golden.join("gen_ckpt.py")).arg("--tokenizer").arg(tokenizer).arg("--out").arg(half.path());
    run(command.args(arguments.split_whitespace()));
    fs::rename(half.keep(), &dir).unwrap();
    Some(with_one_template(dir))
}

/// `dir` with the template of tokenizer_config.json alone, which the reference converter takes; edgecall takes that of
/// the other file.
pub fn with_one_template(dir: PathBuf) -> PathBuf {
    let other = dir.join("chat_template.jinja");
    let configured = fs::read_to_string(dir.join("tokenizer_config.json")).unwrap_or_default();
    if other.exists() && configured.contains("\"chat_template\"") {
        fs::remove_file(other).unwrap();
    }
    dir
}

/// The tokenizer that is cut to 512 tokens, in `cache`.
pub fn mini_tokenizer(golden: &Path, cache: &Path) -> PathBuf {
    let dir = cache.join("mini-tok");
    if !dir.is_dir() {
        let half = tempfile::tempdir_in(cache).unwrap();
        let mut command = python();
        run(command.arg(golden.join("mini_tok.py")).arg(golden.join("../data/qwen3")).arg(half.path()));
        fs::rename(half.keep(), &dir).unwrap();
    }
    dir
}

/// Runs `command` to its end.
///
/// # Panics
/// If it fails.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
