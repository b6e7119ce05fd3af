//! How servers are asked.

use edgecall::http::{Client, Key, Patience};
use std::time::Duration;

/// The arguments of all that ask servers.
#[derive(clap::Args)]
#[command(next_help_heading = "Servers")]
pub struct Args {
    /// Wait this long for a server's answer
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,

    /// Ask a server again this often when it fails or is busy
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
}

impl Args {
    /// A client for the server at `url`, with the key that the first of these variables holds.
    ///
    /// # Errors
    /// What is no address, or no key.
    pub fn client(&self, url: &str, keys: &[&'static str]) -> Result<Client, edgecall::Error> {
        let patience = Patience {
            timeout: Duration::from_secs(self.timeout.into()),
            retries: self.retries,
            // Shards that a server failed together should not come back together; nothing else depends on it.
            seed: std::process::id().into(),
            ..Patience::default()
        };
        Ok(Client::new(url, Key::from_env(keys)?, patience)?)
    }
}
