//! Runs one seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, AddSink, Bookie as _, BookieId};
use geminga_checksum::Sum;
use geminga_env::sim::World;
use geminga_types::{EntryId, LedgerId};
use rand::{Rng as _, rngs::StdRng};

use super::model::{Asked, Check, Model};
use crate::{
    Options, Storage,
    options::{Phase, PlantedBug, StorageEvent, Trace},
    verify::verify,
};

/// What to run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) bug: Option<PlantedBug>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) result: Check,
    /// Phases that a power cut fell into.
    pub(super) cuts_inside: BTreeSet<Phase>,
    pub(super) event_hash: u64,
}

type AddResult = (LedgerId, EntryId, Result<(), AddError>);
type Results = Arc<Mutex<Vec<(u64, AddResult)>>>;

#[derive(Debug)]
struct Sink {
    batch: u64,
    results: Results,
}

impl AddSink for Sink {
    fn on_added(&self, _: &BookieId, results: Vec<AddResult>) {
        let batch = self.batch;
        self.results.lock().unwrap().extend(results.into_iter().map(|result| (batch, result)));
    }
}

/// An add that is not answered yet.
#[derive(Debug)]
struct Pending {
    attempt: u64,
    is_recovery: bool,
    must_be_refused: bool,
}

struct Run {
    world: World,
    rng: StdRng,
    options: Options,
    storage: Option<Storage>,
    model: Model,
    results: Results,
    pending: BTreeMap<(u64, LedgerId, EntryId), Pending>,
    next_batch: u64,
    next_ledger: i64,
    cuts_inside: Arc<Mutex<BTreeSet<Phase>>>,
    /// A failed sync is planned, or the disk is full: failures are expected.
    may_fail: bool,
}

pub(super) fn run_seed(seed: u64, plan: Plan) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut run = Run::new(seed, plan);
        let result = run.all().await;
        let cuts_inside = run.cuts_inside.lock().unwrap().clone();
        Report { result, cuts_inside, event_hash: run.world.event_hash() }
    })
}

impl Run {
    fn new(seed: u64, plan: Plan) -> Self {
        let world = World::new(seed);
        let cuts_inside: Arc<Mutex<BTreeSet<Phase>>> = Arc::default();
        let (noted, disk) = (Arc::clone(&cuts_inside), Arc::clone(world.disk()));
        let began_with_power = Mutex::new(BTreeSet::new());
        let trace = Trace(Arc::new(move |event| {
            let mut began_with_power = began_with_power.lock().unwrap();
            match event {
                StorageEvent::Begin(phase) if disk.power_is_off() => {
                    began_with_power.remove(&phase);
                }
                StorageEvent::Begin(phase) => _ = began_with_power.insert(phase),
                StorageEvent::End(phase) => {
                    if began_with_power.remove(&phase) && disk.power_is_off() {
                        noted.lock().unwrap().insert(phase);
                    }
                }
            }
        }));
        let mut rng = world.rng();
        let options = Options {
            journal_file_bytes: 16 << 10,
            journal_spares_max: rng.random_range(0..3),
            group_bytes_max: 8 << 10,
            write_cache_bytes: rng.random_range(12..40) << 10,
            read_cache_bytes: 8 << 10,
            flush_interval: Duration::from_secs(5),
            entry_log_bytes: rng.random_range(12..48) << 10,
            run_bytes_max: rng.random_range(200..3000),
            whole_run_bytes_max: rng.random_range(0..1000),
            gc_interval: Duration::from_secs(3),
            minor_interval: Duration::from_secs(6),
            major_interval: Duration::from_secs(9),
            min_free_bytes: 8 << 10,
            index_log_bytes_min: 12 << 10,
            trace: Some(trace),
            planted_bug: plan.bug,
            ..Options::new(
                "/data/journal",
                if seed.is_multiple_of(4) { "/data/journal" } else { "/data/ledgers" },
            )
        };
        Self {
            rng,
            world,
            options,
            storage: None,
            model: Model::default(),
            results: Results::default(),
            pending: BTreeMap::new(),
            next_batch: 0,
            next_ledger: 5,
            cuts_inside,
            may_fail: false,
        }
    }

    async fn all(&mut self) -> Check {
        self.reopen().await?;
        for _ in 0..self.rng.random_range(3..7) {
            self.plan_faults();
            for _ in 0..self.rng.random_range(5..40) {
                self.op().await?;
                self.take_results()?;
                if self.world.disk().power_is_off() {
                    break;
                }
            }
            self.end_life().await?;
            self.reopen().await?;
            self.compare().await?;
        }
        Ok(())
    }

    fn storage(&self) -> Storage {
        self.storage.clone().unwrap()
    }

    fn plan_faults(&mut self) {
        let disk = self.world.disk();
        match self.rng.random_range(0..10) {
            0..6 => disk.cut_power_after(self.rng.random_range(0..120)),
            6 => {
                self.may_fail = true;
                disk.fail_sync(self.rng.random_range(1..40), |_| true);
            }
            7 => disk.set_quota(Some(disk.used_bytes() + self.rng.random_range(0..80 << 10))),
            _ => {}
        }
    }

    /// Ends this life: a clean close, a power cut, or both at once.
    async fn end_life(&mut self) -> Check {
        let storage = self.storage();
        let is_crash = self.world.disk().power_is_off() || self.rng.random_range(0..4) > 0;
        if is_crash && !self.world.disk().power_is_off() {
            self.world.disk().cut_power_after(self.rng.random_range(0..6));
        }
        let closed = storage.close().await;
        self.take_results()?;
        if !self.pending.is_empty() {
            return Err(format!("adds were never answered: {:?}", self.pending));
        }
        self.storage = None;
        let has_power = !self.world.disk().power_is_off();
        if let (Err(error), true, false, None) = (closed, has_power, self.may_fail, self.quota()) {
            return Err(format!("close: {error}"));
        }
        if self.rng.random_range(0..3) == 0 {
            // Only the process was killed: what it wrote is all there, for now.
            self.heal();
        } else {
            self.lose_power();
        }
        Ok(())
    }

    fn quota(&self) -> Option<()> {
        // With room for anything a test writes there is no quota.
        let free = self.world.env().disk.available_bytes(Path::new("/")).ok()?;
        (free < 1 << 30).then_some(())
    }

    fn heal(&mut self) {
        self.world.disk().heal();
        self.may_fail = false;
    }

    fn lose_power(&mut self) {
        self.world.lose_power();
        self.heal();
    }

    /// Opens, sometimes with power cuts on the way.
    async fn reopen(&mut self) -> Check {
        self.verify()?;
        while self.rng.random_bool(0.3) {
            self.world.disk().cut_power_after(self.rng.random_range(0..30));
            let opened = Storage::open(self.world.env(), self.options.clone()).await;
            match opened {
                Ok(storage) => {
                    // The cut may come while it closes.
                    _ = storage.close().await;
                }
                Err(error) if !self.world.disk().power_is_off() => return Err(error.to_string()),
                Err(_) => {}
            }
            self.lose_power();
        }
        let opened = Storage::open(self.world.env(), self.options.clone()).await;
        self.storage = Some(opened.map_err(|error| format!("open: {error}"))?);
        Ok(())
    }

    /// A stopped storage has no damage, and holds all that was confirmed.
    fn verify(&self) -> Check {
        let disk = self.world.env().disk;
        let (journal, ledgers) = (&self.options.journal_dir, &self.options.ledgers_dir);
        if !disk.exists(&ledgers.join("cookie")).map_err(|error| error.to_string())? {
            return Ok(());
        }
        let verified = verify(&disk, journal, ledgers, &mut |ledger_id, entry_id, stored| {
            let named = (&stored[..8], &stored[8..16]);
            let expected = (&ledger_id.0.to_be_bytes()[..], &entry_id.0.to_be_bytes()[..]);
            if named == expected { Ok(()) } else { Err("another entry".to_owned()) }
        });
        let verified = verified.map_err(|error| format!("verify: {error}"))?;
        if let Some(damage) = verified.damages.first() {
            return Err(format!("verify: {damage}"));
        }
        for ledger_id in self.model.ledgers.keys() {
            for entry_id in self.model.certain(*ledger_id) {
                let held = verified.ledgers.get(ledger_id);
                if !held.is_some_and(|held| held.holds(entry_id)) {
                    return Err(format!("verify: entry {ledger_id}:{entry_id} is not held"));
                }
            }
        }
        Ok(())
    }

    /// A copy of a snapshot has no damage, and holds all that was confirmed before.
    async fn snapshot(&mut self) -> Check {
        let ledgers: Vec<LedgerId> = self.model.ledgers.keys().copied().collect();
        let certain: Vec<(LedgerId, EntryId)> = ledgers
            .iter()
            .flat_map(|id| self.model.certain(*id).into_iter().map(|entry_id| (*id, entry_id)))
            .collect();
        // A full disk, a failed sync and a power cut may come between.
        let Ok(snapshot) = self.storage().snapshot(|| {}).await else { return Ok(()) };
        let (disk, dir) = (self.world.env().disk, Path::new("/copy"));
        let written = snapshot.write_to(&disk, dir, dir, &mut |_| true);
        if written.is_ok() && !self.world.disk().power_is_off() {
            let verified = verify(&disk, dir, dir, &mut |_, _, _| Ok(()));
            let verified = verified.map_err(|error| format!("copy: {error}"))?;
            if let Some(damage) = verified.damages.first() {
                return Err(format!("copy: {damage}"));
            }
            for (ledger_id, entry_id) in certain {
                let held = verified.ledgers.get(&ledger_id);
                if !held.is_some_and(|held| held.holds(entry_id)) {
                    return Err(format!("entry {ledger_id}:{entry_id} is not in the copy"));
                }
            }
        }
        for path in disk.list(dir).unwrap_or_default() {
            _ = disk.remove_file(&path); // After a power cut it stays for the next.
        }
        Ok(())
    }

    async fn op(&mut self) -> Check {
        match self.rng.random_range(0..100) {
            0..60 => self.add(),
            60..76 => self.read().await?,
            76..80 => self.fence().await?,
            80..84 => self.delete().await?,
            84..88 => _ = self.storage().flush().await,
            88..92 => _ = self.storage().collect().await,
            92..95 => tokio::time::sleep(Duration::from_secs(self.rng.random_range(1..4))).await,
            95..97 => self.refill().await?,
            97 => self.snapshot().await?,
            _ => self.settle().await?,
        }
        for _ in 0..self.rng.random_range(0..6) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// An old ledger, or the next.
    fn any_ledger(&mut self) -> LedgerId {
        if self.rng.random_bool(0.05) {
            self.next_ledger += 1;
        }
        LedgerId(self.rng.random_range((self.next_ledger - 6).max(0)..self.next_ledger))
    }

    fn add(&mut self) {
        let batch = self.next_batch;
        self.next_batch += 1;
        let mut entries: Vec<AddEntry> = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let ledger_id = self.any_ledger();
            let last = self.model.tried(ledger_id).last().map_or(-1, |last| last.0);
            let next = match self.rng.random_range(0..20) {
                0 => self.rng.random_range(0..=last.max(0)),
                1 => last + 3,
                _ => last + 1,
            };
            for entry_id in (next..next + self.rng.random_range(1..6)).map(EntryId) {
                if self.pending.contains_key(&(batch, ledger_id, entry_id)) {
                    continue;
                }
                entries.push(self.entry(batch, ledger_id, entry_id));
            }
        }
        let sink = Sink { batch, results: Arc::clone(&self.results) };
        self.storage().add(entries, Arc::new(sink));
    }

    fn entry(&mut self, batch: u64, ledger_id: LedgerId, entry_id: EntryId) -> AddEntry {
        let longest = if self.rng.random_bool(0.02) { 20_000 } else { 900 };
        let length = self.rng.random_range(0..longest);
        let mut body = batch.to_le_bytes().to_vec();
        body.resize(length + 8, u8::try_from(batch % 251).unwrap());
        let mut head = [0; 36];
        head[..8].copy_from_slice(&ledger_id.0.to_be_bytes());
        head[8..16].copy_from_slice(&entry_id.0.to_be_bytes());
        head[16..24].copy_from_slice(&(entry_id.0 - 1).to_be_bytes());
        let is_recovery = self.rng.random_bool(0.1);
        let stored = Bytes::from([&head[..], &body].concat());
        let attempt = self.model.on_add(ledger_id, entry_id, stored);
        let ledger = &self.model.ledgers[&ledger_id];
        let must_be_refused =
            ledger.deletion == Asked::Yes || ledger.fence == Asked::Yes && !is_recovery;
        self.pending.insert(
            (batch, ledger_id, entry_id),
            Pending { attempt, is_recovery, must_be_refused },
        );
        let sum = Sum::of(&head).append(&body);
        let (mut body, may_use_reserve) = (Bytes::from(body), is_recovery);
        let front = body.split_to(length % 8);
        AddEntry { ledger_id, entry_id, head, front, body, sum, is_recovery, may_use_reserve }
    }

    fn take_results(&mut self) -> Check {
        for (batch, (ledger_id, entry_id, result)) in
            std::mem::take(&mut *self.results.lock().unwrap())
        {
            let Some(pending) = self.pending.remove(&(batch, ledger_id, entry_id)) else {
                return Err(format!("{ledger_id}:{entry_id} was answered twice"));
            };
            let Pending { attempt, must_be_refused, .. } = pending;
            self.model.on_added(ledger_id, entry_id, attempt, must_be_refused, &result)?;
        }
        Ok(())
    }

    /// Waits until all adds are answered: at once, or when a flush that found no space is tried again.
    async fn settle(&mut self) -> Check {
        for round in 1..=30_000 {
            self.take_results()?;
            if self.pending.is_empty() {
                return Ok(());
            }
            tokio::task::yield_now().await;
            if round % 10_000 == 0 {
                tokio::time::sleep(self.options.tick).await;
            }
        }
        Err(format!("{} adds are not answered", self.pending.len()))
    }

    /// After a full disk there is space again, and writes come back by themselves.
    async fn refill(&mut self) -> Check {
        self.settle().await?;
        if self.may_fail || self.quota().is_none() || self.storage().failed().borrow().is_some() {
            return Ok(());
        }
        self.world.disk().set_quota(None);
        tokio::time::sleep(Duration::from_secs(4)).await;
        if let Some(reason) = self.storage().read_only() {
            return Err(format!("there is space, but {reason}"));
        }
        Ok(())
    }

    fn is_broken(&self) -> bool {
        self.world.disk().power_is_off() || self.storage().failed().borrow().is_some()
    }

    async fn read(&mut self) -> Check {
        let ledger_id = self.any_ledger();
        let last = self.model.tried(ledger_id).last().map_or(0, |last| last.0);
        let first = EntryId(self.rng.random_range(0..=last + 1));
        let last = EntryId(first.0 + self.rng.random_range(0..20));
        self.read_range(ledger_id, first, last).await.map(drop)
    }

    /// Reads and compares; returns the last entry that was found.
    async fn read_range(
        &mut self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
    ) -> Result<Option<EntryId>, String> {
        let bytes_max = self.rng.random_range(0..6000);
        self.take_results()?;
        // What is confirmed while it reads, it need not see: results are taken after the comparison.
        match self.storage().read(ledger_id, first, last, bytes_max).await {
            Ok(found) => {
                self.model.on_read(ledger_id, first, last, &found)?;
                Ok(found.last().map(|entry| entry.entry_id))
            }
            Err(_) if self.is_broken() => Ok(None),
            Err(error) => self.model.on_unread(ledger_id, first, &error).map(|()| None),
        }
    }

    async fn fence(&mut self) -> Check {
        let ledger_id = self.any_ledger();
        let ledger = self.model.ledgers.entry(ledger_id).or_default();
        if ledger.fence == Asked::No {
            ledger.fence = Asked::Maybe;
        }
        self.take_results()?;
        let (storage, next_batch) = (self.storage(), self.next_batch);
        let fence = storage.fence(ledger_id); // It is in the queue now.
        self.add_sometimes();
        match fence.await {
            Ok(answer) => {
                self.expect_refusal(ledger_id, next_batch, false);
                self.model.on_fenced(ledger_id, answer)
            }
            Err(_) if self.is_broken() || self.quota().is_some() => Ok(()),
            Err(error) => match self.model.ledgers[&ledger_id].deletion {
                Asked::No => Err(format!("fence of {ledger_id}: {error}")),
                _ => Ok(()),
            },
        }
    }

    async fn delete(&mut self) -> Check {
        let ledger_id = self.any_ledger();
        let ledger = self.model.ledgers.entry(ledger_id).or_default();
        if ledger.deletion == Asked::No {
            ledger.deletion = Asked::Maybe;
        }
        let (storage, next_batch) = (self.storage(), self.next_batch);
        let deletion = storage.delete(ledger_id);
        self.add_sometimes();
        let answer = deletion.await;
        if answer.is_ok() {
            self.expect_refusal(ledger_id, next_batch, true);
        }
        self.take_results()?;
        let ledger = self.model.ledgers.entry(ledger_id).or_default();
        match answer {
            Ok(()) => ledger.deletion = Asked::Yes,
            Err(_) if self.is_broken() || self.quota().is_some() => {}
            Err(error) => return Err(format!("deletion of {ledger_id}: {error}")),
        }
        Ok(())
    }

    fn add_sometimes(&mut self) {
        if self.rng.random_bool(0.5) {
            self.add();
        }
    }

    /// Adds of this batch or later came after a fence or deletion that succeeded.
    fn expect_refusal(&mut self, ledger_id: LedgerId, next_batch: u64, of_recovery: bool) {
        for ((batch, ledger, _), pending) in &mut self.pending {
            if *batch >= next_batch && *ledger == ledger_id {
                pending.must_be_refused |= of_recovery || !pending.is_recovery;
            }
        }
    }

    /// Compares everything.
    async fn compare(&mut self) -> Check {
        let ledgers: Vec<LedgerId> = self.model.ledgers.keys().copied().collect();
        for ledger_id in ledgers {
            for first in self.model.tried(ledger_id) {
                self.read_range(ledger_id, first, first).await?;
            }
            let certain = self.model.certain(ledger_id);
            let (Some(first), Some(last)) = (certain.first(), certain.last()) else { continue };
            let mut next = *first;
            while next <= *last {
                match self.read_range(ledger_id, next, EntryId(i64::MAX)).await? {
                    Some(found) => next = EntryId(found.0 + 1),
                    None => match certain.iter().find(|id| **id > next) {
                        Some(after) => next = *after,
                        None => break,
                    },
                }
            }
        }
        Ok(())
    }
}
