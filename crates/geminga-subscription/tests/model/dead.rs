//! Dead letters: what the publisher has, what of it may be stored, and whose acks are durable.

use std::collections::BTreeMap;

use geminga_subscription::{Ack, DeadLetter};
use geminga_types::Ordinal;
use rand::Rng;

use super::world::{Held, World, words};

/// What is known of them besides the entries.
#[derive(Default)]
pub(crate) struct Dead {
    /// The batch that is at the publisher.
    out: Option<Vec<Out>>,
    /// Messages that were handed out, by entry and number, whose acks are not known to be durable.
    /// With how many were handed out for the first time before.
    handed: BTreeMap<(u64, u32), (u64, Stage)>,
    first_times: u64,
    /// Writes to the cursor log that are on their way: how many messages each settles.
    writes: Vec<u64>,
    written: usize,
    /// After a failure: until then at most nothing is handed out.
    retry_at: Option<u64>,
    has_crashed: bool,
}

struct Out {
    at: u64,
    /// What was not acked, and the part that is to be published.
    remaining: u128,
    handed: u128,
    /// Whether its answer still acks it.
    counts: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// It counts no more, but for the time until a write is durable.
    Void,
    Written(usize),
}

impl Dead {
    pub(crate) fn has_handed(&self, at: u64) -> bool {
        self.handed.range((at, 0)..(at + 1, 0)).next().is_some()
    }

    pub(crate) fn on_seek(&mut self) {
        self.out.iter_mut().flatten().for_each(|out| out.counts = false);
        let open = self.handed.values_mut().filter(|(_, stage)| *stage == Stage::Open);
        open.for_each(|(_, stage)| *stage = Stage::Void);
    }

    /// What was handed out and is not acked may be stored all the same.
    pub(crate) fn on_crash(&mut self, is_acked: impl Fn(u64, u32) -> bool) {
        let before = std::mem::take(self);
        let mut handed = before.handed;
        handed.retain(|&(at, bit), (_, stage)| *stage == Stage::Open && !is_acked(at, bit));
        *self =
            Self { handed, first_times: before.first_times, has_crashed: true, ..Self::default() };
    }
}

impl World {
    pub(crate) fn redeliveries_max(&self) -> u32 {
        self.options.dead_letters.as_ref().map_or(u32::MAX, |options| options.redeliveries_max)
    }

    pub(crate) fn is_dead(&self, at: u64) -> bool {
        let entry = &self.entries[usize::try_from(at).unwrap()];
        self.redeliveries_max() < entry.count && entry.remaining != 0
    }

    /// Whether an entry of a slot is dead, wherever it is.
    pub(crate) fn has_dead(&self, slot: u32) -> bool {
        let of_slot = (0..).zip(&self.entries).filter(|(_, entry)| entry.slot == slot);
        of_slot.map(|(at, _)| at).any(|at| self.is_dead(at))
    }

    pub(crate) fn on_letters(&mut self, letters: &[DeadLetter<u64>], raised: &[(Ordinal, u32)]) {
        let seed = self.seed;
        let marked = self.redeliveries_max() + 2;
        let first = letters.iter().map(|letter| letter.ordinal);
        let first = first.filter(|at| self.entries[usize::try_from(at.0).unwrap()].count < marked);
        assert!(first.map(|at| (at, marked)).eq(raised.iter().copied()), "seed {seed}: {raised:?}");
        assert!(self.dead.out.is_none() && !letters.is_empty(), "seed {seed}: two batches");
        assert!(letters.is_sorted_by(|one, other| one.ordinal < other.ordinal), "seed {seed}");
        // Their counts are written behind those that were raised before, and are durable first.
        self.flush_counts();
        let out = letters.iter().map(|letter| self.hand_out(letter)).collect();
        self.dead.out = Some(out);
        let max = self.options.dead_letters.as_ref().unwrap().messages_max;
        let handed = self.dead.handed.len() as u64;
        // A load does not know how many messages of an entry were handed out.
        let max = if self.dead.has_crashed { 2 * max } else { max };
        assert!(handed <= max, "seed {seed}: {handed} messages may be stored twice, not {max}");
        // Nothing that may be stored is behind more others than are remembered.
        let numbers = self.dead.handed.values().map(|&(number, _)| number);
        let behind = numbers.min().map_or(0, |oldest| self.dead.first_times - oldest);
        assert!(behind <= max, "seed {seed}: one is behind {behind} others, not {max}");
    }

    fn hand_out(&mut self, letter: &DeadLetter<u64>) -> Out {
        let (seed, at) = (self.seed, letter.ordinal.0);
        assert_eq!(letter.payload, at, "seed {seed}");
        assert!(self.is_dead(at) && !self.is_over(at), "seed {seed}: {at} is not dead");
        // One more than makes it a dead letter says that it was handed out.
        let marked = self.redeliveries_max() + 2;
        let entry = self.entry(at);
        assert!(entry.visible && entry.at.is_none(), "seed {seed}: {at} is elsewhere");
        assert_ne!(entry.held, Held::No, "seed {seed}: {at} was handed out without being read");
        entry.count = entry.count.max(marked);
        entry.flushed_count = entry.count;
        assert_eq!(letter.redelivery_count, entry.count, "seed {seed}");
        entry.held = Held::No;
        let (remaining, is_whole) =
            (entry.remaining, entry.remaining == super::world::whole(entry.messages));
        assert_eq!(letter.ack_set, (!is_whole).then(|| words(remaining)), "seed {seed}");
        assert!(0 < letter.messages && letter.messages <= remaining.count_ones(), "seed {seed}");
        let bits = (0..128).filter(|bit| remaining >> bit & 1 == 1);
        let mut handed = 0;
        for bit in bits.take(letter.messages as usize) {
            handed |= 1 << bit;
            let known = self.dead.handed.get(&(at, bit)).copied();
            let (number, _) = known.unwrap_or((self.dead.first_times, Stage::Open));
            self.dead.first_times += u64::from(known.is_none());
            self.dead.handed.insert((at, bit), (number, Stage::Open));
        }
        Out { at, remaining, handed, counts: true }
    }

    /// The publisher answers: it stored all, or the first so many messages and then failed.
    pub(crate) fn answer_letters(&mut self) {
        let has_failed = self.random.random_bool(0.4);
        self.answer_all_letters(has_failed);
    }

    fn answer_all_letters(&mut self, has_failed: bool) {
        let Some(out) = self.dead.out.take() else { return };
        let mut left = match has_failed {
            true => self.random.random_range(0..4),
            false => u32::MAX,
        };
        let before: Vec<u128> = self.entries.iter().map(|entry| entry.remaining).collect();
        let mark_delete = self.mark_delete();
        let mut acks = Vec::new();
        for letter in &out {
            let bits = (0..128).filter(|bit| letter.handed >> bit & 1 == 1);
            let stored = bits.take(left as usize).fold(0, |set, bit: u32| set | 1_u128 << bit);
            left -= stored.count_ones().min(left);
            if stored == 0 {
                break;
            }
            let rest = letter.remaining & !stored;
            let messages = self.entry(letter.at).messages;
            acks.push(Ack {
                ordinal: Ordinal(letter.at),
                ack_set: (rest != 0).then(|| words(rest)),
                batch_size: Some(messages),
            });
            if letter.counts && self.entry(letter.at).remaining != 0 {
                self.dead_stored += u64::from(stored.count_ones());
                self.ack(letter.at, !stored);
            }
        }
        let change = self.sub.on_dead_letters(&acks, has_failed);
        self.check_change(&change, &before, mark_delete);
        let wait = self.options.dead_letters.as_ref().unwrap().retry_ms_max;
        self.dead.retry_at = has_failed.then_some(self.now + wait);
    }

    /// A write to the cursor log begins, or one ends.
    pub(crate) fn write_cursor(&mut self) {
        if self.random.random_bool(0.5) {
            self.begin_write();
        } else if !self.dead.writes.is_empty() {
            self.end_write();
        }
    }

    fn begin_write(&mut self) {
        self.dead.writes.push(self.sub.take_settling());
        let number = self.dead.written + self.dead.writes.len();
        for (&(at, bit), (_, stage)) in &mut self.dead.handed {
            let entry = &self.entries[usize::try_from(at).unwrap()];
            let is_acked = entry.remaining >> bit & 1 == 0;
            if *stage == Stage::Void || *stage == Stage::Open && is_acked {
                *stage = Stage::Written(number);
            }
        }
    }

    fn end_write(&mut self) {
        let settled = self.dead.writes.remove(0);
        self.dead.written += 1;
        let number = self.dead.written;
        self.dead.handed.retain(|_, (_, stage)| *stage != Stage::Written(number));
        self.sub.on_dead_letters_durable(settled);
    }

    pub(crate) fn heal_letters(&mut self) {
        self.answer_all_letters(false);
        self.begin_write();
        while !self.dead.writes.is_empty() {
            self.end_write();
        }
    }

    /// What is known to be dead is at the publisher, or waits for that.
    pub(crate) fn check_letters(&self) {
        let Some(options) = &self.options.dead_letters else { return };
        let (seed, stats) = (self.seed, self.sub.stats());
        assert_eq!(self.sub.has_dead_letters_out(), self.dead.out.is_some(), "seed {seed}");
        let waits = |at: Option<u64>| at.is_some_and(|at| self.now < at);
        let may_wait = self.dead.out.is_some()
            || waits(self.dead.retry_at)
            || waits(self.retry_at)
            || stats.is_reading
            || self.consumers.is_empty()
            || options.messages_max <= self.dead.handed.len() as u64;
        let next_read = self.sub.next_read().0;
        let may_be_parked = |at: u64| self.may_wait_to_be_loaded(&stats) && self.is_indexed(at);
        let mut read = 0..next_read.min(self.end());
        let stuck = read.find(|&at| self.is_dead(at) && !may_be_parked(at));
        assert!(may_wait || stuck.is_none(), "seed {seed}: {stuck:?} is stuck: {stats:?}");
    }
}
