//! Rules and terminals of a grammar, by name.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::shortest::Lengths;

/// Rules and terminals in the order in which they were added.
#[derive(Default)]
pub(super) struct Rules {
    rules: Vec<(String, String)>,
    terminals: Vec<(String, String)>,
    terminal_names: HashMap<String, String>,
    names: usize,
    bytes: usize,
    /// The shortest text of each rule.
    pub(super) lengths: Lengths,
}

impl Rules {
    /// Number of rules.
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Bytes of all rules and terminals.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A new name.
    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// Adds a rule.
    pub(super) fn add(&mut self, name: String, mut body: String) {
        if name.ends_with("::_") && !body.contains(" | ") {
            // llguidance 1.9.1 loses the parameter's step when it inlines a rule with a single alternative, so
            // a second one is added that never applies.
            body.push_str(" | \"}\" %if lt(_, 0)");
        }
        self.bytes += body.len();
        self.rules.push((name, body));
    }

    /// The name of the terminal with this body.
    pub(super) fn terminal(&mut self, body: String) -> String {
        if let Some(name) = self.terminal_names.get(&body) {
            return name.clone();
        }
        let name = self.fresh("T");
        self.bytes += body.len();
        self.terminal_names.insert(body.clone(), name.clone());
        self.terminals.push((name.clone(), body));
        name
    }

    /// The rules in the grammar language.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for (name, body) in self.rules.iter().chain(&self.terminals) {
            let _ = writeln!(out, "{name}: {body}");
        }
        out
    }
}
