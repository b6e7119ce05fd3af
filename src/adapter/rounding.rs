//! Rounding of f32 values to the base's dtype.

use crate::{
    checkpoint::Dtype,
    quant::{Codec, F16},
};

/// The dtype that values are rounded to, ties to even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// f32: none.
    None,
    Bf16,
    F16,
}

impl Rounding {
    pub(super) fn to(dtype: Dtype) -> Rounding {
        match dtype {
            Dtype::F32 => Rounding::None,
            Dtype::Bf16 => Rounding::Bf16,
            Dtype::F16 => Rounding::F16,
        }
    }

    /// Rounds each value.
    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Rounding::None => {}
            Rounding::Bf16 => values.iter_mut().for_each(|value| *value = bf16(*value)),
            Rounding::F16 => {
                let mut bytes = [0; 512];
                for chunk in values.chunks_mut(bytes.len() / 2) {
                    let bytes = &mut bytes[..chunk.len() * 2];
                    F16.encode(chunk, bytes);
                    F16.decode(bytes, chunk);
                }
            }
        }
    }

    /// Rounds one value.
    pub(super) fn one(self, value: f32) -> f32 {
        let mut values = [value];
        self.apply(&mut values);
        values[0]
    }
}

/// The nearest bfloat16 as f32, ties to even; what is not finite stays so.
#[inline(always)]
fn bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let kept = if value.is_nan() { bits } else { rounded };
    f32::from_bits(kept & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_agrees_with_the_half_crate_across_all_exponents() {
        for bits in (0..=u32::MAX).step_by(65_413) {
            let value = f32::from_bits(bits);
            if !value.is_nan() {
                assert_eq!(Rounding::Bf16.one(value), half::bf16::from_f32(value).to_f32(), "{value:e}");
                assert_eq!(Rounding::F16.one(value), half::f16::from_f32(value).to_f32(), "{value:e}");
                assert_eq!(Rounding::None.one(value), value);
            }
        }
        assert!(!Rounding::Bf16.one(f32::NAN).is_finite());
        assert!(!Rounding::F16.one(f32::NAN).is_finite());
    }
}
