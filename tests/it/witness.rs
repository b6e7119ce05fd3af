//! A file that says what its trainer's model says passes; a fault on the way is found and named.

use crate::{
    edited::Edited,
    program::edgecall,
    witness_models::{self as models, Tensors, compared},
};
use edgecall::{
    convert::FileType,
    gguf::{GgmlType, Value},
    quant,
    witness::{Cause, Report},
};
use std::{fs, path::Path, sync::OnceLock};

/// Causes of everything that is wrong.
fn causes(report: &Report) -> Vec<Cause> {
    let wrong = report.findings.iter().filter(|finding| finding.is_wrong());
    let mut causes: Vec<Cause> = wrong.map(|finding| finding.cause).collect();
    causes.dedup();
    causes
}

/// The report on an edited file of the pocket model.
fn report_on(edited: &Edited) -> Report {
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    edited.write(file.path());
    compared(file.path(), "pocket")
}

/// Checks that a fault in files of these types is found, and that nothing else is blamed.
fn is_blamed(cause: Cause, types: &[FileType], fault: impl Fn(Edited) -> Edited) {
    for &file_type in types {
        let report = report_on(&fault(Edited::pocket_in(file_type)));
        assert_eq!(causes(&report), [cause], "{file_type}: {report}");
        assert!(!report.ok && report.verdict.contains(cause.name()), "{report}");
    }
}

const ALL: &[FileType] = &[FileType::F16, FileType::Q8_0, FileType::Q4KM];

/// Changes the weights of a tensor, and encodes them again in its type.
fn edit(file: &mut Edited, name: &str, change: impl FnOnce(&mut Vec<f32>)) {
    let (_, dims, ggml_type, bytes) = file.tensor_mut(name);
    let codec = quant::codec(*ggml_type).unwrap();
    let mut weights = vec![0.0; dims.iter().product::<u64>() as usize];
    codec.decode(bytes, &mut weights);
    change(&mut weights);
    codec.encode(&weights, bytes);
}

fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut random = crate::fixture::Random(seed);
    (0..count).map(|_| random.normal()).collect()
}

/// Adds a part of a tensor's size at random, as later training does.
fn train(weights: &mut [f32], part: f32) {
    let rms = (weights.iter().map(|weight| weight * weight).sum::<f32>() / weights.len() as f32).sqrt();
    let noise = normal(3, weights.len());
    weights.iter_mut().zip(noise).for_each(|(weight, noise)| *weight += part * rms * noise);
}

#[test]
fn files_of_every_type_say_what_the_trainers_model_says() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    for &file_type in FileType::ALL {
        let file = models::convert(&source, &folder.path().join(format!("{file_type}.gguf")), file_type);
        let report = compared(&file, "pocket");
        assert_eq!((report.ok, report.findings.len()), (true, 0), "{file_type}: {report}");
        assert_eq!((report.template.same, report.template.conversations), (20, 20));
        assert_eq!((report.tokens.same, report.tokens.texts), (40, 40));
        assert_eq!((report.weights.tensors, report.weights.different), (68, 0));
        assert_eq!(report.probabilities.as_ref().map(|found| found.positions), Some(160));
        println!("{file_type}: {:?} {:?}", report.weights.largest, report.probabilities);
    }
}

#[test]
fn files_of_every_architecture_say_what_the_trainers_model_says() {
    let folder = tempfile::tempdir().unwrap();
    for (name, shape) in models::shapes() {
        let checkpoint = shape.write(&folder.path().join(name));
        for file_type in [FileType::Bf16, FileType::F16, FileType::Q8_0, FileType::Q4KM, FileType::Q4_0] {
            let file = models::convert(&checkpoint, &folder.path().join("out.gguf"), file_type);
            let report = compared(&file, name);
            assert_eq!((report.ok, report.findings.len()), (true, 0), "{name} in {file_type}: {report}");
            println!("{name} {file_type}: {:?} {:?}", report.weights.largest, report.probabilities);
        }
    }
}

#[test]
fn another_chat_template_is_blamed() {
    is_blamed(Cause::Template, ALL, |mut file| {
        if let Value::String(text) = file.value_mut("tokenizer.chat_template") {
            *text = text.replace("# Tools", "## Tools");
        }
        file
    });
}

#[test]
fn a_bos_token_that_was_added_is_blamed() {
    is_blamed(Cause::Bos, ALL, |file| file.set("tokenizer.ggml.add_bos_token", Value::Bool(true)));
}

#[test]
fn another_eos_token_is_blamed() {
    is_blamed(Cause::Eos, ALL, |file| file.set("tokenizer.ggml.eos_token_id", Value::U32(4087)));
}

#[test]
fn a_norm_that_is_off_by_one_is_blamed() {
    is_blamed(Cause::NormOffset, ALL, |mut file| {
        edit(&mut file, "blk.2.attn_norm.weight", |norm| norm.iter_mut().for_each(|weight| *weight += 1.0));
        file
    });
    is_blamed(Cause::NormOffset, &[FileType::Q8_0], |mut file| {
        edit(&mut file, "output_norm.weight", |norm| norm.iter_mut().for_each(|weight| *weight -= 1.0));
        file
    });
}

#[test]
fn permuted_rows_of_queries_and_keys_are_blamed() {
    is_blamed(Cause::PermutedRows, ALL, |mut file| {
        for name in (0..6).flat_map(|layer| ["q", "k"].map(|part| format!("blk.{layer}.attn_{part}.weight")))
        {
            edit(&mut file, &name, |weights| {
                let rows: Vec<Vec<f32>> = weights.chunks(256).map(<[f32]>::to_vec).collect();
                let from = |row: usize| row / 64 * 64 + row % 2 * 32 + row % 64 / 2;
                *weights = (0..rows.len()).flat_map(|row| rows[from(row)].clone()).collect();
            });
        }
        file
    });
}

#[test]
fn another_rope_base_is_blamed() {
    is_blamed(Cause::RopeBase, ALL, |file| file.set("qwen3.rope.freq_base", Value::F32(10_000.0)));
    is_blamed(Cause::RopeBase, &[FileType::F16], |file| file.without("qwen3.rope.freq_base"));
}

#[test]
fn an_output_head_that_was_untied_is_blamed() {
    is_blamed(Cause::HeadUntied, ALL, |mut file| {
        let mut head = file.tensor_mut("token_embd.weight").clone();
        head.0 = "output.weight".to_owned();
        file.tensors.push(head);
        edit(&mut file, "output.weight", |weights| train(weights, 0.5));
        file
    });
}

#[test]
fn swapped_layers_are_blamed() {
    is_blamed(Cause::LayersSwapped, ALL, |mut file| {
        for tensor in &mut file.tensors {
            let other = match tensor.0.split('.').nth(1) {
                Some("2") => tensor.0.replacen(".2.", ".3.", 1),
                Some("3") => tensor.0.replacen(".3.", ".2.", 1),
                _ => continue,
            };
            tensor.0 = other;
        }
        file
    });
}

#[test]
fn shifted_rows_of_the_embedding_are_blamed() {
    for first in [0, 300] {
        is_blamed(Cause::ShiftedRows, ALL, |mut file| {
            edit(&mut file, "token_embd.weight", |weights| {
                let end = weights.len();
                weights.copy_within(first * 256..end - 256, (first + 1) * 256);
            });
            file
        });
    }
}

#[test]
fn layers_of_another_step_are_blamed() {
    is_blamed(Cause::OtherStep, &[FileType::F16, FileType::Q8_0], |file| trained(file, 0.1));
    is_blamed(Cause::OtherStep, &[FileType::Q4KM], |file| trained(file, 0.5));
}

/// The last layers with more training.
fn trained(mut file: Edited, part: f32) -> Edited {
    let names: Vec<String> = file.tensors.iter().map(|tensor| tensor.0.clone()).collect();
    for name in names.iter().filter(|name| name.starts_with("blk.4.") || name.starts_with("blk.5.")) {
        edit(&mut file, name, |weights| train(weights, part));
    }
    file
}

#[test]
fn weights_that_overflowed_in_f16_are_blamed() {
    is_blamed(Cause::Overflow, &[FileType::F16], |mut file| {
        let (_, _, ggml_type, bytes) = file.tensor_mut("blk.1.ffn_up.weight");
        assert_eq!(*ggml_type, GgmlType::F16);
        bytes[2 * 777..2 * 778].copy_from_slice(&half::f16::INFINITY.to_le_bytes());
        file
    });
}

#[test]
fn another_pre_tokenizer_is_blamed() {
    is_blamed(Cause::PreTokenizer, ALL, |file| file.set("tokenizer.ggml.pre", Value::String("gpt-2".into())));
}

#[test]
fn tokens_with_other_texts_are_blamed() {
    is_blamed(Cause::Vocabulary, &[FileType::Q8_0], |mut file| {
        if let Value::Array(edgecall::gguf::Array::String(tokens)) = file.value_mut("tokenizer.ggml.tokens") {
            tokens.swap(65, 66);
        }
        file
    });
}

/// The model with a head of its own and scaled rotary frequencies.
fn untied() -> &'static Tensors {
    static TENSORS: OnceLock<Tensors> = OnceLock::new();
    TENSORS.get_or_init(models::untied)
}

/// Report on the file made of `tensors` and edited.
fn report_on_untied(tensors: &Tensors, file_type: FileType, change: impl Fn(Edited) -> Edited) -> Report {
    let folder = tempfile::tempdir().unwrap();
    models::write_untied(&folder.path().join("model"), tensors);
    let file = models::convert(&folder.path().join("model"), &folder.path().join("model.gguf"), file_type);
    change(Edited::read(&file)).write(&file);
    compared(&file, "untied")
}

fn is_blamed_in_untied(cause: Cause, tensors: &Tensors, change: impl Fn(Edited) -> Edited) {
    for &file_type in ALL {
        let report = report_on_untied(tensors, file_type, &change);
        assert_eq!(causes(&report), [cause], "{file_type}: {report}");
    }
}

#[test]
fn a_merged_adapter_says_what_the_trainers_model_says() {
    for &file_type in FileType::ALL {
        let report = report_on_untied(&models::merged(untied(), 1.0), file_type, |file| file);
        assert!(report.ok && report.findings.is_empty(), "{file_type}: {report}");
        let scale = report.weights.adapter_scale.unwrap();
        assert!((scale - 1.0).abs() < 0.1, "{file_type}: {scale}");
    }
}

#[test]
fn an_adapter_with_twice_its_alpha_is_blamed() {
    is_blamed_in_untied(Cause::AdapterScale, &models::merged(untied(), 2.0), |file| file);
}

#[test]
fn an_adapter_that_was_not_merged_is_blamed() {
    is_blamed_in_untied(Cause::AdapterMissing, untied(), |file| file);
}

#[test]
fn an_adapter_on_another_base_is_blamed() {
    let other = models::later(untied().clone(), 0.5, |_| true);
    is_blamed_in_untied(Cause::WrongBase, &models::merged(&other, 1.0), |file| file);
}

#[test]
fn an_output_head_that_was_lost_is_blamed() {
    let merged = models::merged(untied(), 1.0);
    is_blamed_in_untied(Cause::HeadLost, &merged, |file| file.without_tensor("output.weight"));
}

#[test]
fn a_scaling_of_the_rotary_frequencies_that_was_lost_is_blamed() {
    let merged = models::merged(untied(), 1.0);
    is_blamed_in_untied(Cause::RopeScaling, &merged, |file| {
        file.without("qwen3.rope.scaling.type").without("qwen3.rope.scaling.factor")
    });
}

#[test]
fn a_lost_head_of_another_architecture_and_a_shard_are_named() {
    let (name, shape) = models::shapes().into_iter().find(|(name, _)| *name == "llama").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = shape.write(&folder.path().join(name));
    let other = crate::fixture::Fixture { seed: 2, ..shape };
    let later = other.write(&folder.path().join("later"));
    let shard = "model-00002-of-00002.safetensors";
    fs::copy(later.join(shard), checkpoint.join(shard)).unwrap();
    let file = models::convert(&checkpoint, &folder.path().join("out.gguf"), FileType::Q8_0);
    let report = compared(&file, name);
    assert_eq!(causes(&report), [Cause::OtherStep], "{report}");
    assert!(report.verdict.contains(shard), "{report}");
}

#[test]
fn the_command_prints_the_verdict_and_its_exit_code_is_0_or_1() {
    let good = crate::pocket::pocket(FileType::Q8_0);
    let verify = |file: &Path, args: &[&str]| {
        let mut command = edgecall();
        command.arg("verify").arg(file).arg("--witness").arg(models::path("pocket")).args(["--threads", "1"]);
        command.args(args).output().unwrap()
    };
    let done = verify(&good, &[]);
    let stdout = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{stdout}");
    assert!(
        stdout.lines().next().unwrap().ends_with("the file says what the trainer's model says"),
        "{stdout}"
    );
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.gguf");
    Edited::pocket().set("qwen3.rope.freq_base", Value::F32(5e5)).write(&bad);
    let done = verify(&bad, &["--json"]);
    assert_eq!(done.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["findings"][0]["cause"], "rope_base");
    assert!(String::from_utf8(done.stderr).unwrap().contains("names what is to blame"));
}

#[test]
fn a_conversion_that_is_not_its_witness_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let convert = |witness: &str, out: &str| {
        let mut command = edgecall();
        command.arg("convert").arg(&source).args(["-t", "q8_0", "--no-answers", "--witness"]);
        command.arg(models::path(witness)).arg("-o").arg(folder.path().join(out)).output().unwrap()
    };
    let done = convert("pocket", "good.gguf");
    let stdout = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(stdout.contains("witness: the file says what the trainer's model says"), "{stdout}");
    let done = convert("untied", "bad.gguf");
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("wrong: ") && stderr.contains("without --witness"), "{stderr}");
    assert!(!folder.path().join("bad.gguf").exists());
}
