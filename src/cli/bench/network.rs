//! Arguments for connections to servers.

use crate::cli::numbers::between;
use edgecall::http::{self, Client, Key, RetryPolicy};
use std::time::Duration;

/// The arguments of all commands that use servers.
#[derive(clap::Args)]
#[command(next_help_heading = "Servers")]
pub struct Args {
    /// Timeout of a request to a server, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = between(1, u32::MAX))]
    timeout: u32,

    /// Number of retries after an error of a server, or when it is busy
    #[arg(long, value_name = "N", default_value = "5", value_parser = between(0, 100))]
    retries: u32,
}

impl Args {
    /// Client for the server at `url`; the key is read from the first of these environment variables that is not empty,
    /// else from `OPENAI_API_KEY`.
    ///
    /// # Errors
    /// An invalid address or key.
    pub fn client(&self, url: &str, keys: &[&'static str]) -> Result<Client, http::Error> {
        let retry = RetryPolicy {
            timeout: Duration::from_secs(self.timeout.into()),
            retries: self.retries,
            // A seed of its own for each process, so that shards do not retry at the same moment. Results do not depend
            // on it.
            seed: std::process::id().into(),
            ..RetryPolicy::default()
        };
        Client::new(url, Key::from_env(keys)?, retry)
    }
}
