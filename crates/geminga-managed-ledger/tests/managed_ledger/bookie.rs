//! A bookie in memory, with weather: late answers, failures, and answers that are not true.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use geminga_bookie_api::{
    AddEntry, AddError, AddSink, Bookie, BookieId, Bookies, FenceAnswer, ReadError, StoredEntry,
};
use geminga_env::BoxFuture;
use geminga_types::{EntryId, LedgerId};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// How bad it is. Nothing goes wrong by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Storm {
    pub(crate) delay_ms_max: u64,
    /// Of batches of adds: failed without effect, all of it.
    pub(crate) failed_percent: u32,
    /// Of batches of adds: stored, but answered as failed.
    pub(crate) lied_percent: u32,
    /// Takes no adds.
    pub(crate) is_full: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    rng: StdRng,
    pub(crate) storm: Storm,
    pub(crate) entries: BTreeMap<(LedgerId, EntryId), Bytes>,
    fenced: BTreeSet<LedgerId>,
    /// Adds to ledgers from this one on wait until it is changed.
    pub(crate) held_from: Option<LedgerId>,
    /// Every ledger that an entry was stored in, deleted or not.
    pub(crate) written: BTreeSet<LedgerId>,
    /// Size of each batch of adds.
    pub(crate) batches: Vec<usize>,
}

/// The one bookie; also the registry that holds it.
#[derive(Clone, Debug)]
pub(crate) struct FakeBookie {
    id: BookieId,
    tasks: TaskTracker,
    state: Arc<Mutex<State>>,
}

impl FakeBookie {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            storm: Storm::default(),
            entries: BTreeMap::new(),
            fenced: BTreeSet::new(),
            held_from: None,
            written: BTreeSet::new(),
            batches: Vec::new(),
        };
        Self {
            id: BookieId("bookie".into()),
            tasks: TaskTracker::new(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The ledgers that something is stored of.
    pub(crate) fn ledgers(&self) -> BTreeSet<LedgerId> {
        self.state().entries.keys().map(|(ledger_id, _)| *ledger_id).collect()
    }

    async fn delay(&self) {
        let delay = {
            let State { rng, storm, .. } = &mut *self.state();
            rng.random_range(0..=storm.delay_ms_max)
        };
        if 0 < delay {
            sleep(Duration::from_millis(delay)).await;
        }
    }

    async fn add_batch(self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>) {
        self.delay().await;
        while self.state().holds(&entries) {
            sleep(Duration::from_millis(1)).await;
        }
        let results = self.state().add_batch(&entries);
        self.delay().await;
        sink.on_added(&self.id, results);
    }
}

impl State {
    fn holds(&self, entries: &[AddEntry]) -> bool {
        self.held_from.is_some_and(|from| entries.iter().any(|entry| from <= entry.ledger_id))
    }

    fn add_batch(
        &mut self,
        entries: &[AddEntry],
    ) -> Vec<(LedgerId, EntryId, Result<(), AddError>)> {
        let failed = self.rng.random_range(0..100) < self.storm.failed_percent;
        let lied = self.rng.random_range(0..100) < self.storm.lied_percent;
        let add = |entry: &AddEntry| {
            let failure = Err(AddError::Failed("bad weather".to_owned()));
            let result = if failed { failure.clone() } else { self.add(entry) };
            let result = if lied { failure } else { result };
            (entry.ledger_id, entry.entry_id, result)
        };
        entries.iter().map(add).collect()
    }

    fn add(&mut self, entry: &AddEntry) -> Result<(), AddError> {
        if self.storm.is_full {
            return Err(AddError::ReadOnly("no space".to_owned()));
        }
        if self.fenced.contains(&entry.ledger_id) && !entry.is_recovery {
            return Err(AddError::Fenced(entry.ledger_id));
        }
        let bytes = Bytes::from([entry.head.as_slice(), &entry.front, &entry.body].concat());
        self.entries.insert((entry.ledger_id, entry.entry_id), bytes);
        self.written.insert(entry.ledger_id);
        Ok(())
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        (first, last): (EntryId, EntryId),
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, ReadError> {
        let is_held = |(ledger, _): &(LedgerId, EntryId)| *ledger == ledger_id;
        if !self.entries.contains_key(&(ledger_id, first)) {
            let held = self.entries.keys().any(is_held) || self.fenced.contains(&ledger_id);
            let no_entry = ReadError::NoEntry(ledger_id, first);
            return Err(if held { no_entry } else { ReadError::NoLedger(ledger_id) });
        }
        let mut size = 0;
        let mut found = Vec::new();
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
        let mut answer =
            FenceAnswer { last_entry: EntryId::NONE, last_add_confirmed: EntryId::NONE };
        let ledger = (ledger_id, EntryId(0))..=(ledger_id, EntryId(i64::MAX));
        for ((_, entry_id), bytes) in self.entries.range(ledger) {
            let lac = i64::from_be_bytes(bytes[16..24].try_into().unwrap());
            answer.last_entry = *entry_id;
            answer.last_add_confirmed = answer.last_add_confirmed.max(EntryId(lac));
        }
        answer
    }
}

impl Bookie for FakeBookie {
    fn id(&self) -> &BookieId {
        &self.id
    }

    /// Each batch goes its own way: a later one may be stored, and answered, first.
    fn add(&self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>) {
        self.state().batches.push(entries.len());
        self.tasks.spawn(self.clone().add_batch(entries, sink));
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, ReadError>> {
        Box::pin(async move { self.state().read(ledger_id, (first, last), bytes_max) })
    }

    fn fence(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<FenceAnswer, ReadError>> {
        Box::pin(async move {
            self.delay().await;
            Ok(self.state().fence(ledger_id))
        })
    }

    fn delete(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<(), AddError>> {
        Box::pin(async move {
            self.delay().await;
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
