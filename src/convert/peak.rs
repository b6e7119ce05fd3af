//! Peak memory of a conversion, as the kernel counts it.

use super::Progress;

/// Peaks of this process's memory; `None` if the system does not report them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Peak {
    /// Anonymous memory (`RssAnon`): the maximum of all samples.
    pub(super) anonymous_bytes: Option<u64>,
    /// Resident memory since the process started (`VmHWM`), mapped files included.
    pub(super) resident_bytes: Option<u64>,
}

impl Peak {
    /// Takes the first sample.
    pub(super) fn start() -> Peak {
        let mut peak = Peak::default();
        peak.look();
        peak
    }

    /// Takes a sample.
    pub(super) fn look(&mut self) {
        let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
        self.anonymous_bytes = self.anonymous_bytes.max(field(&status, "RssAnon:"));
        self.resident_bytes = self.resident_bytes.max(field(&status, "VmHWM:"));
    }
}

/// Reads a line of `/proc/self/status`, such as `RssAnon:      1234 kB`, in bytes.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A progress receiver that also samples the memory at each call.
pub(super) struct Watched<'a> {
    pub(super) progress: &'a mut dyn Progress,
    pub(super) peak: &'a mut Peak,
}

impl Progress for Watched<'_> {
    fn begin(&mut self, step: &str, total_bytes: u64) {
        self.peak.look();
        self.progress.begin(step, total_bytes);
    }

    fn advance_to(&mut self, done_bytes: u64) {
        self.peak.look();
        self.progress.advance_to(done_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_of_the_kernel_are_1024_bytes() {
        let status = "VmHWM:\t    2048 kB\nRssAnon:\t       3 kB\n";
        assert_eq!(field(status, "VmHWM:"), Some(2048 * 1024));
        assert_eq!(field(status, "RssAnon:"), Some(3 * 1024));
        assert_eq!(field(status, "RssFile:"), None);
    }
}
