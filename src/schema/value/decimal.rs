//! Decimal numbers of any size, compared digit by digit.

use std::cmp::Ordering;

use serde_json::Value;

use crate::json;

/// Most digits on a side of the point; a double has 309 before it.
const MAX_DIGITS: usize = 400;

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
    /// Parses a JSON number literal; `None` if it has more than 400 digits on a side.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((m, e)) => (m, e.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if exponent.unsigned_abs() as usize > MAX_DIGITS || mantissa.len() > 2 * MAX_DIGITS {
            return None;
        }
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
        if integer.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
            return None;
        }
        let zero = integer.is_empty() && fraction.is_empty();
        Some(Decimal {
            negative: negative && !zero,
            integer: if integer.is_empty() { "0".into() } else { integer.into() },
            fraction: fraction.into(),
        })
    }

    /// The number in `value`, also a wide one.
    pub(crate) fn from_value(value: &Value) -> Option<Decimal> {
        Decimal::parse(&json::number_text(value)?)
    }

    /// The number that a double holds for this one.
    pub(crate) fn as_double(&self) -> Option<Decimal> {
        let sign = if self.negative { "-" } else { "" };
        let double: f64 = format!("{sign}{}.{}", self.integer, self.fraction).parse().ok()?;
        double.is_finite().then(|| Decimal::parse(&format!("{double:.*}", MAX_DIGITS - 1)))?
    }

    /// Number of digits, integer and fraction together.
    pub(crate) fn digits(&self) -> usize {
        self.integer.len() + self.fraction.len()
    }

    /// True if the number is an integer.
    pub(crate) fn is_integer(&self) -> bool {
        self.fraction.is_empty()
    }

    /// True if the number is `divisor` times an integer; never for a divisor of zero.
    pub(crate) fn is_multiple_of(&self, divisor: &Decimal) -> bool {
        if divisor.is_zero() {
            return false;
        }
        // Both in units of the last decimal place of either.
        let places = self.fraction.len().max(divisor.fraction.len());
        let units = |n: &Decimal| -> Vec<u8> {
            format!("{}{:0<places$}", n.integer, n.fraction).bytes().map(|digit| digit - b'0').collect()
        };
        let (number, divisor) = (units(self), units(divisor));
        let divisor = &divisor[divisor.iter().position(|digit| *digit > 0).unwrap_or(0)..];
        let mut rest: Vec<u8> = Vec::new();
        for digit in number {
            if !rest.is_empty() || digit > 0 {
                rest.push(digit);
            }
            while is_at_least(&rest, divisor) {
                subtract(&mut rest, divisor);
            }
        }
        rest.is_empty()
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

/// Compares digits without leading zeros.
fn is_at_least(a: &[u8], b: &[u8]) -> bool {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b)) != Ordering::Less
}

/// Subtracts `b` from `a`, which is not less, and removes leading zeros.
fn subtract(a: &mut Vec<u8>, b: &[u8]) {
    let (offset, mut borrow) = (a.len() - b.len(), 0);
    for i in (0..a.len()).rev() {
        let taken = borrow + if i >= offset { b[i - offset] } else { 0 };
        borrow = u8::from(a[i] < taken);
        a[i] = a[i] + 10 * borrow - taken;
    }
    let zeros = a.iter().position(|digit| *digit > 0).unwrap_or(a.len());
    a.drain(..zeros);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_multiple_is_told_by_all_of_its_digits() {
        for (number, divisor, expected) in [
            ("18429401940180491777884", "64", false),
            ("18446744073709551616", "64", true),
            ("-19.99", "0.01", true),
            ("1e300", "1e-3", true),
            ("1", "3", false),
            ("0", "7", true),
            ("7", "0", false),
            ("0.30000000000000000001", "0.1", false),
        ] {
            let (number, divisor) = (Decimal::parse(number).unwrap(), Decimal::parse(divisor).unwrap());
            assert_eq!(number.is_multiple_of(&divisor), expected, "{number:?} {divisor:?}");
        }
    }

    proptest! {
        #[test]
        fn multiples_agree_with_machine_integers(a in any::<u64>(), b in 1_u64..100_000, factor in any::<u64>()) {
            let decimal = |n: u128| Decimal::parse(&n.to_string()).unwrap();
            let divisor = decimal(u128::from(b));
            prop_assert_eq!(decimal(u128::from(a)).is_multiple_of(&divisor), a % b == 0);
            prop_assert!(decimal(u128::from(factor) * u128::from(b)).is_multiple_of(&divisor));
        }
    }
}
