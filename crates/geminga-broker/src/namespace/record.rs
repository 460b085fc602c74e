//! One JSON value under one metadata key: read, create, change, delete, each compare-and-set.
//!
//! # Invariants
//!
//! 1. After a write whose answer was lost the key is read: what is as the write wanted it counts
//!    as written, whoever wrote it.

use bytes::Bytes;
use geminga_ledger::Deps;
use geminga_metadata::{Decision, MetadataError, Version, Versioned, update};
use serde::{Serialize, de::DeserializeOwned};

const PAGE: usize = 1_000;

/// What came of [`create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    Exists,
}

/// Reads a value. `None`: proven absent.
pub(crate) async fn read<T: DeserializeOwned>(
    deps: &Deps,
    path: &str,
) -> Result<Option<(T, Version)>, MetadataError> {
    let Some(found) = deps.metadata.get(path).await? else { return Ok(None) };
    Ok(Some((decode(path, &found)?, found.version)))
}

/// Writes a value where there is none.
pub(crate) async fn create<T: Serialize>(
    deps: &Deps,
    path: &str,
    value: &T,
) -> Result<Created, MetadataError> {
    create_bytes(deps, path, encode(path, value)?).await
}

/// Writes bytes where there are none.
pub(crate) async fn create_bytes(
    deps: &Deps,
    path: &str,
    value: Bytes,
) -> Result<Created, MetadataError> {
    update(&*deps.metadata, path, |found| match found {
        None => Decision::Write(value.clone(), Created::New),
        Some(_) => Decision::Leave(Created::Exists),
    })
    .await
}

/// Changes a value: `change` sees what is there and returns what is to be, `None` to leave it.
/// Returns what is stored in the end.
///
/// # Errors
///
/// What `change` refuses with, or the store's error.
pub(crate) async fn change<T, E>(
    deps: &Deps,
    path: &str,
    mut change: impl FnMut(Option<&T>) -> Result<Option<T>, E>,
) -> Result<Option<T>, E>
where
    T: Serialize + DeserializeOwned,
    E: From<MetadataError>,
{
    let mut decide = |found: Option<&Versioned>| -> Result<(Option<Bytes>, Option<T>), E> {
        let current: Option<T> = found.map(|found| decode(path, found)).transpose()?;
        match change(current.as_ref())? {
            None => Ok((None, current)),
            Some(wanted) => Ok((Some(encode(path, &wanted)?), Some(wanted))),
        }
    };
    update(&*deps.metadata, path, |found| match decide(found) {
        Ok((Some(bytes), stored)) => Decision::Write(bytes, Ok(stored)),
        Ok((None, stored)) => Decision::Leave(Ok(stored)),
        Err(refused) => Decision::Leave(Err(refused)),
    })
    .await?
}

/// Deletes a key if `may` agrees with what is there. Returns whether there was one, and it went.
pub(crate) async fn delete<T: DeserializeOwned>(
    deps: &Deps,
    path: &str,
    mut may: impl FnMut(&T) -> bool,
) -> Result<bool, MetadataError> {
    update(&*deps.metadata, path, |found| match found.map(|found| decode(path, found)) {
        Some(Ok(value)) if may(&value) => Decision::Delete(Ok(true)),
        Some(Err(damaged)) => Decision::Leave(Err(damaged)),
        Some(Ok(_)) | None => Decision::Leave(Ok(false)),
    })
    .await?
}

/// Deletes a key whatever it holds. Returns whether there was one.
pub(crate) async fn delete_any(deps: &Deps, path: &str) -> Result<bool, MetadataError> {
    update(&*deps.metadata, path, |found| match found {
        Some(_) => Decision::Delete(true),
        None => Decision::Leave(false),
    })
    .await
}

/// Names of all children of a path, in order.
pub(crate) async fn children(deps: &Deps, path: &str) -> Result<Vec<String>, MetadataError> {
    let mut names = Vec::new();
    each_page(deps, path, |page| names.extend(page)).await?;
    Ok(names)
}

/// Visits the names of all children of a path, in order. There may be a million: `visit` sees some at
/// a time, and other tasks have their turn between.
pub(crate) async fn each_page(
    deps: &Deps,
    path: &str,
    mut visit: impl FnMut(Vec<String>),
) -> Result<(), MetadataError> {
    let mut after: Option<String> = None;
    loop {
        let page = deps.metadata.children(path, after.as_deref(), PAGE).await?;
        let Some(last) = page.names.last() else { return Ok(()) };
        after = page.more.then(|| last.clone());
        visit(page.names);
        if after.is_none() {
            return Ok(());
        }
    }
}

fn encode<T: Serialize>(path: &str, value: &T) -> Result<Bytes, MetadataError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| MetadataError::Invalid {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn decode<T: DeserializeOwned>(path: &str, found: &Versioned) -> Result<T, MetadataError> {
    serde_json::from_slice(&found.value)
        .map_err(|error| MetadataError::Corrupt(format!("{path:?}: {error}")))
}
