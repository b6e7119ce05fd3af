//! Which keys an object must hold together: `required` under `anyOf`, `oneOf`, `not`, `if`,
//! dependencies, as one condition on the set of the keys written.

use std::collections::BTreeSet;
use std::rc::Rc;

/// A condition on the keys of an object; a value that is no object has none of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Formula {
    True,
    False,
    /// The value is an object.
    Object,
    /// The object holds this key.
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

    /// `key` is there, if the value is an object.
    pub(super) fn required(key: &str) -> Formula {
        Formula::Any(vec![Formula::not(Formula::Object), Formula::Key(key.into())])
    }

    /// `key` is not there.
    pub(super) fn forbidden(key: &str) -> Formula {
        Formula::not(Formula::Key(key.into()))
    }

    /// Its truth for a value that is no object.
    pub(super) fn elsewhere(&self) -> bool {
        self.evaluate(false, &|_| false)
    }

    pub(super) fn evaluate(&self, object: bool, has: &dyn Fn(&str) -> bool) -> bool {
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

    pub(super) fn keys(&self, out: &mut BTreeSet<Rc<str>>) {
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

    /// The condition in the grammar language, `bit` giving the place of a key that can be written.
    pub(super) fn condition(&self, bit: &dyn Fn(&str) -> Option<usize>) -> Condition {
        match self {
            Formula::True | Formula::Object => Condition::True,
            Formula::False => Condition::False,
            Formula::Key(key) => match bit(key) {
                Some(i) => Condition::If(format!("bit_set({i})")),
                None => Condition::False,
            },
            Formula::Not(f) => f.condition(bit).negated(),
            Formula::All(fs) => Condition::all(fs.iter().map(|f| f.condition(bit))),
            Formula::Any(fs) => Condition::any(fs.iter().map(|f| f.condition(bit))),
            Formula::One(fs) => {
                let each: Vec<Condition> = fs.iter().map(|f| f.condition(bit)).collect();
                Condition::any((0..each.len()).map(|chosen| {
                    Condition::all(
                        each.iter()
                            .enumerate()
                            .map(|(i, c)| if i == chosen { c.clone() } else { c.clone().negated() }),
                    )
                }))
            }
        }
    }
}

/// A condition on a rule's parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    True,
    False,
    If(String),
}

impl Condition {
    pub(super) fn negated(self) -> Condition {
        match self {
            Condition::True => Condition::False,
            Condition::False => Condition::True,
            Condition::If(text) => Condition::If(format!("not({text})")),
        }
    }

    pub(super) fn all(each: impl Iterator<Item = Condition>) -> Condition {
        Condition::joined(each, "and", Condition::True, &Condition::False)
    }

    pub(super) fn any(each: impl Iterator<Item = Condition>) -> Condition {
        Condition::joined(each, "or", Condition::False, &Condition::True)
    }

    fn joined(
        each: impl Iterator<Item = Condition>,
        word: &str,
        neutral: Condition,
        absorbing: &Condition,
    ) -> Condition {
        let mut texts: Vec<String> = Vec::new();
        for condition in each {
            if condition == *absorbing {
                return condition;
            }
            if let Condition::If(text) = condition
                && !texts.contains(&text)
            {
                texts.push(text);
            }
        }
        // Balanced, because the grammar's conditions take two arguments and its parser recurses.
        while texts.len() > 1 {
            texts = texts
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => format!("{word}({a}, {b})"),
                    _ => pair[0].clone(),
                })
                .collect();
        }
        texts.pop().map_or(neutral, Condition::If)
    }

    /// ` %if ...`, or nothing; `None` where the condition never holds.
    pub(super) fn suffix(&self) -> Option<String> {
        match self {
            Condition::True => Some(String::new()),
            Condition::False => None,
            Condition::If(text) => Some(format!(" %if {text}")),
        }
    }
}
