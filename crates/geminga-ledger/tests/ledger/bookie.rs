//! A bookie in memory, with weather: delays, failures and lost answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use geminga_bookie_api::{
    AddEntry, AddError, AddSink, Bookie, BookieId, FenceAnswer, ReadError, StoredEntry,
};
use geminga_env::BoxFuture;
use geminga_types::{EntryId, LedgerId};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// What happens to calls, for all bookies and the store; none of it when calm.
#[derive(Debug)]
pub(crate) struct Weather(Mutex<(StdRng, Storm)>);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Storm {
    pub(crate) delay_ms_max: u64,
    /// How long an add is on its way besides, so that it meets fences and reads that came later.
    pub(crate) add_delay_ms_max: u64,
    /// Of reads: failed, besides.
    pub(crate) read_failed_percent: u32,
    /// Of fences: failed, besides.
    pub(crate) fence_failed_percent: u32,
    /// Of calls and entries: failed without effect.
    pub(crate) failed_percent: u32,
    /// Done, but answered as failed.
    pub(crate) lied_percent: u32,
    /// Done or not, and never answered.
    pub(crate) lost_percent: u32,
}

impl Weather {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new((StdRng::seed_from_u64(seed), Storm::default())))
    }

    pub(crate) fn set(&self, storm: Storm) {
        self.0.lock().unwrap().1 = storm;
    }

    async fn delay(&self, ms_max: impl Fn(&Storm) -> u64) {
        let delay = {
            let (rng, storm) = &mut *self.0.lock().unwrap();
            Duration::from_millis(rng.random_range(0..=ms_max(storm)))
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }

    fn roll(&self, percent: impl Fn(&Storm) -> u32) -> bool {
        let (rng, storm) = &mut *self.0.lock().unwrap();
        rng.random_range(0..100) < percent(storm)
    }

    /// Waits for the request's way; false when it is lost there.
    pub(crate) async fn request(&self) -> bool {
        self.delay(|storm| storm.delay_ms_max).await;
        if self.roll(|storm| storm.lost_percent) {
            pending::<()>().await;
        }
        !self.roll(|storm| storm.failed_percent)
    }

    /// Waits for the answer's way; false when it does not say what was done.
    pub(crate) async fn answer(&self) -> bool {
        self.delay(|storm| storm.delay_ms_max).await;
        if self.roll(|storm| storm.lost_percent) {
            pending::<()>().await;
        }
        !self.roll(|storm| storm.lied_percent)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Up,
    /// Every call fails without effect.
    Down,
    /// New entries are refused.
    ReadOnly,
    /// No call is ever answered.
    Silent,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) entries: BTreeMap<(LedgerId, EntryId), Bytes>,
    pub(crate) fenced: BTreeSet<LedgerId>,
    pub(crate) mode: Mode,
    pub(crate) fails_fences: bool,
    pub(crate) fails_reads: bool,
    /// Number of reads and fences that were answered.
    pub(crate) asked: usize,
    /// Size of each batch of adds.
    pub(crate) batches: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeBookie {
    id: BookieId,
    weather: Arc<Weather>,
    tasks: TaskTracker,
    state: Arc<Mutex<State>>,
}

impl FakeBookie {
    pub(crate) fn new(id: BookieId, weather: Arc<Weather>, tasks: TaskTracker) -> Self {
        Self { id, weather, tasks, state: Arc::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn holds(&self, ledger_id: LedgerId, entry_id: i64) -> bool {
        self.state().entries.contains_key(&(ledger_id, EntryId(entry_id)))
    }

    /// Flips a bit of a stored entry.
    pub(crate) fn damage(&self, ledger_id: LedgerId, entry_id: i64) {
        let mut state = self.state();
        let entry = state.entries.get_mut(&(ledger_id, EntryId(entry_id))).unwrap();
        let mut bytes = entry.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        *entry = bytes.into();
    }

    pub(crate) fn lose(&self, ledger_id: LedgerId, entry_id: i64) {
        self.state().entries.remove(&(ledger_id, EntryId(entry_id))).unwrap();
    }

    async fn add_one(&self, entry: &AddEntry) -> Result<(), AddError> {
        if !entry.is_recovery {
            self.weather.delay(|storm| storm.add_delay_ms_max).await;
        }
        if !self.weather.request().await {
            return Err(AddError::Failed("failed".to_owned()));
        }
        let result = self.state().add(entry);
        if self.weather.answer().await { result } else { Err(AddError::Failed("lied".to_owned())) }
    }

    async fn serve<T>(
        &self,
        call: impl Fn(&mut State) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let failed = || ReadError::Failed("failed".to_owned());
        if !self.weather.request().await {
            return Err(failed());
        }
        let mode = self.state().mode;
        match mode {
            Mode::Silent => pending().await,
            Mode::Down => return Err(failed()),
            Mode::Up | Mode::ReadOnly => {}
        }
        let result = call(&mut self.state());
        if self.weather.answer().await { result } else { Err(failed()) }
    }
}

impl State {
    fn add(&mut self, entry: &AddEntry) -> Result<(), AddError> {
        match self.mode {
            Mode::Down | Mode::Silent => return Err(AddError::Failed("down".to_owned())),
            Mode::ReadOnly => return Err(AddError::ReadOnly("full".to_owned())),
            Mode::Up => {}
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
        if self.fails_reads {
            return Err(ReadError::Failed("read error".to_owned()));
        }
        let ledger = self.entries.range((ledger_id, EntryId(0))..=(ledger_id, EntryId(i64::MAX)));
        if ledger.count() == 0 {
            return Err(ReadError::NoLedger(ledger_id));
        }
        if !self.entries.contains_key(&(ledger_id, first)) {
            return Err(ReadError::NoEntry(ledger_id, first));
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

    fn fence(&mut self, ledger_id: LedgerId) -> Result<FenceAnswer, ReadError> {
        if self.fails_fences {
            return Err(ReadError::Failed("fence error".to_owned()));
        }
        self.fenced.insert(ledger_id);
        let mut answer =
            FenceAnswer { last_entry: EntryId::NONE, last_add_confirmed: EntryId::NONE };
        for ((_, entry_id), bytes) in
            self.entries.range((ledger_id, EntryId(0))..=(ledger_id, EntryId(i64::MAX)))
        {
            let lac = i64::from_be_bytes(bytes[16..24].try_into().unwrap());
            answer.last_entry = *entry_id;
            answer.last_add_confirmed = answer.last_add_confirmed.max(EntryId(lac));
        }
        Ok(answer)
    }
}

impl Bookie for FakeBookie {
    fn id(&self) -> &BookieId {
        &self.id
    }

    /// Each entry goes its own way, so that they are stored and answered in any order.
    fn add(&self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>) {
        self.state().batches.push(entries.len());
        if self.state().mode == Mode::Silent {
            return;
        }
        for entry in entries {
            let (bookie, sink) = (self.clone(), Arc::clone(&sink));
            self.tasks.spawn(async move {
                let result = bookie.add_one(&entry).await;
                sink.on_added(&bookie.id, vec![(entry.ledger_id, entry.entry_id, result)]);
            });
        }
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, ReadError>> {
        Box::pin(self.serve(move |state| {
            state.asked += 1;
            if self.weather.roll(|storm| storm.read_failed_percent) {
                return Err(ReadError::Failed("failed".to_owned()));
            }
            state.read(ledger_id, (first, last), bytes_max)
        }))
    }

    fn fence(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<FenceAnswer, ReadError>> {
        Box::pin(self.serve(move |state| {
            state.asked += 1;
            if self.weather.roll(|storm| storm.fence_failed_percent) {
                return Err(ReadError::Failed("failed".to_owned()));
            }
            state.fence(ledger_id)
        }))
    }

    fn delete(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<(), AddError>> {
        Box::pin(async move {
            let deleted = self.serve(move |state| {
                state.entries.retain(|(ledger, _), _| *ledger != ledger_id);
                Ok(())
            });
            deleted.await.map_err(|error| AddError::Failed(error.to_string()))
        })
    }
}
