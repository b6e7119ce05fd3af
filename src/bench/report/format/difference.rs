//! Word-by-word difference of two answers.

/// A piece of text; true if it occurs in both texts.
pub(super) type Piece<'a> = (bool, &'a str);

/// Maximum number of words of an answer; longer ones are compared as a whole.
const MAX_WORDS: usize = 1500;

/// Splits two texts into common and differing pieces. The pieces of each side join to its text.
pub(super) fn difference<'a>(a: &'a str, b: &'a str) -> (Vec<Piece<'a>>, Vec<Piece<'a>>) {
    let (left, right) = (words(a), words(b));
    if left.len() > MAX_WORDS || right.len() > MAX_WORDS {
        return (vec![(a == b, a)], vec![(a == b, b)]);
    }
    // lengths[i][j] is the length of the longest common subsequence of left[i..] and right[j..].
    let mut lengths = vec![vec![0u16; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            lengths[i][j] = match left[i] == right[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut in_left, mut in_right) = (vec![false; left.len()], vec![false; right.len()]);
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if left[i] == right[j] {
            (in_left[i], in_right[j]) = (true, true);
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    (pieces(a, &left, &in_left), pieces(b, &right, &in_right))
}

/// Joins neighbouring words that are both common or both differing.
fn pieces<'a>(text: &'a str, words: &[&'a str], common: &[bool]) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    let (mut start, mut end) = (0, 0);
    for (i, word) in words.iter().enumerate() {
        end += word.len();
        if common.get(i + 1) != Some(&common[i]) {
            pieces.push((common[i], &text[start..end]));
            start = end;
        }
    }
    pieces
}

/// Splits a text into runs of letters and digits, and single other characters.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first.is_alphanumeric() {
            true => rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_has_alone_is_marked() {
        let (left, right) = difference("a table for 2", "a big table for 3");
        assert_eq!(left, [(true, "a table for "), (false, "2")]);
        assert_eq!(right, [(true, "a "), (false, "big "), (true, "table for "), (false, "3")]);
    }

    proptest::proptest! {
        #[test]
        fn pieces_make_up_their_text_and_the_same_ones_are_the_same(a in "[ab é]{0,12}", b in "[ab é]{0,12}") {
            let (left, right) = difference(&a, &b);
            let all = |pieces: &[Piece<'_>]| pieces.iter().map(|(_, text)| *text).collect::<String>();
            let common = |pieces: &[Piece<'_>]| {
                pieces.iter().filter(|(same, _)| *same).map(|(_, text)| *text).collect::<String>()
            };
            proptest::prop_assert_eq!(all(&left), a.as_str());
            proptest::prop_assert_eq!(all(&right), b.as_str());
            proptest::prop_assert_eq!(common(&left), common(&right));
        }
    }
}
