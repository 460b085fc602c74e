//! Snapshots of cursors that are collected in parts.

use std::{collections::BTreeMap, time::Duration};

use geminga_broker::{
    AckId, AckKind, AckRequest, Consumer, OutMessage, Outgoing, SubscribeRequest, SubscriptionKind,
};
use geminga_env::sim::Seeds;
use geminga_types::Position;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    client::{Client, publish_with},
    world::World,
};

const ENTRIES: usize = 60;
/// Messages in each entry, and their bits.
const BATCH: u32 = 3;
const ALL: i64 = 7;

async fn shared(client: &Client) -> Consumer {
    let kind = SubscriptionKind::Shared;
    let request = SubscribeRequest { kind, ..client.subscribe_request(1, "sub") };
    client.try_subscribe("t", request).await.unwrap()
}

async fn publish_batches(client: &mut Client) {
    let producer = client.produce("t").await;
    for number in (0..).take(ENTRIES) {
        let batch = |metadata: &mut geminga_wire::proto::MessageMetadata| {
            metadata.num_messages_in_batch = Some(BATCH.cast_signed());
        };
        let mut publish = publish_with(number, batch);
        publish.messages = BATCH;
        producer.publish(vec![publish]).await.unwrap();
        assert!(matches!(client.next().await, Outgoing::Receipts { .. }));
    }
}

fn left(message: &OutMessage) -> i64 {
    message.ack_set.as_ref().map_or(ALL, |set| set.first().map_or(0, |word| word & ALL))
}

/// What was acked of each entry, as bits: as far as it was answered.
#[derive(Default)]
struct Acked {
    sent: BTreeMap<u64, Vec<(Position, i64)>>,
    confirmed: BTreeMap<Position, i64>,
}

impl Acked {
    async fn take_answers(&mut self, client: &mut Client) {
        while let Some(outgoing) = client.next_now().await {
            let Outgoing::AckDone { request_id, result, .. } = outgoing else { continue };
            result.unwrap();
            for (position, bits) in self.sent.remove(&request_id).unwrap() {
                *self.confirmed.entry(position).or_default() |= bits;
            }
        }
    }
}

async fn play(seed: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let interval = Duration::from_millis(50 * rng.random_range(0..2));
    let options = |options: &mut geminga_broker::Options| {
        options.ack_flush_interval = interval;
        options.managed_ledger.cursor_roll_entries = 2;
        options.managed_ledger.max_entries_per_ledger = 1_000;
    };
    let mut world = World::with(options).await;
    let mut acked = Acked::default();
    let mut snapshots = 0;
    publish_batches(&mut world.client()).await;
    for _ in 0..3 {
        let mut client = world.client();
        let consumer = shared(&client).await;
        consumer.flow(10 * BATCH * 1_000).await;
        let messages = client.all_messages().await;
        for message in &messages {
            let confirmed = acked.confirmed.get(&message.position).copied().unwrap_or(0);
            assert_eq!(left(message) & confirmed, 0, "seed {seed}: {message:?} was acked");
        }
        for request in 0..rng.random_range(1..60) {
            let mut ids = Vec::new();
            let mut sent = Vec::new();
            for _ in 0..rng.random_range(1..4) {
                let Some(message) = messages.get(rng.random_range(0..ENTRIES)) else {
                    continue;
                };
                let bits = if rng.random_bool(0.7) { rng.random_range(1..=ALL) } else { ALL };
                let ack_set = (bits != ALL).then(|| [ALL & !bits].into());
                let position = message.position;
                ids.push(AckId { position, ack_set, batch_size: Some(BATCH) });
                sent.push((position, bits));
            }
            // One that nobody waits for is stored later, and is promised nothing.
            let request_id = rng.random_bool(0.3).then_some(request);
            if request_id.is_some() {
                acked.sent.insert(request, sent);
            }
            consumer.ack(AckRequest { kind: AckKind::Individual, ids, request_id }).await;
            for _ in 0..rng.random_range(0..6) {
                tokio::task::yield_now().await;
            }
            if rng.random_bool(0.2) {
                acked.take_answers(&mut client).await;
            }
        }
        snapshots += world.bookie.ledgers().len();
        world = world.crash(options).await;
        acked.sent.clear();
    }
    snapshots
}

/// Goal: whatever is acked while a snapshot is collected, and wherever the broker stops, what was answered is
/// never delivered again.
#[tokio::test(start_paused = true)]
async fn acks_while_a_snapshot_is_collected_are_kept() {
    let seeds = Seeds::of("broker-snapshots", 100);
    let mut ledgers = 0;
    for seed in seeds.range() {
        ledgers += play(seed).await;
    }
    seeds.passed(format_args!("{ledgers} ledgers"));
}
