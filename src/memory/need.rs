//! Memory that a run takes, compared with the memory of a machine: the only place that decides which memory counts.
//!
//! *Allocated* memory (the KV cache, the buffers, and copies of repacked weights) must be available now, or the system
//! ends the process. This holds for a call, for a benchmark and for the doctor.
//!
//! The other weights are *mapped*: if not all of them fit, the system drops some pages and reads them again for every
//! token. That works, but is slow. How much memory they may take depends on what follows from a lack of it:
//!
//! - A call and the doctor compare with the *available* memory ([`Need::outlook`]). It includes the page cache, so
//!   weights that were read before count as fitting. A lack of it is a warning, or moves the choice to weights that are
//!   not repacked, which costs little if other programs end a moment later.
//! - A benchmark refuses a run that does not fit ([`Need::fits_a_long_run`]). It takes hours and begins with minutes of
//!   loading and hashing, in which the system moves the memory of idle programs out of the way. So it is only refused
//!   if the weights exceed the *total* memory: then they would be read again and again to the end.

use crate::{gguf::TensorInfo, machine::Machine};
use serde::Serialize;

/// Test for tensors whose weights are repacked for the CPU.
pub type IsRepacked = fn(&TensorInfo) -> bool;

/// No tensor is repacked: the kernels take the weights as stored.
pub const AS_STORED: IsRepacked = |_| false;

/// Memory need of a run, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Weights that stay mapped.
    pub mapped: u64,
    /// Weights that are copied to be repacked.
    pub copied: u64,
    /// The KV cache.
    pub kv: u64,
    /// The compute buffers, estimated.
    pub compute: u64,
}

/// Result of a memory check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// Everything fits.
    Fits,
    /// Allocations fit, but not the mapped weights too; these are read from disk again and again.
    FromDisk,
    /// Allocations do not fit.
    CannotAllocate,
}

impl Need {
    /// Need of the weights alone.
    pub fn for_weights(weights: &[TensorInfo], is_repacked: IsRepacked) -> Need {
        let has_head = weights.iter().any(|tensor| tensor.name == "output.weight");
        let mut need = Need::default();
        for tensor in weights {
            // Embeddings are read row by row, which takes them as stored; where the head is tied to them, products take
            // them too.
            let (is_looked_up, is_multiplied) = match tensor.name.as_str() {
                "token_embd.weight" => (true, !has_head),
                _ => (false, true),
            };
            let is_copied = is_multiplied && is_repacked(tensor);
            if is_copied {
                need.copied = need.copied.saturating_add(tensor.byte_len());
            }
            if is_looked_up || !is_copied {
                need.mapped = need.mapped.saturating_add(tensor.byte_len());
            }
        }
        need
    }

    /// Bytes to allocate.
    pub fn allocated(&self) -> u64 {
        self.copied.saturating_add(self.kv).saturating_add(self.compute)
    }

    /// Bytes in total.
    pub fn total(&self) -> u64 {
        self.allocated().saturating_add(self.mapped)
    }

    /// Outlook of a run that starts now on `machine`.
    pub fn outlook(&self, machine: Machine) -> Outlook {
        match machine.available_bytes {
            available if self.allocated() > available => Outlook::CannotAllocate,
            available if self.total() > available => Outlook::FromDisk,
            _ => Outlook::Fits,
        }
    }

    /// True if a run of hours on `machine` can start now and keep its weights in memory.
    pub fn fits_a_long_run(&self, machine: Machine) -> bool {
        self.outlook(machine) != Outlook::CannotAllocate && self.total() <= machine.total_bytes
    }
}

/// Fit of a model into a machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// It fits into the available memory.
    Yes,
    /// It fits only if other programs free memory.
    IfFreed,
    /// It does not fit.
    No,
}

impl Fit {
    /// Fit of `bytes` into the memory of `machine`.
    pub fn new(bytes: u64, machine: Machine) -> Fit {
        if bytes <= machine.available_bytes {
            Fit::Yes
        } else if bytes <= machine.total_bytes {
            Fit::IfFreed
        } else {
            Fit::No
        }
    }

    /// The answer as a word, for tables.
    pub fn text(self) -> &'static str {
        match self {
            Fit::Yes => "yes",
            Fit::IfFreed => "if memory is freed",
            Fit::No => "no",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_fits_what_is_available_or_what_there_is_or_not() {
        let machine = Machine { total_bytes: 8, available_bytes: 4 };
        assert_eq!([4, 8, 9].map(|bytes| Fit::new(bytes, machine)), [Fit::Yes, Fit::IfFreed, Fit::No]);
    }

    #[test]
    fn mapped_weights_are_held_against_the_available_memory_now_and_against_all_of_it_in_a_long_run() {
        let machine = Machine { total_bytes: 100, available_bytes: 50 };
        let need = |mapped, kv| Need { mapped, kv, ..Need::default() };
        let both = |need: Need| (need.outlook(machine), need.fits_a_long_run(machine));
        assert_eq!(both(need(20, 30)), (Outlook::Fits, true));
        assert_eq!(both(need(60, 40)), (Outlook::FromDisk, true));
        assert_eq!(both(need(61, 40)), (Outlook::FromDisk, false));
        assert_eq!(both(need(0, 51)), (Outlook::CannotAllocate, false));
    }
}
