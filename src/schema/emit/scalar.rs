//! Values of one terminal: null, booleans, numbers, strings, enumerations.

use std::collections::HashSet;

use serde_json::Value;

use crate::schema::Meaning;
use crate::schema::emit::grammar::Compiler;
use crate::schema::emit::object::{Member, Members};
use crate::schema::normal::conjunction::types;
use crate::schema::normal::shape::Shape;
use crate::schema::report::Status;
use crate::schema::terminal::format::{self, Format};
use crate::schema::terminal::multiple;
use crate::schema::terminal::number::{self, Limits};
use crate::schema::terminal::pattern::{self, ANY_CHAR, CANONICAL_CHAR, literal, printed};
use crate::schema::value::decimal::Decimal;

impl<'a> Compiler<'a, '_> {
    /// An expression for each type that the shape allows.
    pub(crate) fn alternatives(&mut self, shape: &Shape<'a>) -> Vec<String> {
        if let Some(values) = &shape.values {
            return self.enumerated(values);
        }
        if shape.types == types::ALL && shape.flat.items().is_empty() {
            return vec![self.anything()];
        }
        let mut out = Vec::new();
        let left = |v: Value| !shape.excluded.contains(&&v);
        if shape.types & types::NULL != 0 && left(Value::Null) {
            out.push("\"null\"".to_string());
        }
        if shape.types & types::BOOLEAN != 0 {
            for b in [true, false] {
                if left(Value::Bool(b)) {
                    out.push(format!("\"{b}\""));
                }
            }
        }
        if shape.types & (types::INTEGER | types::FRACTION) != 0 {
            out.extend(self.number(shape));
        }
        if shape.types & types::STRING != 0 {
            out.extend(self.string(shape));
        }
        if shape.types & types::ARRAY != 0 {
            out.extend(self.array(shape));
        }
        if shape.types & types::OBJECT != 0 {
            out.extend(self.object(shape));
        }
        out
    }

    fn limits(&self) -> Limits {
        let open = self.options.meaning == Meaning::Standard;
        Limits {
            integer: if open { 80 } else { 17 },
            fraction: if open { 40 } else { 17 },
            integral_fraction: open && self.document.draft != referencing::Draft::Draft4,
        }
    }

    pub(crate) fn any_number(&mut self) -> String {
        let text = number::any(self.limits());
        self.terminal(format!("/{text}/"))
    }

    pub(crate) fn any_string(&mut self) -> String {
        self.terminal(format!("/\"{ANY_CHAR}*\"/"))
    }

    /// The terminal of any key. It is canonical, so that equal keys have equal texts.
    pub(crate) fn key_terminal(&mut self) -> String {
        self.terminal(format!("/\"{CANONICAL_CHAR}*\"/"))
    }

    fn number(&mut self, shape: &Shape<'a>) -> Option<String> {
        let limits = self.limits();
        let whole = shape.types & types::FRACTION == 0;
        let mut parts = Vec::new();
        // Exclusions are expressed by digits, so exponents are not allowed with them.
        let plain = !shape.not_multiples.is_empty() || shape.excluded.iter().any(|v| v.is_number());
        let base = if shape.low.is_some() || shape.high.is_some() {
            number::range(shape.low.as_ref(), shape.high.as_ref(), whole, limits)?
        } else if whole {
            number::any_integer(limits)
        } else if plain {
            number::plain(limits)
        } else {
            number::any(limits)
        };
        parts.push(self.terminal(format!("/{base}/")));
        if shape.types & types::INTEGER == 0 {
            let integers = number::any_integer(Limits { integral_fraction: true, ..limits });
            parts.push(format!("~{}", self.terminal(format!("/{integers}/"))));
        }
        for (id, divisor) in &shape.multiples {
            match Decimal::parse(divisor).and_then(|d| multiple::multiples(&d, whole, limits)) {
                Some(text) => parts.push(self.terminal(format!("/{text}/"))),
                None => {
                    self.relax(*id, "multipleOf", "its last digits do not tell a multiple");
                    if self.options.meaning == Meaning::Tool {
                        // Few enough digits that all validators agree, with or without doubles.
                        let places = Decimal::parse(divisor).map_or(0, |divisor| divisor.fraction.len());
                        let few =
                            Limits { integer: 14_usize.saturating_sub(places), fraction: places, ..limits };
                        parts.push(self.terminal(format!("/{}/", number::plain(few))));
                    }
                }
            }
        }
        for value in &shape.excluded {
            if let Value::Number(n) = value {
                let same = self.every_spelling(n);
                parts.push(format!("~{}", self.terminal(format!("/{same}/"))));
            }
        }
        for divisor in &shape.not_multiples {
            if let Some(text) = self.other_multiples(divisor) {
                parts.push(format!("~{}", self.terminal(format!("/{text}/"))));
            }
        }
        Some(self.all_of(parts))
    }

    /// The multiples of a number, in every spelling without an exponent; `None` if their last digits do not
    /// decide it.
    pub(crate) fn other_multiples(&self, divisor: &Value) -> Option<String> {
        let divisor = Decimal::parse(&divisor.as_number()?.to_string())?;
        let limits = Limits { integral_fraction: true, ..self.limits() };
        multiple::multiples(&divisor, false, limits).map(|text| without_limits(&text))
    }

    /// The spellings of a number without an exponent, with any number of trailing zeros.
    fn every_spelling(&self, n: &serde_json::Number) -> String {
        let Some(decimal) = Decimal::parse(&n.to_string()) else { return self.number_text(n) };
        let sign = match (decimal.negative, decimal.is_zero()) {
            (_, true) => "-?",
            (true, _) => "-",
            _ => "",
        };
        if decimal.fraction.is_empty() {
            format!(r"{sign}{}(?:\.0+)?", decimal.integer)
        } else {
            format!(r"{sign}{}\.{}0*", decimal.integer, decimal.fraction)
        }
    }

    /// The intersection of the terminals.
    fn all_of(&mut self, parts: Vec<String>) -> String {
        if parts.len() == 1 {
            return parts.into_iter().next().expect("there is one");
        }
        self.terminal(parts.join(" & "))
    }

    /// The spellings of a number.
    fn number_text(&self, n: &serde_json::Number) -> String {
        let text: String = n.to_string();
        let mut escaped = String::new();
        text.chars().for_each(|c| pattern::print_raw(c, &mut escaped));
        let standard = self.options.meaning == Meaning::Standard;
        if self.limits().integral_fraction && Decimal::parse(&text).is_some_and(|d| d.is_zero()) {
            return "-?0(?:\\.0{1,8})?".into();
        }
        let Some(mantissa) = text.split(['e', 'E']).next().filter(|m| *m == text) else {
            return escaped;
        };
        match mantissa.split_once('.') {
            Some((whole, zeros)) if zeros.chars().all(|c| c == '0') => {
                format!("{whole}(?:\\.0{{1,8}})?")
            }
            Some(_) if standard => format!("{escaped}0{{0,4}}"),
            None if self.limits().integral_fraction => format!("{escaped}(?:\\.0{{1,8}})?"),
            _ => escaped,
        }
    }

    fn string(&mut self, shape: &Shape<'a>) -> Option<String> {
        let parts = self.string_parts(shape)?;
        Some(self.all_of(parts))
    }

    /// Terminals and complements of terminals that a string must all match; `None` if no string can.
    pub(crate) fn string_parts(&mut self, shape: &Shape<'a>) -> Option<Vec<String>> {
        let mut parts = Vec::new();
        for (id, text) in &shape.patterns {
            match pattern::conditions(text) {
                Ok(conditions) => parts.extend(conditions.into_iter().map(|(not, regex)| {
                    let terminal = self.terminal(format!("/{regex}/"));
                    if not { format!("~{terminal}") } else { terminal }
                })),
                Err(why) => self.relax(*id, "pattern", why.note()),
            }
        }
        for (id, name) in &shape.formats {
            match format::format(name, self.options.meaning) {
                Format::Exact(text) => {
                    parts.push(self.terminal(format!("/{}/", format::written(&text))));
                    self.mark(*id, "format", Status::Enforced, "");
                }
                Format::Wider(text) => {
                    parts.push(self.terminal(format!("/{}/", format::written(&text))));
                    self.relax(*id, "format", "the grammar is wider than the format");
                }
                Format::Unwritten => self.relax(*id, "format", "no grammar describes it"),
                Format::Unknown => {
                    self.mark(*id, "format", Status::Annotation, "not a format of the standard");
                }
            }
        }
        let mut left_out = Vec::new();
        for text in &shape.not_patterns {
            let regex = pattern::written(text).ok()?;
            left_out.push(self.terminal(format!("/{regex}/")));
        }
        for name in &shape.not_formats {
            let Format::Exact(text) = format::format(name, Meaning::Standard) else { return None };
            left_out.push(self.terminal(format!("/{}/", format::written(&text))));
        }
        if shape.max_length.is_some_and(|most| most < shape.min_length) {
            return None;
        }
        let excluded: Vec<String> =
            shape.excluded.iter().filter_map(|v| v.as_str()).map(|text| literal(&printed(text))).collect();
        let canonical = !parts.is_empty() || !excluded.is_empty() || !left_out.is_empty();
        let character = if canonical { CANONICAL_CHAR } else { ANY_CHAR };
        let most = shape.max_length.map_or(String::new(), |n| n.to_string());
        if shape.min_length > 0 || shape.max_length.is_some() {
            parts.push(self.terminal(format!("/\"{character}{{{},{most}}}\"/", shape.min_length)));
        } else if parts.is_empty() {
            parts.push(self.terminal(format!("/\"{character}*\"/")));
        }
        if !excluded.is_empty() {
            parts.push(format!("~({})", excluded.join(" | ")));
        }
        parts.extend(left_out.into_iter().map(|name| format!("~{name}")));
        Some(parts)
    }

    /// Terminals of enumerated values; strings share one, and so do numbers.
    fn enumerated(&mut self, values: &[&'a Value]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let (mut strings, mut numbers): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for value in values {
            match value {
                Value::String(text) => {
                    let text = literal(&printed(text));
                    if seen.insert(text.clone()) {
                        strings.push(text);
                    }
                }
                Value::Number(n) => {
                    let text = format!("/{}/", self.number_text(n));
                    if seen.insert(text.clone()) {
                        numbers.push(text);
                    }
                }
                other => {
                    let text = self.constant(other);
                    if !out.contains(&text) {
                        out.push(text);
                    }
                }
            }
        }
        for group in [strings, numbers] {
            if !group.is_empty() {
                out.push(self.terminal(group.join(" | ")));
            }
        }
        out
    }

    /// An expression for one value; an object's keys may come in any order.
    pub(crate) fn constant(&mut self, value: &Value) -> String {
        match value {
            Value::Null => "\"null\"".into(),
            Value::Bool(b) => format!("\"{b}\""),
            Value::Number(n) => {
                let text = self.number_text(n);
                self.terminal(format!("/{text}/"))
            }
            Value::String(text) => literal(&printed(text)),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|v| self.constant(v)).collect();
                let name = self.fresh("c");
                self.rule(name.clone(), format!("\"[\" {} \"]\"", items.join(" \", \" ")));
                name
            }
            Value::Object(map) => {
                let members = map
                    .iter()
                    .map(|(key, v)| Member {
                        key: key.as_str().into(),
                        required: true,
                        value: self.constant(v),
                    })
                    .collect();
                self.members(Members { members, ..Members::default() })
                    .expect("nothing forbids the keys of a constant")
            }
        }
    }
}

/// The expression with any number of zeros instead of a few.
fn without_limits(text: &str) -> String {
    text.replace("0{1,8}", "0+").replace("0{0,4}", "0*")
}
