//! Adapters and their bases as folders: found, refused by name, and told of in the file's manifest.

use crate::{
    fixture::{Fixture, Random, read_safetensors, write_json, write_raw_safetensors, write_safetensors},
    fixture_adapter::{Lora, RANK, weights},
    place::Place,
};
use edgecall::{
    adapter::{self, Adapter, Mode},
    checkpoint::Checkpoint,
    convert::{self, Existing, Plan, Recipe, Targets},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::atomic::AtomicBool,
};

/// A place with the base `model`, and the adapter `lora` for it.
fn place(lora: &Lora) -> Place {
    let place = Place::new(&lora.base);
    lora.write(&place.path("lora"));
    place
}

/// Runs `edgecall convert ARGS` without a cache of the hub, and returns stdout.
fn converted(place: &Place, args: &[&str]) -> String {
    let output = with_hub(place, args, Path::new("/nowhere"));
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn with_hub(place: &Place, args: &[&str], home: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.current_dir(place.path("")).env("HF_HOME", home).env_remove("HF_HUB_CACHE");
    command.args(["convert", "--no-check"]).args(args).output().unwrap()
}

fn merged(place: &Place, mode: Mode) -> Checkpoint {
    let adapter = Adapter::open(&place.path("lora")).unwrap();
    adapter::merge(Checkpoint::open(&place.model()).unwrap(), vec![adapter], mode).unwrap().checkpoint
}

#[test]
fn a_matrix_is_the_base_plus_the_chain_of_products_rounded_once() {
    for dtype in ["BF16", "F16", "F32"] {
        let dtype_of: fn(usize) -> &'static str = match dtype {
            "BF16" => |_| "BF16",
            "F16" => |_| "F16",
            _ => |_| "F32",
        };
        let place =
            place(&Lora { base: Fixture { dtype: dtype_of, ..Fixture::default() }, ..Lora::default() });
        let base = Checkpoint::open(&place.model()).unwrap();
        let (header, data) = read_safetensors(&place.path("lora/adapter_model.safetensors"));
        let of_adapter = |part: &str| -> Vec<f32> {
            let entry = &header[&format!("base_model.model.model.layers.1.self_attn.v_proj.{part}.weight")];
            let at = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
            data[at(0)..at(1)].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        let (a, b) = (of_adapter("lora_A"), of_adapter("lora_B"));
        let name = "model.layers.1.self_attn.v_proj.weight";
        let before = weights(&base, base.shards.tensor(name).unwrap());
        for mode in [Mode::Peft, Mode::F32] {
            let merged = merged(&place, mode);
            let tensor = merged.shards.tensor(name).unwrap();
            let after = weights(&merged, tensor);
            let (rank, width) = (RANK as usize, 256);
            for (at, (before, after)) in before.iter().zip(&after).enumerate() {
                let (i, j) = (at / width, at % width);
                let chain = (0..rank).fold(0.0_f32, |sum, k| b[i * rank + k].mul_add(a[k * width + j], sum));
                let sum = before + chain * 2.0;
                let expected = match (mode, dtype) {
                    (Mode::Peft, "BF16") => half::bf16::from_f32(sum).to_f32(),
                    (Mode::Peft, "F16") => half::f16::from_f32(sum).to_f32(),
                    _ => sum,
                };
                assert_eq!(*after, expected, "{dtype} {mode:?} at {i},{j}");
            }
            let untouched = merged.shards.tensor("model.layers.1.mlp.up_proj.weight").unwrap();
            assert_eq!(untouched.overlay, None);
        }
    }
}

#[test]
fn the_file_does_not_depend_on_threads_or_shards_and_names_what_was_merged() {
    let place = place(&Lora::default());
    let one = converted(&place, &["lora", "--threads", "1", "-o", "one.gguf", "--json"]);
    converted(&place, &["model", "--adapter", "lora", "--threads", "3", "-o", "three.gguf"]);
    let file = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(file("one.gguf") == file("three.gguf"));
    let sharded = Place::new(&Fixture { shards: 3, ..Fixture::default() });
    Lora::default().write(&sharded.path("lora"));
    converted(&sharded, &["lora", "-o", "sharded.gguf"]);
    assert!(file("one.gguf") == fs::read(sharded.path("sharded.gguf")).unwrap());
    converted(&place, &["model", "-o", "plain.gguf"]);
    assert!(file("one.gguf") != file("plain.gguf"));

    let report: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(report["merged"]["modules"].as_array().unwrap().len(), 4);
    let manifest: Value = serde_json::from_slice(&file("one.gguf.json")).unwrap();
    assert_eq!(manifest["merged"]["base"], "model");
    assert_eq!(manifest["merged"]["method"], "peft");
    let adapter = &manifest["merged"]["adapters"][0];
    assert_eq!(adapter["name"], "lora");
    assert_eq!(adapter["files"][1]["name"], "adapter_model.safetensors");
    assert_eq!(
        adapter["files"][1]["file_bytes"],
        fs::metadata(place.path("lora/adapter_model.safetensors")).unwrap().len()
    );
    let plain: Value = serde_json::from_slice(&file("plain.gguf.json")).unwrap();
    assert_eq!(plain.get("merged"), None);
}

#[test]
fn a_file_with_another_adapter_is_another_file() {
    let place = place(&Lora::default());
    let checkpoint = merged(&place, Mode::Peft);
    let recipe = || Recipe { file_types: vec!["q8_0".parse().unwrap()], ..Recipe::default() };
    let plan = Plan::new(&checkpoint, recipe()).unwrap();
    let targets = Targets::new(&checkpoint, &plan, Some(&place.path("x.gguf")), true).unwrap();
    let never = AtomicBool::new(false);
    convert::convert(&checkpoint, &plan, &targets, None, &mut (), &never).unwrap().publish().unwrap();
    let state = |checkpoint: &Checkpoint| {
        let plan = Plan::new(checkpoint, recipe()).unwrap();
        convert::existing(checkpoint, &plan, &targets).unwrap().remove(0)
    };
    let other = |problem: &str| Existing::Other { problem: problem.into() };
    assert_eq!(state(&checkpoint), Existing::Fits);
    assert_eq!(state(&Checkpoint::open(&place.model()).unwrap()), other("was converted with an adapter"));
    assert_eq!(state(&merged(&place, Mode::Safe)), other("was converted with another adapter"));
    Lora { seed: 8, ..Lora::default() }.write(&place.path("lora"));
    assert_eq!(state(&merged(&place, Mode::Peft)), other("was converted with another adapter"));
}

#[test]
fn an_output_that_is_a_file_of_the_adapter_is_refused() {
    let place = place(&Lora::default());
    place.refused(&["lora", "-f", "-o", "lora/adapter_model.safetensors"], 73, "belongs to the checkpoint");
}

#[test]
fn a_base_is_found_in_the_hubs_cache_and_a_quantized_one_by_its_original() {
    let snapshot = |place: &Place, id: &str| {
        let repository = place.path("home/hub").join(format!("models--{}", id.replace('/', "--")));
        let snapshot = repository.join("snapshots/0123456789abcdef0123456789abcdef01234567");
        fs::create_dir_all(snapshot.parent().unwrap()).unwrap();
        Fixture::default().write(&snapshot);
        fs::create_dir(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), "0123456789abcdef0123456789abcdef01234567").unwrap();
    };
    let named =
        |name: &str| place(&Lora { config: json!({"base_model_name_or_path": name}), ..Lora::default() });
    let run = |place: &Place| {
        let output = with_hub(place, &["lora", "-o", "x.gguf", "-f"], &place.path("home"));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };

    let place = named("Qwen/Qwen3-Tiny");
    let (code, _, error) = run(&place);
    assert_eq!(code, Some(66));
    assert!(error.contains("the base model Qwen/Qwen3-Tiny is not on this machine"), "{error}");
    assert!(error.contains("give the folder of the base model with --base"), "{error}");
    snapshot(&place, "Qwen/Qwen3-Tiny");
    let (code, report, error) = run(&place);
    assert_eq!(code, Some(0), "{error}");
    assert!(!report.contains("was trained on"), "{report}");

    let place = named("unsloth/qwen3-tiny-unsloth-bnb-4bit");
    snapshot(&place, "Qwen/Qwen3-Tiny");
    let (code, report, error) = run(&place);
    assert_eq!(code, Some(0), "{error}");
    let warning =
        "was trained on the quantized model unsloth/qwen3-tiny-unsloth-bnb-4bit, and is merged into";
    assert!(report.contains(warning), "{report}");
    snapshot(&place, "somebody/qwen3-TINY");
    let (code, _, error) = run(&place);
    assert_eq!(code, Some(66));
    assert!(error.contains("`Qwen/Qwen3-Tiny`, `somebody/qwen3-TINY`"), "{error}");
}

#[test]
fn a_base_of_another_shape_or_depth_is_refused() {
    let place = place(&Lora::default());
    let refused = |fixture: Fixture, part: &str| {
        fs::remove_dir_all(place.model()).unwrap();
        fixture.write(&place.model());
        place.refused(&["lora"], 65, part);
    };
    refused(Fixture { hidden: 320, ..Fixture::default() }, "has shape [4, 256], and");
    refused(Fixture { layers: 1, ..Fixture::default() }, "has no modules `model.layers.1.self_attn.q_proj`");
    refused(Fixture { layers: 4, ..Fixture::default() }, "has nothing for layers 2 to 3");
}

#[test]
fn an_adapter_that_changes_nothing_is_refused() {
    let zero = place(&Lora { b: 0.0, ..Lora::default() });
    zero.refused(&["lora"], 65, "changes nothing: every lora_B is zero");
    let alpha = place(&Lora { config: json!({"lora_alpha": 0}), ..Lora::default() });
    alpha.refused(&["lora"], 65, "changes nothing: `lora_alpha` is 0");
    let targets = place(&Lora { config: json!({"target_modules": ["gate_proj"]}), ..Lora::default() });
    targets.refused(&["lora"], 65, "changes nothing: no tensor of its file belongs to a module");
}

#[test]
fn other_kinds_and_options_are_refused_by_name() {
    for (config, part) in [
        (json!({"peft_type": "IA3"}), "the adapter is of kind IA3"),
        (json!({"peft_type": "PROMPT_TUNING"}), "cannot be merged"),
        (json!({"use_qalora": true}), "`use_qalora` is true"),
        (json!({"alora_invocation_tokens": [1, 2]}), "`alora_invocation_tokens` is [1,2]"),
        (json!({"init_lora_weights": "pissa"}), "`init_lora_weights` is \"pissa\""),
        (json!({"r": 8}), "has rank 4, and adapter_config.json says 8"),
        (json!({"use_dora": true}), "has lora_A and lora_B and no lora_magnitude_vector"),
        (json!({"target_modules": null}), "has no `target_modules`"),
        (json!({"target_modules": "(a+"}), "`target_modules` has the pattern"),
    ] {
        place(&Lora { config, ..Lora::default() }).refused(&["lora"], 65, part);
    }
}

#[test]
fn folders_around_an_adapter_do_what_is_expected_or_say_what_to_give() {
    let place = place(&Lora::default());
    Lora { config: json!({"base_model_name_or_path": "../../model"}), ..Lora::default() }
        .write(&place.path("out/checkpoint-500"));
    place.refused(&["out"], 66, "out/checkpoint-500 has one: give that folder");
    place.refused(&["model", "--adapter", "out"], 66, "out/checkpoint-500 has one: give that folder");
    converted(&place, &["out/checkpoint-500", "--dry-run"]);

    fs::rename(place.path("lora/adapter_model.safetensors"), place.path("kept")).unwrap();
    place.refused(&["lora"], 66, "has no adapter_model.safetensors");
    fs::write(place.path("lora/adapter_model.bin"), "").unwrap();
    place.refused(&["lora"], 65, "adapter_model.bin, which is not read because a pickle runs code");
    fs::rename(place.path("kept"), place.path("lora/adapter_model.safetensors")).unwrap();

    // An adapter beside a whole model: the model is converted, as it was before.
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(place.path("lora").join(name), place.model().join(name)).unwrap();
    }
    let report = converted(&place, &["model", "-o", "whole.gguf"]);
    assert!(
        report.contains("holds an adapter besides the model, and the model alone is converted"),
        "{report}"
    );
    converted(&place, &["model", "--adapter", "model", "-o", "both.gguf"]);
    converted(&place, &["lora", "-o", "lora.gguf"]);
    let tensors = |name: &str| -> Value {
        let json = fs::read(place.path(name)).unwrap();
        serde_json::from_slice::<Value>(&json).unwrap()["tensors"].clone()
    };
    assert_eq!(tensors("both.gguf.json"), tensors("lora.gguf.json"));
    assert_ne!(tensors("whole.gguf.json"), tensors("lora.gguf.json"));
    place.refused(&["model", "--merge", "safe"], 2, "--merge is for adapters");
}

#[test]
fn a_base_that_holds_the_adapter_already_is_told() {
    let place = place(&Lora { b: 0.1, ..Lora::default() });
    let told = "seems to have this adapter merged into it already";
    assert!(!converted(&place, &["lora", "--dry-run"]).contains(told));
    let checkpoint = merged(&place, Mode::Peft);
    let tensor = |tensor: &edgecall::checkpoint::SourceTensor| {
        let bytes = |weight: f32| half::bf16::from_f32(weight).to_le_bytes();
        let bytes = weights(&checkpoint, tensor).into_iter().flat_map(bytes).collect();
        (tensor.name.clone(), "BF16", tensor.shape.clone(), bytes)
    };
    let tensors: Vec<_> = checkpoint.shards.tensors().iter().map(tensor).collect();
    write_safetensors(&place.weights(), &tensors);
    assert!(converted(&place, &["lora", "--dry-run"]).contains(told));
}

#[test]
fn the_plan_lists_rank_scale_and_relative_change_of_each_module() {
    let place = place(&Lora::default());
    let report: Value = serde_json::from_str(&converted(&place, &["lora", "--dry-run", "--json"])).unwrap();
    let module = &report["merged"]["modules"][0];
    assert_eq!((&module["rank"], &module["scale"]), (&json!(RANK), &json!(2.0)));
    let (base, after) = (Checkpoint::open(&place.model()).unwrap(), merged(&place, Mode::F32));
    let name = format!("{}.weight", module["module"].as_str().unwrap());
    let [before, after] = [&base, &after].map(|model| weights(model, model.shards.tensor(&name).unwrap()));
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let change = norm(&mut before.iter().zip(&after).map(|(b, a)| f64::from(a - b)));
    let expected = change / norm(&mut before.iter().map(|b| f64::from(*b)));
    let found = module["relative_change"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-5 * expected, "{found} is not {expected}");
    assert!(converted(&place, &["lora", "--dry-run"]).contains("|change|/|weights|"));
}

#[test]
fn the_adapters_tokenizer_is_taken_and_another_vocabulary_refused() {
    let place = place(&Lora::default());
    fs::copy(place.model().join("tokenizer.json"), place.path("lora/tokenizer.json")).unwrap();
    let path = place.path("lora/tokenizer.json");
    let original: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut tokenizer = original.clone();
    tokenizer["added_tokens"][1]["content"] = json!("<|of the adapter|>");
    write_json(&place.path("lora"), "tokenizer.json", &tokenizer);
    converted(&place, &["lora", "-o", "x.gguf"]);
    let file = fs::read(place.path("x.gguf")).unwrap();
    assert!(file.windows(18).any(|window| window == b"<|of the adapter|>"));

    let mut tokenizer = original;
    let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    let turned: serde_json::Map<String, Value> = vocab
        .iter()
        .map(|(text, id)| {
            (
                text.clone(),
                json!(if id.as_u64() < Some(256) {
                    255 - id.as_u64().unwrap()
                } else {
                    id.as_u64().unwrap()
                }),
            )
        })
        .collect();
    *vocab = turned;
    write_json(&place.path("lora"), "tokenizer.json", &tokenizer);
    place.refused(&["lora"], 65, "its tokenizer has other tokens than the base's (256 of 271 differ");
}

#[test]
fn names_of_wrapped_states_are_merged_and_told() {
    let place = place(&Lora::default());
    converted(&place, &["lora", "-o", "a.gguf"]);
    let path = place.path("lora/adapter_model.safetensors");
    let (header, data) = read_safetensors(&path);
    let renamed: serde_json::Map<String, Value> =
        header.into_iter().map(|(name, entry)| (name.replace(".weight", ".default.weight"), entry)).collect();
    write_raw_safetensors(&path, &Value::Object(renamed), &data);
    let report = converted(&place, &["lora", "-o", "b.gguf"]);
    assert!(report.contains("peft would not find tensors with names like"), "{report}");
    assert!(fs::read(place.path("a.gguf")).unwrap() == fs::read(place.path("b.gguf")).unwrap());
}

#[test]
fn tensors_that_belong_to_no_part_are_refused() {
    let place = place(&Lora::default());
    let path = place.path("lora/adapter_model.safetensors");
    let mut random = Random(3);
    let bytes = (0..4).flat_map(|_| random.normal().to_le_bytes()).collect();
    write_safetensors(&path, &[("base_model.model.x.ia3_l".to_owned(), "F32", vec![4], bytes)]);
    place.refused(&["lora"], 65, "`base_model.model.x.ia3_l` is no part of a LoRA adapter");
}
