//! Hashes that identify the data of a run.

use serde::{Deserialize, Serialize};

/// The MD5 of the published test.jsonl.
const PUBLIC_TEST_MD5: &str = "1c1b7ce2bf4ef1c262d06dd5fad2c59c";

/// Hashes that identify the data of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DataId {
    /// The MD5 of the test set, in hex.
    pub test_md5: String,
    /// The SHA-256 of task and tools, in hex.
    pub job_sha256: String,
}

impl DataId {
    /// True if the test set is the published one.
    pub fn is_public(&self) -> bool {
        is_public(&self.test_md5)
    }
}

/// True if a test set with this MD5 is the published one.
pub(super) fn is_public(test_md5: &str) -> bool {
    test_md5 == PUBLIC_TEST_MD5
}
