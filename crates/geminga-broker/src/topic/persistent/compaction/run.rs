//! The two passes of a compaction: the first chooses, the second writes.

use geminga_env::{Gauge, Share};
use geminga_managed_ledger::{CompactedLedger, SideWriter};
use geminga_types::{LedgerId, Position};
use geminga_wire::raw_message;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    super::TopicDeps,
    source::Source,
    survivors::{Kept, Survivors},
};

/// Bytes that are written before what was written is waited for.
const WRITE_BYTES: usize = 1 << 20;

/// What the first pass has found.
#[derive(Debug)]
pub(in super::super) struct Chosen {
    source: Source,
    survivors: Survivors,
    /// The last entry that was looked at.
    pub(super) horizon: Position,
    /// The turn to compact, and the memory for the keys, until the second pass has ended.
    _turn: Option<OwnedSemaphorePermit>,
    _keys: Share,
}

/// What the second pass has written.
#[derive(Debug)]
pub(in super::super) struct Written {
    pub(super) record: CompactedLedger,
    pub(super) removed: u64,
}

/// Finds the last message of each key.
pub(super) async fn choose(source: Source, deps: &TopicDeps) -> Result<Chosen, String> {
    let turn = deps.compactions.clone().acquire_owned().await.ok();
    let horizon = source.horizon().ok_or("there is nothing to compact")?;
    let mut survivors = Survivors::new(deps.options.compaction.keeps_null_keys);
    let mut keys = Share::of(deps.compaction_keys.clone());
    let mut pass = source.pass(deps);
    while let Some(slice) = pass.next().await? {
        for (position, entry) in &slice.entries {
            survivors.note(*position, entry);
        }
        charge(&mut keys, &survivors, &deps.compaction_keys)?;
        tokio::task::yield_now().await;
    }
    Ok(Chosen { source, survivors, horizon, _turn: turn, _keys: keys })
}

/// What is written down is far less than the payloads, and still it is bounded.
fn charge(share: &mut Share, survivors: &Survivors, keys: &Gauge) -> Result<(), String> {
    share.set(survivors.held_bytes());
    if !keys.is_over() {
        return Ok(());
    }
    Err(format!(
        "the keys of this topic take {} bytes so far, and all compactions together may hold {}",
        survivors.held_bytes(),
        keys.limit()
    ))
}

/// Writes what survives into `writer`'s ledger and closes it.
pub(super) async fn write(
    chosen: Chosen,
    mut writer: SideWriter,
    partition: Option<u32>,
    deps: &TopicDeps,
) -> Result<Written, String> {
    let Chosen { source, survivors, horizon, .. } = &chosen;
    let (mut bodies, mut bytes, mut last) = (Vec::new(), 0, None);
    let mut pass = source.pass(deps);
    while let Some(slice) = pass.next().await? {
        for (position, entry) in &slice.entries {
            let kept = survivors.keep(*position, entry).map_err(|error| error.to_string())?;
            let (entry, index) = match &kept {
                Kept::Nothing => continue,
                Kept::All(index) => (entry, *index),
                Kept::Part(part, index) => (part, *index),
            };
            last = Some((*position, index));
            bytes += entry.len();
            bodies.push(raw_message::encode(*position, partition, entry));
            if WRITE_BYTES <= bytes {
                let bodies = std::mem::take(&mut bodies);
                writer.write(&deps.ledger, bodies).await.map_err(|error| error.to_string())?;
                bytes = 0;
            }
        }
        tokio::task::yield_now().await;
    }
    let ledger_id = writer.ledger_id();
    writer.write(&deps.ledger, bodies).await.map_err(|error| error.to_string())?;
    let (entries, bytes) = writer.seal(&deps.ledger).await.map_err(|error| error.to_string())?;
    let spans = spans(&chosen);
    let horizon = *horizon;
    let record = CompactedLedger { ledger_id, horizon, entries, bytes, last, spans };
    Ok(Written { record, removed: chosen.survivors.removed() })
}

/// The ledgers that may have survivors, with how many entries they had.
fn spans(chosen: &Chosen) -> Vec<(LedgerId, u64)> {
    let (chain, ledgers) = (&chosen.source.chain, chosen.survivors.ledgers());
    let known = chain.gone().iter().chain(chain.spans());
    let known = known.filter(|span| ledgers.contains(&span.ledger_id) && 0 < span.entries);
    known.map(|span| (span.ledger_id, span.entries)).collect()
}
