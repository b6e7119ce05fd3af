//! Models from the hub: what is fetched, where it lies, and who finds it.

use crate::{
    fixture::Fixture,
    hub_server::{self, COMMIT, Files, HubServer, ID, edgecall, files, git_hash, noise, refusal, sha256},
    server::Answer,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};
use tempfile::TempDir;

fn home() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn repository(home: &Path) -> PathBuf {
    home.join("hub/models--org--name")
}

fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn refused(output: Output, code: i32, parts: &[&str]) {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty());
    parts.iter().for_each(|part| assert!(stderr.contains(part), "{part:?} is not in: {stderr}"));
}

/// A checkpoint with what a conversion reads, and what it does not.
fn checkpoint() -> Files {
    let folder = home();
    Fixture::default().write(folder.path());
    let mut files: Files = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    for name in [".gitattributes", "pytorch_model.bin", "onnx/model.safetensors", "vocab.json", "model.gguf"]
    {
        files.insert(name.to_owned(), noise(100, 1));
    }
    files
}

#[test]
fn what_a_conversion_reads_is_fetched_once_and_laid_out_as_by_python() {
    let (home, files) = (home(), checkpoint());
    let server = HubServer::start(files.clone());
    let path = stdout(server.edgecall(home.path(), &["pull", ID]).output().unwrap());
    let repository = repository(home.path());
    assert_eq!(Path::new(&path), repository.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let mut names: Vec<String> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.contains(&"config.json".to_owned()) && names.contains(&"model.safetensors".to_owned()));
    for name in &names {
        let link = fs::read_link(Path::new(&path).join(name)).unwrap();
        let hash = if name.ends_with(".safetensors") { sha256(&files[name]) } else { git_hash(&files[name]) };
        assert_eq!(link, Path::new("../../blobs").join(hash));
        assert_eq!(fs::read(Path::new(&path).join(name)).unwrap(), files[name]);
    }
    assert_eq!(fs::read_dir(repository.join("blobs")).unwrap().count(), names.len());
    for other in [".gitattributes", "pytorch_model.bin", "onnx", "vocab.json", "model.gguf"] {
        assert!(!names.contains(&other.to_owned()), "{other}");
    }

    // Again: a look at the list, and no byte of a file.
    let before = server.hub.seen().len();
    assert_eq!(stdout(server.edgecall(home.path(), &["pull", ID]).output().unwrap()), path);
    assert_eq!((server.hub.seen().len(), server.store.seen().len()), (before + 1, 1));

    // Offline, and by its commit.
    for args in [&["pull", ID, "--offline"][..], &["pull", &format!("{ID}@{COMMIT}"), "--offline"]] {
        assert_eq!(stdout(edgecall(home.path(), args).output().unwrap()), path);
    }
    let mut command = edgecall(home.path(), &["pull", ID]);
    assert_eq!(stdout(command.env("HF_HUB_OFFLINE", "1").output().unwrap()), path);
}

#[test]
fn what_was_fetched_is_converted_by_its_name_and_found_by_inspect() {
    let (home, work) = (home(), home());
    let server = HubServer::start(checkpoint());
    let run = |args: &[&str]| server.edgecall(home.path(), args).current_dir(work.path()).output().unwrap();
    refused(
        run(&["convert", ID, "--no-check"]),
        66,
        &["org/name: no such file or folder, and not in the hub's cache", "edgecall pull org/name"],
    );
    stdout(run(&["pull", ID]));
    stdout(run(&["convert", ID, "-t", "f32", "--no-check"]));
    assert!(work.path().join("name-F32.gguf").exists());
    assert!(stdout(run(&["inspect", ID])).contains("safetensors"));
    // A folder of that name comes first.
    fs::create_dir_all(work.path().join(ID)).unwrap();
    refused(run(&["convert", ID]), 66, &["has no config.json"]);
    // What another program fetched of a checkpoint is not all of it.
    let path = repository(home.path()).join("snapshots").join(COMMIT).join("model.safetensors");
    fs::remove_file(path).unwrap();
    fs::remove_dir(work.path().join(ID)).unwrap();
    refused(run(&["convert", ID]), 66, &["without `model.safetensors`", "edgecall pull org/name"]);
    assert_eq!(server.store.seen().len(), 1);
    stdout(run(&["pull", ID]));
    assert_eq!(server.store.seen().len(), 1, "its bytes are there still");
    stdout(run(&["convert", ID, "-t", "f16", "--no-check"]));
}

#[test]
fn shards_are_those_that_the_index_names() {
    let index =
        json!({"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}});
    let index = index.to_string();
    let list: [(&str, &[u8]); 6] = [
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index.as_bytes()),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two"),
        ("model-3.safetensors", b"of another save"),
        ("adapter_model.bin", b"x"),
    ];
    let home = home();
    let server = HubServer::start(files(&list));
    let path = stdout(server.edgecall(home.path(), &["pull", ID]).output().unwrap());
    assert_eq!(fs::read_dir(&path).unwrap().count(), 4);
    assert_eq!(server.hub.seen_at("index.json").len(), 1, "the index is not fetched twice");
    // One of the files is missing on the hub, or the index leads elsewhere.
    let server = HubServer::start(files(&list[..3]));
    refused(
        server.edgecall(home.path(), &["pull", ID]).output().unwrap(),
        65,
        &["no `model-2.safetensors`, which its index names"],
    );
    let outside = br#"{"weight_map": {"a": "../../x.safetensors"}}"#;
    let server = HubServer::start(files(&[list[0], ("model.safetensors.index.json", outside)]));
    refused(server.edgecall(home.path(), &["pull", ID]).output().unwrap(), 65, &["no index of shards"]);
}

#[test]
fn a_gguf_file_is_fetched_alone_or_with_all_parts_and_a_bare_name_lists_them() {
    let list: [(&str, &[u8]); 5] = [
        ("README.md", b"x"),
        ("m-Q4_0.gguf", b"four bits"),
        ("m-Q8_0.gguf", b"eight bits"),
        ("big/m-00001-of-00002.gguf", b"first"),
        ("big/m-00002-of-00002.gguf", b"second"),
    ];
    let home = home();
    let server = HubServer::start(files(&list));
    let run = |args: &[&str]| server.edgecall(home.path(), args).output().unwrap();
    refused(
        run(&["pull", ID]),
        2,
        &[
            "has no checkpoint but GGUF files",
            "\n  org/name:big/m-00001-of-00002.gguf  (11 B)\n  org/name:m-Q4_0.gguf  (9 B)\n",
            "for example: edgecall pull org/name:big/m-00001-of-00002.gguf",
        ],
    );
    let path = stdout(run(&["pull", "org/name:m-Q4_0.gguf"]));
    assert_eq!(fs::read(&path).unwrap(), b"four bits");
    assert!(path.ends_with("/m-Q4_0.gguf"));
    assert_eq!(server.store.seen().len(), 1);
    // Any part stands for all, and the first is what a call takes.
    let path = stdout(run(&["pull", "org/name:big/m-00002-of-00002.gguf"]));
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(fs::read(path.replace("-00001-", "-00002-")).unwrap(), b"second");
    refused(run(&["pull", "org/name:m-Q5_0.gguf"]), 66, &["has no file `m-Q5_0.gguf`", "\n  m-Q4_0.gguf"]);
    // Found by name: this is no GGUF file, which only one who has opened it can tell.
    refused(run(&["inspect", "org/name:m-Q4_0.gguf"]), 65, &["snapshots", "m-Q4_0.gguf"]);
    refused(run(&["inspect", "org/name:m-Q8_0.gguf"]), 66, &["edgecall pull org/name:m-Q8_0.gguf"]);
    refused(run(&["inspect", ID]), 2, &["org/name has GGUF files; name one of them:\n  org/name:big/m-0"]);
}

#[cfg(feature = "engine")]
#[test]
fn a_call_takes_a_model_by_its_name_on_the_hub() {
    let model = crate::pocket::pocket(edgecall::convert::FileType::Q4KM);
    let (home, files) = (home(), files(&[("m.gguf", &fs::read(model).unwrap())]));
    let server = HubServer::start(files);
    let run = |args: &[&str]| server.edgecall(home.path(), args).output().unwrap();
    let prompt = ["--print-prompt", "--no-cache", "Thai food"];
    let call = |name: &str| run(&[&["call", "-m", name][..], &prompt].concat());
    refused(call("org/name:m.gguf"), 66, &["edgecall pull org/name:m.gguf"]);
    stdout(run(&["pull", "org/name:m.gguf"]));
    assert!(stdout(call("org/name:m.gguf")).contains("Thai food"));
    refused(call(ID), 2, &["org/name has GGUF files; name one of them:\n  org/name:m.gguf"]);
    assert_eq!(server.store.seen().len(), 1);
}

#[test]
fn a_dry_run_lists_files_and_sizes_and_writes_nothing() {
    let (home, files) = (home(), checkpoint());
    let server = HubServer::start(files.clone());
    let run = |args: &[&str]| stdout(server.edgecall(home.path(), args).output().unwrap());
    let listed = run(&["pull", ID, "--dry-run"]);
    assert!(listed.starts_with(&format!("org/name at main ({COMMIT})\n")), "{listed}");
    assert!(listed.contains("\nconfig.json ") && !listed.contains("pytorch_model.bin"), "{listed}");
    let json: Value = serde_json::from_str(&run(&["pull", ID, "--dry-run", "--json"])).unwrap();
    let weights = json["files"].as_array().unwrap().iter().find(|file| file["name"] == "model.safetensors");
    let length = files["model.safetensors"].len();
    assert_eq!(
        weights.unwrap(),
        &json!({"name": "model.safetensors", "file_bytes": length, "cached_bytes": 0})
    );
    assert!(server.store.seen().is_empty());
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    run(&["pull", ID, "--json"]);
    assert!(run(&["pull", ID, "--dry-run"]).ends_with("to fetch: 0 B"));
}

#[test]
fn the_token_goes_to_the_hub_alone_and_is_shown_nowhere() {
    let home = home();
    let server = HubServer::with(
        checkpoint(),
        |_, _| None,
        |request, n, bytes| {
            // A server that repeats what it got, and that got nothing.
            let said = format!("no: {:?}", request.header);
            (n == 0)
                .then(|| Answer::of(503, "retry-after: 0\r\n", "text/plain", &said))
                .or_else(|| Some(hub_server::part(request, bytes)))
        },
    );
    let mut command = server.edgecall(home.path(), &["pull", ID, "-vvv"]);
    let output = command.env("HF_TOKEN", "hf_secretsecret").env("RUST_LOG", "trace").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    stdout(output);
    assert!(!said.contains("secretsecret") && !said.contains("signature=signed"), "{said}");
    let bearer = "authorization: Bearer hf_secretsecret".to_owned();
    assert!(server.hub.seen().iter().all(|request| request.header.contains(&bearer)));
    assert_eq!(server.store.seen().len(), 2);
    for request in server.store.seen() {
        assert!(!request.header.iter().any(|line| line.contains("secret")), "{request:?}");
    }
}

#[test]
fn a_token_is_read_from_the_file_of_the_login() {
    let home = home();
    fs::write(home.path().join("token"), "hf_fromfile\n").unwrap();
    let server = HubServer::with(files(&[]), |_, _| Some(refusal(403, "GatedRepo")), |_, _, _| None);
    let output = server.edgecall(home.path(), &["pull", ID]).output().unwrap();
    refused(output, 69, &["org/name is gated", "the token in the file of `hf auth login` must be"]);
    assert!(server.hub.seen()[0].header.contains(&"authorization: Bearer hf_fromfile".to_owned()));
}

#[test]
fn a_mirror_that_lists_names_alone_is_asked_for_sizes_and_hashes() {
    let (home, all) = (home(), checkpoint());
    let names: Vec<Value> = all.keys().map(|name| json!({"rfilename": name})).collect();
    let bare = json!({"sha": COMMIT, "siblings": names});
    let server = HubServer::with(
        all,
        move |request, _| request.path.starts_with("/api/").then(|| Answer::json(&bare)),
        |_, _, _| None,
    );
    let path = stdout(server.edgecall(home.path(), &["pull", ID]).output().unwrap());
    assert!(Path::new(&path).join("model.safetensors").exists());
    assert!(server.store.seen().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_renamed_repository_is_followed_with_the_token_and_keeps_the_name_that_was_asked_for() {
    let home = home();
    let server = HubServer::with(
        checkpoint(),
        |request, _| {
            let new = request
                .path
                .strip_prefix("/api/models/old/name/")
                .map(|rest| format!("/api/models/{ID}/{rest}"));
            let new =
                new.or_else(|| request.path.strip_prefix("/old/name/").map(|rest| format!("/{ID}/{rest}")));
            new.map(|new| Answer::of(307, &format!("location: {new}\r\n"), "text/plain", ""))
        },
        |_, _, _| None,
    );
    let mut command = server.edgecall(home.path(), &["pull", "old/name"]);
    let path = stdout(command.env("HF_TOKEN", "hf_x").output().unwrap());
    assert!(path.contains("models--old--name"), "{path}");
    assert!(
        server.hub.seen().iter().all(|request| request.header.contains(&"authorization: Bearer hf_x".into()))
    );
}

#[test]
fn a_model_with_a_name_of_its_own_is_the_one_of_the_list() {
    let home = home();
    let server = HubServer::start(files(&[]));
    let run = |args: &[&str]| server.edgecall(home.path(), args).output().unwrap();
    refused(run(&["pull", "edgecall:tft-s4-direct"]), 66, &["distillabs/tft-benchmark-s4-direct-Qwen3-1.7B"]);
    let asked = "/api/models/distillabs/tft-benchmark-s4-direct-Qwen3-1.7B/revision/main?blobs=true";
    assert_eq!(server.hub.seen()[0].path, asked);
    refused(run(&["pull", "edgecall:other"]), 2, &["there is edgecall:tft-s4-direct"]);
    refused(run(&["convert", "edgecall:tft-s4-direct"]), 66, &["edgecall pull edgecall:tft-s4-direct"]);
    refused(run(&["pull", "gpt2"]), 2, &["has no slash: a model on the hub has the form ORG/NAME"]);
}

#[test]
fn what_is_not_converted_is_named_before_it_is_fetched() {
    let home = home();
    for (name, expected) in [
        ("pytorch_model.bin", "has its weights as pytorch_model.bin; a conversion needs model*.safetensors"),
        ("notes.txt", "has no weights; a conversion needs model*.safetensors"),
    ] {
        let server = HubServer::start(files(&[("config.json", b"{}"), (name, b"x")]));
        refused(server.edgecall(home.path(), &["pull", ID]).output().unwrap(), 65, &[expected]);
        assert_eq!(server.hub.seen().len(), 1);
    }
}
