//! Marks of a tensor: a few numbers from which a change of its weights, and often the kind of change, can be told.

use serde::Deserialize;

/// Number of sums over rows, and over columns: a prime, so that no row of a head falls on its like in the next.
pub(super) const BINS: usize = 13;
/// Number of single weights.
pub(super) const SAMPLES: usize = 32;
/// More weights than any tensor has.
const MAX_COUNT: u64 = 1 << 40;

/// Marks of a tensor in the trainer, in transformers' order of rows. A vector is a column.
#[derive(Clone, Debug, Deserialize)]
pub struct Mark {
    /// `[rows]` or `[rows, columns]`.
    pub(super) shape: Vec<u64>,
    /// Sums over the rows `k`, `k + 13`, `k + 26` ...
    pub(super) rows: Vec<f64>,
    /// The same over columns.
    pub(super) columns: Vec<f64>,
    /// Sum of the squares.
    pub(super) squares: f64,
    /// The weights at the positions that the script takes.
    pub(super) values: Vec<f64>,
    /// The file of the checkpoint, if there are several.
    #[serde(default)]
    pub(super) file: Option<String>,
}

impl Mark {
    pub(super) fn check(&self) -> Result<(), String> {
        if !(1..=2).contains(&self.shape.len()) || self.count().is_none() {
            return Err(format!("has the impossible shape {:?}", self.shape));
        }
        let lists =
            [("rows", &self.rows, BINS), ("columns", &self.columns, BINS), ("values", &self.values, SAMPLES)];
        match lists.iter().find(|(_, list, length)| list.len() != *length) {
            Some((name, list, length)) => Err(format!("has {} `{name}` in place of {length}", list.len())),
            None if self.squares < 0.0 => Err("has a negative sum of squares".to_owned()),
            None => Ok(()),
        }
    }

    fn count(&self) -> Option<u64> {
        let count = self.shape.iter().try_fold(1u64, |count, &length| count.checked_mul(length))?;
        (1..=MAX_COUNT).contains(&count).then_some(count)
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.shape[0]
    }

    pub(super) fn n_columns(&self) -> u64 {
        self.shape.get(1).copied().unwrap_or(1)
    }

    /// Root mean square of the weights, and no less than what single precision can hold.
    pub(super) fn rms(&self) -> f64 {
        (self.squares / (self.n_rows() * self.n_columns()) as f64).sqrt().max(1e-30)
    }

    /// Rows and columns of the weights in [`Mark::values`].
    pub(super) fn positions(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let columns = self.n_columns();
        let count = self.n_rows() * columns;
        (1..=SAMPLES as u64).map(move |i| {
            let at = i * 2_654_435_761 % count;
            (at / columns, at % columns)
        })
    }
}

/// Weights in each bin of `lines` rows or columns of `length` weights.
fn bin_counts(lines: u64, length: u64) -> impl Iterator<Item = u64> {
    (0..BINS as u64).map(move |k| (lines + BINS as u64 - 1 - k) / BINS as u64 * length)
}

/// All numbers of a mark except the sum of squares, relative to `rms`; sums by the square root of how many weights are in them.
pub(super) fn features(mark: &Mark, rms: f64) -> Vec<f64> {
    let (rows, columns) = (mark.n_rows(), mark.n_columns());
    let sums = |sums: &[f64], lines, length| -> Vec<f64> {
        let bins = sums.iter().zip(bin_counts(lines, length)).filter(|(_, count)| *count > 0);
        bins.map(|(sum, count)| sum / (count as f64).sqrt() / rms).collect()
    };
    let values = mark.values.iter().map(|value| value / rms);
    values.chain(sums(&mark.rows, rows, columns)).chain(sums(&mark.columns, columns, rows)).collect()
}

/// Size of the error of a sum of `count` weights, in errors of one weight. Errors of a type lean to one side by some
/// hundredths of their size, as those of Q4_0 do, which adds up where the rest evens out.
fn sum_size(count: u64) -> f64 {
    let root = (count as f64).sqrt();
    root * (1.0 + root / 64.0)
}

/// Differences of two marks, each relative to the root mean square of the first's weights: of single weights, and of sums,
/// by the size of their errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Distance {
    /// Root mean square over the single weights.
    pub values: f64,
    /// Root mean square over the sums of rows.
    pub rows: f64,
    /// Root mean square over the sums of columns.
    pub columns: f64,
    /// Relative difference of the root mean squares.
    pub scale: f64,
}

impl Distance {
    /// The distance of `found` from `expected`; `None` if their shapes differ.
    pub(super) fn between(expected: &Mark, found: &Mark) -> Option<Distance> {
        if expected.shape != found.shape {
            return None;
        }
        let rms = expected.rms();
        let root_mean = |squares: f64, count: usize| (squares / count.max(1) as f64).sqrt() / rms;
        let of_sums = |a: &[f64], b: &[f64], lines, length| {
            let bins = a.iter().zip(b).zip(bin_counts(lines, length)).filter(|(_, count)| *count > 0);
            let squares: Vec<f64> = bins.map(|((a, b), count)| ((a - b) / sum_size(count)).powi(2)).collect();
            root_mean(squares.iter().sum(), squares.len())
        };
        let (rows, columns) = (expected.n_rows(), expected.n_columns());
        let squares = expected.values.iter().zip(&found.values).map(|(a, b)| (a - b).powi(2)).sum();
        Some(Distance {
            values: root_mean(squares, SAMPLES),
            rows: of_sums(&expected.rows, &found.rows, rows, columns),
            columns: of_sums(&expected.columns, &found.columns, columns, rows),
            scale: (found.rms() / rms - 1.0).abs(),
        })
    }

    /// The largest of the four.
    pub(super) fn largest(&self) -> f64 {
        self.values.max(self.rows).max(self.columns).max(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(shape: &[u64]) -> Mark {
        let (rows, columns, values) = (vec![1.0; BINS], vec![1.0; BINS], vec![0.5; SAMPLES]);
        Mark { shape: shape.to_vec(), rows, columns, squares: 4.0, values, file: None }
    }

    #[test]
    fn bins_hold_all_lines_once() {
        for lines in [1, 12, 13, 14, 256] {
            assert_eq!(bin_counts(lines, 3).sum::<u64>(), 3 * lines, "{lines}");
        }
        assert_eq!(bin_counts(14, 1).collect::<Vec<_>>()[..3], [2, 1, 1]);
    }

    #[test]
    fn positions_lie_in_the_tensor_and_differ() {
        let positions: Vec<_> = mark(&[256, 768]).positions().collect();
        assert!(positions.iter().all(|(row, column)| *row < 256 && *column < 768));
        let mut once = positions.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), SAMPLES);
        assert_eq!(positions[0], (2_654_435_761 % (256 * 768) / 768, 2_654_435_761 % (256 * 768) % 768));
    }

    #[test]
    fn a_mark_of_another_length_or_shape_is_refused() {
        assert_eq!(mark(&[2, 8]).check(), Ok(()));
        let short = Mark { rows: vec![0.0; 12], ..mark(&[2, 8]) };
        assert_eq!(short.check().unwrap_err(), "has 12 `rows` in place of 13");
        for shape in [&[][..], &[0, 4], &[1, 2, 3], &[u64::MAX, 2], &[1 << 30, 1 << 30]] {
            assert!(mark(shape).check().unwrap_err().contains("shape"), "{shape:?}");
        }
    }

    #[test]
    fn a_distance_is_relative_to_the_weights() {
        let a = mark(&[4, 4]);
        let b = Mark { values: vec![0.6; SAMPLES], squares: 16.0, ..a.clone() };
        let found = Distance::between(&a, &b).unwrap();
        assert!((found.values - 0.2).abs() < 1e-9 && found.rows == 0.0 && found.scale == 1.0, "{found:?}");
        assert_eq!(Distance::between(&a, &mark(&[2, 8])), None);
    }
}
