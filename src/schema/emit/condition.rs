//! Conditions on a rule's parameter, in the grammar language.

use crate::schema::normal::Formula;

/// A condition on a rule's parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    True,
    False,
    If(String),
}

impl Condition {
    /// The condition in the grammar language; `bit` returns the bit of a key that can be written.
    pub(super) fn from_formula(formula: &Formula, bit: &dyn Fn(&str) -> Option<usize>) -> Condition {
        match formula {
            Formula::True | Formula::Object => Condition::True,
            Formula::False => Condition::False,
            Formula::Key(key) => match bit(key) {
                Some(i) => Condition::If(format!("bit_set({i})")),
                None => Condition::False,
            },
            Formula::Not(f) => Condition::from_formula(f, bit).negated(),
            Formula::All(fs) => Condition::all(fs.iter().map(|f| Condition::from_formula(f, bit))),
            Formula::Any(fs) => Condition::any(fs.iter().map(|f| Condition::from_formula(f, bit))),
            Formula::One(fs) => {
                let each: Vec<Condition> = fs.iter().map(|f| Condition::from_formula(f, bit)).collect();
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
        // Balanced, since conditions take two arguments and llguidance's parser recurses.
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

    /// The condition as it stands behind an alternative of a rule: ` %if ...`, or nothing if it always holds. `None` if it
    /// never holds.
    pub(super) fn suffix(&self) -> Option<String> {
        match self {
            Condition::True => Some(String::new()),
            Condition::False => None,
            Condition::If(text) => Some(format!(" %if {text}")),
        }
    }
}
