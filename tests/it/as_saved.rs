//! Checkpoints as people save them, and the files beside them that are none.

use crate::{
    fixture::{Fixture, write_json},
    place::Place,
};
use serde_json::{Map, Value, json};
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Converts `model`, and returns what was printed.
fn converted(place: &Place, args: &[&str]) -> String {
    let output = place.edgecall(&[&["model", "--no-check", "-o", "out.gguf", "--force"], args].concat());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same checkpoint with other names for its tensors.
fn renamed(place: &Place, rename: impl Fn(&str) -> String) {
    place.edit_weights(|header, _| {
        let entries = std::mem::take(header).into_iter();
        *header = entries.map(|(name, entry)| (rename(&name), entry)).collect();
    });
}

#[test]
fn a_pipe_or_a_device_in_a_checkpoint_is_refused_at_once() {
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "README.md",
        "chat_template.jinja",
        "special_tokens_map.json",
        "model.safetensors.index.json",
        "model.safetensors",
    ] {
        let place = Place::new(&Fixture::default());
        let path = place.model().join(name);
        let _ = fs::remove_file(&path);
        symlink("/dev/zero", &path).unwrap();
        place.refused(&["model"], 66, "it is a device, not a plain file");
        place.refused(&["model"], 66, name);
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        place.refused(&["model"], 66, "it is a pipe, not a plain file");
    }
}

#[test]
fn an_output_that_is_a_link_stays_a_link_and_its_target_is_written() {
    let place = Place::new(&Fixture::default());
    fs::create_dir(place.path("elsewhere")).unwrap();
    fs::write(place.path("elsewhere/target.gguf"), "old").unwrap();
    symlink("elsewhere/target.gguf", place.path("link.gguf")).unwrap();
    place.refused(&["model", "-o", "link.gguf"], 73, "elsewhere/target.gguf exists already");
    let output = place.edgecall(&["model", "--no-check", "-o", "link.gguf", "--force"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::symlink_metadata(place.path("link.gguf")).unwrap().is_symlink());
    assert!(fs::read(place.path("elsewhere/target.gguf")).unwrap().starts_with(b"GGUF"));
    assert!(place.path("elsewhere/target.gguf.json").is_file());

    symlink("elsewhere/new.gguf", place.path("dangling.gguf")).unwrap();
    let output = place.edgecall(&["model", "--no-check", "-o", "dangling.gguf"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(place.path("elsewhere/new.gguf").is_file());

    symlink("/proc/self/fd/1", place.path("stdout")).unwrap();
    place.refused(&["model", "-o", "stdout", "--force"], 73, "is a link that leads to no file");
    place.refused(&["model", "-o", "/dev/stdout", "--force"], 73, "/dev/stdout");
    symlink("/dev/null", place.path("null.gguf")).unwrap();
    place.refused(&["model", "-o", "null.gguf", "--force"], 73, "/dev/null is not a regular file");
    symlink("loop.gguf", place.path("loop.gguf")).unwrap();
    place.refused(&["model", "-o", "loop.gguf", "--force"], 73, "is a link that leads to no file");
}

#[test]
fn the_template_that_transformers_loads_is_written_and_a_second_one_told() {
    let place = Place::new(&Fixture::default());
    fs::write(place.model().join("chat_template.jinja"), "NEW {{ messages[0].content }}").unwrap();
    let report = converted(&place, &[]);
    assert!(
        report.contains("have different chat templates; the file gets that of chat_template.jinja"),
        "{report}"
    );
    let file = fs::read(place.path("out.gguf")).unwrap();
    let gguf = edgecall::gguf::Gguf::parse(&file).unwrap();
    assert_eq!(gguf.str("tokenizer.chat_template"), Some("NEW {{ messages[0].content }}"));

    let mut config = read(&place.model().join("tokenizer_config.json"));
    config.as_object_mut().unwrap().remove("chat_template");
    write_json(&place.model(), "tokenizer_config.json", &config);
    assert!(!converted(&place, &[]).contains("warning"));
    fs::remove_file(place.model().join("chat_template.jinja")).unwrap();
    let report = converted(&place, &[]);
    assert!(report.contains("has no chat template, which calls need: copy chat_template.jinja"), "{report}");
}

#[test]
fn a_whole_file_beside_a_stale_index_is_read() {
    let place = Place::new(&Fixture::default());
    let right = converted(&place, &["-t", "q8_0"]);
    let before = fs::read(place.path("out.gguf")).unwrap();
    let (header, _) = crate::fixture::read_safetensors(&place.weights());
    let shards = header.keys().enumerate();
    let shards: Map<String, Value> = shards
        .map(|(i, name)| (name.clone(), json!(format!("model-0000{}-of-00002.safetensors", 1 + i % 2))))
        .collect();
    write_json(&place.model(), "model.safetensors.index.json", &json!({"weight_map": shards}));
    let report = converted(&place, &["-t", "q8_0"]);
    assert!(report.contains("delete the index if it is that of an earlier save"), "{report}");
    assert!(!right.contains("warning"), "{right}");
    assert_eq!(fs::read(place.path("out.gguf")).unwrap(), before);

    // Shards of another number than the index has.
    fs::rename(place.weights(), place.model().join("model-00001-of-00001.safetensors")).unwrap();
    place.refused(&["model"], 66, "delete model.safetensors.index.json if it is that of another save");
}

#[test]
fn a_missing_shard_is_not_blamed_on_the_index() {
    let place = Place::new(&Fixture { shards: 3, ..Fixture::default() });
    fs::remove_file(place.model().join("model-00002-of-00003.safetensors")).unwrap();
    let output = place.edgecall(&["model"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("fetch it") && !message.contains("delete"), "{message}");
}

#[test]
fn names_with_a_prefix_too_many_or_too_few_give_the_same_file() {
    let place = Place::new(&Fixture::default());
    converted(&place, &["-t", "q8_0"]);
    let right = fs::read(place.path("out.gguf")).unwrap();
    type Rename = fn(&str) -> String;
    let savers: [Rename; 4] = [
        |name| format!("_orig_mod.{name}"),
        |name| name.replacen("model.", "", 1),
        |name| format!("base_model.model.{name}"),
        |name| format!("language_model.{name}"),
    ];
    for rename in savers {
        let place = Place::new(&Fixture::default());
        renamed(&place, rename);
        let report = converted(&place, &["-t", "q8_0"]);
        assert!(report.contains("the tensors have other names than transformers gives them"), "{report}");
        assert!(fs::read(place.path("out.gguf")).unwrap() == right, "{}", rename("model.norm.weight"));
    }
}

#[test]
fn names_that_cannot_be_mapped_are_shown_with_what_they_look_like() {
    let place = Place::new(&Fixture::default());
    renamed(&place, |name| name.replace("q_proj.weight", "q_proj.base_layer.weight"));
    place.refused(&["model"], 65, "it has `model.layers.0.self_attn.q_proj.base_layer.weight`");
    place.refused(&["model"], 65, "an adapter that is not merged; merge it first");
    let place = Place::new(&Fixture::default());
    renamed(&place, |name| name.replace("model.", "transformer.").replace("embed_tokens", "wte"));
    place.refused(&["model"], 65, "transformer.layers.0.");
}

#[test]
fn a_trainers_folder_names_the_checkpoint_in_it() {
    let place = Place::new(&Fixture::default());
    let config = Fixture::default().config_json();
    for name in ["checkpoint-500", "checkpoint-1500", "checkpoint-x"] {
        fs::create_dir_all(place.path("train").join(name)).unwrap();
        write_json(&place.path("train").join(name), "config.json", &config);
    }
    place.refused(&["train"], 66, "train/checkpoint-1500 has one: give that folder");
}

#[test]
fn what_no_call_would_load_is_not_written() {
    let refused = |edit: Value, part: &str| {
        let place = Place::new(&Fixture::default());
        place.edit_config(edit);
        place.refused(&["model", "--no-check"], 65, part);
    };
    refused(json!({"rms_norm_eps": 2.0}), "correct `rms_norm_eps` in config.json");
    refused(json!({"rms_norm_eps": 0.0}), "`rms_norm_eps` is 0.0");
    refused(json!({"rms_norm_eps": -1e-6}), "`rms_norm_eps` is -1e-6");
    refused(json!({"rope_theta": 1e-60}), "`rope_theta` in config.json");
    refused(json!({"max_position_embeddings": 0}), "`max_position_embeddings` is 0");
    refused(
        json!({"max_position_embeddings": 4_000_000_000u32}),
        "correct `max_position_embeddings` in config.json",
    );
    if cfg!(feature = "engine") {
        // Named by the token check, which can be left out.
        let place = Place::new(&Fixture::default());
        place.edit_config(json!({"bos_token_id": 100_000}));
        place.refused(&["model"], 65, "correct `bos_token_id` in config.json");
    }

    let place = Place::new(&Fixture::default());
    let path = place.model().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen('{', "{\"rms_norm_eps\": NaN, ", 1)).unwrap();
    let output = place.edgecall(&["model"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("not JSON") && !message.contains("cut short"), "{message}");

    let place = Place::new(&Fixture::default());
    let mut config = read(&place.model().join("tokenizer_config.json"));
    config["chat_template"] = json!("{% for message in messages %}");
    write_json(&place.model(), "tokenizer_config.json", &config);
    place.refused(&["model", "--no-check"], 65, "no call would use the checkpoint's chat template");
}

#[test]
fn a_stored_head_that_differs_is_kept_and_transformers_is_quoted_right() {
    let place = Place::new(&Fixture { head: crate::fixture::Head::TiedCopy, ..Fixture::default() });
    place.plant("lm_head.weight", 7, 0x3f80);
    let report = converted(&place, &["-t", "q8_0"]);
    assert!(
        report.contains("as llama.cpp's converter and transformers 5 do; transformers 4 uses"),
        "{report}"
    );
}
