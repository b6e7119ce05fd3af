//! The known word that a misspelt one was meant to be.

/// Longest word that is compared; no key known here is as long.
const MAX_LENGTH: usize = 40;

/// The one of `known` that `word` resembles: equal but for case, `_` and `-`, or a few letters away (none for
/// words of up to three letters, one up to five, else two). `None` if `word` itself is known.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if known.contains(&word) || word.len() > MAX_LENGTH {
        return None;
    }
    let plain = letters(word);
    let limit = match plain.len() {
        0 => return None,
        1..=3 => 0,
        4..=5 => 1,
        _ => 2,
    };
    let distances = known.iter().map(|known| (distance(&plain, &letters(known)), *known));
    distances.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, k)| k)
}

/// The letters of a word in lower case, without `_`, `-` and spaces.
pub fn letters(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions, substitutions and swaps of neighbours that make `b` of `a`.
pub fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_word_is_recognized_and_another_word_is_not() {
        let known = ["properties", "required", "type", "minLength", "not", "parameters"];
        for (word, meant) in [
            ("propertis", Some("properties")),
            ("Properties", Some("properties")),
            ("porperties", Some("properties")),
            ("require", Some("required")),
            ("requird", Some("required")),
            ("min_length", Some("minLength")),
            ("minlength", Some("minLength")),
            ("paramaters", Some("parameters")),
            ("tpye", Some("type")),
            ("nto", None),
            ("city", None),
            ("order", None),
            ("type", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
        assert_eq!(nearest(&"p".repeat(1_000_000), &known), None);
    }
}
