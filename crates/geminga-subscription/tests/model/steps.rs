//! The random steps, and the healing at the end.

use std::collections::BTreeSet;

use geminga_subscription::{
    Ack, Chunk, ConsumerKey, DelayedEntry, Entry, Kind, LoadedDelayed, NotCumulative, Options,
    ParkedEntries, ReadFailed, Redelivered, Scarce, Subscription,
};
use geminga_types::Ordinal;
use rand::Rng;

use super::world::{Consumer, Held, Load, Out, Published, World, whole, words};

impl World {
    /// What happens before the next poll.
    pub(crate) fn steps(&mut self) {
        if self.random.random_bool(0.8) {
            return self.step();
        }
        for _ in 0..self.random.random_range(2..6) {
            match self.random.random_range(0..10) {
                0 => self.publish(),
                1 | 2 => self.attach(),
                3 => self.detach(),
                4 => self.flow(),
                5..7 => self.ack_some(),
                7 if self.random.random_bool(0.5) => self.answer_letters(),
                7 => self.write_cursor(),
                8 => self.redeliver(),
                _ if self.options.dead_letters.is_some() && self.random.random_bool(0.7) => {
                    self.redeliver();
                }
                _ if self.random.random_bool(0.3) => self.change_policies(),
                _ => self.set_writable(),
            }
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..12 => self.publish(),
            12..18 => self.attach(),
            18..22 => self.detach(),
            22..40 => self.flow(),
            40..62 => self.answer_read(),
            62..74 => self.ack_some(),
            74..78 => self.ack_cumulative(),
            78..84 => self.redeliver(),
            84..86 if self.options.dead_letters.is_some() && self.random.random_bool(0.5) => {
                self.redeliver();
            }
            84..86 => self.flush_counts(),
            86..88 => self.set_writable(),
            88..90 => self.set_scarce(),
            90..94 => self.let_time_pass(),
            94..96 => self.trim(),
            96..97 => self.skip(),
            97..99 => self.seek(),
            _ => self.crash(),
        }
        if self.random.random_bool(0.15) {
            self.index();
        }
        if self.random.random_bool(0.3) {
            self.answer_load();
        }
    }

    fn change_policies(&mut self) {
        self.rate = self.random.random_bool(0.5).then(|| self.random.random_range(1..10));
        self.options.ttl_ms =
            self.random.random_bool(0.5).then(|| self.random.random_range(1..4_000));
        self.sub.set_ttl(self.options.ttl_ms);
        if self.random.random_bool(0.1) {
            self.options.honours_delays = !self.options.honours_delays;
            self.sub.set_honours_delays(self.options.honours_delays);
        }
        if self.random.random_bool(0.5) {
            let each = self.random.random_range(0..20);
            let all = self.random.random_range(0..40);
            let Options { consumer_unacked_messages_max, unacked_messages_max, .. } =
                &mut self.options;
            if (*consumer_unacked_messages_max, *unacked_messages_max) != (each, all) {
                (*consumer_unacked_messages_max, *unacked_messages_max) = (each, all);
                self.is_blocked = false;
                self.consumers.values_mut().for_each(|consumer| consumer.is_blocked = false);
                self.refresh_blocked();
            }
            self.sub.set_unacked_limits(each, all);
        }
    }

    /// The topic makes a bucket of some entries, behind all others or between them.
    fn index(&mut self) {
        let start = self.random.random_range(0..=self.end());
        let end = self.random.random_range(start..=self.end());
        let mut is_covered: Vec<bool> = vec![false; usize::try_from(self.end()).unwrap()];
        for range in self.indexed.iter().cloned().chain(std::iter::once(start..end)) {
            range.for_each(|at| is_covered[usize::try_from(at).unwrap()] = true);
        }
        self.indexed =
            ranges_of((0..self.end()).filter(|&at| is_covered[usize::try_from(at).unwrap()]));
        self.tell_indexed();
    }

    fn tell_indexed(&mut self) {
        let ordinals = |range: &std::ops::Range<u64>| Ordinal(range.start)..Ordinal(range.end);
        let indexed: Vec<_> = self.indexed.iter().map(ordinals).collect();
        self.sub.set_indexed(indexed.into());
    }

    /// Answers one of the loads that are out, wanted or not, well or badly.
    fn answer_load(&mut self) {
        if !self.loads.is_empty() {
            let index = self.random.random_range(0..self.loads.len());
            let load = self.loads.remove(index);
            let how = self.random.random_range(0..6);
            self.answer_one_load(&load, how);
        }
    }

    fn answer_one_load(&mut self, load: &Load, how: u32) {
        if how == 0 {
            self.sub.on_delayed(load.id, Err(ReadFailed));
            self.load_again_at = Some(self.now + self.options.retry_ms_max);
            return;
        }
        let (first, end) = (self.first, self.end());
        let is_listed = |at: &u64| first <= *at && load.indexed.iter().any(|it| it.contains(at));
        let listed = (0..end).filter(is_listed).filter_map(|at| {
            let entry = &self.entries[usize::try_from(at).unwrap()];
            Some(DelayedEntry { due: entry.deliver_at?, ordinal: Ordinal(at), slot: entry.slot })
        });
        let key = |entry: &DelayedEntry| (entry.due, entry.ordinal);
        let mut listed: Vec<_> = listed.filter(|entry| load.after <= key(entry)).collect();
        listed.sort_by_key(key);
        let max = if how == 1 { 1 } else { load.entries_max };
        let until = listed.get(max).map(key);
        listed.truncate(max);
        self.sub.on_delayed(load.id, Ok(LoadedDelayed { entries: listed, until }));
    }

    fn publish(&mut self) {
        for _ in 0..self.random.random_range(1..8) {
            let messages = match self.random.random_range(0..10) {
                0..6 => 1,
                6..9 => self.random.random_range(2..6),
                _ => self.random.random_range(60..70),
            };
            let is_delayed = self.random.random_bool(self.delayed_share);
            let is_old = self.random.random_bool(0.1);
            let age = self.random.random_range(0..3_000);
            let chunk = self.any_chunk();
            self.entries.push(Published {
                messages,
                slot: 1 + self.random.random_range(0..8) * 8000,
                deliver_at: is_delayed.then(|| self.now + self.random.random_range(0..3000)),
                published_at: if is_old { self.now.saturating_sub(age) } else { self.now },
                visible: self.random.random_bool(0.93),
                chunk,
                remaining: whole(messages),
                count: 0,
                flushed_count: 0,
                at: None,
                held: Held::No,
            });
        }
        self.sub.extend(Ordinal(self.end()));
    }

    /// Messages in chunks are published side by side; of some the first chunk is missing.
    fn any_chunk(&mut self) -> Option<Chunk> {
        if !self.random.random_bool(self.chunk_share) {
            return None;
        }
        if self.chunked.len() < 3 && self.random.random_bool(0.3) {
            self.messages_in_chunks += 1;
            self.chunked.push(self.messages_in_chunks);
            let is_first = self.random.random_bool(0.9);
            return Some(Chunk { message: self.messages_in_chunks, is_first });
        }
        let index = self.random.random_range(0..self.chunked.len().max(1));
        let message = *self.chunked.get(index)?;
        if self.random.random_bool(0.2) {
            self.chunked.swap_remove(index);
        }
        Some(Chunk { message, is_first: false })
    }

    fn attach(&mut self) {
        let free = (0..4).map(|index| index * 16_384..(index + 1) * 16_384);
        let is_free = |slots: &std::ops::Range<u32>| {
            self.consumers.values().all(|consumer| consumer.slots.as_ref() != Some(slots))
        };
        let slots = free.into_iter().find(is_free);
        if 4 <= self.consumers.len() {
            return;
        }
        if self.consumers.is_empty() && self.random.random_bool(0.1) {
            let kinds = [Kind::Shared, Kind::KeyShared, Kind::Exclusive, Kind::Failover];
            let count = if self.options.dead_letters.is_some() { 2 } else { kinds.len() };
            let index = self.random.random_range(0..count);
            self.become_of_kind(kinds[index]);
        }
        let consumer = Consumer {
            name: format!("c{}", self.random.random_range(0..3)),
            priority: self.random.random_range(0..2),
            permits: 0,
            is_writable: true,
            is_blocked: false,
            told_active: None,
            slots: slots.filter(|_| self.is_sticky),
        };
        let key = ConsumerKey(self.next_key);
        self.next_key += 1;
        let attached = self.sub.attach(key, self.info(&consumer));
        if self.kind == Kind::Exclusive && !self.consumers.is_empty() {
            assert!(attached.is_err(), "seed {}", self.seed);
            return;
        }
        assert_eq!(attached, Ok(()), "seed {}", self.seed);
        let active = self.active();
        self.consumers.insert(key, consumer);
        if active != self.active() {
            self.change_active(active);
        }
    }

    fn detach(&mut self) {
        let Some(key) = self.any_consumer() else { return };
        self.sub.detach(key);
        let active = self.active();
        self.consumers.remove(&key);
        for entry in self.entries.iter_mut().filter(|entry| entry.at == Some(key)) {
            entry.at = None;
        }
        if self.consumers.is_empty() || self.hand_over.is_some_and(|(from, _)| from == key) {
            self.rewind();
        } else if active != self.active() {
            self.change_active(active);
        }
    }

    fn flow(&mut self) {
        let Some(key) = self.any_consumer() else { return };
        let permits = self.random.random_range(1..12);
        self.consumers.get_mut(&key).unwrap().permits += i64::from(permits);
        self.sub.flow(key, permits);
    }

    /// Answers one of the reads that are out, wanted or not, well or badly.
    fn answer_read(&mut self) {
        if self.reads.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.reads.len());
        let how = self.random.random_range(0..10);
        self.answer(index, how);
    }

    fn answer(&mut self, index: usize, how: u32) {
        let read = self.reads.remove(index);
        if how == 0 || how == 1 {
            let answer = if how == 0 { Err(ReadFailed) } else { Ok(Vec::new()) };
            self.sub.on_read(read.id, answer);
            if read.is_wanted {
                self.wait_for_retry();
            }
            return;
        }
        let ordinals = read.ranges.iter().flat_map(|range| range.start.0..range.end.0);
        let mut ordinals: Vec<u64> = ordinals.filter(|&at| self.first <= at).collect();
        assert!(ordinals.len() <= read.entries_max);
        let mut hole = usize::MAX;
        match how {
            2 | 3 => {
                let keep = self.random.random_range(0..=ordinals.len());
                ordinals.truncate(keep);
            }
            4 if 2 < ordinals.len() => {
                hole = 1;
                ordinals.remove(hole);
            }
            _ => {}
        }
        let runs = if how == 5 { Vec::new() } else { self.runs(&read) };
        let asked = ordinals.len();
        ordinals.retain(|at| !runs.iter().any(|run| run.contains(at)));
        if ordinals.len() != asked {
            hole = 0; // What lies behind may not be taken.
        }
        if read.is_wanted {
            self.hand_over(&ordinals, hole);
        }
        let entries = ordinals.iter().map(|&at| self.stored(at)).collect();
        if runs.is_empty() {
            self.sub.on_read(read.id, Ok(entries));
        } else {
            let dues = runs.iter().cloned().flatten();
            let dues = dues.filter_map(|at| self.entries[usize::try_from(at).unwrap()].deliver_at);
            let due_min = dues.min().unwrap() - self.random.random_range(0..3);
            let ordinals = |run: &std::ops::Range<u64>| Ordinal(run.start)..Ordinal(run.end);
            let runs = runs.iter().map(ordinals).collect();
            self.sub.on_parking_read(read.id, Ok(entries), &ParkedEntries { runs, due_min });
        }
        if read.is_wanted && ordinals.is_empty() {
            self.wait_for_retry();
        }
    }

    /// What the answer to a read may leave out.
    fn runs(&mut self, read: &Out) -> Vec<std::ops::Range<u64>> {
        let Some(from) = read.park_from else { return Vec::new() };
        let is_listed = |at: &u64| {
            let entry = &self.entries[usize::try_from(*at).unwrap()];
            entry.deliver_at.is_some() && read.indexed.iter().any(|range| range.contains(at))
        };
        let mut runs = ranges_of((from..self.end()).filter(is_listed));
        let max = self.random.random_range(0..4);
        runs.truncate(max);
        runs
    }

    /// Notes what the machine now holds. Behind a hole among unread entries it may drop the rest.
    fn hand_over(&mut self, ordinals: &[u64], hole: usize) {
        let wanted: Vec<_> =
            ordinals.iter().enumerate().filter(|(_, at)| !self.is_acked(**at)).collect();
        for (index, &at) in wanted {
            // Of dead letters it takes those whose turn it is.
            let is_kept = index < hole && !self.is_dead(at);
            self.entry(at).held = if is_kept { Held::Yes } else { Held::Maybe };
        }
    }

    fn stored(&self, at: u64) -> Entry<u64> {
        let entry = &self.entries[usize::try_from(at).unwrap()];
        Entry {
            ordinal: Ordinal(at),
            messages: entry.messages,
            bytes: 100,
            key_hash: entry.slot,
            deliver_at: entry.deliver_at,
            published_at: entry.published_at,
            visible: entry.visible,
            chunk: entry.chunk,
            payload: at,
        }
    }

    /// The back-off is set at the next poll; it ends at some time up to the longest one.
    fn wait_for_retry(&mut self) {
        self.retry_at = Some(self.now + self.options.retry_ms_max);
    }

    fn any_entry(&mut self) -> Option<u64> {
        (!self.entries.is_empty()).then(|| self.random.random_range(0..self.end()))
    }

    fn any_consumer(&mut self) -> Option<ConsumerKey> {
        let keys: Vec<_> = self.consumers.keys().copied().collect();
        (!keys.is_empty()).then(|| keys[self.random.random_range(0..keys.len())])
    }

    fn remaining(&self) -> Vec<u128> {
        self.entries.iter().map(|entry| entry.remaining).collect()
    }

    fn ack_some(&mut self) {
        let (before, mark_delete) = (self.remaining(), self.mark_delete());
        let mut acks = Vec::new();
        for _ in 0..self.random.random_range(1..6) {
            let Some(at) = self.any_entry() else { return };
            let messages = self.entry(at).messages;
            let is_out = self.entry(at).at.is_some() || at < self.cursor;
            if !is_out && self.random.random_bool(0.8) {
                continue;
            }
            let (keep, ack_set, batch_size) = match self.dead.has_handed(at) {
                true => (0, None, None),
                false => self.any_ack_set(messages),
            };
            acks.push(Ack { ordinal: Ordinal(at), ack_set, batch_size });
            self.ack(at, keep);
        }
        acks.push(Ack { ordinal: Ordinal(self.end()), ack_set: None, batch_size: None });
        let key = self.any_consumer();
        let change = self.sub.ack_individual(key, &acks);
        self.check_change(&change, &before, mark_delete);
    }

    /// What stays unacked, and how a client says so.
    fn any_ack_set(&mut self, messages: u32) -> (u128, Option<Box<[i64]>>, Option<u32>) {
        if self.random.random_bool(0.5) {
            return (0, None, None);
        }
        let dropped = 1 << self.random.random_range(0..messages);
        let keep = self.random.random::<u128>() & !dropped;
        if self.random.random_bool(0.5) {
            return (keep, Some(words(keep)), Some(messages));
        }
        (keep, Some(words(keep & whole(messages))), None)
    }

    fn ack_cumulative(&mut self) {
        let Some(at) = self.any_entry() else { return };
        let at = if self.random.random_bool(0.8) { at.min(self.cursor) } else { at };
        let at = at.min(self.end() - 1);
        let (before, mark_delete) = (self.remaining(), self.mark_delete());
        let messages = self.entry(at).messages;
        let (keep, ack_set, _) = self.any_ack_set(messages);
        let ack_set = ack_set.map(|_| words(keep & whole(messages)));
        let key = self.any_consumer();
        let result = self.sub.ack_cumulative(key, Ordinal(at), ack_set);
        if self.is_shared() && !self.consumers.is_empty() {
            assert_eq!(result, Err(NotCumulative), "seed {}", self.seed);
            return;
        }
        (0..at).for_each(|at| self.ack(at, 0));
        self.ack(at, keep);
        self.check_change(&result.unwrap(), &before, mark_delete);
        let past = self.sub.ack_cumulative(key, Ordinal(self.end()), None).unwrap();
        assert!(past.is_empty(), "seed {}: acked what is not there", self.seed);
    }

    fn redeliver(&mut self) {
        let Some(key) = self.any_consumer() else { return };
        if self.random.random_bool(0.3) {
            let given_back = self.sub.redeliver(key, None, None);
            let all = (0..self.end()).collect::<Vec<_>>();
            self.expect_again(key, &all, self.is_shared(), given_back);
            return;
        }
        let count = self.random.random_range(1..5);
        let mut ids: Vec<u64> = (0..count).filter_map(|_| self.any_entry()).collect();
        if self.options.dead_letters.is_some() && self.random.random_bool(0.8) {
            let its = (0..).zip(&self.entries).filter(|(_, entry)| entry.at == Some(key));
            ids = its.map(|(at, _)| at).take(2 * count).collect();
        }
        ids.extend(ids.first().copied().filter(|_| self.is_shared()));
        let whole = ids.iter().flat_map(|&at| self.whole_message(key, at)).collect::<Vec<_>>();
        let ordinals: Vec<Ordinal> = ids.iter().copied().map(Ordinal).collect();
        let given_back = self.sub.redeliver(key, Some(&ordinals), None);
        self.expect_again(key, &whole, true, given_back);
    }

    /// On Shared, a chunk is given back with all of its message that its consumer has.
    fn whole_message(&self, key: ConsumerKey, at: u64) -> Vec<u64> {
        let of = |at: u64| &self.entries[usize::try_from(at).unwrap()];
        let chunk = of(at).chunk.filter(|_| self.kind == Kind::Shared && of(at).at == Some(key));
        let Some(chunk) = chunk else { return vec![at] };
        let is_part = |&at: &u64| {
            let entry = of(at);
            let is_same = entry.chunk.is_some_and(|other| other.message == chunk.message);
            is_same && entry.at == Some(key) && entry.remaining != 0
        };
        (0..self.end()).filter(is_part).collect()
    }

    fn expect_again(
        &mut self,
        key: ConsumerKey,
        ids: &[u64],
        raises: bool,
        given_back: Redelivered,
    ) {
        let raised = given_back.raised;
        let (is_shared, is_active) = (self.is_shared(), self.holder() == Some(key));
        let mut expected = Vec::new();
        for &at in ids {
            let is_delivered = at < self.cursor;
            let entry = self.entry(at);
            let is_ours = if is_shared { entry.at == Some(key) } else { is_active && is_delivered };
            if is_ours && raises && entry.remaining != 0 {
                entry.count += 1;
                expected.push((Ordinal(at), entry.count));
            }
            if is_shared && is_ours {
                entry.at = None;
            }
        }
        assert_eq!(raised, expected, "seed {}", self.seed);
        self.unflushed.extend(raised);
        if is_active {
            self.rewind();
        }
    }

    pub(crate) fn flush_counts(&mut self) {
        for (at, count) in std::mem::take(&mut self.unflushed) {
            if !self.is_acked(at.0) {
                self.entry(at.0).flushed_count = count;
            }
        }
    }

    fn set_writable(&mut self) {
        let Some(key) = self.any_consumer() else { return };
        let is_writable = self.random.random_bool(0.5);
        self.consumers.get_mut(&key).unwrap().is_writable = is_writable;
        self.sub.set_writable(key, is_writable);
    }

    fn set_scarce(&mut self) {
        let ack_state = self.random.random_bool(0.5);
        let (timers, unacked) = (self.random.random_bool(0.5), self.random.random_bool(0.5));
        self.scarce = Scarce { ack_state, timers, unacked };
        self.sub.set_scarce(self.scarce);
    }

    fn let_time_pass(&mut self) {
        self.now = match self.sub.next_timeout() {
            Some(at) if self.random.random_bool(0.5) => at,
            _ => self.now + self.random.random_range(1..2000),
        };
    }

    fn trim(&mut self) {
        let first = match self.random.random_bool(0.9) {
            true => self.first.max(self.mark_delete()),
            false => self.random.random_range(self.first..=self.end()).min(self.first + 5),
        };
        self.first = first;
        for at in 0..first {
            if !self.is_acked(at) {
                self.unsaid.push(at);
                self.ack(at, 0);
            }
        }
        self.sub.trim(Ordinal(first));
    }

    fn skip(&mut self) {
        let (before, mark_delete) = (self.remaining(), self.mark_delete());
        let change = if self.random.random_bool(0.2) {
            (0..self.end()).for_each(|at| self.ack(at, 0));
            self.sub.clear_backlog()
        } else {
            let count = self.random.random_range(0..6_usize);
            let skipped: Vec<u64> =
                (0..self.end()).filter(|&at| !self.is_acked(at)).take(count).collect();
            skipped.into_iter().for_each(|at| self.ack(at, 0));
            self.sub.skip(count as u64)
        };
        self.check_change(&change, &before, mark_delete);
    }

    fn seek(&mut self) {
        if self.random.random_bool(0.8) {
            while !self.consumers.is_empty() {
                self.detach();
            }
        }
        let to = self.random.random_range(0..=self.end() + 1);
        self.sub.reset(Ordinal(to));
        let to = to.max(self.first).min(self.end());
        for at in 0..self.end() {
            let entry = self.entry(at);
            entry.remaining = if at < to { 0 } else { whole(entry.messages) };
            (entry.count, entry.flushed_count) = (0, 0);
        }
        self.dead.on_seek();
        self.unflushed.clear();
        self.rewind();
    }

    /// The broker is gone: only the ack state survives, its parts in any order, with the counts that
    /// were flushed. Those of entries acked since are found as well, and must not count.
    fn crash(&mut self) {
        let mut state = self.sub.ack_state();
        let counts = (0..).map(Ordinal).zip(self.entries.iter().map(|entry| entry.count));
        let counts: Vec<_> = counts.filter(|&(_, count)| 0 < count).collect();
        assert_eq!(state.redelivery_counts, counts, "seed {}", self.seed);
        state.acked.reverse();
        state.partial.reverse();
        let flushed = (0..).map(Ordinal).zip(&self.entries);
        let flushed = flushed.map(|(at, entry)| match entry.remaining {
            0 => (at, 7),
            _ => (at, entry.flushed_count),
        });
        state.redelivery_counts = flushed.filter(|&(_, count)| 0 < count).collect();
        state.redelivery_counts.reverse();
        self.unflushed.clear();
        let (first, end) = (Ordinal(self.first), Ordinal(self.end()));
        self.sub = Subscription::new(self.options.clone(), state, first, end);
        self.consumers.clear();
        self.reads.clear();
        self.loads.clear();
        self.load_again_at = None;
        self.tell_indexed();
        let remaining: Vec<u128> = self.entries.iter().map(|entry| entry.remaining).collect();
        self.dead.on_crash(|at, bit| remaining[usize::try_from(at).unwrap()] >> bit & 1 == 0);
        (self.is_blocked, self.retry_at, self.scarce) = (false, None, Scarce::default());
        (self.hand_over, self.is_blocked_by_all) = (None, false);
        self.entries.iter_mut().for_each(|entry| entry.count = entry.flushed_count);
        self.rewind();
    }

    /// All goes well from now on, but for memory that may stay scarce: everything must come and be
    /// acked, in a bounded time.
    pub(crate) fn heal(&mut self) {
        if self.consumers.is_empty() {
            self.attach();
        }
        while self.is_sticky && self.consumers.len() < 4 {
            self.attach();
        }
        for round in 0.. {
            self.poll_dry();
            self.check();
            if self.mark_delete() == self.end() {
                return;
            }
            assert!(round < 2000, "seed {}: stuck: {:?}", self.seed, self.sub.stats());
            self.heal_once();
        }
    }

    fn heal_once(&mut self) {
        for key in self.consumers.keys().copied().collect::<BTreeSet<_>>() {
            let consumer = self.consumers.get_mut(&key).unwrap();
            consumer.is_writable = true;
            self.sub.set_writable(key, true);
            if consumer.permits <= 0 {
                let permits = u32::try_from(1 - consumer.permits).unwrap();
                consumer.permits += i64::from(permits);
                self.sub.flow(key, permits);
            }
        }
        self.heal_letters();
        if let Some(index) = self.reads.iter().position(|read| read.is_wanted) {
            self.answer(index, 9);
        } else if let Some(load) = self.loads.pop() {
            self.answer_one_load(&load, 9);
        } else if let Some(at) = self.sub.next_timeout() {
            self.now = at;
        }
        let is_shared = self.is_shared();
        let is_out = |(at, entry): &(u64, &Published)| {
            let is_delivered = if is_shared { entry.at.is_some() } else { *at < self.cursor };
            is_delivered && entry.remaining != 0 && entry.visible
        };
        let acked: Vec<u64> = (0..).zip(&self.entries).filter(is_out).map(|(at, _)| at).collect();
        let ack = |&at: &u64| Ack { ordinal: Ordinal(at), ack_set: None, batch_size: None };
        let acks: Vec<Ack> = acked.iter().map(ack).collect();
        self.sub.ack_individual(None, &acks);
        acked.into_iter().for_each(|at| self.ack(at, 0));
    }
}

/// Ordinals, which ascend, as ranges.
fn ranges_of(ordinals: impl Iterator<Item = u64>) -> Vec<std::ops::Range<u64>> {
    let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
    for at in ordinals {
        match ranges.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}
