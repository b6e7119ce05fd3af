//! Refusals of a conversion: with the name of the problem, the exit code, and no file left behind.

use crate::{
    fixture::{self, Fixture},
    place::{self, Place},
};
use edgecall::convert::{Progress, Targets};
use serde_json::{Value, json};
use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

#[test]
fn what_is_no_checkpoint_folder_is_refused_with_the_way_on() {
    let place = Place::new(&Fixture::default());
    place.refused(&["nowhere"], 66, "no such checkpoint folder");
    place.refused(&["Qwen/Qwen3-1.7B"], 66, "edgecall pull Qwen/Qwen3-1.7B");
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
    place.refused(&["lora"], 65, "it has no `peft_type`");
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

#[cfg(feature = "engine")]
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
            place::run(&checkpoint, &plan, &targets, 2, &mut InterruptAt(step, &interrupt), &interrupt)
                .unwrap_err();
        assert_eq!(error.kind(), edgecall::Kind::Interrupted);
        assert_eq!(place.entries(), before, "{step}");
    }
}

/// A checkpoint of mostly zeros: slow to convert, but small on disk.
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

/// A conversion of `place` that has started to write.
fn converting(place: &Place, before: &[std::path::PathBuf]) -> (std::process::Child, rustix::process::Pid) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_edgecall"))
        .args(["convert", "model", "-o", "out", "-t", "q6_k,q5_k_m,f32", "--threads", "1"])
        .current_dir(place.path(""))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while place.entries() == before {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    (child, pid)
}

#[test]
fn ctrl_c_ends_with_130_and_leaves_nothing_behind() {
    let place = large();
    let before = place.entries();
    let (child, pid) = converting(&place, &before);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.entries(), before);
}

#[test]
fn a_second_ctrl_c_does_not_wait_and_leaves_nothing_behind_either() {
    let place = large();
    let before = place.entries();
    // The pauses vary where the second signal strikes; the outcome must not depend on them.
    for pause_ms in [0, 1, 3, 10] {
        let (child, pid) = converting(&place, &before);
        for _ in 0..2 {
            // The first signal may have ended it already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(place.entries(), before, "{pause_ms} ms");
    }
}

#[test]
fn a_write_that_fails_is_told_and_leaves_nothing_behind() {
    if std::env::var_os("QEMU_CPU").is_some() {
        println!(
            "skipped: qemu's user emulation handles signals itself, and /proc does not show which the program ignores"
        );
        return;
    }
    let place = Place::new(&Fixture::default());
    let before = place.entries();
    // A file may not grow beyond 64 blocks of 512 bytes, so the write fails as on a full disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec {} convert model -o out.gguf",
        env!("CARGO_BIN_EXE_edgecall")
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("writing out.gguf failed; nothing was left behind"), "{message}");
    assert_eq!(output.status.code(), Some(74), "{message}");
    assert_eq!(place.entries(), before);
}

#[test]
fn a_limit_of_a_files_length_is_told_before_its_signal_ends_the_process() {
    let place = Place::new(&Fixture::default());
    let before = place.entries();
    let script = format!("ulimit -f 64; exec {} convert model -o out.gguf", env!("CARGO_BIN_EXE_edgecall"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("raise the limit (ulimit -f)"), "{message}");
    assert_eq!(output.status.code(), Some(73), "{message}");
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
    assert!(message.contains("has 65.5 kB free, and"), "{message}");
    assert_eq!((output.status.code(), left), (Some(73), 0), "{message}");
}
