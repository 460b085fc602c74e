//! A few bookies, a metadata store, and a writer driven by hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use geminga_bookie_api::{AddError, AddSink, Bookie, BookieId, Bookies};
use geminga_checksum::Sum;
use geminga_env::{Env, sim};
use geminga_ledger::{Confirmed, Deps, LedgerOptions, Writer, create};
use geminga_types::{EntryId, LedgerId};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::{
    bookie::{FakeBookie, Weather},
    store::FakeStore,
};

pub(crate) struct World {
    pub(crate) weather: Arc<Weather>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) bookies: Vec<FakeBookie>,
    env: Env,
}

#[derive(Debug)]
struct Fakes(Vec<FakeBookie>);

impl Bookies for Fakes {
    fn choose(&self, ensemble_size: usize) -> Result<Vec<BookieId>, usize> {
        let ids = self.0.get(..ensemble_size).ok_or(self.0.len())?;
        Ok(ids.iter().map(|bookie| bookie.id().clone()).collect())
    }

    fn get(&self, id: &BookieId) -> Option<Arc<dyn Bookie>> {
        let bookie = self.0.iter().find(|bookie| bookie.id() == id)?;
        Some(Arc::new(bookie.clone()))
    }
}

/// Runs `test` on a paused clock.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(test)
}

pub(crate) fn id(index: usize) -> BookieId {
    BookieId(format!("bookie-{index}").into())
}

impl World {
    pub(crate) fn new(seed: u64, bookies: usize) -> Self {
        let weather = Arc::new(Weather::new(seed));
        let tasks = TaskTracker::new();
        let bookie = |index| FakeBookie::new(id(index), Arc::clone(&weather), tasks.clone());
        Self {
            store: Arc::new(FakeStore::new(Arc::clone(&weather))),
            bookies: (0..bookies).map(bookie).collect(),
            env: sim::World::new(seed).env(),
            weather,
        }
    }

    /// New ones, with an empty cache.
    pub(crate) fn deps(&self) -> Deps {
        let store = Arc::clone(&self.store);
        Deps::new(self.env.clone(), store, Arc::new(Fakes(self.bookies.clone())))
    }

    /// Makes a ledger over the first bookies.
    pub(crate) async fn create(&self, ensemble: u32, write: u32, ack: u32) -> Driver {
        let options = options(ensemble, write, ack);
        let writer = create(&self.deps(), &options).await.unwrap();
        Driver::new(self, writer)
    }

    /// A ledger with these entries, all confirmed, whose writer is forgotten.
    pub(crate) async fn written(
        &self,
        (ensemble, write, ack): (u32, u32, u32),
        bodies: &[&'static str],
    ) -> LedgerId {
        let mut driver = self.create(ensemble, write, ack).await;
        for body in bodies {
            driver.add(body);
            driver.settle().await;
        }
        assert_eq!(driver.confirmed.len(), bodies.len());
        driver.writer.ledger_id()
    }
}

pub(crate) fn options(ensemble_size: u32, write_quorum: u32, ack_quorum: u32) -> LedgerOptions {
    LedgerOptions {
        ensemble_size,
        write_quorum,
        ack_quorum,
        password: Bytes::from_static(b"secret"),
        custom_metadata: BTreeMap::from([("application".into(), Bytes::from_static(b"test"))]),
        in_flight_max: 512,
        may_use_reserve: false,
    }
}

type Answer = (BookieId, LedgerId, EntryId, Result<(), AddError>);

#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: Mutex<Vec<Answer>>,
    bell: Notify,
}

impl AddSink for Answers {
    fn on_added(&self, bookie: &BookieId, results: Vec<(LedgerId, EntryId, Result<(), AddError>)>) {
        let answer = |(ledger, entry, result)| (bookie.clone(), ledger, entry, result);
        self.waiting.lock().unwrap().extend(results.into_iter().map(answer));
        self.bell.notify_one();
    }
}

/// Does what a topic's task does for its writer.
pub(crate) struct Driver {
    pub(crate) writer: Writer,
    pub(crate) confirmed: Vec<Confirmed>,
    bookies: Vec<FakeBookie>,
    answers: Arc<Answers>,
}

impl Driver {
    pub(crate) fn new(world: &World, writer: Writer) -> Self {
        let bookies = world.bookies.clone();
        Self { writer, confirmed: Vec::new(), bookies, answers: Arc::default() }
    }

    pub(crate) fn add(&mut self, body: &str) -> EntryId {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let sum = Sum::of(&body);
        self.writer.add(body, sum)
    }

    pub(crate) fn send(&mut self) {
        while let Some((id, entries)) = self.writer.poll_send() {
            let bookie = self.bookies.iter().find(|bookie| *bookie.id() == id).unwrap();
            bookie.add(entries, Arc::clone(&self.answers) as Arc<dyn AddSink>);
        }
    }

    /// Takes in what the bookies have answered so far.
    pub(crate) fn take_answers(&mut self) -> usize {
        let answers = std::mem::take(&mut *self.answers.waiting.lock().unwrap());
        let count = answers.len();
        for (bookie, ledger_id, entry_id, result) in answers {
            assert_eq!(ledger_id, self.writer.ledger_id());
            self.writer.on_added(&bookie, entry_id, result).unwrap();
        }
        while let Some(confirmed) = self.writer.poll_confirmed() {
            self.confirmed.push(confirmed);
        }
        count
    }

    /// Waits for the next answer.
    pub(crate) async fn answered(&self) {
        self.answers.bell.notified().await;
    }

    /// Sends and lets every bookie that answers at all answer, in calm weather.
    pub(crate) async fn settle(&mut self) {
        self.send();
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.take_answers();
    }
}
