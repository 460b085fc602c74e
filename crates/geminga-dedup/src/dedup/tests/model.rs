//! Goal: whatever fails and whenever, each message that has a receipt is stored exactly once, and those
//! of a producer in the order of their sends.
//!
//! Method: clients send singles, batches, parts and messages with sources to a topic that appends,
//! confirms, fails, stores its records piece by piece and crashes between any two of these steps; a
//! client sends again, from its first message without a receipt on, after each failure, and now and
//! then sends something twice without one. The log itself is the oracle.

use std::collections::{BTreeMap, VecDeque};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

const MESSAGES: usize = 40;

/// What a client sends, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    identity: Identity,
    /// The message, which may have several parts.
    message: usize,
}

struct Client {
    name: &'static [u8],
    items: Vec<Item>,
    /// Those before it have receipts.
    answered: usize,
    next: usize,
    /// Tells the cuts of chunked messages apart.
    attempt: u32,
}

enum Fate {
    Append(Option<Ticket>),
    Answer,
    AsTheOther,
}

struct Pending {
    client: usize,
    item: usize,
    identity: Identity,
    fate: Fate,
}

struct World {
    rng: StdRng,
    now: Instant,
    clients: Vec<Client>,
    dedup: Dedup,
    pending: VecDeque<Pending>,
    /// What is stored: of which client, which item.
    log: Vec<(usize, Item)>,
    records: BTreeMap<Bytes, Bytes>,
    /// How much of the log the records tell of.
    covered: usize,
    /// Changes on their way to the records, each with what it covers.
    writes: VecDeque<(Vec<Change>, usize)>,
}

fn items(rng: &mut StdRng, with_sources: bool, attempt: u32) -> Vec<Item> {
    let (mut items, mut id) = (Vec::new(), 0);
    for message in 0..MESSAGES {
        let mut push = |identity| items.push(Item { identity, message });
        if with_sources {
            // They do not grow, and differ.
            push(source(i64::try_from((message * 17) % MESSAGES).unwrap()));
            continue;
        }
        id += rng.random_range(1..3);
        match rng.random_range(0..3) {
            0 => push(single(id)),
            1 => {
                push(Identity::Sequence(Sequence::batch(id, id + 4)));
                id += 4;
            }
            _ => (0..3).for_each(|part| push(chunk(id, part, attempt))),
        }
    }
    items
}

fn chunk(id: u64, part: u32, attempt: u32) -> Identity {
    let chunk = Chunk::new(part, 3, &attempt.to_be_bytes(), 30);
    Identity::Sequence(Sequence { chunk: Some(chunk), ..Sequence::of(id) })
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let names: [&[u8]; 3] = [b"a", b"b", b"sources"];
        let clients = names.map(|name| Client {
            name,
            items: items(&mut rng, name == b"sources", 0),
            answered: 0,
            next: 0,
            attempt: 0,
        });
        Self {
            rng,
            now: now(),
            clients: clients.into(),
            dedup: dedup(10),
            pending: VecDeque::new(),
            log: Vec::new(),
            records: BTreeMap::new(),
            covered: 0,
            writes: VecDeque::new(),
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..45 => self.send(),
            45..50 => self.send_twice(),
            50..85 => self.confirm(),
            85..90 => self.writes.push_back((self.dedup.take_changes(), self.log.len())),
            90..95 => self.write(),
            95..97 => self.fail(),
            97..98 => self.store_all(),
            _ => self.crash(),
        }
    }

    fn send(&mut self) {
        let client = self.rng.random_range(0..self.clients.len());
        let next = self.clients[client].next;
        if next < self.clients[client].items.len() {
            self.clients[client].next += 1;
            self.publish(client, next);
        }
    }

    fn send_twice(&mut self) {
        let client = self.rng.random_range(0..self.clients.len());
        let sent = self.clients[client].next;
        if 0 < sent {
            let item = self.rng.random_range(sent.saturating_sub(5)..sent);
            self.publish(client, item);
        }
    }

    fn publish(&mut self, client: usize, item: usize) {
        let identity = self.clients[client].items[item].identity;
        let verdict = self.dedup.judge(self.clients[client].name, &identity, self.now);
        let fate = match verdict {
            Verdict::Fresh(ticket) => Fate::Append(ticket),
            Verdict::Stored => Fate::Answer,
            Verdict::InFlight => Fate::AsTheOther,
            Verdict::Across => panic!("no client batches anew"),
        };
        self.pending.push_back(Pending { client, item, identity, fate });
        self.settle();
    }

    /// Answers what waits in front without being an append.
    fn settle(&mut self) {
        while let Some(first) = self.pending.front()
            && !matches!(first.fate, Fate::Append(_))
        {
            let Some(first) = self.pending.pop_front() else { return };
            let is_answered = match first.fate {
                Fate::AsTheOther => {
                    self.dedup.is_stored(self.clients[first.client].name, &first.identity)
                }
                _ => true,
            };
            if is_answered {
                self.answer(first.client, first.item)
            } else {
                self.reopen(first.client)
            }
        }
    }

    fn answer(&mut self, client: usize, item: usize) {
        let client = &mut self.clients[client];
        client.answered = client.answered.max(item + 1);
    }

    fn confirm(&mut self) {
        if let Some(first) = self.pending.pop_front() {
            let Fate::Append(ticket) = first.fate else { panic!("settled") };
            self.log.push((first.client, self.clients[first.client].items[first.item]));
            ticket.into_iter().for_each(|ticket| self.dedup.on_stored(ticket));
            self.answer(first.client, first.item);
        }
        self.settle();
    }

    /// All that is on its way fails, and does not exist.
    fn fail(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            if let Fate::Append(ticket) = pending.fate {
                ticket.into_iter().for_each(|ticket| self.dedup.on_failed(ticket));
            }
        }
        (0..self.clients.len()).for_each(|client| self.reopen(client));
    }

    /// The client begins again with what has no receipt. Where it was in the middle of a chunked
    /// message it may cut it anew, from its first part on.
    fn reopen(&mut self, client: usize) {
        let cuts_anew = self.rng.random_bool(0.5);
        let client = &mut self.clients[client];
        let Some(item) = client.items.get(client.answered) else { return };
        let message = item.message;
        let first = client.items.iter().position(|item| item.message == message).unwrap();
        if cuts_anew
            && let Identity::Sequence(Sequence { last, chunk: Some(_), .. }) = item.identity
        {
            client.attempt += 1;
            client.answered = first;
            for part in 0..3 {
                client.items[first + part as usize].identity = chunk(last, part, client.attempt);
            }
        }
        client.next = client.answered;
    }

    fn write(&mut self) {
        if let Some((changes, covers)) = self.writes.pop_front() {
            changes.into_iter().for_each(|change| self.apply(change));
            self.covered = covers;
        }
    }

    fn apply(&mut self, change: Change) {
        match change.value {
            Some(value) => self.records.insert(change.key, value),
            None => self.records.remove(&change.key),
        };
    }

    /// The cursor's log begins anew.
    fn store_all(&mut self) {
        self.writes.clear();
        self.records = self.dedup.take_all().into_iter().collect();
        self.covered = self.log.len();
    }

    fn crash(&mut self) {
        // Some of what was on its way got there, and is found.
        let found = self.rng.random_range(0..=self.pending.len());
        for pending in std::mem::take(&mut self.pending).into_iter().take(found) {
            if matches!(pending.fate, Fate::Append(_)) {
                self.log.push((pending.client, self.clients[pending.client].items[pending.item]));
            }
        }
        // And a part of what was written.
        if let Some((changes, _)) = self.writes.pop_front() {
            let found = self.rng.random_range(0..=changes.len());
            changes.into_iter().take(found).for_each(|change| self.apply(change));
        }
        self.writes.clear();
        self.dedup = dedup(10);
        for (key, value) in &self.records {
            self.dedup.load(key, value, self.now).unwrap();
        }
        for (client, item) in &self.log[self.covered..] {
            self.dedup.replay(self.clients[*client].name, &item.identity, self.now);
        }
        (0..self.clients.len()).for_each(|client| self.reopen(client));
    }

    fn is_done(&self) -> bool {
        self.clients.iter().all(|client| client.answered == client.items.len())
    }

    fn check(&self, seed: u64) {
        for (number, client) in self.clients.iter().enumerate() {
            let stored = self.log.iter().filter(|(other, _)| *other == number);
            let stored: Vec<Item> = stored.map(|(_, item)| *item).collect();
            for (at, item) in stored.iter().enumerate() {
                assert!(!stored[..at].contains(item), "seed {seed}: {item:?} is stored twice");
            }
            // Of cuts that were given up, parts may be there; a consumer never sees them whole.
            let whole = stored.iter().enumerate().filter(|&(at, item)| match item.identity {
                Identity::Sequence(Sequence { chunk: Some(chunk), .. }) => (0..3).all(|part| {
                    let of_message = |other: &Item| match other.identity {
                        Identity::Sequence(Sequence { chunk: Some(other), .. }) => {
                            other.id == part && other.message == chunk.message
                        }
                        _ => false,
                    };
                    let found =
                        stored.iter().position(|o| o.message == item.message && of_message(o));
                    found.is_some_and(|found| (found <= at) == (part <= chunk.id))
                }),
                _ => true,
            });
            let messages: Vec<usize> = whole.map(|(_, item)| item.message).collect();
            let expected: Vec<usize> = client.items.iter().map(|item| item.message).collect();
            assert_eq!(
                messages,
                expected,
                "seed {seed}: {:?}",
                String::from_utf8_lossy(client.name)
            );
        }
    }
}

#[test]
fn stored_exactly_once_and_in_order_whatever_fails() {
    for seed in 0..1_000 {
        let mut world = World::new(seed);
        let mut steps = 0;
        while !world.is_done() {
            steps += 1;
            assert!(steps < 100_000, "seed {seed}: it does not end");
            world.step();
        }
        world.check(seed);
    }
}
