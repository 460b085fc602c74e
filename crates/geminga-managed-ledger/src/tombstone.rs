//! Ledgers about to be deleted, written down before the metadata lets go of them.
//!
//! A tombstone is put first, then the owner's key is changed to list its ledgers no more, then they
//! are deleted, then the tombstone. A crash anywhere leaves either a tombstone that is finished at
//! the next start or one that names ledgers still listed, which stay.
//!
//! # Invariants
//!
//! 1. A ledger is deleted only when its owner's key, read after the tombstone was put, does not list
//!    it or does not exist. Unknown is not that.

use std::sync::Arc;

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_ledger::{DeleteError, Deps};
use geminga_metadata::{Expected, Lifetime, MetadataError, paths};
use geminga_types::LedgerId;
use tracing::warn;

use crate::{
    codec::{Decoder, Encoder, Malformed},
    info,
};

const VERSION: u8 = 1;
const PAGE_LEN: usize = 1_000;
const CRC_BYTES: usize = 4;

/// Whose key lists a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A managed ledger's key, which lists ledgers of messages.
    ManagedLedger(Arc<str>),
    /// A cursor's key, which names the ledgers of its log.
    Cursor(Arc<str>),
}

/// Ledgers that a tombstone stands for, and that their owner lists no more: proof.
#[derive(Debug)]
pub(crate) struct Doomed {
    path: String,
    ledgers: Vec<LedgerId>,
}

/// A tombstone that is put, for ledgers that are still listed.
#[derive(Debug)]
#[must_use = "a tombstone is to be buried"]
pub(crate) struct Tombstone {
    path: String,
    ledgers: Vec<LedgerId>,
}

/// Why tombstones of earlier runs were not finished. The rest waits for the next start.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The metadata store failed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A tombstone, or the key it names, is from a newer format or damaged. A person must look.
    #[error("metadata key {path:?} is corrupt: {reason}")]
    Corrupt {
        /// The key.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A ledger could not be deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
}

impl Tombstone {
    /// Puts a tombstone for ledgers that `owner` still lists. `None` when there are none.
    pub(crate) async fn put(
        deps: &Deps,
        owner: &Owner,
        ledgers: Vec<LedgerId>,
    ) -> Result<Option<Self>, MetadataError> {
        let Some(first) = ledgers.first() else { return Ok(None) };
        let path = paths::tombstone(*first);
        let value = encode(owner, &ledgers);
        deps.metadata.put(&path, value, Expected::Any, Lifetime::Persistent).await?;
        Ok(Some(Self { path, ledgers }))
    }

    /// States that the owner's key lists these ledgers no more: the caller has changed it.
    pub(crate) fn doom(self) -> Doomed {
        Doomed { path: self.path, ledgers: self.ledgers }
    }
}

impl Doomed {
    /// Deletes the ledgers and the tombstone. What fails is finished at the next start.
    pub(crate) async fn bury(self, deps: &Deps) -> Result<(), DeleteError> {
        for &ledger_id in &self.ledgers {
            geminga_ledger::delete(deps, ledger_id).await?;
        }
        remove(deps, &self.path).await;
        Ok(())
    }
}

async fn remove(deps: &Deps, path: &str) {
    match deps.metadata.delete(path, Expected::Any).await {
        Ok(()) | Err(MetadataError::NotFound { .. }) => {}
        Err(error) => warn!(%error, path, "a tombstone stays until the next start"),
    }
}

/// Finishes the deletions that an earlier run had begun. Call before any topic is loaded.
///
/// # Errors
///
/// See [`ReplayError`]; deletions not finished are tried again at the next start.
pub async fn replay_tombstones(deps: &Deps) -> Result<(), ReplayError> {
    let mut after: Option<String> = None;
    loop {
        let page = deps.metadata.children(paths::TOMBSTONES, after.as_deref(), PAGE_LEN).await?;
        for name in &page.names {
            replay(deps, format!("{}/{name}", paths::TOMBSTONES)).await?;
        }
        match page.names.last() {
            Some(last) if page.more => after = Some(last.clone()),
            _ => return Ok(()),
        }
    }
}

async fn replay(deps: &Deps, path: String) -> Result<(), ReplayError> {
    let Some(stored) = deps.metadata.get(&path).await? else { return Ok(()) };
    let (owner, mut ledgers) = decode(&stored.value).map_err(|reason| ReplayError::Corrupt {
        path: path.clone(),
        reason: reason.to_string(),
    })?;
    let listed = listed(deps, &owner).await?;
    ledgers.retain(|ledger_id| !listed.contains(ledger_id));
    Doomed { path, ledgers }.bury(deps).await?;
    Ok(())
}

/// The ledgers that the owner's key lists; none when it does not exist.
async fn listed(deps: &Deps, owner: &Owner) -> Result<Vec<LedgerId>, ReplayError> {
    let (Owner::ManagedLedger(path) | Owner::Cursor(path)) = owner;
    let Some(stored) = deps.metadata.get(path).await? else { return Ok(Vec::new()) };
    let listed = match owner {
        Owner::ManagedLedger(_) => info::listed_ledgers(&stored.value),
        Owner::Cursor(_) => info::cursor_ledgers(&stored.value),
    };
    listed.map_err(|error| ReplayError::Corrupt {
        path: path.as_ref().to_owned(),
        reason: error.to_string(),
    })
}

fn encode(owner: &Owner, ledgers: &[LedgerId]) -> Bytes {
    let (kind, path) = match owner {
        Owner::ManagedLedger(path) => (1, path),
        Owner::Cursor(path) => (2, path),
    };
    let mut encoder = Encoder::default();
    encoder.byte(VERSION);
    encoder.byte(kind);
    encoder.text(path);
    encoder.count(ledgers.len());
    ledgers.iter().for_each(|ledger_id| encoder.signed(ledger_id.0));
    encoder.crc32c();
    encoder.finish()
}

fn decode(bytes: &[u8]) -> Result<(Owner, Vec<LedgerId>), Malformed> {
    let split = bytes.len().checked_sub(CRC_BYTES);
    let (record, crc) = bytes.split_at(split.unwrap_or_default());
    let mut decoder = Decoder::new(record);
    if crc != Sum::of(record).crc().to_le_bytes() {
        return Err(decoder.malformed("a record with its checksum"));
    }
    if decoder.byte()? != VERSION {
        return Err(decoder.malformed("a version that this program reads"));
    }
    let kind = decoder.byte()?;
    let path = Arc::from(decoder.text()?);
    let owner = match kind {
        1 => Owner::ManagedLedger(path),
        2 => Owner::Cursor(path),
        _ => return Err(decoder.malformed("a kind of owner")),
    };
    let count = decoder.count()?;
    let ledgers = (0..count).map(|_| Ok(LedgerId(decoder.signed()?))).collect::<Result<_, _>>()?;
    decoder.finish()?;
    Ok((owner, ledgers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_read_back_and_a_damaged_one_refused() {
        let owners = [Owner::ManagedLedger("/a/b".into()), Owner::Cursor("/a/b/c".into())];
        for owner in owners {
            let ledgers = vec![LedgerId(3), LedgerId(i64::MAX)];
            let bytes = encode(&owner, &ledgers);
            assert_eq!(decode(&bytes), Ok((owner, ledgers)));
            for at in 0..bytes.len() {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= 0x10;
                assert!(decode(&damaged).is_err());
                assert!(decode(&bytes[..at]).is_err());
            }
        }
    }
}
