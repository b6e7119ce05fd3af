//! Conditions on the set of an object's keys.

use std::collections::BTreeSet;
use std::rc::Rc;

/// A condition on the keys of an object; values of other types have no keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    True,
    False,
    /// The value is an object.
    Object,
    /// The object has this key.
    Key(Rc<str>),
    Not(Box<Formula>),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    One(Vec<Formula>),
}

impl Formula {
    pub(super) fn not(inner: Formula) -> Formula {
        Formula::Not(Box::new(inner))
    }

    /// Requires `key`, if the value is an object.
    pub(super) fn required(key: &str) -> Formula {
        Formula::Any(vec![Formula::not(Formula::Object), Formula::Key(key.into())])
    }

    /// Forbids `key`.
    pub(super) fn forbidden(key: &str) -> Formula {
        Formula::not(Formula::Key(key.into()))
    }

    /// True if a value that is not an object satisfies the formula.
    pub(super) fn holds_elsewhere(&self) -> bool {
        self.evaluate(false, &|_| false)
    }

    pub(crate) fn evaluate(&self, object: bool, has: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Formula::True => true,
            Formula::False => false,
            Formula::Object => object,
            Formula::Key(key) => object && has(key),
            Formula::Not(f) => !f.evaluate(object, has),
            Formula::All(fs) => fs.iter().all(|f| f.evaluate(object, has)),
            Formula::Any(fs) => fs.iter().any(|f| f.evaluate(object, has)),
            Formula::One(fs) => fs.iter().filter(|f| f.evaluate(object, has)).count() == 1,
        }
    }

    pub(crate) fn keys(&self, out: &mut BTreeSet<Rc<str>>) {
        match self {
            Formula::Key(key) => {
                out.insert(key.clone());
            }
            Formula::Not(f) => f.keys(out),
            Formula::All(fs) | Formula::Any(fs) | Formula::One(fs) => {
                fs.iter().for_each(|f| f.keys(out));
            }
            _ => {}
        }
    }
}
