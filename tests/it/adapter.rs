//! Merged adapters against the lists of `golden/adapters`, made by peft, and against a second program.

use crate::{fixture_adapter::weights, golden::mini_tokenizer, program::python, shared::shared};
use edgecall::{
    adapter::{self, Adapter, Merged, Mode},
    checkpoint::{Checkpoint, Dtype, SourceTensor},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// Hash of each tensor of a model by name.
type Hashes = BTreeMap<String, String>;

/// The modes of the lists, with their names there.
const MODES: [(&str, Mode); 3] =
    [("bf16", Mode::Peft), ("bf16-safe", Mode::Safe), ("bf16-nocast", Mode::NoCast)];

#[test]
fn conformance_adapter_lists_of_peft_hold() {
    let Some(shared) = shared() else { return };
    let golden = shared.join("golden/adapters");
    let Some(made) = generated(&golden, "") else { return };
    let mut held = 0;
    for entry in fs::read_dir(golden.join("lists")).unwrap() {
        let path = entry.unwrap().path();
        let list: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let kind = list["kind"].as_str().unwrap();
        let root = made.join(kind);
        let file = fs::read(root.join("adapter_model.safetensors")).unwrap();
        assert_eq!(sha256(&file), list["adapter_sha256"], "{kind} was generated otherwise");
        for (set, folders) in [
            ("", vec![root.clone()]),
            ("both:", vec![root.clone(), root.join("style")]),
            ("style-only:", vec![root.join("style")]),
        ] {
            for (name, mode) in MODES {
                let Some(listed) = list.get(format!("{set}{name}")) else { continue };
                let listed = if listed == "same" { &list[format!("{set}bf16")] } else { listed };
                let expected: Hashes = (listed.as_object().unwrap().iter())
                    .map(|(name, tensor)| (name.clone(), tensor[2].as_str().unwrap().to_owned()))
                    .collect();
                let merged = merged(&made, &folders, mode);
                assert_eq!(differing(&hashes(&merged.checkpoint), &expected), [""; 0], "{kind} {set}{name}");
                let config = &merged.checkpoint.config;
                if set.is_empty() {
                    let saved = &list["saved_config"];
                    assert_eq!(saved["vocab_size"], config.vocab_size, "{kind}");
                    assert_eq!(saved["tie_word_embeddings"], config.tie_word_embeddings, "{kind}");
                }
                held += 1;
            }
        }
    }
    assert!(held >= 90, "{held} lists");
    println!("{held} lists of merged tensors hold");
}

#[test]
fn conformance_adapter_bits_of_other_seeds_are_those_of_the_second_program() {
    let Some(shared) = shared() else { return };
    let golden = shared.join("golden/adapters");
    let Some(made) = generated(&golden, "another") else { return };
    let output = python().arg("-c").arg(NP_HASHES).arg(&golden).arg(&made).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: BTreeMap<String, BTreeMap<String, Hashes>> =
        serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(expected.len(), 30);
    for (kind, modes) in &expected {
        for (name, expected) in modes {
            let (_, mode) = MODES.into_iter().find(|(known, _)| known == name).unwrap();
            let merged = merged(&made, &[made.join(kind)], mode);
            assert_eq!(differing(&hashes(&merged.checkpoint), expected), [""; 0], "{kind} {name}");
        }
    }
}

/// Prints the hashes of `np_merge.py` for adapters that have no lists: every kind in one mode, some in all.
const NP_HASHES: &str = r"
import sys
golden, made = sys.argv[1:]
sys.argv = ['np_merge.py', made, '']
exec(open(golden + '/np_merge.py').read().split('\nok = True')[0])
out = {}
for kind in sorted(k for k in os.listdir(made) if os.path.exists(f'{made}/{k}/adapter_config.json')):
    base = f'{made}/' + os.path.basename(json.load(open(f'{made}/{kind}/adapter_config.json'))['base_model_name_or_path'])
    tied = json.load(open(base + '/config.json'))['tie_word_embeddings']
    for mode in ['bf16'] + (['bf16-safe', 'bf16-nocast'] if kind in ('patterns', 'dora-bf16', 'lora-bias', 'embed-head-untied') else []):
        W = read(base + '/model.safetensors')
        if tied: W.pop('lm_head.weight', None)
        W = merge(W, f'{made}/{kind}', mode, tied=tied)
        out.setdefault(kind, {})[mode] = {k: hashlib.sha256(bits(bf(v))).hexdigest() for k, v in W.items()}
print(json.dumps(out))
";

#[test]
fn conformance_adapter_file_is_that_of_the_merged_folder() {
    let Some(shared) = shared() else { return };
    let golden = shared.join("golden/adapters");
    let Some(made) = generated(&golden, "") else { return };
    let place = tempfile::tempdir().unwrap();
    let tokenizer = mini_tokenizer(&shared.join("golden"), place.path());
    for kind in
        ["plain", "dora-bf16", "embed-head-tied", "modules-to-save-tied", "token-indices-added", "lora-bias"]
    {
        let adapter = made.join(kind);
        let config: Value =
            serde_json::from_slice(&fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap();
        let base =
            made.join(Path::new(config["base_model_name_or_path"].as_str().unwrap()).file_name().unwrap());
        let (with_tokenizer, merged) = (place.path().join("base"), place.path().join("merged").join(kind));
        for (from, to) in [(&base, &with_tokenizer), (&tokenizer, &with_tokenizer), (&tokenizer, &merged)] {
            copy_files(from, to);
        }
        let np =
            python().arg("-c").arg(NP_FOLDER).args([&golden, &adapter, &base, &merged]).output().unwrap();
        assert!(np.status.success(), "{}", String::from_utf8_lossy(&np.stderr));
        let types = ["--type", "f16,q8_0,q4_k_m", "--pre", "qwen2", "--no-check", "--json"];
        let (ours, theirs) = (place.path().join("ours"), place.path().join("theirs"));
        convert(
            Command::new(EDGECALL)
                .arg("convert")
                .arg(&adapter)
                .arg("--base")
                .arg(&with_tokenizer)
                .args(types),
            &ours,
        );
        convert(Command::new(EDGECALL).arg("convert").arg(&merged).args(types), &theirs);
        for name in ["F16", "Q8_0", "Q4_K_M"].map(|name| format!("{kind}-{name}.gguf")) {
            let [ours, theirs] = [&ours, &theirs].map(|folder| fs::read(folder.join(&name)).unwrap());
            assert!(ours == theirs, "{name}: the file of the adapter is not that of the merged folder");
        }
        for folder in [with_tokenizer, ours, theirs] {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// Writes the merged folder of `np_merge.py`, in the form of `save_pretrained`.
const NP_FOLDER: &str = r"
import sys
golden, adapter, base, out = sys.argv[1:]
sys.argv = ['np_merge.py', '', '']
exec(open(golden + '/np_merge.py').read().split('\nok = True')[0])
c = json.load(open(base + '/config.json')); tied = c['tie_word_embeddings']
W = read(base + '/model.safetensors')
if tied: W.pop('lm_head.weight', None)
W = merge(W, adapter, 'bf16', tied=tied)
c['vocab_size'] = len(W['model.embed_tokens.weight']); c['tie_word_embeddings'] = tied and 'lm_head.weight' not in W
json.dump(c, open(out + '/config.json', 'w'))
head, at = {}, 0
for k in sorted(W): n = 2 * W[k].size; head[k] = {'dtype': 'BF16', 'shape': list(W[k].shape), 'data_offsets': [at, at + n]}; at += n
h = json.dumps(head).encode()
with open(out + '/model.safetensors', 'wb') as f:
    f.write(struct.pack('<Q', len(h)) + h)
    for k in sorted(W): f.write(bits(bf(W[k])))
g = base + '/generation_config.json'
if os.path.exists(g): open(out + '/generation_config.json', 'w').write(open(g).read())
";

const EDGECALL: &str = env!("CARGO_BIN_EXE_edgecall");

fn convert(command: &mut Command, out: &Path) {
    let output = command.arg("-o").arg(out).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Merges the adapters in `folders` into the base that the first of them names.
fn merged(made: &Path, folders: &[PathBuf], mode: Mode) -> Merged {
    let adapters: Vec<Adapter> = folders.iter().map(|folder| Adapter::open(folder).unwrap()).collect();
    let base = Path::new(adapters[0].base_name().unwrap()).file_name().unwrap();
    adapter::merge(Checkpoint::open(&made.join(base)).unwrap(), adapters, mode).unwrap()
}

/// The hash of each tensor's bytes, in the dtype of the checkpoint.
fn hashes(checkpoint: &Checkpoint) -> Hashes {
    let tensors = checkpoint.shards.tensors().iter();
    tensors.map(|tensor| (tensor.name.clone(), sha256(&bytes(checkpoint, tensor)))).collect()
}

fn bytes(checkpoint: &Checkpoint, tensor: &SourceTensor) -> Vec<u8> {
    assert_eq!(tensor.dtype, Dtype::Bf16);
    let encoded = |weight: f32| {
        let rounded = half::bf16::from_f32(weight);
        assert_eq!(rounded.to_f32(), weight, "{} is rounded", tensor.name);
        rounded.to_le_bytes()
    };
    weights(checkpoint, tensor).into_iter().flat_map(encoded).collect()
}

/// Names of tensors that only one side has, or that differ.
fn differing(ours: &Hashes, theirs: &Hashes) -> Vec<String> {
    let names = ours.keys().chain(theirs.keys());
    let mut names: Vec<String> = names.filter(|name| ours.get(*name) != theirs.get(*name)).cloned().collect();
    names.sort();
    names.dedup();
    names
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bases and adapters of `gen_adapters.py`, generated once for all runs; `None`, with a message, without numpy.
fn generated(golden: &Path, salt: &str) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-adapters");
    fs::create_dir_all(&cache).unwrap();
    let dir = cache.join(format!("salt-{salt}"));
    if dir.is_dir() {
        return Some(dir);
    }
    if !python().args(["-c", "import numpy"]).output().is_ok_and(|output| output.status.success()) {
        let is_ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "the adapters are made with numpy, and CI must not skip conformance");
        println!("skipped: EDGECALL_PYTHON (else python3) has no numpy");
        return None;
    }
    // Made under a temporary name and renamed, so that an interrupted run leaves no partial folder.
    let half = tempfile::tempdir_in(&cache).unwrap();
    let mut command = python();
    command.arg(golden.join("gen_adapters.py")).arg(half.path()).args(["--salt", salt]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(half.keep(), &dir).unwrap();
    Some(dir)
}
