//! Printing, rounding and parsing of numbers as in Python.

/// `repr(float)`: the shortest digits that round-trip; with an exponent below 1e-4 and from 1e16 on.
pub(in crate::chat) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// `round(float, digits)`: half to even on the exact decimal value.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    if !value.is_finite() {
        return value;
    }
    match usize::try_from(digits) {
        // Rust prints the exact value rounded half to even, as Python's own algorithm does.
        Ok(digits) => format!("{value:.*}", digits.min(340)).parse().unwrap_or(value),
        Err(_) => {
            let scale = 10f64.powi(-digits);
            if scale.is_infinite() { 0.0 } else { (value / scale).round_ties_even() * scale }
        }
    }
}

/// `int(text, base)`: allows white space around it, a sign, and single underscores between digits.
pub(super) fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = match (base, digits.get(..2).map(str::to_ascii_lowercase).as_deref()) {
        (16, Some("0x")) | (8, Some("0o")) | (2, Some("0b")) => &digits[2..],
        _ => digits,
    };
    // Rust would accept a second sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(&without_underscores(digits)?, base).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// `float(text)`.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let unsigned = text.trim_start_matches(['+', '-']);
    let word = unsigned.to_ascii_lowercase();
    if !matches!(word.as_str(), "inf" | "infinity" | "nan")
        && !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
    {
        return None;
    }
    without_underscores(text)?.parse().ok()
}

/// `digits` without the single underscores that Python allows between two digits.
fn without_underscores(digits: &str) -> Option<String> {
    if !digits.contains('_') {
        return (!digits.starts_with(['+', '-']) || digits.len() > 1).then(|| digits.to_owned());
    }
    let bytes = digits.as_bytes();
    let between = |i: usize| {
        i > 0
            && bytes[i - 1].is_ascii_alphanumeric()
            && bytes.get(i + 1).is_some_and(|b| b.is_ascii_alphanumeric())
    };
    let fine = (0..bytes.len()).all(|i| bytes[i] != b'_' || between(i));
    fine.then(|| digits.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (1e-4, "0.0001"),
            (1.25e-5, "1.25e-05"),
            (1e100, "1e+100"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float_repr(value), text);
        }
    }

    #[test]
    fn rounding_goes_half_to_even_on_the_exact_value() {
        assert_eq!(round(2.675, 2), 2.67);
        assert_eq!(round(0.5, 0), 0.0);
        assert_eq!(round(1.5, 0), 2.0);
        assert_eq!(round(1234.0, -2), 1200.0);
    }

    #[test]
    fn integers_are_read_as_python_reads_them() {
        assert_eq!(parse_int(" +1_000 ", 10), Some(1000));
        assert_eq!(parse_int("0x1F", 16), Some(31));
        for bad in ["", "-", "1__0", "_1", "1.5", "--1", "+-1"] {
            assert_eq!(parse_int(bad, 10), None, "{bad}");
        }
    }
}
