//! The hub's list of a repository's files, which names, sizes and hashes are taken from.

use super::{
    Digest, Error,
    source::{is_commit, is_file_name},
};
use serde::Deserialize;

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path in the repository.
    pub name: String,
    /// Its size.
    pub file_bytes: u64,
    /// Its hash.
    pub digest: Digest,
}

/// The state of a repository at a commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub commit: String,
    pub files: Vec<Listed>,
}

/// A file as it is listed: some mirrors list names alone.
#[derive(Debug)]
pub(super) struct Listed {
    pub name: String,
    pub file: Option<RemoteFile>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Listing {
    /// Reads the answer of `url`.
    ///
    /// # Errors
    /// Something else than a list; a name that leaves the repository's folder, which no hub sends; a hash that is none.
    pub fn read(url: &str, json: &[u8]) -> Result<Listing, Error> {
        let not_a_listing = |source| Error::NotAListing { url: url.to_owned(), source };
        let answer: Answer = serde_json::from_slice(json).map_err(not_a_listing)?;
        let refused = |problem: String| Error::Listing { url: url.to_owned(), problem };
        if !is_commit(&answer.sha) {
            return Err(refused(format!("files of the commit {:?}, which is none", answer.sha)));
        }
        let mut files = Vec::new();
        for sibling in answer.siblings {
            let name = sibling.rfilename.clone();
            if name.starts_with('/') || name.split(['/', '\\']).any(|part| part == "..") {
                return Err(refused(format!("the file {name:?}, which lies outside of the repository")));
            }
            if !is_file_name(&name) {
                tracing::warn!(?name, "a file with this name is not fetched");
                continue;
            }
            let file = sibling.file().map_err(|problem| refused(format!("{name:?} with {problem}")))?;
            files.push(Listed { name, file });
        }
        Ok(Listing { commit: answer.sha, files })
    }
}

impl Sibling {
    fn file(self) -> Result<Option<RemoteFile>, &'static str> {
        let known = match (self.lfs, self.size, self.blob_id) {
            (Some(lfs), _, _) => Some((lfs.sha256, lfs.size, 64)),
            (None, Some(size), Some(id)) => Some((id, size, 40)),
            _ => None,
        };
        let Some((digits, file_bytes, length)) = known else { return Ok(None) };
        match Digest::new(&digits).filter(|digest| digest.as_str().len() == length) {
            Some(digest) => Ok(Some(RemoteFile { name: self.rfilename, file_bytes, digest })),
            None => Err("a hash that is none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COMMIT: &str = "70d244cc86ccca08cf5af4e1e306ecf908b1ad5e";

    fn listing(siblings: serde_json::Value) -> Result<Listing, Error> {
        let answer = json!({"id": "a/b", "sha": COMMIT, "siblings": siblings, "gated": false});
        Listing::read("https://hub.example/api", answer.to_string().as_bytes())
    }

    #[test]
    fn a_large_file_has_the_hash_of_its_bytes_and_a_small_one_that_of_git() {
        let sha256 = "ab".repeat(32);
        let listing = listing(json!([
            {"rfilename": "config.json", "size": 7, "blobId": "cd".repeat(20)},
            {"rfilename": "model.safetensors", "size": 9, "blobId": "cd".repeat(20),
             "lfs": {"sha256": sha256, "size": 9, "pointerSize": 134}},
            {"rfilename": "mirrored.json"},
            {"rfilename": "odd\nname"},
        ]))
        .unwrap();
        let digest = |i: usize| listing.files[i].file.as_ref().map(|file| file.digest.clone());
        assert_eq!(digest(0), Some(Digest::GitBlob("cd".repeat(20))));
        assert_eq!(digest(1), Some(Digest::Sha256(sha256)));
        assert_eq!(digest(2), None);
        assert_eq!((listing.files.len(), &*listing.commit), (3, COMMIT));
    }

    #[test]
    fn a_list_that_leads_out_of_the_cache_is_refused() {
        for name in ["../../../.bashrc", "/etc/passwd", "a/../../b", "..", "a\\..\\b"] {
            let error = listing(json!([{"rfilename": name}])).unwrap_err();
            assert!(matches!(error, Error::Listing { .. }), "{error}");
        }
        for (lfs, id) in [("../../x", "00"), ("AB", "00"), (&*"cd".repeat(20), "00")] {
            let sibling =
                json!({"rfilename": "a", "size": 1, "blobId": id, "lfs": {"sha256": lfs, "size": 1}});
            assert!(listing(json!([sibling])).is_err());
        }
        let answer = json!({"sha": "../..", "siblings": []}).to_string();
        assert!(Listing::read("u", answer.as_bytes()).is_err());
        assert!(matches!(Listing::read("u", b"{}"), Err(Error::NotAListing { .. })));
    }
}
