//! Modules depend on each other in one direction only; a new dependency is a decision, made here.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module with the modules that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("display", &[]),
    ("files", &[]),
    ("hash", &[]),
    ("kind", &[]),
    ("json", &[]),
    ("mmap", &[]),
    ("random", &[]),
    ("remedy", &["display"]),
    ("stack", &[]),
    ("machine", &[]),
    ("http", &["kind", "random", "remedy"]),
    ("gguf", &["kind"]),
    ("quant", &["gguf"]),
    ("checkpoint", &["display", "kind", "mmap", "remedy"]),
    ("convert", &["checkpoint", "display", "files", "gguf", "hash", "kind", "mmap", "quant", "remedy"]),
    ("schema", &["json", "kind"]),
    ("tools", &["display", "json", "kind", "schema", "stack"]),
    ("chat", &["json", "kind", "remedy", "stack", "tools"]),
    ("runtime", &["gguf", "hash", "kind", "mmap", "random", "remedy", "stack"]),
    ("inspect", &["checkpoint", "convert", "display", "gguf", "kind", "machine", "mmap", "remedy"]),
    ("verify", &["checkpoint", "convert", "gguf", "kind", "machine", "mmap", "runtime", "remedy"]),
    ("cache", &["hash", "kind", "machine", "runtime"]),
    (
        "call",
        &[
            "cache", "chat", "gguf", "hash", "inspect", "json", "kind", "machine", "remedy", "runtime",
            "schema", "tools",
        ],
    ),
    (
        "bench",
        &[
            "cache", "call", "chat", "files", "gguf", "hash", "http", "inspect", "json", "kind", "machine",
            "random", "remedy", "runtime", "schema", "tools",
        ],
    ),
    (
        "doctor",
        &[
            "bench", "cache", "convert", "gguf", "hash", "inspect", "kind", "machine", "remedy", "runtime",
            "verify",
        ],
    ),
];

/// Crates that only `runtime` may name.
const ENGINE_CRATES: &[&str] = &["llama_cpp_2", "llama_cpp_sys_2", "llguidance", "toktrie"];

#[test]
fn modules_use_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (module, allowed) in ARROWS {
        for file in files_of(module) {
            for used in crate_paths(&fs::read_to_string(&file).unwrap()) {
                let known = ARROWS.iter().any(|(name, _)| *name == used);
                if known && used != *module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{}: `{module}` uses `{used}`", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the table does not allow:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_stands_in_the_table() {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let listed: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(declared, listed);
}

#[test]
fn only_the_runtime_names_the_engine() {
    for (module, _) in ARROWS.iter().filter(|(name, _)| *name != "runtime") {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).unwrap();
            for krate in ENGINE_CRATES {
                let names_it =
                    text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(krate));
                assert!(!names_it, "{} names {krate}", file.display());
            }
        }
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// `src/<module>.rs` or every file below `src/<module>/`.
fn files_of(module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let single = source().join(format!("{module}.rs"));
    if single.is_file() {
        files.push(single);
    }
    let mut folders = vec![source().join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "the table names `{module}`, and there is no such module");
    files
}

/// First path segment after each `crate::`, groups (`crate::{a, b::c}`) included; without comments and tests.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut segment = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(first_segment(&segment));
                        segment.clear();
                    }
                    _ if depth == 0 => segment.push(c),
                    _ => {}
                }
            }
            found.insert(first_segment(&segment));
        } else {
            found.insert(first_segment(rest));
        }
    }
    found
}

fn first_segment(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
