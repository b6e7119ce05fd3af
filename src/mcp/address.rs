//! Address of a server: a command line to start, or a URL.

use super::{Error, Result};
use reqwest::Url;
use std::str::FromStr;

/// Address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The program and its arguments; it speaks on stdin and stdout.
    Command(Vec<String>),
    /// The address of a streamable HTTP endpoint.
    Url(Url),
}

impl Address {
    /// The name of the server until it says its own: the program's, or the host's.
    pub(super) fn name(&self) -> String {
        match self {
            Address::Command(argv) => argv[0].rsplit('/').next().unwrap_or_default().to_owned(),
            Address::Url(url) => url.host_str().unwrap_or_default().to_owned(),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads a URL that begins with `http://` or `https://`, or else a command line in the words of a shell. No shell runs it:
    /// variables and wildcards are text.
    fn from_str(text: &str) -> Result<Address> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let wrong = |problem: String| Error::Url { url: text.to_owned(), problem };
            let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
            // It would stand in the list of processes, and in errors.
            return match url.username().is_empty() && url.password().is_none() {
                true => Ok(Address::Url(url)),
                false => Err(Error::Url {
                    url: "...".into(),
                    problem: "it holds a user name or a password".into(),
                }),
            };
        }
        let words =
            shlex::split(text).filter(|words| words.first().is_some_and(|program| !program.is_empty()));
        match words {
            Some(words) if !text.contains('\0') => Ok(Address::Command(words)),
            _ => Err(Error::Command { command: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_does_and_a_url_is_recognized() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let words = ["npx", "-y", "a b", "$HOME", "*"].map(str::to_owned).to_vec();
        assert_eq!(address("npx -y 'a b' '$HOME' \\*"), Address::Command(words));
        assert_eq!(address("/usr/bin/server --x").name(), "server");
        assert_eq!(address("http://127.0.0.1:3001/mcp").name(), "127.0.0.1");
        for (text, expected) in [
            ("", "is no command"),
            ("  ", "is no command"),
            ("''", "is no command"),
            ("a 'b", "is no command"),
            ("a\0b", "is no command"),
            ("http://", "is no address"),
            ("http://u:secret@host/", "user name or a password"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
