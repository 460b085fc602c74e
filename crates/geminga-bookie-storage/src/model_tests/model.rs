//! What the storage must answer: plain maps, updated by what it said.

use std::collections::BTreeMap;

use bytes::Bytes;
use geminga_bookie_api::{AddError, FenceAnswer, ReadError, StoredEntry};
use geminga_types::{EntryId, LedgerId};

pub(super) type Check = Result<(), String>;

/// Everything that was asked and answered.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) ledgers: BTreeMap<LedgerId, Ledger>,
    next_attempt: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) entries: BTreeMap<EntryId, Entry>,
    pub(super) fence: Asked,
    pub(super) deletion: Asked,
}

/// A fence or deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    No,
    /// Asked, and not confirmed (yet).
    Maybe,
    Yes,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Confirmed or seen, so it must be there.
    is_certain: bool,
    /// What it may hold, by attempt: an older attempt than a certain one is gone.
    candidates: BTreeMap<u64, Bytes>,
}

impl Model {
    /// Notes an add before it is handed over.
    pub(super) fn on_add(&mut self, ledger_id: LedgerId, entry_id: EntryId, stored: Bytes) -> u64 {
        self.next_attempt += 1;
        let ledger = self.ledgers.entry(ledger_id).or_default();
        let entry = ledger.entries.entry(entry_id).or_default();
        entry.candidates.insert(self.next_attempt, stored);
        self.next_attempt
    }

    /// `asked_before`: what was asked of the ledger before the add.
    pub(super) fn on_added(
        &mut self,
        ledger_id: LedgerId,
        entry_id: EntryId,
        attempt: u64,
        must_be_refused: bool,
        result: &Result<(), AddError>,
    ) -> Check {
        let ledger = self.ledgers.entry(ledger_id).or_default();
        let entry = ledger.entries.entry(entry_id).or_default();
        match result {
            Ok(()) if must_be_refused => {
                return Err(format!(
                    "{ledger_id}:{entry_id} was taken by a fenced or deleted ledger"
                ));
            }
            Ok(()) => {
                entry.is_certain = true;
                entry.candidates = entry.candidates.split_off(&attempt);
            }
            Err(AddError::Fenced(_)) => {
                if ledger.fence == Asked::No && ledger.deletion == Asked::No {
                    return Err(format!("{ledger_id}:{entry_id} was refused by no fence"));
                }
                entry.candidates.remove(&attempt);
            }
            Err(AddError::ReadOnly(_)) => _ = entry.candidates.remove(&attempt),
            Err(AddError::Failed(_)) => {}
        }
        Ok(())
    }

    pub(super) fn on_fenced(&mut self, ledger_id: LedgerId, answer: FenceAnswer) -> Check {
        let ledger = self.ledgers.entry(ledger_id).or_default();
        if ledger.deletion == Asked::Yes {
            return Err(format!("deleted ledger {ledger_id} was fenced"));
        }
        ledger.fence = Asked::Yes;
        let certain = ledger.entries.iter().filter(|(_, entry)| entry.is_certain);
        let low = certain.map(|(id, _)| *id).max().unwrap_or(EntryId::NONE);
        let possible = ledger.entries.iter().filter(|(_, entry)| !entry.candidates.is_empty());
        let high = possible.map(|(id, _)| *id).max().unwrap_or(EntryId::NONE);
        let lac = |id: EntryId| EntryId(id.0 - 1).max(EntryId::NONE);
        let is_right = (low..=high).contains(&answer.last_entry)
            && (lac(low)..=lac(high)).contains(&answer.last_add_confirmed);
        if is_right {
            return Ok(());
        }
        Err(format!("fence of {ledger_id} answered {answer:?}, expected {low}..={high}"))
    }

    /// Compares a successful read.
    pub(super) fn on_read(
        &mut self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        found: &[StoredEntry],
    ) -> Check {
        let ledger = self.ledgers.entry(ledger_id).or_default();
        if ledger.deletion == Asked::Yes {
            return Err(format!("deleted ledger {ledger_id} was read"));
        }
        let mut expected_from = first;
        for StoredEntry { entry_id, bytes } in found {
            if !(expected_from..=last).contains(entry_id) {
                return Err(format!("{ledger_id}:{entry_id} is out of order"));
            }
            let skipped = ledger.entries.range(expected_from..*entry_id);
            if let Some((skipped, _)) = skipped.into_iter().find(|(_, entry)| entry.is_certain) {
                return Err(format!("{ledger_id}:{skipped} was skipped by a read"));
            }
            let entry = ledger.entries.entry(*entry_id).or_default();
            let seen = entry.candidates.iter().find(|(_, candidate)| *candidate == bytes);
            let Some(attempt) = seen.map(|(attempt, _)| *attempt) else {
                return Err(format!("{ledger_id}:{entry_id} holds what it may not hold"));
            };
            entry.candidates = entry.candidates.split_off(&attempt);
            entry.is_certain = true;
            expected_from = EntryId(entry_id.0 + 1);
        }
        match found.first() {
            Some(entry) if entry.entry_id == first => Ok(()),
            _ => Err(format!("a read of {ledger_id}:{first} succeeded without it")),
        }
    }

    /// Compares a refused read.
    pub(super) fn on_unread(
        &mut self,
        ledger_id: LedgerId,
        first: EntryId,
        error: &ReadError,
    ) -> Check {
        let ledger = self.ledgers.entry(ledger_id).or_default();
        match error {
            ReadError::Failed(_) => Err(format!("read of {ledger_id}:{first}: {error}")),
            ReadError::NoEntry(..) => {
                let is_certain = ledger.entries.get(&first).is_some_and(|entry| entry.is_certain);
                if is_certain || ledger.deletion == Asked::Yes {
                    return Err(format!("{error}, but it was confirmed or the ledger deleted"));
                }
                Ok(())
            }
            ReadError::NoLedger(_) => {
                let holds_any = ledger.entries.values().any(|entry| entry.is_certain);
                match ledger.deletion {
                    Asked::No if holds_any || ledger.fence == Asked::Yes => {
                        Err(format!("{error}, but it was never deleted"))
                    }
                    Asked::No => Ok(()),
                    Asked::Maybe if holds_any => {
                        ledger.deletion = Asked::Yes;
                        Ok(())
                    }
                    Asked::Maybe | Asked::Yes => Ok(()),
                }
            }
        }
    }

    /// Entries that must be there.
    pub(super) fn certain(&self, ledger_id: LedgerId) -> Vec<EntryId> {
        let Some(ledger) = self.ledgers.get(&ledger_id) else { return Vec::new() };
        if ledger.deletion != Asked::No {
            return Vec::new();
        }
        let certain = ledger.entries.iter().filter(|(_, entry)| entry.is_certain);
        certain.map(|(id, _)| *id).collect()
    }

    /// All entries that were ever tried.
    pub(super) fn tried(&self, ledger_id: LedgerId) -> Vec<EntryId> {
        self.ledgers
            .get(&ledger_id)
            .map(|ledger| ledger.entries.keys().copied().collect())
            .unwrap_or_default()
    }
}
