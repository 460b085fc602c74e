//! What the broker notes of each entry before it is stored, if it is set to: when it took it, and the index
//! of its last message (PIP-70). It lies in front of what the producer sent, in the same entry.
//!
//! # Invariants
//!
//! 1. Indexes are given out in the order of the appends, and none twice: one that was not stored leaves a
//!    gap.

use bytes::{Bytes, BytesMut};
use geminga_checksum::Sum;
use geminga_managed_ledger::ManagedLedger;
use geminga_types::Ordinal;
use geminga_wire::{
    entry::{BROKER_METADATA_LEN_MAX, BrokerMeta, encode_broker_entry_metadata},
    proto::BrokerEntryMetadata,
};

use super::TopicDeps;
use crate::options::BrokerMetadataOptions;

/// The largest index that the managed ledger's key can hold.
const INDEX_MAX: u64 = i64::MAX.cast_unsigned();

/// Makes the fronts of entries that come at one time.
pub(super) struct Notes {
    taken_at: Option<u64>,
    counts: bool,
    /// Fronts share one allocation.
    buf: BytesMut,
}

impl Notes {
    pub(super) fn of(deps: &TopicDeps, entries: usize) -> Self {
        let BrokerMetadataOptions { timestamp, index: counts } = deps.options.broker_metadata;
        let buf = match timestamp || counts {
            true => BytesMut::with_capacity(entries * BROKER_METADATA_LEN_MAX),
            false => BytesMut::new(),
        };
        let taken_at = timestamp.then(|| deps.ledger.env.clock.wall().0);
        Self { taken_at, counts, buf }
    }

    /// The time that is noted, if it is.
    pub(super) const fn taken_at(&self) -> Option<u64> {
        self.taken_at
    }

    /// The front of the next entry, empty if nothing is noted, and the sum of both.
    pub(super) fn next(
        &mut self,
        ledger: &mut ManagedLedger,
        messages: u32,
        sum: Sum,
    ) -> (Bytes, Sum) {
        let index = self.counts.then(|| ledger.next_message_index(messages));
        if self.taken_at.is_none() && index.is_none() {
            return (Bytes::new(), sum);
        }
        let noted = BrokerEntryMetadata { broker_timestamp: self.taken_at, index };
        encode_broker_entry_metadata(&noted, &mut self.buf);
        let front = self.buf.split().freeze();
        let sum = Sum::of(&front).then(sum);
        (front, sum)
    }
}

/// Learns the index of a topic's last message from its last entry, where indexes are, or were, given out.
///
/// Only the last ledger that has entries can tell more than the managed ledger's key does, and each ledger
/// is written by a broker that gives indexes to all entries or to none.
///
/// # Errors
///
/// If they are given out, and the entry could not be read: says why.
pub(crate) async fn recover_index(
    ledger: &mut ManagedLedger,
    deps: &TopicDeps,
) -> Result<(), String> {
    let is_on = deps.options.broker_metadata.index;
    if !is_on && ledger.message_index().is_none() || ledger.entries() == 0 {
        return Ok(());
    }
    let chain = ledger.chain();
    let last = Ordinal(chain.end().0 - 1);
    match chain.read(&deps.ledger, last, chain.end(), 1).await {
        Ok(read) => {
            let noted = read.first().and_then(|entry| BrokerMeta::parse(&entry.body).ok());
            // What no broker gives out says nothing.
            let index = noted.and_then(|noted| noted.index).filter(|&index| index <= INDEX_MAX);
            if let Some(index) = index {
                ledger.note_message_index(index);
            }
            Ok(())
        }
        Err(error) if is_on => {
            Err(format!("the last message's index, in entry {}: {error}", last.0))
        }
        // It may be given out again. Otherwise nobody could read the topic any more.
        Err(error) => {
            tracing::warn!(%error, "the last message's index is not known any more");
            Ok(())
        }
    }
}
