//! The tools of a run: those of the file, then those of the servers.

use super::{super::call::input, Args};
use crate::cli::exit::CliError;
use anyhow::Context;
use edgecall::{
    Kind,
    agent::{DEFAULT_ENVIRONMENT, MAX_FILE_BYTES, Programs, Running, Source, Toolbox},
    files,
    mcp::{Address, Server, Settings},
};
use std::{path::Path, time::Duration};

/// The tools of the file and of the servers that `args` name.
pub(super) fn toolbox(args: &Args, running: &Running) -> anyhow::Result<Toolbox> {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    if let Some(path) = &args.call.tools {
        sources.push(Box::new(programs(path, running)?));
    }
    // Wrong addresses are told before any server is started.
    let addresses = args.mcp.iter().map(|text| text.parse()).collect::<Result<Vec<Address>, _>>()?;
    let names = DEFAULT_ENVIRONMENT.iter().map(|name| (*name).to_owned()).chain(args.mcp_env.iter().cloned());
    let settings = Settings {
        timeout: Duration::from_secs(args.mcp_timeout.into()),
        environment: names.collect(),
        reads: args.reads.iter().cloned().collect(),
    };
    for address in &addresses {
        let mut server = Server::connect(address, settings.clone())?;
        input::warn(&server.take_warnings());
        sources.push(Box::new(server));
    }
    Ok(Toolbox::new(sources))
}

/// Reads the file of tools; paths in it are relative to its folder, or to the current one if it comes on stdin.
fn programs(path: &Path, running: &Running) -> anyhow::Result<Programs> {
    let (name, bytes) = input::source(path)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("{name} has more than {MAX_FILE_BYTES} bytes, and no file of tools is as long");
        return Err(CliError::with_kind(Kind::Data, message));
    }
    let text = input::text(&bytes, &format!("{name}: the file of tools"))?;
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    Programs::parse(&text, is_json, files::folder_of(path), running.clone()).context(name)
}
