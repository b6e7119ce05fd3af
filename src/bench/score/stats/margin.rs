//! Margins that an interval supports.

use super::Interval;

/// Smallest loss that the data rule out: the distance of the interval's lower end below 0.
pub fn supported_margin(interval: Interval) -> f64 {
    (-interval.low).max(0.0)
}

/// Number of conversations needed to rule out a loss of `margin`, if the difference stayed the same and the interval
/// shrank with the square root of their number. `None` if the difference itself exceeds the margin.
pub fn conversations_needed(
    delta: f64,
    interval: Interval,
    conversations: usize,
    margin: f64,
) -> Option<usize> {
    let room = delta + margin;
    if room <= 0.0 {
        return None;
    }
    let below = (delta - interval.low).max(0.0);
    Some((conversations as f64 * (below / room).powi(2)).ceil() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_narrow_an_interval_takes_four_times_the_conversations() {
        let interval = Interval { low: -0.06, high: 0.06 };
        assert_eq!(supported_margin(interval), 0.06);
        assert_eq!(conversations_needed(0.0, interval, 34, 0.03), Some(136));
        assert_eq!(conversations_needed(-0.03, interval, 34, 0.03), None);
        assert_eq!(supported_margin(Interval { low: 0.01, high: 0.02 }), 0.0);
    }
}
