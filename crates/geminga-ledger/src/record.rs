//! A ledger's metadata as its procedures see it: read, checked, and replaced by compare-and-set.

use std::sync::Arc;

use geminga_bookie_api::BookieId;
use geminga_metadata::{
    Expected, Lifetime, MetadataError, Version, paths,
    values::ledger::{DigestType, LedgerMetadata, LedgerState},
};
use geminga_types::{EntryId, LedgerId};

use crate::{Deps, Sealed, quorum::Quorums};

/// How often a procedure reads again after its write met another's, before it gives up.
pub(crate) const ATTEMPTS_MAX: u32 = 16;

/// A ledger's metadata, found to make sense.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) quorums: Quorums,
    pub(crate) state: State,
    /// Each with the first entry it holds, ascending from 0; each has E bookies.
    ensembles: Vec<(EntryId, Vec<BookieId>)>,
    metadata: LedgerMetadata,
}

/// How far a ledger has come. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    InRecovery,
    Closed(Sealed),
}

/// What became of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// It was made.
    Done(Version),
    /// Another writer came first, or nobody can tell: read again and decide anew.
    ReadAgain(MetadataError),
}

impl Record {
    /// The metadata of a new ledger over one ensemble.
    pub(crate) fn new(quorums: Quorums, ensemble: Vec<BookieId>, metadata: LedgerMetadata) -> Self {
        Self { quorums, state: State::Open, ensembles: vec![(EntryId(0), ensemble)], metadata }
    }

    /// Takes decoded metadata, whose invariants the decoder has checked; the reason when we cannot
    /// read such a ledger.
    fn check(metadata: LedgerMetadata) -> Result<Self, &'static str> {
        let quorums =
            Quorums::new(metadata.ensemble_size, metadata.write_quorum, metadata.ack_quorum)
                .ok_or("impossible quorums")?;
        if metadata.digest_type != Some(DigestType::Crc32c) {
            return Err("its entries have another digest than CRC32C, which is not supported");
        }
        let state = match metadata.state {
            LedgerState::Open => State::Open,
            LedgerState::InRecovery => State::InRecovery,
            LedgerState::Closed { last_entry, length } => {
                State::Closed(Sealed { last_entry, length })
            }
        };
        let named = |bookies: &Vec<String>| {
            bookies.iter().map(|id| BookieId(id.as_str().into())).collect::<Vec<_>>()
        };
        let ensembles: Vec<_> =
            metadata.ensembles.iter().map(|(first, bookies)| (*first, named(bookies))).collect();
        if ensembles.is_empty() {
            return Err("it has no ensemble");
        }
        Ok(Self { quorums, state, ensembles, metadata })
    }

    /// The bookies that hold `entry_id`.
    pub(crate) fn ensemble_of(&self, entry_id: EntryId) -> &[BookieId] {
        let behind = self.ensembles.partition_point(|(first, _)| *first <= entry_id);
        &self.ensembles[behind.saturating_sub(1)].1
    }

    /// First entry that `entry_id`'s ensemble does not hold, if there is a next ensemble.
    pub(crate) fn next_ensemble_at(&self, entry_id: EntryId) -> Option<EntryId> {
        self.ensembles.iter().map(|(first, _)| *first).find(|first| entry_id < *first)
    }

    /// The newest ensemble, with its first entry: all before that are confirmed.
    pub(crate) fn last_ensemble(&self) -> (EntryId, &[BookieId]) {
        let (first, bookies) = self.ensembles.last().expect("checked: there is one");
        (*first, bookies)
    }

    /// Every bookie that may hold something, once.
    pub(crate) fn all_bookies(&self) -> Vec<BookieId> {
        let mut all: Vec<_> =
            self.ensembles.iter().flat_map(|(_, bookies)| bookies).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The same ledger in another state.
    fn in_state(&self, state: State) -> Self {
        let mut next = self.clone();
        next.state = state;
        next.metadata.state = match state {
            State::Open => LedgerState::Open,
            State::InRecovery => LedgerState::InRecovery,
            State::Closed(Sealed { last_entry, length }) => {
                LedgerState::Closed { last_entry, length }
            }
        };
        next
    }
}

/// Reads a ledger's metadata. `None`: proven not to exist.
pub(crate) async fn load(
    deps: &Deps,
    ledger_id: LedgerId,
) -> Result<Option<(Arc<Record>, Version)>, MetadataError> {
    let path = paths::ledger(ledger_id);
    let Some(found) = deps.metadata.get(&path).await? else { return Ok(None) };
    let corrupt = |reason: &str| MetadataError::Corrupt(format!("{path}: {reason}"));
    let metadata =
        LedgerMetadata::decode(&found.value).map_err(|error| corrupt(&error.to_string()))?;
    let record = Arc::new(Record::check(metadata).map_err(corrupt)?);
    deps.cache.put(ledger_id, &record);
    Ok(Some((record, found.version)))
}

/// Writes the metadata of a ledger that must not exist yet.
pub(crate) async fn insert(
    deps: &Deps,
    ledger_id: LedgerId,
    record: Record,
) -> Result<(), MetadataError> {
    let value = record.metadata.encode();
    let path = paths::ledger(ledger_id);
    deps.metadata.put(&path, value, Expected::Absent, Lifetime::Persistent).await?;
    deps.cache.put(ledger_id, &Arc::new(record));
    Ok(())
}

/// Moves a ledger to `state` if nobody has written its metadata since `version`.
pub(crate) async fn advance(
    deps: &Deps,
    ledger_id: LedgerId,
    (record, version): (&Record, Version),
    state: State,
) -> Result<Replaced, MetadataError> {
    assert!(!matches!(record.state, State::Closed(_)), "a closed ledger does not change");
    let next = record.in_state(state);
    let value = next.metadata.encode();
    let path = paths::ledger(ledger_id);
    let expected = Expected::At(version);
    match deps.metadata.put(&path, value, expected, Lifetime::Persistent).await {
        Ok(version) => {
            deps.cache.put(ledger_id, &Arc::new(next));
            Ok(Replaced::Done(version))
        }
        Err(
            error @ (MetadataError::Conflict { .. }
            | MetadataError::NotFound { .. }
            | MetadataError::Unavailable(_)),
        ) => Ok(Replaced::ReadAgain(error)),
        Err(error @ (MetadataError::Invalid { .. } | MetadataError::Corrupt(_))) => Err(error),
    }
}
