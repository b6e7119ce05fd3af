//! Machines other than this one: boards by name, or any machine by the size of its memory.

use super::{Fit, Shape, estimate};
use crate::{
    display::mib,
    gguf::{FlashAttention, GgmlType},
    machine::Machine,
};

/// Memory that the firmware and the kernel of a board keep for themselves: it is missing in `MemTotal`. An assumption,
/// on the safe side for a Raspberry Pi without a camera.
pub const KERNEL_BYTES: u64 = 128 << 20;
/// Memory that the system's services take: the rest of `MemTotal` is `MemAvailable`. An assumption, for a system without
/// a desktop, such as Raspberry Pi OS Lite.
pub const SERVICES_BYTES: u64 = 128 << 20;
/// Step between context sizes, in tokens; llama.cpp rounds up to it.
const N_CTX_STEP: u64 = 256;

/// A board with a fixed amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Name, such as `pi4-2gb` for a Raspberry Pi 4 with 2 GB.
    pub name: &'static str,
    /// Memory by its data sheet, in bytes.
    pub memory_bytes: u64,
}

/// Every board, the smallest first.
pub static BOARDS: &[Board] = &[
    board("pi-zero2w", 512),
    board("pi3-1gb", 1 << 10),
    board("pi4-1gb", 1 << 10),
    board("pi4-2gb", 2 << 10),
    board("pi5-2gb", 2 << 10),
    board("pi4-4gb", 4 << 10),
    board("pi5-4gb", 4 << 10),
    board("pi4-8gb", 8 << 10),
    board("pi5-8gb", 8 << 10),
    board("pi5-16gb", 16 << 10),
];

const fn board(name: &'static str, memory_mib: u64) -> Board {
    Board { name, memory_bytes: memory_mib << 20 }
}

impl Board {
    /// The board of this name.
    pub fn named(name: &str) -> Option<&'static Board> {
        BOARDS.iter().find(|board| board.name == name)
    }
}

/// The machine that a need is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// This machine, as its system describes it now.
    #[default]
    This,
    /// A machine with this many bytes of memory.
    Memory(u64),
    /// A board.
    Board(&'static Board),
}

impl Target {
    /// Its memory; `None` if this machine's is unknown. Of another machine's memory, [`KERNEL_BYTES`] are not counted,
    /// and [`SERVICES_BYTES`] are not available.
    pub fn machine(self) -> Option<Machine> {
        let bytes = match self {
            Target::This => return Machine::this(),
            Target::Memory(bytes) => bytes,
            Target::Board(board) => board.memory_bytes,
        };
        let total_bytes = bytes.saturating_sub(KERNEL_BYTES);
        Some(Machine { total_bytes, available_bytes: total_bytes.saturating_sub(SERVICES_BYTES) })
    }

    /// Its name, for tables.
    pub fn label(self) -> String {
        match self {
            Target::This => "this machine".to_owned(),
            Target::Memory(bytes) => format!("{} MiB", mib(bytes)),
            Target::Board(board) => board.name.to_owned(),
        }
    }
}

/// The longest context that a model of this shape and these weights has available memory for, in tokens: a multiple of
/// 256, at most `n_ctx_train`. `None` if not even the shortest fits.
pub fn longest_context(
    weights_bytes: u64,
    shape: &Shape,
    kv_type: GgmlType,
    n_ctx_train: u64,
    machine: Machine,
) -> Option<u64> {
    let fits = |n_ctx: u64| {
        let estimate = estimate::estimate(weights_bytes, shape, n_ctx, kv_type, FlashAttention::Auto);
        estimate.is_some_and(|estimate| Fit::new(estimate.total_bytes, machine) == Fit::Yes)
    };
    if fits(n_ctx_train) {
        return Some(n_ctx_train);
    }
    // Steps: the first fits or is 0, the second does not.
    let (mut fitting, mut too_many) = (0, n_ctx_train.div_ceil(N_CTX_STEP));
    while too_many - fitting > 1 {
        let middle = fitting + (too_many - fitting) / 2;
        if fits(middle.saturating_mul(N_CTX_STEP)) { fitting = middle } else { too_many = middle }
    }
    (fitting > 0).then_some(fitting * N_CTX_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_leaves_less_than_its_data_sheet_says() {
        let board = Board::named("pi4-2gb").unwrap();
        let machine = Target::Board(board).machine().unwrap();
        assert_eq!((machine.total_bytes >> 20, machine.available_bytes >> 20), (2048 - 128, 2048 - 256));
        assert_eq!(Target::Memory(2 << 30).machine(), Some(machine));
        let none = Target::Memory(1).machine().unwrap();
        assert_eq!((none.total_bytes, none.available_bytes), (0, 0));
        assert_eq!(Board::named("pi6"), None);
        assert_eq!(
            (Target::Memory(1 << 30).label(), Target::Board(board).label()),
            ("1024 MiB".into(), "pi4-2gb".into())
        );
    }

    #[test]
    fn the_longest_context_fits_and_a_step_more_does_not() {
        let shape = Shape {
            state_bytes: 0,
            kv_heads: 28 * 8,
            heads: 16,
            layer_kv_heads: 8,
            key_length: 128,
            value_length: 128,
            embedding_length: 2048,
            feed_forward_length: 6144,
            vocabulary: 151_936,
        };
        let machine = |mib: u64| Machine { total_bytes: mib << 20, available_bytes: mib << 20 };
        let weights = 1 << 30;
        let longest = |mib| longest_context(weights, &shape, GgmlType::F16, 40_960, machine(mib));
        assert_eq!((longest(900), longest(1 << 20)), (None, Some(40_960)));
        let n_ctx = longest(2048).unwrap();
        let needed = |n_ctx| {
            estimate::estimate(weights, &shape, n_ctx, GgmlType::F16, FlashAttention::Auto)
                .unwrap()
                .total_bytes
                >> 20
        };
        assert!(n_ctx.is_multiple_of(256) && needed(n_ctx) < 2048 && needed(n_ctx + 256) >= 2048, "{n_ctx}");
    }
}
