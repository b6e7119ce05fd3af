//! Modules depend on each other in one direction only; a new dependency is a decision, made here.

use edgecall::arch::ARCHITECTURES;
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
    ("mmap", &["files"]),
    ("random", &[]),
    ("remedy", &["display"]),
    ("stack", &[]),
    ("machine", &[]),
    ("http", &["kind", "random", "remedy"]),
    ("hub", &["display", "files", "hash", "http", "kind", "remedy"]),
    ("gguf", &["kind"]),
    ("quant", &["gguf"]),
    ("arch", &["gguf"]),
    ("guard", &["arch", "gguf", "remedy"]),
    ("checkpoint", &["arch", "display", "files", "kind", "mmap", "remedy"]),
    ("adapter", &["arch", "checkpoint", "display", "files", "hub", "kind", "quant", "remedy"]),
    (
        "convert",
        &[
            "adapter",
            "arch",
            "chat",
            "checkpoint",
            "display",
            "files",
            "gguf",
            "guard",
            "hash",
            "kind",
            "machine",
            "mmap",
            "profile",
            "quant",
            "remedy",
        ],
    ),
    ("schema", &["json", "kind"]),
    ("tools", &["display", "json", "kind", "schema", "stack"]),
    ("dialect", &["chat", "display", "json", "kind", "machine", "remedy", "schema", "stack", "tools"]),
    ("chat", &["json", "kind", "remedy", "stack"]),
    ("profile", &["chat", "dialect", "display", "gguf", "json", "kind", "mmap", "schema", "tools"]),
    (
        "runtime",
        &["arch", "files", "gguf", "guard", "hash", "kind", "machine", "mmap", "random", "remedy", "stack"],
    ),
    ("memory", &["arch", "convert", "display", "gguf", "machine", "remedy"]),
    (
        "inspect",
        &[
            "arch",
            "chat",
            "checkpoint",
            "convert",
            "dialect",
            "display",
            "files",
            "gguf",
            "kind",
            "machine",
            "memory",
            "mmap",
            "profile",
            "remedy",
        ],
    ),
    ("verify", &["arch", "checkpoint", "convert", "gguf", "kind", "machine", "mmap", "runtime", "remedy"]),
    ("cache", &["files", "hash", "kind", "machine", "runtime"]),
    (
        "call",
        &[
            "arch", "cache", "chat", "dialect", "gguf", "hash", "json", "kind", "machine", "memory",
            "remedy", "runtime", "schema", "tools",
        ],
    ),
    ("api", &["call", "chat", "dialect", "json", "kind", "profile", "remedy", "runtime", "schema", "tools"]),
    (
        "serve",
        &["api", "cache", "call", "files", "hash", "http", "json", "kind", "remedy", "runtime", "tools"],
    ),
    (
        "bench",
        &[
            "cache", "call", "chat", "dialect", "files", "gguf", "hash", "http", "json", "kind", "machine",
            "memory", "profile", "random", "remedy", "runtime", "schema", "tools",
        ],
    ),
    ("bundle", &["bench", "display", "files", "json", "kind", "profile", "remedy", "tools"]),
    ("agent", &["chat", "display", "files", "json", "kind", "remedy", "tools"]),
    ("mcp", &["agent", "display", "json", "kind", "schema", "tools"]),
    (
        "witness",
        &[
            "arch",
            "call",
            "chat",
            "checkpoint",
            "convert",
            "display",
            "files",
            "gguf",
            "json",
            "kind",
            "machine",
            "mmap",
            "quant",
            "remedy",
            "runtime",
            "verify",
        ],
    ),
    (
        "doctor",
        &[
            "bench", "cache", "convert", "display", "files", "gguf", "hash", "machine", "memory", "profile",
            "remedy", "runtime", "verify",
        ],
    ),
];

/// Each module of the benchmark with those that it may use.
const BENCH_ARROWS: &[(&str, &[&str])] = &[
    ("data", &[]),
    ("row", &["data"]),
    ("score", &["data", "row"]),
    ("report", &["data", "row", "score"]),
    ("run", &["data", "row", "score"]),
    ("speed", &["data", "run", "score"]),
];

/// The same for the stages of `schema`, and what they stand on.
const SCHEMA_ARROWS: &[(&str, &[&str])] = &[
    ("value", &[]),
    ("terminal", &["value"]),
    ("read", &["value"]),
    ("normal", &["read", "terminal", "value"]),
    ("notation", &["value"]),
    ("emit", &["normal", "notation", "read", "terminal", "value"]),
    ("validate", &["notation", "read", "value"]),
];

/// Crates that only `runtime` may name.
const ENGINE_CRATES: &[&str] = &["llama_cpp_2", "llama_cpp_sys_2", "llguidance", "toktrie"];

#[test]
fn modules_use_only_what_the_table_allows() {
    assert_arrows(ARROWS, "", "crate::");
}

#[test]
fn the_benchmarks_modules_use_each_other_in_one_direction() {
    assert_arrows(BENCH_ARROWS, "bench/", "bench::");
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

#[test]
fn a_stage_of_a_schema_uses_no_later_one() {
    assert_arrows(SCHEMA_ARROWS, "schema/", "schema::");
}

#[test]
fn only_arch_names_an_architecture() {
    let names: BTreeSet<&str> =
        ARCHITECTURES.iter().flat_map(|a| [a.name, a.class, a.model_type, a.tokenizer_class.name]).collect();
    let mut wrong = Vec::new();
    let modules = ARROWS.iter().map(|(name, _)| *name).filter(|name| *name != "arch");
    for module in modules.chain(["cli"]) {
        for file in files_of(module).into_iter().filter(|file| !file.ends_with("tests.rs")) {
            let code = code_of(&fs::read_to_string(&file).unwrap());
            let named = names.iter().filter(|name| code.contains(&format!("\"{name}\"")));
            wrong.extend(named.map(|name| format!("{}: \"{name}\"", file.display())));
        }
    }
    assert!(wrong.is_empty(), "architectures named outside src/arch:\n{}", wrong.join("\n"));
}

/// Holds each module in `folder` against its line of `arrows`; modules are named behind `prefix`.
fn assert_arrows(arrows: &[(&str, &[&str])], folder: &str, prefix: &str) {
    let mut wrong = Vec::new();
    for (module, allowed) in arrows {
        for file in files_of(&format!("{folder}{module}")) {
            for used in paths_behind(prefix, &fs::read_to_string(&file).unwrap()) {
                let known = arrows.iter().any(|(name, _)| *name == used);
                if known && used != *module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{}: `{module}` uses `{used}`", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the table does not allow:\n{}", wrong.join("\n"));
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

/// The lines of `text` without comments and items for tests.
fn code_of(text: &str) -> String {
    let mut code = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            // An item ends where its closing brace stands at the margin, or in its only line.
            lines.by_ref().find(|line| *line == "}" || (!line.starts_with(' ') && line.ends_with(';')));
        } else if !line.trim_start().starts_with("//") {
            code.push(line);
        }
    }
    code.join("\n")
}

/// First path segment after each `prefix`, groups (`{a, b::c}`) included; without comments and tests.
fn paths_behind(prefix: &str, text: &str) -> BTreeSet<String> {
    let code = code_of(text);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
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
