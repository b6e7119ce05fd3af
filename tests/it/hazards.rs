//! Known ways in which llama.cpp and llguidance end a process or lose a constraint, each tried through this crate's
//! public API. Hazards of files are in `guard`.

use crate::pocket;
use edgecall::{
    Kind,
    gguf::KV_TYPES,
    runtime::{
        self, Completion, Constraint, DecodeMode, Error, FlashAttention, KvType, LoadOptions, Model, Options,
        Sampler, Sampling, Session, Trust, constraint::Fixed, generate, sequence::Sequence,
    },
};
use std::{
    fs,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::OnceLock,
};

fn options() -> Options {
    Options { threads: NonZeroUsize::new(1), ..Options::default() }
}

fn session(model: &Model, n_ctx: usize) -> Session<'_> {
    Session::new(model, 1, 1, &Options { n_ctx: NonZeroUsize::new(n_ctx), ..options() }).unwrap()
}

fn constraint(model: &Model, lark: &str) -> Constraint<'static> {
    static COMPILER: OnceLock<runtime::Compiler> = OnceLock::new();
    let compiler =
        COMPILER.get_or_init(|| runtime::Compiler::for_vocabulary(model.vocabulary().clone()).unwrap());
    Constraint::new(compiler, Box::new(Fixed(lark.into()))).unwrap()
}

fn token(model: &Model, text: &str) -> i32 {
    let tokens = model.vocabulary().tokenize(text, false).unwrap();
    assert_eq!(tokens.len(), 1, "{text}");
    tokens[0]
}

#[test]
fn a_grammar_that_is_at_its_end_takes_nothing_more_and_ends_nothing() {
    let model = pocket::loaded();
    let mut grammar = constraint(model, "start: \"a\"");
    let a = token(model, "a");
    assert!(grammar.accept(a).unwrap());
    assert!(grammar.is_complete());
    // Any further token except the end is refused or an error, also the same one again.
    for token in [a, a, 0, -1, i32::MAX, model.vocabulary().eos().unwrap()] {
        assert!(!matches!(grammar.accept(token), Ok(true)) || grammar.is_end(token), "{token}");
        let _ = grammar.mask();
    }
    assert_eq!(grammar.written(), b"a");
    // A generation with it stops by itself.
    let mut session = session(model, 256);
    session.append(&[a]).unwrap();
    let mut grammar = constraint(model, "start: \"a\"");
    let mut sampler = Sampler::new(Sampling::default());
    let done =
        generate::constrained(&mut session, &mut grammar, &mut sampler, 100, DecodeMode::Forced, |_| {
            ControlFlow::Continue(())
        });
    assert_eq!(done.unwrap().text, b"a");
}

/// A model with constant logits.
struct Given {
    logits: Vec<f32>,
    n_past: usize,
}

impl Sequence for Given {
    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn append(&mut self, tokens: &[i32]) -> Result<(), Error> {
        self.n_past += tokens.len();
        Ok(())
    }

    fn rewind(&mut self, n_past: usize) -> Result<(), Error> {
        self.n_past = n_past;
        Ok(())
    }

    fn n_past(&self) -> usize {
        self.n_past
    }

    fn n_ctx(&self) -> usize {
        usize::MAX
    }
}

fn one_token(
    sampler: &mut Sampler,
    logits: Vec<f32>,
    grammar: &mut Constraint<'_>,
) -> Result<Completion, Error> {
    let mut given = Given { logits, n_past: 0 };
    generate::constrained(&mut given, grammar, sampler, 1, DecodeMode::Forced, |_| ControlFlow::Continue(()))
}

#[test]
fn a_token_outside_the_grammar_is_refused_and_the_constraint_stays_as_it_was() {
    let model = pocket::loaded();
    let mut grammar = constraint(model, "start: /[abc]{3}/");
    let (a, x) = (token(model, "a"), token(model, "x"));
    for outside in [x, -1, i32::MIN, i32::MAX, model.vocabulary().n_vocab() as i32] {
        assert!(!grammar.accept(outside).unwrap(), "{outside}");
        assert_eq!(grammar.written(), b"");
    }
    let mask = grammar.mask().unwrap();
    assert!(mask.allows(a as usize) && !mask.allows(x as usize) && !mask.allows(usize::MAX));
    assert!(grammar.accept(a).unwrap());
}

#[test]
fn a_matcher_that_gives_up_is_an_error_and_never_free_text() {
    let model = pocket::loaded();
    // Grammars that exceed the limits of the computation, or that are invalid.
    for lark in [
        "start: missing_rule".to_owned(),
        "start: \"a\" | %json { \"type\": 5 }".to_owned(),
        format!("start: /{}/", "(a|b)*c".repeat(40) + "[ab]{3000}"),
        "start: ".to_owned(),
    ] {
        let compiler = runtime::Compiler::for_bytes().unwrap();
        match Constraint::new(&compiler, Box::new(Fixed(lark.clone()))) {
            Err(error) => assert!(matches!(error, Error::Grammar { .. }), "{lark}: {error}"),
            Ok(mut grammar) => {
                // If it compiles, its masks follow the grammar, or computing them is an error.
                for _ in 0..8 {
                    match grammar.mask() {
                        Ok(mask) => assert!(!mask.allows(usize::from(b'z')), "{lark}"),
                        Err(error) => assert_eq!(error.kind(), Kind::Bug, "{error}"),
                    }
                    if !matches!(grammar.accept(i32::from(b'a')), Ok(true)) {
                        break;
                    }
                }
            }
        }
    }
    // No token that the grammar accepts has a finite logit: an error, not another token.
    let mut grammar = constraint(model, "start: /[abc]{3}/");
    let logits = vec![f32::NAN; model.vocabulary().n_vocab()];
    let chosen = one_token(&mut Sampler::new(Sampling::default()), logits, &mut grammar);
    assert!(matches!(chosen, Err(Error::NoToken)));
    assert_eq!(grammar.written(), b"");
}

#[test]
fn logits_that_are_no_numbers_too_few_or_too_many_give_a_token_of_the_grammar_or_an_error() {
    let model = pocket::loaded();
    let n_vocab = model.vocabulary().n_vocab();
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN, f32::MAX, f32::MIN_POSITIVE, 0.0];
    let warm = Sampling { temperature: 1.0, top_k: 5, top_p: 0.5, min_p: 0.1, seed: 1 };
    for sampling in [Sampling::default(), warm, Sampling { temperature: f32::MIN_POSITIVE, ..warm }] {
        for len in [0, 1, 100, n_vocab, n_vocab + 7] {
            for value in odd {
                let mut logits = vec![value; len];
                if let Some(first) = logits.first_mut() {
                    *first = f32::INFINITY;
                }
                let mut grammar = constraint(model, "start: /[a-z]{2}/");
                match one_token(&mut Sampler::new(sampling), logits.clone(), &mut grammar) {
                    Ok(_) => assert!(grammar.written().iter().all(u8::is_ascii_lowercase)),
                    Err(error) => assert!(matches!(error, Error::NoToken), "{error}"),
                }
                match Sampler::new(sampling).choose(&logits) {
                    Ok(token) => assert!((token as usize) < len, "{token} of {len}"),
                    Err(error) => assert!(matches!(error, Error::NoToken), "{error}"),
                }
            }
        }
    }
}

#[test]
fn more_tokens_than_a_batch_than_a_small_context_and_than_the_context_are_no_assertion() {
    let model = pocket::loaded();
    let tokens = vec![token(model, "a"); 1300];
    let mut whole = session(model, 1300);
    // llama.cpp's batch has 512 tokens.
    whole.append(&tokens).unwrap();
    assert_eq!(whole.n_past(), 1300);
    assert!(matches!(whole.append(&tokens[..1]), Err(Error::ContextFull { n_ctx: 1300 })));
    // The batch is smaller if the context is.
    for n_ctx in [1, 2, 16, 255, 256, 257, 511] {
        let Ok(mut small) =
            Session::new(model, 0, 1, &Options { n_ctx: NonZeroUsize::new(n_ctx), ..options() })
        else {
            panic!("{n_ctx}")
        };
        assert!(matches!(small.append(&tokens), Err(Error::ContextFull { .. })));
        small.append(&tokens[..n_ctx]).unwrap();
        assert_eq!(small.n_past(), n_ctx);
        assert!(small.logits().iter().all(|logit| logit.is_finite()));
        assert!(matches!(small.append(&tokens[..1]), Err(Error::ContextFull { .. })));
    }
}

#[test]
fn tokens_that_do_not_exist_are_an_error_and_leave_the_session_as_it_was() {
    let model = pocket::loaded();
    let a = token(model, "a");
    let mut session = session(model, 256);
    session.append(&[a, a]).unwrap();
    for wrong in [-1, i32::MIN, i32::MAX, model.vocabulary().n_vocab() as i32] {
        let error = session.append(&[a, wrong]).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error}");
        assert_eq!(session.n_past(), 2);
        // The earlier logits are gone, and reading them does not panic.
        assert!(session.logits().is_empty());
        assert!(model.vocabulary().piece(wrong).is_empty());
        assert!(!model.vocabulary().is_eog(wrong) && model.vocabulary().attrs(wrong).is_none());
    }
    session.append(&[a]).unwrap();
    assert_eq!((session.n_past(), session.logits().len()), (3, model.vocabulary().n_vocab()));
}

#[test]
fn logits_before_the_first_token_are_none_and_no_tokens_are_no_step() {
    let model = pocket::loaded();
    let mut session = session(model, 256);
    assert!(session.logits().is_empty());
    session.append(&[]).unwrap();
    assert!(session.logits().is_empty() && session.n_past() == 0);
    let chosen = Sampler::new(Sampling::default()).choose(session.logits());
    assert!(matches!(chosen, Err(Error::NoToken)));
}

#[test]
fn sessions_are_made_and_run_in_several_threads_at_once() {
    let model = pocket::loaded();
    let a = token(model, "a");
    let alone = {
        let mut session = session(model, 256);
        session.append(&[a; 40]).unwrap();
        session.logits().to_vec()
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut session = session(model, 256);
                session.append(&[a; 40]).unwrap();
                assert_eq!(session.logits(), alone);
            });
        }
    });
}

#[test]
fn every_kv_type_runs_and_a_budget_of_any_size_is_bounded_by_the_model() {
    let model = pocket::loaded();
    let a = token(model, "a");
    for &kv_type in KV_TYPES {
        for flash_attention in FlashAttention::ALL {
            let options = Options { kv_type, flash_attention, ..options() };
            let mut session = match Session::new(model, 3, 5, &options) {
                Ok(session) => session,
                Err(error) => {
                    assert!(
                        flash_attention == FlashAttention::Off && !kv_type.ggml_type.is_float(),
                        "{error}"
                    );
                    assert!(matches!(error, Error::FlashAttention { .. }) && error.kind() == Kind::Usage);
                    continue;
                }
            };
            session.append(&[a; 3]).unwrap();
            assert!(
                session.logits().iter().all(|logit| logit.is_finite()),
                "{} {flash_attention:?}",
                kv_type.name
            );
        }
    }
    for budget in [0, 1, usize::MAX - 2, usize::MAX] {
        let n_ctx = Session::context_length(model, 3, budget, &options()).unwrap();
        assert!(n_ctx <= model.n_ctx_train(), "{budget}");
    }
    for n_prompt in [model.n_ctx_train(), usize::MAX] {
        let error = Session::context_length(model, n_prompt, 1, &options()).unwrap_err();
        assert!(matches!(error, Error::PromptTooLong { .. }), "{error}");
    }
    let asked = Options { n_ctx: NonZeroUsize::new(usize::MAX), ..options() };
    assert!(matches!(Session::new(model, 1, 1, &asked), Err(Error::ContextTooLong { .. })));
}

#[test]
fn more_threads_than_cpus_are_refused_as_they_would_wait_for_each_other() {
    let model = pocket::loaded();
    let cpus = std::thread::available_parallelism().unwrap().get();
    for threads in [cpus.max(2) + 1, 100_000, usize::MAX] {
        let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
        let Err(error) = Session::new(model, 1, 1, &options) else { panic!("{threads}") };
        assert!(matches!(error, Error::Threads { .. }), "{error}");
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(&format!("at most {cpus}")), "{error}");
    }
}

#[test]
fn the_backend_starts_once_whoever_asks_and_never_starts_a_debugger() {
    let addresses: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| std::ptr::from_ref(runtime::backend().unwrap()) as usize))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(addresses.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(std::env::var("GGML_NO_BACKTRACE").as_deref(), Ok("1"));
}

#[test]
fn a_file_that_vanishes_or_was_never_there_is_an_error_in_every_profile() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-model.gguf");
    for trust in [Trust::Checked, Trust::Unchecked] {
        let Err(error) = Model::load_with(&missing, LoadOptions { trust, ..LoadOptions::default() }) else {
            panic!("loaded")
        };
        assert_eq!(error.kind(), Kind::NoInput);
    }
}

#[test]
fn a_text_of_any_length_and_any_characters_becomes_tokens_or_an_error() {
    let vocabulary = pocket::loaded().vocabulary();
    for text in ["", "\0", "a\0b", "\u{feff}", "\u{10ffff}\u{fffd}", "\r\n\t\u{2028}", "<|im_end|>", "<|"] {
        for parse_special in [false, true] {
            let tokens = vocabulary.tokenize(text, parse_special).unwrap();
            assert_eq!(vocabulary.bytes(&tokens), text.as_bytes(), "{text:?}");
        }
    }
    for text in ["a", " ", "\n", "é", "🦀", "1"].map(|text| text.repeat(100_000)) {
        let tokens = vocabulary.tokenize(&text, true).unwrap();
        assert_eq!(vocabulary.bytes(&tokens), text.as_bytes());
    }
}

#[test]
fn an_empty_grammar_text_and_a_budget_of_nothing_end_at_once() {
    let model = pocket::loaded();
    let a = token(model, "a");
    let mut session = session(model, 256);
    session.append(&[a]).unwrap();
    let mut sampler = Sampler::new(Sampling::default());
    let mut grammar = constraint(model, "start: \"\"");
    let done = generate::constrained(&mut session, &mut grammar, &mut sampler, 5, DecodeMode::Forced, |_| {
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap().text, b"");
    let mut grammar = constraint(model, "start: \"abc\"");
    let done = generate::constrained(&mut session, &mut grammar, &mut sampler, 0, DecodeMode::Forced, |_| {
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap().finish, runtime::Finish::Budget);
}

/// Names that must not occur in our sources: each of these aborts on some input, or drops the constraint silently.
const FORBIDDEN: &[(&str, &str)] = &[
    ("LlamaSampler", "its grammar aborts after a second accept, and its llguidance drops errors"),
    ("llguidance_tok_env", "its tokens are not canonical"),
    ("state_load_file", "a file that is cut short is an assertion"),
    ("state_seq_load_file", "a file that is cut short is an assertion"),
    ("set_state_data", "bytes that are cut short are read beyond their end"),
    ("GgufContext", "a key of another type is an abort"),
    ("json_schema_to_grammar", "what it does not know it leaves out"),
    ("get_logits()", "they are the first row's, whichever was asked for"),
    ("GrammarInit", "its grammar aborts after a second accept"),
];

#[test]
fn no_source_names_what_aborts_or_loses_the_constraint() {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 100);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for (name, why) in FORBIDDEN {
            assert!(!code.contains(name), "{} names {name}: {why}", file.display());
        }
    }
}

#[test]
fn the_engine_is_pinned_to_the_release_that_all_this_was_tried_with() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    for name in ["llama-cpp-2", "llama-cpp-sys-2", "llguidance", "toktrie"] {
        let dependency = &manifest["dependencies"][name];
        let version = dependency.as_str().or_else(|| dependency.get("version")?.as_str()).unwrap();
        assert!(version.starts_with('='), "{name} {version}");
    }
}

#[test]
fn a_kv_type_that_does_not_fit_the_heads_is_refused_with_the_reason() {
    // Heads of 64 numbers are two blocks of Q8_0; heads of 48 would be one and a half.
    use crate::fixture::{Fixture, Head};
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fixture = Fixture { heads: 4, kv_heads: 2, head_dim: 48, head: Head::Tied, ..Fixture::default() };
    fixture.write(&folder.path().join("model"));
    let path = folder.path().join("m.gguf");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_edgecall"))
        .args(["convert", "model", "-t", "f16", "-o", "m.gguf", "--no-check"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let model = Model::load(&path).unwrap();
    let kv_type = KvType::named("q8_0").unwrap();
    let Err(error) = Session::new(&model, 1, 1, &Options { kv_type, ..options() }) else { panic!("made") };
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("q8_0: "), "{error}");
    assert!(!error.to_string().contains("no reason"), "{error}");
}
