//! Runtime options that `call` and `bench` share.

use super::numbers::positive;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::runtime::{FlashAttention, KV_TYPES, KvType, Options};
use std::num::NonZeroUsize;

/// Threads, KV cache and attention.
#[derive(clap::Args)]
pub struct ContextArgs {
    /// Number of threads [default: physical cores]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<NonZeroUsize>,

    /// Type of the numbers in the KV cache; smaller ones save memory and lose precision
    #[arg(long, value_name = "TYPE", default_value = KvType::DEFAULT, value_parser = kv_types())]
    kv_type: String,

    /// Use flash attention: less memory for long contexts, slower decoding; auto: only with a quantized --kv-type
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
