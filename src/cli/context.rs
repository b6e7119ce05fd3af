//! How a model is run: the arguments that `call` and `bench` have in common.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::runtime::{FlashAttention, KV_TYPES, KvType, Options};
use std::num::NonZeroUsize;

/// Threads, KV cache and attention.
#[derive(clap::Args)]
pub struct ContextArgs {
    /// Compute with this many threads [default: physical cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Keep the KV cache in this type
    #[arg(long, value_name = "TYPE", default_value = KvType::DEFAULT, value_parser = kv_types())]
    kv_type: String,

    /// Compute attention without a table of scores: long contexts take less memory, decoding takes
    /// longer; auto does only where the KV cache is quantized
    #[arg(long, value_name = "WHEN", default_value = FlashAttention::Auto.name())]
    #[arg(value_parser = flash_attention())]
    flash_attn: FlashAttention,
}

impl ContextArgs {
    /// A session's options, the context's length left open.
    pub fn options(&self) -> Options {
        Options {
            threads: self.threads,
            kv_type: KvType::named(&self.kv_type).expect("clap takes no other name"),
            flash_attention: self.flash_attn,
            ..Options::default()
        }
    }
}

/// Takes the name of a type of KV cache.
pub fn kv_types() -> PossibleValuesParser {
    PossibleValuesParser::new(KV_TYPES.iter().map(|kv| kv.name))
}

/// Takes auto, on or off.
pub fn flash_attention() -> impl TypedValueParser<Value = FlashAttention> {
    PossibleValuesParser::new(FlashAttention::ALL.map(FlashAttention::name)).map(|name| {
        let named = FlashAttention::ALL.into_iter().find(|way| way.name() == name);
        named.expect("clap takes no other name")
    })
}

/// Takes on or off.
pub fn on_or_off() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|word| word == "on")
}
