//! The models behind the witnesses in `tests/fixtures/witness`, all made from seeds; `scripts/make_witness_fixtures` gives the
//! same folders to transformers.

use crate::fixture::{self, Fixture, Head, Random, write_json};
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, FileType, Plan, Recipe, Targets},
    witness::{Options, Report, Witness, compare},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// Rank of the adapter.
const RANK: usize = 4;
/// `lora_alpha / r`.
const SCALE: f32 = 2.0;

/// Tensors by name, `[out, in]` or `[n]`, in float32.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The witness of this name.
pub fn witness(name: &str) -> Witness {
    Witness::read(&path(name)).unwrap()
}

/// Path of the witness of this name.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/witness").join(format!("{name}.json"))
}

/// Compares a file with the witness of this name, on one thread.
pub fn compared(model: &Path, name: &str) -> Report {
    let options = Options { threads: NonZeroUsize::new(1), ..Options::default() };
    compare(model, &witness(name), &options, |_| true).unwrap().unwrap()
}

/// Small checkpoints of each architecture, by the name of the witness.
pub fn shapes() -> [(&'static str, Fixture); 3] {
    let shape = |class, model_type: &str| Fixture {
        class,
        head_dim: 64,
        config: json!({"model_type": model_type}),
        ..Fixture::default()
    };
    [
        ("qwen3", shape("Qwen3ForCausalLM", "qwen3")),
        ("qwen2", Fixture { head: Head::TiedCopy, ..shape("Qwen2ForCausalLM", "qwen2") }),
        ("llama", Fixture { head: Head::Untied, shards: 2, ..shape("LlamaForCausalLM", "llama") }),
    ]
}

/// The weights of the pocket model with an output head of its own.
pub fn untied() -> Tensors {
    let mut tensors = read(&pocket().join("model.safetensors"));
    let (shape, embedding) = tensors["model.embed_tokens.weight"].clone();
    let mut random = Random(7);
    let head = embedding.iter().map(|weight| weight + 0.02 * random.normal()).collect();
    tensors.insert("lm_head.weight".into(), (shape, head));
    tensors
}

/// The matrices that the adapter changes, with A `[4, in]` and B `[out, 4]`.
fn adapter(tensors: &Tensors) -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let mut random = Random(11);
    let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| 0.07 * random.normal()).collect() };
    let adapted =
        tensors.iter().filter(|(name, _)| name.contains("q_proj.weight") || name.contains("v_proj.weight"));
    adapted.map(|(name, (shape, _))| (name.clone(), draw(RANK * shape[1]), draw(shape[0] * RANK))).collect()
}

/// `tensors` with `factor` times the adapter.
pub fn merged(tensors: &Tensors, factor: f32) -> Tensors {
    let mut merged = tensors.clone();
    for (name, a, b) in adapter(tensors) {
        let (shape, weights) = merged.get_mut(&name).unwrap();
        for (i, weight) in weights.iter_mut().enumerate() {
            let (row, column) = (i / shape[1], i % shape[1]);
            let delta: f32 = (0..RANK).map(|r| b[row * RANK + r] * a[r * shape[1] + column]).sum();
            *weight += factor * SCALE * delta;
        }
    }
    merged
}

/// `tensors` some steps of training later: a part of each tensor's size is added at random where `is_later` says so.
pub fn later(mut tensors: Tensors, part: f32, is_later: impl Fn(&str) -> bool) -> Tensors {
    let mut random = Random(13);
    for (_, (_, weights)) in tensors.iter_mut().filter(|(name, _)| is_later(name)) {
        let rms = (weights.iter().map(|weight| weight * weight).sum::<f32>() / weights.len() as f32).sqrt();
        weights.iter_mut().for_each(|weight| *weight += part * rms * random.normal());
    }
    tensors
}

/// Writes a checkpoint folder with these weights, in BF16, and the rest of the pocket model with rotary frequencies that are
/// scaled.
pub fn write_untied(dir: &Path, tensors: &Tensors) {
    fs::create_dir_all(dir).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(pocket().join(name), dir.join(name)).unwrap();
    }
    let mut config: Value = serde_json::from_slice(&fs::read(pocket().join("config.json")).unwrap()).unwrap();
    config["tie_word_embeddings"] = false.into();
    config["rope_scaling"] = json!({"rope_type": "linear", "factor": 2.0});
    write_json(dir, "config.json", &config);
    write(&dir.join("model.safetensors"), tensors, "BF16");
}

/// Writes the adapter of [`merged`] as PEFT does.
fn write_adapter(dir: &Path, tensors: &Tensors) {
    fs::create_dir_all(dir).unwrap();
    let config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": SCALE as usize * RANK,
        "target_modules": ["q_proj", "v_proj"], "bias": "none", "inference_mode": true,
    });
    write_json(dir, "adapter_config.json", &config);
    let mut all = Tensors::new();
    for (name, a, b) in adapter(tensors) {
        let stem = format!("base_model.model.{}", name.strip_suffix(".weight").unwrap());
        all.insert(format!("{stem}.lora_A.weight"), (vec![RANK, a.len() / RANK], a));
        all.insert(format!("{stem}.lora_B.weight"), (vec![b.len() / RANK, RANK], b));
    }
    write(&dir.join("adapter_model.safetensors"), &all, "F32");
}

/// Converts a checkpoint folder to one file.
pub fn convert(dir: &Path, out: &Path, file_type: FileType) -> PathBuf {
    let checkpoint = Checkpoint::open(dir).unwrap();
    let plan = Plan::new(&checkpoint, Recipe { file_types: vec![file_type], ..Recipe::default() }).unwrap();
    let targets = Targets::new(&checkpoint, &plan, Some(out), true).unwrap();
    let done =
        convert::convert(&checkpoint, &plan, &targets, None, &mut (), &AtomicBool::new(false)).unwrap();
    done.publish().unwrap();
    targets.paths()[0].clone()
}

fn pocket() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")
}

/// Reads a file of BF16 tensors.
fn read(path: &Path) -> Tensors {
    let (header, data) = fixture::read_safetensors(path);
    let tensor = |(name, info): (&String, &Value)| {
        assert_eq!(info["dtype"], "BF16", "{name}");
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let shape = info["shape"].as_array().unwrap().iter().map(number).collect();
        let bytes = &data[number(&info["data_offsets"][0])..number(&info["data_offsets"][1])];
        let weights = bytes.chunks(2).map(|pair| half::bf16::from_le_bytes([pair[0], pair[1]]).to_f32());
        (name.clone(), (shape, weights.collect()))
    };
    header.iter().filter(|(name, _)| *name != "__metadata__").map(tensor).collect()
}

fn write(path: &Path, tensors: &Tensors, dtype: &str) {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, (shape, weights)) in tensors {
        let start = data.len();
        for &weight in weights {
            match dtype {
                "F32" => data.extend(weight.to_le_bytes()),
                _ => data.extend(half::bf16::from_f32(weight).to_le_bytes()),
            }
        }
        header.insert(
            name.clone(),
            json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]}),
        );
    }
    fixture::write_raw_safetensors(path, &Value::Object(header), &data);
}

#[test]
#[ignore = "writes the folders for scripts/make_witness_fixtures"]
fn writes_the_models_of_the_witnesses() {
    let folder = PathBuf::from(std::env::var_os("EDGECALL_WITNESS_MODELS").expect("a folder to write to"));
    for (name, shape) in shapes() {
        shape.write(&folder.join(name));
    }
    write_untied(&folder.join("untied"), &untied());
    write_adapter(&folder.join("adapter"), &untied());
}
