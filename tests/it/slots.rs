//! Sequences that share a context: what they decode together is what each would decode by itself, but for the last bits.

use crate::{fixture::Fixture, kept_states::Kept, pocket, recurrent};
use edgecall::runtime::{Error, Model, Prefix, Session};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

/// Tokens of a text that differs with `seed`.
fn tokens(model: &Model, seed: usize, n: usize) -> Vec<i32> {
    let vocabulary = model.vocabulary();
    let is_plain = |&token: &i32| !vocabulary.is_control(token) && !vocabulary.piece(token).is_empty();
    let plain: Vec<i32> = (0..vocabulary.n_vocab() as i32).filter(is_plain).collect();
    (0..n).map(|i| plain[(i * 37 + seed * 101 + i * i * (seed + 1)) % plain.len()]).collect()
}

/// Largest difference of two rows of logits, in standard deviations of the first.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mean = a.iter().sum::<f32>() / a.len() as f32;
    let deviation = (a.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / a.len() as f32).sqrt();
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / deviation
}

/// More than the order of summation makes in F16 with a model of few layers, and far less than another token would.
const NEAR: f32 = 0.05;

/// Logits after the first 90 to 300 tokens of a text, and after each of the next, some of them drafted, and after some
/// were taken back.
fn script(session: &mut Session<'_>, text: &[i32], n_prompt: usize) -> Vec<Vec<f32>> {
    let (prompt, rest) = text.split_at(n_prompt);
    session.append(prompt).unwrap();
    session.keep_checkpoint();
    let mut all = vec![session.logits().to_vec()];
    // Right guesses, then wrong ones.
    session.append_drafted(&rest[..1], &rest[1..3]).unwrap();
    all.push(session.logits().to_vec());
    session.append(&rest[1..3]).unwrap();
    all.push(session.logits().to_vec());
    session.append_drafted(&rest[3..4], &prompt[..2]).unwrap();
    session.append(&rest[4..5]).unwrap();
    all.push(session.logits().to_vec());
    session.rewind(n_prompt + 2).unwrap();
    all.push(session.logits().to_vec());
    session.append(&rest[2..8]).unwrap();
    all.push(session.logits().to_vec());
    session.rest();
    all
}

/// Runs scripts in a context that sequences share, all at the same time, and each by itself.
fn hold(model: &Model) {
    let options = pocket::settings().session;
    let texts: Vec<(Vec<i32>, usize)> =
        [90, 300, 17, 200].into_iter().enumerate().map(|(i, n)| (tokens(model, i, n + 10), n)).collect();
    let alone: Vec<_> = texts
        .iter()
        .map(|(text, n)| script(&mut Session::new(model, 400, 20, &options).unwrap(), text, *n))
        .collect();
    let mut sessions = Session::several(model, texts.len(), 420, &options).unwrap();
    for round in 0..2 {
        let together: Vec<_> = thread::scope(|scope| {
            let each = sessions.iter_mut().zip(&texts);
            let threads: Vec<_> = each
                .map(|(session, (text, n))| {
                    scope.spawn(move || {
                        session.cut(0).unwrap();
                        script(session, text, *n)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (seq, (alone, together)) in alone.iter().zip(&together).enumerate() {
            for (step, (alone, together)) in alone.iter().zip(together).enumerate() {
                let distance = distance(alone, together);
                assert!(distance < NEAR, "round {round}, sequence {seq}, step {step}: {distance}");
            }
            // Another sequence's logits would be far away.
            assert!(together.windows(2).all(|pair| distance(&pair[0], &pair[1]) > 4.0 * NEAR));
        }
    }
}

#[test]
fn sequences_that_are_decoded_together_have_the_logits_of_each_by_itself() {
    hold(pocket::loaded());
}

#[test]
fn so_have_those_of_a_recurrent_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = recurrent::converted(&Fixture::lfm2().write(&folder.path().join("lfm2")), None, folder.path());
    hold(&Model::load(&file).unwrap());
}

#[test]
fn what_prompts_have_in_common_is_computed_once_and_outlives_the_first() {
    let model = pocket::loaded();
    let options = pocket::settings().session;
    let end = model.vocabulary().eos().unwrap();
    let ends_turn = |token| token == end;
    let common = [tokens(model, 1, 299), vec![end]].concat();
    let prompts: Vec<Vec<i32>> =
        (2..4).map(|seed| [common.clone(), tokens(model, seed, 30)].concat()).collect();
    let mut alone = Prefix::new(Session::new(model, 400, 20, &options).unwrap());
    alone.evaluate(&prompts[1], ends_turn).unwrap();
    let expected = alone.session().logits().to_vec();

    let sessions = Session::several(model, 2, 400, &options).unwrap();
    let [mut first, mut second] = <[_; 2]>::try_from(sessions).ok().unwrap().map(Prefix::new);
    assert_eq!(first.evaluate(&prompts[0], ends_turn).unwrap(), 330);
    assert_eq!(second.evaluate(&prompts[1], ends_turn).unwrap(), 30);
    assert!(distance(&expected, second.session().logits()) < NEAR);
    first.clear().unwrap();
    // The other sequence still has the tokens, and the first can have them back.
    let next = tokens(model, 9, 1);
    second.session().append(&next).unwrap();
    alone.session().append(&next).unwrap();
    assert!(distance(alone.session().logits(), second.session().logits()) < NEAR);
    first.rest();
    assert_eq!(first.evaluate(&prompts[1], ends_turn).unwrap(), 30);
    assert!(distance(&expected, first.session().logits()) < NEAR);
}

#[test]
fn prompts_that_come_at_the_same_time_are_computed_once_where_they_agree() {
    let model = pocket::loaded();
    let end = model.vocabulary().eos().unwrap();
    let common = [tokens(model, 1, 499), vec![end]].concat();
    let sessions = Session::several(model, 4, 600, &pocket::settings().session).unwrap();
    let computed: usize = thread::scope(|scope| {
        let each = sessions.into_iter().enumerate();
        let threads: Vec<_> = each
            .map(|(seed, session)| {
                let prompt = [common.clone(), tokens(model, seed, 30)].concat();
                scope.spawn(move || {
                    let mut prefix = Prefix::new(session);
                    let computed = prefix.evaluate(&prompt, |token| token == end).unwrap();
                    prefix.rest();
                    computed
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(computed, 500 + 4 * 30);
}

#[test]
fn a_prompt_that_was_given_up_is_not_waited_for() {
    let model = pocket::loaded();
    let end = model.vocabulary().eos().unwrap();
    let prompt = [tokens(model, 1, 300), vec![end], tokens(model, 2, 30)].concat();
    let sessions = Session::several(model, 2, 400, &pocket::settings().session).unwrap();
    let [mut first, mut second] = <[_; 2]>::try_from(sessions).ok().unwrap().map(Prefix::new);
    let mut pieces = 0;
    let mut once = || {
        pieces += 1;
        pieces < 2
    };
    let given_up = first.evaluate_while(&prompt, |token| token == end, None, &mut once);
    assert!(matches!(given_up, Err(Error::Cancelled)));
    first.rest();
    // The first piece was computed until then.
    assert_eq!(second.evaluate(&prompt, |token| token == end).unwrap(), prompt.len() - 256);
}

#[test]
fn states_of_sequences_with_company_are_not_those_of_calls() {
    let model = pocket::loaded();
    let options = pocket::settings().session;
    let alone = Session::new(model, 400, 20, &options).unwrap();
    let mut several = Session::several(model, 2, 420, &options).unwrap();
    assert_ne!(alone.setting(), several[0].setting());
    // Among themselves they go on and off the disk.
    let end = model.vocabulary().eos().unwrap();
    let prompt =
        [tokens(model, 1, 99), vec![end], tokens(model, 2, 9), vec![end], tokens(model, 3, 9)].concat();
    let mut kept = Kept::default();
    let mut first = Prefix::new(several.pop().unwrap());
    first.evaluate_with(&prompt, |token| token == end, &mut kept).unwrap();
    let expected = first.session().logits().to_vec();
    first.clear().unwrap();
    let mut second = Prefix::new(several.pop().unwrap());
    let evaluated = second.evaluate_with(&prompt, |token| token == end, &mut kept).unwrap();
    assert!(evaluated.restored > 0);
    assert!(distance(&expected, second.session().logits()) < NEAR);
}

#[test]
fn every_sequence_may_be_as_long_as_its_part_and_no_longer() {
    let model = pocket::loaded();
    let mut sessions = Session::several(model, 3, 256, &pocket::settings().session).unwrap();
    let text = tokens(model, 5, 257);
    thread::scope(|scope| {
        for session in &mut sessions {
            scope.spawn(|| {
                session.append(&text[..256]).unwrap();
                session.rest();
            });
        }
    });
    let expected = sessions[0].logits().to_vec();
    for session in &mut sessions {
        assert!(matches!(session.append(&text[256..]), Err(Error::ContextFull { n_ctx: 256 })));
        assert!(distance(&expected, session.logits()) < NEAR, "a full context is refused and nothing else");
        session.rest();
    }
    sessions[1].cut(250).unwrap();
    sessions[1].append(&text[250..256]).unwrap();
    assert!(distance(&expected, sessions[1].logits()) < NEAR);
}

#[test]
fn a_long_prompt_is_decoded_beside_the_tokens_of_others() {
    let model = pocket::loaded();
    let mut sessions = Session::several(model, 2, 1024, &pocket::settings().session).unwrap();
    let (long, short) = (tokens(model, 1, 512), tokens(model, 2, 1));
    let (mut second, mut first) = (sessions.pop().unwrap(), sessions.pop().unwrap());
    let (count, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let most = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                if first.n_past() == 1024 {
                    first.cut(0).unwrap();
                }
                first.append(&short).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
            }
            first.rest();
        });
        let mut beside = || {
            while count.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            second.cut(0).unwrap();
            let before = count.load(Ordering::SeqCst);
            second.append(&long).unwrap();
            count.load(Ordering::SeqCst) - before
        };
        // A system that is busy may let the other thread wait for longer than the prompt takes.
        let most = (0..50).map(|_| beside()).find(|n| *n >= 2);
        is_over.store(true, Ordering::SeqCst);
        second.rest();
        most
    });
    assert!(most.is_some(), "512 tokens were decoded, and the other sequence waited for all of them");
}
