//! Makes a log that begins with a snapshot the cursor's: adds the changes since the snapshot, then
//! points the cursor's key at it, and at it alone.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use geminga_ledger::Deps;
use geminga_types::LedgerId;
use tracing::debug;

use super::{
    JobError,
    write_all::write_all,
    write_snapshot::{Written, discard},
};
use crate::{
    info,
    owned_key::OwnedKey,
    tombstone::{Doomed, Owner, Tombstone},
};

#[derive(Debug)]
pub(crate) struct PointCursor {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
    pub(crate) written: Written,
    /// The changes since the snapshot, encoded.
    pub(crate) since: Vec<Bytes>,
}

#[derive(Debug)]
pub(crate) struct PointCursorDone {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
    pub(crate) result: Result<Pointed, JobError>,
}

#[derive(Debug)]
pub(crate) struct Pointed {
    pub(crate) written: Written,
    /// The ledgers before.
    pub(crate) doomed: Option<Doomed>,
}

impl PointCursor {
    pub(crate) async fn run(self, deps: &Deps) -> PointCursorDone {
        let Self { name, mut key, written, since } = self;
        let result = point(deps, &mut key, written, since).await;
        PointCursorDone { name, key, result }
    }
}

async fn point(
    deps: &Deps,
    key: &mut OwnedKey,
    mut written: Written,
    since: Vec<Bytes>,
) -> Result<Pointed, JobError> {
    let ledger_id = written.writer.ledger_id();
    match try_point(deps, key, &mut written, since).await {
        Ok(doomed) => Ok(Pointed { written, doomed }),
        Err(failure) => {
            // Unless the key may name it.
            if !named_ledgers(key).is_ok_and(|named| named.contains(&ledger_id)) {
                discard(deps, ledger_id).await;
            }
            Err(failure)
        }
    }
}

async fn try_point(
    deps: &Deps,
    key: &mut OwnedKey,
    written: &mut Written,
    since: Vec<Bytes>,
) -> Result<Option<Doomed>, JobError> {
    let ledger_id = written.writer.ledger_id();
    write_all(deps, &mut written.writer, since).await?;
    let before = named_ledgers(key)?;
    let owner = Owner::Cursor(Arc::clone(key.path()));
    let tombstone = Tombstone::put(deps, &owner, before).await.map_err(JobError::failed)?;
    let now = deps.env.clock.wall();
    let value = info::point_cursor(key.value(), ledger_id, &written.head, now);
    key.replace(deps, value.map_err(JobError::failed)?).await?;
    debug!(path = %key.path(), ledger_id = ledger_id.0, "opened a cursor's ledger");
    Ok(tombstone.map(Tombstone::doom))
}

/// Every ledger that the key may name now.
pub(crate) fn named_ledgers(key: &OwnedKey) -> Result<Vec<LedgerId>, JobError> {
    let mut ledgers = BTreeSet::new();
    for value in key.possible_values() {
        ledgers.extend(info::cursor_ledgers(value).map_err(JobError::failed)?);
    }
    Ok(ledgers.into_iter().collect())
}
