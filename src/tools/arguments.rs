//! A tool's parameters, or the schema of a JSON answer, compiled to a grammar and checks.

use super::{
    Error,
    words::{self, Word},
};
use crate::{
    json,
    schema::{self, Checks, Compiled, KeyOrder, Meaning, Options, notation::Notation},
    stack,
};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Stack of the schema compiler, which recurses over nested schemas and references.
const STACK_BYTES: usize = 64 << 20;

/// The schema of a tool's arguments, compiled on first use.
#[derive(Clone, Debug)]
pub(super) struct Arguments {
    /// With doubles instead of wide numbers, for others.
    schema: Map<String, Value>,
    /// With numbers as they are written, if there are wide ones.
    exact: Option<Map<String, Value>>,
    // With keys in any order, and in the schema's order.
    compiled: Arc<[OnceLock<Compiled>; 2]>,
    // The same in other notations than JSON, for each that was asked for.
    noted: Arc<Mutex<Vec<Noted>>>,
}

/// A schema compiled in a notation.
type Noted = (KeyOrder, Notation, Arc<Compiled>);

impl Arguments {
    pub(super) fn new(schema: Map<String, Value>) -> Arguments {
        let compiled = Arc::default();
        if !schema.values().any(json::has_wide_numbers) {
            return Arguments { schema, exact: None, compiled, noted: Arc::default() };
        }
        let mut rounded = schema.clone();
        rounded.values_mut().for_each(json::round);
        Arguments { schema: rounded, exact: Some(schema), compiled, noted: Arc::default() }
    }

    pub(super) fn schema(&self) -> &Map<String, Value> {
        &self.schema
    }

    pub(super) fn exact_schema(&self) -> &Map<String, Value> {
        self.exact.as_ref().unwrap_or(&self.schema)
    }

    pub(super) fn compiled(&self, key_order: KeyOrder) -> Result<&Compiled, schema::Error> {
        let cell = &self.compiled[usize::from(key_order == KeyOrder::Schema)];
        if let Some(compiled) = cell.get() {
            return Ok(compiled);
        }
        let compiled = self.compile(key_order, &Notation::default())?;
        Ok(cell.get_or_init(|| compiled))
    }

    /// As [`compiled`](Self::compiled), for arguments in `notation`.
    pub(super) fn compiled_in(
        &self,
        key_order: KeyOrder,
        notation: &Notation,
    ) -> Result<Arc<Compiled>, schema::Error> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = noted.iter().find(|(order, known, _)| *order == key_order && known == notation);
        if let Some((_, _, compiled)) = known {
            return Ok(compiled.clone());
        }
        let compiled = Arc::new(match *notation == Notation::default() {
            true => self.compiled(key_order)?.clone(),
            false => self.compile(key_order, notation)?,
        });
        noted.push((key_order, notation.clone(), compiled.clone()));
        Ok(compiled)
    }

    fn compile(&self, key_order: KeyOrder, notation: &Notation) -> Result<Compiled, schema::Error> {
        let mut schema = self.exact_schema().clone();
        // Arguments are an object even if the schema does not say so.
        schema.entry("type").or_insert_with(|| "object".into());
        let options = Options { meaning: Meaning::Tool, key_order, ..Options::default() };
        with_room(&Value::Object(schema), options, notation)
    }
}

impl Arguments {
    /// The checks, which do not depend on the order of keys.
    pub(super) fn checks(&self) -> Result<&Checks, schema::Error> {
        match self.compiled.iter().find_map(OnceLock::get) {
            Some(compiled) => Ok(&compiled.checks),
            None => Ok(&self.compiled(KeyOrder::Any)?.checks),
        }
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Arguments) -> bool {
        self.schema == other.schema && self.exact == other.exact
    }
}

/// The schema of an answer that is one JSON value, with the standard's semantics.
#[derive(Clone, Debug)]
pub struct AnswerSchema {
    compiled: Compiled,
    words: Vec<Word>,
}

impl AnswerSchema {
    /// Compiles `schema`, in which numbers may be as [`json::parse_exact`] keeps them.
    ///
    /// # Errors
    /// [`Error::AnswerSchema`].
    pub fn new(schema: &Value, key_order: KeyOrder) -> Result<AnswerSchema, Error> {
        let options = Options { key_order, ..Options::default() };
        match with_room(schema, options, &Notation::default()) {
            Ok(compiled) => {
                Ok(AnswerSchema { compiled, words: words::of_schema(&json::rounded(schema.clone())) })
            }
            Err(error) => Err(Error::AnswerSchema { source: Box::new(error) }),
        }
    }

    /// The grammar of the answer, and its checks.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Names and values in the schema, as candidates for drafts (see [`words`]).
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Checks a complete answer against the whole schema with a full validator.
    ///
    /// # Errors
    /// [`Error::Answer`] with the first violation.
    pub fn check(&self, answer: &str) -> Result<(), Error> {
        let violation = self.compiled.checks.violation_of_text(answer);
        match violation.map_err(|error| Error::Answer { problem: format!("it is not JSON ({error})") })? {
            Some(violation) => Err(Error::Answer { problem: violation.to_string() }),
            None => Ok(()),
        }
    }
}

fn with_room(schema: &Value, options: Options, notation: &Notation) -> Result<Compiled, schema::Error> {
    let compile = || schema::compile_in(schema, options, notation);
    // Without the thread, most schemas can still be compiled.
    stack::run_on(STACK_BYTES, compile).unwrap_or_else(|_| compile())
}
