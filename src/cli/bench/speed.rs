//! `edgecall bench speed`.

use crate::cli::{
    call::draft,
    context::ContextArgs,
    exit::{self, Failure},
    output::{Format, emit},
};
use edgecall::{
    Error,
    benchmark::{
        Dataset,
        speed::{self, Manners},
    },
    call::Draft,
    runtime::{self, LoadOptions, Model, Trust, Vocabulary},
};
use std::{
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    path::PathBuf,
};

/// The arguments of `edgecall bench speed`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure this model
    #[arg(short, long, value_name = "MODEL.gguf")]
    model: PathBuf,

    /// Make the calls of a data set one after another, and measure them
    #[arg(long, requires = "data", conflicts_with = "replay")]
    calls: bool,

    /// Count the steps that the right answers of a data set take; needs no weights, and is the same anywhere
    #[arg(long, requires = "data")]
    replay: bool,

    /// With --calls or --replay: folder with job_description.json and test.jsonl
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// With --calls: make the first N calls only
    #[arg(long, value_name = "N", requires = "calls")]
    limit: Option<NonZeroUsize>,

    /// With --calls: guess N tokens ahead, as many as it is worth (auto), or none (off)
    #[arg(long, value_name = "N", default_value = "auto", value_parser = draft)]
    draft: Draft,

    /// With --calls: decode each token by itself
    #[arg(long, conflicts_with = "draft", requires = "calls")]
    exact: bool,

    /// With --calls: let the model write freely, without a grammar
    #[arg(long, conflicts_with_all = ["exact", "draft"], requires = "calls")]
    free: bool,

    /// With --calls: end a call after this many tokens
    #[arg(long, value_name = "N", default_value = "512")]
    max_tokens: NonZeroUsize,

    #[command(flatten)]
    context: ContextArgs,

    /// Take the weights as the file has them, not rearranged for this CPU
    #[arg(long)]
    no_repack: bool,

    /// Load a model of an architecture that is not checked first
    #[arg(long)]
    trust_model: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    if args.data.is_some() && !args.calls && !args.replay {
        return Err(Failure::usage("--data is for --calls and --replay; give one of them"));
    }
    runtime::cpu::check().map_err(Error::from)?;
    exit::leave_on_interrupt("interrupted", || ())?;
    let format = Format::from_flag(args.json);
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    let dataset = match &args.data {
        Some(folder) => Some(Dataset::open(folder).map_err(Error::from)?),
        None => None,
    };
    if let Some(dataset) = dataset.as_ref().filter(|_| args.replay) {
        let vocabulary = Vocabulary::load_with(&args.model, trust).map_err(Error::from)?;
        return Ok(emit(&speed::replay(dataset, &vocabulary)?, format)?);
    }
    let options = LoadOptions { trust, repack: !args.no_repack };
    let model = Model::load_with(&args.model, options).map_err(Error::from)?;
    let session = args.context.options();
    match &dataset {
        Some(dataset) => {
            let manners = Manners {
                free: args.free,
                exact: args.exact,
                draft: args.draft,
                max_tokens: args.max_tokens.get(),
                limit: args.limit.map_or(usize::MAX, NonZeroUsize::get),
                session,
            };
            Ok(emit(&speed::calls(dataset, &model, &manners)?, format)?)
        }
        None => {
            let is_seen = io::stderr().is_terminal();
            let progress = |what: &str| {
                if is_seen {
                    let _ = write!(io::stderr(), "\r\x1b[K{what}");
                }
            };
            let measured = speed::measure(&model, &session, progress);
            if is_seen {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
            Ok(emit(&measured?, format)?)
        }
    }
}
