//! Saved prefixes: the bits that come back from them, and what becomes of files that are not as they were written.

use crate::pocket::{self, settings};
use edgecall::runtime::{KvType, Model, Options, Prefix, Session, Shelf};
use std::{collections::BTreeMap, time::Duration};

/// The end of a turn in the prompts below.
const END: i32 = 2;

fn ends_turn(token: i32) -> bool {
    token == END
}

/// Ends of turns at 3, 403, 420 and 460, so pieces end there and at 259 too; two tokens behind the last.
fn prompt() -> Vec<i32> {
    let token = |i: i32| if [2, 402, 419, 459].contains(&i) { END } else { 100 + i * 37 % 3_000 };
    (0..462).map(token).collect()
}

fn options(kv_type: &str) -> Options {
    Options { kv_type: KvType::named(kv_type).unwrap(), ..settings().session }
}

fn prefix<'m>(model: &'m Model, kv_type: &str) -> Prefix<'m> {
    Prefix::new(Session::new(model, 600, 40, &options(kv_type)).unwrap())
}

/// Those after the prompt and after each of some tokens behind it.
fn logits(prefix: &mut Prefix<'_>) -> Vec<Vec<u32>> {
    let bits = |session: &Session<'_>| session.logits().iter().map(|logit| logit.to_bits()).collect();
    let mut all = vec![bits(prefix.session())];
    for token in [7, 300, 1_234, 9] {
        prefix.session().append(&[token]).unwrap();
        all.push(bits(prefix.session()));
    }
    all
}

/// A shelf in memory.
#[derive(Default)]
struct Kept {
    states: BTreeMap<Vec<i32>, (usize, Vec<u8>)>,
    most: Option<usize>,
}

impl Shelf for Kept {
    fn take(&mut self, tokens: &[i32], start: usize, restore: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let found = self.states.get(tokens).filter(|_| self.most.is_none_or(|most| tokens.len() <= most));
        found.is_some_and(|(at, state)| *at == start && restore(state))
    }

    fn wants(&mut self, _: usize, _: Duration) -> bool {
        true
    }

    fn put(&mut self, tokens: &[i32], start: usize, state: Vec<u8>) {
        self.states.insert(tokens.to_vec(), (start, state));
    }
}

#[test]
fn states_that_were_put_back_piece_by_piece_give_the_logits_of_a_prompt_that_was_computed() {
    let model = pocket::loaded();
    let prompt = prompt();
    for kv_type in ["f16", "q8_0", "f32"] {
        let mut computed = prefix(model, kv_type);
        assert_eq!(computed.evaluate(&prompt, ends_turn).unwrap(), 462);
        let expected = logits(&mut computed);

        let mut shelf = Kept::default();
        let mut first = prefix(model, kv_type);
        let evaluated = first.evaluate_with(&prompt, ends_turn, &mut shelf).unwrap();
        assert_eq!((evaluated.computed, evaluated.restored), (462, 0));
        assert_eq!(logits(&mut first), expected, "{kv_type}: taking states out changes nothing");
        let kept: Vec<(usize, usize)> =
            shelf.states.iter().map(|(k, (start, _))| (*start, k.len())).collect();
        assert_eq!(kept, [(0, 3), (3, 259), (259, 403), (403, 420)], "{kv_type}");

        for (most, restored) in [(None, 420), (Some(403), 403), (Some(259), 259), (Some(3), 3)] {
            shelf.most = most;
            let mut second = prefix(model, kv_type);
            let evaluated = second.evaluate_with(&prompt, ends_turn, &mut shelf).unwrap();
            assert_eq!((evaluated.restored, evaluated.computed), (restored, 462 - restored), "{kv_type}");
            assert_eq!(logits(&mut second), expected, "{kv_type}, {restored} tokens restored");
            // What was put back is cut and computed behind like anything else.
            assert_eq!(second.evaluate(&prompt[..410], ends_turn).unwrap(), 7);
            assert_eq!(second.evaluate(&prompt, ends_turn).unwrap(), 462 - 403);
            assert_eq!(logits(&mut second), expected, "{kv_type}, {restored} tokens restored");
        }
    }
}

#[test]
fn a_state_of_another_length_place_or_type_is_not_taken_and_changes_nothing() {
    let model = pocket::loaded();
    let prompt = prompt();
    let mut shelf = Kept::default();
    prefix(model, "f16").evaluate_with(&prompt, ends_turn, &mut shelf).unwrap();
    let state = &shelf.states[&prompt[..259]].1;

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
    assert!(!prefix(model, "q8_0").session().restore(&prompt[..3], &shelf.states[&prompt[..3]].1));
}
