//! Number literals within bounds, as regular expressions over decimal digits.
//!
//! Literals have limits on digits and exponent, so that a model cannot write digits forever. With a range, no
//! exponent is allowed: comparing numbers is then comparing digits.

use super::encode::print_raw;
use crate::schema::options::Meaning;
use crate::schema::value::decimal::Decimal;

/// Limits of a literal: integer digits after the first, and fraction digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) integer: usize,
    pub(crate) fraction: usize,
    /// True if `1.0` may stand for the integer 1: only where all spellings of a number are excluded.
    pub(crate) integral_fraction: bool,
    /// True for exponents up to those of a double, and for minus zero, as in the standard.
    pub(crate) open: bool,
}

impl Limits {
    /// The limits for the values of a schema.
    pub(crate) fn new(meaning: Meaning) -> Limits {
        Limits { integer: 17, fraction: 17, integral_fraction: false, open: meaning == Meaning::Standard }
    }
}

/// Every number literal, also with an exponent.
pub(crate) fn any(limits: Limits) -> String {
    let Limits { integer, fraction, .. } = limits;
    let mut text =
        format!(r"-?(?:0|[1-9][0-9]{{0,{integer}}})(?:\.[0-9]{{1,{fraction}}})?(?:[eE][+\-]?[0-9]{{1,2}})?");
    if limits.open {
        // The range of a double, in scientific notation.
        text = format!(
            r"(?:{text}|-?[0-9](?:\.[0-9]{{1,{fraction}}})?[eE](?:\+?(?:[12][0-9][0-9]|30[0-7])|-[12][0-9][0-9]))"
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

/// Every spelling of an integer without an exponent.
pub(crate) fn every_integer(limits: Limits) -> String {
    format!(r"-?(?:0|[1-9][0-9]{{0,{}}})(?:\.0+)?", limits.integer)
}

pub(super) fn integral_tail(limits: Limits) -> &'static str {
    if limits.integral_fraction { r"(?:\.0{1,8})?" } else { "" }
}

/// The spellings of the number `literal` without an exponent, with any number of trailing zeros.
pub(crate) fn every_spelling(literal: &str, meaning: Meaning) -> String {
    let Some(decimal) = Decimal::parse(literal) else { return spellings(literal, meaning) };
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

/// The spellings of the number `literal`: as it is written, and with further zeros if it has a fraction.
pub(crate) fn spellings(literal: &str, meaning: Meaning) -> String {
    let mut escaped = String::new();
    literal.chars().for_each(|c| print_raw(c, &mut escaped));
    if literal.contains(['e', 'E']) {
        return escaped;
    }
    match literal.split_once('.') {
        Some((whole, zeros)) if zeros.chars().all(|c| c == '0') => {
            let whole = whole.replace('-', "\\-");
            format!("{whole}(?:\\.0{{1,8}})?")
        }
        Some(_) if meaning == Meaning::Standard => format!("{escaped}0{{0,4}}"),
        _ => escaped,
    }
}
