//! The tokenizer: the witness's texts through the file's vocabulary, and the special tokens.

use super::{Error, Finding, Witness, finding::Cause};
use crate::{
    call,
    runtime::{Model, Vocabulary},
};
use serde::Serialize;

/// Result of the comparison of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokensReport {
    /// Number of texts that were tokenized.
    pub texts: usize,
    /// Number of those with the witness's ids.
    pub same: usize,
    /// Number of tokens in the witness's texts.
    pub tokens: usize,
    /// True if the witness has ids outside the file's vocabulary.
    #[serde(skip)]
    pub has_foreign_ids: bool,
}

/// Tokenizes the witness's texts with the file's vocabulary, as a call does.
///
/// # Errors
/// Errors of llama.cpp.
pub(super) fn compare(
    model: &Model,
    witness: &Witness,
    findings: &mut Vec<Finding>,
) -> Result<TokensReport, Error> {
    let vocabulary = model.vocabulary();
    let mut report = TokensReport::default();
    let mut first = None;
    let mut with_bos = 0;
    let conversations =
        witness.conversations.iter().map(|conversation| (&conversation.text, &conversation.ids));
    let texts = witness.texts.iter().map(|text| (&text.text, &text.ids));
    for (text, ids) in conversations.chain(texts) {
        report.texts += 1;
        report.tokens += ids.len();
        report.has_foreign_ids |= ids.iter().any(|&id| id as usize >= vocabulary.n_vocab());
        // A text of no tokens gets a BOS token at most.
        let found = call::tokenize_prompt(model, text)?;
        let bos = vocabulary.bos().filter(|bos| vocabulary.adds_bos() && found.first() == Some(bos));
        let found = match bos {
            Some(bos) if ids.first() != Some(&bos) => {
                with_bos += 1;
                &found[1..]
            }
            _ => &found[..],
        };
        if found == ids {
            report.same += 1;
        } else {
            first.get_or_insert_with(|| explain(vocabulary, text, ids, found));
        }
    }
    let differ = report.texts - report.same;
    if let Some((cause, how)) = first {
        findings.push(Finding::wrong(
            cause,
            format!("{differ} of {} texts have other tokens: {how}", report.texts),
        ));
    }
    findings.extend(bos(vocabulary, witness, with_bos, report.texts));
    findings.extend(eos(vocabulary, witness));
    Ok(report)
}

/// The part of the tokenizer that gives these ids otherwise, and the place.
fn explain(vocabulary: &Vocabulary, text: &str, expected: &[i32], found: &[i32]) -> (Cause, String) {
    let same = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
    let shown = |ids: &[i32]| -> Vec<String> {
        let pieces =
            ids[same..].iter().take(4).map(|&id| String::from_utf8_lossy(&vocabulary.piece(id)).into_owned());
        pieces.collect()
    };
    let before = String::from_utf8_lossy(&vocabulary.bytes(&found[..same])).into_owned();
    let before: String = before.chars().skip(before.chars().count().saturating_sub(20)).collect();
    let at =
        format!("after {before:?} the trainer has {:?} and the file {:?}", shown(expected), shown(found));
    // The same text behind the trainer's ids: only its split is another.
    match vocabulary.bytes(expected) == vocabulary.bytes(found)
        || vocabulary.bytes(expected) == text.as_bytes()
    {
        true => {
            (Cause::PreTokenizer, format!("the text is split otherwise, by pre-tokenizer or merges; {at}"))
        }
        false => (Cause::Vocabulary, format!("the ids stand for other texts; {at}")),
    }
}

fn bos(vocabulary: &Vocabulary, witness: &Witness, with_bos: usize, texts: usize) -> Option<Finding> {
    let name = |vocabulary: &Vocabulary| {
        vocabulary
            .bos()
            .map_or_else(String::new, |bos| String::from_utf8_lossy(&vocabulary.piece(bos)).into_owned())
    };
    match (witness.adds_bos, vocabulary.adds_bos()) {
        (false, true) => {
            let what = format!(
                "the file puts `{}` before every text, and the trainer's tokenizer does not",
                name(vocabulary)
            );
            Some(Finding::wrong(Cause::Bos, what))
        }
        (true, false) => {
            let bos = witness.bos.as_deref().unwrap_or("BOS");
            let what =
                format!("the trainer's tokenizer puts `{bos}` before every text, and the file does not");
            Some(Finding::wrong(Cause::Bos, what))
        }
        (true, true) if with_bos > 0 && !witness.conversations.is_empty() => {
            let rendered = witness.conversations.iter().all(|conversation| {
                vocabulary.bos().is_none_or(|bos| conversation.ids.first() == Some(&bos))
            });
            (!rendered).then(|| {
                let what = format!(
                    "calls put `{}` before each of the {texts} texts, and the trainer's template renders them without it",
                    name(vocabulary)
                );
                Finding::note(Cause::Bos, what)
            })
        }
        _ => None,
    }
}

fn eos(vocabulary: &Vocabulary, witness: &Witness) -> Option<Finding> {
    let text = |id: i32| String::from_utf8_lossy(&vocabulary.piece(id)).into_owned();
    let found = vocabulary.eos();
    let expected = witness.eos.1.and_then(|id| i32::try_from(id).ok());
    if let Some(expected) = expected.filter(|expected| Some(*expected) != found) {
        let expected_text = witness.eos.0.clone().unwrap_or_else(|| text(expected));
        let found = found.map_or("none".to_owned(), |found| format!("{found} `{}`", text(found)));
        let what = format!("the file's EOS token is {found}, and the trainer's {expected} `{expected_text}`");
        return Some(Finding::wrong(Cause::Eos, what));
    }
    let goes_on =
        witness.ends.iter().filter_map(|&id| i32::try_from(id).ok()).find(|&id| !vocabulary.is_eog(id))?;
    let what = format!(
        "the trainer's generation ends at {goes_on} `{}`, and llama.cpp goes on there",
        text(goes_on)
    );
    Some(Finding::note(Cause::Eos, what))
}
