//! Conversions of tiny checkpoints: reproducible bytes, and their contents.

use crate::{
    fixture::{self, Fixture, Head, VOCAB},
    place::Place,
};
use edgecall::{
    convert,
    gguf::{GgmlType, Gguf},
    mmap::Map,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

const ALL_TYPES: &str = "f32,f16,bf16,q8_0,q4_0,q4_1,q5_0,q5_1,q4_k_s,q4_k_m,q5_k_s,q5_k_m,q6_k";

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

#[cfg(feature = "engine")]
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

#[cfg(feature = "engine")]
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

#[cfg(not(feature = "engine"))]
#[test]
fn a_program_without_llama_cpp_says_what_it_has_not_checked() {
    let place = Place::new(&Fixture::default());
    let output = place.edgecall(&["model", "-o", "out.gguf"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("built without llama.cpp: the tokens were not checked"), "{stdout}");
}
