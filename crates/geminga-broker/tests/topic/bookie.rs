//! A bookie in memory whose answers a test holds back, or spoils.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use geminga_bookie_api::{
    AddEntry, AddError, AddSink, Bookie, BookieId, Bookies, FenceAnswer, ReadError, StoredEntry,
};
use geminga_env::BoxFuture;
use geminga_types::{EntryId, LedgerId};

/// What becomes of adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Adds {
    /// Stored and answered at once.
    #[default]
    Stored,
    /// Neither, until released.
    Held,
    /// Failed.
    Failed,
}

/// What becomes of reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reads {
    #[default]
    Answered,
    /// Never answered.
    Hanging,
    /// The task that reads panics.
    Panicking,
}

#[derive(Debug, Default)]
struct State {
    adds: Adds,
    reads: Reads,
    held: VecDeque<(Vec<AddEntry>, Arc<dyn AddSink>)>,
    entries: BTreeMap<(LedgerId, EntryId), Bytes>,
    fenced: BTreeSet<LedgerId>,
    /// Ledgers that cannot be read.
    unavailable: BTreeSet<LedgerId>,
    /// Entries that were read.
    read: u64,
}

/// The one bookie; also the registry that holds it.
#[derive(Clone, Debug)]
pub(crate) struct FakeBookie {
    id: BookieId,
    /// Whether what comes by this handle comes from a broker that has crashed.
    is_dead: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
}

impl FakeBookie {
    pub(crate) fn new() -> Self {
        let id = BookieId("bookie".into());
        Self { id, is_dead: Arc::default(), state: Arc::default() }
    }

    /// What comes from now on by this handle and its clones has no effect. Returns another.
    pub(crate) fn crash(&self) -> Self {
        self.is_dead.store(true, Ordering::Relaxed);
        self.state().held.clear();
        Self { id: self.id.clone(), is_dead: Arc::default(), state: Arc::clone(&self.state) }
    }

    pub(crate) fn set_reads(&self, reads: Reads) {
        self.state().reads = reads;
    }

    /// From now on. What is held stays so.
    pub(crate) fn set_adds(&self, adds: Adds) {
        self.state().adds = adds;
    }

    pub(crate) fn held(&self) -> usize {
        self.state().held.len()
    }

    /// Stores and answers the oldest batch that is held.
    pub(crate) fn release_one(&self) {
        let (entries, sink) = self.state().held.pop_front().expect("something is held");
        self.store(&entries, &sink);
    }

    /// Stores and answers what is held and what will come.
    pub(crate) fn release(&self) {
        self.set_adds(Adds::Stored);
        while 0 < self.held() {
            self.release_one();
        }
    }

    /// How many entries were read so far.
    pub(crate) fn entries_read(&self) -> u64 {
        self.state().read
    }

    /// From now on reads of this ledger fail.
    pub(crate) fn withhold(&self, ledger_id: LedgerId) {
        self.state().unavailable.insert(ledger_id);
    }

    /// Flips a bit in every entry of a ledger.
    pub(crate) fn damage(&self, ledger_id: LedgerId) {
        let ledger = (ledger_id, EntryId(0))..=(ledger_id, EntryId(i64::MAX));
        for (_, bytes) in self.state().entries.range_mut(ledger) {
            let mut damaged = bytes.to_vec();
            *damaged.last_mut().unwrap() ^= 1;
            *bytes = damaged.into();
        }
    }

    /// The ledgers that have entries here.
    pub(crate) fn ledgers(&self) -> BTreeSet<LedgerId> {
        self.state().entries.keys().map(|(ledger_id, _)| *ledger_id).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn store(&self, entries: &[AddEntry], sink: &Arc<dyn AddSink>) {
        let results = entries.iter().map(|entry| {
            let result = self.state().add(entry);
            (entry.ledger_id, entry.entry_id, result)
        });
        let results = results.collect();
        sink.on_added(&self.id, results);
    }
}

impl State {
    fn add(&mut self, entry: &AddEntry) -> Result<(), AddError> {
        if self.adds == Adds::Failed {
            return Err(AddError::Failed("as the test says".to_owned()));
        }
        if self.fenced.contains(&entry.ledger_id) && !entry.is_recovery {
            return Err(AddError::Fenced(entry.ledger_id));
        }
        let bytes = Bytes::from([entry.head.as_slice(), &entry.front, &entry.body].concat());
        self.entries.insert((entry.ledger_id, entry.entry_id), bytes);
        Ok(())
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        (first, last): (EntryId, EntryId),
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, ReadError> {
        if self.unavailable.contains(&ledger_id) {
            return Err(ReadError::Failed("as the test says".to_owned()));
        }
        if !self.entries.contains_key(&(ledger_id, first)) {
            let is_known = self.entries.keys().any(|(id, _)| *id == ledger_id);
            let no_entry = ReadError::NoEntry(ledger_id, first);
            let is_known = is_known || self.fenced.contains(&ledger_id);
            return Err(if is_known { no_entry } else { ReadError::NoLedger(ledger_id) });
        }
        let (mut size, mut found) = (0, Vec::new());
        for ((_, entry_id), bytes) in self.entries.range((ledger_id, first)..=(ledger_id, last)) {
            if !found.is_empty() && bytes_max <= size {
                break;
            }
            size += bytes.len();
            found.push(StoredEntry { entry_id: *entry_id, bytes: bytes.clone() });
        }
        Ok(found)
    }

    fn fence(&mut self, ledger_id: LedgerId) -> FenceAnswer {
        self.fenced.insert(ledger_id);
        let (mut last_entry, mut last_add_confirmed) = (EntryId::NONE, EntryId::NONE);
        let ledger = (ledger_id, EntryId(0))..=(ledger_id, EntryId(i64::MAX));
        for ((_, entry_id), bytes) in self.entries.range(ledger) {
            let lac = i64::from_be_bytes(bytes[16..24].try_into().unwrap());
            last_entry = *entry_id;
            last_add_confirmed = last_add_confirmed.max(EntryId(lac));
        }
        FenceAnswer { last_entry, last_add_confirmed }
    }
}

impl Bookie for FakeBookie {
    fn id(&self) -> &BookieId {
        &self.id
    }

    fn add(&self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>) {
        if self.is_dead.load(Ordering::Relaxed) {
            return;
        }
        let is_held = self.state().adds == Adds::Held;
        if is_held {
            self.state().held.push_back((entries, sink));
        } else {
            self.store(&entries, &sink);
        }
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, ReadError>> {
        Box::pin(async move {
            let reads = self.state().reads;
            match reads {
                Reads::Answered => {
                    let mut state = self.state();
                    let found = state.read(ledger_id, (first, last), bytes_max);
                    state.read += found.as_ref().map_or(0, |found| found.len() as u64);
                    found
                }
                Reads::Hanging => std::future::pending().await,
                Reads::Panicking => panic!("a test made this read panic"),
            }
        })
    }

    fn fence(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<FenceAnswer, ReadError>> {
        Box::pin(async move { Ok(self.state().fence(ledger_id)) })
    }

    fn delete(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<(), AddError>> {
        Box::pin(async move {
            if self.is_dead.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            self.state().entries.retain(|(ledger, _), _| *ledger != ledger_id);
            Ok(())
        })
    }
}

impl Bookies for FakeBookie {
    fn choose(&self, ensemble_size: usize) -> Result<Vec<BookieId>, usize> {
        if ensemble_size == 1 { Ok(vec![self.id.clone()]) } else { Err(1) }
    }

    fn get(&self, id: &BookieId) -> Option<Arc<dyn Bookie>> {
        (*id == self.id).then(|| Arc::new(self.clone()) as Arc<dyn Bookie>)
    }
}
