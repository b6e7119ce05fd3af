//! Models whose memory cannot be cut: states are restored to the bit, tokens are taken back, and calls do not depend on
//! what the cache has.

use crate::{
    families::checkpoints,
    fixture::{Fixture, write_json},
    golden::{pretokenizer, with_one_template},
    kept_states::{Kept, bits, logits},
    pocket::settings,
    program::edgecall,
    shared::shared,
};
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, FileType, Plan, Recipe, Targets},
    runtime::{Model, Prefix, Session, Vocabulary},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// Tokens of the prompts below, of which the last two follow the last turn.
const N_PROMPT: usize = 462;

/// The checkpoint at `source` as a file in F16.
pub fn converted(source: &Path, pre: Option<&str>, folder: &Path) -> PathBuf {
    let checkpoint = Checkpoint::open(source).unwrap();
    let recipe = Recipe { file_types: vec![FileType::F16], pre: pre.map(str::to_owned), ..Recipe::default() };
    let plan = Plan::new(&checkpoint, recipe).unwrap();
    let target = folder.join("model.gguf");
    let targets = Targets::new(&checkpoint, &plan, Some(&target), true).unwrap();
    let converted =
        convert::convert(&checkpoint, &plan, &targets, None, &mut (), &AtomicBool::new(false)).unwrap();
    converted.publish().unwrap();
    target
}

/// A small LFM2 with random weights, in F16.
fn lfm2(folder: &Path) -> PathBuf {
    converted(&Fixture::lfm2().write(&folder.join("lfm2")), None, folder)
}

/// Ordinary tokens with an end of turn at 3, 403, 420 and 460, so pieces end there and at 259.
fn prompt(vocabulary: &Vocabulary) -> (Vec<i32>, i32) {
    let end = vocabulary.eos().unwrap();
    let is_plain = |&token: &i32| !vocabulary.is_control(token) && !vocabulary.piece(token).is_empty();
    let plain: Vec<i32> = (0..vocabulary.n_vocab() as i32).filter(is_plain).collect();
    let token = |i: usize| if [2, 402, 419, 459].contains(&i) { end } else { plain[i * 37 % plain.len()] };
    ((0..N_PROMPT).map(token).collect(), end)
}

fn prefix(model: &Model) -> Prefix<'_> {
    Prefix::new(Session::new(model, N_PROMPT, 40, &settings().session).unwrap())
}

/// Holds states that were put back and sequences that were cut against a prompt that was computed whole.
fn hold(model: &Model) {
    let (prompt, end) = prompt(model.vocabulary());
    let ends_turn = |token| token == end;
    let further: Vec<i32> = prompt[4..8].to_vec();
    let mut computed = prefix(model);
    assert_eq!(computed.evaluate(&prompt, ends_turn).unwrap(), N_PROMPT);
    let expected = logits(&mut computed, &further);
    assert!(expected.windows(2).all(|pair| pair[0] != pair[1]), "the logits tell the tokens apart");

    let mut cache = Kept::default();
    let mut first = prefix(model);
    let evaluated = first.evaluate_with(&prompt, ends_turn, &mut cache).unwrap();
    assert_eq!((evaluated.computed, evaluated.restored), (N_PROMPT, 0));
    assert!(logits(&mut first, &further) == expected, "taking states out changes nothing");
    let kept: Vec<(usize, usize)> = cache.states.iter().map(|(k, (start, _))| (*start, k.len())).collect();
    assert_eq!(kept, [(0, 3), (3, 259), (259, 403), (403, 420)]);

    for (most, restored) in [(None, 420), (Some(403), 403), (Some(259), 259), (Some(3), 3)] {
        cache.most = most;
        let mut second = prefix(model);
        let evaluated = second.evaluate_with(&prompt, ends_turn, &mut cache).unwrap();
        assert_eq!((evaluated.restored, evaluated.computed), (restored, N_PROMPT - restored));
        assert!(logits(&mut second, &further) == expected, "{restored} tokens restored");
        // Restored states are cut and continued like computed ones.
        assert_eq!(second.evaluate(&prompt[..410], ends_turn).unwrap(), 7);
        assert_eq!(second.evaluate(&prompt, ends_turn).unwrap(), N_PROMPT - 403);
        assert!(logits(&mut second, &further) == expected, "{restored} tokens restored");
        // Generated tokens are taken back: some, and all. Where a memory can be cut, the prompt's last token is then decoded
        // by itself; elsewhere the whole piece is decoded again, with the same bits.
        let least = usize::from(model.remembers_by_token());
        for left in (least..=2).rev() {
            second.session().rewind(N_PROMPT + left).unwrap();
            assert_eq!(second.session().n_past(), N_PROMPT + left);
            assert!(bits(second.session()) == expected[left], "{left} tokens left");
            for (token, expected) in further[left..].iter().zip(&expected[left + 1..]) {
                second.session().append(&[*token]).unwrap();
                assert!(bits(second.session()) == *expected, "after {left} tokens were left");
            }
        }
        second.session().rewind(410).unwrap();
        assert_eq!(second.session().n_past(), 410);
        assert!(second.session().rewind(0).is_err());
    }
}

#[test]
fn a_recurrent_state_is_restored_to_the_bit_and_goes_back_to_its_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::load(&lfm2(folder.path())).unwrap();
    assert!(!model.remembers_by_token());
    hold(&model);
}

#[test]
fn a_truncated_recurrent_state_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::load(&lfm2(folder.path())).unwrap();
    let (prompt, end) = prompt(model.vocabulary());
    let mut cache = Kept::default();
    prefix(&model).evaluate_with(&prompt, |token| token == end, &mut cache).unwrap();
    let state = &cache.states[&prompt[..259]].1;
    let mut other = prefix(&model);
    other.session().append(&prompt[..3]).unwrap();
    let before = bits(other.session());
    for cut in [0, 4, 20, 400, state.len() / 2, state.len() - 1] {
        assert!(!other.session().restore(&prompt[3..259], &state[..cut]), "{cut}");
    }
    assert!(!other.session().restore(&prompt[3..258], state), "one token less");
    assert_eq!(bits(other.session()), before);
    assert!(other.session().restore(&prompt[3..259], state));
}

/// Tools whose calls are finite whatever the weights say.
fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "set_lamp", "description": "Switches a lamp.",
        "parameters": {"type": "object", "properties": {
            "room": {"enum": ["kitchen", "hall", "attic"]}, "on": {"type": "boolean"}, "level": {"enum": [1, 2, 3]},
        }, "required": ["room", "on", "level"], "additionalProperties": false},
    }}])
}

/// Stdout and stderr of a call of the model in `folder`, with the states in `cache`, if any.
fn called(folder: &Path, cache: Option<&Path>, options: &[&str]) -> (String, String) {
    write_json(folder, "tools.json", &tools());
    let mut command = edgecall();
    command
        .arg("call")
        .arg("-m")
        .arg(folder.join("model.gguf"))
        .arg("--tools")
        .arg(folder.join("tools.json"));
    command.args(["--threads", "1", "--dialect", "generic", "--timings", "--cache-read-rate", "100000"]);
    match cache {
        Some(cache) => command.arg("--cache-dir").arg(cache),
        None => command.arg("--no-cache"),
    };
    let task = "You switch lamps. ".repeat(12);
    let output =
        command.args(["--system", &task, "Light in the attic, please!"]).args(options).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let call: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(call["name"], "set_lamp", "{out}");
    (out, err)
}

/// Number of restored tokens in the table of `--timings`.
fn restored(err: &str) -> usize {
    let line = err.lines().find(|line| line.starts_with("restore")).unwrap();
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// Makes the same call without a cache, with an empty one and with a full one.
fn hold_calls(folder: &Path) {
    let cache = folder.join("cache");
    let (alone, _) = called(folder, None, &[]);
    let (cold, first) = called(folder, Some(&cache), &[]);
    let (warm, second) = called(folder, Some(&cache), &[]);
    assert_eq!((&cold, &warm), (&alone, &alone));
    assert_eq!(restored(&first), 0, "{first}");
    assert!(restored(&second) > 0, "{second}");
    let (exact, _) = called(folder, None, &["--exact"]);
    assert_eq!(exact, alone);
}

#[test]
fn a_call_of_a_recurrent_model_is_the_same_with_a_cold_and_a_warm_cache() {
    let folder = tempfile::tempdir().unwrap();
    lfm2(folder.path());
    hold_calls(folder.path());
    let (_, timings) = called(folder.path(), None, &[]);
    assert!(timings.contains("drafts are off: this model's recurrent state cannot be cut"), "{timings}");
}

/// Holds states and calls of the small checkpoint `name` of `golden/families`, which loads without trust.
fn hold_family(name: &str) {
    let Some(shared) = shared() else { return };
    let Some(checkpoints) = checkpoints(&shared.join("golden/families")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = converted(&with_one_template(checkpoints.join(name)), pretokenizer(name), folder.path());
    hold(&Model::load(&path).unwrap());
    hold_calls(folder.path());
}

macro_rules! families {
    ($($test:ident $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                hold_family($name);
            }
        )*
    };
}

families! {
    conformance_lfm2_restores_states_and_calls "lfm2-tied";
    conformance_gemma3_restores_states_and_calls "gemma3-function";
    conformance_granite3_restores_states_and_calls "granite3-tied";
    conformance_granite4_restores_states_and_calls "granite4-nano";
    conformance_qwen35_restores_states_and_calls "qwen35-tied";
    conformance_qwen35_with_a_prediction_layer_restores_states_and_calls "qwen35-mtp";
    conformance_smollm3_restores_states_and_calls "smollm3-tied";
    conformance_phi4_restores_states_and_calls "phi4-longrope";
}
