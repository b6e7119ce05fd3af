//! Runtime options that `call` and `bench` share.

use super::numbers::positive;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::runtime::{FlashAttention, KV_TYPES, KvType, Options, cpu};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    sync::Once,
};

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
    /// Options of a session, without a context size. Warns of more threads than CPUs.
    pub fn options(&self) -> Options {
        warn_of_threads(self.threads);
        self.options_of_child()
    }

    /// The same for a child process, whose parent has warned already.
    pub fn options_of_child(&self) -> Options {
        Options {
            threads: self.threads,
            kv_type: KvType::named(&self.kv_type).expect("clap takes no other name"),
            flash_attention: self.flash_attn,
            ..Options::default()
        }
    }
}

/// Warns, once in a process, of `threads` that are accepted and more than the CPUs.
pub fn warn_of_threads(threads: Option<NonZeroUsize>) {
    static WARNED: Once = Once::new();
    let cpus = cpu::usable_cpus();
    if let Some(threads) =
        threads.filter(|threads| threads.get() > cpus && cpu::threads(Some(*threads)).is_ok())
    {
        // Nobody reads a closed stderr.
        WARNED.call_once(|| {
            let _ = writeln!(
                io::stderr(),
                "warning: {threads} threads compute on {cpus} CPU and wait for each other; --threads {cpus} is faster"
            );
        });
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
