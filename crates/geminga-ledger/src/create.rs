//! Makes a new ledger and its writer.

use std::collections::BTreeMap;

use geminga_metadata::{
    MetadataError, paths,
    values::ledger::{DigestType, LedgerMetadata, LedgerState},
};
use geminga_types::{EntryId, LedgerId};

use crate::{
    Deps, LedgerOptions, Writer,
    quorum::Quorums,
    record::{self, ATTEMPTS_MAX, Record},
};

/// Why there is no new ledger. An empty one may be left in the metadata; nothing refers to it.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The options break 1 ≤ Qa ≤ Qw ≤ E ≤ 64, or leave no room in flight. The caller's mistake.
    #[error("impossible quorums: E={ensemble_size} Qw={write_quorum} Qa={ack_quorum}")]
    InvalidOptions {
        /// E.
        ensemble_size: u32,
        /// Qw.
        write_quorum: u32,
        /// Qa.
        ack_quorum: u32,
    },
    /// Too few bookies take writes. Retry later.
    #[error("{needed} bookies are needed for a ledger, {available} are available")]
    UnavailableBookies {
        /// E.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// The metadata store failed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Creates a ledger: takes the next id, chooses its bookies and writes its metadata.
///
/// # Errors
///
/// See [`CreateError`].
///
/// # Cancel safety
///
/// Dropping the future may leave an empty ledger in the metadata, to which nothing refers.
pub async fn create(deps: &Deps, options: &LedgerOptions) -> Result<Writer, CreateError> {
    let LedgerOptions { ensemble_size, write_quorum, ack_quorum, in_flight_max, .. } = *options;
    let quorums = Quorums::new(ensemble_size, write_quorum, ack_quorum)
        .filter(|_| 0 < in_flight_max)
        .ok_or(CreateError::InvalidOptions { ensemble_size, write_quorum, ack_quorum })?;
    let needed = ensemble_size as usize;
    let unavailable = |available| CreateError::UnavailableBookies { needed, available };
    let ensemble = deps.bookies.choose(needed).map_err(unavailable)?;
    let mut distinct = ensemble.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if (ensemble.len(), distinct.len()) != (needed, needed) {
        return Err(unavailable(distinct.len()));
    }
    let bookies = ensemble.iter().map(|id| id.0.to_string()).collect();
    let metadata = LedgerMetadata {
        ensemble_size,
        write_quorum,
        ack_quorum,
        state: LedgerState::Open,
        ensembles: BTreeMap::from([(EntryId(0), bookies)]),
        digest_type: Some(DigestType::Crc32c),
        password: options.password.clone(),
        created_ms: i64::try_from(deps.env.clock.wall().0).ok(),
        custom: options.custom_metadata.clone(),
        creation_token: Some(deps.env.random.next_u64().cast_signed()),
    };
    let record = Record::new(quorums, ensemble.clone(), metadata);
    let ledger_id = insert_at_new_id(deps, &record).await?;
    let writer = Writer::new(ledger_id, quorums, ensemble, in_flight_max);
    Ok(writer.with_reserve(options.may_use_reserve))
}

/// Ids are taken from a sequence, but an id that somebody else's generator gave out is passed over.
async fn insert_at_new_id(deps: &Deps, record: &Record) -> Result<LedgerId, MetadataError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let number = deps.metadata.next_in_sequence(paths::LEDGER_IDS).await?;
        let ledger_id = i64::try_from(number)
            .map(LedgerId)
            .map_err(|_| MetadataError::Corrupt(format!("{} is at {number}", paths::LEDGER_IDS)))?;
        match record::insert(deps, ledger_id, record.clone()).await {
            Ok(()) => return Ok(ledger_id),
            Err(MetadataError::Conflict { .. }) if attempt < ATTEMPTS_MAX => {}
            Err(error) => return Err(error),
        }
    }
}
