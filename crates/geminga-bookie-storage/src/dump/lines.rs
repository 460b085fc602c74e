//! How each record is written as a line.

use geminga_types::LedgerId;

use crate::{
    entry_log::format::RunEntry,
    index::{Row, format::Record},
    journal::format::{FileHead, GroupHead, VERSION},
    write_cache::Placed,
};

pub(super) fn journal_head(head: &FileHead, bytes: u64) -> String {
    let FileHead { generation, salt, first_sequence, durable_before } = head;
    format!(
        "journal file of generation {generation}, version {VERSION}, {bytes} bytes, salt {salt:016x}, \
         first group {first_sequence}, durable before {durable_before}"
    )
}

pub(super) fn group(offset: u64, head: &GroupHead) -> String {
    let GroupHead { sequence, length, count, durable_before, .. } = head;
    format!(
        "{offset:>12} group {sequence}: {count} records, {length} bytes, durable before \
         {durable_before}"
    )
}

pub(super) fn journal_entry(placed: &Placed) -> String {
    let Placed { ledger_id, entry_id, last_add_confirmed, length, crc, .. } = placed;
    format!(
        "             entry {ledger_id}:{entry_id}, {length} bytes, LAC {last_add_confirmed}, crc \
         {crc:08x}"
    )
}

pub(super) fn run(ledger_id: LedgerId, row: &Row) -> String {
    let Row { first, last, newness, offset, length, count, .. } = row;
    format!(
        "{offset:>12} run of ledger {ledger_id}: {count} entries from {first} to {last}, {length} \
         bytes, flush {newness}"
    )
}

pub(super) fn run_entry(entry: &RunEntry, is_whole: bool) -> String {
    let RunEntry { entry_id, offset, length, crc } = entry;
    let state = if is_whole { "" } else { ", DAMAGED" };
    format!("             entry {entry_id} at +{offset}, {length} bytes, crc {crc:08x}{state}")
}

pub(super) fn index_record(record: &Record) -> String {
    match record {
        Record::Run(ledger_id, row) => {
            let Row { first, last, newness, file, offset, length, count } = row;
            format!(
                "             run of ledger {ledger_id}: {count} entries from {first} to {last} in \
                 entry log {file} at {offset}, {length} bytes, flush {newness}"
            )
        }
        Record::Ledger(ledger_id, ledger) => {
            let fenced = if ledger.is_fenced { ", fenced" } else { "" };
            let (last, confirmed) = (ledger.last_entry, ledger.last_add_confirmed);
            format!("             ledger {ledger_id}: last entry {last}, LAC {confirmed}{fenced}")
        }
        Record::Deleted(first, last) => {
            format!("             ledgers {first} to {last} are deleted")
        }
        Record::File { number, bytes, is_sealed, .. } => {
            let state = if *is_sealed { "closed" } else { "appended to" };
            format!("             entry log {number}: {bytes} bytes, {state}")
        }
        Record::FileRemoved { number } => format!("             entry log {number} is removed"),
    }
}
