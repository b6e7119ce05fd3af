//! Settings from the environment, with the names and the order that Python's `huggingface_hub` has.

use super::{Cache, Error};
use crate::{files, http::Key};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Longest token that is read from a file.
const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// The hub's address, the token for it, the cache, and leave to use the network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the hub or a mirror.
    pub endpoint: String,
    /// The cache.
    pub cache: Cache,
    /// True if the network is not to be used.
    pub offline: bool,
    home: PathBuf,
}

impl Settings {
    /// Settings of this process: `HF_ENDPOINT`, `HF_HUB_CACHE` (else `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`,
    /// `XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub`) and `HF_HUB_OFFLINE`. A variable that is empty
    /// counts as absent.
    ///
    /// # Errors
    /// [`Error::NoCacheFolder`] if none of the folders is known.
    pub fn from_env() -> Result<Settings, Error> {
        Settings::from(&|name| env::var_os(name))
    }

    fn from(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Settings, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let user = set("HOME").map(PathBuf::from);
        let path = |name: &str| set(name).map(|value| expanded(PathBuf::from(value), user.as_deref()));
        let caches = || path("XDG_CACHE_HOME").or_else(|| Some(user.as_ref()?.join(".cache")));
        let home = path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")));
        let named = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let cache = named.or_else(|| Some(home.as_ref()?.join("hub"))).ok_or(Error::NoCacheFolder)?;
        let endpoint = set("HF_ENDPOINT").map(|url| url.to_string_lossy().into_owned());
        Ok(Settings {
            endpoint: endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            home: home.unwrap_or_else(|| cache.clone()),
            cache: Cache::at(cache),
            offline: set("HF_HUB_OFFLINE").or_else(|| set("TRANSFORMERS_OFFLINE")).is_some_and(is_yes),
        })
    }

    /// The token: `HF_TOKEN`, else the file that `hf auth login` writes (`HF_TOKEN_PATH`, `HF_HOME/token`); `None` if
    /// there is none, or if `HF_HUB_DISABLE_IMPLICIT_TOKEN` says so.
    ///
    /// # Errors
    /// A file that cannot be read, and a token that cannot stand in a header.
    pub fn token(&self) -> Result<Option<Key>, Error> {
        self.token_from(&|name| env::var_os(name))
    }

    fn token_from(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Key>, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if set("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(is_yes) {
            return Ok(None);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(value) = set(name) {
                return key(name, &value.to_string_lossy());
            }
        }
        let user = set("HOME").map(PathBuf::from);
        let named = set("HF_TOKEN_PATH").map(|value| expanded(value.into(), user.as_deref()));
        let path = named.unwrap_or_else(|| self.home.join("token"));
        let read = files::if_present(files::read(&path, MAX_TOKEN_BYTES));
        match read.map_err(|source| Error::Read { path: path.clone(), source })? {
            Some(bytes) => key("the file of `hf auth login`", &String::from_utf8_lossy(&bytes)),
            None => Ok(None),
        }
    }
}

/// True for the words that Python's client takes for yes.
fn is_yes(value: OsString) -> bool {
    matches!(&*value.to_string_lossy().to_ascii_uppercase(), "1" | "ON" | "YES" | "TRUE")
}

fn key(name: &'static str, text: &str) -> Result<Option<Key>, Error> {
    match text.trim() {
        "" => Ok(None),
        secret => Ok(Some(Key::new(name, secret, false)?)),
    }
}

/// `path` with the user's folder in place of a first `~`.
fn expanded(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn settings(set: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::from(&variables(set))
    }

    fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        // The folders that huggingface_hub 2.4.0 gives for the same variables.
        for (set, expected) in [
            (&[("HOME", "/u")][..], "/u/.cache/huggingface/hub"),
            (&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")], "/u/h/hub"),
            (&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")], "/new"),
            (&[("HOME", "/u"), ("HF_HOME", ""), ("HF_HUB_CACHE", "")], "/u/.cache/huggingface/hub"),
        ] {
            assert_eq!(settings(set).unwrap().cache.folder(), Path::new(expected), "{set:?}");
        }
        assert!(matches!(settings(&[]), Err(Error::NoCacheFolder)));
    }

    #[test]
    fn words_for_yes_are_those_of_python() {
        let offline = |value| settings(&[("HOME", "/u"), ("HF_HUB_OFFLINE", value)]).unwrap().offline;
        assert!(["1", "on", "YES", "True"].into_iter().all(offline));
        assert!(!["", "0", "no", "2"].into_iter().any(offline));
    }

    #[test]
    fn a_token_comes_from_the_environment_or_the_file_of_the_login() {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().to_str().unwrap();
        let name = |set: &[(&str, &str)]| {
            let token = settings(&[("HF_HOME", at)]).unwrap().token_from(&variables(set)).unwrap();
            token.map(|key| key.name())
        };
        assert_eq!(name(&[]), None);
        fs::write(home.path().join("token"), "hf_file\n").unwrap();
        assert_eq!(name(&[]), Some("the file of `hf auth login`"));
        assert_eq!(name(&[("HF_TOKEN", " hf_env ")]), Some("HF_TOKEN"));
        assert_eq!(name(&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"), ("HF_TOKEN", "hf_env")]), None);
        assert_eq!(name(&[("HF_TOKEN_PATH", "/nowhere/token")]), None);
        let error = settings(&[("HF_HOME", at)]).unwrap().token_from(&variables(&[("HF_TOKEN", "a b")]));
        assert!(!error.unwrap_err().to_string().contains("a b"));
    }
}
