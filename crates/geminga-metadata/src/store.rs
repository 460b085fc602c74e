//! What a metadata store does: single-key compare-and-set, and nothing across keys.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use geminga_env::BoxFuture;
use tokio::sync::mpsc;

/// A store shared by its users.
pub type SharedStore = Arc<dyn MetadataStore>;

/// Counts the writes to one key. A key deleted and made anew may count from 0 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub i64);

/// A value and the version it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes.
    pub value: Bytes,
    /// To be expected by the next write.
    pub version: Version,
}

/// What a write requires of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Any,
    /// That it does not exist.
    Absent,
    /// That nobody has written since.
    At(Version),
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is deleted. A key keeps the lifetime it was created with.
    Persistent,
    /// As long as this process's session: gone after a restart or [`Change::SessionLost`].
    Ephemeral,
}

impl Expected {
    /// The version a write makes of a key at version `found`, for the authors of stores.
    ///
    /// # Errors
    ///
    /// `Conflict` if the key is not as expected.
    pub fn next_version(
        self,
        path: &str,
        found: Option<Version>,
    ) -> Result<Version, MetadataError> {
        match (self, found) {
            (Self::Any | Self::Absent, None) => Ok(Version(0)),
            (Self::Any, Some(found)) => Ok(Version(found.0.wrapping_add(1))),
            (Self::At(expected), Some(found)) if expected == found => {
                Ok(Version(found.0.wrapping_add(1)))
            }
            (Self::Absent | Self::At(_), _) => {
                Err(MetadataError::Conflict { path: path.to_owned() })
            }
        }
    }

    /// Whether a key at version `found` may be deleted, for the authors of stores.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none, `Conflict` if it is not as expected, and `Invalid` for
    /// [`Expected::Absent`].
    pub fn check_delete(self, path: &str, found: Option<Version>) -> Result<(), MetadataError> {
        match (self, found) {
            (Self::Absent, _) => Err(MetadataError::Invalid {
                path: path.to_owned(),
                reason: "a delete cannot expect that the key does not exist".to_owned(),
            }),
            (_, None) => Err(MetadataError::NotFound { path: path.to_owned() }),
            (Self::At(expected), Some(found)) if expected != found => {
                Err(MetadataError::Conflict { path: path.to_owned() })
            }
            (Self::Any | Self::At(_), Some(_)) => Ok(()),
        }
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Names of direct children, sorted, without their parent's path.
    pub names: Vec<String>,
    /// Whether there are more behind the last name.
    pub more: bool,
}

/// Something to look at again. Changes may be merged and may come late, never not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This key, or a child of it, was written or deleted: read it again.
    Path(String),
    /// Too much to name: read again whatever you hold.
    Everything,
    /// Every ephemeral key of this process may be gone. `SessionRegained` follows.
    SessionLost,
    /// A new session: write ephemerals again, and read again whatever you hold.
    SessionRegained,
}

/// Receives the changes below one prefix.
pub type Watch = mpsc::Receiver<Change>;

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The key is not as expected; nothing was written. Read again and decide anew.
    #[error("metadata key {path:?} was changed by another writer")]
    Conflict {
        /// The key.
        path: String,
    },
    /// The key does not exist; nothing was written.
    #[error("metadata key {path:?} does not exist")]
    NotFound {
        /// The key.
        path: String,
    },
    /// The caller's path or value cannot be stored; nothing was written.
    #[error("invalid metadata request for {path:?}: {reason}")]
    Invalid {
        /// The key.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store cannot be reached. A write **may have been made**: read before trying again.
    #[error("metadata store is unavailable: {0}")]
    Unavailable(String),
    /// The stored bytes are damaged or from a newer format. A person must look.
    #[error("metadata store is corrupt: {0}")]
    Corrupt(String),
}

/// A hierarchical key-value store, as small as ZooKeeper, etcd and an embedded one have in common.
///
/// Paths begin with `/` and have no empty part. A parent need not exist. What a successful write
/// wrote is durable. Every future is cancel-safe; a cancelled write may have been made.
pub trait MetadataStore: fmt::Debug + Send + Sync {
    /// Reads a key. `None`: proven not to exist.
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>>;

    /// Writes a key and returns its new version, creating it unless a version is expected.
    ///
    /// What is not as expected is a [`MetadataError::Conflict`], also when the key does not exist.
    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        lifetime: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>>;

    /// Deletes a key (not its children); `NotFound` if it does not exist, whatever was expected.
    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>>;

    /// Lists direct children of `path` in order, those behind `after`, at most `limit`.
    ///
    /// A child is any name for which a key `path/name` or `path/name/…` exists.
    fn children<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>>;

    /// The next number of the sequence `path` (which is no key: it is not listed): 0 first, never twice, durable before it is returned.
    /// Numbers may be skipped after a restart.
    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>>;

    /// Watches every key that begins with `prefix`. The channel holds what fits and then merges.
    fn watch(&self, prefix: &str) -> Watch;
}
