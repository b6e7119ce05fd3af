//! The bytes of an archive, counted while they are read, with limits that hold whatever the archive says.

use std::{
    cell::Cell,
    fmt,
    io::{self, Read},
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
};

/// Most bytes of the headers between two entries: long names and pax records. The tar reader keeps them in memory.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Most bytes that gzip makes of one, once there are [`MIN_RATIO_BYTES`]. Weights shrink to a half at best; only bombs
/// and zeros shrink to less than a hundredth.
const MAX_RATIO: u64 = 100;
/// Bytes from which on the ratio counts.
const MIN_RATIO_BYTES: u64 = 64 << 20;

/// Reason why reading was stopped here, as the source of an [`io::Error`].
#[derive(Debug)]
pub(super) enum Stop {
    /// The user asked for it.
    Interrupted,
    /// A limit; the text is the end of a sentence about the archive.
    Limit(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Interrupted => f.write_str("interrupted"),
            Stop::Limit(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for Stop {}

/// Counts shared by the readers of one archive.
#[derive(Default)]
pub(super) struct Counts {
    /// Bytes read from the file.
    pub(super) packed: Cell<u64>,
    /// Bytes that came out of it.
    pub(super) unpacked: Cell<u64>,
    /// True once the last byte was read.
    pub(super) at_end: Cell<bool>,
    /// Bytes left for headers; `None` while an entry's contents are read.
    headers: Cell<Option<u64>>,
}

impl Counts {
    /// Limits what is read from here on as headers.
    pub(super) fn begin_headers(&self) {
        self.headers.set(Some(MAX_HEADER_BYTES));
    }

    /// Ends that limit.
    pub(super) fn begin_contents(&self) {
        self.headers.set(None);
    }
}

/// Counts the bytes of the file.
pub(super) struct Packed<R> {
    pub(super) inner: R,
    pub(super) counts: Rc<Counts>,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.counts.packed.set(self.counts.packed.get() + n as u64);
        Ok(n)
    }
}

/// Checks the limits on what comes out.
pub(super) struct Guarded<'a, R> {
    pub(super) inner: R,
    pub(super) counts: Rc<Counts>,
    /// True if the archive is compressed.
    pub(super) compressed: bool,
    pub(super) interrupt: &'a AtomicBool,
}

impl<R: Read> Read for Guarded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(io::Error::other(Stop::Interrupted));
        }
        let n = self.inner.read(buffer)?;
        let counts = &self.counts;
        counts.at_end.set(n == 0 && !buffer.is_empty());
        let unpacked = counts.unpacked.get() + n as u64;
        counts.unpacked.set(unpacked);
        if let Some(left) = counts.headers.get() {
            let Some(left) = left.checked_sub(n as u64) else {
                let problem = format!("has more than {MAX_HEADER_BYTES} bytes of headers for one entry");
                return Err(io::Error::other(Stop::Limit(problem)));
            };
            counts.headers.set(Some(left));
        }
        let most = MIN_RATIO_BYTES.max(counts.packed.get().saturating_mul(MAX_RATIO));
        if self.compressed && unpacked > most {
            let problem = format!("unpacks to more than {MAX_RATIO} times its size");
            return Err(io::Error::other(Stop::Limit(problem)));
        }
        Ok(n)
    }
}
