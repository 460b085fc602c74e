//! What the model knows, and how the machine's actions are compared with it.

use std::{collections::BTreeMap, ops::Range};

use geminga_subscription::{
    AckChange, AckState, Action, Allowance, AutoSplit, Chunk, ConsumerInfo, ConsumerKey,
    DeadLetterOptions, Delivery, KeySharedMode, KeySharedOptions, Kind, Options, ReadId, Scarce,
    Subscription,
};
use geminga_types::Ordinal;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::dead::Dead;

/// A published entry.
pub(crate) struct Published {
    pub(crate) messages: u32,
    pub(crate) slot: u32,
    pub(crate) deliver_at: Option<u64>,
    pub(crate) published_at: u64,
    pub(crate) visible: bool,
    pub(crate) chunk: Option<Chunk>,
    /// One bit for each message that is not acked.
    pub(crate) remaining: u128,
    pub(crate) count: u32,
    /// The part of it that survives a crash.
    pub(crate) flushed_count: u32,
    /// Where it is, on Shared and `Key_Shared`.
    pub(crate) at: Option<ConsumerKey>,
    /// Whether the machine has its payload.
    pub(crate) held: Held,
}

/// Whether an entry was handed to the machine since it began anew, and neither delivered nor set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    No,
    /// It came behind a hole, where the machine may drop it.
    Maybe,
    Yes,
}

/// An attached consumer.
pub(crate) struct Consumer {
    pub(crate) name: String,
    pub(crate) priority: i32,
    pub(crate) permits: i64,
    pub(crate) is_writable: bool,
    pub(crate) is_blocked: bool,
    pub(crate) told_active: Option<bool>,
    /// The slots it has, if they are sticky.
    pub(crate) slots: Option<Range<u32>>,
}

/// A load that is out.
pub(crate) struct Load {
    pub(crate) id: ReadId,
    pub(crate) after: (u64, Ordinal),
    pub(crate) entries_max: usize,
    /// What the index covered when it was asked.
    pub(crate) indexed: Vec<Range<u64>>,
}

/// A read that is out.
pub(crate) struct Out {
    pub(crate) id: ReadId,
    pub(crate) ranges: Vec<Range<Ordinal>>,
    pub(crate) entries_max: usize,
    pub(crate) is_wanted: bool,
    pub(crate) park_from: Option<u64>,
    /// What the index covered when it was asked.
    pub(crate) indexed: Vec<Range<u64>>,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) random: StdRng,
    pub(crate) kind: Kind,
    pub(crate) options: Options,
    pub(crate) is_sticky: bool,
    /// Of the entries, how many have a time.
    pub(crate) delayed_share: f64,
    /// Of the entries, how many are chunks, of which messages they are now, and how many there were.
    pub(crate) chunk_share: f64,
    pub(crate) chunked: Vec<u32>,
    pub(crate) messages_in_chunks: u32,
    pub(crate) keeps_order: bool,
    pub(crate) sub: Subscription<u64>,
    pub(crate) now: u64,
    pub(crate) entries: Vec<Published>,
    pub(crate) first: u64,
    pub(crate) consumers: BTreeMap<ConsumerKey, Consumer>,
    pub(crate) next_key: u64,
    pub(crate) reads: Vec<Out>,
    pub(crate) loads: Vec<Load>,
    /// Parts of the topic of which the index has every delayed entry.
    pub(crate) indexed: Vec<Range<u64>>,
    /// A load failed; until then at most nothing is loaded.
    pub(crate) load_again_at: Option<u64>,
    /// Exclusive and Failover: everything before was delivered since the last rewind, or is acked.
    pub(crate) cursor: u64,
    /// Acked by the machine's own doing, not yet said.
    pub(crate) unsaid: Vec<u64>,
    pub(crate) is_blocked: bool,
    /// The same, since too much is unacked over all subscriptions.
    pub(crate) is_blocked_by_all: bool,
    pub(crate) delivered: u64,
    /// A read failed; until then at most nothing is read.
    pub(crate) retry_at: Option<u64>,
    pub(crate) scarce: Scarce,
    /// Failover: who has what was delivered although another is active, and until when at most.
    pub(crate) hand_over: Option<(ConsumerKey, Option<u64>)>,
    /// Messages in each tenth of a second, what is left of them, and when there are new ones.
    pub(crate) rate: Option<u64>,
    pub(crate) tokens: u64,
    pub(crate) refill_at: u64,
    /// Redelivery counts that are not yet flushed.
    pub(crate) unflushed: Vec<(Ordinal, u32)>,
    pub(crate) dead: Dead,
    /// Messages that were stored as dead letters.
    pub(crate) dead_stored: u64,
}

impl World {
    pub(crate) fn new(kind: Kind, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let mut world = Self::empty(kind, seed, random);
        world.become_of_kind(kind);
        world
    }

    /// With nobody attached, the next consumer decides the type.
    pub(crate) fn become_of_kind(&mut self, kind: Kind) {
        assert!(self.consumers.is_empty(), "seed {}", self.seed);
        self.kind = kind;
        self.is_sticky = kind == Kind::KeyShared && self.random.random_bool(0.5);
        self.keeps_order = kind == Kind::KeyShared && self.random.random_bool(0.8);
    }

    fn empty(kind: Kind, seed: u64, mut random: StdRng) -> Self {
        let options = Options {
            partition: random.random_bool(0.5).then(|| random.random_range(0..4)),
            read_entries_max: random.random_range(1..12),
            round_robin_entries_max: random.random_range(1..5),
            consumer_unacked_messages_max: random.random_range(0..20),
            unacked_messages_max: if random.random_bool(0.5) {
                0
            } else {
                random.random_range(5..40)
            },
            hand_over_ms: random.random_range(0..3) * 500,
            auto_split: if random.random_bool(0.5) {
                AutoSplit::Halves
            } else {
                AutoSplit::Ring(20)
            },
            scarce_unacked_messages_max: random.random_range(0..10),
            ttl_ms: random.random_bool(0.3).then(|| random.random_range(1..4_000)),
            delayed_entries_max: random.random_range(1..12),
            delayed_load_ahead_ms: random.random_range(0..1_000),
            honours_delays: random.random_bool(0.95),
            look_ahead_entries_max_per_consumer: random.random_range(0..20),
            look_ahead_entries_max: random.random_range(0..50),
            scarce_bytes: random.random_range(1..600),
            dead_letters: (matches!(kind, Kind::Shared | Kind::KeyShared)
                && random.random_bool(0.5))
            .then(|| DeadLetterOptions {
                messages_max: random.random_range(1..12),
                ..DeadLetterOptions::new(random.random_range(0..2))
            }),
            ..Options::default()
        };
        let start = AckState::before(Ordinal(0));
        Self {
            sub: Subscription::new(options.clone(), start, Ordinal(0), Ordinal(0)),
            is_sticky: false,
            delayed_share: if random.random_bool(0.3) { 0.7 } else { 0.15 },
            chunk_share: if random.random_bool(0.3) { 0.5 } else { 0.05 },
            chunked: Vec::new(),
            messages_in_chunks: 0,
            keeps_order: false,
            random,
            seed,
            kind,
            options,
            now: 1_000_000,
            entries: Vec::new(),
            first: 0,
            consumers: BTreeMap::new(),
            next_key: 0,
            reads: Vec::new(),
            loads: Vec::new(),
            indexed: Vec::new(),
            load_again_at: None,
            cursor: 0,
            unsaid: Vec::new(),
            is_blocked: false,
            is_blocked_by_all: false,
            delivered: 0,
            retry_at: None,
            scarce: Scarce::default(),
            hand_over: None,
            rate: None,
            tokens: u64::MAX,
            refill_at: 0,
            unflushed: Vec::new(),
            dead: Dead::default(),
            dead_stored: 0,
        }
    }

    /// Who has what was delivered, on Exclusive and Failover.
    pub(crate) fn holder(&self) -> Option<ConsumerKey> {
        self.hand_over.map(|(from, _)| from).or_else(|| self.active())
    }

    /// Another consumer is active than `before`.
    pub(crate) fn change_active(&mut self, before: Option<ConsumerKey>) {
        let from = self.hand_over.map(|(from, _)| from).or(before);
        let has_some = self.mark_delete() < self.cursor.min(self.end());
        match from {
            Some(from) if self.active() == Some(from) => self.hand_over = None,
            Some(from)
                if self.kind == Kind::Failover
                    && self.options.hand_over_ms != 0
                    && self.consumers.contains_key(&from)
                    && has_some =>
            {
                self.hand_over.get_or_insert((from, None));
            }
            _ => self.rewind(),
        }
    }

    /// What a poll does first.
    fn end_hand_over(&mut self) {
        let latest = self.now + self.options.hand_over_ms;
        let is_acked = self.mark_delete() >= self.cursor.min(self.end());
        let Some((_, until)) = &mut self.hand_over else { return };
        let until = *until.get_or_insert(latest);
        if is_acked || until <= self.now {
            self.rewind();
        }
    }

    fn refill(&mut self) {
        if self.refill_at <= self.now {
            (self.tokens, self.refill_at) = (self.rate.unwrap_or(u64::MAX), self.now + 100);
        }
        let (messages, again_at) = (self.tokens, self.refill_at);
        self.sub.set_allowance(Allowance { messages, bytes: u64::MAX, again_at });
    }

    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Shared | Kind::KeyShared)
    }

    pub(crate) fn end(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn entry(&mut self, at: u64) -> &mut Published {
        &mut self.entries[usize::try_from(at).unwrap()]
    }

    /// Whether the index has it.
    pub(crate) fn is_indexed(&self, at: u64) -> bool {
        let is_delayed = self.entries[usize::try_from(at).unwrap()].deliver_at.is_some();
        is_delayed && self.indexed.iter().any(|range| range.contains(&at))
    }

    /// Whether it waits for its time.
    pub(crate) fn is_early(&self, at: u64) -> bool {
        let entry = &self.entries[usize::try_from(at).unwrap()];
        is_early(entry.deliver_at, self.now, self.options.honours_delays)
    }

    /// Whether it is past its time.
    pub(crate) fn is_over(&self, at: u64) -> bool {
        let published_at = self.entries[usize::try_from(at).unwrap()].published_at;
        self.options.ttl_ms.is_some_and(|ttl| published_at + ttl <= self.now)
    }

    pub(crate) fn is_acked(&self, at: u64) -> bool {
        self.entries[usize::try_from(at).unwrap()].remaining == 0
    }

    pub(crate) fn mark_delete(&self) -> u64 {
        self.entries.iter().take_while(|entry| entry.remaining == 0).count() as u64
    }

    pub(crate) fn active(&self) -> Option<ConsumerKey> {
        if self.is_shared() {
            return None;
        }
        let best = self.consumers.values().map(|consumer| consumer.priority).min()?;
        let mut peers: Vec<_> = self.consumers.iter().filter(|(_, c)| c.priority == best).collect();
        let Some(partition) = self.options.partition else {
            return Some(*peers[0].0);
        };
        peers.sort_by_key(|(key, consumer)| (consumer.name.clone(), **key));
        Some(*peers[partition as usize % peers.len()].0)
    }

    pub(crate) fn unacked_of(&self, key: ConsumerKey) -> u64 {
        let held = self.entries.iter().filter(|entry| entry.at == Some(key));
        held.map(|entry| u64::from(entry.remaining.count_ones())).sum()
    }

    pub(crate) fn unacked(&self) -> u64 {
        self.consumers.keys().map(|&key| self.unacked_of(key)).sum()
    }

    pub(crate) fn refresh_blocked(&mut self) {
        let blocked = |was, unacked, max| 0 < max && (max <= unacked || was && max / 2 < unacked);
        if self.is_shared() {
            self.is_blocked =
                blocked(self.is_blocked, self.unacked(), self.options.unacked_messages_max);
            let max = self.options.scarce_unacked_messages_max;
            self.is_blocked_by_all =
                self.scarce.unacked && blocked(self.is_blocked_by_all, self.unacked(), max);
            let max = self.options.consumer_unacked_messages_max;
            for key in self.consumers.keys().copied().collect::<Vec<_>>() {
                let unacked = self.unacked_of(key);
                let consumer = self.consumers.get_mut(&key).unwrap();
                consumer.is_blocked = blocked(consumer.is_blocked, unacked, max);
            }
        }
    }

    pub(crate) fn is_ready(&self, key: ConsumerKey) -> bool {
        self.consumers.get(&key).is_some_and(|consumer| {
            let is_held_back = self.is_shared() && (self.is_blocked || self.is_blocked_by_all);
            0 < consumer.permits && consumer.is_writable && !consumer.is_blocked && !is_held_back
        })
    }

    pub(crate) fn info(&self, consumer: &Consumer) -> ConsumerInfo {
        let mode = match &consumer.slots {
            Some(slots) => {
                let middle = u32::midpoint(slots.start, slots.end);
                KeySharedMode::Sticky(vec![middle..=slots.end - 1, slots.start..=middle - 1])
            }
            None => KeySharedMode::AutoSplit,
        };
        ConsumerInfo {
            name: consumer.name.as_str().into(),
            priority: consumer.priority,
            kind: self.kind,
            key_shared: (self.kind == Kind::KeyShared)
                .then_some(KeySharedOptions { mode, allow_out_of_order: !self.keeps_order }),
        }
    }

    /// The machine has begun anew from the mark-delete position.
    pub(crate) fn rewind(&mut self) {
        self.hand_over = None;
        self.cursor = self.mark_delete();
        self.reads.iter_mut().for_each(|read| read.is_wanted = false);
        for entry in &mut self.entries {
            (entry.at, entry.held) = (None, Held::No);
        }
    }

    /// Acks messages of an entry in the model.
    pub(crate) fn ack(&mut self, at: u64, keep: u128) {
        let entry = self.entry(at);
        entry.remaining &= keep;
        if entry.remaining == 0 {
            (entry.at, entry.held) = (None, Held::No);
            (entry.count, entry.flushed_count) = (0, 0);
        }
    }

    /// Lets the machine say all it wants.
    pub(crate) fn poll_dry(&mut self) {
        self.end_hand_over();
        self.refill();
        self.refresh_blocked();
        let (is_shared, now) = (self.is_shared(), self.now);
        let is_honoured = self.options.honours_delays;
        let is_early = |entry: &&mut Published| is_early(entry.deliver_at, now, is_honoured);
        // A dead letter was delivered before its time counted.
        let max = self.redeliveries_max();
        let is_alive = |entry: &&mut Published| entry.count <= max;
        let early = self.entries.iter_mut().filter(is_early).filter(is_alive);
        early.filter(|_| is_shared).for_each(|entry| entry.held = Held::No);
        for _ in 0..10_000 {
            match self.sub.next_action(self.now) {
                None => return,
                Some(Action::ActiveChanged { consumer, active }) => {
                    let consumer = self.consumers.get_mut(&consumer).unwrap();
                    consumer.told_active = Some(active);
                }
                Some(Action::Acked(change)) => self.on_own_acks(&change),
                Some(Action::Deliver { consumer, deliveries, .. }) => {
                    assert!(!deliveries.is_empty(), "seed {}", self.seed);
                    deliveries.iter().for_each(|delivery| self.on_delivery(consumer, delivery));
                }
                Some(Action::Read { id, ranges, entries_max, park_from, .. }) => {
                    self.on_read_wanted(id, ranges, entries_max, park_from);
                }
                Some(Action::LoadDelayed { id, after, entries_max }) => {
                    assert!(self.is_shared() && 1 <= entries_max, "seed {}", self.seed);
                    let indexed = self.indexed.clone();
                    self.loads.push(Load { id, after, entries_max, indexed });
                    assert!(self.loads.len() < 50, "seed {}: it loads and loads", self.seed);
                }
                Some(Action::DeadLetters { letters, raised }) => self.on_letters(&letters, &raised),
            }
        }
        panic!("seed {}: it never ends", self.seed);
    }

    fn on_own_acks(&mut self, change: &AckChange) {
        let seed = self.seed;
        assert!(!change.is_empty() && change.partial.is_empty(), "seed {seed}");
        for at in change.acked.iter().flat_map(|range| range.start.0..range.end.0) {
            let is_unsaid = self.unsaid.contains(&at);
            self.unsaid.retain(|&unsaid| unsaid != at);
            let is_not_for_consumers = !self.entry(at).visible || self.is_over(at);
            let may_ack = !self.is_acked(at) && is_not_for_consumers;
            assert!(is_unsaid || may_ack, "seed {seed}: acked {at} by itself");
            self.ack(at, 0);
        }
        assert_eq!(self.sub.mark_delete().0, self.mark_delete(), "seed {seed}");
        if let Some(to) = change.mark_delete {
            assert_eq!(to.0, self.mark_delete(), "seed {seed}");
        }
    }

    fn on_delivery(&mut self, key: ConsumerKey, delivery: &Delivery<u64>) {
        let (seed, at, now) = (self.seed, delivery.ordinal.0, self.now);
        assert_eq!(delivery.payload, at, "seed {seed}: another entry's payload");
        assert!(self.is_ready(key), "seed {seed}: {key:?} was sent {at} and is not ready");
        assert!(!self.is_over(at), "seed {seed}: {at} is past its time");
        assert!(!self.is_dead(at), "seed {seed}: {at} is dead");
        assert_eq!(self.hand_over, None, "seed {seed}: {at} while the turn passes on");
        assert_ne!(self.tokens, 0, "seed {seed}: {at} beyond the rate");
        self.tokens = self.tokens.saturating_sub(u64::from(delivery.messages));
        self.check_order(key, at);
        let (is_shared, active) = (self.is_shared(), self.active());
        let is_honoured = self.options.honours_delays;
        let entry = self.entry(at);
        assert!(entry.visible && entry.remaining != 0, "seed {seed}: {at} is not to be seen");
        assert_eq!(delivery.messages, entry.remaining.count_ones(), "seed {seed}: {at}");
        assert_eq!(delivery.redelivery_count, entry.count, "seed {seed}: {at}");
        let is_whole = entry.remaining == whole(entry.messages);
        let words = (!is_whole).then(|| words(entry.remaining));
        assert_eq!(delivery.ack_set, words, "seed {seed}: {at}");
        assert_ne!(entry.held, Held::No, "seed {seed}: {at} was delivered without being read");
        entry.held = Held::No;
        if is_shared {
            assert_eq!(entry.at, None, "seed {seed}: {at} is at two consumers");
            let is_early = is_early(entry.deliver_at, now, is_honoured);
            assert!(!is_early, "seed {seed}: {at} is early");
            entry.at = Some(key);
        } else {
            assert_eq!(Some(key), active, "seed {seed}: {at} to an inactive consumer");
            self.cursor = at + 1;
        }
        self.consumers.get_mut(&key).unwrap().permits -= i64::from(delivery.messages);
        self.delivered += 1;
        self.refresh_blocked_up();
    }

    /// Within a poll, limits that are reached count at once; freeing happens between polls.
    fn refresh_blocked_up(&mut self) {
        let was = (
            self.is_blocked || self.is_blocked_by_all,
            self.consumers.values().map(|c| c.is_blocked).collect::<Vec<_>>(),
        );
        self.refresh_blocked();
        let is_kept = |(was, now): (&bool, bool)| !was || now;
        assert!(is_kept((&was.0, self.is_blocked || self.is_blocked_by_all)));
        assert!(was.1.iter().zip(self.consumers.values().map(|c| c.is_blocked)).all(is_kept));
    }

    fn on_read_wanted(
        &mut self,
        id: ReadId,
        ranges: Vec<Range<Ordinal>>,
        entries_max: usize,
        park_from: Option<Ordinal>,
    ) {
        let seed = self.seed;
        let park_from = park_from.map(|from| from.0);
        let may_park = self.is_shared() && self.options.honours_delays;
        let expected = may_park.then_some(self.sub.next_read().0);
        assert!(self.reads.iter().all(|read| !read.is_wanted), "seed {seed}: two reads at a time");
        assert!(ranges.iter().all(|range| range.start < range.end), "seed {seed}");
        assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "seed {seed}");
        let wanted: Vec<u64> = ranges.iter().flat_map(|range| range.start.0..range.end.0).collect();
        assert_eq!(wanted.len(), entries_max, "seed {seed}");
        assert!(1 <= entries_max && entries_max <= self.options.read_entries_max, "seed {seed}");
        let is_for_publisher = wanted.iter().all(|&at| self.is_dead(at));
        assert!(park_from == expected || is_for_publisher && park_from.is_none(), "seed {seed}");
        let has_taker = is_for_publisher || self.consumers.keys().any(|&key| self.is_ready(key));
        assert!(has_taker, "seed {seed}: for nobody");
        // What waits for its key, or for the consumer that has the message's first chunks, may be given up.
        let has_chunks = self.entries.iter().any(|entry| entry.chunk.is_some());
        let may_evict = self.kind == Kind::KeyShared || self.is_shared() && has_chunks;
        let (next_read, readable_end) = (self.sub.next_read().0, self.readable_end());
        for at in wanted {
            let may_be_read = at < next_read || at < readable_end || is_for_publisher;
            assert!(may_be_read, "seed {seed}: reads {at}, and memory is scarce");
            assert!(self.first <= at && at < self.end(), "seed {seed}: reads {at}");
            assert!(!self.is_acked(at), "seed {seed}: reads {at}, which is acked");
            let entry = self.entry(at);
            assert_eq!(entry.at, None, "seed {seed}: reads {at}, which is pending");
            let is_known = entry.held == Held::Yes && !may_evict;
            assert!(!is_known, "seed {seed}: reads {at}, which it has");
        }
        let indexed = self.indexed.clone();
        self.reads.push(Out { id, ranges, entries_max, is_wanted: true, park_from, indexed });
    }
}

/// Whether an entry waits for its time.
pub(crate) fn is_early(deliver_at: Option<u64>, now: u64, is_honoured: bool) -> bool {
    is_honoured && deliver_at.is_some_and(|due| now < due)
}

/// The ack set of a batch with nothing acked.
pub(crate) fn whole(messages: u32) -> u128 {
    if messages == 128 { u128::MAX } else { (1 << messages) - 1 }
}

/// An ack set as it goes over the wire.
pub(crate) fn words(remaining: u128) -> Box<[i64]> {
    let bytes = remaining.to_le_bytes();
    let mut words: Vec<i64> =
        bytes.chunks(8).map(|word| i64::from_le_bytes(word.try_into().unwrap())).collect();
    while words.last() == Some(&0) {
        words.pop();
    }
    words.into()
}
