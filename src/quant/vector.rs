//! Eight floats in the registers of one instruction set.
//!
//! Plain loops over arrays would be enough for most kernels. In a search with a dozen running sums, however,
//! LLVM's code for loops differs by a factor of three from one phrasing to the next. So the vectors are written
//! out, and [`dispatch`](super::dispatch) provides those of AVX2.

/// Eight floats with the same operations, each as in IEEE 754 and never contracted.
///
/// Every method is `#[inline(always)]`; otherwise the kernel around it would not be compiled as one function.
pub(super) trait Vector: Copy {
    /// Eight bools.
    type Mask: Copy;

    fn splat(x: f32) -> Self;
    fn from_array(x: [f32; 8]) -> Self;
    fn to_array(self) -> [f32; 8];

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    /// The smaller of the two; `other` if they are equal or unordered.
    fn min(self, other: Self) -> Self;
    /// The larger of the two; `other` if they are equal or unordered.
    fn max(self, other: Self) -> Self;
    /// The magnitudes of `self` with the signs of `signs`.
    fn copy_sign(self, signs: Self) -> Self;
    /// The integers after truncation towards zero; every magnitude is below 2^31.
    fn truncate(self) -> [i32; 8];

    fn gt(self, other: Self) -> Self::Mask;
    fn eq(self, other: Self) -> Self::Mask;
    fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn all(mask: Self::Mask) -> bool;
    /// `yes` where the mask is set, `no` elsewhere.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
}

/// Eight floats in an array, for LLVM to vectorize.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        for x in &mut self.0 {
            *x = f(*x);
        }
        self
    }

    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for i in 0..8 {
            self.0[i] = f(self.0[i], other.0[i]);
        }
        self
    }

    #[inline(always)]
    fn compare(self, other: Self, f: impl Fn(f32, f32) -> bool) -> [bool; 8] {
        std::array::from_fn(|i| f(self.0[i], other.0[i]))
    }
}

impl Vector for Portable {
    type Mask = [bool; 8];

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Portable([x; 8])
    }

    #[inline(always)]
    fn from_array(x: [f32; 8]) -> Self {
        Portable(x)
    }

    #[inline(always)]
    fn to_array(self) -> [f32; 8] {
        self.0
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.map(f32::abs)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.map(f32::sqrt)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn copy_sign(self, signs: Self) -> Self {
        self.zip(signs, f32::copysign)
    }

    #[inline(always)]
    fn truncate(self) -> [i32; 8] {
        self.0.map(|x| x as i32)
    }

    #[inline(always)]
    fn gt(self, other: Self) -> [bool; 8] {
        self.compare(other, |a, b| a > b)
    }

    #[inline(always)]
    fn eq(self, other: Self) -> [bool; 8] {
        self.compare(other, |a, b| a == b)
    }

    #[inline(always)]
    fn both(mut a: [bool; 8], b: [bool; 8]) -> [bool; 8] {
        for i in 0..8 {
            a[i] &= b[i];
        }
        a
    }

    #[inline(always)]
    fn all(mask: [bool; 8]) -> bool {
        mask.iter().fold(true, |all, one| all & one)
    }

    #[inline(always)]
    fn select(mask: [bool; 8], yes: Self, no: Self) -> Self {
        Portable(std::array::from_fn(|i| if mask[i] { yes.0[i] } else { no.0[i] }))
    }
}
