//! Changed seeds of every kind of input that comes from others end in a value or an error.

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use crate::fixture::Random;
use std::{fs, panic, path::Path};
use targets::{TARGETS, Target};

/// What programs trip over: limits of numbers, nesting, text that ends early, and characters of odd lengths.
const WORDS: [&str; 28] = [
    "0",
    "-1",
    "1e999",
    "-0.0",
    "0.1e-400",
    "9007199254740993",
    "18446744073709551616",
    "99999999999999999999999999",
    "null",
    "true",
    "\"",
    "\\",
    "\\ud83d",
    "\\u0000",
    "{",
    "}",
    "[[[[[[[[",
    "]",
    ",",
    ":",
    "\n",
    "\r\n",
    "\u{feff}",
    "\u{10ffff}7",
    "é",
    "😀",
    "{%",
    "}}",
];

/// `seed` with one to eight changes.
fn mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.bits() % 8 {
        let at = below(random, bytes.len() + 1);
        let length = below(random, 16).min(bytes.len() - at);
        match random.bits() % 9 {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << (random.bits() % 8),
            2 if at < bytes.len() => bytes[at] = random.bits() as u8,
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let part = bytes[at..at + length].repeat(1 + below(random, 20));
                bytes.splice(at..at, part);
            }
            5 | 6 => {
                let word = WORDS[below(random, WORDS.len())];
                bytes.splice(at..at + length, word.bytes());
            }
            7 => {
                let from = below(random, other.len() + 1);
                let most = below(random, 200).min(other.len() - from);
                bytes.splice(at..at, other[from..from + most].iter().copied());
            }
            // Lengths in files are numbers of 8 bytes.
            _ if bytes.len() >= at + 8 => {
                let number = [0, 1, u64::MAX, 1 << 63, 1 << 31, 1 << 40][below(random, 6)];
                bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            _ => {}
        }
    }
    bytes.truncate(1 << 16);
    bytes
}

fn below(random: &mut Random, end: usize) -> usize {
    (random.bits() % end.max(1) as u64) as usize
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs `target` with its seeds and with `count` changed ones.
fn run(name: &str, target: Target, count: usize) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let mut random =
        Random(name.bytes().fold(0x5eed, |sum: u64, byte| sum.wrapping_mul(31) ^ u64::from(byte)));
    let changed = (0..count).map(|_| {
        let (seed, other) =
            (&seeds[below(&mut random, seeds.len())], &seeds[below(&mut random, seeds.len())]);
        mutated(seed, other, &mut random)
    });
    for input in seeds.iter().cloned().chain(changed.collect::<Vec<_>>()) {
        let ended = panic::catch_unwind(|| target(&input));
        assert!(ended.is_ok(), "{name} panics on {:?}", String::from_utf8_lossy(&input));
    }
}

/// Inputs for a target: fewer for those that start a thread or write a folder, all of them with `EDGECALL_FUZZ_CASES`.
fn count(name: &str) -> usize {
    let usual = match name {
        "server" => 150,
        "template" | "tokenizer" => 400,
        "adapter" | "bundle" | "cache" | "safetensors" | "test_set" | "schema" => 1_000,
        _ => 3_000,
    };
    let asked = std::env::var("EDGECALL_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(usual)
}

#[test]
fn no_changed_input_of_any_kind_makes_the_library_panic() {
    for (name, target) in TARGETS {
        run(name, *target, count(name));
    }
}

#[test]
fn every_folder_of_seeds_is_one_of_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for entry in fs::read_dir(folder.join("seeds")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_built = cfg!(feature = "engine") || !["cache", "witness"].contains(&&*name);
        assert_eq!(TARGETS.iter().any(|(target, _)| *target == name), is_built, "{name}");
        assert!(folder.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
    }
}
