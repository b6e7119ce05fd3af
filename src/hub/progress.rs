//! Progress of a pull, for whoever shows it.

/// Progress of a pull.
pub trait Progress {
    /// The files have `total_bytes` together.
    fn begin(&mut self, total_bytes: u64);

    /// `done_bytes` of all files are here, and `file` is being fetched.
    fn advance(&mut self, file: &str, done_bytes: u64);

    /// `done_bytes` of all files were here before.
    fn resume(&mut self, done_bytes: u64);

    /// Nothing comes for now, for this reason.
    fn wait(&mut self, reason: &str);
}

/// No progress is shown.
impl Progress for () {
    fn begin(&mut self, _: u64) {}
    fn advance(&mut self, _: &str, _: u64) {}
    fn resume(&mut self, _: u64) {}
    fn wait(&mut self, _: &str) {}
}
