//! `edgecall inspect`.

use super::{
    model_path,
    numbers::{between, memory},
    output::{Format, emit},
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::{
    gguf::{GgmlType, KV_TYPES, KvType},
    inspect::{self, Run, WithTensors},
    memory::{BOARDS, Board, Target},
};
use std::path::PathBuf;

/// The arguments of `edgecall inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// GGUF file or checkpoint folder, or a name of the hub as for `edgecall pull`; with `--dialect` also a chat template
    #[arg(value_name = "MODEL.gguf|CHECKPOINT_DIR|TEMPLATE.jinja")]
    path: PathBuf,

    /// Context size for the memory estimate, in tokens [default: the model's, at most 4096]
    #[arg(long, value_name = "N", value_parser = between(1, u32::MAX))]
    ctx: Option<u32>,

    /// Type of the KV cache for the memory estimate
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = kv_type())]
    kv_type: GgmlType,

    /// Compare with a machine with this much memory instead of this one, such as 512M or 2G; 256 MiB of it are left to
    /// its system
    #[arg(long, value_name = "SIZE", value_parser = memory, conflicts_with = "board")]
    memory: Option<u64>,

    /// Compare with a board instead of this machine; 256 MiB of its memory are left to its system
    #[arg(long, value_name = "NAME", value_parser = board())]
    board: Option<&'static Board>,

    /// List the tensors, too
    #[arg(long)]
    tensors: bool,

    /// Show the model's tool-call format instead, with an example; as JSON it is what `call --dialect FILE.json` reads
    #[arg(long, conflicts_with_all = ["ctx", "kv_type", "memory", "board", "tensors"])]
    dialect: bool,

    /// Print one JSON document, with the tensors
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    if args.dialect {
        let report = inspect::dialect(&model_path::either(&args.path)?)?;
        return Ok(emit(&report, Format::from_flag(args.json))?);
    }
    let target = match (args.board, args.memory) {
        (Some(board), _) => Target::Board(board),
        (None, Some(bytes)) => Target::Memory(bytes),
        (None, None) => Target::This,
    };
    let run = Run { n_ctx: args.ctx.map(u64::from), kv_type: args.kv_type, target };
    let report = inspect::inspect(&model_path::either(&args.path)?, run)?;
    let format = Format::from_flag(args.json);
    if args.tensors {
        emit(&WithTensors(&report), format)?
    } else {
        emit(&report, format)?
    }
    Ok(())
}

/// Parser for `--kv-type`.
fn kv_type() -> impl TypedValueParser<Value = GgmlType> {
    PossibleValuesParser::new(KV_TYPES.iter().map(|kv| kv.name))
        .map(|name| KvType::named(&name).expect("clap takes no other name").ggml_type)
}

/// Parser for `--board`.
fn board() -> impl TypedValueParser<Value = &'static Board> {
    PossibleValuesParser::new(BOARDS.iter().map(|board| board.name))
        .map(|name| Board::named(&name).expect("clap takes no other name"))
}
