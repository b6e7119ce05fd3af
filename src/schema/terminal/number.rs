//! Number literals within bounds, as regular expressions over decimal digits.
//!
//! Literals have limits on digits and exponent, so that a model cannot write digits forever. With a range, no
//! exponent is allowed: comparing numbers is then comparing digits.

use std::cmp::Ordering;

use crate::schema::value::decimal::{Bound, Decimal};

/// Limits of a literal: integer digits after the first, and fraction digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) integer: usize,
    pub(crate) fraction: usize,
    /// True if `1.0` may stand for the integer 1, as in the standard.
    pub(crate) integral_fraction: bool,
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

pub(crate) fn integral_tail(limits: Limits) -> &'static str {
    if limits.integral_fraction { r"(?:\.0{1,8})?" } else { "" }
}

/// The literals between the bounds, of `integers` or of any numbers; `None` if there are none.
pub(crate) fn range(
    low: Option<&Bound>,
    high: Option<&Bound>,
    integers: bool,
    limits: Limits,
) -> Option<String> {
    let mut branches = Vec::new();
    // Negative numbers mirror positive ones: -high..-low.
    let zero = Bound { value: Decimal::zero(), exclusive: true };
    let at_zero = Bound { value: Decimal::zero(), exclusive: false };
    let reaches_below = low.is_none_or(|b| b.value < Decimal::zero());
    if reaches_below {
        let far = low.map(|b| Bound { value: b.value.magnitude(), exclusive: b.exclusive });
        let near = match high {
            Some(b) if b.value < Decimal::zero() => {
                Bound { value: b.value.magnitude(), exclusive: b.exclusive }
            }
            _ => zero,
        };
        if let Some(text) = positive(&near, far.as_ref(), integers, limits) {
            branches.push(format!("-{text}"));
        }
    }
    let reaches_up = high.is_none_or(|b| b.value > Decimal::zero() || (b.value.is_zero() && !b.exclusive));
    if reaches_up {
        let near = match low {
            Some(b) if b.value >= Decimal::zero() => b.clone(),
            _ => at_zero,
        };
        if let Some(text) = positive(&near, high, integers, limits) {
            branches.push(text);
        }
    }
    // Minus zero equals zero.
    let holds_zero = |low: Option<&Bound>, high: Option<&Bound>| {
        low.is_none_or(|b| b.value < Decimal::zero() || (b.value.is_zero() && !b.exclusive))
            && high.is_none_or(|b| b.value > Decimal::zero() || (b.value.is_zero() && !b.exclusive))
    };
    if limits.integral_fraction && holds_zero(low, high) {
        branches.push(r"-0(?:\.0{1,8})?".into());
    }
    match branches.len() {
        0 => None,
        _ => Some(format!("(?:{})", branches.join("|"))),
    }
}

/// Unsigned literals from `low` to `high`; both are non-negative.
fn positive(low: &Bound, high: Option<&Bound>, integers: bool, limits: Limits) -> Option<String> {
    if integers {
        let mut from = low.value.integer.clone();
        if !low.value.fraction.is_empty() || low.exclusive {
            from = successor(&from);
        }
        let to = match high {
            Some(b) => {
                if b.value.fraction.is_empty() && b.exclusive {
                    Some(predecessor(&b.value.integer)?)
                } else {
                    Some(b.value.integer.clone())
                }
            }
            None => None,
        };
        let digits = integer_range(&from, to.as_deref(), limits)?;
        return Some(format!("(?:{digits}){}", integral_tail(limits)));
    }
    let mut branches = Vec::new();
    let any_fraction = format!(r"(?:\.[0-9]{{1,{}}})?", limits.fraction.max(1));
    let same = high.is_some_and(|b| b.value.integer == low.value.integer);
    if same {
        let high = high.expect("`same` looked at it");
        return fraction_between(low, high, limits).map(|f| format!("{}(?:{f})", low.value.integer));
    }
    // The integer part of `low` itself.
    if let Some(f) = fraction_bound(&low.value.fraction, Ordering::Greater, !low.exclusive, limits) {
        branches.push(format!("{}(?:{f})", low.value.integer));
    }
    match high {
        None => {
            if let Some(above) = integer_range(&successor(&low.value.integer), None, limits) {
                branches.push(format!("(?:{above}){any_fraction}"));
            }
        }
        Some(b) => {
            let (from, to) = (&low.value.integer, &b.value.integer);
            if from.len().cmp(&to.len()).then_with(|| from.cmp(to)) == Ordering::Greater {
                return None;
            }
            if let Some(below) = predecessor(&b.value.integer)
                && let Some(between) = integer_range(&successor(&low.value.integer), Some(&below), limits)
            {
                branches.push(format!("(?:{between}){any_fraction}"));
            }
            if let Some(f) = fraction_bound(&b.value.fraction, Ordering::Less, !b.exclusive, limits) {
                branches.push(format!("{}(?:{f})", b.value.integer));
            }
        }
    }
    match branches.len() {
        0 => None,
        _ => Some(format!("(?:{})", branches.join("|"))),
    }
}

/// Fractions (with their point, or empty) on one `side` of `.digits`, and `.digits` itself if `or_equal`.
fn fraction_bound(digits: &str, side: Ordering, or_equal: bool, limits: Limits) -> Option<String> {
    let max = limits.fraction.max(digits.len() + 1);
    let mut branches = Vec::new();
    let chars: Vec<u8> = digits.bytes().collect();
    let more = |n: usize| format!("[0-9]{{0,{}}}", max - n);
    match side {
        Ordering::Greater => {
            for (i, d) in chars.iter().enumerate() {
                if *d < b'9' {
                    branches.push(format!(r"\.{}{}{}", &digits[..i], digit_class(d + 1, b'9'), more(i + 1)));
                }
            }
            if or_equal {
                if digits.is_empty() {
                    branches.push(format!(r"(?:\.[0-9]{{1,{max}}})?"));
                } else {
                    branches.push(format!(r"\.{digits}{}", more(digits.len())));
                }
            } else {
                // Strictly above: some later digit is not zero.
                branches.push(format!(
                    r"\.{digits}0{{0,{}}}[1-9]{}",
                    max - digits.len() - 1,
                    more(digits.len() + 1)
                ));
            }
        }
        _ => {
            for (i, d) in chars.iter().enumerate() {
                if i > 0 {
                    branches.push(format!(r"\.{}", &digits[..i]));
                } else {
                    branches.push(String::new());
                }
                if *d > b'0' {
                    branches.push(format!(r"\.{}{}{}", &digits[..i], digit_class(b'0', d - 1), more(i + 1)));
                }
            }
            if or_equal {
                if digits.is_empty() {
                    branches.push(r"(?:\.0{1,8})?".to_string());
                } else {
                    branches.push(format!(r"\.{digits}0{{0,4}}"));
                }
            }
        }
    }
    if branches.is_empty() { None } else { Some(branches.join("|")) }
}

/// Fractions between two bounds with the same integer part.
fn fraction_between(low: &Bound, high: &Bound, limits: Limits) -> Option<String> {
    let width = low.value.fraction.len().max(high.value.fraction.len());
    let max = limits.fraction.max(width + 1);
    let low_digits: Vec<u8> = padded(&low.value.fraction, width);
    let high_digits: Vec<u8> = padded(&high.value.fraction, width);
    match low_digits.cmp(&high_digits) {
        Ordering::Greater => return None,
        Ordering::Equal if low.exclusive || high.exclusive => return None,
        _ => {}
    }
    let mut branches = Vec::new();
    // The low bound itself, followed by any zeros, and shorter spellings of it.
    let significant = low.value.fraction.len();
    let text = |digits: &[u8]| String::from_utf8_lossy(digits).into_owned();
    if !low.exclusive {
        if significant == 0 {
            branches.push(r"(?:\.0{1,8})?".to_string());
        } else {
            branches.push(format!(r"\.{}0{{0,4}}", low.value.fraction));
        }
    }
    if low_digits == high_digits {
        return Some(branches.join("|"));
    }
    let split = (0..width).find(|i| low_digits[*i] != high_digits[*i])?;
    let more = |n: usize| format!("[0-9]{{0,{}}}", max - n);
    // Above low: the same prefix, then a greater digit (below high's at the split).
    branches.push(format!(r"\.{}0{{0,{}}}[1-9]{}", text(&low_digits), max - width - 1, more(width + 1)));
    for i in (split + 1..width).rev() {
        if low_digits[i] < b'9' {
            branches.push(format!(
                r"\.{}{}{}",
                text(&low_digits[..i]),
                digit_class(low_digits[i] + 1, b'9'),
                more(i + 1)
            ));
        }
    }
    if high_digits[split] > low_digits[split] + 1 {
        branches.push(format!(
            r"\.{}{}{}",
            text(&low_digits[..split]),
            digit_class(low_digits[split] + 1, high_digits[split] - 1),
            more(split + 1)
        ));
    }
    for i in split + 1..width {
        // A spelling that ends here is below high if any of high's remaining digits is not zero.
        if high_digits[i..].iter().any(|d| *d > b'0') {
            branches.push(format!(r"\.{}", text(&high_digits[..i])));
        }
        if high_digits[i] > b'0' {
            branches.push(format!(
                r"\.{}{}{}",
                text(&high_digits[..i]),
                digit_class(b'0', high_digits[i] - 1),
                more(i + 1)
            ));
        }
    }
    if !high.exclusive {
        branches.push(format!(r"\.{}0{{0,4}}", high.value.fraction));
    }
    Some(branches.join("|"))
}

fn padded(fraction: &str, width: usize) -> Vec<u8> {
    let mut digits: Vec<u8> = fraction.bytes().collect();
    digits.resize(width, b'0');
    digits
}

fn digit_class(from: u8, to: u8) -> String {
    if from == to {
        char::from(from).to_string()
    } else {
        format!("[{}-{}]", char::from(from), char::from(to))
    }
}

/// Unsigned integers from `from` to `to`, without leading zeros.
fn integer_range(from: &str, to: Option<&str>, limits: Limits) -> Option<String> {
    let mut branches = Vec::new();
    match to {
        None => {
            let nines = "9".repeat(from.len());
            same_length(from.as_bytes(), nines.as_bytes(), "", &mut branches);
            let most = (limits.integer + 1).max(from.len() + 1);
            branches.push(format!("[1-9][0-9]{{{},{}}}", from.len(), most - 1));
        }
        Some(to) => {
            if from.len() > to.len() || (from.len() == to.len() && from > to) {
                return None;
            }
            if from.len() == to.len() {
                same_length(from.as_bytes(), to.as_bytes(), "", &mut branches);
            } else {
                same_length(from.as_bytes(), "9".repeat(from.len()).as_bytes(), "", &mut branches);
                if to.len() - from.len() > 1 {
                    branches.push(format!("[1-9][0-9]{{{},{}}}", from.len(), to.len() - 2));
                }
                let first = format!("1{}", "0".repeat(to.len() - 1));
                same_length(first.as_bytes(), to.as_bytes(), "", &mut branches);
            }
        }
    }
    Some(branches.join("|"))
}

/// Digit strings of one length between `from` and `to`.
fn same_length(from: &[u8], to: &[u8], prefix: &str, out: &mut Vec<String>) {
    let n = from.len();
    if n == 0 {
        out.push(prefix.to_string());
        return;
    }
    if from.iter().all(|d| *d == b'0') && to.iter().all(|d| *d == b'9') {
        out.push(format!("{prefix}[0-9]{{{n}}}"));
        return;
    }
    if from[0] == to[0] {
        let prefix = format!("{prefix}{}", char::from(from[0]));
        same_length(&from[1..], &to[1..], &prefix, out);
        return;
    }
    let (mut first, mut last) = (from[0], to[0]);
    if from[1..].iter().any(|d| *d != b'0') {
        let nines = vec![b'9'; n - 1];
        same_length(&from[1..], &nines, &format!("{prefix}{}", char::from(first)), out);
        first += 1;
    }
    let ends_open = to[1..].iter().any(|d| *d != b'9');
    if ends_open {
        last -= 1;
    }
    if first <= last {
        let rest = if n > 1 { format!("[0-9]{{{}}}", n - 1) } else { String::new() };
        out.push(format!("{prefix}{}{rest}", digit_class(first, last)));
    }
    if ends_open {
        let zeros = vec![b'0'; n - 1];
        let head = format!("{prefix}{}", char::from(to[0]));
        same_length(&zeros, &to[1..], &head, out);
    }
}

fn successor(digits: &str) -> String {
    let mut out: Vec<u8> = digits.bytes().collect();
    for d in out.iter_mut().rev() {
        if *d < b'9' {
            *d += 1;
            return String::from_utf8_lossy(&out).into_owned();
        }
        *d = b'0';
    }
    format!("1{}", String::from_utf8_lossy(&out))
}

fn predecessor(digits: &str) -> Option<String> {
    if digits == "0" {
        return None;
    }
    let mut out: Vec<u8> = digits.bytes().collect();
    for d in out.iter_mut().rev() {
        if *d > b'0' {
            *d -= 1;
            break;
        }
        *d = b'9';
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    let trimmed = text.trim_start_matches('0');
    Some(if trimmed.is_empty() { "0".into() } else { trimmed.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { integer: 5, fraction: 4, integral_fraction: false };

    fn bound(text: &str, exclusive: bool) -> Bound {
        Bound { value: Decimal::parse(text).unwrap(), exclusive }
    }

    fn matcher(text: &str) -> regex::Regex {
        regex::Regex::new(&format!("^(?:{text})$")).unwrap()
    }

    #[test]
    fn a_range_takes_exactly_the_literals_between_its_bounds() {
        let bounds =
            ["-120", "-10.5", "-1", "-0.25", "0", "0.05", "0.1", "1", "9", "9.99", "10", "123.4", "1e3"];
        let literals: Vec<String> = (-1300..=1300)
            .map(|i| i.to_string())
            .chain((-300..=300).map(|i| format!("{:.2}", f64::from(i) / 20.0)))
            .chain((-300..=300).map(|i| format!("{:.1}", f64::from(i) / 2.0)))
            .collect();
        for low in bounds {
            for high in bounds {
                for (open, close) in [(false, false), (true, false), (false, true), (true, true)] {
                    let (low, high) = (bound(low, open), bound(high, close));
                    for whole in [false, true] {
                        let regex = range(Some(&low), Some(&high), whole, LIMITS).map(|t| matcher(&t));
                        for literal in &literals {
                            let value = Decimal::parse(literal).unwrap();
                            let above = value > low.value || (value == low.value && !open);
                            let below = value < high.value || (value == high.value && !close);
                            let shaped = !whole || !literal.contains('.');
                            let minus_zero = literal.starts_with('-') && value.is_zero();
                            let got = regex.as_ref().is_some_and(|r| r.is_match(literal));
                            assert_eq!(
                                got,
                                above && below && shaped && !minus_zero,
                                "{literal} in {low:?}..{high:?}, integers {whole}"
                            );
                        }
                    }
                }
            }
        }
    }
}
