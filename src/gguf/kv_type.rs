//! The types that llama.cpp takes for the KV cache: the one table of them; and how attention is computed with them.

use super::GgmlType;

/// How a KV cache stores its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvType {
    /// Its name in options: ggml's, in lower case.
    pub name: &'static str,
    /// The type of its rows.
    pub ggml_type: GgmlType,
}

/// Every type that the KV cache can have, the widest first.
pub static KV_TYPES: &[KvType] = &[
    KvType { name: "f32", ggml_type: GgmlType::F32 },
    KvType { name: "f16", ggml_type: GgmlType::F16 },
    KvType { name: "bf16", ggml_type: GgmlType::Bf16 },
    KvType { name: "q8_0", ggml_type: GgmlType::Q8_0 },
    KvType { name: "q5_1", ggml_type: GgmlType::Q5_1 },
    KvType { name: "q5_0", ggml_type: GgmlType::Q5_0 },
    KvType { name: "q4_1", ggml_type: GgmlType::Q4_1 },
    KvType { name: "q4_0", ggml_type: GgmlType::Q4_0 },
    KvType { name: "iq4_nl", ggml_type: GgmlType::Iq4Nl },
];

impl KvType {
    /// What llama.cpp uses unless told otherwise.
    pub const DEFAULT: &'static str = "f16";

    /// The type of this name, in upper or lower case.
    pub fn named(name: &str) -> Option<KvType> {
        KV_TYPES.iter().copied().find(|kv| kv.name.eq_ignore_ascii_case(name))
    }
}

impl Default for KvType {
    fn default() -> KvType {
        KvType { name: KvType::DEFAULT, ggml_type: GgmlType::F16 }
    }
}

/// How attention is computed: with one kernel that keeps no scores (flash attention), or as products of matrices with
/// a table of the scores between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlashAttention {
    /// Only where the KV cache is quantized, which the products do not take. On a CPU they are the faster way to decode:
    /// flash attention goes through the cache once for each row and head.
    #[default]
    Auto,
    /// Always: less memory where the context is long, and a faster prefill.
    On,
    /// Never.
    Off,
}

impl FlashAttention {
    /// Every way.
    pub const ALL: [FlashAttention; 3] = [FlashAttention::Auto, FlashAttention::On, FlashAttention::Off];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            FlashAttention::Auto => "auto",
            FlashAttention::On => "on",
            FlashAttention::Off => "off",
        }
    }

    /// Whether flash attention is used with a KV cache of this type.
    pub fn is_used(self, kv_type: GgmlType) -> bool {
        match self {
            FlashAttention::Auto => !kv_type.is_float(),
            FlashAttention::On => true,
            FlashAttention::Off => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_ggmls_in_lower_case() {
        for kv in KV_TYPES {
            assert_eq!(kv.name, kv.ggml_type.name().to_lowercase());
            assert_eq!(KvType::named(&kv.name.to_uppercase()), Some(*kv));
        }
        assert_eq!(KvType::named(KvType::DEFAULT), Some(KvType::default()));
    }
}
