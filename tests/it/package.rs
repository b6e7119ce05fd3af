//! Contents of packages: shell completions, manual pages, system requirements, and the crate's files.

use super::program::edgecall;
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

/// Completions of bash for the last of `words`, in a folder with a model and a subfolder.
fn offered(words: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pocket.gguf"), "").unwrap();
    fs::create_dir(folder.path().join("checkpoint")).unwrap();
    let script = edgecall().args(["completions", "bash"]).output().unwrap().stdout;
    fs::write(folder.path().join("completions"), script).unwrap();
    // `compopt` works only while bash itself completes.
    let complete = r#"compopt() { :; }; . ./completions; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _edgecall edgecall "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"; printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash")
        .current_dir(folder.path())
        .args(["-c", complete, "bash"])
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    assert_eq!(offered(&["edgecall", "conv"]), ["convert"]);
    assert_eq!(offered(&["edgecall", "call", "--tool-"]), ["--tool-choice"]);
    assert_eq!(offered(&["edgecall", "call", "--think", "o"]), ["on", "off"]);
    assert_eq!(offered(&["edgecall", "call", "-m", "p"]), ["pocket.gguf"]);
    assert_eq!(offered(&["edgecall", "bench", "cali"]), ["calibrate-judge"]);
    // The folders come from bash itself, by `compopt -o plusdirs`.
    assert_eq!(offered(&["edgecall", "bench", "tft", "--data", "p"]), [""]);
}

#[test]
fn the_manual_has_a_page_for_each_command_that_help_lists() {
    let folder = tempfile::tempdir().unwrap();
    assert!(edgecall().arg("man").arg(folder.path()).status().unwrap().success());
    for group in [&[][..], &["bench"], &["cache"]] {
        for command in listed(group) {
            let path = ["edgecall"].iter().chain(group).copied().chain([command.as_str()]);
            let name = path.collect::<Vec<_>>().join("-") + ".1";
            let page =
                fs::read_to_string(folder.path().join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(page.contains(".SH DESCRIPTION") && page.contains("OPTIONS\"\n.TP"), "{name}");
        }
    }
}

/// The commands that `edgecall GROUP --help` lists.
fn listed(group: &[&str]) -> Vec<String> {
    let output = edgecall().args(group).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 1, "{help}");
    names
}

#[test]
fn what_the_program_needs_is_read_from_its_symbols() {
    // Every program on a 64-bit system needs more than glibc 2.2.5 or 2.17, the first versions for them.
    let (code, stderr) = check_needs(&["--glibc", "2.2.1"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("check_needs: newer than GLIBC_2.2.1: "), "{stderr}");
    assert!(stderr.contains("memcpy@GLIBC_2."), "{stderr}");
    assert!(stderr.contains("build it on an older one"), "{stderr}");
    let (code, stderr) = check_needs(&["--glibc", "99.0"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

fn check_needs(args: &[&str]) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check_needs");
    let Output { status, stderr, .. } =
        Command::new(script).args(args).arg(env!("CARGO_BIN_EXE_edgecall")).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_crate_brings_every_file_that_its_sources_include() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline", "--quiet"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let packaged: BTreeSet<&str> = std::str::from_utf8(&list.stdout).unwrap().lines().collect();
    let mut included = 0;
    for source in packaged.iter().filter(|path| path.ends_with(".rs")) {
        let text = fs::read_to_string(root.join(source)).unwrap();
        for call in ["include_str!(\"", "include_bytes!(\""] {
            for path in text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let path = root.join(source).parent().unwrap().join(path).canonicalize().unwrap();
                let path = path.strip_prefix(root.canonicalize().unwrap()).unwrap().to_str().unwrap();
                assert!(packaged.contains(path), "{source} includes {path}, which the crate has not");
                included += 1;
            }
        }
    }
    assert!(included > 2, "{included} files are included");
}
