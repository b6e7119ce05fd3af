//! API key of a server, from the environment; it is sent only in the request header.

use super::{Error, redact::Redaction};
use serde_json::Value;
use std::{env, fmt};

/// API key of a server. It is never shown, not even by `{:?}`.
#[derive(Clone)]
pub struct Key {
    name: &'static str,
    secret: String,
    redaction: Redaction,
    /// True if the key may be sent to any server that the user names.
    anywhere: bool,
}

impl Key {
    /// Reads the key from the first of these variables that is not empty, else from `OPENAI_API_KEY`; `None` if all are
    /// empty.
    ///
    /// # Errors
    /// [`Error::Key`] for a key that cannot be written into a header.
    pub fn from_env(names: &[&'static str]) -> Result<Option<Key>, Error> {
        let known = names.iter().map(|name| (*name, true)).chain([("OPENAI_API_KEY", false)]);
        for (name, anywhere) in known {
            let Some(value) = env::var_os(name) else { continue };
            let value = value.to_str().map(str::trim).ok_or(Error::Key { name })?;
            if value.is_empty() {
                continue;
            }
            return Key::new(name, value, anywhere).map(Some);
        }
        Ok(None)
    }

    /// Key `secret`, which came from `name`. It is sent over TLS or to this machine only, unless `anywhere`.
    ///
    /// # Errors
    /// [`Error::Key`] for a key that cannot be written into a header.
    pub(crate) fn new(name: &'static str, secret: &str, anywhere: bool) -> Result<Key, Error> {
        match secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Key { name, secret: secret.to_owned(), redaction: Redaction::new(secret), anywhere }),
            false => Err(Error::Key { name }),
        }
    }

    /// Environment variable of the key.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// True if the key may be sent to a server: any key over TLS or to this machine. Over an unencrypted network only a
    /// key that was set for this program, since `OPENAI_API_KEY` was set for another server.
    pub fn is_for(&self, is_tls: bool, is_local: bool) -> bool {
        self.anywhere || is_tls || is_local
    }

    /// Value of the authorization header.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.secret)
    }

    /// Replaces the key in `text` with dashes, in whatever spelling.
    pub(super) fn cut_out(&self, text: &str) -> String {
        self.redaction.cut_out(text)
    }

    /// Replaces the key in the texts and names of an answer with dashes.
    pub(super) fn cut_out_of(&self, answer: &mut Value) {
        self.redaction.cut_out_of(answer);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let key = Key::new("EDGECALL_API_KEY", "sk-secret", true).unwrap();
        assert_eq!(format!("{key:?}"), "Key(EDGECALL_API_KEY)");
        assert_eq!(key.cut_out("Incorrect API key: sk-secret."), "Incorrect API key: ---.");
        let error = Key::new("EDGECALL_API_KEY", "sk-se\ncret", true).unwrap_err();
        assert!(
            error.to_string().contains("EDGECALL_API_KEY") && !error.to_string().contains("sk-"),
            "{error}"
        );
    }

    #[test]
    fn another_servers_key_stays_off_the_network_in_the_clear() {
        let key = |anywhere| Key::new("OPENAI_API_KEY", "k", anywhere).unwrap();
        assert!(!key(false).is_for(false, false));
        assert!(key(false).is_for(true, false) && key(false).is_for(false, true));
        assert!(key(true).is_for(false, false));
    }
}
