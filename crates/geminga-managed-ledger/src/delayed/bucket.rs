//! One bucket, read.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use geminga_ledger::{Deps, ReadError as LedgerReadError};
use geminga_types::{LedgerId, Position};

use super::{
    DelayedBucket, Record, Run,
    format::{self, Footer},
};
use crate::{chain::ReadError, codec::Malformed, side_ledger};

/// A block is read alone.
const BLOCK_BYTES: usize = 1;

/// A bucket that can be read. While one is held its ledger is not deleted.
#[derive(Debug)]
pub struct Bucket {
    record: DelayedBucket,
    footer: OnceLock<Footer>,
    /// The block by time that was read last: who reads on begins with it.
    block: Mutex<Option<(usize, Arc<[Record]>)>>,
}

/// Why a bucket was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// It never can be: it is to be made anew from the entries that it covers.
    #[error("the delayed-delivery bucket in ledger {ledger_id} is damaged: {reason}")]
    Damaged {
        /// Its ledger.
        ledger_id: LedgerId,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be now. Retry.
    #[error("the delayed-delivery bucket in ledger {ledger_id} cannot be read: {reason}")]
    Unavailable {
        /// Its ledger.
        ledger_id: LedgerId,
        /// Why.
        reason: String,
    },
}

impl Bucket {
    pub(crate) const fn new(record: DelayedBucket) -> Self {
        Self { record, footer: OnceLock::new(), block: Mutex::new(None) }
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger_id(&self) -> LedgerId {
        self.record.ledger_id
    }

    /// Delayed entries that it lists.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.record.records
    }

    /// The earliest of their times.
    #[must_use]
    pub const fn due_min(&self) -> u64 {
        self.record.due_min
    }

    /// The parts of the topic, by first and last entry, of which it lists every delayed entry.
    #[must_use]
    pub fn ranges(&self) -> &[(Position, Position)] {
        &self.record.ranges
    }

    /// Where the last part ends.
    #[must_use]
    pub fn last(&self) -> Position {
        self.record.ranges.last().map_or(Position::EARLIEST, |&(_, last)| last)
    }

    /// Lets go of what was read last.
    pub fn shrink(&self) {
        *self.block.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The runs from the one on that holds `from`, in the order of their places: those of the first
    /// block that has any.
    ///
    /// # Errors
    ///
    /// See [`BucketError`].
    pub async fn runs_from(&self, deps: &Deps, from: Position) -> Result<Vec<Run>, BucketError> {
        let footer = self.footer(deps).await?;
        let behind = footer.by_place.partition_point(|&first| first <= from);
        for index in behind.saturating_sub(1)..footer.by_place.len() {
            let runs = self.by_place(deps, index).await?;
            let runs: Vec<Run> = runs.into_iter().filter_map(|run| run.from(from)).collect();
            if !runs.is_empty() {
                return Ok(runs);
            }
        }
        Ok(Vec::new())
    }

    /// The number of the first block by time that may have a record from `after` on.
    pub(super) async fn block_of(
        &self,
        deps: &Deps,
        after: (u64, Position),
    ) -> Result<usize, BucketError> {
        let footer = self.footer(deps).await?;
        Ok(footer.by_time.partition_point(|&first| first <= after).saturating_sub(1))
    }

    /// A block by time; empty behind the last.
    pub(super) async fn by_time(
        &self,
        deps: &Deps,
        index: usize,
    ) -> Result<Arc<[Record]>, BucketError> {
        let footer = self.footer(deps).await?;
        if footer.by_time.len() <= index {
            return Ok(Arc::default());
        }
        if let Some((known, block)) = &*self.block.lock().unwrap_or_else(PoisonError::into_inner)
            && *known == index
        {
            return Ok(Arc::clone(block));
        }
        let body = self.read(deps, index as u64).await?;
        let records: Arc<[Record]> = self.decoded(format::decode_by_time(&body))?.into();
        let first = records.first().map(|record| (record.due, record.position));
        if first != footer.by_time.get(index).copied() {
            return Err(self.damaged(format!("block {index} is another")));
        }
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        *block = Some((index, Arc::clone(&records)));
        Ok(records)
    }

    /// How many blocks by place it has.
    pub(super) async fn places(&self, deps: &Deps) -> Result<usize, BucketError> {
        Ok(self.footer(deps).await?.by_place.len())
    }

    /// A block by place.
    pub(super) async fn by_place(
        &self,
        deps: &Deps,
        index: usize,
    ) -> Result<Vec<Run>, BucketError> {
        let footer = self.footer(deps).await?;
        let body = self.read(deps, (footer.by_time.len() + index) as u64).await?;
        let runs = self.decoded(format::decode_by_place(&body))?;
        if runs.first().map(|run| run.first) != footer.by_place.get(index).copied() {
            return Err(self.damaged(format!("place block {index} is another")));
        }
        Ok(runs)
    }

    async fn footer(&self, deps: &Deps) -> Result<&Footer, BucketError> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer);
        }
        let last = self.record.entries.checked_sub(1);
        let body = self.read(deps, last.ok_or_else(|| self.damaged("it is empty"))?).await?;
        let footer = self.decoded(Footer::decode(&body))?;
        let blocks = footer.by_time.len() + footer.by_place.len();
        if blocks as u64 + 1 != self.record.entries {
            return Err(self.damaged("its footer is of another"));
        }
        Ok(self.footer.get_or_init(|| footer))
    }

    async fn read(&self, deps: &Deps, number: u64) -> Result<Bytes, BucketError> {
        let ledger_id = self.record.ledger_id;
        let read = side_ledger::read(deps, ledger_id, number..number + 1, BLOCK_BYTES).await;
        let bodies = read.map_err(|error| match error {
            ReadError::Corrupt(..)
            | ReadError::Ledger(
                LedgerReadError::NoLedger(_)
                | LedgerReadError::BeyondEnd { .. }
                | LedgerReadError::Missing { .. }
                | LedgerReadError::Corrupt { .. },
            ) => self.damaged(error),
            other => BucketError::Unavailable { ledger_id, reason: other.to_string() },
        })?;
        bodies.into_iter().next().ok_or_else(|| self.damaged(format!("entry {number} is missing")))
    }

    fn decoded<T>(&self, decoded: Result<T, Malformed>) -> Result<T, BucketError> {
        decoded.map_err(|error| self.damaged(error))
    }

    fn damaged(&self, reason: impl ToString) -> BucketError {
        BucketError::Damaged { ledger_id: self.record.ledger_id, reason: reason.to_string() }
    }
}

impl BucketError {
    /// The bucket's ledger.
    #[must_use]
    pub const fn ledger_id(&self) -> LedgerId {
        match self {
            Self::Damaged { ledger_id, .. } | Self::Unavailable { ledger_id, .. } => *ledger_id,
        }
    }

    /// The ledger of a bucket that is to be made anew.
    #[must_use]
    pub const fn damaged(&self) -> Option<LedgerId> {
        match self {
            Self::Damaged { ledger_id, .. } => Some(*ledger_id),
            Self::Unavailable { .. } => None,
        }
    }
}
