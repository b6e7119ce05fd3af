//! Parsers for numbers, whose errors say which numbers are possible.

use std::num::NonZeroUsize;

/// Parses a whole number of 1 or more.
pub fn positive(text: &str) -> Result<NonZeroUsize, String> {
    let number = number(text, 1, usize::MAX as u64)?;
    Ok(NonZeroUsize::new(number as usize).expect("the range begins with 1"))
}

/// Parses a whole number of 0 or more, as a seed.
pub fn seed(text: &str) -> Result<u64, String> {
    number(text, 0, u64::MAX)
}

/// Parses a whole number of 0 or more, as a count.
#[cfg(feature = "engine")]
pub fn whole(text: &str) -> Result<usize, String> {
    number(text, 0, usize::MAX as u64).map(|number| number as usize)
}

/// Parser for a whole number from `least` to `most`.
pub fn between(least: u32, most: u32) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync {
    move |text| number(text, least.into(), most.into()).map(|number| number as u32)
}

/// Parses a size of memory, such as `512M` or `1.5G`, in bytes. Units are powers of 1024, as data sheets of memory mean
/// them, with or without `B` or `iB`.
pub fn memory(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size such as 512M or 2G";
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(unit);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(EXPECTED.into()),
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| is_plain).ok_or(EXPECTED)?;
    let bytes = number * (1_u64 << shift) as f64;
    match bytes {
        1.0..9e15 => Ok(bytes as u64),
        9e15.. => Err("at most 8191T is possible".into()),
        _ => Err(EXPECTED.into()),
    }
}

fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        // A bound that no one reaches is only worth a word to those who do.
        Ok(number) if number >= least && most >= u32::MAX.into() => {
            Err(format!("at most {most} is possible"))
        }
        _ if most >= u32::MAX.into() => Err(format!("expected a whole number of {least} or more")),
        _ => Err(format!("expected a whole number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_is_refused_in_words() {
        for text in ["0", "-1", "two", "", "1.5", "99999999999999999999"] {
            assert_eq!(positive(text).unwrap_err(), "expected a whole number of 1 or more", "{text}");
        }
        assert_eq!(positive("12").unwrap().get(), 12);
        assert_eq!(seed("-1").unwrap_err(), "expected a whole number of 0 or more");
        assert_eq!(between(1, 100)("101").unwrap_err(), "expected a whole number from 1 to 100");
        assert_eq!(between(1, u32::MAX)("0").unwrap_err(), "expected a whole number of 1 or more");
        assert_eq!(between(1, u32::MAX)("5000000000").unwrap_err(), "at most 4294967295 is possible");
        assert_eq!(between(0, 100)("0").unwrap(), 0);
    }
    #[test]
    fn a_size_of_memory_has_a_unit_of_powers_of_1024() {
        for (text, bytes) in [
            ("512M", 512 << 20),
            ("2G", 2 << 30),
            ("2GB", 2 << 30),
            ("1.5gib", 3 << 29),
            ("1k", 1024),
            ("1T", 1 << 40),
        ] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for text in ["", "2", "G", "-1G", "0G", "1e3G", "2X", "2 G", "infG", "nanM", "1..5G", "2GiBs"] {
            assert_eq!(memory(text).unwrap_err(), "expected a size such as 512M or 2G", "{text}");
        }
        assert_eq!(memory("99999999T").unwrap_err(), "at most 8191T is possible");
    }
}
