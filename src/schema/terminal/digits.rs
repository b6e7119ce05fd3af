//! Unsigned integers between two bounds, as regular expressions over their digits.

use super::number::Limits;

/// The class of the digits from `from` to `to`.
pub(super) fn digit_class(from: u8, to: u8) -> String {
    if from == to {
        char::from(from).to_string()
    } else {
        format!("[{}-{}]", char::from(from), char::from(to))
    }
}

/// Unsigned integers from `from` to `to`, without leading zeros.
pub(super) fn integer_range(from: &str, to: Option<&str>, limits: Limits) -> Option<String> {
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

/// The integer after `digits`.
pub(super) fn successor(digits: &str) -> String {
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

/// The integer before `digits`; `None` for zero.
pub(super) fn predecessor(digits: &str) -> Option<String> {
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
