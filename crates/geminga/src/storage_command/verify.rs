//! `geminga storage verify`: the storage against itself, and against the metadata.

mod metadata;

use std::{io::Write, sync::Arc};

use anyhow::Context as _;
use geminga_bookie_storage::verify::{self as storage, Verified};
use geminga_env::Disk;
use geminga_ledger::check;
use geminga_metadata::values::ledger::{LedgerMetadata, LedgerState};
use geminga_metadata_embedded::OpenError;
use geminga_types::{EntryId, LedgerId};

use self::metadata::Metadata;
use crate::data_dir::DataDir;

/// What was found, as lines.
#[derive(Debug, Default)]
struct Findings {
    damages: Vec<String>,
    leaks: Vec<String>,
}

/// Verifies a data directory and prints what was found; `true` when nothing is damaged.
pub(super) fn verify(
    disk: &Arc<dyn Disk>,
    dir: &DataDir,
    out: &mut dyn Write,
) -> anyhow::Result<bool> {
    if !disk.exists(&dir.ledgers())? {
        anyhow::bail!("{} is no data directory", dir.path().display());
    }
    let mut findings = Findings::default();
    let metadata = read_metadata(disk, dir, &mut findings)?;
    let verified =
        storage::verify(disk, &dir.journal(), &dir.ledgers(), &mut |id, entry, bytes| {
            check(id, entry, bytes).map_err(|damaged| damaged.to_string())
        })?;
    findings.damages.extend(verified.damages.iter().map(ToString::to_string));
    findings.leaks.extend(verified.leaks.iter().map(ToString::to_string));
    if let Some(metadata) = &metadata {
        compare(metadata, &verified, &mut findings);
    }
    print(dir, metadata.as_ref(), &verified, &findings, out).context("writing the output")?;
    Ok(findings.damages.is_empty())
}

fn read_metadata(
    disk: &Arc<dyn Disk>,
    dir: &DataDir,
    findings: &mut Findings,
) -> anyhow::Result<Option<Metadata>> {
    match geminga_metadata_embedded::read(&**disk, &dir.metadata()) {
        Ok(snapshot) => {
            let (metadata, damages) = Metadata::read(&snapshot)?;
            findings.damages.extend(damages);
            Ok(Some(metadata))
        }
        Err(error @ OpenError::Corrupt { .. }) => {
            findings.damages.push(error.to_string());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Metadata ⇒ entries, and entries ⇒ metadata.
fn compare(metadata: &Metadata, verified: &Verified, findings: &mut Findings) {
    for (ledger_id, owner) in &metadata.referenced {
        if !metadata.ledgers.contains_key(ledger_id) {
            findings.damages.push(format!(
                "metadata {owner}: it names ledger {ledger_id}, of which there is no metadata"
            ));
        }
    }
    let Some(bookie) = &verified.bookie else { return };
    for (ledger_id, ledger) in &metadata.ledgers {
        let owner = metadata.referenced.get(ledger_id);
        if owner.is_none() && !metadata.doomed.contains(ledger_id) {
            findings.leaks.push(format!("metadata: nothing refers to ledger {ledger_id}"));
        }
        if verified.is_deleted(*ledger_id) {
            if let Some(owner) = owner {
                findings.damages.push(format!(
                    "ledger {ledger_id} is deleted in the storage, but metadata {owner} names it"
                ));
            }
            continue;
        }
        for (first, last) in missing(ledger, bookie, *ledger_id, verified) {
            findings.damages.push(format!(
                "ledger {ledger_id}, entries {first} to {last}: they should be in the storage, and \
                 are not"
            ));
        }
    }
    for ledger_id in verified.ledgers.keys().filter(|id| !metadata.ledgers.contains_key(id)) {
        findings.leaks.push(format!("storage: ledger {ledger_id} has no metadata"));
    }
}

/// Entries of a ledger that this bookie should hold, up to the end or the LAC, and does not.
fn missing(
    ledger: &LedgerMetadata,
    bookie: &str,
    ledger_id: LedgerId,
    verified: &Verified,
) -> Vec<(EntryId, EntryId)> {
    let held = verified.ledgers.get(&ledger_id).cloned().unwrap_or_default();
    let last = match ledger.state {
        LedgerState::Closed { last_entry, .. } => last_entry,
        LedgerState::Open | LedgerState::InRecovery => {
            held.last_add_confirmed.unwrap_or(EntryId::NONE)
        }
    };
    let gaps = held.missing(EntryId(0), last).into_iter();
    if ledger.ensembles.len() == 1 && ledger.ensemble_size == ledger.write_quorum {
        let is_member = ledger.ensembles.values().flatten().any(|member| member == bookie);
        return if is_member { gaps.collect() } else { Vec::new() };
    }
    let entries = gaps.flat_map(|(first, last)| (first.0..=last.0).map(EntryId));
    let ours = entries.filter(|entry_id| is_ours(ledger, bookie, *entry_id));
    ours.map(|entry_id| (entry_id, entry_id)).collect()
}

/// Whether an entry's write set has this bookie: BookKeeper's round robin.
fn is_ours(ledger: &LedgerMetadata, bookie: &str, entry_id: EntryId) -> bool {
    let Some((_, ensemble)) = ledger.ensemble_at(entry_id) else { return false };
    let size = i64::from(ledger.ensemble_size).max(1);
    (0..i64::from(ledger.write_quorum)).any(|turn| {
        let index = usize::try_from((entry_id.0 + turn).rem_euclid(size)).unwrap_or(usize::MAX);
        ensemble.get(index).is_some_and(|member| member == bookie)
    })
}

fn print(
    dir: &DataDir,
    metadata: Option<&Metadata>,
    verified: &Verified,
    findings: &Findings,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let counts = &verified.counts;
    let bookie = verified.bookie.as_deref().unwrap_or("unknown");
    writeln!(out, "{}: bookie {bookie}", dir.path().display())?;
    if let Some(metadata) = metadata {
        let (keys, ledgers) = (metadata.keys, metadata.ledgers.len());
        let (topics, cursors) = (metadata.topics, metadata.cursors);
        writeln!(
            out,
            "metadata: {keys} keys, {ledgers} ledgers, {topics} topics, {cursors} cursors"
        )?;
    }
    writeln!(out, "index: {} rows, {} ledgers", counts.index_rows, counts.ledgers)?;
    writeln!(
        out,
        "entry logs: {} files, {} runs, {} entries, {} bytes",
        counts.entry_logs, counts.runs, counts.entries, counts.entry_bytes
    )?;
    let (groups, entries) = (counts.journal_groups, counts.journal_entries);
    writeln!(out, "journal: {groups} groups with {entries} entries to replay")?;
    for leak in &findings.leaks {
        writeln!(out, "leak: {leak}")?;
    }
    for damage in &findings.damages {
        writeln!(out, "damage: {damage}")?;
    }
    match findings.damages.len() {
        0 => writeln!(out, "clean, {} leaks", findings.leaks.len()),
        damages => writeln!(out, "{damages} damages, {} leaks", findings.leaks.len()),
    }
}
