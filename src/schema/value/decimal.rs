//! Decimal numbers of any size, compared digit by digit.

use std::cmp::Ordering;

/// An inclusive or exclusive bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) value: Decimal,
    pub(crate) exclusive: bool,
}

/// A finite decimal number: sign, integer digits without leading zeros, fraction digits without trailing zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) negative: bool,
    pub(crate) integer: String,
    pub(crate) fraction: String,
}

impl Decimal {
    /// Parses a JSON number literal; `None` if it has more than 80 digits on a side.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((m, e)) => (m, e.parse::<i32>().ok()?),
            None => (text, 0),
        };
        if exponent.abs() > 80 {
            return None;
        }
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = format!("{integer}{fraction}");
        let mut point = integer.len() as i32 + exponent;
        if point < 0 {
            digits = format!("{}{digits}", "0".repeat(-point as usize));
            point = 0;
        }
        while digits.len() < point as usize {
            digits.push('0');
        }
        let (integer, fraction) = digits.split_at(point as usize);
        let integer = integer.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        if integer.len() > 80 || fraction.len() > 80 {
            return None;
        }
        let zero = integer.is_empty() && fraction.is_empty();
        Some(Decimal {
            negative: negative && !zero,
            integer: if integer.is_empty() { "0".into() } else { integer.into() },
            fraction: fraction.into(),
        })
    }

    pub(crate) fn zero() -> Decimal {
        Decimal { negative: false, integer: "0".into(), fraction: String::new() }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.integer == "0" && self.fraction.is_empty()
    }

    pub(crate) fn magnitude(&self) -> Decimal {
        Decimal { negative: false, ..self.clone() }
    }

    fn compare_magnitude(&self, other: &Decimal) -> Ordering {
        self.integer
            .len()
            .cmp(&other.integer.len())
            .then_with(|| self.integer.cmp(&other.integer))
            .then_with(|| self.fraction.cmp(&other.fraction))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(match (self.negative, other.negative) {
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        })
    }
}
