//! Goal: whatever fails and whenever, each message that has a receipt is stored; exactly once, if it was
//! judged from its first send to its receipt; and those of a producer are stored in the order of their
//! sends.
//!
//! Method: clients send singles, batches, parts and messages with sources to a topic that appends,
//! confirms, fails, is switched on and off, forgets names, stores its records piece by piece, replaces
//! their log while it goes on, and crashes between any two of these steps. A client sends again, from its
//! first message without a receipt on, after each failure, and now and then sends something twice
//! without one. Now and then it begins anew, with the sequence id behind the one that it is told: at 0 if
//! it is told none. The log itself is the oracle.

use std::collections::{BTreeMap, VecDeque};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

const MESSAGES: usize = 40;
const INACTIVITY: Duration = Duration::from_secs(60);

/// What a client sends, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    identity: Identity,
    /// The message, which may have several parts.
    message: usize,
}

struct Client {
    name: &'static [u8],
    has_sources: bool,
    items: Vec<Item>,
    /// Messages that were ever stored or sent without being judged, or that were waited for for too long.
    inexact: Vec<usize>,
    /// In which time of judging a message was sent first.
    eras: BTreeMap<usize, u64>,
    messages: usize,
    /// The next sequence id.
    id: u64,
    /// Where its session began, or began to be remembered.
    session: usize,
    /// Those before it have receipts.
    answered: usize,
    next: usize,
    is_open: bool,
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

/// Changes on their way to the records.
#[derive(Clone)]
struct Write {
    number: u64,
    records: Vec<Change>,
    /// How much of the log they tell of.
    covers: usize,
}

/// A log of records that is to replace the one that goes on.
struct Next {
    records: BTreeMap<Bytes, Bytes>,
    covers: usize,
    /// What was written to the other meanwhile.
    since: Vec<Write>,
}

struct World {
    rng: StdRng,
    now: Instant,
    is_wanted: bool,
    /// How often it was switched.
    era: u64,
    clients: Vec<Client>,
    dedup: Dedup,
    /// Sent before they were judged.
    unjudged: usize,
    pending: VecDeque<Pending>,
    /// What is stored: of which client, which item.
    log: Vec<(usize, Item)>,
    records: BTreeMap<Bytes, Bytes>,
    /// How much of the log the records tell of.
    covered: usize,
    writes: VecDeque<Write>,
    next: Option<Next>,
}

fn chunk(id: u64, part: u32, attempt: u32) -> Identity {
    let chunk = Chunk::new(part, 3, &attempt.to_be_bytes(), 30);
    Identity::Sequence(Sequence { chunk: Some(chunk), ..Sequence::of(id) })
}

fn chunk_of(item: &Item) -> Option<Chunk> {
    match item.identity {
        Identity::Sequence(sequence) => sequence.chunk,
        Identity::Source(_) => None,
    }
}

fn empty() -> Dedup {
    Dedup::new(Options { producers_max: 10, inactivity: INACTIVITY, source_inactivity: INACTIVITY })
}

fn place(entry: usize) -> Position {
    at(i64::try_from(entry).unwrap())
}

impl Client {
    /// Thinks of the next message, if there is one.
    fn write(&mut self, rng: &mut StdRng) {
        if self.messages == MESSAGES {
            return;
        }
        let message = self.messages;
        self.messages += 1;
        let mut push = |identity| self.items.push(Item { identity, message });
        if self.has_sources {
            // They do not grow, and differ.
            push(source(i64::try_from((message * 17) % MESSAGES).unwrap()));
            return;
        }
        let id = self.id + rng.random_range(0..2);
        self.id = id + 1;
        match rng.random_range(0..3) {
            0 => push(single(id)),
            1 => {
                push(Identity::Sequence(Sequence::batch(id, id + 4)));
                self.id += 4;
            }
            _ => (0..3).for_each(|part| push(chunk(id, part, self.attempt))),
        }
    }

    /// Begins again with what has no receipt, once it is open. Where it was in the middle of a chunked
    /// message it may cut it anew, from its first part on.
    fn close(&mut self, cuts_anew: bool) {
        self.is_open = false;
        self.next = self.answered;
        let Some(item) = self.items.get(self.answered) else { return };
        let message = item.message;
        if cuts_anew
            && let Identity::Sequence(Sequence { last, chunk: Some(_), .. }) = item.identity
        {
            let first = self.items.iter().position(|item| item.message == message).unwrap();
            self.attempt += 1;
            (self.answered, self.next) = (first, first);
            for part in 0..3 {
                self.items[first + part as usize].identity = chunk(last, part, self.attempt);
            }
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let names: [&[u8]; 3] = [b"a", b"b", b"sources"];
        let clients = names.map(|name| Client {
            name,
            has_sources: name == b"sources",
            items: Vec::new(),
            inexact: Vec::new(),
            eras: BTreeMap::new(),
            messages: 0,
            id: 0,
            session: 0,
            answered: 0,
            next: 0,
            is_open: false,
            attempt: 0,
        });
        let is_wanted = rng.random_bool(0.5);
        let mut world = Self {
            rng,
            now: now(),
            is_wanted,
            era: 0,
            clients: clients.into(),
            dedup: empty(),
            unjudged: 0,
            pending: VecDeque::new(),
            log: Vec::new(),
            records: BTreeMap::new(),
            covered: 0,
            writes: VecDeque::new(),
            next: None,
        };
        world.switch();
        world
    }

    fn step(&mut self) {
        match self.rng.random_range(0..120) {
            0..45 => self.send(),
            45..50 => self.send_twice(),
            50..85 => self.confirm(),
            85..90 => self.take_changes(),
            90..95 => self.write(),
            95..97 => self.fail(),
            97..99 => self.begin_next(),
            99..101 => self.finish_next(),
            101 => self.next = None,
            102..110 => self.open(),
            110..112 => self.begin_anew(),
            112..114 => self.forget(),
            114 => self.is_wanted = !self.is_wanted,
            _ => self.crash(),
        }
        self.switch();
        if self.dedup.has_urgent_changes() && self.writes.is_empty() {
            self.take_changes();
        }
    }

    /// Does what is wanted, once that can be done.
    fn switch(&mut self) {
        let repeats = |pending: &Pending| {
            matches!(pending.fate, Fate::AsTheOther)
                && matches!(pending.identity, Identity::Sequence(_))
        };
        let is_judging = self.dedup.judges_sequences();
        if is_judging == self.is_wanted || (is_judging && self.pending.iter().any(repeats)) {
            return;
        }
        self.era += 1;
        let since = self.log.len().checked_sub(1).map_or(Position::EARLIEST, place);
        self.dedup.judge_sequences(self.is_wanted.then_some(since));
        self.unjudged = if self.is_wanted { self.pending.len() } else { 0 };
        for pending in &mut self.pending {
            if let Fate::Append(ticket) = &mut pending.fate {
                ticket.take_if(|ticket| matches!(ticket, Ticket::Sequence(_)));
            }
        }
    }

    fn any_client(&mut self) -> usize {
        self.rng.random_range(0..self.clients.len())
    }

    fn open(&mut self) {
        let client = self.any_client();
        let name = self.clients[client].name;
        let is_settled = self.dedup.is_recorded() && self.unjudged == 0;
        if is_settled && !self.dedup.is_in_flight(name) && !self.dedup.is_going(name) {
            self.dedup.hear_of(name, self.now);
            let told = self.dedup.last_sequence_id(name);
            let client = &mut self.clients[client];
            if !client.is_open && client.session == client.items.len() {
                client.id = told.map_or(0, |told| told + 1);
            }
            client.is_open = true;
        }
    }

    /// A client that has a receipt for all goes, and comes back as if it were new.
    fn begin_anew(&mut self) {
        let client = self.any_client();
        let client = &mut self.clients[client];
        if client.answered == client.items.len() {
            client.session = client.items.len();
            client.is_open = false;
        }
    }

    /// So much time passes that names are forgotten that nobody has.
    fn forget(&mut self) {
        self.now += INACTIVITY + Duration::from_secs(1);
        let clients = &self.clients;
        let is_open = |name: &[u8]| clients.iter().any(|it| it.is_open && it.name == name);
        self.dedup.forget_inactive(self.now, is_open);
        for client in self.clients.iter_mut().filter(|client| !client.is_open) {
            let unanswered = client.items[client.answered..].iter();
            client.inexact.extend(unanswered.map(|item| item.message));
            // Nor does it send twice what it has had a receipt for.
            client.session = client.session.max(client.answered);
        }
    }

    fn send(&mut self) {
        let client = self.any_client();
        let rng = &mut self.rng;
        let of = &mut self.clients[client];
        if !of.is_open {
            return;
        }
        if of.next == of.items.len() {
            of.write(rng);
        }
        if of.next < of.items.len() {
            let item = of.next;
            of.next += 1;
            self.publish(client, item);
        }
    }

    fn send_twice(&mut self) {
        let client = self.any_client();
        let of = &self.clients[client];
        let first = of.session.max(of.next.saturating_sub(5));
        if !of.is_open || of.next <= first {
            return;
        }
        let item = self.rng.random_range(first..of.next);
        // Only what is judged as it was the first time.
        let is_judged = of.has_sources || self.dedup.judges_sequences();
        let era = of.eras.get(&of.items[item].message);
        if is_judged && era.is_some_and(|era| of.has_sources || *era == self.era) {
            self.publish(client, item);
        }
    }

    fn publish(&mut self, client: usize, item: usize) {
        let of = &mut self.clients[client];
        let Item { identity, message } = of.items[item];
        let is_judged = of.has_sources || self.dedup.judges_sequences();
        let era = if of.has_sources { 0 } else { self.era };
        if !is_judged || *of.eras.entry(message).or_insert(era) != era {
            of.inexact.push(message);
        }
        let fate = match self.dedup.judge(of.name, &identity, self.now) {
            Verdict::Fresh(ticket) => Fate::Append(ticket),
            Verdict::Stored => Fate::Answer,
            Verdict::InFlight => Fate::AsTheOther,
            Verdict::Across => panic!("no client batches anew"),
        };
        self.pending.push_back(Pending { client, item, identity, fate });
        self.settle();
    }

    fn pop(&mut self) -> Option<Pending> {
        let first = self.pending.pop_front()?;
        self.unjudged = self.unjudged.saturating_sub(1);
        Some(first)
    }

    /// Answers what waits in front without being an append.
    fn settle(&mut self) {
        while let Some(first) = self.pending.front()
            && !matches!(first.fate, Fate::Append(_))
        {
            let Some(first) = self.pop() else { return };
            let is_answered = match first.fate {
                Fate::AsTheOther => {
                    self.dedup.is_stored(self.clients[first.client].name, &first.identity)
                }
                _ => true,
            };
            if is_answered {
                self.answer(first.client, first.item);
            } else {
                self.close(first.client);
            }
        }
    }

    fn answer(&mut self, client: usize, item: usize) {
        let client = &mut self.clients[client];
        if client.is_open {
            client.answered = client.answered.max(item + 1);
        }
    }

    fn confirm(&mut self) {
        if let Some(first) = self.pop() {
            let Fate::Append(ticket) = first.fate else { panic!("settled") };
            let item =
                Item { identity: first.identity, ..self.clients[first.client].items[first.item] };
            let position = place(self.log.len());
            self.log.push((first.client, item));
            match ticket {
                Some(ticket) => self.dedup.on_stored(ticket),
                None => {
                    let name = self.clients[first.client].name;
                    self.dedup.replay(name, &first.identity, position, self.now);
                }
            }
            self.answer(first.client, first.item);
        }
        self.settle();
    }

    /// All that is on its way fails, and does not exist.
    fn fail(&mut self) {
        while let Some(pending) = self.pop() {
            if let Fate::Append(Some(ticket)) = pending.fate {
                self.dedup.on_failed(ticket);
            }
        }
        (0..self.clients.len()).for_each(|client| self.close(client));
    }

    fn close(&mut self, client: usize) {
        let cuts_anew = self.rng.random_bool(0.5);
        self.clients[client].close(cuts_anew);
    }

    fn take_changes(&mut self) {
        let changes = self.dedup.take_changes();
        // A name that has gone and come back is there once.
        let latest = changes.records.into_iter().map(|change| (change.key, change.value));
        let latest: BTreeMap<Bytes, Option<Bytes>> = latest.collect();
        let records = latest.into_iter().map(|(key, value)| Change { key, value }).collect();
        let write = Write { number: changes.number, records, covers: self.log.len() };
        if let Some(next) = &mut self.next {
            next.since.push(write.clone());
        }
        self.writes.push_back(write);
    }

    fn write(&mut self) {
        if let Some(write) = self.writes.pop_front() {
            write.records.into_iter().for_each(|change| apply(&mut self.records, change));
            self.covered = write.covers;
            self.dedup.on_durable(write.number);
        }
    }

    /// Another log begins, with what is known now.
    fn begin_next(&mut self) {
        let records = self.dedup.all_records().into_iter().collect();
        self.next = Some(Next { records, covers: self.log.len(), since: Vec::new() });
    }

    /// It has all that the one before has, and more.
    fn finish_next(&mut self) {
        let Some(mut next) = self.next.take() else { return };
        let before = self.writes.drain(..).map(|write| write.number).max();
        for write in next.since {
            write.records.into_iter().for_each(|change| apply(&mut next.records, change));
            next.covers = write.covers;
        }
        (self.records, self.covered) = (next.records, next.covers);
        before.into_iter().for_each(|number| self.dedup.on_durable(number));
    }

    fn crash(&mut self) {
        // Some of what was on its way got there, and is found.
        let found = self.rng.random_range(0..=self.pending.len());
        for pending in std::mem::take(&mut self.pending).into_iter().take(found) {
            if matches!(pending.fate, Fate::Append(_)) {
                let item = self.clients[pending.client].items[pending.item];
                self.log.push((pending.client, Item { identity: pending.identity, ..item }));
            }
        }
        // And a part of what was written.
        if let Some(write) = self.writes.pop_front() {
            let found = self.rng.random_range(0..=write.records.len());
            let found = write.records.into_iter().take(found);
            found.for_each(|change| apply(&mut self.records, change));
        }
        self.writes.clear();
        (self.next, self.unjudged) = (None, 0);
        self.dedup = empty();
        for (key, value) in &self.records {
            self.dedup.load(key, value, self.now).unwrap();
        }
        for (entry, (client, item)) in self.log.iter().enumerate().skip(self.covered) {
            let name = self.clients[*client].name;
            self.dedup.replay(name, &item.identity, place(entry), self.now);
        }
        (0..self.clients.len()).for_each(|client| self.close(client));
    }

    fn is_done(&self) -> bool {
        let is_done = |it: &Client| it.messages == MESSAGES && it.answered == it.items.len();
        self.clients.iter().all(is_done)
    }

    fn check(&self, seed: u64) {
        for (number, client) in self.clients.iter().enumerate() {
            let stored = self.log.iter().filter(|(other, _)| *other == number);
            let stored: Vec<Item> = stored.map(|(_, item)| *item).collect();
            let whole = whole_messages(&stored);
            let mut first = whole.clone();
            let mut seen = [false; MESSAGES];
            first.retain(|message| !std::mem::replace(&mut seen[*message], true));
            let expected: Vec<usize> = (0..MESSAGES).collect();
            let name = String::from_utf8_lossy(client.name);
            assert_eq!(first, expected, "seed {seed}: {name}");
            for message in expected.iter().filter(|message| !client.inexact.contains(message)) {
                let times = whole.iter().filter(|other| *other == message).count();
                assert_eq!(times, 1, "seed {seed}: {name}: message {message} is stored twice");
                let items = stored.iter().filter(|item| item.message == *message);
                let items: Vec<&Item> = items.collect();
                let is_twice = |at: usize| items[..at].contains(&items[at]);
                assert!(!(0..items.len()).any(is_twice), "seed {seed}: {name}: {items:?}");
            }
        }
    }
}

fn apply(records: &mut BTreeMap<Bytes, Bytes>, change: Change) {
    match change.value {
        Some(value) => records.insert(change.key, value),
        None => records.remove(&change.key),
    };
}

/// The messages that a consumer sees, in order. Of cuts that were given up, parts may be there; it never
/// sees those whole.
fn whole_messages(stored: &[Item]) -> Vec<usize> {
    let mut parts: BTreeMap<(usize, u64), u32> = BTreeMap::new();
    let mut whole = Vec::new();
    for item in stored {
        let Some(chunk) = chunk_of(item) else {
            whole.push(item.message);
            continue;
        };
        let next = parts.entry((item.message, chunk.message)).or_default();
        if chunk.id == 0 {
            *next = 1;
        } else if chunk.id == *next {
            *next += 1;
        }
        if *next == chunk.count {
            *next = 0;
            whole.push(item.message);
        }
    }
    whole
}

#[test]
fn stored_in_order_and_exactly_once_whatever_fails() {
    for seed in 0..1_000 {
        let mut world = World::new(seed);
        let mut steps = 0;
        while !world.is_done() {
            steps += 1;
            assert!(steps < 200_000, "seed {seed}: it does not end");
            world.step();
        }
        world.check(seed);
    }
}
