//! Random lives of a topic with deduplication: sends, repeated sends, adds that are slow or fail, crashes
//! before and behind each of them, unloads, names that begin again, time that passes, so much that names
//! are forgotten; and, in some, switches on and off at any moment.
//!
//! Goal: every message is stored, and those of a producer in the order of their sends; exactly once, if
//! it is judged all the time.
//! Method: each sender keeps what has no receipt and sends it again, in order, whenever it has to open
//! its producer anew; in the end all is read. Messages are told apart by their publish time, since a
//! sender that begins again begins with the sequence id that it is told.

use std::{collections::VecDeque, time::Duration};

use geminga_broker::{Options, Outgoing, Producer, admin::Policies};
use geminga_env::sim::Seeds;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    bookie::Adds,
    client::Client,
    deduplicating::{DLQ, kept, message_at, open, stored_times},
    world::{PATIENCE, World, topic},
};

/// A seed takes a third of a second where nothing is optimised.
const SEEDS: u64 = 12;
const STEPS: usize = 120;

struct Sender {
    name: &'static str,
    has_sources: bool,
    client: Client,
    producer: Option<Producer>,
    /// Whether its next producer is a new one.
    begins: bool,
    /// The first number of its producer, and the sequence id of that.
    first: (u64, u64),
    /// The number of the next message.
    next: u64,
    /// Numbers that were sent, or are to be, without a receipt yet.
    unanswered: VecDeque<u64>,
}

impl Sender {
    const fn sequence_id(&self, number: u64) -> u64 {
        number - self.first.0 + self.first.1
    }

    fn publish(&self, number: u64) -> geminga_broker::Publish {
        // Sources do not grow.
        let source = self.has_sources.then(|| i64::try_from(number ^ 0b101).unwrap());
        let id = self.sequence_id(number);
        message_at(number, self.name, (id, id), source)
    }

    /// Opens the producer if it is not open, and sends again what has no receipt.
    async fn reopen(&mut self) {
        if self.producer.is_some() {
            return;
        }
        let opened = tokio::time::timeout(PATIENCE, open(&self.client, self.name)).await;
        let Ok(Ok(producer)) = opened else { return };
        if std::mem::take(&mut self.begins) {
            self.first.1 = u64::try_from(producer.last_sequence_id() + 1).unwrap();
        }
        let again = self.unanswered.iter().map(|number| self.publish(*number)).collect();
        if producer.publish(again).await.is_ok() {
            self.producer = Some(producer);
        }
    }

    async fn send(&mut self, numbers: Vec<u64>) {
        self.reopen().await;
        let batch = numbers.iter().map(|number| self.publish(*number)).collect();
        self.unanswered.extend(&numbers);
        if let Some(producer) = &self.producer {
            let is_sent = tokio::time::timeout(PATIENCE, producer.publish(batch)).await;
            if !matches!(is_sent, Ok(Ok(()))) {
                self.producer = None;
            }
        }
    }

    /// A sender that has all its receipts goes, and comes back as another.
    async fn begin_again(&mut self) {
        if self.unanswered.is_empty()
            && let Some(producer) = self.producer.take()
        {
            producer.close().await;
            self.begin();
        }
    }

    /// Its next producer knows nothing of those before.
    const fn begin(&mut self) {
        (self.begins, self.first.0) = (true, self.next);
    }

    /// Takes what has come. Where not all is judged there may be more receipts than messages.
    async fn settle(&mut self, seed: u64, is_judged: bool) {
        while let Some(outgoing) = self.client.next_now().await {
            match outgoing {
                Outgoing::Receipts { receipts, .. } if self.producer.is_some() => {
                    for receipt in receipts {
                        let expected = self.unanswered.front().map(|it| self.sequence_id(*it));
                        let is_expected = expected == Some(receipt.sequence_id);
                        assert!(is_expected || !is_judged, "seed {seed} {} {receipt:?}", self.name);
                        if is_expected {
                            self.unanswered.pop_front();
                        }
                    }
                }
                // A late one of a producer that is closed: it is sent again.
                Outgoing::Receipts { .. } => {}
                Outgoing::SendFailed { .. } | Outgoing::ProducerClosed { .. } => {
                    self.producer = None;
                }
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_message_is_stored_exactly_once_and_in_order() {
    let seeds = Seeds::of("broker-deduplicating", SEEDS);
    for seed in seeds.range() {
        life(seed, false).await;
    }
    seeds.passed("");
}

#[tokio::test(start_paused = true)]
async fn no_message_is_lost_however_it_is_switched() {
    let seeds = Seeds::of("broker-deduplication-switches", SEEDS);
    for seed in seeds.range() {
        life(seed, true).await;
    }
    seeds.passed("");
}

fn senders(world: &World) -> Vec<Sender> {
    let sender = |(name, has_sources)| Sender {
        name,
        has_sources,
        client: world.client(),
        producer: None,
        begins: true,
        first: (0, 0),
        next: 0,
        unanswered: VecDeque::new(),
    };
    [("a", false), ("b", false), (DLQ, true)].map(sender).into()
}

async fn switch(world: &World, is_enabled: bool) {
    let change = |policies: &mut Policies| {
        policies.deduplication_enabled = Some(is_enabled);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

async fn life(seed: u64, is_switched: bool) {
    let mut rng = StdRng::seed_from_u64(seed);
    let snapshot_entries = rng.random_range(1..20);
    let options = move |options: &mut Options| {
        kept(options);
        options.deduplication.is_enabled = true;
        options.deduplication.snapshot_entries = snapshot_entries;
        options.deduplication.producer_inactivity = Duration::from_secs(3_600);
        options.managed_ledger.cursor_roll_entries = 3;
    };
    let mut world = World::with(options).await;
    let mut senders = senders(&world);
    for _ in 0..STEPS {
        let at = rng.random_range(0..senders.len());
        let is_idle = senders.iter().all(|sender| sender.unanswered.is_empty());
        let sender = &mut senders[at];
        match rng.random_range(0..110) {
            0..50 => {
                let count = rng.random_range(1..4);
                let numbers = (sender.next..sender.next + count).collect();
                sender.next += count;
                sender.send(numbers).await;
            }
            50..60 if sender.first.0 < sender.next && (!is_switched || sender.has_sources) => {
                let first = sender.first.0.max(sender.next.saturating_sub(6));
                let again = rng.random_range(first..sender.next);
                sender.send(vec![again]).await;
            }
            60..65 => world.bookie.set_adds(Adds::Held),
            65..75 => world.bookie.release(),
            75..85 => {
                if 0 < world.bookie.held() {
                    world.bookie.release_one();
                }
            }
            85..87 => {
                world.bookie.set_adds(Adds::Failed);
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..5))).await;
                world.bookie.release();
            }
            87..90 => _ = world.broker.unload_topic(&topic("t")).await,
            90..93 => tokio::time::sleep(Duration::from_secs(130)).await,
            93..97 => {
                // Some of what is held is stored before anybody hears of it.
                for _ in 0..rng.random_range(0..=world.bookie.held()) {
                    world.bookie.release_one();
                }
                world = world.crash(options).await;
                world.bookie.set_adds(Adds::Stored);
                for sender in &mut senders {
                    (sender.client, sender.producer) = (world.client(), None);
                }
            }
            97..101 => sender.begin_again().await,
            101 if is_idle => {
                tokio::time::sleep(Duration::from_secs(7_300)).await;
                // Names that no producer has are forgotten: what they had sent is not known any more.
                senders.iter_mut().filter(|it| it.producer.is_none()).for_each(Sender::begin);
            }
            102..107 if is_switched => switch(&world, rng.random_bool(0.5)).await,
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        for sender in &mut senders {
            sender.settle(seed, !is_switched || sender.has_sources).await;
        }
    }
    finish(&world, &mut senders, (seed, is_switched)).await;
}

/// Has all sent, and looks at what is stored.
async fn finish(world: &World, senders: &mut [Sender], (seed, is_switched): (u64, bool)) {
    world.bookie.release();
    for sender in &mut *senders {
        for _ in 0..100 {
            sender.settle(seed, !is_switched || sender.has_sources).await;
            if sender.unanswered.is_empty() {
                break;
            }
            sender.reopen().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(sender.unanswered.is_empty(), "seed {seed}: {} waits for ever", sender.name);
    }
    let stored = stored_times(world).await;
    for sender in senders {
        let of_sender = stored.iter().filter(|(name, _)| name == sender.name);
        let mut numbers: Vec<u64> = of_sender.map(|(_, number)| *number).collect();
        if is_switched && !sender.has_sources {
            let mut seen = std::collections::BTreeSet::new();
            numbers.retain(|number| seen.insert(*number));
        }
        let expected: Vec<u64> = (0..sender.next).collect();
        assert_eq!(numbers, expected, "seed {seed} {}", sender.name);
    }
}
