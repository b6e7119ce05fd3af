//! The API key in a server's text, in any spelling, replaced with dashes.
//!
//! A server may repeat the request in an error page, a `Location` or a log line, escaped as that place demands. So each
//! character of the key is recognized as it stands, and as the escapes of URLs, JSON and HTML write it; the base64 of
//! the key is recognized at any offset, as in `Basic` credentials.

use serde_json::{Map, Value};

/// Replacement for the key.
const DASHES: &str = "---";

/// Length from which a key is taken for a secret inside an answer. Placeholders for servers without keys, such as `EMPTY`
/// or `none`, are shorter, and are words that a right answer may contain.
const SECRET_FROM: usize = 6;

/// A text to be replaced in whatever a server sends.
#[derive(Clone)]
pub(super) struct Redaction {
    secret: Vec<u8>,
    /// Base64 of the secret at the three offsets, without the characters that depend on neighbours.
    base64: Vec<String>,
}

impl Redaction {
    /// Redaction of `secret`, which has only ASCII characters and at least one.
    pub(super) fn new(secret: &str) -> Redaction {
        let is_secret = secret.len() >= SECRET_FROM;
        let base64 = (0..3).filter(|_| is_secret).flat_map(|offset| base64_forms(secret.as_bytes(), offset));
        Redaction { secret: secret.as_bytes().to_vec(), base64: base64.collect() }
    }

    /// `text` without the secret.
    pub(super) fn cut_out(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let (mut out, mut kept, mut at) = (String::new(), 0, 0);
        while at < bytes.len() {
            match self.secret_at(bytes, at) {
                // Matches begin and end at ASCII characters.
                Some(end) if text.is_char_boundary(at) && text.is_char_boundary(end) => {
                    out.push_str(&text[kept..at]);
                    out.push_str(DASHES);
                    (kept, at) = (end, end);
                }
                _ => at += 1,
            }
        }
        out.push_str(&text[kept..]);
        out
    }

    /// Cuts the secret out of all texts and keys of an answer, unless it is a placeholder.
    pub(super) fn cut_out_of(&self, answer: &mut Value) {
        if self.secret.len() < SECRET_FROM {
            return;
        }
        match answer {
            Value::String(text) if self.is_in(text) => *text = self.cut_out(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.cut_out_of(item)),
            Value::Object(fields) => {
                if fields.keys().any(|key| self.is_in(key)) {
                    let renamed = |(key, value): (String, Value)| (self.cut_out(&key), value);
                    *fields = std::mem::take(fields).into_iter().map(renamed).collect::<Map<_, _>>();
                }
                fields.values_mut().for_each(|value| self.cut_out_of(value));
            }
            _ => {}
        }
    }

    fn is_in(&self, text: &str) -> bool {
        (0..text.len()).any(|at| self.secret_at(text.as_bytes(), at).is_some())
    }

    /// End of the secret that begins at `at`.
    fn secret_at(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = &text[at..];
        if let Some(form) = self.base64.iter().find(|form| rest.starts_with(form.as_bytes())) {
            return Some(at + form.len());
        }
        self.secret.iter().try_fold(at, |at, &byte| Some(at + spelling(&text[at..], byte)?))
    }
}

/// Length of the spelling of `byte` that `text` begins with: itself, or one of its escapes.
fn spelling(text: &[u8], byte: u8) -> Option<usize> {
    let first = *text.first()?;
    let is_hex = |from: usize, digits: usize| {
        let digits = text.get(from..from + digits)?;
        let value = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        (value == u32::from(byte)).then_some(from + digits.len())
    };
    let escaped = match first {
        // A URL inside a URL is encoded twice.
        b'%' => is_hex(1, 2).or_else(|| text.starts_with(b"%25").then(|| is_hex(3, 2)).flatten()),
        b'\\' => {
            // JSON inside of JSON doubles the backslash.
            let backslashes = text.iter().take_while(|&&byte| byte == b'\\').count();
            let next = *text.get(backslashes).unwrap_or(&0);
            match next {
                b'u' | b'U' if is_hex(backslashes + 1, 4).is_some() => is_hex(backslashes + 1, 4),
                b'x' if is_hex(backslashes + 1, 2).is_some() => is_hex(backslashes + 1, 2),
                next if next == byte && !byte.is_ascii_alphanumeric() && byte != b'\\' => {
                    Some(backslashes + 1)
                }
                _ if byte == b'\\' && backslashes > 1 => Some(2),
                _ => None,
            }
        }
        b'&' => entity(text, byte),
        _ => None,
    };
    escaped.or((first == byte).then_some(1))
}

/// Length of the HTML entity of `byte` that `text` begins with.
fn entity(text: &[u8], byte: u8) -> Option<usize> {
    let end = text.iter().take(10).position(|&byte| byte == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let code = match name {
        "amp" => u32::from(b'&'),
        "lt" => u32::from(b'<'),
        "gt" => u32::from(b'>'),
        "quot" => u32::from(b'"'),
        "apos" => u32::from(b'\''),
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => u32::from_str_radix(&hex[1..], 16).ok()?,
            decimal => decimal.parse().ok()?,
        },
    };
    (code == u32::from(byte)).then_some(end + 1)
}

/// Base64 of `secret` behind `offset` other bytes, in both alphabets, without the characters that other bytes share.
fn base64_forms(secret: &[u8], offset: usize) -> Vec<String> {
    let bits: Vec<u8> = std::iter::repeat_n(0, offset)
        .chain(secret.iter().copied())
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let own = (offset * 8).div_ceil(6);
    let sextets = bits.chunks_exact(6).skip(own).map(|six| six.iter().fold(0, |value, bit| value << 1 | bit));
    let sextets: Vec<u8> = sextets.collect();
    let form = |last: [char; 2]| -> String {
        let character = |&sextet: &u8| match sextet {
            0..26 => (b'A' + sextet) as char,
            26..52 => (b'a' + sextet - 26) as char,
            52..62 => (b'0' + sextet - 52) as char,
            _ => last[usize::from(sextet - 62)],
        };
        sextets.iter().map(character).collect()
    };
    vec![form(['+', '/']), form(['-', '_'])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = r#"sk-a/b+c=d"e&f~1"#;

    #[test]
    fn the_key_is_cut_out_in_every_spelling() {
        let redaction = Redaction::new(KEY);
        for spelling in [
            KEY,
            r#"sk-a\/b+c=d\"e&f~1"#,
            r#"sk-a\\\/b+c=d\\\"e&f~1"#,
            "sk-a%2Fb%2Bc%3Dd%22e%26f~1",
            "%73%6b%2d%61%2f%62%2b%63%3d%64%22%65%26%66%7e%31",
            "sk-a%252Fb%252Bc%253Dd%2522e%2526f~1",
            r#"\u0073k-a/b+c=d\u0022e\u0026f~1"#,
            "sk-a/b+c=d&quot;e&amp;f~1",
            "sk-a&#47;b&#x2b;c=d&#34;e&#38;f~1",
        ] {
            let cut = redaction.cut_out(&format!("é Bearer {spelling}é"));
            assert_eq!(cut, "é Bearer ---é", "{spelling}");
        }
    }

    #[test]
    fn the_key_is_cut_out_of_base64_at_any_offset() {
        let redaction = Redaction::new("sk-secret-key-1234");
        // Basic credentials without a user's name, with one, and the header's whole value.
        for text in [
            "OnNrLXNlY3JldC1rZXktMTIzNA==",
            "bWU6c2stc2VjcmV0LWtleS0xMjM0",
            "QmVhcmVyIHNrLXNlY3JldC1rZXktMTIzNA==",
        ] {
            let cut = redaction.cut_out(text);
            assert!(cut.contains("---") && cut.len() <= 16, "{text}: {cut}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let redaction = Redaction::new("sk-secret");
        for text in ["", "sk-secre", "SK-SECRET", "100 % of \\u00e9 &amp; %", "é\\", "sk-%", "&#", "\\u00"] {
            assert_eq!(redaction.cut_out(text), text);
        }
        assert_eq!(redaction.cut_out("sk-sk-secretsk-secret!"), "sk-------!");
    }

    #[test]
    fn texts_and_names_of_an_answer_lose_the_key_and_placeholders_stay_words() {
        let mut answer =
            json!({"sk-secret": [{"owned_by": "me, sk-secret"}, 1, null], "b": "\\u0073k-secret"});
        Redaction::new("sk-secret").cut_out_of(&mut answer);
        assert_eq!(answer, json!({"---": [{"owned_by": "me, ---"}, 1, null], "b": "---"}));
        let mut answer = json!({"none": "none"});
        Redaction::new("none").cut_out_of(&mut answer);
        assert_eq!(answer, json!({"none": "none"}));
    }
}
