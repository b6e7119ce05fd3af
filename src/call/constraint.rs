//! The constraint of an answer: its grammar, with the checks of its values.

use super::{Result, schema_validator::SchemaValidator};
use crate::{
    dialect::grammar::IncrementalGrammar,
    runtime::{self, Compiler, Constraint, constraint::Grammar},
};

/// Compiles the grammar of a call or a turn, with the checks of its values, into a constraint over the
/// compiler's vocabulary.
///
/// # Errors
/// A schema that cannot be used; [`runtime::Error::Grammar`] with llguidance's reason.
pub fn constraint<'a>(compiler: &'a Compiler, grammar: &'a dyn IncrementalGrammar) -> Result<Constraint<'a>> {
    let constraint = Constraint::new(compiler, Box::new(Marked { grammar, compiler }))?;
    Ok(constraint.with_validator(Box::new(SchemaValidator::new(grammar))))
}

/// A grammar whose special tokens are looked up in one vocabulary.
struct Marked<'a> {
    grammar: &'a dyn IncrementalGrammar,
    compiler: &'a Compiler,
}

impl Grammar for Marked<'_> {
    fn stage(&self, written: &[u8]) -> usize {
        self.grammar.stage(written)
    }

    fn lark(&self, written: &[u8]) -> Result<String, runtime::Error> {
        let lark = self.grammar.lark(written, &|text| self.compiler.mark(text));
        // Flattened to text, since the runtime knows no tools. Callers that checked the tools first never see
        // it.
        lark.map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            runtime::Error::Grammar { reason: format!("{error}{}", source.unwrap_or_default()) }
        })
    }
}
