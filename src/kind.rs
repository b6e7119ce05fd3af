//! The class of an error, which decides an exit code.

/// The class of an error: what a caller can do about it, not where it came from.
///
/// The command line maps each class to an exit code after `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program ran and the answer is no: no call within the budget, a gate not reached.
    Negative,
    /// The arguments contradict each other or name something that cannot be.
    Usage,
    /// The input is malformed or of a kind that is not supported.
    Data,
    /// An input file is missing or cannot be read.
    NoInput,
    /// A model, a backend or a CPU feature is not available.
    Unavailable,
    /// A bug in this program.
    Bug,
    /// An output file cannot be created.
    CannotCreate,
    /// Reading or writing failed half way.
    Io,
    /// The user interrupted the program.
    Interrupted,
}
