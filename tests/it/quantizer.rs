//! Our direct conversion from a checkpoint compared with llama.cpp's quantizer on our BF16 file, in this process.
//!
//! If ggml was compiled with fused multiply-adds, only types without sums are compared.

use crate::{
    fixture::{Fixture, Head, Random},
    oracle,
};
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, FileType, Plan, Recipe, Targets},
    gguf::{GgmlType, Gguf},
    mmap::Map,
};
use llama_cpp_sys_2 as sys;
use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// A random shape; over all seeds every type and every fallback occurs.
fn random_fixture(seed: u64) -> Fixture {
    let mut random = Random(seed);
    let mut pick = |choices: &[u64]| choices[random.bits() as usize % choices.len()];
    let class = ["Qwen3ForCausalLM", "Qwen2ForCausalLM", "LlamaForCausalLM"][pick(&[0, 1, 2]) as usize];
    // Row lengths: a multiple of 256, of 32, and of neither.
    let hidden = pick(&[256, 288, 300]);
    // Only Qwen3 has a head width of its own.
    let heads = if class == "Qwen3ForCausalLM" { 4 } else { 2 };
    let head_dim = if class == "Qwen3ForCausalLM" { pick(&[32, 64]) } else { hidden / heads };
    let kv_heads = heads / pick(&[1, 2]);
    Fixture {
        seed,
        class,
        hidden,
        layers: pick(&[1, 2, 5, 9]),
        heads,
        kv_heads,
        head_dim,
        ffn: pick(&[256, 96, 100]),
        head: [Head::Tied, Head::Untied, Head::TiedCopy][pick(&[0, 1, 2]) as usize],
        shards: pick(&[1, 2]) as usize,
        ..Fixture::default()
    }
}

#[test]
fn llama_cpp_quantizes_our_bf16_file_to_our_files_byte_for_byte() {
    let fuses = oracle::fuses();
    for seed in 0..8 {
        let fixture = random_fixture(seed);
        let place = tempfile::tempdir().unwrap();
        let dir = fixture.write(&place.path().join("model"));
        let paths = convert_all(&dir, place.path());
        let bf16 = &paths.iter().find(|(file_type, _)| *file_type == FileType::Bf16).unwrap().1;
        let comparable =
            |file_type: FileType| !fuses || oracle::WITHOUT_SUMS.contains(&file_type.default_type());
        for (file_type, ours) in paths.iter().filter(|(file_type, _)| comparable(*file_type)) {
            let theirs = place.path().join("theirs.gguf");
            quantize(bf16, &theirs, *file_type);
            if !file_type.is_converters() {
                let same = std::fs::read(ours).unwrap() == std::fs::read(&theirs).unwrap();
                assert!(same, "seed {seed}: {file_type} files differ{}", difference(ours, &theirs));
            }
            // Where our file follows the converter, only the order may differ.
            assert_eq!(difference(ours, &theirs), "", "seed {seed}, {file_type}");
        }
    }
}

fn convert_all(dir: &Path, out: &Path) -> Vec<(FileType, PathBuf)> {
    let checkpoint = Checkpoint::open(dir).unwrap();
    let recipe = Recipe { file_types: FileType::ALL.to_vec(), ..Recipe::default() };
    let plan = Plan::new(&checkpoint, recipe).unwrap();
    let targets = Targets::new(&checkpoint, &plan, Some(&out.join("ours/")), false).unwrap();
    let never = AtomicBool::new(false);
    convert::convert(&checkpoint, &plan, &targets, None, &mut (), &never).unwrap().publish().unwrap();
    FileType::ALL.iter().copied().zip(targets.paths().iter().cloned()).collect()
}

fn quantize(from: &Path, to: &Path, file_type: FileType) {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (from, to) = (text(from), text(to));
    // SAFETY: the paths are NUL-terminated, and the parameters are llama.cpp's defaults except for two plain numbers.
    // The backend may be initialised several times.
    let code = unsafe {
        sys::llama_log_set(Some(silence), std::ptr::null_mut());
        let mut parameters = sys::llama_model_quantize_default_params();
        parameters.ftype = file_type.id() as sys::llama_ftype;
        parameters.nthread = 2;
        sys::llama_model_quantize(from.as_ptr(), to.as_ptr(), &parameters)
    };
    assert_eq!(code, 0, "llama.cpp cannot quantize to {file_type}");
}

unsafe extern "C" fn silence(_: sys::ggml_log_level, _: *const std::ffi::c_char, _: *mut std::ffi::c_void) {}

/// The first tensor, in order of names, whose type or data differ.
fn difference(ours: &Path, theirs: &Path) -> String {
    let (ours, theirs) = (tensors(ours), tensors(theirs));
    let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
    match differs {
        Some(((name, ggml_type, _), (_, other, _))) => format!(" in {name}: {ggml_type} and {other}"),
        None if ours.len() != theirs.len() => " in the number of tensors".to_owned(),
        None => String::new(),
    }
}

fn tensors(path: &Path) -> Vec<(String, GgmlType, Vec<u8>)> {
    let file = Map::open(path).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let bytes = |name: &str| gguf.tensor_bytes(&file, name).unwrap().to_vec();
    let mut tensors: Vec<_> =
        gguf.tensors.iter().map(|t| (t.name.clone(), t.ggml_type, bytes(&t.name))).collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}
