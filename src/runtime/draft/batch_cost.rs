//! Costs of decodes of several tokens, measured while calls run.

use crate::runtime::kernels;
use std::time::Duration;

/// Costs of decodes of 1, 2, 3 ... tokens, relative to a decode of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchCost {
    // Mean seconds, and number of decodes in the mean, by the number of tokens less one.
    seen: Vec<(f64, u32)>,
    slope: f64,
    learns: bool,
}

impl BatchCost {
    /// Largest number of tokens whose decodes are measured separately.
    pub const MOST: usize = 16;
    // A mean over fewer decodes is not used; the count is capped so that the mean can still change.
    const FEW: u32 = 6;
    const MANY: u32 = 256;

    /// Assumed costs before any measurement: each further token costs `slope` decodes.
    pub fn expected(slope: f64) -> BatchCost {
        BatchCost { seen: vec![(0.0, 0); BatchCost::MOST], slope, learns: true }
    }

    /// Fixed costs that measurements do not change: each further token costs `slope` decodes.
    pub fn fixed(slope: f64) -> BatchCost {
        BatchCost { learns: false, ..BatchCost::expected(slope) }
    }

    /// Assumed costs for this CPU and its kernels.
    ///
    /// A machine with fast arithmetic and slow memory reads the weights once for several tokens. The value for
    /// x86-64 with AVX2 was measured. The others are estimates that the first calls correct.
    pub fn for_this_cpu() -> BatchCost {
        let kernels = kernels::active();
        let has = |feature| kernels.as_ref().is_ok_and(|kernels| kernels.features.contains(&feature));
        let slope = if has("i8mm") || has("AVX-512 VNNI") {
            0.15
        } else if has("dotprod") || has("AVX-VNNI") {
            0.22
        } else {
            0.67
        };
        BatchCost::expected(slope)
    }

    /// Cost of a decode of `tokens`, relative to a decode of one token.
    pub fn relative(&self, tokens: usize) -> f64 {
        let one = self.seconds(1);
        // More tokens never cost less; such a measurement is noise.
        (1..=tokens.clamp(1, BatchCost::MOST)).fold(1.0, |least, n| {
            let measured = one.zip(self.seconds(n)).map(|(one, all)| all / one);
            let before = if n == 1 { 1.0 } else { least + self.slope };
            measured.unwrap_or(before).max(least)
        }) + self.slope * tokens.saturating_sub(BatchCost::MOST) as f64
    }

    /// Adds a measurement: a decode of `tokens` took `time`.
    pub fn learn(&mut self, tokens: usize, time: Duration) {
        let Some((mean, count)) = tokens.checked_sub(1).and_then(|at| self.seen.get_mut(at)) else { return };
        let seconds = time.as_secs_f64();
        if !self.learns {
            return;
        }
        // A decode that waited for the CPU is no measurement of its cost.
        if *count >= BatchCost::FEW && seconds > 3.0 * *mean {
            return;
        }
        *count = (*count + 1).min(BatchCost::MANY);
        *mean += (seconds - *mean) / f64::from(*count);
    }

    /// The measurements as one line of numbers: slope, then seconds and count for each number of tokens.
    pub fn to_line(&self) -> String {
        let seen = self.seen.iter().map(|(mean, count)| format!(" {mean:e} {count}"));
        std::iter::once(self.slope.to_string()).chain(seen).collect()
    }

    /// Parses a line of [`BatchCost::to_line`]; `None` for any other.
    pub fn from_line(line: &str) -> Option<BatchCost> {
        let mut words = line.split_whitespace();
        let slope: f64 = words.next()?.parse().ok()?;
        let mut costs = BatchCost::expected(slope);
        for (mean, count) in &mut costs.seen {
            *mean = words.next()?.parse().ok()?;
            *count = words.next()?.parse().ok()?;
        }
        let sound = costs.seen.iter().all(|(mean, _)| mean.is_finite() && *mean >= 0.0);
        (sound && slope.is_finite() && slope >= 0.0 && words.next().is_none()).then_some(costs)
    }

    fn seconds(&self, tokens: usize) -> Option<f64> {
        self.seen
            .get(tokens - 1)
            .filter(|(mean, count)| *count >= BatchCost::FEW && *mean > 0.0)
            .map(|(mean, _)| *mean)
    }
}
