//! The machine: judges sends, follows their fate, is stored and found again.

use std::time::Duration;

use bytes::Bytes;
use geminga_env::Instant;

use crate::{
    Identity, NAME_BYTES_MAX,
    names::{Kept as _, Names},
    record::{self, Change, Record, RecordError},
    sequences::{Place, Sequences},
    window::Window,
};

/// Publishers with sources, at most: each may take some 24 KiB.
const WINDOWS_MAX: usize = 1_000;

/// What bounds the memory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Producer names that are remembered, at most; those not heard of longest are forgotten.
    pub producers_max: usize,
    /// How long a name is remembered that no producer has.
    pub inactivity: Duration,
}

/// Which messages of a topic are stored, and which are on their way.
#[derive(Debug)]
pub struct Dedup {
    options: Options,
    /// Whether clients' messages are judged. Those with sources always are.
    judges_sequences: bool,
    sequences: Names<Sequences>,
    windows: Names<Window>,
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
        Self { producers_max: 10_000, inactivity: Duration::from_secs(360 * 60) }
    }
}

impl Dedup {
    /// Nothing is stored. Without `judges_sequences` only messages with sources are judged.
    #[must_use]
    pub fn new(options: Options, judges_sequences: bool) -> Self {
        Self {
            options,
            judges_sequences,
            sequences: Names::new(options.producers_max),
            windows: Names::new(WINDOWS_MAX),
        }
    }

    /// Whether clients' messages are judged.
    #[must_use]
    pub const fn judges_sequences(&self) -> bool {
        self.judges_sequences
    }

    /// Begins or ends to judge clients' messages. What is known of them is forgotten at the end, and
    /// tickets for them have no meaning any more.
    pub fn set_judges_sequences(&mut self, judges_sequences: bool) {
        self.judges_sequences = judges_sequences;
        if !judges_sequences {
            self.sequences.clear();
        }
    }

    /// Whether nothing is known, and nothing is to be.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.judges_sequences && self.windows.is_empty()
    }

    /// Whether there are publishers with sources.
    #[must_use]
    pub fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Names that are remembered.
    #[must_use]
    pub fn names(&self) -> usize {
        self.sequences.len() + self.windows.len()
    }

    /// Decides about a send of the producer `name`.
    pub fn judge(&mut self, name: &[u8], identity: &Identity, now: Instant) -> Verdict {
        if NAME_BYTES_MAX < name.len() {
            return Verdict::Fresh(None);
        }
        let (place, ticket) = match identity {
            Identity::Sequence(_) if !self.judges_sequences => return Verdict::Fresh(None),
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

    /// Notes an entry that is found stored behind the records, in the order of the entries.
    pub fn replay(&mut self, name: &[u8], identity: &Identity, now: Instant) {
        if NAME_BYTES_MAX < name.len() {
            return;
        }
        match identity {
            Identity::Sequence(_) if !self.judges_sequences => {}
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

    /// Forgets names that were not heard of for long and that no producer has.
    pub fn forget_inactive(&mut self, now: Instant, is_open: impl Fn(&[u8]) -> bool) {
        let Some(before) = now.checked_sub(self.options.inactivity) else { return };
        self.sequences.forget(before, &is_open);
        self.windows.forget(before, &is_open);
    }

    /// Takes out what has changed since the last time. With all changes so far applied, in order, the
    /// records tell of every entry that was confirmed so far.
    #[must_use]
    pub fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.sequences.take_changes(|name, kept| {
            let value = kept.and_then(|kept| kept.stored.as_ref()).map(record::encode_mark);
            changes.push(Change { key: record::sequences_key(name), value });
        });
        self.windows.take_changes(|name, kept| {
            let value = kept.map(record::encode_window);
            changes.push(Change { key: record::window_key(name), value });
        });
        changes
    }

    /// All records; what was changed before is in them.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<(Bytes, Bytes)> {
        let mut all = Vec::new();
        self.sequences.take_all(|name, kept| {
            all.extend(
                kept.stored
                    .as_ref()
                    .map(|mark| (record::sequences_key(name), record::encode_mark(mark))),
            );
        });
        self.windows.take_all(|name, kept| {
            all.push((record::window_key(name), record::encode_window(kept)))
        });
        all
    }

    /// Takes a record that was stored.
    ///
    /// # Errors
    ///
    /// If it is damaged, or from a newer release: then it is not known what is stored.
    pub fn load(&mut self, key: &[u8], value: &[u8], now: Instant) -> Result<(), RecordError> {
        match record::decode(key, value)? {
            Record::Sequences(name, _) if !self.judges_sequences => {
                self.sequences.drop_stored(name);
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

#[cfg(test)]
mod tests;
