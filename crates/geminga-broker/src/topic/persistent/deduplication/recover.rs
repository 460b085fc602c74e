//! What a load finds: the records, and what the entries behind them add.

use geminga_dedup::{Dedup, Identity};
use geminga_env::Instant;
use geminga_managed_ledger::{CursorState, ManagedLedger};
use geminga_types::{Ordinal, Position};
use geminga_wire::entry::EntryMeta;
use tracing::{info, warn};

use super::{
    super::TopicDeps,
    CURSOR, Deduplication,
    switch::{JUDGING, Stage},
};
use crate::policies::TopicPolicies;

/// Bytes and entries read at once.
const SLICE_BYTES: usize = 1 << 20;
const SLICE_ENTRIES: u64 = 1_000;

/// Finds out what is stored in a topic that is being loaded. Nothing, where nobody wanted to know: what
/// was sent then says nothing about what is sent from now on.
///
/// # Errors
///
/// If it is not known: the topic must not be loaded, or it might store a message twice. Where the
/// policies want no deduplication, what cannot be read is left out instead.
pub(crate) async fn recover(
    ledger: &mut ManagedLedger,
    policies: &TopicPolicies,
    deps: &TopicDeps,
) -> Result<Option<Box<Deduplication>>, String> {
    let Some(state) = ledger.take_recovered_cursor(CURSOR) else { return Ok(None) };
    let from = ledger.chain_ref().after(state.mark_delete).max(ledger.first());
    let (mut machine, result) = load(&state, deps);
    check(result, policies)?;
    check(replay(&mut machine, ledger, from, deps).await, policies)?;
    let mut recovered = Deduplication::new(machine, Stage::There, from);
    recovered.noted_bytes = ledger.bytes_from(from);
    Ok(Some(Box::new(recovered)))
}

/// Goes on with what is known, if nobody wants more.
fn check(result: Result<(), String>, policies: &TopicPolicies) -> Result<(), String> {
    match result {
        Err(reason) if policies.deduplication => Err(reason),
        Err(reason) => {
            warn!(reason, "deduplication is off, and what cannot be read is left out");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Loads the records; with an error, all but those that cannot be read.
fn load(state: &CursorState, deps: &TopicDeps) -> (Dedup, Result<(), String>) {
    let now = deps.ledger.env.clock.now();
    let mut machine = Dedup::new(Deduplication::options_of(&deps.options.deduplication));
    if state.cursor_properties.contains_key(JUDGING) {
        machine.judge_sequences(Some(state.mark_delete));
        machine.note_recorded();
    }
    let mut result = Ok(());
    for (key, value) in &state.records {
        if let Err(error) = machine.load(key, value, now) {
            result = Err(format!("cursor {CURSOR}: {error}"));
        }
    }
    (machine, result)
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
            note(machine, &entry.body, entry.position, now);
        }
        tokio::task::yield_now().await;
    }
    let (entries, names) = (chain.end().0.saturating_sub(from.0), machine.names());
    info!(entries, names, "went through the last entries for deduplication");
    Ok(())
}

/// Notes an entry that is stored. One that cannot be read was not judged either.
pub(super) fn note(machine: &mut Dedup, entry: &[u8], position: Position, now: Instant) {
    if let Ok(meta) = EntryMeta::parse(entry) {
        machine.replay(meta.producer_name, &Identity::of_entry(&meta), position, now);
    }
}
