//! Numbers of a report as text; a dash stands for a figure that was not measured.

/// Formats a fraction as signed percentage points, or a dash.
pub(super) fn points(share: Option<f64>) -> String {
    share.map_or("—".into(), |share| format!("{:+.1}", share * 100.0 + 0.0))
}

/// Formats a fraction in per cent, or a dash.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("—".into(), |share| format!("{:.1}", share * 100.0))
}

/// Formats a number with `n` decimals, or a dash.
pub(super) fn decimals(value: Option<f64>, n: usize) -> String {
    value.map_or("—".into(), |value| format!("{value:.n$}"))
}

/// Formats a p-value; small ones as `<0.001`, never as 0.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") }
}

/// Formats bytes in MB of a million bytes; a dash for 0, which means no file.
pub(super) fn megabytes(bytes: u64) -> String {
    if bytes == 0 { "—".into() } else { format!("{:.1}", bytes as f64 / 1e6) }
}
