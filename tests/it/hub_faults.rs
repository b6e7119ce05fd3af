//! Downloads that break, lie or are refused: what is right is gone on with, what is wrong gets no name.

use crate::{
    hub_server::{Files, HubServer, ID, edgecall, files, listing, noise, part, range, refusal, sha256},
    server::{Answer, never},
};
use edgecall::{
    http::RetryPolicy,
    hub::{Cache, Error, Hub},
    random::SplitMix64,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;

const POLICY: RetryPolicy = RetryPolicy {
    timeout: Duration::from_secs(20),
    retries: 3,
    first_pause: Duration::from_millis(2),
    longest_pause: Duration::from_millis(20),
    seed: 1,
};

fn home() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A checkpoint whose weights are these bytes.
fn weights(bytes: &[u8]) -> Files {
    files(&[("config.json", b"{}"), ("model.safetensors", bytes)])
}

fn pull(server: &HubServer, home: &Path, retry: RetryPolicy) -> Result<PathBuf, Error> {
    let hub = Hub::at(&server.hub.origin(), None, Cache::at(home.join("hub")), retry).unwrap();
    hub.pull(&hub.plan(&ID.parse().unwrap(), &mut ())?, &mut ())
}

fn blobs(home: &Path) -> PathBuf {
    home.join("hub/models--org--name/blobs")
}

/// The first bytes of the weights, which are still to be completed.
fn incomplete(home: &Path, bytes: &[u8]) -> PathBuf {
    blobs(home).join(format!("{}.incomplete", sha256(bytes)))
}

fn refused(server: &HubServer, code: i32, parts: &[&str]) {
    let home = home();
    let output = server.edgecall(home.path(), &["pull", ID, "--retries", "0"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty());
    parts.iter().for_each(|part| assert!(stderr.contains(part), "{part:?} is not in: {stderr}"));
    assert!(!home.path().join("hub/models--org--name/snapshots").exists());
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_ended() {
    let bytes = noise(300_000, 2);
    // More breaks than retries: each try brought something.
    let server = HubServer::with(
        weights(&bytes),
        |_, _| None,
        |request, n, bytes| match n {
            0..9 => Some(part(request, bytes).cut(bytes.len() - (n + 1) * 30_000)),
            _ => None,
        },
    );
    let home = home();
    let path = pull(&server, home.path(), POLICY).unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), bytes);
    let ranges = server.ranges();
    assert_eq!((ranges[0], ranges.len()), (0, 10));
    assert!(ranges.windows(2).all(|two| two[0] < two[1]), "{ranges:?}");
    assert_eq!(ranges[9], 270_000);
}

#[test]
fn a_server_without_parts_begins_anew_and_is_given_up_if_it_never_gets_further() {
    let bytes = noise(100_000, 3);
    let whole = |bytes: &[u8]| Answer::bytes(200, "", "application/octet-stream", bytes);
    let server = HubServer::with(
        weights(&bytes),
        |_, _| None,
        move |_, n, bytes| match n {
            0 => Some(whole(bytes).cut(40_000)),
            _ => Some(whole(bytes)),
        },
    );
    let folder = home();
    let path = pull(&server, folder.path(), POLICY).unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), bytes);
    let server =
        HubServer::with(weights(&bytes), |_, _| None, move |_, _, bytes| Some(whole(bytes).cut(40_000)));
    let error = pull(&server, home().path(), POLICY).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error}");
    assert_eq!(server.store.seen().len(), 1 + POLICY.retries as usize);
}

#[test]
fn a_server_that_falls_silent_is_asked_again_for_the_rest() {
    let bytes = noise(50_000, 4);
    let server = HubServer::with(
        weights(&bytes),
        |_, n| if n == 0 { never() } else { None },
        |request, n, bytes| (n == 0).then(|| part(request, bytes).cut(20_000).held()),
    );
    let home = home();
    let retry = RetryPolicy { timeout: Duration::from_millis(300), ..POLICY };
    let path = pull(&server, home.path(), retry).unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), bytes);
    assert_eq!(server.ranges(), [0, 30_000]);
}

#[test]
fn a_killed_pull_is_gone_on_with_and_no_byte_is_fetched_twice() {
    let bytes = noise(1_000_000, 5);
    let mut random = SplitMix64::new(6);
    let cuts: Vec<usize> = (0..12).map(|_| 1 + random.below(80_000)).collect();
    let sent = cuts.clone();
    let server = HubServer::with(
        weights(&bytes),
        |_, _| None,
        move |request, n, bytes| {
            // A piece, and then nothing: the process is killed while it waits, or before that.
            let rest = bytes.len() - range(request).unwrap_or(0);
            let piece = sent.get(n)?;
            Some(part(request, bytes).cut(rest - piece).held())
        },
    );
    let home = home();
    let path = incomplete(home.path(), &bytes);
    let length = || fs::metadata(&path).map_or(0, |metadata| metadata.len() as usize);
    for piece in &cuts {
        let start = length();
        // At a random point of the piece; the pieces of a piece are as long as the network makes them.
        let enough = start + 1 + random.below(*piece);
        let mut child = server.edgecall(home.path(), &["pull", ID]).stdout(Stdio::null()).spawn().unwrap();
        while length() < enough {
            assert_eq!(child.try_wait().unwrap(), None);
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let asked = server.ranges();
        assert_eq!(asked[asked.len() - 1], start);
    }
    let rest = length();
    let output = server.edgecall(home.path(), &["pull", ID]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(*server.ranges().last().unwrap(), rest);
    let file = Path::new(String::from_utf8(output.stdout).unwrap().trim_end()).join("model.safetensors");
    assert_eq!(fs::read(file).unwrap(), bytes);
    assert_eq!(server.hub.seen_at("config.json").len(), 1);
}

#[test]
fn two_pulls_at_once_fetch_each_file_once() {
    let bytes = noise(200_000, 7);
    let listings = Arc::new(AtomicUsize::new(0));
    let (seen, count) = (listings.clone(), listings);
    let server = HubServer::with(
        weights(&bytes),
        move |request, _| {
            if request.path.starts_with("/api/") {
                count.fetch_add(1, Ordering::SeqCst);
            }
            None
        },
        move |_, _, _| {
            // The first one is held up until the second one is on its way.
            while seen.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            None
        },
    );
    let home = home();
    let start = || server.edgecall(home.path(), &["pull", ID]).stdout(Stdio::piped()).spawn().unwrap();
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    assert!(outputs.iter().all(|output| output.status.success()));
    assert_eq!(outputs[0].stdout, outputs[1].stdout);
    assert_eq!(server.ranges(), [0]);
    assert_eq!(fs::read_dir(blobs(home.path())).unwrap().count(), 2);
}

#[test]
fn what_an_earlier_process_left_is_checked_with_the_rest() {
    let bytes = noise(60_000, 8);
    let server = HubServer::start(weights(&bytes));
    let home = home();
    fs::create_dir_all(blobs(home.path())).unwrap();
    // Not the beginning of the file, as after a crash of the machine.
    fs::write(incomplete(home.path(), &bytes), vec![0; 10_000]).unwrap();
    // A file of the right name and the wrong length.
    fs::write(blobs(home.path()).join(crate::hub_server::git_hash(b"{}")), "").unwrap();
    let path = pull(&server, home.path(), POLICY).unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), bytes);
    assert_eq!(fs::read(path.join("config.json")).unwrap(), b"{}");
    assert_eq!(server.ranges(), [10_000, 0]);
}

#[test]
fn bytes_of_another_length_or_hash_get_no_name_and_do_not_stay() {
    let bytes = noise(10_000, 9);
    type Lie = fn(&[u8]) -> Answer;
    let cases: [(Lie, &str); 5] = [
        (
            |bytes| Answer::bytes(200, "", "x/y", &bytes[1..]),
            "the server sends 9,999 bytes, and the hub lists 10,000 bytes",
        ),
        (
            |bytes| Answer::bytes(200, "", "x/y", &[bytes, b"!"].concat()),
            "and the hub lists 10,000 bytes, so it is not taken",
        ),
        // Without an announced length.
        (
            |bytes| Answer::raw(200, "", "x/y", &[bytes, b"!"].concat()),
            "the server sends other bytes than asked for, and the hub lists",
        ),
        (|bytes| Answer::raw(200, "", "x/y", &[&bytes[1..], b"!"].concat()), "the hub lists the SHA-256"),
        (
            |bytes| Answer::bytes(206, "content-range: bytes 5-9999/10000\r\n", "x/y", &bytes[5..]),
            "and the hub lists 10,000 bytes, so it is not taken",
        ),
    ];
    for (answer, expected) in cases {
        let server = HubServer::with(weights(&bytes), |_, _| None, move |_, _, bytes| Some(answer(bytes)));
        let home = home();
        let output = server.edgecall(home.path(), &["pull", ID, "--retries", "0"]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(65), "{stderr}");
        assert!(stderr.contains(expected), "{expected:?} is not in: {stderr}");
        assert_eq!(server.store.seen().len(), 1, "{expected}: one try tells");
        let left = fs::metadata(incomplete(home.path(), &bytes)).map_or(0, |file| file.len());
        assert_eq!((left, blobs(home.path()).join(sha256(&bytes)).exists()), (0, false));
    }
    // A small file, which has git's hash.
    let server = HubServer::with(
        weights(&bytes),
        |request, _| request.path.ends_with("config.json").then(|| Answer::of(200, "", "text/plain", "[]")),
        |_, _, _| None,
    );
    refused(&server, 65, &["config.json: what was fetched has the git hash"]);
}

#[test]
fn a_refusal_says_what_to_do_about_it() {
    let on_list =
        |answer: fn() -> Answer| HubServer::with(weights(b"x"), move |_, _| Some(answer()), |_, _, _| None);
    let on_file = |answer: fn() -> Answer| {
        let on_hub =
            move |request: &crate::server::Request, _: usize| request.path.contains("/resolve/").then(answer);
        HubServer::with(weights(b"x"), on_hub, |_, _, _| None)
    };
    refused(
        &on_list(|| refusal(401, "RepoNotFound")),
        66,
        &["has no model org/name, or it is private", "HF_TOKEN"],
    );
    refused(&on_list(|| refusal(404, "RepoNotFound")), 66, &["has no model org/name"]);
    refused(&on_list(|| refusal(404, "RevisionNotFound")), 66, &["org/name has no revision `main`"]);
    refused(&on_list(|| Answer::of(401, "", "text/plain", "Unauthorized")), 66, &["or it is private"]);
    refused(
        &on_file(|| refusal(401, "GatedRepo")),
        69,
        &["org/name is gated", "/org/name, log in and accept", "put a token of that account into HF_TOKEN"],
    );
    refused(
        &on_file(|| refusal(403, "")),
        69,
        &["wants a token: put one into HF_TOKEN", "the hub's own words"],
    );
    refused(&on_file(|| refusal(404, "EntryNotFound")), 66, &["has no file `config.json`"]);
    refused(
        &on_list(|| Answer::of(429, "", "text/plain", "slow down")),
        69,
        &["too many requests from here (status 429), tried once", "HF_TOKEN", "--retries"],
    );
    refused(
        &on_list(|| Answer::of(500, "", "text/plain", "oh")),
        69,
        &["status 500, tried once: oh; try again"],
    );
    let page = || Answer::of(200, "", "text/html; charset=utf-8", "<!doctype html><title>Welcome</title>");
    refused(&on_list(page), 69, &["answered with a web page; does this network want a login first"]);
    refused(&on_file(page), 69, &["answered with a web page"]);
    refused(
        &on_list(|| Answer::of(200, "", "application/json", "{\"sha\"")),
        69,
        &["does HF_ENDPOINT name a hub?"],
    );
    refused(
        &on_list(|| Answer::of(302, "location: /x\r\n", "text/plain", "")),
        69,
        &["redirects again and again"],
    );
    let error = on_list(|| Answer::of(418, "", "text/plain", "\u{1b}[31ma\nb"));
    refused(&error, 69, &["answered with status 418, tried once: [31ma b"]);
}

#[test]
fn a_busy_hub_is_asked_again_after_the_pause_that_it_names() {
    let server = HubServer::with(
        weights(b"x"),
        |_, n| (n < 2).then(|| Answer::of(429, "retry-after: 0\r\n", "text/plain", "")),
        |_, n, _| match n {
            0 => Some(Answer::of(503, "retry-after: 0\r\n", "text/plain", "")),
            // A signed address that is too old: the hub is asked for a new one.
            1 => Some(Answer::of(403, "", "application/xml", "<Error>Request has expired</Error>")),
            _ => None,
        },
    );
    pull(&server, home().path(), POLICY).unwrap();
    assert_eq!((server.hub.seen_at("model.safetensors").len(), server.store.seen().len()), (3, 3));
}

#[test]
fn a_list_that_leads_out_of_the_cache_or_does_not_fit_the_disk_is_refused_before_a_file_is_fetched() {
    let with = |change: fn(&mut serde_json::Value)| {
        let mut answer = listing(&weights(b"x"));
        change(&mut answer);
        HubServer::with(weights(b"x"), move |_, _| Some(Answer::json(&answer)), |_, _, _| None)
    };
    let outside = with(|answer| answer["siblings"][0]["rfilename"] = json!("../../../evil.json"));
    refused(&outside, 65, &["lists the file \"../../../evil.json\", which lies outside of the repository"]);
    let hash = with(|answer| answer["siblings"][0]["blobId"] = json!("../../../../evil"));
    refused(&hash, 65, &["a hash that is none"]);
    let commit = with(|answer| answer["sha"] = json!("../evil"));
    refused(&commit, 65, &["files of the commit \"../evil\", which is none"]);
    let large = with(|answer| answer["siblings"][1]["lfs"]["size"] = json!(1u64 << 60));
    refused(&large, 73, &["are to be fetched; HF_HOME may name a folder on another disk"]);
    let overflowing = with(|answer| {
        answer["siblings"][0]["size"] = json!(u64::MAX);
        answer["siblings"][1]["lfs"]["size"] = json!(u64::MAX);
    });
    refused(&overflowing, 73, &["are to be fetched"]);
    for server in [outside, hash, commit, large] {
        assert_eq!(server.hub.seen().len(), 1);
    }
}

#[test]
fn without_a_server_an_address_or_a_folder_the_error_names_it() {
    let home = home();
    let run = |endpoint: &str| {
        let mut command = edgecall(home.path(), &["pull", ID, "--retries", "0"]);
        let output = command.env("HF_ENDPOINT", endpoint).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // The port of a server that is no more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, said) = run(&format!("http://127.0.0.1:{port}"));
    assert!(code == Some(69) && said.contains(&format!("cannot reach 127.0.0.1:{port}")), "{said}");
    let (code, said) = run("http://me:secret@127.0.0.1");
    assert!(
        code == Some(2)
            && said.contains("HF_ENDPOINT cannot be used: the URL holds a name")
            && !said.contains("secret"),
        "{said}"
    );
    let (code, said) = run("huggingface.co");
    assert!(code == Some(2) && said.contains("give one such as https://huggingface.co"), "{said}");
    // A file where the cache should be.
    fs::write(home.path().join("hub"), "").unwrap();
    let server = HubServer::start(weights(b"x"));
    let output = server.edgecall(home.path(), &["pull", ID]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("set HF_HOME to a folder that you may write to"), "{said}");
}
