//! An object's members as rules: keys in any order, each once, and a closing brace once the required ones are
//! there.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::around::Around;
use super::condition::Condition;
use super::emitter::Emitter;
use super::shortest::{Length, bounded};
use crate::schema::normal::Formula;
use crate::schema::options::KeyOrder;

/// Number of bits in a rule's parameter.
const BITS: usize = 64;
/// Bits that count the members, if a count is needed that the keys' bits do not give.
pub(super) const COUNTER: (usize, usize) = (48, 64);

/// A declared key, and the rule of its value.
pub(super) struct Member {
    pub(super) key: Rc<str>,
    /// The key as a part of a rule.
    pub(super) text: String,
    pub(super) required: bool,
    pub(super) value: String,
}

/// An object's members, from which its rules are made.
#[derive(Default)]
pub(super) struct Members {
    pub(super) members: Vec<Member>,
    /// Terminals of undeclared keys, with the rules of their values.
    pub(super) others: Vec<(String, String)>,
    pub(super) formulas: Vec<Formula>,
    pub(super) min: u64,
    pub(super) max: Option<u64>,
}
/// Most keys of a condition for which all subsets are enumerated, to keep the object closable.
const MAX_GUARDED: usize = 8;

/// Use of the bits of a rule's parameter.
struct Layout {
    /// Number of members, from the first on, whose presence has a bit of its own.
    bits: usize,
    /// True if [`COUNTER`] counts the members.
    counter: bool,
    /// Indices of the required members with a bit.
    required: Vec<usize>,
    /// True if the members come in their order only.
    in_order: bool,
}

impl Layout {
    /// The layout for `object`; `None` if it has more required members than it may have.
    fn new(object: &Members, in_order: bool) -> Option<Layout> {
        let Members { members, others, formulas, min, max } = object;
        let counts = *min > 0 || max.is_some();
        let room = if counts && (!others.is_empty() || members.len() > COUNTER.0) {
            COUNTER.0
        } else if formulas.is_empty() {
            BITS
        } else {
            BITS.min(members.len().max(1))
        };
        let counter = room == COUNTER.0 && counts;
        let bits = members.len().min(room);
        if max.is_some_and(|m| (m as usize) < members.iter().filter(|m| m.required).count()) {
            return None;
        }
        let required = (0..bits).filter(|i| members[*i].required).collect();
        Some(Layout { bits, counter, required, in_order })
    }

    /// The condition under which the brace may close; `None` if it never can.
    fn close(&self, object: &Members) -> Option<Condition> {
        let Layout { bits, counter, required, in_order } = self;
        let Members { members, formulas, min, .. } = object;
        let bit = |key: &str| members.iter().take(*bits).position(|m| &*m.key == key);
        let mut close = vec![if !in_order && !required.is_empty() {
            Condition::If(format!("is_ones([0:{}])", required.len()))
        } else {
            Condition::all(required.iter().map(|i| Condition::If(format!("bit_set({i})"))))
        }];
        close.extend(formulas.iter().map(|f| Condition::from_formula(f, &bit)));
        if *min > 0 {
            let (from, to) = COUNTER;
            close.push(Condition::If(if *counter {
                format!("ge([{from}:{to}], {})", (*min).min(65_535))
            } else {
                format!("bit_count_ge(_, {})", (*min).min(64))
            }));
            if !counter && *min as usize > *bits {
                return None;
            }
        }
        Some(Condition::all(close.into_iter()))
    }

    /// The condition under which a further member may be written.
    fn more(&self, max: Option<u64>) -> Condition {
        let (from, to) = COUNTER;
        match max {
            Some(m) if self.counter => Condition::If(format!("lt([{from}:{to}], {})", m.min(65_535))),
            Some(m) if (m as usize) < self.bits => Condition::If(format!("bit_count_lt(_, {m})")),
            _ => Condition::True,
        }
    }

    /// The condition under which the member with bit `i` may be written.
    fn may_write(&self, i: usize, members: &[Member], more: &Condition, guard: &Condition) -> Condition {
        let mut all = vec![Condition::If(format!("bit_clear({i})")), more.clone()];
        if self.in_order {
            all.push(Condition::If(format!("is_zeros([{i}:{}])", self.bits)));
            all.extend(
                (0..i).filter(|j| members[*j].required).map(|j| Condition::If(format!("bit_set({j})"))),
            );
        }
        all.push(guard.clone());
        Condition::all(all.into_iter())
    }

    /// The condition under which an undeclared key may be written.
    fn may_write_other(&self, more: &Condition) -> Condition {
        match (self.in_order, self.required.last()) {
            (true, Some(last)) => {
                Condition::all([Condition::If(format!("bit_set({last})")), more.clone()].into_iter())
            }
            _ => more.clone(),
        }
    }
}

/// The names of an object's rules.
struct Names {
    object: String,
    /// After the opening brace.
    first: String,
    member: String,
    /// After a member.
    rest: String,
}

impl Emitter<'_> {
    /// The rules for an object; `None` if it could never be closed.
    pub(super) fn members(&mut self, mut object: Members) -> Option<String> {
        let in_order = self.key_order == KeyOrder::Schema;
        if !in_order {
            object.members.sort_by_key(|m| !m.required);
        }
        let layout = Layout::new(&object, in_order)?;
        let close = layout.close(&object)?;
        let names = Names {
            object: self.rules.fresh("o"),
            first: self.rules.fresh("f"),
            member: self.rules.fresh("m"),
            rest: self.rules.fresh("r"),
        };
        self.rules.lengths.add(&names.object, shortest(&object));
        if layout.bits == 0 && !layout.counter {
            return self.uncounted(&object.others, &close, names);
        }
        let Around { open, first: before, separator, close: end, none, colon } = self.around();
        let next = if layout.counter { self.rules.fresh("n") } else { names.rest.clone() };
        let (alternatives, addable) = member_alternatives(&object, &layout, &next, &colon);
        let Names { object: name, first, member, rest } = names;
        let close = close.suffix();
        // A comma is only allowed if a member can follow it.
        let goes_on = Condition::any(addable.into_iter()).suffix();
        let mut first_body = Vec::new();
        let mut rest_body = Vec::new();
        if let Some(suffix) = &close {
            first_body.push(format!("{none}{suffix}"));
            rest_body.push(format!("{end}{suffix}"));
        }
        if let Some(suffix) = &goes_on
            && !alternatives.is_empty()
        {
            first_body.push(format!("{before} {member}::_{suffix}"));
            rest_body.push(format!("{separator} {member}::_{suffix}"));
            self.rules.add(format!("{member}::_"), alternatives.join(" | "));
        }
        if first_body.is_empty() {
            return None;
        }
        // llguidance requires that a rule with a parameter uses it.
        let uses = |body: &[String]| body.iter().any(|b| b.contains("::_") || b.contains("%if"));
        if !uses(&first_body) {
            self.rules.add(name.clone(), format!("{open} ({})", first_body.join(" | ")));
            return Some(name);
        }
        self.rules.add(name.clone(), format!("{open} {first}::0x0"));
        self.rules.add(format!("{first}::_"), first_body.join(" | "));
        self.rules.add(format!("{rest}::_"), rest_body.join(" | "));
        if layout.counter {
            let (from, to) = COUNTER;
            self.rules.add(format!("{next}::_"), format!("{rest}::incr([{from}:{to}])"));
        }
        Some(name)
    }

    /// The rules for an object of undeclared keys only, any number of them.
    fn uncounted(&mut self, others: &[(String, String)], close: &Condition, names: Names) -> Option<String> {
        let Names { object: name, member, .. } = names;
        let Around { open, first, separator, close: end, none, colon } = self.around();
        let each: Vec<String> = others.iter().map(|(key, value)| format!("{key} {colon} {value}")).collect();
        let suffix = close.suffix()?;
        if each.is_empty() {
            debug_assert!(suffix.is_empty(), "no condition without bits");
            self.rules.add(name.clone(), format!("{open} {none}"));
            return Some(name);
        }
        self.rules.add(member.clone(), each.join(" | "));
        self.rules.add(
            name.clone(),
            format!("{open} {none} | {open} {first} {member} ({separator} {member})* {end}"),
        );
        Some(name)
    }
}

/// The length of the shortest object: its required members, and as many others as it needs.
fn shortest(object: &Members) -> Length {
    let required: Vec<&Member> = object.members.iter().filter(|member| member.required).collect();
    // `"key": `, and the comma or brace behind the value.
    let keys: usize = required.iter().map(|member| member.key.len() + 6).sum();
    let others = bounded(object.min.saturating_sub(required.len() as u64));
    let fixed = 2 + keys as u64 + 7 * others;
    Length::Sum(fixed, required.into_iter().map(|member| (1, member.value.clone())).collect())
}

/// The alternatives of the rule of a member, which goes on to the rule `next`, and their conditions.
fn member_alternatives(
    object: &Members,
    layout: &Layout,
    next: &str,
    colon: &str,
) -> (Vec<String>, Vec<Condition>) {
    let Members { members, others, formulas, max, .. } = object;
    let more = layout.more(*max);
    let guards = guards(formulas, members, layout.bits);
    // A key ends with its quote, also where another alternative accepts it as an undeclared key: the
    // terminals must have the same length, or the longer one wins.
    let mut alternatives = Vec::new();
    let mut addable = Vec::new();
    for (i, m) in members.iter().enumerate() {
        let (condition, argument) = match guards.get(i) {
            Some(guard) => (layout.may_write(i, members, &more, guard), format!("set_bit({i})")),
            None => (more.clone(), "_".to_string()),
        };
        if let Some(suffix) = condition.suffix() {
            alternatives.push(format!("{} {colon} {} {next}::{argument}{suffix}", m.text, m.value));
            addable.push(condition);
        }
    }
    let after_named = layout.may_write_other(&more);
    for (key, value) in others {
        if let Some(suffix) = after_named.suffix() {
            alternatives.push(format!("{key} {colon} {value} {next}::_{suffix}"));
            addable.push(after_named.clone());
        }
    }
    (alternatives, addable)
}

/// For each key, the condition under which it may be written without making the formulas unsatisfiable.
fn guards(formulas: &[Formula], members: &[Member], bits: usize) -> Vec<Condition> {
    let mut guards = vec![Condition::True; bits];
    let mut named = BTreeSet::new();
    formulas.iter().for_each(|f| f.keys(&mut named));
    let named_bits: Vec<usize> =
        named.iter().filter_map(|k| members.iter().take(bits).position(|m| m.key == *k)).collect();
    if formulas.is_empty() || named_bits.len() > MAX_GUARDED {
        return guards;
    }
    let holds = |set: usize| {
        let has = |key: &str| {
            named_bits.iter().position(|p| &*members[*p].key == key).is_some_and(|i| set >> i & 1 == 1)
        };
        let required = named_bits.iter().enumerate().all(|(i, p)| !members[*p].required || set >> i & 1 == 1);
        required && formulas.iter().all(|f| f.evaluate(true, &has))
    };
    let good: Vec<usize> = (0..1_usize << named_bits.len()).filter(|s| holds(*s)).collect();
    let largest: Vec<usize> =
        good.iter().copied().filter(|s| !good.iter().any(|t| t != s && s & t == *s)).collect();
    for (i, bit) in named_bits.iter().enumerate() {
        guards[*bit] = Condition::any(largest.iter().filter(|s| *s >> i & 1 == 1).map(|s| {
            Condition::all(
                named_bits
                    .iter()
                    .enumerate()
                    .filter(|(j, _)| s >> j & 1 == 0)
                    .map(|(_, p)| Condition::If(format!("bit_clear({p})"))),
            )
        }));
    }
    guards
}
