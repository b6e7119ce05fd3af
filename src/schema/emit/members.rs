//! An object's members as rules: keys in any order, each once, and a closing brace once the required ones are
//! there.

use std::collections::BTreeSet;

use crate::schema::KeyOrder;
use crate::schema::emit::grammar::Compiler;
use crate::schema::emit::object::{BITS, COUNTER, Member, Members};
use crate::schema::normal::presence::{Condition, Formula};
use crate::schema::terminal::pattern::{literal, printed};

/// Most keys of a condition for which all subsets are enumerated, to keep the object closable.
const MAX_GUARDED: usize = 8;

impl Compiler<'_, '_> {
    /// The rules for an object; `None` if it could never be closed.
    pub(crate) fn members(&mut self, object: Members) -> Option<String> {
        let Members { mut members, others, formulas, min, max } = object;
        let in_order = self.options.key_order == KeyOrder::Schema;
        if !in_order {
            members.sort_by_key(|m| !m.required);
        }
        let counts = min > 0 || max.is_some();
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

        let bit = |key: &str| members.iter().take(bits).position(|m| &*m.key == key);
        let required: Vec<usize> = (0..bits).filter(|i| members[*i].required).collect();
        let mut close = vec![if !in_order && !required.is_empty() {
            Condition::If(format!("is_ones([0:{}])", required.len()))
        } else {
            Condition::all(required.iter().map(|i| Condition::If(format!("bit_set({i})"))))
        }];
        close.extend(formulas.iter().map(|f| f.condition(&bit)));
        let (from, to) = COUNTER;
        if min > 0 {
            close.push(Condition::If(if counter {
                format!("ge([{from}:{to}], {})", min.min(65_535))
            } else {
                format!("bit_count_ge(_, {})", min.min(64))
            }));
            if !counter && min as usize > bits {
                return None;
            }
        }
        let close = Condition::all(close.into_iter());
        let more = match max {
            Some(m) if counter => Condition::If(format!("lt([{from}:{to}], {})", m.min(65_535))),
            Some(m) if (m as usize) < bits => Condition::If(format!("bit_count_lt(_, {m})")),
            _ => Condition::True,
        };
        let guards = self.guards(&formulas, &members, bits);

        // A key ends with its quote, also where another alternative accepts it as an undeclared key: the
        // terminals must have the same length, or the longer one wins.
        let colon = |key: &str| format!("{} \": \"", literal(&printed(key)));
        let name = self.fresh("o");
        let (first, member, rest) = (self.fresh("f"), self.fresh("m"), self.fresh("r"));
        if bits == 0 && !counter {
            let each: Vec<String> =
                others.iter().map(|(key, value)| format!("{key} \": \" {value}")).collect();
            if each.is_empty() {
                let empty = close.suffix()?;
                debug_assert!(empty.is_empty(), "no condition without bits");
                self.rule(name.clone(), "\"{\" \"}\"".into());
                return Some(name);
            }
            close.suffix()?;
            self.rule(member.clone(), each.join(" | "));
            self.rule(name.clone(), format!("\"{{\" \"}}\" | \"{{\" {member} (\", \" {member})* \"}}\""));
            return Some(name);
        }
        let next = if counter { self.fresh("n") } else { rest.clone() };
        let mut alternatives = Vec::new();
        let mut addable = Vec::new();
        for (i, m) in members.iter().enumerate() {
            let (condition, argument) = if i < bits {
                let mut all = vec![Condition::If(format!("bit_clear({i})")), more.clone()];
                if in_order {
                    all.push(Condition::If(format!("is_zeros([{i}:{bits}])")));
                    all.extend(
                        (0..i)
                            .filter(|j| members[*j].required)
                            .map(|j| Condition::If(format!("bit_set({j})"))),
                    );
                }
                all.push(guards[i].clone());
                (Condition::all(all.into_iter()), format!("set_bit({i})"))
            } else {
                (more.clone(), "_".to_string())
            };
            if let Some(suffix) = condition.suffix() {
                alternatives.push(format!("{} {} {next}::{argument}{suffix}", colon(&m.key), m.value));
                addable.push(condition);
            }
        }
        let after_named = match (in_order, required.last()) {
            (true, Some(last)) => {
                Condition::all([Condition::If(format!("bit_set({last})")), more.clone()].into_iter())
            }
            _ => more.clone(),
        };
        for (key, value) in &others {
            if let Some(suffix) = after_named.suffix() {
                alternatives.push(format!("{key} \": \" {value} {next}::_{suffix}"));
                addable.push(after_named.clone());
            }
        }
        let close = close.suffix();
        // A comma is only allowed if a member can follow it.
        let goes_on = Condition::any(addable.into_iter()).suffix();
        let mut first_body = Vec::new();
        let mut rest_body = Vec::new();
        if let Some(suffix) = &close {
            first_body.push(format!("\"}}\"{suffix}"));
            rest_body.push(format!("\"}}\"{suffix}"));
        }
        if let Some(suffix) = &goes_on
            && !alternatives.is_empty()
        {
            first_body.push(format!("{member}::_{suffix}"));
            rest_body.push(format!("\", \" {member}::_{suffix}"));
            self.rule(format!("{member}::_"), alternatives.join(" | "));
        }
        if first_body.is_empty() {
            return None;
        }
        // llguidance requires that a rule with a parameter uses it.
        let uses = |body: &[String]| body.iter().any(|b| b.contains("::_") || b.contains("%if"));
        if !uses(&first_body) {
            self.rule(name.clone(), format!("\"{{\" {}", first_body.join(" | ")));
            return Some(name);
        }
        self.rule(name.clone(), format!("\"{{\" {first}::0x0"));
        self.rule(format!("{first}::_"), first_body.join(" | "));
        self.rule(format!("{rest}::_"), rest_body.join(" | "));
        if counter {
            self.rule(format!("{next}::_"), format!("{rest}::incr([{from}:{to}])"));
        }
        Some(name)
    }

    /// For each key, the condition under which it may be written without making the formulas unsatisfiable.
    fn guards(&self, formulas: &[Formula], members: &[Member], bits: usize) -> Vec<Condition> {
        let mut guards = vec![Condition::True; bits];
        let mut named = BTreeSet::new();
        formulas.iter().for_each(|f| f.keys(&mut named));
        let places: Vec<usize> =
            named.iter().filter_map(|k| members.iter().take(bits).position(|m| m.key == *k)).collect();
        if formulas.is_empty() || places.len() > MAX_GUARDED {
            return guards;
        }
        let holds = |set: usize| {
            let has = |key: &str| {
                places.iter().position(|p| &*members[*p].key == key).is_some_and(|i| set >> i & 1 == 1)
            };
            let required = places.iter().enumerate().all(|(i, p)| !members[*p].required || set >> i & 1 == 1);
            required && formulas.iter().all(|f| f.evaluate(true, &has))
        };
        let good: Vec<usize> = (0..1_usize << places.len()).filter(|s| holds(*s)).collect();
        let largest: Vec<usize> =
            good.iter().copied().filter(|s| !good.iter().any(|t| t != s && s & t == *s)).collect();
        for (i, place) in places.iter().enumerate() {
            guards[*place] = Condition::any(largest.iter().filter(|s| *s >> i & 1 == 1).map(|s| {
                Condition::all(
                    places
                        .iter()
                        .enumerate()
                        .filter(|(j, _)| s >> j & 1 == 0)
                        .map(|(_, p)| Condition::If(format!("bit_clear({p})"))),
                )
            }));
        }
        guards
    }
}
