//! Calls as the model wrote them.
//!
//! A chat template may write the calls of a history otherwise than the model did: with other escapes, in another order of
//! keys, with other marks. Then the next prompt parts from the evaluated text at the first call, and the model reads what it
//! never wrote. So the model's own text is kept, and put in the place of the template's.

use super::{RenderedPrompt, tool_format::ToolFormat};
use crate::{chat::Conversation, tools::ToolCall};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// Most texts that are kept.
const MOST_TEXTS: usize = 64;
/// Most bytes of all texts.
const MOST_BYTES: usize = 1 << 20;

/// Texts of calls that the model wrote otherwise than its template does; at most 64, and 1 MiB.
#[derive(Debug, Default)]
pub struct ModelTexts {
    /// The latest comes last.
    kept: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Names and arguments.
    calls: Vec<(String, Map<String, Value>)>,
    text: String,
}

impl ModelTexts {
    /// Keeps `text`, the model's own of the `calls` of one turn after `earlier` calls, if the template writes it otherwise.
    pub(super) fn keep(&mut self, format: &ToolFormat, calls: &[ToolCall], earlier: usize, text: &str) {
        let calls: Vec<(String, Map<String, Value>)> =
            calls.iter().map(|call| (call.name().to_owned(), call.arguments().clone())).collect();
        self.kept.retain(|kept| kept.calls != calls);
        let is_same = format.shown_calls(&calls, earlier).is_none_or(|shown| shown == text);
        if is_same || text.is_empty() || text.len() > MOST_BYTES {
            return;
        }
        self.kept.push_back(Kept { calls, text: text.to_owned() });
        let bytes = |kept: &VecDeque<Kept>| kept.iter().map(|kept| kept.text.len()).sum::<usize>();
        while self.kept.len() > MOST_TEXTS || bytes(&self.kept) > MOST_BYTES {
            self.kept.pop_front();
        }
    }

    /// Puts the model's texts in the place of the template's in `prompt`, the rendered `conversation`. A call whose text is in
    /// other places of the prompt, too, stays as it is.
    pub(super) fn put_back(
        &self,
        prompt: &mut RenderedPrompt,
        format: &ToolFormat,
        conversation: &Conversation,
    ) {
        if self.kept.is_empty() {
            return;
        }
        let (mut earlier, mut turns) = (0, Vec::new());
        for message in conversation.messages.iter().filter(|message| !message.tool_calls().is_empty()) {
            let calls: Vec<_> = message.tool_calls().iter().map(name_and_arguments).collect();
            if let Some(shown) = format.shown_calls(&calls, earlier).filter(|shown| !shown.is_empty()) {
                let kept = self.kept.iter().rev().find(|kept| kept.calls == calls);
                turns.push((shown, kept.map(|kept| kept.text.as_str())));
            }
            earlier += calls.len();
        }
        let is_told = |shown: &str| {
            let told = prompt.matches(shown).count();
            told == turns.iter().filter(|(other, _)| other == shown).count()
        };
        let told: Vec<bool> = turns.iter().map(|(shown, _)| is_told(shown)).collect();
        let mut from = 0;
        for ((shown, kept), _) in turns.iter().zip(told).filter(|(_, is_told)| *is_told) {
            let Some(at) = prompt[from..].find(shown).map(|at| from + at) else { continue };
            from = match kept {
                Some(text) if prompt.replace(at..at + shown.len(), text) => at + text.len(),
                _ => at + shown.len(),
            };
        }
    }
}

/// Name and arguments of a call in a message.
fn name_and_arguments(call: &Value) -> (String, Map<String, Value>) {
    let name = call["function"]["name"].as_str().unwrap_or_default();
    (name.to_owned(), call["function"]["arguments"].as_object().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::{Request, render_with},
        chat::RenderOptions,
        dialect::Wanted,
        tools::ToolSet,
    };
    use serde_json::json;

    /// A chat that writes the keys of calls in order.
    const SORTED: &str = "\
        {%- if tools %}<|sys|>{{ tools | tojson }}<|end|>\n{% endif %}\
        {%- for m in messages %}<|{{ m.role }}|>\n{{ m.content }}\
        {%- for c in m.tool_calls %}<f={{ c.function.name }}>{{ c.function.arguments | tojson(sort_keys=true) }}</f>{% endfor %}<|end|>\n{% endfor %}\
        {%- if add_generation_prompt %}<|assistant|>\n{% endif %}";
    const ARGUMENTS: &str = r#"{"b": "x", "a": 1}"#;
    const OWN: &str = r#"<f=find>{"b": "x", "a": 1}</f>"#;
    const SHOWN: &str = r#"<f=find>{"a": 1, "b": "x"}</f>"#;

    fn format(template: &str) -> ToolFormat {
        ToolFormat::detect(template, &Wanted::Auto, &|_| false).unwrap()
    }

    fn call() -> ToolCall {
        ToolCall::from_text("find", ARGUMENTS).unwrap()
    }

    /// A conversation with a call and its result in each round, after `question`.
    fn conversation(question: &str, rounds: usize) -> Conversation {
        let mut messages = vec![json!({"role": "user", "content": question})];
        for nth in 0..rounds {
            let id = format!("c{nth}");
            messages.push(json!({"role": "assistant", "content": "", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "find", "arguments": ARGUMENTS}}]}));
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": "found"}));
        }
        Conversation::from_value(messages.into()).unwrap()
    }

    fn rendered(template: &str, format: &ToolFormat, conversation: &Conversation) -> RenderedPrompt {
        let parameters = json!({"type": "object", "properties": {"a": {}, "b": {}}});
        let tools = ToolSet::from_value(json!([{"name": "find", "parameters": parameters}])).unwrap();
        let request = Request::new(conversation, Some(&tools));
        let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
        render_with(template, &request, Some(format), &options).unwrap().into()
    }

    #[test]
    fn calls_stand_in_the_prompt_as_the_model_wrote_them() {
        let format = format(SORTED);
        let mut texts = ModelTexts::default();
        texts.keep(&format, &[call()], 0, OWN);
        for rounds in 1..4 {
            let conversation = conversation("hi", rounds);
            let mut prompt = rendered(SORTED, &format, &conversation);
            let expected = prompt.replacen(SHOWN, OWN, rounds);
            assert_eq!(prompt.matches(SHOWN).count(), rounds);
            texts.put_back(&mut prompt, &format, &conversation);
            assert_eq!(*prompt, *expected);
        }
    }

    #[test]
    fn a_call_that_the_template_writes_as_the_model_did_is_not_kept() {
        let format = format(&SORTED.replace("(sort_keys=true)", ""));
        let mut texts = ModelTexts::default();
        texts.keep(&format, &[call()], 0, OWN);
        assert!(texts.kept.is_empty());
    }

    #[test]
    fn what_others_wrote_is_left_as_it_is() {
        let format = format(SORTED);
        let mut texts = ModelTexts::default();
        texts.keep(&format, &[call()], 0, OWN);
        // The text of the call stands in the question, too.
        let quoting = conversation(&format!("Why {SHOWN}?"), 1);
        // The call has a part that is no special token, whatever it reads like.
        let plain = conversation("hi", 1);
        let mut cut = rendered(SORTED, &format, &plain);
        let at = cut.find(SHOWN).unwrap() + 10;
        cut = RenderedPrompt { text: cut.into_text(), cuts: vec![at] };
        for (mut prompt, conversation) in [(rendered(SORTED, &format, &quoting), quoting), (cut, plain)] {
            let before = prompt.clone();
            texts.put_back(&mut prompt, &format, &conversation);
            assert_eq!(prompt, before);
        }
    }

    #[test]
    fn cuts_behind_a_text_move_with_it() {
        let mut prompt = RenderedPrompt { text: "a[call]b<x>c".into(), cuts: vec![1, 9] };
        assert!(prompt.replace(1..7, "[the call]"));
        assert_eq!(prompt, RenderedPrompt { text: "a[the call]b<x>c".into(), cuts: vec![1, 13] });
    }

    #[test]
    fn the_latest_texts_are_kept_and_no_more_than_a_limit() {
        let format = format(SORTED);
        let mut texts = ModelTexts::default();
        let keep = |texts: &mut ModelTexts, n: usize, text: &str| {
            let call = ToolCall::from_text("find", &format!(r#"{{"n": {n}}}"#)).unwrap();
            texts.keep(&format, &[call], 0, text);
        };
        (0..200).for_each(|n| keep(&mut texts, n, "own"));
        assert_eq!(texts.kept.len(), MOST_TEXTS);
        assert_eq!(texts.kept[0].calls[0].1["n"], 200 - MOST_TEXTS);
        keep(&mut texts, 500, &"x".repeat(MOST_BYTES - 1));
        assert_eq!(texts.kept.len(), 1);
        keep(&mut texts, 501, &"x".repeat(MOST_BYTES + 1));
        assert_eq!(texts.kept.len(), 1);
        keep(&mut texts, 500, "own again");
        assert_eq!((texts.kept.len(), texts.kept[0].text.as_str()), (1, "own again"));
    }

    #[test]
    fn ids_in_the_history_are_left_to_the_template() {
        let with_ids = SORTED.replace("</f>", "</f>[{{ c.id }}]");
        let format = format(&with_ids);
        let mut texts = ModelTexts::default();
        texts.keep(&format, &[call()], 0, OWN);
        assert!(texts.kept.is_empty());
    }
}
