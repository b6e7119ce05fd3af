//! Runtime options that `call` and `bench` share.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::runtime::{FlashAttention, KV_TYPES, KvType, Options};
use std::num::NonZeroUsize;

/// Threads, KV cache and attention.
#[derive(clap::Args)]
pub struct ContextArgs {
    /// Number of threads [default: physical cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Type of the KV cache
    #[arg(long, value_name = "TYPE", default_value = KvType::DEFAULT, value_parser = kv_types())]
    kv_type: String,

    /// Use flash attention: long contexts take less memory, decoding is slower; auto uses it only if the KV cache is
    /// quantized
    #[arg(long, value_name = "WHEN", default_value = FlashAttention::Auto.name())]
    #[arg(value_parser = flash_attention())]
    flash_attn: FlashAttention,
}

impl ContextArgs {
    /// Options of a session, without a context size.
    pub fn options(&self) -> Options {
        Options {
            threads: self.threads,
            kv_type: KvType::named(&self.kv_type).expect("clap takes no other name"),
            flash_attention: self.flash_attn,
            ..Options::default()
        }
    }
}

/// Parser for types of the KV cache.
pub fn kv_types() -> PossibleValuesParser {
    PossibleValuesParser::new(KV_TYPES.iter().map(|kv| kv.name))
}

/// Parser for auto, on and off.
pub fn flash_attention() -> impl TypedValueParser<Value = FlashAttention> {
    PossibleValuesParser::new(FlashAttention::ALL.map(FlashAttention::name)).map(|name| {
        let named = FlashAttention::ALL.into_iter().find(|way| way.name() == name);
        named.expect("clap takes no other name")
    })
}

/// Parser for on and off.
pub fn on_or_off() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|word| word == "on")
}
