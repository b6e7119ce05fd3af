//! Timeouts, retries and pauses of requests.

use crate::random::SplitMix64;
use jiff::{Timestamp, fmt::rfc2822};
use std::time::{Duration, SystemTime};

/// Timeout and retry policy of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Time limit of a request, from connecting to the last byte.
    pub timeout: Duration,
    /// Maximum number of retries.
    pub retries: u32,
    /// Pause before the first retry, without jitter; it doubles with each further one.
    pub first_pause: Duration,
    /// Longest pause, also if the server asks for a longer one.
    pub longest_pause: Duration,
    /// Random seed of the jitter.
    pub seed: u64,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            timeout: Duration::from_secs(600),
            retries: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            seed: 0,
        }
    }
}

/// Pauses between tries.
#[derive(Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    jitter: SplitMix64,
}

impl Pauses {
    pub(crate) fn new(retry: &RetryPolicy) -> Pauses {
        let RetryPolicy { first_pause, longest_pause, seed, .. } = *retry;
        Pauses { first: first_pause, longest: longest_pause, jitter: SplitMix64::new(seed) }
    }

    /// Pause after `failures` + 1 failures: the one that the server asked for, or half of a doubling length plus a
    /// random share of the other half, so that clients that failed together do not retry together.
    pub(crate) fn next(&mut self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX));
        let own = doubled.min(self.longest).mul_f64(0.5 + 0.5 * self.jitter.next_unit());
        asked.map_or(own, |asked| asked.min(self.longest))
    }
}

/// Pause in a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(SystemTime::from(date).duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        timeout: Duration::from_secs(1),
        retries: 9,
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_secs(2),
        seed: 7,
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_one_seed_gives_one_sequence() {
        let pauses = || -> Vec<f64> {
            let mut pauses = Pauses::new(&POLICY);
            (0..40).map(|failures| pauses.next(failures, None).as_secs_f64()).collect()
        };
        let all = pauses();
        assert_eq!(all, pauses());
        for (failures, pause) in all.iter().enumerate() {
            let full = (0.1 * 2f64.powi(failures as i32)).min(2.0);
            assert!((0.5 * full..=full).contains(pause), "{failures}: {pause}");
        }
        assert!(all[20..].windows(2).any(|two| two[0] != two[1]), "there is jitter");
    }

    #[test]
    fn a_server_that_names_a_pause_gets_it_within_reason() {
        let mut pauses = Pauses::new(&POLICY);
        assert_eq!(pauses.next(0, Some(Duration::ZERO)), Duration::ZERO);
        assert_eq!(pauses.next(0, Some(Duration::from_millis(1500))), Duration::from_millis(1500));
        assert_eq!(pauses.next(0, Some(Duration::from_secs(86_400))), POLICY.longest_pause);
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = retry_after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
        assert!(later > Duration::from_secs(86_400 * 365));
        assert_eq!(retry_after(""), None);
        assert_eq!(retry_after("soon"), None);
    }
}
