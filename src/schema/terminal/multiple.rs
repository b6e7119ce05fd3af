//! Literals of multiples of a number, as far as their last digits decide it.

use serde_json::Value;

use super::number::{Limits, integral_tail};
use crate::schema::value::decimal::Decimal;

/// Regular expression for the multiples of `divisor`, if their last digits decide it: `divisor`, in units of its
/// last decimal place, must divide 1,000. `None` for other divisors.
pub(crate) fn multiples(divisor: &Decimal, integers: bool, limits: Limits) -> Option<String> {
    if divisor.negative || divisor.is_zero() {
        return None;
    }
    let places = divisor.fraction.len();
    if places > limits.fraction {
        return None;
    }
    let unit: u64 = format!("{}{}", divisor.integer, divisor.fraction).parse().ok()?;
    let (mut power, mut digits) = (1_u64, 0_usize);
    while power % unit != 0 {
        power *= 10;
        digits += 1;
        if digits > 3 {
            return None;
        }
    }
    if integers {
        // An integer is a multiple of d = unit / 10^places if it is one of the least integer multiple of d.
        let mut step = unit;
        let mut left = places;
        while left > 0 && step.is_multiple_of(10) {
            step /= 10;
            left -= 1;
        }
        let scale = 10_u64.checked_pow(u32::try_from(left).ok()?)?;
        let step = step / gcd(step, scale);
        return endings(step, limits).map(|e| format!("{e}{}", integral_tail(limits)));
    }
    if places == 0 {
        return endings(unit, limits).map(|e| format!(r"{e}(?:\.0{{1,8}})?"));
    }
    // Multiples of a fraction are decided by the digits of the fraction.
    let power = 10_u64.checked_pow(u32::try_from(places).ok()?)?;
    if power % unit != 0 {
        return None;
    }
    let mut branches = Vec::new();
    for multiple in (0..power).step_by(usize::try_from(unit).ok()?) {
        let text = format!("{multiple:0places$}");
        let text = text.trim_end_matches('0');
        branches.push(if text.is_empty() {
            r"(?:\.0{1,8})?".to_string()
        } else {
            format!(r"\.{text}0{{0,4}}")
        });
        if branches.len() > 1000 {
            return None;
        }
    }
    Some(format!("-?(?:0|[1-9][0-9]{{0,{}}})(?:{})", limits.integer, branches.join("|")))
}

/// The multiples of a number, in every spelling without an exponent; `None` if their last digits do not
/// decide it.
pub(crate) fn every_multiple(divisor: &Value, limits: Limits) -> Option<String> {
    let divisor = Decimal::from_value(divisor)?;
    let limits = Limits { integral_fraction: true, ..limits };
    multiples(&divisor, false, limits).map(|text| without_limits(&text))
}

/// The expression with any number of zeros instead of a few.
fn without_limits(text: &str) -> String {
    text.replace("0{1,8}", "0+").replace("0{0,4}", "0*")
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Integers whose last digits make them multiples of `step`.
fn endings(step: u64, limits: Limits) -> Option<String> {
    if step == 1 {
        return Some(format!("-?(?:0|[1-9][0-9]{{0,{}}})", limits.integer));
    }
    let (mut power, mut digits) = (1_u64, 0_usize);
    while power % step != 0 {
        power *= 10;
        digits += 1;
        if digits > 3 {
            return None;
        }
    }
    let mut long = Vec::new();
    let mut short = vec!["0".to_string()];
    for multiple in (0..power).step_by(usize::try_from(step).ok()?) {
        long.push(format!("{multiple:0digits$}"));
        if multiple > 0 {
            short.push(multiple.to_string());
        }
    }
    Some(format!(
        "-?(?:{}|[1-9][0-9]{{0,{}}}(?:{}))",
        short.join("|"),
        limits.integer.saturating_sub(digits),
        long.join("|")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { integer: 5, fraction: 4, integral_fraction: false, open: false };

    fn matcher(text: &str) -> regex::Regex {
        regex::Regex::new(&format!("^(?:{text})$")).unwrap()
    }

    #[test]
    fn multiples_are_told_by_their_last_digits() {
        for (divisor, whole) in
            [("5", true), ("4", true), ("100", true), ("0.5", true), ("0.25", false), ("2", false)]
        {
            let divisor_value: f64 = divisor.parse().unwrap();
            let regex = matcher(&multiples(&Decimal::parse(divisor).unwrap(), whole, LIMITS).unwrap());
            for i in -4000..=4000 {
                let value = f64::from(i) / if whole { 1.0 } else { 100.0 };
                let literal = value.to_string();
                let expected = (value / divisor_value).fract() == 0.0;
                assert_eq!(regex.is_match(&literal), expected, "{literal} of {divisor}");
            }
        }
        assert_eq!(multiples(&Decimal::parse("7").unwrap(), true, LIMITS), None);
    }
}
