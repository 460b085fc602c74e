//! What no consumer gets again: it is read for the dead-letter publisher, and acked once that has stored
//! it.

use geminga_types::{Ordinal, key_slot};

use super::Subscription;
use crate::{Ack, AckChange, Action, DeadLetter, DeadLetterOptions, Entry, acks};

impl<P> Subscription<P> {
    /// The publisher has answered: so much was stored, which is acked here; whatever else it had is tried
    /// again, after a back-off if it `has_failed`. To be called exactly once for each batch.
    pub fn on_dead_letters(&mut self, stored: &[Ack], has_failed: bool) -> AckChange {
        let mut change = AckChange::default();
        let dead = &self.pending.dead;
        let stored = stored.iter().filter(|ack| dead.is_at_publisher(ack.ordinal));
        let stored: Vec<&Ack> = stored.collect();
        for ack in &stored {
            let before = self.remaining(ack);
            self.ack(ack, &mut change);
            let published = before.saturating_sub(self.remaining(ack));
            self.pending.dead.settle(ack.ordinal, u64::from(published));
        }
        self.pending.dead.on_answer(!stored.is_empty(), has_failed);
        change.tidied(&self.acks)
    }

    /// Whether the publisher has something and owes an answer.
    #[must_use]
    pub const fn has_dead_letters_out(&self) -> bool {
        self.pending.dead.is_out()
    }

    /// How many messages that were handed out does the next write of all acks to the cursor log settle.
    /// To be given to [`Self::on_dead_letters_durable`] when it is durable.
    pub const fn take_settling(&mut self) -> u64 {
        self.pending.dead.take_settling()
    }

    /// Acks of so many messages that were handed out are durable: there is room for more.
    pub const fn on_dead_letters_durable(&mut self, messages: u64) {
        self.pending.dead.settled(messages);
    }

    /// Whether an entry was asked for again more often than it may be.
    pub(super) fn is_dead(&self, at: Ordinal) -> bool {
        let count = || self.redelivery_counts.get(&at).copied().unwrap_or(0);
        let options = self.options.dead_letters.as_ref();
        options.is_some_and(|options| options.redeliveries_max < count())
    }

    /// No consumer gets an entry any more, and what is behind it of its key waits.
    pub(super) fn bury(&mut self, at: Ordinal, slot: u32) {
        if self.pending.dead.bury(at, slot) && self.members.keeps_key_order() {
            self.has_stale_lanes = true;
        }
    }

    /// An entry has been read that is a dead letter.
    pub(super) fn meet_dead(&mut self, entry: Entry<P>) {
        let (at, slot) = (entry.ordinal, key_slot(entry.key_hash));
        if !self.pending.dead.contains(at) {
            self.bury(at, slot);
        } else if self.pending.dead.move_to(at, slot) && self.members.keeps_key_order() {
            self.has_stale_lanes = true;
        }
        if self.pending.dead.read(at, self.letters_max()) {
            self.letters.push(entry);
        }
    }

    /// A read of what waits for the publisher, if that can take something. Costs nobody a permit.
    pub(super) fn read_letters(&mut self) -> Option<Action<P>> {
        if !self.is_shared() || !self.reader.may_read() {
            return None;
        }
        let wanted = self.pending.dead.to_read(self.letters_max());
        let wanted = wanted.take(self.options.read_entries_max).collect();
        self.read_exactly(wanted)
    }

    /// Gives the publisher what was read for it. What is past its time is acked instead.
    pub(super) fn hand_out_letters(&mut self, now_wall_ms: u64) -> Option<Action<P>> {
        let (mut letters, mut raised) = (Vec::new(), Vec::new());
        for entry in std::mem::take(&mut self.letters) {
            let is_over = |ttl| entry.published_at.saturating_add(ttl) <= now_wall_ms;
            if self.options.ttl_ms.is_some_and(is_over) {
                self.expired_entries += 1;
                self.ack_by_itself(entry.ordinal);
            } else {
                letters.extend(self.letter_of(entry, &mut raised));
            }
        }
        if letters.is_empty() { None } else { Some(Action::DeadLetters { letters, raised }) }
    }

    fn letter_of(
        &mut self,
        entry: Entry<P>,
        raised: &mut Vec<(Ordinal, u32)>,
    ) -> Option<DeadLetter<P>> {
        let (at, messages) = (entry.ordinal, entry.messages.max(1));
        let ack_set: Option<Box<[i64]>> = self.acks.partial(at).map(Into::into);
        let remaining = ack_set.as_ref().map_or(messages, |set| acks::count(set, messages));
        let handed = self.pending.dead.hand_out(at, remaining, self.letters_max());
        if handed == 0 {
            return None;
        }
        let count = self.redelivery_counts.entry(at).or_default();
        let options = self.options.dead_letters.as_ref();
        let mark = options.map_or(0, DeadLetterOptions::count_of_handed_out);
        if *count < mark {
            *count = mark;
            raised.push((at, mark));
        }
        Some(DeadLetter {
            ordinal: at,
            redelivery_count: *count,
            ack_set,
            messages: handed,
            payload: entry.payload,
        })
    }

    /// Messages of an entry that are not acked.
    fn remaining(&self, ack: &Ack) -> u32 {
        if self.acks.is_acked(ack.ordinal) {
            return 0;
        }
        let messages = ack.batch_size.unwrap_or(1);
        self.acks.partial(ack.ordinal).map_or(messages, |set| acks::count(set, messages))
    }

    fn letters_max(&self) -> u64 {
        self.options.dead_letters.as_ref().map_or(0, |options| options.messages_max.max(1))
    }
}
