//! `edgecall doctor` finds faults of a file or of its computation, and reports none where there are none.

use crate::program::edgecall;
use edgecall::{
    convert,
    gguf::{GgmlType, Gguf},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The pocket model in `file_type`, converted by the program with its manifest, in a folder for all tests of this file.
fn converted(file_type: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
        let args = ["--type", "q8_0,q4_k_m,f16", "--threads", "1", "-o"];
        let done = edgecall().arg("convert").arg(source).args(args).arg(folder.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        folder
    });
    folder.path().join(format!("pocket-{file_type}.gguf"))
}

/// JSON of `doctor --json` on a model, and the exit code.
fn examined(model: &Path) -> (Value, Option<i32>) {
    let cache = tempfile::tempdir().unwrap();
    let mut doctor = edgecall();
    doctor
        .args(["doctor", "--json", "--threads", "1", "-m"])
        .arg(model)
        .env("EDGECALL_CACHE_DIR", cache.path());
    let done = doctor.output().unwrap();
    let report = serde_json::from_slice(&done.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {done:?}")), done.status.code())
}

/// Texts of the findings on `topic` that are wrong.
fn wrong(report: &Value, topic: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let about = findings.filter(|finding| finding["topic"] == topic && finding["severity"] == "wrong");
    about.map(|finding| finding["what"].as_str().unwrap().to_owned()).collect()
}

/// Copy of `model` in `folder` with its manifest, with `edit` applied to the data of each tensor.
fn edited(model: &Path, folder: &Path, edit: impl Fn(&str, GgmlType, &mut [u8])) -> PathBuf {
    let copy = folder.join(model.file_name().unwrap());
    let mut bytes = fs::read(model).unwrap();
    let gguf = Gguf::parse(&bytes).unwrap();
    for tensor in &gguf.tensors {
        let range = gguf.tensor_range(tensor);
        edit(&tensor.name, tensor.ggml_type, &mut bytes[range.start as usize..range.end as usize]);
    }
    fs::write(&copy, bytes).unwrap();
    fs::copy(convert::manifest_path(model), convert::manifest_path(&copy)).unwrap();
    copy
}

/// Flips the sign of the scale in each block of Q8_0.
fn flip_scales(data: &mut [u8]) {
    data.chunks_exact_mut(34).for_each(|block| block[1] ^= 0x80);
}

#[test]
fn a_converted_model_answers_as_its_manifest_says_in_every_way() {
    for file_type in ["Q8_0", "Q4_K_M", "F16"] {
        let (report, _) = examined(&converted(file_type));
        let answers = &report["model"]["answers"];
        assert_eq!(answers["reference"]["kind"], "manifest", "{file_type}");
        let ways = answers["ways"].as_array().unwrap();
        // The run has one thread, so the way "one thread" is left out.
        assert_eq!(ways.len(), 5, "{ways:?}");
        for way in ways {
            assert_eq!((&way["prompts"], &way["top1"]), (&8.into(), &8.into()), "{file_type}: {way}");
        }
        assert_eq!(wrong(&report, "answers"), [""; 0]);
        assert_eq!(wrong(&report, "file"), [""; 0]);
        assert_eq!(report["model"]["file"], "same");
    }
}

#[test]
fn scales_with_the_wrong_sign_in_one_matrix_are_found_by_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let broken = edited(&converted("Q8_0"), folder.path(), |name, _, data| {
        if name == "blk.3.ffn_down.weight" {
            flip_scales(data);
        }
    });
    let (report, code) = examined(&broken);
    assert_eq!(code, Some(1));
    assert_eq!(report["ok"], false);
    assert_eq!(wrong(&report, "answers").len(), 1, "{report}");
    assert_eq!(wrong(&report, "file").len(), 1, "{report}");
    for way in report["model"]["answers"]["ways"].as_array().unwrap() {
        assert!(way["kl_max"].as_f64() > way["kl_bound"].as_f64(), "{way}");
    }
}

#[test]
fn a_kernel_that_forgets_what_q4_k_adds_is_found() {
    let folder = tempfile::tempdir().unwrap();
    // The second half of a block's first four bytes scales the minima; without it sixteen values become eight pairs.
    let broken = edited(&converted("Q4_K_M"), folder.path(), |_, ggml_type, data| {
        if ggml_type == GgmlType::Q4K {
            data.chunks_exact_mut(144).for_each(|block| block[2..4].fill(0));
        }
    });
    let (report, code) = examined(&broken);
    assert_eq!(code, Some(1));
    assert_eq!(wrong(&report, "answers").len(), 1, "{report}");
}

#[test]
fn weights_that_give_no_numbers_are_found_without_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    // Makes the scale of every block infinite.
    let broken = edited(&converted("Q8_0"), folder.path(), |name, _, data| {
        if name == "blk.1.ffn_up.weight" {
            data.chunks_exact_mut(34).for_each(|block| block[..2].copy_from_slice(&[0x00, 0x7c]));
        }
    });
    fs::remove_file(convert::manifest_path(&broken)).unwrap();
    let (report, code) = examined(&broken);
    assert_eq!(code, Some(1));
    assert_eq!(report["model"]["file"], "no_manifest");
    let wrong = wrong(&report, "answers");
    assert!(wrong[0].contains("no numbers"), "{wrong:?}");
}

#[test]
fn a_model_without_a_manifest_is_held_against_itself_and_the_report_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("alone.gguf");
    fs::copy(converted("Q4_K_M"), &alone).unwrap();
    let (report, _) = examined(&alone);
    assert_eq!(report["model"]["answers"]["reference"]["kind"], "this_machine");
    assert_eq!(wrong(&report, "answers"), [""; 0]);
    let findings = report["findings"].as_array().unwrap().iter();
    let notes: Vec<&Value> = findings.filter(|finding| finding["topic"] == "answers").collect();
    assert_eq!(notes.len(), 1);
    assert!(notes[0]["remedy"].as_str().unwrap().contains("edgecall convert"), "{notes:?}");
}

/// The pocket model in a folder of its own, with its manifest as `edit` leaves it.
fn with_manifest(folder: &Path, edit: impl Fn(&mut Value)) -> PathBuf {
    let copy = edited(&converted("Q8_0"), folder, |_, _, _| ());
    let path = convert::manifest_path(&copy);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    copy
}

#[test]
fn a_manifest_without_answers_to_these_prompts_is_no_confirmation() {
    let folder = tempfile::tempdir().unwrap();
    let wrong_lengths = |manifest: &mut Value| {
        for prompt in manifest["answers"]["prompts"].as_array_mut().unwrap() {
            prompt["n_tokens"] = 63.into();
        }
    };
    let none = |manifest: &mut Value| manifest["answers"]["prompts"] = Value::Array(Vec::new());
    for edit in [&wrong_lengths as &dyn Fn(&mut Value), &none] {
        let (report, _) = examined(&with_manifest(folder.path(), edit));
        let findings = report["findings"].as_array().unwrap().iter();
        let notes: Vec<&Value> = findings.filter(|finding| finding["topic"] == "answers").collect();
        assert_eq!((notes.len(), &notes[0]["severity"]), (1, &"note".into()), "{report}");
        assert!(notes[0]["what"].as_str().unwrap().starts_with("no answer could be compared"), "{notes:?}");
        assert!(!report["verdict"].as_str().unwrap().contains("as its manifest says"), "{report}");
    }
}

#[test]
fn a_damaged_manifest_is_wrong_and_its_hash_is_compared_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let model = with_manifest(folder.path(), |manifest| manifest["answers"] = "\u{1b}[31mx".into());
    let (report, code) = examined(&model);
    let found = wrong(&report, "file");
    assert!(found.len() == 1 && found[0].contains("cannot be used: "), "{found:?}");
    assert!(!found[0].contains('\u{1b}'), "{found:?}");
    assert_eq!((&report["model"]["file"], code), (&"same".into(), Some(1)));
    fs::write(convert::manifest_path(&model), "").unwrap();
    let (report, code) = examined(&model);
    assert_eq!(wrong(&report, "file").len(), 1, "{report}");
    assert_eq!((&report["model"]["file"], code), (&"unusable_manifest".into(), Some(1)));
}

#[test]
fn on_one_cpu_two_threads_are_warned_of_and_three_refused_with_the_true_number() {
    let doctor = |threads: &str| {
        // The affinity is this thread's, and its children's.
        let before = rustix::thread::sched_getaffinity(None).unwrap();
        let cpu = (0..rustix::thread::CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu)).unwrap();
        let mut one = rustix::thread::CpuSet::new();
        one.set(cpu);
        rustix::thread::sched_setaffinity(None, &one).unwrap();
        let output = edgecall().args(["doctor", "--threads", threads]).output().unwrap();
        rustix::thread::sched_setaffinity(None, &before).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, stderr) = doctor("3");
    assert!(code == Some(2) && stderr.contains("ask for at most 1"), "{stderr}");
    let (code, stdout, stderr) = doctor("2");
    assert!(stderr.starts_with("warning: 2 threads compute on 1 CPU and wait for each other"), "{stderr}");
    assert!(code == Some(1) && stdout.contains("this process may run on 1 CPU: they wait"), "{stdout}");
    assert!(!doctor("1").2.contains("warning"), "one thread has its CPU");
}

#[test]
fn a_report_says_what_the_machine_is_and_ends_with_the_verdict() {
    let cache = tempfile::tempdir().unwrap();
    let doctor = |args: &[&str]| {
        let mut doctor = edgecall();
        doctor.args(["doctor", "--threads", "1"]).args(args).env("EDGECALL_CACHE_DIR", cache.path());
        doctor.output().unwrap()
    };
    let report: Value = serde_json::from_slice(&doctor(&["--json"]).stdout).unwrap();
    let machine = &report["machine"];
    assert!(machine["memory"]["available_bytes"].as_u64() > Some(0), "{machine}");
    assert!(machine["limits"]["allowed_cpus"].as_u64() > Some(0), "{machine}");
    assert!(machine["page_bytes"].as_u64() >= Some(4096), "{machine}");
    assert_eq!(machine["cache"]["exists"], false);
    assert!(machine["kernels"].is_string() && machine["features"].is_array(), "{machine}");
    assert!(report["ceiling"]["bytes_per_s"].as_f64() > Some(1e8), "{report}");
    assert_eq!(report["model"], Value::Null);

    let table = doctor(&[]);
    let stdout = String::from_utf8(table.stdout).unwrap();
    let last = stdout.lines().last().unwrap();
    let is_well = last == "nothing is wrong with this machine";
    assert!(is_well || last.contains("wrong: "), "{stdout}");
    assert_eq!(table.status.code(), Some(if is_well { 0 } else { 1 }));
    // Nothing was created in the cache folder.
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_kept_in_makes_the_exit_code_1() {
    let folder = tempfile::NamedTempFile::new().unwrap();
    let doctor = edgecall()
        .args(["doctor", "--json", "--threads", "1"])
        .env("EDGECALL_CACHE_DIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert_eq!(wrong(&report, "cache").len(), 1, "{report}");
    assert!(String::from_utf8(doctor.stderr).unwrap().contains("the report says what to do"));
}

#[test]
fn answers_are_the_last_key_of_a_manifest_and_the_only_one_that_no_answers_leaves_out() {
    let with = fs::read(convert::manifest_path(&converted("Q8_0"))).unwrap();
    let mut with: serde_json::Map<String, Value> = serde_json::from_slice(&with).unwrap();
    assert_eq!(with.keys().next_back().unwrap(), "answers");
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let file = folder.path().join("m.gguf");
    let args = ["--type", "q8_0", "--no-answers", "-o"];
    let done = edgecall().arg("convert").arg(source).args(args).arg(&file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let without: Value = serde_json::from_slice(&fs::read(convert::manifest_path(&file)).unwrap()).unwrap();
    let answers = with.shift_remove("answers").unwrap();
    assert_eq!(Value::Object(with), without);
    assert_eq!(answers["prompts"].as_array().unwrap().len(), 8);
    for answer in answers["prompts"].as_array().unwrap() {
        let top = answer["top"].as_array().unwrap();
        let logprobs: Vec<f64> = top.iter().map(|top| top["logprob"].as_f64().unwrap()).collect();
        assert!(logprobs.len() == 8 && logprobs.is_sorted_by(|a, b| a >= b), "{answer}");
        assert!((1..=64).contains(&answer["n_tokens"].as_u64().unwrap()), "{answer}");
    }
}

#[test]
fn a_profile_that_no_call_can_use_is_wrong_and_a_good_one_is_not() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let model = folder.path().join("pocket.gguf");
    fs::copy(converted("Q8_0"), &model).unwrap();
    let set = edgecall().arg("profile").arg(&model).args(["--set", "temperature=0.5"]).output().unwrap();
    assert!(set.status.success());
    assert_eq!(wrong(&examined(&model).0, "profile"), Vec::<String>::new());
    let mut bytes = fs::read(&model).unwrap();
    let key = b"edgecall.profile.temperature";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap();
    bytes[at + key.len() - 1] = b'a';
    fs::write(&model, bytes).unwrap();
    let (report, code) = examined(&model);
    let found = wrong(&report, "profile");
    assert!(found.len() == 1 && found[0].contains("no key `temperatura`"), "{found:?}");
    assert_eq!(code, Some(1));
}
