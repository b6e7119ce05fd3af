//! `edgecall cache`.

use super::{exit::CliError, output};
use clap::Subcommand;
use edgecall::{Kind, cache::Cache, machine::folders::cache_folder};
use std::path::PathBuf;

/// Environment variable with the cache folder; `call` reads it too.
pub const CACHE_DIR: &str = "EDGECALL_CACHE_DIR";

/// The arguments of `edgecall cache`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,

    /// Cache folder [default: edgecall in the user's cache folder]
    #[arg(long, value_name = "DIR", env = CACHE_DIR, hide_env_values = true, global = true)]
    cache_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// List the entries of the cache, most recently used first
    List {
        /// Verify the checksums of all entries and of the models that they belong to
        #[arg(long)]
        verify: bool,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove all entries of the cache
    Clear {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Some(folder) = args.cache_dir.or_else(cache_folder) else {
        return Err(CliError::usage("there is no cache folder, for HOME is not set; give --cache-dir DIR"));
    };
    let cache = Cache::new(&folder);
    match args.action {
        Action::Clear { json } => Ok(output::emit(&cache.clear()?, output::Format::from_flag(json))?),
        Action::List { verify, json } => {
            let listing = cache.list(verify)?;
            output::emit(&listing, output::Format::from_flag(json))?;
            match listing.complaint().filter(|_| verify) {
                Some(complaint) => Err(CliError::with_kind(Kind::Negative, complaint)),
                None => Ok(()),
            }
        }
    }
}
