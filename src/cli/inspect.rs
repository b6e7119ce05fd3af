//! `edgecall inspect`.

use super::output::{Format, emit};
use clap::value_parser;
use edgecall::{
    gguf::{GgmlType, KV_TYPES, KvType},
    inspect::{self, Run, WithTensors},
};
use std::path::PathBuf;

/// The arguments of `edgecall inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// GGUF file or checkpoint folder
    #[arg(value_name = "MODEL.gguf|CHECKPOINT_DIR")]
    path: PathBuf,

    /// Context size for the memory estimate, in tokens [default: the model's, at most 4096]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    ctx: Option<u32>,

    /// Type of the KV cache for the memory estimate (f16, q8_0 ...)
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = kv_type)]
    kv_type: GgmlType,

    /// List the tensors too
    #[arg(long)]
    tensors: bool,

    /// Print one JSON document, with the tensors
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let run = Run { n_ctx: args.ctx.map(u64::from), kv_type: args.kv_type };
    let report = inspect::inspect(&args.path, run)?;
    let format = Format::from_flag(args.json);
    if args.tensors {
        emit(&WithTensors(&report), format)?
    } else {
        emit(&report, format)?
    }
    Ok(())
}

/// Parses the value of `--kv-type`.
fn kv_type(name: &str) -> Result<GgmlType, String> {
    KvType::named(name).map(|kv| kv.ggml_type).ok_or_else(|| {
        let names: Vec<_> = KV_TYPES.iter().map(|kv| kv.name).collect();
        format!("the cache can be {}", names.join(", "))
    })
}
