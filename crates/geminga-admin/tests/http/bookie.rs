//! A bookie in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::{Bytes, BytesMut};
use geminga_bookie_api::{
    AddEntry, AddError, AddSink, Bookie, BookieId, Bookies, FenceAnswer, ReadError, StoredEntry,
};
use geminga_env::BoxFuture;
use geminga_types::{EntryId, LedgerId};

#[derive(Clone, Debug)]
pub(crate) struct MemoryBookie {
    id: BookieId,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<(LedgerId, EntryId), Bytes>,
    fenced: BTreeSet<LedgerId>,
}

impl MemoryBookie {
    pub(crate) fn new() -> Self {
        Self { id: BookieId("memory".into()), state: Arc::default() }
    }

    /// How many entries are stored.
    pub(crate) fn entries(&self) -> usize {
        self.state().entries.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Bookie for MemoryBookie {
    fn id(&self) -> &BookieId {
        &self.id
    }

    fn add(&self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>) {
        let mut state = self.state();
        let results = entries.into_iter().map(|entry| {
            let (ledger_id, entry_id) = (entry.ledger_id, entry.entry_id);
            if state.fenced.contains(&ledger_id) && !entry.is_recovery {
                return (ledger_id, entry_id, Err(AddError::Fenced(ledger_id)));
            }
            let mut bytes = BytesMut::from(&entry.head[..]);
            bytes.extend_from_slice(&entry.front);
            bytes.extend_from_slice(&entry.body);
            state.entries.insert((ledger_id, entry_id), bytes.freeze());
            (ledger_id, entry_id, Ok(()))
        });
        let results = results.collect();
        drop(state);
        sink.on_added(&self.id, results);
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        _bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, ReadError>> {
        Box::pin(async move {
            let state = self.state();
            let range = (ledger_id, first)..=(ledger_id, last);
            let found = state.entries.range(range).map(|((_, entry_id), bytes)| StoredEntry {
                entry_id: *entry_id,
                bytes: bytes.clone(),
            });
            let found: Vec<StoredEntry> = found.collect();
            match found.first() {
                Some(entry) if entry.entry_id == first => Ok(found),
                _ => Err(ReadError::NoEntry(ledger_id, first)),
            }
        })
    }

    fn fence(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<FenceAnswer, ReadError>> {
        Box::pin(async move {
            let mut state = self.state();
            state.fenced.insert(ledger_id);
            let range = (ledger_id, EntryId(0))..=(ledger_id, EntryId(i64::MAX));
            let last = state.entries.range(range).next_back().map(|((_, entry_id), _)| *entry_id);
            let last_entry = last.unwrap_or(EntryId::NONE);
            Ok(FenceAnswer { last_entry, last_add_confirmed: last_entry })
        })
    }

    fn delete(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<(), AddError>> {
        Box::pin(async move {
            self.state().entries.retain(|(ledger, _), _| *ledger != ledger_id);
            Ok(())
        })
    }
}

impl Bookies for MemoryBookie {
    fn choose(&self, ensemble_size: usize) -> Result<Vec<BookieId>, usize> {
        if ensemble_size == 1 { Ok(vec![self.id.clone()]) } else { Err(1) }
    }

    fn get(&self, id: &BookieId) -> Option<Arc<dyn Bookie>> {
        (*id == self.id).then(|| Arc::new(self.clone()) as Arc<dyn Bookie>)
    }
}
