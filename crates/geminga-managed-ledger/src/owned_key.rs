//! A metadata key that has one owner, who learns from every write whether it still is.
//!
//! A write that the store answered with "unavailable" may have been made, and may yet land. So what
//! was attempted is remembered until a later write succeeds: a conflict with one of these is no
//! other owner's.
//!
//! # Invariants
//!
//! 1. Every write expects the version held: a key changed by anyone else is [`KeyError::Fenced`].
//! 2. `value` at `version` was in the store at some time, written or read by this owner.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use geminga_ledger::Deps;
use geminga_metadata::{Expected, Lifetime, MetadataError, Version, Versioned};

/// How often a write with an unknown outcome is looked into before the caller hears of it.
const ROUNDS_MAX: u32 = 4;
const ROUND_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct OwnedKey {
    path: Arc<str>,
    value: Bytes,
    version: Version,
    /// Values whose write may have been made.
    attempted: Vec<Bytes>,
    /// Whether a deletion may have been made.
    removal_attempted: bool,
}

/// Why a key was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// Someone else wrote it. Nothing was written; stop.
    #[error("metadata key {0:?} has another owner")]
    Fenced(Arc<str>),
    /// It may have been written; the next write finds out.
    #[error("{0}")]
    Unavailable(String),
}

/// What a look at the store showed after a write with an unknown outcome.
enum Look {
    /// It is as held or as attempted.
    Ours,
    /// It is gone.
    Gone,
}

impl OwnedKey {
    pub(crate) fn held(path: Arc<str>, Versioned { value, version }: Versioned) -> Self {
        Self { path, value, version, attempted: Vec::new(), removal_attempted: false }
    }

    /// Makes the key. `Ok(None)`: it exists already.
    pub(crate) async fn create(
        deps: &Deps,
        path: Arc<str>,
        value: Bytes,
    ) -> Result<Option<Self>, MetadataError> {
        let put = put(deps, &path, value.clone(), Expected::Absent).await;
        match put {
            Ok(version) => Ok(Some(Self::held(path, Versioned { value, version }))),
            Err(MetadataError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) const fn path(&self) -> &Arc<str> {
        &self.path
    }

    pub(crate) const fn value(&self) -> &Bytes {
        &self.value
    }

    /// Every value that the store may hold.
    pub(crate) fn possible_values(&self) -> impl Iterator<Item = &Bytes> {
        self.attempted.iter().chain([&self.value])
    }

    /// Whether the store may hold a value other than [`Self::value`].
    fn is_uncertain(&self) -> bool {
        !self.attempted.is_empty()
    }

    /// Writes `value`.
    pub(crate) async fn replace(&mut self, deps: &Deps, value: Bytes) -> Result<(), KeyError> {
        let mut error = String::new();
        for round in 0..ROUNDS_MAX {
            if 0 < round {
                tokio::time::sleep(ROUND_PAUSE * round).await;
            }
            if self.is_uncertain() {
                match self.look(deps).await? {
                    Ok(Look::Ours) if self.value == value => {
                        return Ok(());
                    }
                    Ok(Look::Ours) => {}
                    Ok(Look::Gone) => return Err(self.fenced()),
                    Err(unavailable) => {
                        error = unavailable;
                        continue;
                    }
                }
            }
            match put(deps, &self.path, value.clone(), Expected::At(self.version)).await {
                Ok(version) => {
                    self.attempted.clear();
                    (self.value, self.version) = (value, version);
                    return Ok(());
                }
                Err(MetadataError::Conflict { .. }) if self.is_uncertain() => {}
                Err(MetadataError::Conflict { .. } | MetadataError::NotFound { .. }) => {
                    return Err(self.fenced());
                }
                Err(MetadataError::Unavailable(reason)) => {
                    error = reason;
                    if !self.attempted.contains(&value) {
                        self.attempted.push(value.clone());
                    }
                }
                Err(other) => return Err(KeyError::Unavailable(other.to_string())),
            }
        }
        Err(KeyError::Unavailable(error))
    }

    /// Deletes the key.
    pub(crate) async fn remove(&mut self, deps: &Deps) -> Result<(), KeyError> {
        let mut error = String::new();
        for round in 0..ROUNDS_MAX {
            if 0 < round {
                tokio::time::sleep(ROUND_PAUSE * round).await;
            }
            if self.is_uncertain() || self.removal_attempted {
                match self.look(deps).await? {
                    Ok(Look::Ours) => {}
                    Ok(Look::Gone) if self.removal_attempted => return Ok(()),
                    Ok(Look::Gone) => return Err(self.fenced()),
                    Err(unavailable) => {
                        error = unavailable;
                        continue;
                    }
                }
            }
            match deps.metadata.delete(&self.path, Expected::At(self.version)).await {
                Ok(()) => return Ok(()),
                Err(MetadataError::NotFound { .. }) if self.removal_attempted => return Ok(()),
                Err(MetadataError::Conflict { .. }) if self.is_uncertain() => {}
                Err(MetadataError::Conflict { .. } | MetadataError::NotFound { .. }) => {
                    return Err(self.fenced());
                }
                Err(other) => {
                    error = other.to_string();
                    self.removal_attempted = true;
                }
            }
        }
        Err(KeyError::Unavailable(error))
    }

    /// Reads the key after a write with an unknown outcome. The inner error: not known yet.
    async fn look(&mut self, deps: &Deps) -> Result<Result<Look, String>, KeyError> {
        match deps.metadata.get(&self.path).await {
            Ok(Some(Versioned { value, version })) => {
                let is_held = version == self.version && value == self.value;
                let is_next = version.0 == self.version.0 + 1;
                if is_next && self.attempted.contains(&value) {
                    // What else was attempted expected the version before: it can land no more.
                    self.attempted.clear();
                    (self.value, self.version) = (value, version);
                } else if !is_held {
                    return Err(self.fenced());
                }
                Ok(Ok(Look::Ours))
            }
            Ok(None) => Ok(Ok(Look::Gone)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn fenced(&self) -> KeyError {
        KeyError::Fenced(Arc::clone(&self.path))
    }
}

async fn put(
    deps: &Deps,
    path: &str,
    value: Bytes,
    expected: Expected,
) -> Result<Version, MetadataError> {
    deps.metadata.put(path, value, expected, Lifetime::Persistent).await
}
