//! The chat template: its text, and what it makes of the witness's conversations.

use super::{Finding, Witness, finding::Cause};
use crate::{
    chat::{LocalTime, RenderOptions, Template, select_template},
    runtime::Model,
};
use serde::Serialize;

/// Result of the comparison of templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TemplateReport {
    /// Number of conversations that were rendered.
    pub conversations: usize,
    /// Number of those with the witness's text.
    pub same: usize,
}

/// Renders the witness's conversations with the file's template, as a call does.
pub(super) fn compare(model: &Model, witness: &Witness, findings: &mut Vec<Finding>) -> TemplateReport {
    let mut report = TemplateReport::default();
    let named = |list: &[(String, String)]| -> Vec<(String, String)> { list.to_vec() };
    let (ours, theirs) = (named(&model.metadata().chat_templates), named(&witness.templates));
    if theirs.is_empty() {
        if !ours.is_empty() {
            let what = "the file has a chat template, and the trainer's tokenizer has none";
            findings.push(Finding::note(Cause::Template, what));
        }
        return report;
    }
    if ours.is_empty() {
        findings.push(Finding::wrong(Cause::Template, "the file has no chat template"));
        return report;
    }
    let mut first = None;
    let mut by_special = false;
    for (i, conversation) in witness.conversations.iter().enumerate() {
        report.conversations += 1;
        let has_tools = conversation.tools.is_some();
        let (source, same_source) = match (select(&ours, has_tools), select(&theirs, has_tools)) {
            (Ok(ours), theirs) => (ours, theirs.is_ok_and(|theirs| trimmed(theirs) == trimmed(ours))),
            (Err(reason), _) => {
                first.get_or_insert((i, reason, false));
                continue;
            }
        };
        let render = |bos: Option<&str>, eos: Option<&str>| {
            let options = RenderOptions {
                add_generation_prompt: conversation.add_generation_prompt,
                bos_token: bos,
                eos_token: eos,
                now: LocalTime::from_epoch(witness.local_time),
                ..RenderOptions::default()
            };
            let rendered = Template::new(source).and_then(|template| {
                template.render_values(&conversation.messages, conversation.tools.as_ref(), &options)
            });
            rendered.map_err(|error| error.to_string())
        };
        let [bos, eos] = special_texts(model);
        let rendered = render(bos.as_deref(), eos.as_deref());
        if rendered.as_ref() == Ok(&conversation.text) {
            report.same += 1;
            continue;
        }
        // The file's special tokens may be to blame, and are compared by themselves.
        if same_source
            && render(witness.bos.as_deref(), witness.eos.0.as_deref()).as_ref() == Ok(&conversation.text)
        {
            by_special = true;
            continue;
        }
        let how = match rendered {
            Ok(text) => difference(&conversation.text, &text),
            Err(reason) => reason,
        };
        first.get_or_insert((i, how, same_source));
    }
    let n = report.conversations;
    match first {
        Some((i, how, same_source)) => {
            let whose =
                if same_source { "the trainer's template, rendered here," } else { "the file's template" };
            let what = format!(
                "{whose} gives {} of {n} texts otherwise, first of conversation {}: {how}",
                n - report.same,
                i + 1
            );
            findings.push(Finding::wrong(Cause::Template, what));
        }
        None if by_special => {
            let what = format!(
                "the template renders {} of {n} texts with another BOS or EOS token",
                n - report.same
            );
            findings.push(Finding::note(Cause::Template, what));
        }
        None => findings.extend(other_text(&ours, &theirs, n)),
    }
    report
}

fn select<'t>(templates: &'t [(String, String)], has_tools: bool) -> Result<&'t str, String> {
    let templates: Vec<(&str, &'t str)> = templates.iter().map(|(name, text)| (&**name, &**text)).collect();
    select_template(&templates, has_tools).map_err(|error| error.to_string())
}

/// Texts of BOS, if the model adds it, and of EOS, as a call gives them to the template.
fn special_texts(model: &Model) -> [Option<String>; 2] {
    let vocabulary = model.vocabulary();
    let text = |token: i32| String::from_utf8_lossy(&vocabulary.piece(token)).into_owned();
    [vocabulary.bos().filter(|_| vocabulary.adds_bos()).map(text), vocabulary.eos().map(text)]
}

/// A note on templates with different texts that rendered all conversations alike.
fn other_text(ours: &[(String, String)], theirs: &[(String, String)], n: usize) -> Option<Finding> {
    let text = |templates| select(templates, true).map(trimmed).unwrap_or_default();
    let (ours, theirs) = (text(ours), text(theirs));
    (ours != theirs).then(|| {
        let what = format!(
            "the file's template is another text than the trainer's, and renders the {n} conversations alike: {}",
            difference(&theirs, &ours)
        );
        Finding::note(Cause::Template, what)
    })
}

/// The text with the line ends and the end that Jinja sees.
fn trimmed(text: &str) -> String {
    text.replace("\r\n", "\n").trim_end().to_owned()
}

/// The place where `found` leaves `expected`, with what follows on both sides.
fn difference(expected: &str, found: &str) -> String {
    let same = expected.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let before: String = expected.chars().take(same).collect();
    let behind = |text: &str| -> String { text.chars().skip(same).take(30).collect() };
    let last: String = before.chars().skip(same.saturating_sub(20)).collect();
    format!("after {last:?} the trainer has {:?} and the file {:?}", behind(expected), behind(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_from_its_place_on() {
        let found = difference("<s>user\nhi</s>", "<s>user\nho</s>");
        assert_eq!(found, "after \"<s>user\\nh\" the trainer has \"i</s>\" and the file \"o</s>\"");
        assert_eq!(trimmed("a\r\nb\n"), "a\nb");
    }
}
