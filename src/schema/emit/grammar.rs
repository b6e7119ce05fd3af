//! Conjunctions to rules: the state of the compiler, and the expansion of choices.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use referencing::Draft;
use serde_json::Value;

use crate::schema::normal::conjunction::{Choice, Flat, Item, types};
use crate::schema::read::document::{Document, Id};
use crate::schema::report::{self, Status};
use crate::schema::validate::checks::Checks;
use crate::schema::{Compiled, Error, Options, read::keyword};

/// Number of rules from which choices are checked afterwards instead of being expanded.
const MAX_RULES: usize = 12_000;
/// Most alternatives that one conjunction is expanded into.
const MAX_ALTERNATIVES: usize = 128;

enum Slot {
    /// Being compiled; the name is for references from within.
    Open(String),
    Done(Option<String>),
}

pub(crate) struct Compiler<'a, 'c> {
    pub(crate) document: Document<'a>,
    pub(crate) checks: &'c Checks,
    pub(crate) options: Options,
    pub(crate) report: report::Draft,
    /// True if a reference depends on the dynamic scope, so that only the whole value can be checked.
    pub(crate) dynamic: bool,
    refused: Option<(String, String, String)>,
    rules: Vec<(String, String)>,
    terminals: Vec<(String, String)>,
    terminal_names: HashMap<String, String>,
    memo: HashMap<Vec<Item>, Slot>,
    /// Conjunctions that refer to themselves.
    recursive: HashSet<Vec<Item>>,
    /// Conjunctions without any value, to which something referred.
    impossible: HashSet<Vec<Item>>,
    again: bool,
    names: usize,
}

/// Compiles the schema in `checks`.
pub(crate) fn compile(checks: Arc<Checks>, draft: Draft, options: Options) -> Result<Compiled, Error> {
    let mut impossible = HashSet::new();
    loop {
        let mut compiler = Compiler {
            document: Document::new(checks.registry(), draft)?,
            checks: &checks,
            options,
            report: report::Draft::default(),
            dynamic: false,
            refused: None,
            rules: Vec::new(),
            terminals: Vec::new(),
            terminal_names: HashMap::new(),
            memo: HashMap::new(),
            recursive: HashSet::new(),
            impossible,
            again: false,
            names: 0,
        };
        let root = vec![Item::Schema(Document::ROOT)];
        let value = compiler.value(&root);
        if let Some((pointer, keyword, message)) = compiler.refused {
            let report = Box::new(compiler.report.finish());
            return Err(Error::Refused { pointer, keyword, message, report });
        }
        if compiler.again {
            impossible = compiler.impossible;
            continue;
        }
        if let Err(message) = checks.root() {
            return Err(Error::Schema { pointer: "#".into(), message: message.to_string() });
        }
        let places = compiler.places();
        let _ = checks.places.set(places);
        let Some(value) = value else {
            return Err(Error::AcceptsNothing { report: Box::new(compiler.report.finish()) });
        };
        let rules = compiler.text();
        let report = compiler.report.finish();
        return Ok(Compiled { rules, value, report, checks });
    }
}

impl<'a> Compiler<'a, '_> {
    pub(crate) fn knows(&self, word: &str) -> bool {
        let draft = self.document.draft;
        draft.is_known_keyword(word)
            || (matches!(word, "dependentRequired" | "dependentSchemas") && draft >= Draft::Draft201909)
            || (word == "dependencies" || word == "$defs")
            || matches!(word, "then" | "else" if draft >= Draft::Draft7)
    }

    pub(crate) fn mark(&mut self, id: Id, keyword: &str, status: Status, note: &str) {
        let pointer = self.document.pointer(id);
        self.report.note(&pointer, keyword, status, note);
    }

    /// Leaves a keyword to the check of the complete value.
    pub(crate) fn relax(&mut self, id: Id, keyword: &str, note: &str) {
        self.mark(id, keyword, Status::CheckedAfter, note);
    }

    pub(crate) fn refuse(&mut self, id: Id, keyword: &str, note: &str) {
        self.mark(id, keyword, Status::Refused, note);
        let pointer = self.document.pointer(id).to_string();
        self.refused.get_or_insert((pointer, keyword.to_string(), note.to_string()));
    }

    pub(crate) fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    pub(crate) fn rule(&mut self, name: String, mut body: String) {
        if name.ends_with("::_") && !body.contains(" | ") {
            // llguidance 1.9.1 loses the parameter's step when it inlines a rule with a single alternative, so
            // a second one is added that never applies.
            body.push_str(" | \"}\" %if lt(_, 0)");
        }
        self.rules.push((name, body));
    }

    /// The name of the terminal with this body.
    pub(crate) fn terminal(&mut self, body: String) -> String {
        if let Some(name) = self.terminal_names.get(&body) {
            return name.clone();
        }
        let name = self.fresh("T");
        self.terminal_names.insert(body.clone(), name.clone());
        self.terminals.push((name.clone(), body));
        name
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for (name, body) in self.rules.iter().chain(&self.terminals) {
            let _ = writeln!(out, "{name}: {body}");
        }
        out
    }

    /// The rule or terminal for the values that satisfy `items`; `None` if there are none.
    pub(crate) fn value(&mut self, items: &[Item]) -> Option<String> {
        let flat = self.flatten(items);
        if flat.never || self.refused.is_some() {
            return None;
        }
        let key = flat.items();
        match self.memo.get(&key) {
            Some(Slot::Done(name)) => return name.clone(),
            Some(Slot::Open(name)) => {
                let name = name.clone();
                self.recursive.insert(key);
                return Some(name);
            }
            None => {}
        }
        if self.impossible.contains(&key) {
            return None;
        }
        let name = self.fresh("v");
        self.memo.insert(key.clone(), Slot::Open(name.clone()));
        let alternatives = if flat.choices.is_empty() {
            let shape = self.shape(flat);
            self.alternatives(&shape)
        } else {
            self.choose(flat)
        };
        let referred = self.recursive.contains(&key);
        let result = if alternatives.is_empty() {
            if referred {
                // Other rules refer to it: start again, with this conjunction marked as impossible.
                self.impossible.insert(key.clone());
                self.again = true;
            }
            None
        } else if alternatives.len() == 1 && !referred {
            Some(alternatives.into_iter().next().expect("there is one"))
        } else {
            self.rule(name.clone(), alternatives.join(" | "));
            Some(name)
        };
        self.memo.insert(key, Slot::Done(result.clone()));
        result
    }

    /// Expands a choice: each alternative combined with the rest of the conjunction.
    fn choose(&mut self, mut flat: Flat) -> Vec<String> {
        let mut sized: Vec<(usize, Id, Choice)> = Vec::new();
        for (id, choice) in flat.choices.clone() {
            let size = self.options(id, &choice).options.len();
            sized.push((size, id, choice));
        }
        sized.sort();
        // If all together are too many, the smallest are expanded and the others are left to the check.
        let mut product = 1_usize;
        let mut kept = Vec::new();
        for (size, id, choice) in sized {
            let fits = kept.is_empty() || product.saturating_mul(size.max(1)) <= MAX_ALTERNATIVES;
            if fits && self.rules.len() < MAX_RULES {
                product = product.saturating_mul(size.max(1));
                kept.push((id, choice));
            } else {
                self.relax(id, choice.keyword(), "too many alternatives to spell out together");
                flat.choices.remove(&(id, choice));
            }
        }
        let Some((id, choice)) = kept.first().cloned() else {
            return self.value(&flat.items()).into_iter().collect();
        };
        flat.choices.remove(&(id, choice.clone()));
        let found = self.options(id, &choice);
        let base = flat.items();
        let (options, exact): (Vec<Vec<Item>>, bool) = if choice == Choice::OneOf {
            let found = self.exclusive(&base, &found.options);
            (found.options, found.exact)
        } else {
            let options = found.options.into_iter().map(|o| [base.as_slice(), &o].concat()).collect();
            (options, found.exact)
        };
        let note = match (&choice, exact) {
            (_, true) => "",
            (Choice::OneOf, _) => "the branches can overlap; give each one a required key with its own const",
            _ => "cannot be turned into a grammar; say what is allowed instead",
        };
        let status = if exact { Status::Enforced } else { Status::CheckedAfter };
        self.mark(id, choice.keyword(), status, note);
        if choice == Choice::If {
            self.mark(id, "then", status, "");
            self.mark(id, "else", status, "");
        }
        let mut names = BTreeSet::new();
        let mut alternatives = Vec::new();
        for option in options {
            if let Some(name) = self.value(&option)
                && names.insert(name.clone())
            {
                alternatives.push(name);
            }
        }
        alternatives
    }

    /// The rule for any JSON value.
    pub(crate) fn anything(&mut self) -> String {
        let key = vec![Item::Types(types::ALL)];
        if let Some(Slot::Done(Some(name))) = self.memo.get(&key) {
            return name.clone();
        }
        let name = self.fresh("v");
        self.memo.insert(key, Slot::Done(Some(name.clone())));
        let key = self.key_terminal();
        let (string, number) = (self.any_string(), self.any_number());
        let (member, object, array) = (self.fresh("m"), self.fresh("o"), self.fresh("a"));
        self.rule(member.clone(), format!("{key} \": \" {name}"));
        self.rule(object.clone(), format!("\"{{\" \"}}\" | \"{{\" {member} (\", \" {member})* \"}}\""));
        self.rule(array.clone(), format!("\"[\" \"]\" | \"[\" {name} (\", \" {name})* \"]\""));
        self.rule(
            name.clone(),
            format!("\"null\" | \"true\" | \"false\" | {number} | {string} | {array} | {object}"),
        );
        name
    }

    /// True if the schema has nothing but annotations.
    pub(crate) fn is_trivial(&self, id: Id) -> bool {
        match self.document.value(id) {
            Value::Bool(b) => *b,
            Value::Object(map) => map.keys().all(|k| keyword::is_annotation(k)),
            _ => false,
        }
    }
}
