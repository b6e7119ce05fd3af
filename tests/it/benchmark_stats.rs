//! Statistics equal those of scipy and statsmodels (`scripts/make_stats_goldens`), and a candidate without a difference
//! is called worse no more often than promised.

use edgecall::bench::score::stats::{
    Cluster, Random, bootstrap, cohens_kappa, delta, holm, mcnemar_exact, quantile, sign_flip, wilson,
};
use serde_json::Value;

const CLOSE: f64 = 1e-12;

fn golden(name: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/benchmark/stats.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    document[name].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

#[test]
fn wilson_intervals_are_those_of_statsmodels() {
    for row in golden("wilson") {
        let interval = wilson(count(&row[0]), count(&row[1])).unwrap();
        assert!((interval.low - row[2].as_f64().unwrap()).abs() < CLOSE, "{row} {interval:?}");
        assert!((interval.high - row[3].as_f64().unwrap()).abs() < CLOSE, "{row} {interval:?}");
    }
}

#[test]
fn exact_mcnemar_p_values_are_those_of_statsmodels() {
    for row in golden("mcnemar") {
        let p = mcnemar_exact(count(&row[0]), count(&row[1]));
        assert!((p - row[2].as_f64().unwrap()).abs() < CLOSE, "{row} {p}");
    }
}

#[test]
fn holm_adjusted_p_values_are_those_of_statsmodels() {
    for row in golden("holm") {
        for (ours, theirs) in holm(&numbers(&row[0])).into_iter().zip(numbers(&row[1])) {
            assert!((ours - theirs).abs() < CLOSE, "{row} {ours}");
        }
    }
}

#[test]
fn quantiles_are_those_of_numpy() {
    for row in golden("quantiles") {
        let sorted = numbers(&row[0]);
        for (p, theirs) in numbers(&row[1]).into_iter().zip(numbers(&row[2])) {
            assert!((quantile(&sorted, p).unwrap() - theirs).abs() < CLOSE, "{p}: {row}");
        }
    }
}

#[test]
fn the_bootstrap_gives_numpys_interval_for_the_same_draws() {
    for row in golden("bootstrap") {
        let rows: Vec<usize> = row["rows"].as_array().unwrap().iter().map(count).collect();
        let clusters: Vec<Cluster> =
            numbers(&row["sums"]).into_iter().zip(rows).map(|(sum, rows)| Cluster { sum, rows }).collect();
        let picks: Vec<usize> = row["picks"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|draw| draw.as_array().unwrap())
            .map(count)
            .collect();
        let draws = picks.len() / clusters.len();
        let mut next = picks.iter().copied();
        let interval = bootstrap(&clusters, draws, &mut || next.next().unwrap()).unwrap();
        assert_eq!(next.next(), None);
        assert!((interval.low - row["low"].as_f64().unwrap()).abs() < CLOSE);
        assert!((interval.high - row["high"].as_f64().unwrap()).abs() < CLOSE);
    }
}

#[test]
fn the_sign_flip_p_is_numpys_for_the_same_flips() {
    for row in golden("sign_flip") {
        let sums = numbers(&row["sums"]);
        let draws = row["flips"].as_array().unwrap();
        let mut bits = draws.iter().flat_map(|draw| draw.as_str().unwrap().bytes());
        let p = sign_flip(&sums, draws.len(), &mut || bits.next().unwrap() == b'1');
        assert_eq!(p, row["p"].as_f64().unwrap());
    }
}

#[test]
fn kappa_is_that_of_statsmodels() {
    for row in golden("kappa") {
        let pairs: Vec<(u8, u8)> = numbers(&row[0])
            .into_iter()
            .zip(numbers(&row[1]))
            .map(|(first, second)| (first as u8, second as u8))
            .collect();
        assert!((cohens_kappa(&pairs).unwrap() - row[2].as_f64().unwrap()).abs() < CLOSE);
    }
}

/// Differences of a candidate that is neither better nor worse: one row in ten flips, and rows of a conversation tend
/// to flip together.
fn null_candidate(random: &mut Random) -> Vec<Cluster> {
    (0..34)
        .map(|_| {
            let rows = 6 + random.below(16);
            let lean = random.coin();
            let sum: f64 = (0..rows)
                .map(|_| match (random.below(10) == 0, (random.below(10) < 7) == lean) {
                    (false, _) => 0.0,
                    (true, true) => 1.0,
                    (true, false) => -1.0,
                })
                .sum();
            Cluster { sum, rows }
        })
        .collect()
}

#[test]
fn of_three_candidates_that_are_no_worse_one_is_called_worse_in_at_most_five_per_cent() {
    const RUNS: usize = 2000;
    let mut random = Random::new(20260101);
    let mut worse_runs = 0;
    for _ in 0..RUNS {
        let candidates: Vec<Vec<Cluster>> = (0..3).map(|_| null_candidate(&mut random)).collect();
        let p: Vec<f64> = candidates
            .iter()
            .map(|clusters| {
                let sums: Vec<f64> = clusters.iter().map(|cluster| cluster.sum).collect();
                sign_flip(&sums, 999, &mut || random.coin())
            })
            .collect();
        let worse = |(clusters, p): (&Vec<Cluster>, f64)| delta(clusters) < 0.0 && p < 0.05;
        worse_runs += usize::from(candidates.iter().zip(holm(&p)).any(worse));
    }
    // Three standard errors above 5 %.
    let bound = 0.05 + 3.0 * (0.05 * 0.95 / RUNS as f64).sqrt();
    let share = worse_runs as f64 / RUNS as f64;
    assert!(share <= bound, "{share}");
    // A test that never says "worse" would also stay below the bound.
    assert!(share >= 0.01, "{share}");
}
