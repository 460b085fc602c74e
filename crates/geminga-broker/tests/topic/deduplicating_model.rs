//! Random lives of a topic with deduplication: sends, repeated sends, adds that are slow or fail, crashes
//! before and behind each of them, unloads, and time that passes.
//!
//! Goal: every message is stored exactly once, and those of a producer in the order of their sends.
//! Method: each sender keeps what has no receipt and sends it again, in order, whenever it has to open
//! its producer anew; in the end all is read.

use std::{collections::VecDeque, time::Duration};

use geminga_broker::{Options, Outgoing, Producer};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    bookie::Adds,
    client::Client,
    deduplicating::{DLQ, kept, message, open, stored},
    world::{PATIENCE, World, topic},
};

const SEEDS: u64 = 80;
const STEPS: usize = 120;

struct Sender {
    name: &'static str,
    has_sources: bool,
    client: Client,
    producer: Option<Producer>,
    /// The number of the next message.
    next: u64,
    /// Numbers that were sent, or are to be, without a receipt yet.
    unanswered: VecDeque<u64>,
}

impl Sender {
    fn publish(&self, number: u64) -> geminga_broker::Publish {
        // Sources do not grow.
        let source = self.has_sources.then(|| i64::try_from(number ^ 0b101).unwrap());
        message(self.name, number, number, source)
    }

    /// Opens the producer if it is not open, and sends again what has no receipt.
    async fn reopen(&mut self) {
        if self.producer.is_some() {
            return;
        }
        let opened = tokio::time::timeout(PATIENCE, open(&self.client, self.name)).await;
        let Ok(Ok(producer)) = opened else { return };
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

    /// Takes what has come.
    async fn settle(&mut self, seed: u64) {
        while let Some(outgoing) = self.client.next_now().await {
            match outgoing {
                Outgoing::Receipts { receipts, .. } if self.producer.is_some() => {
                    for receipt in receipts {
                        let expected = self.unanswered.pop_front();
                        assert_eq!(
                            expected,
                            Some(receipt.sequence_id),
                            "seed {seed} {}",
                            self.name
                        );
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
    for seed in 0..SEEDS {
        life(seed).await;
    }
}

fn senders(world: &World) -> Vec<Sender> {
    let sender = |(name, has_sources)| Sender {
        name,
        has_sources,
        client: world.client(),
        producer: None,
        next: 0,
        unanswered: VecDeque::new(),
    };
    [("a", false), ("b", false), (DLQ, true)].map(sender).into()
}

async fn life(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let snapshot_entries = rng.random_range(1..20);
    let options = move |options: &mut Options| {
        kept(options);
        options.deduplication.is_enabled = true;
        options.deduplication.snapshot_entries = snapshot_entries;
        options.managed_ledger.cursor_roll_entries = 3;
    };
    let mut world = World::with(options).await;
    let mut senders = senders(&world);
    for _ in 0..STEPS {
        let sender = rng.random_range(0..senders.len());
        let sender = &mut senders[sender];
        match rng.random_range(0..100) {
            0..50 => {
                let count = rng.random_range(1..4);
                let numbers = (sender.next..sender.next + count).collect();
                sender.next += count;
                sender.send(numbers).await;
            }
            50..60 if 0 < sender.next => {
                let again = rng.random_range(sender.next.saturating_sub(6)..sender.next);
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
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        for sender in &mut senders {
            sender.settle(seed).await;
        }
    }
    finish(&world, &mut senders, seed).await;
}

/// Has all sent, and looks at what is stored.
async fn finish(world: &World, senders: &mut [Sender], seed: u64) {
    world.bookie.release();
    for sender in &mut *senders {
        for _ in 0..100 {
            sender.settle(seed).await;
            if sender.unanswered.is_empty() {
                break;
            }
            sender.reopen().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(sender.unanswered.is_empty(), "seed {seed}: {} waits for ever", sender.name);
    }
    let stored = stored(world).await;
    for sender in senders {
        let of_sender = stored.iter().filter(|(name, ..)| name == sender.name);
        let numbers: Vec<u64> = of_sender.map(|(_, number, _)| *number).collect();
        let expected: Vec<u64> = (0..sender.next).collect();
        assert_eq!(numbers, expected, "seed {seed} {}", sender.name);
    }
}
