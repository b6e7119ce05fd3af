//! Conversions of tiny checkpoints: the same bytes each time, and everything that is refused.

use crate::fixture::{self, Fixture, Head, VOCAB, write_json};
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, Converted, Plan, Progress, Recipe, Targets},
    gguf::{GgmlType, Gguf},
    mmap::Map,
};
use serde_json::{Value, json};
use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
};
use tempfile::TempDir;

const ALL_TYPES: &str = "f32,f16,bf16,q8_0,q4_0,q4_1,q5_0,q5_1,q4_k_s,q4_k_m,q5_k_s,q5_k_m,q6_k";

/// A folder with a checkpoint `model` in it; outputs go to `out` beside it.
struct Place(TempDir);

impl Place {
    fn new(fixture: &Fixture) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fixture.write(&place.model());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.path("model")
    }

    fn weights(&self) -> PathBuf {
        self.model().join("model.safetensors")
    }

    fn plan(&self, types: &str) -> Result<(Checkpoint, Plan), edgecall::Error> {
        let checkpoint = Checkpoint::open(&self.model())?;
        let file_types = types.split(',').map(|name| name.parse().unwrap()).collect();
        let plan = Plan::new(&checkpoint, Recipe { file_types, ..Recipe::default() })?;
        Ok((checkpoint, plan))
    }

    fn convert(&self, types: &str, threads: usize, out: &str) -> Vec<PathBuf> {
        let (checkpoint, plan) = self.plan(types).unwrap();
        let targets = Targets::new(&checkpoint, &plan, Some(&self.path(out)), false).unwrap();
        run(&checkpoint, &plan, &targets, threads, &mut (), &AtomicBool::new(false))
            .unwrap()
            .publish()
            .unwrap();
        targets.paths().to_vec()
    }

    /// Runs `edgecall convert model -o out.gguf ARGS` in the place.
    fn edgecall(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
        command.current_dir(self.0.path()).arg("convert").args(args).output().unwrap()
    }

    /// Holds a refusal against its exit code and a part of its message; nothing may be left behind.
    fn refused(&self, args: &[&str], code: i32, part: &str) {
        let before = self.entries();
        let output = self.edgecall(args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains(part), "{args:?} said: {message}");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
        assert!(output.stdout.is_empty(), "{args:?} printed to stdout");
        assert_eq!(self.entries(), before, "{args:?} left something behind");
    }

    fn entries(&self) -> Vec<PathBuf> {
        let mut entries: Vec<_> = walk(self.0.path()).collect();
        entries.sort();
        entries
    }

    fn edit_config(&self, edit: Value) {
        let path = self.model().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().extend(edit.as_object().unwrap().clone());
        write_json(&self.model(), "config.json", &config);
    }

    /// Lets `edit` change the header and the data of the only shard.
    fn edit_weights(&self, edit: impl FnOnce(&mut serde_json::Map<String, Value>, &mut Vec<u8>)) {
        let (mut header, mut data) = fixture::read_safetensors(&self.weights());
        edit(&mut header, &mut data);
        fixture::write_raw_safetensors(&self.weights(), &Value::Object(header), &data);
    }

    /// Puts the BF16 number with these bits at an index of a tensor.
    fn plant(&self, tensor: &str, index: usize, bits: u16) {
        self.edit_weights(|header, data| {
            let start = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize + 2 * index;
            data[start..start + 2].copy_from_slice(&bits.to_le_bytes());
        });
    }
}

fn walk(dir: &Path) -> Box<dyn Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    Box::new(entries.flat_map(|path| -> Box<dyn Iterator<Item = PathBuf>> {
        if path.is_dir() { Box::new(walk(&path).chain([path])) } else { Box::new([path].into_iter()) }
    }))
}

fn run(
    checkpoint: &Checkpoint,
    plan: &Plan,
    targets: &Targets,
    threads: usize,
    progress: &mut dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Converted, convert::Error> {
    convert::convert(checkpoint, plan, targets, NonZero::new(threads), progress, interrupt)
}

#[test]
fn converting_twice_gives_the_same_file_and_manifest_whatever_the_threads() {
    let place = Place::new(&Fixture { shards: 2, head: Head::Untied, ..Fixture::default() });
    let first = place.convert("q4_k_m", 1, "a.gguf").remove(0);
    for (threads, name) in [(1, "b.gguf"), (2, "c.gguf"), (7, "d.gguf")] {
        let again = place.convert("q4_k_m", threads, name).remove(0);
        assert!(fs::read(&first).unwrap() == fs::read(&again).unwrap(), "{threads} threads");
        let manifest = |path: &Path| fs::read_to_string(convert::manifest_path(path)).unwrap();
        assert_eq!(manifest(&first), manifest(&again), "{threads} threads");
    }
}

#[test]
fn several_types_at_once_are_the_files_of_one_type_each() {
    let place = Place::new(&Fixture { head: Head::Untied, ..Fixture::default() });
    for (path, name) in place.convert(ALL_TYPES, 2, "out/").iter().zip(ALL_TYPES.split(',')) {
        let alone = place.convert(name, 2, &format!("{name}.gguf")).remove(0);
        assert!(fs::read(path).unwrap() == fs::read(alone).unwrap(), "{name}");
    }
}

#[test]
fn sharding_changes_no_tensor() {
    let tensors = |shards| {
        let place = Place::new(&Fixture { shards, ..Fixture::default() });
        let path = place.convert("q5_k_m", 2, "out.gguf").remove(0);
        fs::read(path).unwrap()
    };
    assert!(tensors(1) == tensors(3));
}

#[test]
fn mixed_sources_are_kept_to_the_bit_in_f32() {
    let dtype = |i: usize| ["BF16", "F16", "F32"][i % 3];
    let place = Place::new(&Fixture { dtype, ..Fixture::default() });
    let path = place.convert("f32", 2, "out.gguf").remove(0);
    let file = Map::open(&path).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let (header, data) = fixture::read_safetensors(&place.weights());
    let names = [
        ("model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ];
    for (source, name) in names {
        let offsets = header[source]["data_offsets"].as_array().unwrap();
        let bytes = &data[offsets[0].as_u64().unwrap() as usize..offsets[1].as_u64().unwrap() as usize];
        let expected: Vec<u8> = match header[source]["dtype"].as_str().unwrap() {
            "F32" => bytes.to_vec(),
            "F16" => {
                pairs(bytes).flat_map(|bits| half::f16::from_bits(bits).to_f32().to_le_bytes()).collect()
            }
            _ => pairs(bytes).flat_map(|bits| half::bf16::from_bits(bits).to_f32().to_le_bytes()).collect(),
        };
        assert_eq!(gguf.tensor_bytes(&file, name).unwrap(), expected, "{name}");
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes(pair.try_into().unwrap()))
}

#[test]
fn llama_rows_of_queries_and_keys_are_interleaved_and_no_others() {
    let place = Place::new(&Fixture { class: "LlamaForCausalLM", ..Fixture::default() });
    let path = place.convert("bf16", 1, "out.gguf").remove(0);
    let file = Map::open(&path).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let (header, data) = fixture::read_safetensors(&place.weights());
    let source = |name: &str| {
        let start = header[name]["data_offsets"][0].as_u64().unwrap() as usize;
        let end = header[name]["data_offsets"][1].as_u64().unwrap() as usize;
        data[start..end].chunks_exact(2 * 256).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let written = |name: &str| {
        gguf.tensor_bytes(&file, name).unwrap().chunks_exact(2 * 256).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (from, to) = (source("model.layers.0.self_attn.k_proj.weight"), written("blk.0.attn_k.weight"));
    // Heads of 64 rows: row 2i is row i of the head, row 2i + 1 is row 32 + i.
    for head in 0..2 {
        for i in 0..32 {
            assert_eq!(to[64 * head + 2 * i], from[64 * head + i]);
            assert_eq!(to[64 * head + 2 * i + 1], from[64 * head + 32 + i]);
        }
    }
    assert_eq!(written("blk.0.attn_v.weight"), source("model.layers.0.self_attn.v_proj.weight"));
}

#[test]
fn llama_3_frequencies_become_a_tensor_in_front_of_all_others() {
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256});
    let config = json!({"rope_scaling": scaling, "rope_theta": 500000.0});
    let place = Place::new(&Fixture { class: "LlamaForCausalLM", config, ..Fixture::default() });
    let path = place.convert("q8_0", 1, "out.gguf").remove(0);
    let file = Map::open(&path).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    assert_eq!(
        (gguf.tensors[0].name.as_str(), gguf.tensors[0].dims.as_slice()),
        ("rope_freqs.weight", &[32][..])
    );
    let factors: Vec<f32> = gguf
        .tensor_bytes(&file, "rope_freqs.weight")
        .unwrap()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(factors[0], 1.0, "the shortest wavelength is kept");
    assert_eq!(factors[31], 8.0, "the longest is stretched by the whole factor");
    assert!(factors.is_sorted() && factors.iter().any(|&factor| 1.0 < factor && factor < 8.0), "{factors:?}");
}

#[test]
fn a_stored_copy_of_the_embedding_is_kept_or_dropped_and_its_cost_is_told() {
    let place = Place::new(&Fixture { head: Head::TiedCopy, ..Fixture::default() });
    let kept = place.edgecall(&["model", "-o", "kept.gguf", "--json", "-t", "q8_0"]);
    let report: Value = serde_json::from_slice(&kept.stdout).unwrap();
    assert_eq!(report["files"][0]["tied_head_bytes"], json!(VOCAB * 256 / 32 * 34));
    let dropped = place.edgecall(&["model", "-o", "dropped.gguf", "--drop-tied-head", "-t", "q8_0"]);
    assert!(dropped.status.success(), "{}", String::from_utf8_lossy(&dropped.stderr));
    let has_head = |name: &str| {
        let file = Map::open(&place.path(name)).unwrap();
        Gguf::parse(&file).unwrap().tensor("output.weight").is_some()
    };
    assert!(has_head("kept.gguf") && !has_head("dropped.gguf"));

    let place = Place::new(&Fixture { head: Head::Untied, ..Fixture::default() });
    place.refused(&["model", "--drop-tied-head"], 65, "`lm_head.weight` differs");
}

#[test]
fn a_report_states_types_sizes_and_errors_and_the_tokens_are_checked() {
    let place = Place::new(&Fixture::default());
    let output = place.edgecall(&["model", "--json", "-t", "q4_k_m,f32"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = &report["files"][0];
    assert_eq!(file["path"], json!("model-Q4_K_M.gguf"));
    assert!(place.path("model-Q4_K_M.gguf").is_file() && place.path("model-F32.gguf.json").is_file());
    assert_eq!(file["tensor_bytes"].as_u64(), Some(tensor_bytes(&place.path("model-Q4_K_M.gguf"))));
    let rmse = file["weight_error"]["relative_rmse"].as_f64().unwrap();
    assert!(0.03 < rmse && rmse < 0.12, "{rmse}");
    assert!(file["weight_error"]["worst"]["relative_rmse"].as_f64().unwrap() >= rmse);
    assert_eq!(
        report["files"][1]["weight_error"],
        json!({"relative_rmse": 0.0, "cosine": 1.0, "worst": null})
    );
    assert!(report["token_check"]["tokens"].as_u64().unwrap() > 100);
    assert!(report["cost"]["peak_anonymous_bytes"].as_u64().unwrap() < 150 << 20);

    let manifest: Value =
        serde_json::from_slice(&fs::read(place.path("model-F32.gguf.json")).unwrap()).unwrap();
    let sources: Vec<_> = manifest["source"].as_array().unwrap().iter().map(|file| &file["name"]).collect();
    assert_eq!(sources, ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
}

fn tensor_bytes(path: &Path) -> u64 {
    let file = Map::open(path).unwrap();
    Gguf::parse(&file).unwrap().tensors.iter().map(|tensor| tensor.byte_len()).sum()
}

#[test]
fn a_dry_run_tells_the_sizes_and_writes_nothing() {
    let place = Place::new(&Fixture::default());
    let before = place.entries();
    let planned = place.edgecall(&["model", "--dry-run", "--json"]);
    assert_eq!(place.entries(), before);
    let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
    place.convert("q4_k_m", 1, "out.gguf");
    assert_eq!(planned["files"][0]["file_bytes"], json!(fs::metadata(place.path("out.gguf")).unwrap().len()));
    assert_eq!(planned["cost"], Value::Null);
}

#[test]
fn an_override_gives_a_matrix_its_type_and_must_find_one() {
    let place = Place::new(&Fixture::default());
    let rules = ["--tensor-type", r"blk\.1\.attn_v=q8_0", "--tensor-type", "attn_v=Q4_0"];
    let output = place.edgecall(&[&["model", "-o", "out.gguf"], &rules[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = Map::open(&place.path("out.gguf")).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    assert_eq!(gguf.tensor("blk.1.attn_v.weight").unwrap().ggml_type, GgmlType::Q8_0);
    assert_eq!(gguf.tensor("blk.0.attn_v.weight").unwrap().ggml_type, GgmlType::Q4_0);
    place.refused(&["model", "--tensor-type", "attn_w=q8_0"], 2, "`attn_w` finds no matrix of this model");
    place.refused(&["model", "--tensor-type", "attn_v=q9"], 2, "`q9` is no tensor type");
    place.refused(&["model", "--tensor-type", "attn_v"], 2, "not of the form REGEX=TYPE");
    place.refused(&["model", "--type", "q3_k"], 2, "invalid value 'q3_k'");
}

#[test]
fn what_is_no_checkpoint_folder_is_refused_with_the_way_on() {
    let place = Place::new(&Fixture::default());
    place.refused(&["nowhere"], 66, "no such checkpoint folder");
    place.refused(&["Qwen/Qwen3-1.7B"], 66, "hf download Qwen/Qwen3-1.7B --local-dir Qwen3-1.7B");
    place.refused(&["model/model.safetensors"], 66, "give the checkpoint folder that holds it");
    fs::write(place.path("x.gguf"), b"GGUF\x03\0\0\0").unwrap();
    place.refused(&["x.gguf"], 65, "is a GGUF file already");

    let folder = |name: &str, files: &[(&str, &str)]| {
        fs::create_dir(place.path(name)).unwrap();
        files.iter().for_each(|(file, text)| fs::write(place.path(name).join(file), text).unwrap());
    };
    folder("empty", &[]);
    place.refused(&["empty"], 66, "has no config.json");
    folder("lora", &[("adapter_config.json", r#"{"base_model_name_or_path": "Qwen/Qwen3-1.7B"}"#)]);
    place.refused(&["lora"], 65, "is an adapter for Qwen/Qwen3-1.7B, not a model; merge it first");
    let config = Fixture::default().config_json().to_string();
    folder("pickle", &[("config.json", &config), ("pytorch_model.bin", "")]);
    place.refused(&["pickle"], 65, "pytorch_model.bin, which is not read because a pickle runs code");
    folder("weightless", &[("config.json", &config)]);
    place.refused(&["weightless"], 66, "has no model*.safetensors");
    folder("mistral", &[("params.json", "{}"), ("consolidated.safetensors", "")]);
    place.refused(&["mistral"], 65, "Mistral's own layout");
    folder("embedding", &[("config.json", &config), ("modules.json", "[]")]);
    place.refused(&["embedding"], 65, "is an embedding model");
    fs::create_dir_all(place.path("models--Org--Name/snapshots/0123")).unwrap();
    fs::write(place.path("models--Org--Name/snapshots/0123/config.json"), &config).unwrap();
    place.refused(&["models--Org--Name"], 66, "the checkpoint in it is models--Org--Name/snapshots/0123");
}

#[test]
fn a_configuration_that_cannot_be_converted_is_refused_by_field() {
    let refused = |edit: Value, part: &str| {
        let place = Place::new(&Fixture::default());
        place.edit_config(edit);
        place.refused(&["model"], 65, part);
    };
    refused(
        json!({"architectures": ["GemmaForCausalLM"]}),
        "`GemmaForCausalLM` is not supported; supported: Qwen3ForCausalLM",
    );
    refused(json!({"architectures": []}), "names no model class");
    for method in ["gptq", "awq", "fp8", "bitsandbytes"] {
        refused(json!({"quantization_config": {"quant_method": method}}), &format!("method `{method}`"));
    }
    refused(json!({"attention_bias": true}), "`attention_bias` of this Qwen3ForCausalLM cannot be converted");
    refused(
        json!({"rope_scaling": {"rope_type": "longrope", "factor": 4.0}}),
        "\"longrope\", which is not supported",
    );
    refused(json!({"rope_scaling": {"rope_type": "llama3"}}), "Llama 3's frequency factors in Llama only");
    refused(json!({"hidden_size": "wide"}), "`hidden_size` is \"wide\"");
    refused(json!({"hidden_size": 512}), "config.json calls for [");
    refused(json!({"num_hidden_layers": 3}), "the checkpoint lacks `model.layers.2.");
    refused(json!({"num_hidden_layers": 4_000_000_000u32}), "the checkpoint lacks");
    refused(json!({"num_hidden_layers": 1}), "the checkpoint has `model.layers.1.");
    refused(json!({"tie_word_embeddings": false}), "the checkpoint lacks `lm_head.weight`");
    refused(json!({"vocab_size": 200}), "config.json calls for [200, 256]");

    let place = Place::new(&Fixture::default());
    fs::write(place.model().join("config.json"), "{\"architectures\": [").unwrap();
    place.refused(&["model"], 65, "not JSON");
}

#[test]
fn a_vocabulary_that_does_not_fit_is_refused() {
    let place =
        Place::new(&Fixture { vocab: 260, config: json!({"eos_token_id": 259}), ..Fixture::default() });
    place.refused(&["model"], 65, "embeddings for 260 tokens");
}

#[test]
fn an_unknown_pre_tokenizer_is_refused_with_its_hash() {
    let place = Place::new(&Fixture::default());
    let path = place.model().join("tokenizer.json");
    let text = fs::read_to_string(&path).unwrap().replace(r"\\p{N}| ?", r"\\p{N}{1,7}| ?");
    fs::write(&path, text).unwrap();
    place.refused(&["model"], 65, "--pre NAME");
    place.refused(&["model", "--pre", "no-such"], 2, "no-such");
}

#[test]
fn a_tokenizer_that_llama_cpp_reads_otherwise_fails_the_conversion() {
    let place = Place::new(&Fixture::default());
    place.refused(&["model", "--pre", "llama-bpe"], 65, "the written tokenizer is not the checkpoint's");
    let output = place.edgecall(&["model", "--pre", "llama-bpe", "--no-check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn broken_safetensors_are_refused_by_file() {
    let refused = |break_it: &dyn Fn(&Place), code: i32, part: &str| {
        let place = Place::new(&Fixture::default());
        break_it(&place);
        place.refused(&["model"], code, part);
    };
    let resize = |place: &Place, change: i64| {
        let file = fs::OpenOptions::new().write(true).open(place.weights()).unwrap();
        file.set_len(file.metadata().unwrap().len().checked_add_signed(change).unwrap()).unwrap();
    };
    let offsets = |place: &Place, tensor: &str, edit: &dyn Fn(u64, u64) -> [u64; 2]| {
        place.edit_weights(|header, _| {
            let offsets = &mut header[tensor]["data_offsets"];
            *offsets = json!(edit(offsets[0].as_u64().unwrap(), offsets[1].as_u64().unwrap()));
        });
    };
    let norm = "model.norm.weight";
    refused(&|place| resize(place, -2), 65, "is cut short");
    refused(&|place| resize(place, 2), 65, "is not a valid safetensors file");
    refused(&|place| fs::write(place.weights(), b"\x10\0").unwrap(), 65, "is cut short");
    refused(&|place| fs::write(place.weights(), b"").unwrap(), 65, "is cut short");
    refused(&|place| fs::write(place.weights(), [0xff; 64]).unwrap(), 65, "is not a valid safetensors file");
    refused(
        &|place| {
            fs::write(place.weights(), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
                .unwrap()
        },
        66,
        "is a git-lfs pointer, not the weights",
    );
    refused(
        &|place| offsets(place, norm, &|start, end| [start - 2, end - 2]),
        65,
        "is not a valid safetensors file",
    );
    refused(
        &|place| offsets(place, norm, &|start, end| [start, end + (1 << 40)]),
        65,
        "is not a valid safetensors file",
    );
    refused(
        &|place| place.edit_weights(|header, _| header[norm]["dtype"] = json!("I16")),
        65,
        "tensor `model.norm.weight` has dtype I16; supported are BF16, F16 and F32",
    );
    refused(
        &|place| place.edit_weights(|header, _| header[norm]["shape"] = json!([128, 2])),
        65,
        "tensor `model.norm.weight` has shape [128, 2], config.json calls for [256]",
    );
    let rename = |place: &Place, to: &str| {
        place.edit_weights(|header, _| {
            let tensor = header.remove(norm).unwrap();
            header.insert(to.to_owned(), tensor);
        });
    };
    refused(&|place| rename(place, "model.norm.bias"), 65, "the checkpoint lacks `model.norm.weight`");
}

#[test]
fn an_index_that_does_not_fit_its_shards_is_refused() {
    let refused = |break_it: &dyn Fn(&Place), code: i32, part: &str| {
        let place = Place::new(&Fixture { shards: 3, ..Fixture::default() });
        break_it(&place);
        place.refused(&["model"], code, part);
    };
    let second = "model-00002-of-00003.safetensors";
    let edit_index = |place: &Place, edit: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let path = place.model().join("model.safetensors.index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(index["weight_map"].as_object_mut().unwrap());
        fs::write(path, index.to_string()).unwrap();
    };
    refused(
        &|place| fs::remove_file(place.model().join(second)).unwrap(),
        66,
        "00002-of-00003.safetensors is missing",
    );
    refused(
        &|place| edit_index(place, &|map| drop(map.remove("model.norm.weight"))),
        65,
        "not in the index: `model.norm.weight`",
    );
    refused(
        &|place| edit_index(place, &|map| drop(map.insert("model.more.weight".to_owned(), json!(second)))),
        65,
        "missing in them: `model.more.weight`",
    );
    refused(
        &|place| {
            edit_index(place, &|map| {
                drop(map.insert("model.norm.weight".to_owned(), json!("../x.safetensors")))
            })
        },
        65,
        "lies outside the checkpoint folder",
    );
    refused(
        &|place| {
            fs::copy(place.model().join(second), place.model().join("model-00004.safetensors")).unwrap();
            edit_index(place, &|map| {
                drop(map.insert("model.x".to_owned(), json!("model-00004.safetensors")))
            });
        },
        65,
        "is in model-00002-of-00003.safetensors and again in model-00004.safetensors",
    );
}

#[test]
fn numbers_that_a_type_cannot_hold_are_refused_by_tensor_and_index() {
    let tensor = "model.layers.1.mlp.up_proj.weight";
    let planted = |bits: u16| {
        let place = Place::new(&Fixture::default());
        place.plant(tensor, 1000, bits);
        place
    };
    let (infinity, nan, big, huge) = (0x7f80, 0x7fc0, 0x4789, 0x7e00);
    planted(infinity).refused(
        &["model"],
        65,
        "tensor `model.layers.1.mlp.up_proj.weight` has inf at index 1000",
    );
    planted(nan).refused(
        &["model", "-t", "f32"],
        65,
        "`model.layers.1.mlp.up_proj.weight` has NaN at index 1000",
    );
    planted(big).refused(&["model", "-t", "f16"], 65, "has 70144 at index 1000, which is beyond F16's range");
    planted(big).refused(&["model", "--via-f16"], 65, "has 70144 at index 1000, which is beyond F16's range");
    planted(huge).refused(&["model", "-t", "q8_0"], 65, "the scales of Q8_0 overflow");
    planted(huge).convert("f32,bf16", 2, "out");
    planted(big).convert("q4_k_m", 2, "out.gguf");
}

#[test]
fn an_output_that_cannot_be_is_refused_before_any_work() {
    let place = Place::new(&Fixture::default());
    fs::write(place.path("there.gguf"), "mine").unwrap();
    place.refused(&["model", "-o", "there.gguf"], 73, "there.gguf exists already; give --force");
    assert_eq!(fs::read(place.path("there.gguf")).unwrap(), b"mine");
    fs::write(place.path("beside.gguf.json"), "mine").unwrap();
    place.refused(&["model", "-o", "beside.gguf"], 73, "beside.gguf.json exists already");
    place.refused(&["model", "-o", "no/such/folder.gguf"], 73, "no/such is no folder");
    place.refused(&["model", "-o", "model/model.safetensors", "--force"], 73, "belongs to the checkpoint");
    place.refused(&["model", "-o", "/dev/null", "--force"], 73, "/dev/null is not a regular file");
    place.refused(&["model", "-o", "there.gguf", "-t", "q8_0,f16"], 73, "there.gguf is no folder");
    place.refused(&["model", "-o", "/proc/out.gguf"], 73, "cannot create a file in /proc");
    place.refused(&["model", "-t", "q8_0,q8_0"], 2, "type `q8_0` is asked for twice");

    let output = place.edgecall(&["model", "-o", "there.gguf", "--force"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(place.path("there.gguf")).unwrap().starts_with(b"GGUF"));
}

#[test]
fn an_interruption_leaves_nothing_behind() {
    struct InterruptAt<'a>(&'static str, &'a AtomicBool);
    impl Progress for InterruptAt<'_> {
        fn begin(&mut self, step: &str, _total_bytes: u64) {
            if step == self.0 {
                self.1.store(true, Ordering::Relaxed);
            }
        }

        fn advance_to(&mut self, _done_bytes: u64) {}
    }
    let place = Place::new(&Fixture::default());
    let before = place.entries();
    for step in ["converting", "checking"] {
        let (checkpoint, plan) = place.plan("q8_0,q4_k_m").unwrap();
        let targets = Targets::new(&checkpoint, &plan, Some(&place.path("out")), false).unwrap();
        let interrupt = AtomicBool::new(false);
        let error =
            run(&checkpoint, &plan, &targets, 2, &mut InterruptAt(step, &interrupt), &interrupt).unwrap_err();
        assert_eq!(error.kind(), edgecall::Kind::Interrupted);
        assert_eq!(place.entries(), before, "{step}");
    }
}

/// A checkpoint of mostly zeros: long to convert, small on the disk.
fn large() -> Place {
    let ffn: u64 = 131_072;
    let place =
        Place::new(&Fixture { layers: 1, config: json!({"intermediate_size": ffn}), ..Fixture::default() });
    let (old_header, old_data) = fixture::read_safetensors(&place.weights());
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, tensor) in old_header.iter().filter(|(name, _)| !name.contains(".mlp.")) {
        let [start, end] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().unwrap() as usize);
        let offsets = [data.len(), data.len() + end - start];
        header.insert(
            name.clone(),
            json!({"dtype": "BF16", "shape": tensor["shape"], "data_offsets": offsets}),
        );
        data.extend_from_slice(&old_data[start..end]);
    }
    let mut end = data.len() as u64;
    for (name, shape) in [("down", [256, ffn]), ("gate", [ffn, 256]), ("up", [ffn, 256])] {
        let offsets = [end, end + 2 * 256 * ffn];
        let tensor = json!({"dtype": "BF16", "shape": shape, "data_offsets": offsets});
        header.insert(format!("model.layers.0.mlp.{name}_proj.weight"), tensor);
        end = offsets[1];
    }
    fixture::write_raw_safetensors(&place.weights(), &Value::Object(header), &data);
    let file = fs::OpenOptions::new().write(true).open(place.weights()).unwrap();
    file.set_len(file.metadata().unwrap().len() - data.len() as u64 + end).unwrap();
    place
}

#[test]
fn ctrl_c_ends_with_130_and_leaves_nothing_behind() {
    let place = large();
    let before = place.entries();
    let mut child = Command::new(env!("CARGO_BIN_EXE_edgecall"))
        .args(["convert", "model", "-o", "out", "-t", "q6_k,q5_k_m,f32", "--threads", "1"])
        .current_dir(place.0.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while place.entries() == before {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.entries(), before);
}

#[test]
fn a_write_that_fails_is_told_and_leaves_nothing_behind() {
    let place = Place::new(&Fixture::default());
    let before = place.entries();
    // A file may not grow beyond 64 blocks of 512 bytes; the write fails as on a full disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec {} convert model -o out.gguf",
        env!("CARGO_BIN_EXE_edgecall")
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.0.path()).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("writing out.gguf failed; nothing was left behind"), "{message}");
    assert_eq!(output.status.code(), Some(74), "{message}");
    assert_eq!(place.entries(), before);
}

#[test]
fn too_little_disk_is_found_out_before_anything_is_written() {
    let place = Place::new(&Fixture::default());
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting a small disk takes root");
        return;
    }
    let output = place.edgecall(&["model", "-o", "disk/out.gguf"]);
    let left = fs::read_dir(&disk).unwrap().count();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("has 65.5 kB free, the conversion needs"), "{message}");
    assert_eq!((output.status.code(), left), (Some(73), 0), "{message}");
}
