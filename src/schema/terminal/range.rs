//! Number literals between two bounds.

use std::cmp::Ordering;

use super::digits::{digit_class, integer_range, predecessor, successor};
use super::number::{Limits, integral_tail};
use crate::schema::value::decimal::{Bound, Decimal};

/// Integer digits up to which the far bound may lead; past them literals end as without it, as far as the near bound lets
/// them.
pub(crate) const READABLE_DIGITS: usize = 20;

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
    if limits.open && holds_zero(low, high) {
        branches.push(if integers { "-0" } else { r"-0(?:\.0{1,8})?" }.into());
    }
    match branches.len() {
        0 => None,
        _ => Some(format!("(?:{})", branches.join("|"))),
    }
}

/// Unsigned literals from `low` to `high`; both are non-negative.
fn positive(low: &Bound, high: Option<&Bound>, integers: bool, limits: Limits) -> Option<String> {
    let readable = READABLE_DIGITS.max(low.value.integer.len() + 1);
    let high = high.filter(|high| high.value.integer.len() <= readable);
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

/// Regular expression for the fractions (a point and digits, or nothing) that are less or greater than `.digits`, as
/// `side` says, or with `or_equal` the same; `None` if there are none.
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { integer: 5, fraction: 4, integral_fraction: false, open: false };

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
