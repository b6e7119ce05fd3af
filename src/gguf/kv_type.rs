//! KV cache types and attention algorithms of llama.cpp.

use super::GgmlType;

/// Storage type of the KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvType {
    /// Its name in options: ggml's in lower case.
    pub name: &'static str,
    /// The ggml type of its rows.
    pub ggml_type: GgmlType,
}

/// Every supported type, widest first.
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
    /// llama.cpp's default.
    pub const DEFAULT: &'static str = "f16";

    /// The type of this name, case-insensitively.
    pub fn named(name: &str) -> Option<KvType> {
        KV_TYPES.iter().copied().find(|kv| kv.name.eq_ignore_ascii_case(name))
    }
}

impl Default for KvType {
    fn default() -> KvType {
        KvType { name: KvType::DEFAULT, ggml_type: GgmlType::F16 }
    }
}

/// Attention algorithm: flash attention, one kernel that keeps no score matrix; or matrix products with a score
/// matrix in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlashAttention {
    /// Flash attention only for a quantized KV cache, which the matrix products do not support. On a CPU the
    /// products decode faster, since flash attention reads the cache once per row and head.
    #[default]
    Auto,
    /// Always flash attention: less memory for a long context, and a faster prefill.
    On,
    /// Never flash attention.
    Off,
}

impl FlashAttention {
    /// Every setting.
    pub const ALL: [FlashAttention; 3] = [FlashAttention::Auto, FlashAttention::On, FlashAttention::Off];

    /// The setting's name in options.
    pub const fn name(self) -> &'static str {
        match self {
            FlashAttention::Auto => "auto",
            FlashAttention::On => "on",
            FlashAttention::Off => "off",
        }
    }

    /// True if flash attention is used with a KV cache of this type.
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
