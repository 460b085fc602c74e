//! Micro benchmarks: `cargo bench -p geminga-subscription`. Each round is of 1,000 entries.

use divan::{Bencher, counter::ItemsCount};
use geminga_subscription::{
    Ack, AckState, Action, ConsumerInfo, ConsumerKey, Entry, Kind, Options, Subscription,
};
use geminga_types::Ordinal;

const ROUND: u64 = 1_000;
/// Acks are in the order of a permutation of a round.
const STRIDE: u64 = 7;

fn main() {
    divan::main();
}

/// A topic that grows by a round at a time, and its consumers, who take all that they get.
struct Bench {
    subscription: Subscription<u64>,
    consumers: Vec<ConsumerKey>,
    end: u64,
}

impl Bench {
    fn new(kind: Kind, consumers: u64) -> Self {
        let none = AckState::before(Ordinal(0));
        let mut subscription = Subscription::new(Options::default(), none, Ordinal(0), Ordinal(0));
        let consumers: Vec<_> = (0..consumers).map(ConsumerKey).collect();
        for &key in &consumers {
            let info =
                ConsumerInfo { name: "consumer".into(), priority: 0, kind, key_shared: None };
            subscription.attach(key, info).expect("the first of its kind");
        }
        Self { subscription, consumers, end: 0 }
    }

    /// Publishes a round and delivers it; what was delivered.
    fn round(&mut self) -> u64 {
        let permits = u32::try_from(ROUND).expect("a small number");
        self.consumers.iter().for_each(|key| self.subscription.flow(*key, permits));
        self.end += ROUND;
        self.subscription.extend(Ordinal(self.end));
        let mut delivered = 0;
        while let Some(action) = self.subscription.next_action(0) {
            match action {
                Action::Read { id, ranges, .. } => {
                    let read = ranges.into_iter().flat_map(|range| range.start.0..range.end.0);
                    self.subscription.on_read(id, Ok(read.map(entry).collect()));
                }
                Action::Deliver { deliveries, .. } => delivered += deliveries.len() as u64,
                Action::ActiveChanged { .. }
                | Action::Acked(_)
                | Action::LoadDelayed { .. }
                | Action::DeadLetters { .. } => {}
            }
        }
        delivered
    }

    fn ack(&mut self, entries: impl Iterator<Item = u64>) {
        for entry in entries {
            let ack = Ack { ordinal: Ordinal(entry), ack_set: None, batch_size: None };
            self.subscription.ack_individual(None, &[ack]);
        }
    }
}

fn entry(ordinal: u64) -> Entry<u64> {
    Entry {
        ordinal: Ordinal(ordinal),
        messages: 1,
        bytes: 1_024,
        key_hash: u32::try_from(ordinal % 65_536).expect("a slot"),
        deliver_at: None,
        published_at: 0,
        visible: true,
        chunk: None,
        payload: ordinal,
    }
}

/// Publish, deliver, and ack each entry in order.
#[divan::bench(args = [(Kind::Exclusive, 1), (Kind::Shared, 1), (Kind::Shared, 20), (Kind::KeyShared, 20)])]
fn dispatch(bencher: Bencher<'_, '_>, (kind, consumers): (Kind, u64)) {
    let mut bench = Bench::new(kind, consumers);
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        assert_eq!(bench.round(), ROUND);
        bench.ack(bench.end - ROUND..bench.end);
    });
}

/// The acks alone, in an order that leaves holes.
#[divan::bench]
fn ack_out_of_order(bencher: Bencher<'_, '_>) {
    let mut bench = Bench::new(Kind::Shared, 1);
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        let first = bench.end;
        bench.end += ROUND;
        bench.subscription.extend(Ordinal(bench.end));
        bench.ack((0..ROUND).map(|at| first + at * STRIDE % ROUND));
    });
}
