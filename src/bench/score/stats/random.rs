//! Random numbers and coin flips.

use crate::random::SplitMix64;

/// A generator whose coin flips use one bit each.
#[derive(Clone, Debug)]
pub struct Random {
    draws: SplitMix64,
    bits: u64,
    bits_left: u32,
}

impl Random {
    /// Creates the generator with this seed.
    pub fn new(seed: u64) -> Random {
        Random { draws: SplitMix64::new(seed), bits: 0, bits_left: 0 }
    }

    /// Random integer below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.draws.below(n)
    }

    /// Random bit.
    pub fn coin(&mut self) -> bool {
        if self.bits_left == 0 {
            self.bits = self.draws.next_u64();
            self.bits_left = 64;
        }
        let heads = self.bits & 1 == 1;
        self.bits >>= 1;
        self.bits_left -= 1;
        heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_is_fair() {
        let mut random = Random::new(0);
        let heads = (0..10_000).filter(|_| random.coin()).count();
        assert!((4800..5200).contains(&heads), "{heads}");
    }
}
