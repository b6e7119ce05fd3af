//! The choice of a dialect for a model.

use super::{
    Dialect, Error, ToolsPlace,
    derive::{Derived, Handover, NotDerived, Shown, study},
    entries,
    error::Result,
    known::{self, KNOWN, Known},
    memo::Memo,
};
use crate::chat::Template;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The dialect that is wanted.
#[derive(Clone, Debug, Default)]
pub enum Wanted {
    /// The model's own, or the generic one, told in text, if that is not known.
    #[default]
    Auto,
    /// The model's own, or an error if that is not known.
    Strict,
    /// The one of this name.
    Named(String),
    /// This one, from a file.
    Given(Arc<Dialect>),
}

/// Origin of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Derived from the chat template.
    Derived,
    /// An entry for formats that templates do not tell, found by its signs.
    Entry,
    /// An entry, asked for by its name.
    Named,
    /// A file.
    File,
    /// The generic format, since the template tells none.
    Generic,
}

/// A dialect for a model, and how to hand tools and calls to the model's template.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Syntax of calls.
    pub dialect: Arc<Dialect>,
    /// Its origin.
    pub source: Source,
    /// The place of the tools in the prompt.
    pub tools: ToolsPlace,
    /// True if the template writes the calls of a history in this dialect. Otherwise a message that calls has to get the
    /// calls as its text.
    pub shows_calls: bool,
    /// The syntax of the calls that the template writes, if it shows calls; models may write another.
    pub shown: Option<Arc<Dialect>>,
    /// The form in which the template wants calls.
    pub handover: Handover,
    /// The system message that the model needs in order to call tools, for conversations without one.
    pub system_message: Option<&'static str>,
    /// One sentence each: what the template does not show, and why a dialect was not derived.
    pub notes: Vec<String>,
}

impl Choice {
    /// True if the template shows both the tools and the calls.
    pub fn by_template(&self) -> bool {
        self.tools == ToolsPlace::Template && self.shows_calls
    }
}

/// Facts about a chat template; the result of its derivation can be stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Study {
    shown: Shown,
}

/// Studies of the last templates.
static STUDIES: Memo<String, Study> = Memo::new();

impl Study {
    /// The study of `template` that this process has made before, or what `make` returns, such as [`Study::new`]. The last
    /// few are kept.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn remembered(template: &str, make: impl FnOnce() -> Result<Study>) -> Result<Arc<Study>> {
        STUDIES.get(|known| known == template, || Ok((template.to_owned(), make()?)))
    }

    /// Derives the format of `template`.
    ///
    /// # Errors
    /// If it is not a template.
    pub fn new(template: &str) -> Result<Study> {
        Ok(Study { shown: study(&Template::new(template)?) })
    }

    /// Everything that the template shows.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Chooses the dialect for a model with `template`, which this is the study of; `is_token` tells whether a text is one
    /// token of the model's vocabulary.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that no dialect has, and [`Error::NotTold`] if the model's own is wanted and not
    /// known.
    pub fn choose(&self, template: &str, is_token: &dyn Fn(&str) -> bool, wanted: &Wanted) -> Result<Choice> {
        let mut choice = self.choose_dialect(template, is_token, wanted)?;
        if choice.tools == ToolsPlace::Template
            && let Some(message) = known::system_message(template)
        {
            choice.system_message = Some(message);
            choice.notes.push(format!(
                "tools without a system message get the one that the model needs: {message:?}"
            ));
        }
        Ok(choice)
    }

    fn choose_dialect(
        &self,
        template: &str,
        is_token: &dyn Fn(&str) -> bool,
        wanted: &Wanted,
    ) -> Result<Choice> {
        match wanted {
            Wanted::Given(dialect) => Ok(self.chosen(dialect.clone(), Source::File)),
            Wanted::Named(name) => match named(name) {
                Some(dialect) => Ok(self.chosen(dialect, Source::Named)),
                None => Err(Error::Unknown { name: name.clone(), known: names() }),
            },
            Wanted::Auto | Wanted::Strict => {
                let known = KNOWN.iter().find(|known| known.fits(template, is_token));
                match (&self.shown.derived, known) {
                    (_, Some(known)) if known.overrides => Ok(self.entry(known)),
                    (Ok(derived), _) => Ok(self.derived(derived)),
                    (Err(_), Some(known)) => Ok(self.entry(known)),
                    (Err(why), None) if matches!(wanted, Wanted::Strict) => {
                        Err(Error::NotTold { source: why.clone() })
                    }
                    (Err(why), None) => Ok(self.generic(why)),
                }
            }
        }
    }

    fn derived(&self, derived: &Derived) -> Choice {
        let mut notes = derived.notes.clone();
        let written = known::as_models_write(derived);
        if written.is_some() {
            let model = if derived.last_turn_lacks_ids { "does not write" } else { "may leave out" };
            notes.push(format!("the history shows ids behind the arguments, which the model {model}"));
        }
        let dialect = written.unwrap_or_else(|| derived.dialect.clone());
        Choice {
            dialect: with_name(dialect),
            source: Source::Derived,
            tools: self.tools(),
            shows_calls: true,
            shown: Some(Arc::new(derived.dialect.clone())),
            handover: derived.handover,
            system_message: None,
            notes,
        }
    }

    fn entry(&self, known: &Known) -> Choice {
        let tools = match known.tools {
            ToolsPlace::Template => self.tools(),
            other => other,
        };
        let shows = self.shown.derived.as_ref().ok();
        Choice {
            dialect: Arc::new(known.dialect()),
            source: Source::Entry,
            tools,
            // What an entry overrides is the same call in another order, and the history keeps the template's.
            shows_calls: shows.is_some(),
            shown: shows.map(|derived| Arc::new(derived.dialect.clone())),
            handover: shows.map(|derived| derived.handover).unwrap_or_default(),
            system_message: None,
            notes: vec![format!(
                "the model's template does not tell its format; `{}` is known for it",
                known.name
            )],
        }
    }

    fn generic(&self, why: &NotDerived) -> Choice {
        Choice {
            dialect: entries::for_description(),
            source: Source::Generic,
            tools: ToolsPlace::Text,
            shows_calls: false,
            shown: None,
            handover: Handover::default(),
            system_message: None,
            notes: vec![format!("{why}; the tools are told in text")],
        }
    }

    /// A dialect that somebody asked for.
    fn chosen(&self, dialect: Arc<Dialect>, source: Source) -> Choice {
        let own = self.shown.derived.as_ref().ok();
        let written = own.and_then(known::as_models_write);
        let is_own = own.is_some_and(|own| {
            known::same_calls(&own.dialect, &dialect)
                || written.is_some_and(|written| known::same_calls(&written, &dialect))
        });
        let is_known = KNOWN.iter().find(|known| known.name == dialect.name);
        Choice {
            tools: match (is_own, is_known) {
                (true, _) => self.tools(),
                (false, Some(known)) if self.shown.shows_tools => known.tools,
                _ => ToolsPlace::Text,
            },
            shows_calls: is_own,
            shown: own.filter(|_| is_own).map(|own| Arc::new(own.dialect.clone())),
            handover: own.filter(|_| is_own).map(|own| own.handover).unwrap_or_default(),
            dialect,
            source,
            system_message: None,
            notes: Vec::new(),
        }
    }

    fn tools(&self) -> ToolsPlace {
        if self.shown.shows_tools { ToolsPlace::Template } else { ToolsPlace::Text }
    }
}

/// The dialect of this name.
pub fn named(name: &str) -> Option<Arc<Dialect>> {
    let known = || KNOWN.iter().find(|known| known.name == name).map(|known| Arc::new(known.dialect()));
    entries::named(name).or_else(known)
}

/// The name of every dialect.
pub fn names() -> Vec<String> {
    let known = KNOWN.iter().map(|known| known.name.to_owned());
    entries::all().iter().map(|dialect| dialect.name.clone()).chain(known).collect()
}

/// `dialect` with the name of the entry that writes the same calls, if there is one.
fn with_name(dialect: Dialect) -> Arc<Dialect> {
    let same = entries::all().iter().find(|entry| known::same_calls(entry, &dialect));
    match same {
        Some(entry) => Arc::new(Dialect {
            name: entry.name.clone(),
            // What the entry accepts beside what the template writes.
            first: entry.first.clone(),
            also_first: entry.also_first.clone(),
            ..dialect
        }),
        None => Arc::new(dialect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "\
        {%- if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}\
        {%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}\
        {%- for call in m.tool_calls %}CALL{% endfor %}<|im_end|>\n{% endfor %}\
        {%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    const HERMES: &str = r#"{% if not loop.first %}{{ '\n' }}{% endif %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>"#;

    fn choice(template: &str, tokens: &[&str], wanted: &Wanted) -> Result<Choice> {
        Study::new(template)?.choose(template, &|text| tokens.contains(&text), wanted)
    }

    #[test]
    fn a_derived_dialect_gets_the_name_of_the_entry_that_it_equals() {
        let template = CHATML.replace("CALL", HERMES);
        let found = choice(&template, &[], &Wanted::Auto).unwrap();
        assert_eq!((found.dialect.name.as_str(), found.source), ("hermes", Source::Derived));
        assert!(found.by_template());
        let other = CHATML.replace("CALL", &HERMES.replace("tool_call", "tool"));
        assert_eq!(choice(&other, &[], &Wanted::Auto).unwrap().dialect.name, "derived");
    }

    #[test]
    fn a_template_that_tells_nothing_is_told_in_text_or_refused() {
        let silent = CHATML.replace("CALL", "");
        let found = choice(&silent, &[], &Wanted::Auto).unwrap();
        assert_eq!((found.dialect.name.as_str(), found.source), ("generic", Source::Generic));
        assert_eq!((found.tools, found.shows_calls), (ToolsPlace::Text, false));
        assert!(found.notes[0].contains("shows no tool calls"), "{:?}", found.notes);
        assert!(matches!(choice(&silent, &[], &Wanted::Strict), Err(Error::NotTold { .. })));
    }

    #[test]
    fn an_entry_needs_the_template_and_the_vocabulary() {
        let template = format!("{{# List of tools: #}}{}", CHATML.replace("CALL", ""));
        let tokens = ["<|tool_call_start|>", "<|tool_call_end|>"];
        let found = choice(&template, &tokens, &Wanted::Strict).unwrap();
        assert_eq!((found.dialect.name.as_str(), found.source), ("lfm", Source::Entry));
        assert_eq!((found.tools, found.shows_calls), (ToolsPlace::Template, false));
        assert!(choice(&template, &tokens[..1], &Wanted::Strict).is_err());
    }

    #[test]
    fn a_model_that_needs_a_system_message_for_its_tools_has_it() {
        let call = "<start_function_call>call:{{ call.function.name }}{}<end_function_call>";
        let declaration = "{# <start_function_declaration> #}";
        let template = format!("{declaration}{}", CHATML.replace("CALL", call));
        let found = choice(&template, &[], &Wanted::Named("generic".into())).unwrap();
        assert_eq!(found.system_message, None, "its tools are told in text");
        let template = format!("{declaration}{}", CHATML.replace("CALL", &(call.to_owned() + HERMES)));
        let found = choice(&template, &[], &Wanted::Auto).unwrap();
        assert!(found.tools == ToolsPlace::Template, "{:?}", found.notes);
        assert!(found.system_message.is_some_and(|text| text.starts_with("You are a model that can do")));
        let other = choice(&CHATML.replace("CALL", HERMES), &[], &Wanted::Auto).unwrap();
        assert_eq!(other.system_message, None);
    }

    #[test]
    fn a_dialect_that_is_asked_for_is_taken_and_told_in_text_unless_it_is_the_templates() {
        let template = CHATML.replace("CALL", HERMES);
        for (name, by_template) in [("hermes", true), ("llama3", false), ("lfm", false), ("generic", false)] {
            let found = choice(&template, &[], &Wanted::Named(name.into())).unwrap();
            assert_eq!((found.dialect.name.as_str(), found.by_template()), (name, by_template));
        }
        let error = choice(&template, &[], &Wanted::Named("hermez".into())).unwrap_err();
        assert!(error.to_string().contains("hermes, llama3"), "{error}");
    }
}
