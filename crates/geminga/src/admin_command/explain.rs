//! Why a subscription moves, or does not, on one screen.

use std::io::Write;

use anyhow::Context as _;
use geminga_admin_model::{DeadLettersExplanation, MessageId, SubscriptionExplanation};
use serde_json::Value;

/// Consumers and keys that are listed of each kind; there may be thousands.
const LISTED_MAX: usize = 20;

/// Writes explanations of a topic's subscription, one for each partition. `now` is the time in
/// milliseconds.
pub(super) fn print(value: &Value, now: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let explained: Vec<SubscriptionExplanation> =
        serde_json::from_value(value.clone()).context("the server's answer is no explanation")?;
    explained.iter().try_for_each(|explained| print_one(out, explained, now))?;
    Ok(())
}

fn print_one(
    out: &mut impl Write,
    explained: &SubscriptionExplanation,
    now: u64,
) -> std::io::Result<()> {
    let kind = if explained.kind.is_empty() { "never used" } else { &explained.kind };
    writeln!(out, "{} of {} ({kind})", explained.subscription, explained.topic)?;
    writeln!(out, "{}: {}", explained.state, explained.because)?;
    writeln!(
        out,
        "backlog {} entries, acked up to {}, read up to {}; {} messages at consumers",
        explained.backlog_entries,
        shown(explained.mark_delete),
        shown(explained.read),
        explained.unacked_messages
    )?;
    if 0 < explained.delayed_entries {
        let due = explained.next_due.map_or(0, |due| due.saturating_sub(now));
        writeln!(
            out,
            "{} entries wait for their time, the next {due} ms; {} of them in the index alone",
            explained.delayed_entries, explained.parked_entries
        )?;
    }
    if 0 < explained.held_back_entries {
        let max = explained.held_back_entries_max;
        let max = max.map_or_else(|| "no limit".to_owned(), |max| format!("at most {max}"));
        writeln!(out, "{} entries wait for consumers ({max})", explained.held_back_entries)?;
    }
    if let Some(dead) = &explained.dead_letters {
        print_dead_letters(out, dead, now)?;
    }
    for rate in &explained.rates {
        writeln!(out, "rate by {rate}")?;
    }
    for consumer in explained.consumers.iter().take(LISTED_MAX) {
        writeln!(
            out,
            "  consumer {} at {}: waits {}; {} permits, {} messages unacked, {} entries wait for it",
            consumer.name,
            consumer.address,
            consumer.waits,
            consumer.permits,
            consumer.unacked_messages,
            consumer.waiting_entries
        )?;
    }
    rest(out, explained.consumers.len(), "consumers")?;
    for draining in explained.draining.iter().take(LISTED_MAX) {
        writeln!(
            out,
            "  slot {}: {} entries wait for {} to ack {}, for {} ms",
            draining.slot,
            draining.waiting_entries,
            draining.holder,
            shown(draining.held),
            now.saturating_sub(draining.since)
        )?;
    }
    rest(out, explained.draining.len(), "slots")
}

fn print_dead_letters(
    out: &mut impl Write,
    dead: &DeadLettersExplanation,
    now: u64,
) -> std::io::Result<()> {
    writeln!(
        out,
        "dead letters: {}; {} entries wait, {} are being published, {} messages were",
        dead.policy, dead.waiting_entries, dead.out_entries, dead.published_messages
    )?;
    if let Some(failure) = &dead.failure {
        let since = dead.failing_since.map_or(0, |since| now.saturating_sub(since));
        let again = dead.retry_at.map_or(0, |at| at.saturating_sub(now));
        writeln!(out, "  failing for {since} ms, again in {again} ms: {failure}")?;
    }
    Ok(())
}

fn rest(out: &mut impl Write, count: usize, what: &str) -> std::io::Result<()> {
    match count.checked_sub(LISTED_MAX) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "  and {more} more {what}"),
    }
}

fn shown(id: MessageId) -> String {
    format!("{}:{}", id.ledger_id, id.entry_id)
}
