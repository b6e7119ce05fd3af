//! Models answer a data set: rows do not depend on earlier work, interruption or shards.

use crate::{
    edited::Edited,
    fixture::Random,
    pocket::{loaded, pocket},
};
use edgecall::{
    bench::{
        Dataset, Mode, Row,
        data::Call,
        report,
        row::{ReferenceTokens, Role, RowFile},
        run::{CallSettings, LoadedModel, RunPlan, Settings, VariantConfig, check_distinct},
        score::verdict::{Margin, Rules},
    },
    call::{self, PromptTemplate, Request, Think},
    convert::FileType,
    runtime::{FlashAttention, Options, Prefix, Session, piece_ends},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants/benchmark")
}

fn options() -> Options {
    Options { threads: std::num::NonZeroUsize::new(1), ..Options::default() }
}

pub fn rows(loaded_models: &[LoadedModel], dataset: &Dataset, cases: &[usize], modes: &[Mode]) -> Vec<Row> {
    let settings = Settings {
        modes: modes.to_vec(),
        max_tokens: 96,
        primary: "staged_tool_call".into(),
        margin: 0.03,
        divergence: true,
        calls: CallSettings::default(),
    };
    let config = |(index, loaded)| VariantConfig {
        loaded,
        session: options(),
        role: if index == 0 { Role::Reference } else { Role::Candidate },
    };
    let configs = loaded_models.iter().enumerate().map(config).collect();
    let plan = RunPlan { dataset, cases: cases.to_vec(), configs, settings };
    let mut rows = Vec::new();
    let mut sink = |mut row: Row| {
        row.cost = None;
        rows.push(row);
        Ok(())
    };
    let none = RowFile::default();
    plan.begin(Path::new("none.jsonl"), &none).unwrap().rows(&none, &mut sink).unwrap();
    rows
}

#[test]
fn a_row_is_the_same_alone_and_after_others() {
    let dataset = Dataset::open(&data()).unwrap();
    let load = |file_type| LoadedModel::load(&pocket(file_type)).unwrap();
    let loaded_models = [load(FileType::F16), load(FileType::Q4KM)];
    let second = dataset.cases.iter().position(|case| case.conversation == 1).unwrap();
    let all: Vec<usize> = (second - 2..second + 3).collect();
    let modes = [Mode::Free, Mode::Any, Mode::Schema];
    let after_others = rows(&loaded_models, &dataset, &all, &modes);
    assert_eq!(after_others.len(), all.len() * 6);
    let last = second + 2;
    let last_case = (1, dataset.cases[last].turn);
    // Another order of all earlier work.
    for modes in [&modes[..], &[Mode::Schema], &[Mode::Free]] {
        let alone = rows(&loaded_models, &dataset, &[last], modes);
        assert_eq!(alone.len(), modes.len() * 2);
        for row in alone {
            let same = |other: &&Row| other.key == row.key && other.case() == last_case;
            assert_eq!(after_others.iter().find(same), Some(&row));
        }
    }
    for row in &after_others {
        let divergence = row.divergence.as_ref().unwrap();
        assert!(divergence.nll.is_finite() && divergence.nll > 0.0 && divergence.tokens > 10);
        let positions = if row.role == Role::Reference { 0 } else { divergence.tokens };
        assert_eq!(divergence.kl.len(), positions);
        if row.key.variant.mode != Mode::Free {
            assert!(Call::parse(&row.raw_output).is_ok(), "{}", row.raw_output);
        }
    }
    let kl: Vec<f64> =
        after_others.iter().filter_map(|row| row.divergence.as_ref()).flat_map(|d| d.kl.clone()).collect();
    assert!(kl.iter().all(|kl| *kl >= 0.0) && kl.iter().any(|kl| *kl > 1e-6));
}

/// Tokens of the first nine prompts.
fn prompts() -> Vec<Vec<i32>> {
    let model = loaded();
    let dataset = Dataset::open(&data()).unwrap();
    let format = PromptTemplate::default();
    let prompt = |case| {
        let conversation = dataset.conversation(case);
        let request = Request::new(&conversation, Some(&dataset.job.tools));
        let tool_format =
            format.tool_format(model.vocabulary(), &request, &edgecall::dialect::Wanted::Auto).unwrap();
        let text = format.render(model.vocabulary(), &request, tool_format.as_ref(), Think::Off).unwrap();
        call::tokenize_prompt(model, &text).unwrap()
    };
    dataset.cases[..9].iter().map(prompt).collect()
}

#[test]
fn the_logits_after_a_prompt_do_not_depend_on_what_was_computed_before() {
    let model = loaded();
    let prompts = prompts();
    let longest = prompts.iter().map(Vec::len).max().unwrap();
    let prefix = || Prefix::new(Session::new(model, longest, 64, &options()).unwrap());
    let ends_turn = |token| model.vocabulary().is_eog(token);
    let (mut used, mut computed) = (prefix(), 0);
    for prompt in &prompts {
        computed += used.evaluate(prompt, ends_turn).unwrap();
        let logits = used.session().logits().to_vec();
        let mut fresh = prefix();
        assert_eq!(fresh.evaluate(prompt, ends_turn).unwrap(), prompt.len());
        assert!(fresh.session().logits().iter().zip(&logits).all(|(a, b)| a.to_bits() == b.to_bits()));
        // Generated tokens leave no trace in the cache, even if the next prompt continues with them.
        used.session().append(&prompts[8][prompt.len().min(prompts[8].len() - 1)..]).unwrap_or_default();
        used.session().rewind(prompt.len()).unwrap();
        used.session().append(&[1, 2, 3]).unwrap();
    }
    let in_all: usize = prompts.iter().map(Vec::len).sum();
    assert!(computed < in_all / 4, "{computed} of {in_all}");
}

#[test]
fn an_answer_is_the_one_that_call_gives() {
    let dataset = Dataset::open(&data()).unwrap();
    let loaded_models = [LoadedModel::load(&pocket(FileType::F16)).unwrap()];
    for row in rows(&loaded_models, &dataset, &[0, 1], &[Mode::Any]) {
        let case = &dataset.cases[row.turn];
        let settings = call::Settings {
            max_tokens: 96,
            session: options(),
            draft: call::Draft::Off,
            ..call::Settings::default()
        };
        let answer =
            call::call(&loaded_models[0].model, &dataset.job.tools, &dataset.conversation(case), &settings)
                .unwrap();
        let called = Call::parse(&row.raw_output).unwrap();
        assert_eq!(called.name, answer.calls[0].name());
        assert_eq!(row.finish, "stop");
    }
}

/// Writes the example data without labels into `folder`.
pub fn unlabelled(folder: &Path) -> PathBuf {
    let to = folder.join("unlabelled");
    fs::create_dir(&to).unwrap();
    fs::copy(data().join("job_description.json"), to.join("job_description.json")).unwrap();
    let lines = fs::read_to_string(data().join("test.jsonl")).unwrap();
    let stripped = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("answer").unwrap();
        format!("{line}\n")
    });
    fs::write(to.join("test.jsonl"), stripped.collect::<String>()).unwrap();
    to
}

#[test]
fn without_right_answers_models_are_walked_along_what_the_reference_wrote_in_the_same_mode() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dataset = Dataset::open(&unlabelled(folder.path())).unwrap();
    assert_eq!((dataset.labelled, dataset.cases.len()), (false, 61));
    let load = |file_type| LoadedModel::load(&pocket(file_type)).unwrap();
    let loaded_models = [load(FileType::F16), load(FileType::Q4KM)];
    let cases: Vec<usize> = (0..9).collect();
    let modes = [Mode::Free, Mode::Schema];
    let made = rows(&loaded_models, &dataset, &cases, &modes);
    assert_eq!(made.len(), 9 * 4);
    let vocabulary = loaded_models[0].model.vocabulary();
    for row in &made {
        assert!(row.gold.is_empty() && row.function().is_none());
        let scores: Vec<&str> = row.scores.keys().map(String::as_str).collect();
        assert_eq!(scores, ["json_validity", "schema_validity"]);
        let reference = made.iter().find(|other| {
            other.role == Role::Reference
                && other.key.variant.mode == row.key.variant.mode
                && other.case() == row.case()
        });
        let reference = reference.unwrap();
        assert_eq!(vocabulary.bytes(&reference.tokens), reference.raw_output.as_bytes());
        // The answer's tokens, and the end-of-sequence token if the model ended by itself.
        let measured = reference.tokens.len() + usize::from(reference.finish == "stop");
        let divergence = row.divergence.as_ref().unwrap();
        assert_eq!((divergence.reference_tokens, divergence.tokens), (ReferenceTokens::Reference, measured));
        assert_eq!(divergence.kl.len(), if row.role == Role::Reference { 0 } else { measured });
    }
    let sum = |role: Role, mode: Mode| -> f64 {
        let of = made.iter().filter(|row| row.role == role && row.key.variant.mode == mode);
        of.map(|row| row.divergence.as_ref().unwrap().nll).sum()
    };
    // The reference chose each of these tokens as its most likely one, so no other model rates them much higher.
    assert!(sum(Role::Reference, Mode::Free) < sum(Role::Candidate, Mode::Free));
    // In each mode, the reference's own answers in that mode are measured.
    assert!((sum(Role::Reference, Mode::Free) - sum(Role::Reference, Mode::Schema)).abs() > 0.1);
    // The result does not depend on earlier work.
    let last = dataset.cases[8].turn;
    for row in rows(&loaded_models, &dataset, &[8], &[Mode::Schema]) {
        let same = |other: &&Row| other.key == row.key && other.case() == (row.conversation, last);
        assert_eq!(made.iter().find(same), Some(&row));
    }
}

#[test]
fn one_file_under_two_names_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (pocket(FileType::Q4KM), folder.path().join("copy.gguf"));
    fs::copy(&a, &b).unwrap();
    let loaded_models = [a, b].map(|path| LoadedModel::load(&path).unwrap());
    let error = check_distinct(&loaded_models).unwrap_err();
    assert!(error.to_string().contains("copy.gguf are the same model"), "{error}");
}

#[test]
fn a_split_model_takes_part_and_has_the_hash_of_all_its_parts() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let parts = Edited::pocket().write_parts(folder.path(), "m", 3);
    let loaded = LoadedModel::load(&parts[0]).unwrap();
    let whole: Vec<u8> = parts.iter().flat_map(|part| fs::read(part).unwrap()).collect();
    let sha256: String = Sha256::digest(&whole).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(loaded.sha256, sha256);
    assert_eq!((loaded.file_bytes, &*loaded.name), (whole.len() as u64, "m"));
    let alone = LoadedModel::load(&pocket(FileType::Q8_0)).unwrap();
    assert_eq!(loaded.bits_per_weight, alone.bits_per_weight);
}

#[test]
fn a_model_of_another_dialect_is_read_by_it_and_walked_along_the_answer_as_it_would_write_it() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dataset = Dataset::open(&data()).unwrap();
    let call = r#"{{ '{"name": "' + call.name + '", "arguments": ' + (call.arguments | tojson) + '}' }}"#;
    for (dialect, begin, call) in [
        ("mistral", "[TOOL_CALLS]", format!("[TOOL_CALLS][{call}]")),
        (
            "functionary",
            "<function=",
            "<function={{ call.name }}>{{ call.arguments | tojson }}</function>".into(),
        ),
    ] {
        let template = Value::from(crate::dialect::CHATML.replace("CALL", &call));
        let template = edgecall::gguf::Value::String(template.as_str().unwrap().into());
        let path = folder.path().join(format!("{dialect}.gguf"));
        Edited::pocket().set("tokenizer.chat_template", template).write(&path);
        let loaded_models = [LoadedModel::load(&path).unwrap()];
        let rows = rows(&loaded_models, &dataset, &[0, 1, 2], &[Mode::Any]);
        for row in &rows {
            assert!(row.raw_output.starts_with(begin), "{}", row.raw_output);
            let called = Call::parse(&row.prediction).unwrap();
            assert!(row.raw_output.contains(&called.name) && row.call_error.is_none(), "{row:?}");
            assert_eq!((row.scores["json_validity"], row.scores["schema_validity"]), (1.0, 1.0), "{dialect}");
            let divergence = row.divergence.as_ref().unwrap();
            assert!(divergence.tokens > 10 && divergence.nll.is_finite() && divergence.nll > 0.0);
        }
    }
}

/// True if the logits after each prompt, evaluated by `evaluate` in one session, equal those of a new session.
///
/// Flash attention is on, since its kernels depend on the rows of a batch. Matrix products give the same bits for this
/// model in any split of a prompt.
fn same_bits(mut evaluate: impl FnMut(&mut Session<'_>, &mut Vec<i32>, &[i32])) -> bool {
    let model = loaded();
    let prompts = prompts();
    let longest = prompts.iter().map(Vec::len).max().unwrap();
    let options = Options { flash_attention: FlashAttention::On, ..options() };
    let session = || Session::new(model, longest, 64, &options).unwrap();
    let (mut used, mut held) = (session(), Vec::new());
    prompts.iter().all(|prompt| {
        evaluate(&mut used, &mut held, prompt);
        let mut fresh = Prefix::new(session());
        fresh.evaluate(prompt, |token| model.vocabulary().is_eog(token)).unwrap();
        fresh.session().logits().iter().zip(used.logits()).all(|(a, b)| a.to_bits() == b.to_bits())
    })
}

#[test]
fn a_prefix_that_were_kept_anywhere_or_cut_otherwise_would_give_other_bits() {
    let ends_turn = |token: i32| loaded().vocabulary().is_eog(token);
    let common = |held: &[i32], prompt: &[i32]| held.iter().zip(prompt).take_while(|(a, b)| a == b).count();
    // The current rule written out again, to show that the check can pass.
    assert!(same_bits(|session, held, prompt| {
        let ends = piece_ends(prompt, ends_turn);
        let kept =
            ends.iter().copied().filter(|&end| end <= common(held, prompt) && end < prompt.len()).max();
        let mut start = kept.unwrap_or(0);
        session.cut(start).unwrap();
        for end in ends.into_iter().filter(|&end| end > kept.unwrap_or(0)) {
            session.append(&prompt[start..end]).unwrap();
            start = end;
        }
        *held = prompt.to_vec();
    }));
    // Keeps everything that two prompts share, and evaluates the rest as one piece.
    assert!(!same_bits(|session, held, prompt| {
        let start = common(held, prompt).min(prompt.len() - 1);
        session.cut(start).unwrap();
        session.append(&prompt[start..]).unwrap();
        *held = prompt.to_vec();
    }));
    // Keeps up to the end of a piece, but counts further pieces from there and halves their size.
    assert!(!same_bits(|session, held, prompt| {
        let ends = piece_ends(prompt, ends_turn);
        let kept =
            ends.iter().copied().filter(|&end| end <= common(held, prompt) && end < prompt.len()).max();
        session.cut(kept.unwrap_or(0)).unwrap();
        for piece in prompt[kept.unwrap_or(0)..].chunks(128) {
            session.append(piece).unwrap();
        }
        *held = prompt.to_vec();
    }));
}

#[test]
fn conformance_noise_in_the_weights_is_called_worse_and_f16_no_loss() {
    let Some(shared) = crate::shared::shared() else { return };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Noise with half of each matrix's own deviation.
    let mut noisy = Edited::pocket_in(FileType::F32);
    let mut random = Random(20_260_101);
    for (_, dims, _, data) in noisy.tensors.iter_mut().filter(|tensor| tensor.1.len() > 1) {
        let weights: Vec<f32> =
            data.chunks_exact(4).map(|w| f32::from_le_bytes(w.try_into().unwrap())).collect();
        assert_eq!(weights.len() as u64, dims.iter().product::<u64>());
        let size = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
        *data = weights.iter().flat_map(|w| (w + NOISE * size * random.normal()).to_le_bytes()).collect();
    }
    let path = folder.path().join("noisy.gguf");
    noisy.write(&path);
    let dataset = Dataset::open(&shared.join("data/tft/s1-direct")).unwrap();
    // The first two calls of each of the 34 conversations.
    let cases: Vec<usize> = (0..dataset.cases.len()).filter(|&case| dataset.cases[case].turn < 2).collect();
    let paths = [pocket(FileType::F32), pocket(FileType::F16), path];
    let loaded_models = paths.map(|path| LoadedModel::load(&path).unwrap());
    let rows = rows(&loaded_models, &dataset, &cases, &[Mode::Any]);
    // One file at a time, since a large file that fails ends the tests of smaller ones.
    let found = |name: &str| {
        let taken = |row: &&Row| row.role == Role::Reference || row.model == name;
        let rows: Vec<Row> = rows.iter().filter(taken).cloned().collect();
        let file = RowFile { lines: (1..=rows.len()).collect(), rows, ..RowFile::default() };
        let mut report = report::collect(&file, &Rules::default()).unwrap();
        let verdict = report.verdicts.remove(0).verdict;
        println!("{:?}", verdict.findings[0].comparison);
        verdict
    };
    let noisy = found("noisy");
    let finding = &noisy.findings[0];
    assert!(finding.worse && finding.p_adjusted < 0.01 && finding.margin != Margin::Within, "{finding:?}");
    assert_eq!(noisy.ship, None);
    let f16 = found("pocket-F16");
    assert!(!f16.findings[0].worse && f16.ship.as_deref() == Some("pocket-F16"), "{f16:?}");
}

/// Deviation of the noise, relative to that of each matrix.
const NOISE: f32 = 0.5;
