//! Addresses of the server, and who may use it.

use crate::cli::exit::CliError;
use edgecall::serve::{Keys, Listener};
use std::{env, path::PathBuf};

/// Variable with the API key.
const KEY: &str = "EDGECALL_API_KEY";
/// Address without options.
const ADDRESS: &str = "127.0.0.1:8080";

/// Addresses, keys and origins.
#[derive(clap::Args)]
pub struct ListenArgs {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,

    /// Listen on a Unix socket that only this user may open
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,

    /// File with the API keys that requests must have, one a line; or set EDGECALL_API_KEY
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Serve other machines without an API key
    #[arg(long, conflicts_with = "api_key_file")]
    no_auth: bool,

    /// Let web pages of this origin use the server, such as https://example.org (repeatable); * is all
    #[arg(long, value_name = "ORIGIN")]
    pub cors: Vec<String>,
}

impl ListenArgs {
    /// Keys from the file and the environment.
    ///
    /// # Errors
    /// Keys that cannot be used.
    pub fn keys(&self) -> anyhow::Result<Keys> {
        if self.no_auth {
            return Ok(Keys::default());
        }
        let of_file = self.api_key_file.as_deref().map(Keys::read).transpose()?.unwrap_or_default();
        let Some(key) = env::var_os(KEY).filter(|key| !key.is_empty()) else { return Ok(of_file) };
        match key.to_str().map(str::trim).filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) {
            Some("") => Ok(of_file),
            Some(key) => Ok(of_file.and(Keys::one(key))),
            None => Err(CliError::usage(format!("{KEY} holds characters that no key has; set it anew"))),
        }
    }

    /// Sockets from systemd, or else those of the options.
    ///
    /// # Errors
    /// An address that cannot be listened on, or that other machines reach and that needs no key.
    pub fn listeners(&self, is_open: bool) -> anyhow::Result<Vec<Listener>> {
        let mut listeners = Listener::passed()?;
        if let Some(address) = &self.listen {
            listeners.push(Listener::tcp(address)?);
        }
        if let Some(path) = &self.unix {
            listeners.push(Listener::unix(path)?);
        }
        if listeners.is_empty() {
            listeners.push(Listener::tcp(ADDRESS)?);
        }
        if is_open
            && !self.no_auth
            && let Some(open) = listeners.iter().find(|l| l.is_open_to_the_network())
        {
            return Err(CliError::usage(format!(
                "{} can be reached from other machines; give --api-key-file FILE, set {KEY}, or give --no-auth to let \
                 everyone use it",
                open.address()
            )));
        }
        Ok(listeners)
    }
}
