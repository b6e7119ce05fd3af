//! Tensor types of the pinned llama.cpp (ggml `ggml.h`, `enum ggml_type`).

macro_rules! ggml_types {
    ($($variant:ident $name:literal = $id:literal, $block_len:literal in $block_bytes:literal;)*) => {
        /// Encoding of a tensor's rows, under ggml's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, non_camel_case_types)] // ggml's names, explained where each is implemented
        pub enum GgmlType { $($variant = $id),* }

        impl GgmlType {
            /// Every type, in order of its number.
            pub const ALL: &[GgmlType] = &[$(GgmlType::$variant),*];

            /// The type with this number, if the pinned llama.cpp has one.
            pub fn from_id(id: u32) -> Option<GgmlType> {
                match id { $($id => Some(GgmlType::$variant),)* _ => None }
            }

            /// ggml's name, such as `Q4_K`.
            pub fn name(self) -> &'static str {
                match self { $(GgmlType::$variant => $name),* }
            }

            /// Weights per block; a row is a whole number of blocks.
            pub fn block_len(self) -> u64 {
                match self { $(GgmlType::$variant => $block_len),* }
            }

            /// Bytes per block.
            pub fn block_bytes(self) -> u64 {
                match self { $(GgmlType::$variant => $block_bytes),* }
            }
        }
    };
}

ggml_types! {
    F32 "F32" = 0, 1 in 4;
    F16 "F16" = 1, 1 in 2;
    Q4_0 "Q4_0" = 2, 32 in 18;
    Q4_1 "Q4_1" = 3, 32 in 20;
    Q5_0 "Q5_0" = 6, 32 in 22;
    Q5_1 "Q5_1" = 7, 32 in 24;
    Q8_0 "Q8_0" = 8, 32 in 34;
    Q8_1 "Q8_1" = 9, 32 in 36;
    Q2K "Q2_K" = 10, 256 in 84;
    Q3K "Q3_K" = 11, 256 in 110;
    Q4K "Q4_K" = 12, 256 in 144;
    Q5K "Q5_K" = 13, 256 in 176;
    Q6K "Q6_K" = 14, 256 in 210;
    Q8K "Q8_K" = 15, 256 in 292;
    Iq2Xxs "IQ2_XXS" = 16, 256 in 66;
    Iq2Xs "IQ2_XS" = 17, 256 in 74;
    Iq3Xxs "IQ3_XXS" = 18, 256 in 98;
    Iq1S "IQ1_S" = 19, 256 in 50;
    Iq4Nl "IQ4_NL" = 20, 32 in 18;
    Iq3S "IQ3_S" = 21, 256 in 110;
    Iq2S "IQ2_S" = 22, 256 in 82;
    Iq4Xs "IQ4_XS" = 23, 256 in 136;
    I8 "I8" = 24, 1 in 1;
    I16 "I16" = 25, 1 in 2;
    I32 "I32" = 26, 1 in 4;
    I64 "I64" = 27, 1 in 8;
    F64 "F64" = 28, 1 in 8;
    Iq1M "IQ1_M" = 29, 256 in 56;
    Bf16 "BF16" = 30, 1 in 2;
    Tq1_0 "TQ1_0" = 34, 256 in 54;
    Tq2_0 "TQ2_0" = 35, 256 in 66;
    Mxfp4 "MXFP4" = 39, 32 in 17;
    Nvfp4 "NVFP4" = 40, 64 in 36;
    Q1_0 "Q1_0" = 41, 128 in 18;
    Q2_0 "Q2_0" = 42, 64 in 18;
}

impl GgmlType {
    /// True for floating-point types without blocks: F64, F32, F16, BF16.
    pub fn is_float(self) -> bool {
        matches!(self, GgmlType::F64 | GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16)
    }

    /// The type's number in GGUF files.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// Bytes of a row of `len` weights; `len` is a multiple of [`GgmlType::block_len`].
    pub fn row_bytes(self, len: u64) -> u64 {
        len / self.block_len() * self.block_bytes()
    }
}

impl std::fmt::Display for GgmlType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl serde::Serialize for GgmlType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
