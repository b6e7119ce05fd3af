//! Models on the Hugging Face hub: fetched into the cache that Python's `huggingface_hub` uses, and found there.
//!
//! ```text
//! Source (ORG/NAME@REV:FILE) -> Listing (names, sizes, hashes) -> Plan (files to fetch) -> Cache
//! ```
//!
//! The crate `hf-hub` (1.0.0) has the same cache, and is not used: it starts a file anew after each break, compares no
//! file with its hash, and follows redirects in a client that takes no part of the retries. It brings 290 crates (tokio,
//! reqwest, the Xet protocol) where `ureq` is there already, and its errors do not tell a page of a login from a file.
//! This module stands on [`crate::http::Fetcher`] and takes only what a conversion or a call reads.
//!
//! Files are fetched at the commit that the listing names, so that all are of one state of the repository, and what
//! earlier runs fetched of them can be gone on with. A file gets its name when its length and its hash are those of the
//! listing, and the snapshot its files when all of them are there.

mod cache;
mod client;
mod digest;
mod error;
mod find;
mod known;
mod listing;
mod partial;
mod plan;
mod progress;
mod pull;
mod select;
mod settings;
mod source;

pub use cache::Cache;
pub use digest::Digest;
pub use error::Error;
pub use find::{checkpoint, gguf, offline};
pub use known::{KNOWN_PREFIX, known_names};
pub use listing::RemoteFile;
pub use plan::{Plan, PlannedFile};
pub use progress::Progress;
pub use pull::Hub;
pub use settings::Settings;
pub use source::{RepoId, Source};
