//! Tokens that are decoded together get the bits that each would get by itself, where the library says so.

use crate::pocket;
use edgecall::{
    convert::FileType,
    runtime::{
        Model, Options, Session,
        kernels::{self, EXACT_BATCH},
    },
};
use std::{env, num::NonZeroUsize, process::Command};

/// Names the kernels in a process that tests them: a process has the same ones to its end.
const KERNELS: &str = "EDGECALL_TEST_KERNELS";

const TYPES: &[FileType] = &[
    FileType::F32,
    FileType::F16,
    FileType::Bf16,
    FileType::Q8_0,
    FileType::Q6K,
    FileType::Q5KM,
    FileType::Q5_1,
    FileType::Q5_0,
    FileType::Q4KM,
    FileType::Q4_1,
    FileType::Q4_0,
];

/// Numbers of tokens whose bits differ when they are decoded together.
fn differing(model: &Model) -> Vec<usize> {
    let options = Options { threads: NonZeroUsize::new(1), ..Options::default() };
    let mut session = Session::new(model, 600, 100, &options).unwrap();
    let text = include_str!("../../docs/call.md");
    let tokens = model.vocabulary().tokenize(text, false).unwrap();
    let mut differing = Vec::new();
    for before in [60, 500] {
        session.cut(0).unwrap();
        session.append(&tokens[..before]).unwrap();
        for n in 2..=EXACT_BATCH {
            let (together, next) = (&tokens[before..before + n], tokens[before + n]);
            session.cut(before).unwrap();
            session.append(together).unwrap();
            let last = session.logits().to_vec();
            // The token behind them reads what they left in the KV cache.
            session.append(&[next]).unwrap();
            let behind = session.logits().to_vec();
            session.cut(before).unwrap();
            together.iter().for_each(|token| session.append(&[*token]).unwrap());
            let is_same = last == session.logits();
            session.append(&[next]).unwrap();
            if !is_same || behind != session.logits() {
                differing.push(n);
            }
        }
    }
    differing
}

#[test]
fn tokens_decoded_together_have_the_bits_of_single_ones() {
    if let Ok(name) = env::var(KERNELS) {
        kernels::ask_for(&name);
        let folder = pocket::converted(TYPES);
        for &file_type in TYPES {
            let model = Model::load(&pocket::in_folder(folder.path(), file_type)).unwrap();
            let says = kernels::decode_alike(model.header());
            let differing = differing(&model);
            assert!(!says || differing.is_empty(), "{file_type:?}: {differing:?} tokens differ");
            // What is left out is left out for a reason.
            let is_ggmls_q4_k =
                file_type == FileType::Q4KM && matches!(&*name, "avx2" | "avx-vnni" | "avx512");
            assert!(says || is_ggmls_q4_k || cfg!(not(target_arch = "x86_64")), "{file_type:?}");
        }
        println!("{name} were tested");
        return;
    }
    for kernels in kernels::compiled().into_iter().filter(|kernels| kernels.is_supported()) {
        let name = "alike::tokens_decoded_together_have_the_bits_of_single_ones";
        let child = Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(KERNELS, kernels.name)
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(child.status.success(), "{}: {out}{err}", kernels.name);
        assert!(out.contains(&format!("{} were tested", kernels.name)), "{out}{err}");
    }
}
