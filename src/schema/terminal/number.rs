//! Number literals within bounds, as regular expressions over decimal digits.
//!
//! Literals have limits on digits and exponent, so that a model cannot write digits forever. With a range, no
//! exponent is allowed: comparing numbers is then comparing digits.

use referencing::Draft;
use serde_json::Number;

use super::encode::print_raw;
use crate::schema::options::Meaning;
use crate::schema::value::decimal::Decimal;

/// Limits of a literal: integer digits after the first, and fraction digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) integer: usize,
    pub(crate) fraction: usize,
    /// True if `1.0` may stand for the integer 1, as in the standard.
    pub(crate) integral_fraction: bool,
}

impl Limits {
    /// The limits for values of a schema of `draft`.
    pub(crate) fn new(meaning: Meaning, draft: Draft) -> Limits {
        let open = meaning == Meaning::Standard;
        Limits {
            integer: if open { 80 } else { 17 },
            fraction: if open { 40 } else { 17 },
            integral_fraction: open && draft != Draft::Draft4,
        }
    }
}

/// Every number literal, also with an exponent.
pub(crate) fn any(limits: Limits) -> String {
    let Limits { integer, fraction, .. } = limits;
    let mut text =
        format!(r"-?(?:0|[1-9][0-9]{{0,{integer}}})(?:\.[0-9]{{1,{fraction}}})?(?:[eE][+\-]?[0-9]{{1,2}})?");
    if limits.integral_fraction {
        // The range of a double, in scientific notation.
        text = format!(
            r"(?:{text}|-?[0-9](?:\.[0-9]{{1,20}})?[eE](?:\+?(?:[12][0-9][0-9]|30[0-7])|-[12][0-9][0-9]))"
        );
    }
    text
}

/// Every number literal without an exponent.
pub(crate) fn plain(limits: Limits) -> String {
    let Limits { integer, fraction, .. } = limits;
    let point = if fraction > 0 { format!(r"(?:\.[0-9]{{1,{fraction}}})?") } else { String::new() };
    format!(r"-?(?:0|[1-9][0-9]{{0,{integer}}}){point}")
}

/// Every integer literal.
pub(crate) fn any_integer(limits: Limits) -> String {
    format!("-?(?:0|[1-9][0-9]{{0,{}}}){}", limits.integer, integral_tail(limits))
}

pub(super) fn integral_tail(limits: Limits) -> &'static str {
    if limits.integral_fraction { r"(?:\.0{1,8})?" } else { "" }
}

/// The spellings of a number without an exponent, with any number of trailing zeros.
pub(crate) fn every_spelling(n: &Number, meaning: Meaning, limits: Limits) -> String {
    let Some(decimal) = Decimal::parse(&n.to_string()) else { return spellings(n, meaning, limits) };
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

/// The spellings of a number.
pub(crate) fn spellings(n: &Number, meaning: Meaning, limits: Limits) -> String {
    let text: String = n.to_string();
    let mut escaped = String::new();
    text.chars().for_each(|c| print_raw(c, &mut escaped));
    let standard = meaning == Meaning::Standard;
    if limits.integral_fraction && Decimal::parse(&text).is_some_and(|d| d.is_zero()) {
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
        None if limits.integral_fraction => format!("{escaped}(?:\\.0{{1,8}})?"),
        _ => escaped,
    }
}
