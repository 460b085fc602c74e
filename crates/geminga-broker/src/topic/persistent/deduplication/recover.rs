//! What a load finds: the records, and what the entries behind them add.

use geminga_dedup::{Dedup, Identity};
use geminga_managed_ledger::ManagedLedger;
use geminga_types::Ordinal;
use geminga_wire::entry::EntryMeta;
use tracing::info;

use super::{super::TopicDeps, CURSOR, Deduplication, switch::Stage};
use crate::policies::TopicPolicies;

/// Bytes and entries read at once.
const SLICE_BYTES: usize = 1 << 20;
const SLICE_ENTRIES: u64 = 1_000;

/// Finds out what is stored in a topic that is being loaded; nothing, where nobody wants to know.
///
/// # Errors
///
/// If it is not known: the topic must not be loaded, or it might store a message twice.
pub(crate) async fn recover(
    ledger: &mut ManagedLedger,
    policies: &TopicPolicies,
    deps: &TopicDeps,
) -> Result<Option<Box<Deduplication>>, String> {
    let options = &deps.options.deduplication;
    let found = ledger.take_recovered_cursor(CURSOR);
    if found.is_none() && !policies.deduplication {
        return Ok(None);
    }
    let now = deps.ledger.env.clock.now();
    let mut machine = Dedup::new(Deduplication::options_of(options), policies.deduplication);
    let (stage, from) = match &found {
        Some(state) => (Stage::There, ledger.chain_ref().after(state.mark_delete)),
        // It was switched on a moment before the last load ended, or since.
        None => (Stage::Missing, Ordinal(ledger.end().0.saturating_sub(options.snapshot_entries))),
    };
    for (key, value) in found.iter().flat_map(|state| &state.records) {
        machine.load(key, value, now).map_err(|error| format!("cursor {CURSOR}: {error}"))?;
    }
    let from = from.max(ledger.first());
    replay(&mut machine, ledger, from, deps).await?;
    let mut recovered = Deduplication::new(machine, stage, from);
    recovered.unstored_bytes = ledger.bytes_from(from);
    Ok(Some(Box::new(recovered)))
}

/// Goes through the entries from `from` on.
async fn replay(
    machine: &mut Dedup,
    ledger: &ManagedLedger,
    from: Ordinal,
    deps: &TopicDeps,
) -> Result<(), String> {
    let chain = ledger.chain();
    let now = deps.ledger.env.clock.now();
    let mut next = from;
    while next < chain.end() {
        let _permit = deps.reads.take(SLICE_BYTES).await;
        let to = next.plus(SLICE_ENTRIES);
        let read = chain.read(&deps.ledger, next, to, SLICE_BYTES).await;
        let read = read.map_err(|error| format!("replay for deduplication: {error}"))?;
        let last =
            read.last().ok_or_else(|| format!("no entry at {next:?}, where there was one"))?;
        next = last.ordinal.plus(1);
        for entry in &read {
            // What cannot be read was not judged either.
            if let Ok(meta) = EntryMeta::parse(&entry.body) {
                machine.replay(meta.producer_name, &Identity::of_entry(&meta), now);
            }
        }
        tokio::task::yield_now().await;
    }
    let (entries, names) = (chain.end().0 - from.0, machine.names());
    info!(entries, names, "went through the last entries for deduplication");
    Ok(())
}
