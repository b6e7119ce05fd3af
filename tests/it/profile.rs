//! Profiles in GGUF files: written, shown and taken away, with the same weights and nothing lost on the way.

use crate::{fixture::Fixture, place::Place};
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, Existing, Plan, Recipe, Targets, manifest_path, rewrite},
    gguf::{Array, GgmlType, Gguf, TensorInfo, Value},
    profile::{PREFIX, Profile},
};
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::AtomicBool,
};

const TOOLS: &str = r#"[{"type": "function", "function": {"name": "book", "description": "Books a table",
    "parameters": {"type": "object", "properties": {"time": {"type": "string"}}, "required": ["time"]}}}]"#;

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edgecall")).current_dir(folder).args(args).output().unwrap()
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The code and the message of a refusal, which prints nothing to stdout.
fn refused(output: Output) -> (i32, String) {
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A folder with `out.gguf` in Q8_0 and its manifest, `task.txt` and `tools.json`.
fn converted() -> (Place, PathBuf) {
    let place = Place::new(&Fixture::default());
    let path = place.convert("q8_0", 1, "out.gguf").remove(0);
    fs::write(place.path("task.txt"), "Book tables.\n").unwrap();
    fs::write(place.path("tools.json"), TOOLS).unwrap();
    (place, path)
}

/// The tensor table, and the bytes of every tensor.
fn tensors(file: &[u8]) -> Vec<(TensorInfo, Vec<u8>)> {
    let gguf = Gguf::parse(file).unwrap();
    let bytes = |tensor: &TensorInfo| gguf.tensor_bytes(file, &tensor.name).unwrap().to_vec();
    gguf.tensors.iter().map(|tensor| (tensor.clone(), bytes(tensor))).collect()
}

#[test]
fn a_profile_comes_and_goes_and_every_other_byte_of_file_and_manifest_stays() {
    let (place, path) = converted();
    let folder = place.path("");
    let (before, manifest) = (fs::read(&path).unwrap(), fs::read(manifest_path(&path)).unwrap());
    let written = succeeded(run(
        &folder,
        &["profile", "out.gguf", "--task", "task.txt", "--tools", "tools.json", "--set", "temperature=0.7"],
    ));
    assert_eq!(written, "out.gguf: profile written, and its manifest renewed\n");

    let with = fs::read(&path).unwrap();
    assert_eq!(tensors(&with), tensors(&before));
    let (old, new) = (Gguf::parse(&before).unwrap(), Gguf::parse(&with).unwrap());
    let (ours, others): (Vec<_>, Vec<_>) =
        new.metadata.iter().cloned().partition(|(key, _)| key.starts_with(PREFIX));
    assert_eq!(others, old.metadata);
    let keys: Vec<&str> = ours.iter().map(|(key, _)| &key[PREFIX.len()..]).collect();
    assert_eq!(keys, ["version", "task", "tools", "temperature"]);

    // Another parser finds the same keys, texts and tensors.
    let file = gguf::GGUFFile::read(&with[..new.data_start as usize]).ok().flatten().unwrap();
    let text = |key: &str| {
        let found = file.header.metadata.iter().find(|pair| pair.key == format!("{PREFIX}{key}")).unwrap();
        match &found.value {
            gguf::GGUFMetadataValue::String(text) => text.clone(),
            other => panic!("{key} is {other:?}"),
        }
    };
    assert_eq!(text("task"), "Book tables.\n");
    let (stored, given): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&text("tools")).unwrap(), serde_json::from_str(TOOLS).unwrap());
    assert_eq!(stored, given);
    assert_eq!(file.tensors.len(), new.tensors.len());
    for (found, meant) in file.tensors.iter().zip(&old.tensors) {
        assert_eq!((&found.name, found.offset), (&meant.name, meant.offset));
    }

    let again = succeeded(run(&folder, &["profile", "out.gguf", "--set", "temperature=0.7"]));
    assert_eq!(again, "out.gguf: profile unchanged\n");
    let removed = succeeded(run(&folder, &["profile", "out.gguf", "--remove"]));
    assert_eq!(removed, "out.gguf: profile removed, and its manifest renewed\n");
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(
        String::from_utf8(fs::read(manifest_path(&path)).unwrap()).unwrap(),
        String::from_utf8(manifest).unwrap()
    );
    assert_eq!(succeeded(run(&folder, &["profile", "out.gguf"])), "out.gguf: no profile\n");
}

#[test]
fn a_converted_file_with_a_profile_still_fits_its_checkpoint() {
    let (place, path) = converted();
    let states = || {
        let checkpoint = Checkpoint::open(&place.model()).unwrap();
        let recipe = Recipe { file_types: vec!["q8_0".parse().unwrap()], ..Recipe::default() };
        let plan = Plan::new(&checkpoint, recipe).unwrap();
        let targets = Targets::new(&checkpoint, &plan, Some(&path), true).unwrap();
        convert::existing(&checkpoint, &plan, &targets).unwrap()
    };
    assert_eq!(states(), [Existing::Fits]);
    succeeded(run(&place.path(""), &["profile", "out.gguf", "--set", "seed=1"]));
    assert_eq!(states(), [Existing::Fits]);
    // A manifest of another file is not made to fit.
    let manifest = fs::read_to_string(manifest_path(&path)).unwrap();
    let sha256 = manifest.split("\"sha256\": \"").nth(1).unwrap().split('"').next().unwrap();
    let other = manifest.replace(sha256, &"0".repeat(64));
    fs::write(manifest_path(&path), &other).unwrap();
    let output = run(&place.path(""), &["profile", "out.gguf", "--set", "seed=2"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is of another file, and stays as it is"));
    assert_eq!(succeeded(output), "out.gguf: profile written\n");
    assert_eq!(fs::read_to_string(manifest_path(&path)).unwrap(), other);
}

#[test]
fn a_conversion_with_a_profile_writes_what_a_profile_written_later_gives() {
    let (place, path) = converted();
    let folder = place.path("");
    let profile = r#"{"system": "Be brief.", "thinking": "off", "temperature": 0, "max_tokens": 64}"#;
    fs::write(place.path("profile.json"), profile).unwrap();
    let options = ["--profile", "profile.json", "--tools", "tools.json"];
    let convert = ["convert", "model", "-t", "q8_0", "-o", "direct.gguf", "--no-check"];
    succeeded(run(&folder, &[&convert[..], &options].concat()));
    succeeded(run(&folder, &[&["profile", "out.gguf"][..], &options].concat()));
    assert!(fs::read(place.path("direct.gguf")).unwrap() == fs::read(&path).unwrap());
    assert_eq!(
        fs::read_to_string(place.path("direct.gguf.json")).unwrap(),
        fs::read_to_string(manifest_path(&path)).unwrap()
    );

    let shown = succeeded(run(&folder, &["inspect", "direct.gguf"]));
    for line in [
        "profile, version 1",
        "thinking          off",
        "temperature       0",
        "most tokens       64",
        "system message:\n  | Be brief.",
        "1 tool:\n  | [",
        "  |       \"description\": \"Books a table\"",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let shown: serde_json::Value =
        serde_json::from_str(&succeeded(run(&folder, &["inspect", "direct.gguf", "--json"]))).unwrap();
    assert_eq!(shown["profile"]["system"], "Be brief.");
    assert_eq!(shown["profile"]["tools"][0]["function"]["name"], "book");

    // What was exported makes the same profile again.
    assert_eq!(
        succeeded(run(&folder, &["profile", "direct.gguf", "--export", "exported"])),
        "exported: profile.json, system.txt, tools.json\n"
    );
    let exported = place.path("exported");
    let read = Profile::from_json(&fs::read(exported.join("profile.json")).unwrap()).unwrap();
    assert_eq!(Profile::read_file(&path).unwrap(), Some(read));
    assert_eq!(fs::read_to_string(exported.join("system.txt")).unwrap(), "Be brief.");
    let (code, message) = refused(run(&folder, &["profile", "direct.gguf", "--export", "exported"]));
    assert!(code == 73 && message.contains("exists already"), "{message}");
}

#[test]
fn a_profile_that_no_call_could_use_is_not_written() {
    let (place, path) = converted();
    let before = fs::read(&path).unwrap();
    let folder = place.path("");
    fs::write(place.path("bad.json"), r#"[{"name": "f", "parameters": {"$ref": "http://example.org/x"}}]"#)
        .unwrap();
    fs::write(place.path("unknown.json"), r#"{"temprature": 1}"#).unwrap();
    fs::write(place.path("utf16.txt"), b"\xff\xfea\0").unwrap();
    for (args, code, expected) in [
        (&["--set", "temprature=1"][..], 2, "no key `temprature`"),
        (&["--set", "temperature=-1"], 65, "`temperature` is -1; a number from 0 to 100"),
        (&["--set", "temperature=warm"], 2, "not valid JSON"),
        (&["--set", "dialect=klingon"], 65, "`dialect` is `klingon`; known are hermes"),
        (&["--set", "tool_choice=g", "--tools", "tools.json"], 65, "`g`"),
        (&["--tools", "bad.json"], 65, "no call could use these tools"),
        (&["--tools", "task.txt"], 65, "task.txt is not valid JSON"),
        (&["--tools", "nowhere.json"], 66, "cannot read nowhere.json"),
        (&["--profile", "unknown.json"], 65, "did you mean `temperature`?"),
        (&["--task", "utf16.txt"], 65, "utf16.txt is UTF-16"),
        (&["--remove", "--set", "seed=1"], 2, "cannot be used with"),
    ] {
        let (found, message) = refused(run(&folder, &[&["profile", "out.gguf"][..], args].concat()));
        assert!(found == code && message.contains(expected), "{args:?}: {found} {message}");
        let convert = ["convert", "model", "-o", "new.gguf"];
        if !args.contains(&"--set") && !args.contains(&"--remove") {
            let (found, message) = refused(run(&folder, &[&convert[..], args].concat()));
            assert!(found == code && message.contains(expected), "{args:?}: {found} {message}");
        }
    }
    assert!(fs::read(&path).unwrap() == before && !place.path("new.gguf").exists());
}

/// A small file with the alignment `alignment`, one tensor of 8 bytes and one of 4.
fn aligned(version: u32, alignment: u32, more: &[(&str, Value)]) -> Vec<u8> {
    let mut metadata = vec![
        ("general.architecture".to_owned(), Value::String("other".into())),
        ("general.alignment".to_owned(), Value::U32(alignment)),
        ("other.numbers".to_owned(), Value::Array(Array::F32(vec![f32::NAN, -0.0]))),
    ];
    metadata.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let tensor = |name: &str, length, offset| TensorInfo {
        name: name.into(),
        dims: vec![length],
        ggml_type: GgmlType::F32,
        offset,
    };
    let tensors = vec![tensor("a", 2, 0), tensor("b", 1, u64::from(alignment).max(8))];
    let offset = tensors[1].offset as usize;
    let gguf = Gguf { version, metadata, tensors, data_start: 0, alignment: alignment.into() };
    let mut file = gguf.encode_with(&gguf.metadata);
    let mut data = vec![0; offset];
    data[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    data.extend([9, 10, 11, 12]);
    // Bytes behind the last tensor, such as padding, belong to nobody and stay.
    data.extend([0xee; 5]);
    file.extend(data);
    file
}

#[test]
fn a_file_made_by_anyone_keeps_its_version_its_alignment_and_the_bytes_behind_the_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    for (version, alignment) in [(3, 32), (2, 64), (3, 8), (3, 4096), (2, 1)] {
        let before = aligned(version, alignment, &[]);
        fs::write(&path, &before).unwrap();
        succeeded(run(folder.path(), &["profile", "a.gguf", "--set", "system=abc"]));
        let with = fs::read(&path).unwrap();
        let (old, new) = (Gguf::parse(&before).unwrap(), Gguf::parse(&with).unwrap());
        assert_eq!((new.version, new.alignment), (version, u64::from(alignment)));
        assert_eq!(new.data_start % u64::from(alignment), 0);
        assert_eq!(with[new.data_start as usize..], before[old.data_start as usize..]);
        assert_eq!(tensors(&with), tensors(&before));
        succeeded(run(folder.path(), &["profile", "a.gguf", "--remove"]));
        assert!(fs::read(&path).unwrap() == before);
    }
    assert_eq!(names(folder.path()), ["a.gguf"]);
}

#[test]
fn what_is_no_plain_whole_file_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(
        at("split.gguf"),
        aligned(3, 32, &[("split.count", Value::U16(3)), ("split.no", Value::U16(0))]),
    )
    .unwrap();
    fs::write(at("huge.gguf"), aligned(3, 1 << 21, &[])).unwrap();
    fs::write(at("text.gguf"), "text").unwrap();
    fs::write(at("cut.gguf"), &aligned(3, 32, &[])[..150]).unwrap();
    fs::write(at("twice.gguf"), aligned(3, 32, &[("x", Value::U8(1)), ("x", Value::U8(2))])).unwrap();
    fs::create_dir(at("folder.gguf")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe.gguf")).status().unwrap().success());
    symlink("nowhere.gguf", at("dangling.gguf")).unwrap();
    let contents =
        |name: &str| fs::metadata(at(name)).unwrap().is_file().then(|| fs::read(at(name)).unwrap());
    for (name, code, expected) in [
        ("split.gguf", 65, "one of 3 files of a split model"),
        ("huge.gguf", 65, "is aligned to 2097152 bytes"),
        ("text.gguf", 65, "not a GGUF file"),
        ("cut.gguf", 65, "cut short"),
        ("twice.gguf", 65, "key `x` stands in the file twice"),
        ("folder.gguf", 66, "directory"),
        ("pipe.gguf", 66, "it is a pipe, not a plain file"),
        ("dangling.gguf", 66, "No such file"),
        ("nowhere.gguf", 66, "No such file"),
    ] {
        let before = at(name).exists().then(|| contents(name));
        for options in [&["--set", "seed=1"][..], &["--remove"]] {
            let (found, message) = refused(run(folder.path(), &[&["profile", name][..], options].concat()));
            assert!(found == code && message.contains(expected), "{name}: {found} {message}");
        }
        assert_eq!(at(name).exists().then(|| contents(name)), before);
    }
    assert_eq!(names(folder.path()).len(), 8, "{:?}", names(folder.path()));
}

#[test]
fn a_link_stays_and_its_target_is_written_with_the_permissions_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("models")).unwrap();
    fs::write(at("models/a.gguf"), aligned(3, 32, &[])).unwrap();
    fs::set_permissions(at("models/a.gguf"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("models/a.gguf", at("link.gguf")).unwrap();
    fs::hard_link(at("models/a.gguf"), at("other.gguf")).unwrap();
    let output = run(folder.path(), &["profile", "link.gguf", "--set", "thinking=on"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("has other names (hard links)"));
    succeeded(output);
    assert!(fs::symlink_metadata(at("link.gguf")).unwrap().is_symlink());
    assert!(Profile::read_file(&at("models/a.gguf")).unwrap().unwrap().thinking.is_some());
    assert_eq!(fs::metadata(at("models/a.gguf")).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(Profile::read_file(&at("other.gguf")).unwrap(), None);
    assert_eq!(names(&at("models")), ["a.gguf"]);
}

#[test]
fn a_file_that_may_not_be_written_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    fs::write(&path, aligned(3, 32, &[])).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        println!("skipped: root may write every file");
        return;
    }
    let (code, message) = refused(run(folder.path(), &["profile", "a.gguf", "--set", "seed=1"]));
    assert!(code == 73 && message.contains("cannot write a.gguf: Permission denied"), "{message}");
}

#[test]
fn a_write_that_fails_and_an_interrupt_leave_the_old_file_alone() {
    let (place, path) = converted();
    let before = (place.entries(), fs::read(&path).unwrap());
    // A file may not grow beyond 64 blocks of 512 bytes, so the write fails as on a full disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec {} profile out.gguf --set seed=1",
        env!("CARGO_BIN_EXE_edgecall")
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    let (code, message) = refused(output);
    assert!(
        code == 74 && message.contains("writing") && message.contains("the file is as it was"),
        "{message}"
    );
    assert_eq!((place.entries(), fs::read(&path).unwrap()), before);

    let profile = Profile::from_json(br#"{"seed": 1}"#).unwrap();
    let error = rewrite::set_profile(&path, &profile, &mut (), &AtomicBool::new(true)).unwrap_err();
    assert_eq!(error.kind(), edgecall::Kind::Interrupted);
    assert_eq!((place.entries(), fs::read(&path).unwrap()), before);
}

#[test]
fn a_write_that_is_killed_in_the_middle_leaves_the_old_file_and_what_it_left_is_swept() {
    let (place, path) = converted();
    let before = (place.entries(), fs::read(&path).unwrap());
    // SIGXFSZ, 25 on Linux, ends the process at the write that would pass 64 blocks of 512 bytes.
    let script = format!(
        "ulimit -c 0; ulimit -f 64; exec {} profile out.gguf --set seed=1",
        env!("CARGO_BIN_EXE_edgecall")
    );
    let killed = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    assert_eq!(killed.status.signal(), Some(25), "{killed:?}");
    assert_eq!(fs::read(&path).unwrap(), before.1);
    assert_eq!(
        place.entries().len(),
        before.0.len() + 1,
        "the unfinished file is there: it was killed while it wrote"
    );
    succeeded(run(&place.path(""), &["profile", "out.gguf", "--set", "seed=1"]));
    assert_eq!(place.entries(), before.0, "the unfinished file is swept");
    assert!(tensors(&fs::read(&path).unwrap()) == tensors(&before.1));
}

#[test]
fn a_full_disk_leaves_the_old_file_alone() {
    let (place, path) = converted();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let size = fs::metadata(&path).unwrap().len() * 3 / 2;
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
        .arg(&disk)
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting a small disk takes root");
        return;
    }
    let model = disk.join("m.gguf");
    fs::copy(&path, &model).unwrap();
    let output = run(&disk, &["profile", "m.gguf", "--set", "seed=1"]);
    let (left, bytes) = (names(&disk), fs::read(&model).unwrap());
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    let (code, message) = refused(output);
    assert!(code == 73 && message.contains("free some space"), "{message}");
    assert_eq!(left, ["m.gguf"]);
    assert!(bytes == fs::read(&path).unwrap());
}

#[test]
fn a_hostile_profile_is_shown_or_named_and_never_ends_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let key = |key: &str| format!("{PREFIX}{key}");
    let text = |text: &str| Value::String(text.to_owned());
    let (version, deep) = (key("version"), "[".repeat(100_000));
    for (pairs, expected) in [
        (vec![(key("system"), text("\x1b[2J\u{202e}hidden"))], "  | \\u{1b}[2J\\u{202e}hidden"),
        (vec![(key("tools"), text(&deep))], "profile           cannot be used: "),
        (vec![(key("\x1b[2J"), text("a"))], "cannot be used: a profile has no key `\\u{1b}[2J`"),
        (vec![(key("max_tokens"), Value::U64(u64::MAX))], "`max_tokens` is 18446744073709551615"),
        (vec![(key("system"), text(&"a".repeat(1 << 21)))], "`system` has 2097152 bytes"),
    ] {
        let mut more = vec![(&*version, Value::U32(1))];
        more.extend(pairs.iter().map(|(key, value)| (&**key, value.clone())));
        fs::write(&path, aligned(3, 32, &more)).unwrap();
        let shown = succeeded(run(folder.path(), &["inspect", "a.gguf"]));
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'), "{shown}");
        let _ = run(folder.path(), &["profile", "a.gguf"]);
        succeeded(run(folder.path(), &["profile", "a.gguf", "--remove"]));
        assert_eq!(Profile::read_file(&path).unwrap(), None);
    }
}
