//! The check before encoding: blocks cannot represent infinities or NaNs.

use super::dispatch::{self, Kernel};
use super::vector::Vector;

/// Index of the first infinity or NaN in `row`.
pub fn first_non_finite(row: &[f32]) -> Option<usize> {
    const CHUNK: usize = 256;
    // The vectorized check only tells whether a chunk is clean; the index is searched once, at the end.
    let clean = row.chunks(CHUNK).take_while(|chunk| dispatch::run(AllFinite(chunk))).count() * CHUNK;
    let rest = row.get(clean..)?;
    Some(clean + rest.iter().position(|x| !x.is_finite())?)
}

struct AllFinite<'a>(&'a [f32]);

impl Kernel for AllFinite<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<V: Vector>(self) -> bool {
        self.0.iter().fold(true, |finite, x| finite & x.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_weight_is_found_wherever_it_is() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 255, 256, 700, 999] {
                let mut row = [f32::MAX; 1000];
                row[place] = bad;
                row[999] = bad;
                assert_eq!(first_non_finite(&row), Some(place));
            }
        }
    }

    #[test]
    fn finite_rows_have_none() {
        assert_eq!(first_non_finite(&[]), None);
        assert_eq!(first_non_finite(&[f32::MAX, f32::MIN, -0.0, 1e-45].repeat(64)), None);
    }
}
