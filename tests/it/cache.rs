//! Cached prompt states: the bits restored from them, and the handling of damaged files.

use crate::{
    kept_states::{Kept, logits},
    pocket::{self, pocket, settings},
    program::edgecall,
};
use edgecall::{
    cache::{Cache, FileKind},
    call::{self, Answer, Call, PromptTemplate, Request, Settings},
    chat::Conversation,
    convert::FileType,
    runtime::{Evaluated, KvType, Model, Options, Prefix, Session},
    tools::ToolSet,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    thread,
};

/// Tokens behind the prompt.
const FURTHER: [i32; 4] = [7, 300, 1_234, 9];
/// The end of a turn in the prompts below.
const END: i32 = 2;

fn ends_turn(token: i32) -> bool {
    token == END
}

/// End-of-turn tokens at 3, 403, 420 and 460, so pieces end there and at 259; two tokens follow the last.
fn prompt() -> Vec<i32> {
    let token = |i: i32| if [2, 402, 419, 459].contains(&i) { END } else { 100 + i * 37 % 3_000 };
    (0..462).map(token).collect()
}

pub fn options(kv_type: &str) -> Options {
    Options { kv_type: KvType::named(kv_type).unwrap(), ..settings().session }
}

fn prefix<'m>(model: &'m Model, kv_type: &str) -> Prefix<'m> {
    Prefix::new(Session::new(model, 600, 40, &options(kv_type)).unwrap())
}

#[test]
fn states_that_were_put_back_piece_by_piece_give_the_logits_of_a_prompt_that_was_computed() {
    let model = pocket::loaded();
    let prompt = prompt();
    for kv_type in ["f16", "q8_0", "f32"] {
        let mut computed = prefix(model, kv_type);
        assert_eq!(computed.evaluate(&prompt, ends_turn).unwrap(), 462);
        let expected = logits(&mut computed, &FURTHER);

        let mut prefix_cache = Kept::default();
        let mut first = prefix(model, kv_type);
        let evaluated = first.evaluate_with(&prompt, ends_turn, &mut prefix_cache).unwrap();
        assert_eq!((evaluated.computed, evaluated.restored), (462, 0));
        assert_eq!(logits(&mut first, &FURTHER), expected, "{kv_type}: taking states out changes nothing");
        let kept: Vec<(usize, usize)> =
            prefix_cache.states.iter().map(|(k, (start, _))| (*start, k.len())).collect();
        assert_eq!(kept, [(0, 3), (3, 259), (259, 403), (403, 420)], "{kv_type}");

        for (most, restored) in [(None, 420), (Some(403), 403), (Some(259), 259), (Some(3), 3)] {
            prefix_cache.most = most;
            let mut second = prefix(model, kv_type);
            let evaluated = second.evaluate_with(&prompt, ends_turn, &mut prefix_cache).unwrap();
            assert_eq!((evaluated.restored, evaluated.computed), (restored, 462 - restored), "{kv_type}");
            assert_eq!(logits(&mut second, &FURTHER), expected, "{kv_type}, {restored} tokens restored");
            // Restored cells are cut and continued like computed ones.
            assert_eq!(second.evaluate(&prompt[..410], ends_turn).unwrap(), 7);
            assert_eq!(second.evaluate(&prompt, ends_turn).unwrap(), 462 - 403);
            assert_eq!(logits(&mut second, &FURTHER), expected, "{kv_type}, {restored} tokens restored");
        }
    }
}

#[test]
fn a_state_of_another_length_place_or_type_is_not_taken_and_changes_nothing() {
    let model = pocket::loaded();
    let prompt = prompt();
    let mut prefix_cache = Kept::default();
    prefix(model, "f16").evaluate_with(&prompt, ends_turn, &mut prefix_cache).unwrap();
    let state = &prefix_cache.states[&prompt[..259]].1;

    let mut other = prefix(model, "f16");
    other.session().append(&prompt[..3]).unwrap();
    let session = other.session();
    let piece = &prompt[3..259];
    for cut in [0, 3, 4, 8, 12, 16, 20, 400, 3_000, state.len() / 2, state.len() - 1] {
        assert!(!session.restore(piece, &state[..cut]), "{cut}");
    }
    assert!(!session.restore(&prompt[3..258], state), "one token less");
    assert!(!session.restore(&[], state));
    assert!(!session.restore(&vec![1; 5_000], state), "more than fits");
    session.append(&[5]).unwrap();
    assert!(!session.restore(piece, state), "one place further on");
    session.cut(3).unwrap();
    assert!(session.restore(piece, state));
    assert_eq!(session.n_past(), 259);
    assert!(session.logits().is_empty());
    assert!(!prefix(model, "q8_0").session().restore(&prompt[..3], &prefix_cache.states[&prompt[..3]].1));

    // The smallest context: nothing is stored or restored.
    let smallest = Options { n_ctx: NonZeroUsize::new(1), ..options("f16") };
    let mut smallest = Session::new(model, 0, 1, &smallest).unwrap();
    assert!(!smallest.restore(&prompt[..1], state));
    smallest.append(&prompt[..1]).unwrap();
    assert!(smallest.state(0..1, |_| true).is_none());
}

/// A cache on a disk so fast that every state is stored.
pub fn cache_in(folder: &Path) -> Cache {
    Cache::new(folder).with_read_rate(f64::INFINITY)
}

/// Evaluates the prompt with the cache in `folder`, and waits until it is written.
pub fn evaluate(model: &Model, options: &Options, folder: &Path) -> (Evaluated, Vec<u32>) {
    let cache = cache_in(folder);
    let mut prefix = Prefix::new(Session::new(model, 600, 40, options).unwrap());
    let mut prefix_cache = cache.prefix_cache(model, prefix.session()).unwrap();
    let evaluated = prefix.evaluate_with(&prompt(), ends_turn, &mut prefix_cache).unwrap();
    drop(prefix_cache);
    cache.finish();
    (evaluated, prefix.session().logits().iter().map(|logit| logit.to_bits()).collect())
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(cache_in(folder).path()).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let states = paths.filter(|path| path.extension().is_some_and(|ending| ending == "state"));
    states.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn files_that_are_cut_short_flipped_or_foreign_are_ignored_and_replaced() {
    let model = pocket::loaded();
    let folder = tempfile::tempdir().unwrap();
    let options = options("f16");
    let (first, expected) = evaluate(model, &options, folder.path());
    assert_eq!((first.computed, first.restored), (462, 0));
    let written = files(folder.path());
    assert_eq!(written.len(), 4);
    let (second, logits) = evaluate(model, &options, folder.path());
    assert_eq!((second.computed, second.restored), (42, 420));
    assert_eq!(logits, expected);

    let spoilt = |name: &str, spoil: &dyn Fn(&[u8]) -> Vec<u8>| {
        for (path, bytes) in &written {
            fs::write(path, spoil(bytes)).unwrap();
        }
        let (evaluated, logits) = evaluate(model, &options, folder.path());
        assert_eq!(evaluated.restored, 0, "{name}");
        assert_eq!(logits, expected, "{name}");
        assert_eq!(files(folder.path()), written, "{name}: replaced");
    };
    for length in [0, 1, 8, 12, 20, 32, 64, 79, 80, 100, 200] {
        spoilt(&format!("{length} bytes"), &|bytes| bytes[..length.min(bytes.len() - 1)].to_vec());
    }
    spoilt("half", &|bytes| bytes[..bytes.len() / 2].to_vec());
    spoilt("one byte less", &|bytes| bytes[..bytes.len() - 1].to_vec());
    spoilt("one byte more", &|bytes| [bytes, &[0]].concat());
    spoilt("another file", &|_| b"GGUF\x03\0\0\0".repeat(1_000));
    for place in 0..16 {
        spoilt(&format!("flipped at {place}/16"), &|bytes| {
            let mut bytes = bytes.to_vec();
            let at = bytes.len() * place / 16;
            bytes[at] ^= 0x10;
            bytes
        });
    }
    // Complete files under other names: each holds its own identity.
    let paths: Vec<&PathBuf> = written.keys().collect();
    for (index, bytes) in written.values().enumerate() {
        fs::write(paths[(index + 1) % paths.len()], bytes).unwrap();
    }
    let (evaluated, logits) = evaluate(model, &options, folder.path());
    assert_eq!((evaluated.restored, logits == expected), (0, true));
    assert_eq!(files(folder.path()), written);
}

#[test]
fn a_damaged_file_costs_only_what_comes_behind_it() {
    let model = pocket::loaded();
    let folder = tempfile::tempdir().unwrap();
    let (_, expected) = evaluate(model, &options("q8_0"), folder.path());
    let listing = cache_in(folder.path()).list(true).unwrap();
    let third = listing.files.iter().find(|file| file.first_token == Some(259)).unwrap();
    let path = cache_in(folder.path()).path().join(&third.name);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let quick = cache_in(folder.path()).list(false).unwrap();
    assert!(quick.files.iter().all(|file| file.flaw.is_none()), "the head is as it was");
    let found = cache_in(folder.path()).list(true).unwrap().files;
    let bad: Vec<_> = found.iter().filter(|file| file.flaw.is_some()).collect();
    assert_eq!((bad.len(), bad[0].flaw.as_deref()), (1, Some("its state is damaged")));
    let (evaluated, logits) = evaluate(model, &options("q8_0"), folder.path());
    assert_eq!((evaluated.restored, logits == expected), (259, true));
    let (evaluated, logits) = evaluate(model, &options("q8_0"), folder.path());
    assert_eq!((evaluated.restored, logits == expected), (420, true));
}

#[test]
fn another_model_kv_type_or_number_of_threads_uses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.gguf");
    fs::copy(pocket(FileType::Q8_0), &copy).unwrap();
    let cache = folder.path().join("cache");
    let restored = |model: &Model, options: &Options| evaluate(model, options, &cache).0.restored;
    let model = Model::load(&copy).unwrap();
    assert_eq!(restored(&model, &options("f16")), 0);
    assert_eq!(restored(&model, &options("f16")), 420);
    assert_eq!(restored(&model, &options("q8_0")), 0);
    let two = Options { threads: NonZeroUsize::new(2), ..options("f16") };
    assert_eq!(restored(&model, &two), 0);
    assert_eq!(restored(&Model::load(&pocket(FileType::Q8_0)).unwrap(), &options("f16")), 0, "another file");

    fs::File::open(&copy).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let session = Session::new(&model, 10, 10, &options("f16")).unwrap();
    assert!(cache_in(&cache).prefix_cache(&model, &session).is_none(), "the file is not what was loaded");
    let touched = Model::load(&copy).unwrap();
    assert_eq!(restored(&touched, &options("f16")), 0);
    assert_eq!(restored(&touched, &options("f16")), 420);
}

#[test]
fn several_at_once_give_the_same_bits_and_leave_whole_files() {
    let model = pocket::loaded();
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<Vec<u32>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| (0..3).map(|_| evaluate(model, &options("f16"), folder.path()).1).collect())
            })
            .collect();
        threads.into_iter().flat_map(|thread| -> Vec<Vec<u32>> { thread.join().unwrap() }).collect()
    });
    assert!(all.iter().all(|logits| *logits == all[0]));
    let listing = cache_in(folder.path()).list(true).unwrap();
    assert_eq!(listing.files.iter().filter(|file| file.kind == FileKind::Prefix).count(), 4);
    assert_eq!(listing.files.len(), 5, "and the note of the model: {listing}");
    assert!(listing.files.iter().all(|file| file.flaw.is_none()), "{listing}");
}

#[test]
fn a_folder_that_cannot_be_written_to_or_believed_changes_nothing() {
    let model = pocket::loaded();
    let folder = tempfile::tempdir().unwrap();
    let (_, expected) = evaluate(model, &options("f16"), &folder.path().join("good"));
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let mut folders =
        vec![file.clone(), file.join("below"), PathBuf::from("/proc/none"), PathBuf::from("/dev/full")];
    let open = folder.path().join("good");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(cache_in(&open).path(), fs::Permissions::from_mode(0o777)).unwrap();
    folders.push(open);
    for folder in folders {
        let (evaluated, logits) = evaluate(model, &options("f16"), &folder);
        assert_eq!((evaluated.restored, logits == expected), (0, true), "{}", folder.display());
    }
}

fn example(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants").join(name)).unwrap()
}

fn conversation(messages: &Value) -> Conversation {
    Conversation::from_value(messages.clone())
        .unwrap()
        .with_system(edgecall::chat::task_system_text(&example("task.txt")))
}

fn ask(messages: &Value, settings: &Settings, cache: Option<&Cache>) -> Answer {
    let tools = ToolSet::parse(example("tools.json").as_bytes()).unwrap();
    let conversation = conversation(messages);
    let request = Request::new(&conversation, Some(&tools));
    let mut reader = |_: &str| ControlFlow::Continue(());
    let (model, template) = (pocket::loaded(), PromptTemplate::default());
    let call = Call { model, template: &template, request: &request, settings, cache };
    call::ask_with(&call, &mut reader).unwrap()
}

#[test]
fn calls_say_the_same_with_and_without_what_earlier_ones_kept() {
    let folder = tempfile::tempdir().unwrap();
    let kept = cache_in(folder.path());
    let turn = |text: &str| json!({"role": "user", "content": text});
    let said = |text: &str| {
        json!({"role": "assistant", "tool_calls": [
        {"type": "function", "function": {"name": "respond_to_user", "arguments": {"message": text}}}]})
    };
    let mut messages = json!([turn("I want to book a table at Zachary's in Oakland.")]);
    let mut answers = Vec::new();
    let mut restored = Vec::new();
    for (question, answer) in [
        (
            "FileKind time would you like to arrive, and for how many people?",
            "At 7 pm on March 8th, for 2 people.",
        ),
        (
            "Please confirm: a table for 2 at Zachary's in Oakland on March 8th at 7 pm.",
            "Yes, that is right.",
        ),
    ] {
        let alone = ask(&messages, &settings(), None);
        let with = ask(&messages, &settings(), Some(&kept));
        kept.finish();
        let again = ask(&messages, &settings(), Some(&kept));
        kept.finish();
        assert_eq!(alone.timings.restored_tokens, 0);
        for answer in [&with, &again] {
            assert_eq!((&alone.id, &alone.calls), (&answer.id, &answer.calls));
        }
        restored.extend([with.timings.restored_tokens, again.timings.restored_tokens]);
        answers.push(alone);
        let list = messages.as_array_mut().unwrap();
        list.push(said(question));
        list.push(turn(answer));
    }
    // First the system message with the tools, then all turns but the last as the conversation grows.
    assert!(restored[0] == 0 && restored[1] > 600, "{restored:?}");
    assert!(restored[2] == restored[1] && restored[3] > restored[1], "{restored:?}");
    let other = ask(&json!([turn("Is there Thai food in San Jose?")]), &settings(), Some(&kept));
    assert_eq!(other.timings.restored_tokens, restored[1]);

    let tools = ToolSet::parse(example("tools.json").as_bytes()).unwrap();
    let tools = Value::Array(tools.sources()).to_string();
    let key = kept.answers_key(pocket::loaded(), &tools).unwrap();
    let logged = kept.answers(&key);
    let text = |tokens: &[i32]| String::from_utf8(pocket::loaded().vocabulary().bytes(tokens)).unwrap();
    assert_eq!(logged.len(), 5);
    assert_eq!(logged[0], logged[1]);
    assert!(text(&logged[0]).contains(answers[0].calls[0].arguments_text()), "{}", text(&logged[0]));
}

#[test]
fn the_command_keeps_lists_and_clears_and_keeps_nothing_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let call = |more: &[&str]| {
        let mut command = edgecall();
        command.args(["call", "--threads", "1", "--tools", "examples/restaurants/tools.json", "-m"]);
        command.arg(pocket(FileType::F16)).args(["--task", "examples/restaurants/task.txt"]);
        // On a fast CPU the states of so small a model are computed as fast as a memory card reads them.
        command.args(["--cache-read-rate", "1000000"]);
        command.env("EDGECALL_CACHE_DIR", folder.path()).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = command.args(more).stdin(std::process::Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let cache = |args: &[&str]| {
        let output =
            edgecall().arg("cache").args(args).arg("--cache-dir").arg(folder.path()).output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let question = "I would like to eat Thai food in San Jose tonight";
    let expected = call(&["--no-cache", question]);
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    assert_eq!(call(&["--no-history", question]), expected);
    let endings = |listing: &Value| -> Vec<String> {
        let names = listing["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap());
        names.map(|name| name.rsplit('.').next().unwrap().to_owned()).collect()
    };
    assert!(!endings(&cache(&["list", "--json"]).1).contains(&"answers".to_owned()));
    assert_eq!(call(&[question]), expected);
    let (code, listing) = cache(&["list", "--json", "--verify"]);
    assert_eq!((code, endings(&listing).contains(&"answers".to_owned())), (Some(0), true), "{listing}");
    // The converter's report is next to the model.
    let model = &listing["models"][0];
    assert_eq!(
        (&model["state"], listing["models"].as_array().unwrap().len()),
        (&json!("same"), 1),
        "{listing}"
    );
    assert!(model["reason"].as_str().unwrap().ends_with(".gguf.json says"), "{listing}");
    fs::write(folder.path().join("saved/00000000000000000000000000000000.state"), "no state").unwrap();
    let (code, listing) = cache(&["list", "--json", "--verify"]);
    let flaws: Vec<&Value> = listing["files"].as_array().unwrap().iter().map(|file| &file["flaw"]).collect();
    assert!(code == Some(1) && flaws.contains(&&json!("it is none of ours")), "{listing}");
    let count = listing["files"].as_array().unwrap().len();
    assert_eq!(cache(&["clear", "--json"]).1["files"], json!(count));
    assert_eq!(cache(&["list", "--json"]).1["files"], json!([]));
    assert_eq!(cache(&["clear", "--json"]), (Some(0), json!({"files": 0, "bytes": 0})));
}
