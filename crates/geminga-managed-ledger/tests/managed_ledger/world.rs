//! A bookie, a metadata store, and a topic's task in small.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use geminga_bookie_api::{AddError, AddSink, BookieId};
use geminga_checksum::Sum;
use geminga_env::{Env, sim};
use geminga_managed_ledger::{
    AppendError, CursorEvent, CursorState, Deps, Entry, JobDone, LedgerOptions, ManagedLedger,
    OpenError, Options, Outcome, open,
};
use geminga_metadata::{
    Expected, Lifetime, MemoryStore, SharedStore,
    adversary::Adversary,
    paths,
    values::managed_ledger::{LedgerInfo, ManagedLedgerInfo, encode},
};
use geminga_types::{EntryId, LedgerId, Ordinal, Position, TopicName};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::bookie::FakeBookie;

/// No test waits for as long on the paused clock.
const DEADLINE: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) bookie: FakeBookie,
    pub(crate) store: SharedStore,
    pub(crate) env: Env,
}

/// Runs `test` on a paused clock.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(test)
}

pub(crate) fn topic() -> TopicName {
    "persistent://public/default/a topic".parse().unwrap()
}

pub(crate) fn options() -> Options {
    let ledger = LedgerOptions {
        ensemble_size: 1,
        write_quorum: 1,
        ack_quorum: 1,
        password: Bytes::new(),
        custom_metadata: BTreeMap::new(),
        in_flight_max: 8,
        may_use_reserve: false,
    };
    Options {
        cursor_ledger: ledger.clone(),
        ledger,
        max_entries_per_ledger: 10,
        max_ledger_bytes: 1_000_000,
        min_rollover: Duration::ZERO,
        max_rollover: Duration::from_secs(3600),
        retention_time: Some(Duration::ZERO),
        retention_bytes: Some(0),
        tail_cache_bytes: 1_000,
        tail_caches: geminga_env::Gauge::new(1 << 20),
        cursor_roll_entries: 5,
        cursor_roll_bytes: 10_000,
        cursor_go_on_items: 10_000,
        cursor_part_items: 10_000,
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            bookie: FakeBookie::new(seed),
            store: Arc::new(MemoryStore::new()),
            env: sim::World::new(seed).env(),
        }
    }

    /// A new process: its cache is empty.
    pub(crate) fn deps(&self) -> Deps {
        let store = Arc::clone(&self.store);
        Deps::new(self.env.clone(), store, Arc::new(self.bookie.clone()))
    }

    /// A new process whose way to the store is bad.
    pub(crate) fn stormy_deps(&self, seed: u64) -> (Deps, Arc<Adversary>) {
        let adversary = Arc::new(Adversary::new(Arc::clone(&self.store), seed));
        let store: SharedStore = Arc::<Adversary>::clone(&adversary);
        (Deps::new(self.env.clone(), store, Arc::new(self.bookie.clone())), adversary)
    }

    /// Makes the topic's key as if it had so many closed ledgers with so many entries each.
    pub(crate) async fn list_ledgers(&self, ledgers: i64, entries: i64) {
        let ledger = |ledger_id| LedgerInfo {
            ledger_id,
            entries: Some(entries),
            size: Some(entries * 100),
            timestamp: Some(1),
            ..LedgerInfo::default()
        };
        let ledger_info = (0..ledgers).map(ledger).collect();
        let value = encode(&ManagedLedgerInfo { ledger_info, ..ManagedLedgerInfo::default() });
        let path = paths::managed_ledger(&topic());
        self.store.put(&path, value, Expected::Absent, Lifetime::Persistent).await.unwrap();
    }

    pub(crate) async fn open(&self) -> Topic {
        self.open_with(options()).await
    }

    pub(crate) async fn open_with(&self, options: Options) -> Topic {
        Topic::open(self.deps(), options).await.unwrap()
    }

    /// Names of the keys directly below `path`.
    pub(crate) async fn children(&self, path: &str) -> Vec<String> {
        self.store.children(path, None, 1000).await.unwrap().names
    }

    /// What is listed and stored when nothing is left to do: no ledger that no key names.
    pub(crate) async fn assert_no_tombstones(&self) {
        assert_eq!(self.children("/geminga/tombstones").await, [""; 0]);
    }
}

#[derive(Debug, Default)]
struct Answers {
    waiting: Mutex<Vec<(BookieId, Answer)>>,
    bell: Notify,
}

type Answer = Vec<(LedgerId, EntryId, Result<(), AddError>)>;

impl AddSink for Answers {
    fn on_added(&self, bookie: &BookieId, results: Answer) {
        self.waiting.lock().unwrap().push((bookie.clone(), results));
        self.bell.notify_one();
    }
}

/// Does what a topic's task does. Dropped: a crash, with its jobs cut off wherever they are.
pub(crate) struct Topic {
    pub(crate) ledger: ManagedLedger,
    pub(crate) deps: Deps,
    pub(crate) outcomes: VecDeque<Outcome>,
    pub(crate) events: VecDeque<CursorEvent>,
    answers: Arc<Answers>,
    jobs: JoinSet<JobDone>,
    /// How many jobs were ever run.
    pub(crate) jobs_run: usize,
}

impl Topic {
    pub(crate) async fn open(deps: Deps, options: Options) -> Result<Self, OpenError> {
        let ledger = open(&deps, &topic(), options, true).await?;
        Ok(Self {
            ledger,
            deps,
            outcomes: VecDeque::new(),
            events: VecDeque::new(),
            answers: Arc::default(),
            jobs: JoinSet::new(),
            jobs_run: 0,
        })
    }

    pub(crate) fn append(&mut self, body: impl Into<Bytes>) {
        let body = body.into();
        let sum = Sum::of(&body);
        self.ledger.append(body, sum);
    }

    /// Polls everything dry.
    pub(crate) fn poll(&mut self) {
        loop {
            let mut is_dry = true;
            while let Some((id, entries)) = self.ledger.poll_send() {
                assert_eq!(id, *self.bookie().id());
                let answers: Arc<dyn AddSink> = Arc::<Answers>::clone(&self.answers);
                self.bookie().add(entries, answers);
                is_dry = false;
            }
            while let Some(job) = self.ledger.poll_job() {
                let deps = self.deps.clone();
                self.jobs_run += 1;
                self.jobs.spawn(async move { job.run(&deps).await });
                is_dry = false;
            }
            while let Some(outcome) = self.ledger.poll_outcome() {
                self.outcomes.push_back(outcome);
                is_dry = false;
            }
            while let Some(event) = self.ledger.poll_cursor_event() {
                self.events.push_back(event);
                is_dry = false;
            }
            if is_dry {
                return;
            }
        }
    }

    /// Polls, waits for the next thing to happen before `until`, and takes it in; false at `until`.
    pub(crate) async fn step(&mut self, until: Instant) -> bool {
        self.poll();
        let due = self.ledger.next_timeout();
        let is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.answers.bell.notified() => {
                let answers = std::mem::take(&mut *self.answers.waiting.lock().unwrap());
                for (bookie, results) in answers {
                    self.ledger.on_added(&bookie, &results);
                }
            }
            Some(done) = self.jobs.join_next() => {
                let now = self.deps.env.clock.now();
                self.ledger.on_job_done(done.unwrap(), now);
            }
            () = is_due => self.ledger.on_timeout(self.deps.env.clock.now()),
            () = sleep_until(until) => return false,
        }
        self.poll();
        true
    }

    /// Steps until `is_done`.
    pub(crate) async fn until(&mut self, is_done: impl Fn(&Self) -> bool) {
        self.poll();
        let deadline = self.deps.env.clock.now() + DEADLINE;
        while !is_done(self) {
            assert!(self.step(deadline).await, "nothing came of it: {:?}", self.ledger);
        }
    }

    /// Steps for `millis` of virtual time.
    pub(crate) async fn run_for(&mut self, millis: u64) {
        let until = self.deps.env.clock.now() + Duration::from_millis(millis);
        while self.step(until).await {}
    }

    /// Appends entries and waits for the outcome of each: the position of confirmed ones.
    pub(crate) async fn append_all<T: Into<Bytes>>(
        &mut self,
        bodies: impl IntoIterator<Item = T>,
    ) -> Vec<Result<Position, AppendError>> {
        let mut count = 0;
        for body in bodies {
            self.append(body);
            count += 1;
        }
        self.until(|topic| topic.outcomes.len() == count).await;
        let outcome = |outcome| match outcome {
            Outcome::Confirmed(confirmed) => Ok(confirmed.position),
            Outcome::Failed(error) => Err(error),
        };
        self.outcomes.drain(..).map(outcome).collect()
    }

    /// Waits for the next event of a cursor.
    pub(crate) async fn event(&mut self) -> CursorEvent {
        self.until(|topic| !topic.events.is_empty()).await;
        self.events.pop_front().unwrap()
    }

    pub(crate) async fn create_cursor(&mut self, name: &str, at: Position) {
        self.ledger.create_cursor(name, at, BTreeMap::new());
        assert_eq!(self.event().await, CursorEvent::Created { name: name.into() });
    }

    /// Closes, answering nothing, and ends.
    pub(crate) async fn close(mut self) {
        self.ledger.close();
        self.until(|topic| topic.ledger.is_closed()).await;
    }

    /// Every stored entry, by way of the bookies.
    pub(crate) async fn read_all(&self) -> Vec<Entry> {
        let chain = self.ledger.chain();
        let mut entries: Vec<Entry> = Vec::new();
        while let from = entries.last().map_or_else(|| chain.first(), |entry| entry.ordinal.plus(1))
            && from < chain.end()
        {
            let read = timeout(DEADLINE, chain.read(&self.deps, from, chain.end(), 50)).await;
            let read = read.unwrap().unwrap();
            assert!(!read.is_empty());
            entries.extend(read);
        }
        for (ordinal, entry) in (chain.first().0..).zip(&entries) {
            assert_eq!(entry.ordinal, Ordinal(ordinal));
            assert_eq!(chain.position_of(entry.ordinal), Some(entry.position));
            assert_eq!(chain.ordinal_of(entry.position), entry.ordinal);
        }
        entries
    }

    pub(crate) async fn bodies(&self) -> Vec<Bytes> {
        self.read_all().await.into_iter().map(|entry| entry.body).collect()
    }

    pub(crate) fn recovered(&mut self, name: &str) -> CursorState {
        self.ledger.take_recovered_cursors().remove(name).unwrap()
    }

    fn bookie(&self) -> Arc<dyn geminga_bookie_api::Bookie> {
        self.deps.bookies.get(&BookieId("bookie".into())).unwrap()
    }
}

/// Numbered bodies: `0:`, `1:x`, `2:xx`, …
pub(crate) fn bodies(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Bytes> + Clone {
    numbers.map(|number| Bytes::from(format!("{number}:{}", "x".repeat(number % 7))))
}
