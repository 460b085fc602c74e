//! The machine: judges sends, follows their fate, is stored and found again.

use std::time::Duration;

use bytes::Bytes;
use geminga_env::Instant;
use geminga_types::Position;

use crate::{
    Identity, NAME_BYTES_MAX, WINDOW,
    names::{Kept as _, Names},
    record::{self, Change, Record, RecordError},
    sequences::{Place, Sequences},
    window::Window,
};

/// Publishers with sources, at most.
const WINDOWS_MAX: usize = 1_000;

/// What they have together, at most: each source takes 24 bytes.
const SOURCES_MAX: usize = 100 * WINDOW;

/// What bounds the memory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Producer names that are remembered, at most; those not heard of longest are forgotten.
    pub producers_max: usize,
    /// How long a name is remembered that no producer has.
    pub inactivity: Duration,
    /// The same of those that publish messages of other topics: what they take from there may have to
    /// wait for somebody to come back.
    pub source_inactivity: Duration,
}

/// Which messages of a topic are stored, and which are on their way.
#[derive(Debug)]
pub struct Dedup {
    options: Options,
    /// Behind which position clients' messages are judged, if they are. Those with sources always are.
    judging: Option<Position>,
    recorded: Recorded,
    /// The number of the changes that were taken out last.
    changes: u64,
    sequences: Names<Sequences>,
    windows: Names<Window>,
}

/// Whether the records say whether clients' messages are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    No,
    /// Once these changes are durable.
    By(u64),
    Yes,
}

/// What has changed.
#[derive(Debug)]
pub struct Changes {
    /// To be given to [`Dedup::on_durable`].
    pub number: u64,
    /// Records to be put or taken away, in this order.
    pub records: Vec<Change>,
}

/// What is to be done with a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it, and say what became of it: with the ticket, if there is one.
    Fresh(Option<Ticket>),
    /// It is stored: answer a receipt, and do not append it.
    Stored,
    /// The same is on its way. Do not append it; ask [`Dedup::is_stored`] once all that was sent before
    /// it has been decided.
    InFlight,
    /// A batch of which the first messages are stored, or on their way, and the last ones are not.
    Across,
}

/// Names an append that is on its way. Those of one name are decided in the order of their sends, and
/// once one has failed, all that are on their way then fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// Of a client's message.
    Sequence(u32),
    /// Of a message with a source.
    Source(u32),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            producers_max: 10_000,
            inactivity: Duration::from_secs(360 * 60),
            source_inactivity: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

impl Dedup {
    /// Nothing is stored, and only messages with sources are judged.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            judging: None,
            recorded: Recorded::Yes,
            changes: 0,
            sequences: Names::new(options.producers_max, usize::MAX),
            windows: Names::new(WINDOWS_MAX, SOURCES_MAX),
        }
    }

    /// Whether clients' messages are judged.
    #[must_use]
    pub const fn judges_sequences(&self) -> bool {
        self.judging.is_some()
    }

    /// Behind which position clients' messages are judged.
    #[must_use]
    pub const fn judging(&self) -> Option<Position> {
        self.judging
    }

    /// Begins to judge clients' messages behind a position, or (`None`) ends that. Either way what was
    /// known of them is forgotten, and tickets for them have no meaning any more.
    pub fn judge_sequences(&mut self, since: Option<Position>) {
        self.judging = since;
        self.recorded = Recorded::No;
        self.sequences.clear();
    }

    /// Whether the records say, durably, whether clients' messages are judged.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.recorded == Recorded::Yes
    }

    /// Notes that they do.
    pub const fn note_recorded(&mut self) {
        self.recorded = Recorded::Yes;
    }

    /// Whether something has changed that is to be stored at once.
    #[must_use]
    pub fn has_urgent_changes(&self) -> bool {
        self.recorded == Recorded::No
            || self.sequences.has_news_of_gone()
            || self.windows.has_news_of_gone()
    }

    /// Whether the name was forgotten, and the records may not say so yet: after a crash it may be known
    /// again. Until then it must not begin anew.
    #[must_use]
    pub fn is_going(&self, name: &[u8]) -> bool {
        self.sequences.is_going(name)
    }

    /// Whether nothing is known, and nothing is to be.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.judging.is_none() && self.windows.is_empty()
    }

    /// Names that are remembered.
    #[must_use]
    pub fn names(&self) -> usize {
        self.sequences.len() + self.windows.len()
    }

    /// Decides about a send of the producer `name`.
    pub fn judge(&mut self, name: &[u8], identity: &Identity, now: Instant) -> Verdict {
        if !is_judged(name, identity) {
            return Verdict::Fresh(None);
        }
        let (place, ticket) = match identity {
            Identity::Sequence(_) if self.judging.is_none() => return Verdict::Fresh(None),
            Identity::Sequence(sequence) => {
                let slot = self.sequences.enter(name, now);
                let Some(kept) = self.sequences.at(slot) else { return Verdict::Fresh(None) };
                let place = kept.place(sequence);
                if place == Place::New {
                    kept.push(sequence);
                }
                (place, Ticket::Sequence(slot))
            }
            Identity::Source(source) => {
                let slot = self.windows.enter(name, now);
                let Some(kept) = self.windows.at(slot) else { return Verdict::Fresh(None) };
                let place = kept.place(*source);
                if place == Place::New {
                    kept.push(*source);
                }
                (place, Ticket::Source(slot))
            }
        };
        match place {
            Place::New => Verdict::Fresh(Some(ticket)),
            Place::Stored => Verdict::Stored,
            Place::InFlight => Verdict::InFlight,
            Place::Across => Verdict::Across,
        }
    }

    /// Notes that an append is confirmed.
    pub fn on_stored(&mut self, ticket: Ticket) {
        match ticket {
            Ticket::Sequence(slot) => {
                let Some(kept) = self.sequences.at(slot) else { return };
                kept.on_stored();
                self.sequences.change(slot);
            }
            Ticket::Source(slot) => {
                let Some(kept) = self.windows.at(slot) else { return };
                kept.on_stored();
                self.windows.change(slot);
            }
        }
    }

    /// Notes that an append has failed: as if it had never been sent.
    pub fn on_failed(&mut self, ticket: Ticket) {
        match ticket {
            Ticket::Sequence(slot) => {
                if let Some(kept) = self.sequences.at(slot) {
                    kept.on_failed();
                }
            }
            Ticket::Source(slot) => {
                if let Some(kept) = self.windows.at(slot) {
                    kept.on_failed();
                }
            }
        }
    }

    /// Whether it is known to be stored.
    #[must_use]
    pub fn is_stored(&self, name: &[u8], identity: &Identity) -> bool {
        let place = match identity {
            Identity::Sequence(sequence) => self.sequences.get(name).map(|it| it.place(sequence)),
            Identity::Source(source) => self.windows.get(name).map(|it| it.place(*source)),
        };
        place == Some(Place::Stored)
    }

    /// Whether something that was sent under this name is not decided yet.
    #[must_use]
    pub fn is_in_flight(&self, name: &[u8]) -> bool {
        let sequences = self.sequences.get(name);
        let window = self.windows.get(name);
        sequences.is_some_and(|it| it.is_in_flight()) || window.is_some_and(|it| it.is_in_flight())
    }

    /// The highest sequence id that was sent under this name, of a whole message.
    #[must_use]
    pub fn last_sequence_id(&self, name: &[u8]) -> Option<u64> {
        self.sequences.get(name)?.pushed()?.complete()
    }

    /// Notes an entry that is found stored, in the order of the entries.
    pub fn replay(&mut self, name: &[u8], identity: &Identity, position: Position, now: Instant) {
        if !is_judged(name, identity) {
            return;
        }
        match identity {
            Identity::Sequence(_) if self.judging.is_none_or(|since| position <= since) => {}
            Identity::Sequence(sequence) => {
                let slot = self.sequences.enter(name, now);
                if self.sequences.at(slot).is_some_and(|it| it.replay(sequence)) {
                    self.sequences.change(slot);
                }
            }
            Identity::Source(source) => {
                let slot = self.windows.enter(name, now);
                if self.windows.at(slot).is_some_and(|it| it.replay(*source)) {
                    self.windows.change(slot);
                }
            }
        }
    }

    /// Notes that somebody has opened the name.
    pub fn hear_of(&mut self, name: &[u8], now: Instant) {
        self.sequences.hear_of(name, now);
        self.windows.hear_of(name, now);
    }

    /// Forgets names that nobody has had for long, and notes which ones are open now.
    pub fn forget_inactive(&mut self, now: Instant, is_open: impl Fn(&[u8]) -> bool) {
        let before = |inactivity| now.checked_sub(inactivity);
        if let Some(before) = before(self.options.inactivity) {
            self.sequences.forget(before, now, &is_open);
        }
        if let Some(before) = before(self.options.source_inactivity) {
            self.windows.forget(before, now, &is_open);
        }
    }

    /// Takes out what has changed since the last time. With all changes so far applied, in order, the
    /// records tell of every entry that was confirmed so far.
    #[must_use]
    pub fn take_changes(&mut self) -> Changes {
        self.changes += 1;
        let number = self.changes;
        let mut records = Vec::new();
        self.sequences.take_changes(number, |name, kept| {
            let value = kept.and_then(|kept| kept.stored.as_ref()).map(record::encode_mark);
            records.push(Change { key: record::sequences_key(name), value });
        });
        self.windows.take_changes(number, |name, kept| {
            let value = kept.map(record::encode_window);
            records.push(Change { key: record::window_key(name), value });
        });
        if self.recorded == Recorded::No {
            // Behind what was forgotten: the first of a log that is cut off may be missing the last.
            self.recorded = Recorded::By(number);
            let value = Some(record::encode_judging(self.judging));
            records.push(Change { key: record::judging_key(), value });
        }
        Changes { number, records }
    }

    /// Notes that all changes up to those of that number are durable.
    pub fn on_durable(&mut self, number: u64) {
        self.sequences.on_durable(number);
        self.windows.on_durable(number);
        if matches!(self.recorded, Recorded::By(by) if by <= number) {
            self.recorded = Recorded::Yes;
        }
    }

    /// Notes that there are no records any more. Those of what is known now are to be put anew.
    pub fn on_records_gone(&mut self) {
        self.sequences.on_records_gone();
        self.windows.on_records_gone();
        self.recorded = if self.judging.is_some() { Recorded::No } else { Recorded::Yes };
    }

    /// Notes that nobody knows whether changes that were taken out are durable, while no name is known.
    pub fn on_writes_lost(&mut self) {
        self.sequences.on_writes_lost();
        self.windows.on_writes_lost();
        if matches!(self.recorded, Recorded::By(_)) {
            self.recorded = Recorded::No;
        }
    }

    /// All records, with every change so far in them. What has changed stays to be taken out, since the
    /// log before may go on without these.
    #[must_use]
    pub fn all_records(&self) -> Vec<(Bytes, Bytes)> {
        let mut all = Vec::new();
        self.sequences.each(|name, kept| {
            let mark = kept.stored.as_ref().map(record::encode_mark);
            all.extend(mark.map(|mark| (record::sequences_key(name), mark)));
        });
        self.windows.each(|name, kept| {
            all.push((record::window_key(name), record::encode_window(kept)));
        });
        all.push((record::judging_key(), record::encode_judging(self.judging)));
        all
    }

    /// Takes a record that was stored; those of clients' messages even if they are not judged, so that
    /// they can be taken away.
    ///
    /// # Errors
    ///
    /// If it is damaged, or from a newer release: then it is not known what is stored.
    pub fn load(&mut self, key: &[u8], value: &[u8], now: Instant) -> Result<(), RecordError> {
        match record::decode(key, value)? {
            Record::Judging(since) => {
                self.judging = since;
                self.recorded = Recorded::Yes;
            }
            Record::Sequences(name, mark) => {
                let slot = self.sequences.enter(name, now);
                if let Some(kept) = self.sequences.at(slot) {
                    kept.stored = Some(mark);
                }
            }
            Record::Window(name, sources) => {
                let slot = self.windows.enter(name, now);
                if let Some(kept) = self.windows.at(slot) {
                    for source in sources {
                        kept.replay(source);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether it can be told apart. A sequence id beyond what clients count to, with signs, would cover all
/// others of its name for ever.
fn is_judged(name: &[u8], identity: &Identity) -> bool {
    let is_countable = match identity {
        Identity::Sequence(sequence) => i64::try_from(sequence.last).is_ok(),
        Identity::Source(_) => true,
    };
    is_countable && (1..=NAME_BYTES_MAX).contains(&name.len())
}

#[cfg(test)]
mod tests;
