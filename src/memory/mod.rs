//! Memory: the need of a model and its contexts, compared with the memory of a machine.
//!
//! [`estimate`] has the formulas, [`need`] the comparison with a machine, [`check`] the check of one run with remedies,
//! [`models`] the check of several models at once, and [`board`] machines other than this one. The callers measure the machine and name the tensors that are
//! repacked; nothing here loads a model.

mod address_space;
pub mod board;
pub mod check;
pub mod estimate;
pub mod models;
pub mod need;

pub use address_space::{AddressSpaceError, check_address_space};
pub use board::{BOARDS, Board, Target};
pub use check::{MemoryError, PlannedRun, Repack};
pub use estimate::{Estimate, Shape};
pub use models::{ContextNeed, ModelLoad, ModelsError};
pub use need::{AS_STORED, Fit, IsRepacked, Need, Outlook};
