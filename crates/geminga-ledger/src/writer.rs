//! The one writer of an open ledger: a machine nested in its owner's task.
//!
//! The owner calls [`Writer::add`] while [`Writer::has_room`], hands what [`Writer::poll_send`]
//! returns to the bookies, calls [`Writer::on_added`] with what they answer, and acknowledges what
//! [`Writer::poll_confirmed`] returns. No I/O, no clock, no tasks.
//!
//! # Invariants
//!
//! 1. Only [`Writer::poll_confirmed`] makes a [`Confirmed`], in entry order, once each.
//! 2. After a failure, a fence or [`Writer::stop`] nothing more becomes confirmed, so the LAC is
//!    what the ledger may be sealed at.

mod add_window;

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, BookieId};
use geminga_checksum::Sum;
use geminga_types::{BookieIndex, EntryId, LedgerId, Position};

pub use add_window::NeverSent;
pub(crate) use add_window::{AddWindow, Failed};

use crate::{Sealed, envelope::Head, quorum::Quorums};

/// Writes one open ledger.
#[derive(Debug)]
pub struct Writer {
    ledger_id: LedgerId,
    quorums: Quorums,
    ensemble: Vec<Member>,
    window: AddWindow,
    /// Bytes of every body added, confirmed or not.
    length_added: u64,
    may_use_reserve: bool,
    failure: Option<AddError>,
}

#[derive(Debug)]
struct Member {
    id: BookieId,
    outbox: Vec<AddEntry>,
}

/// Proof that an entry and all before it are stored on their ack quorums.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a confirmed entry must be acknowledged"]
pub struct Confirmed {
    position: Position,
    front: Bytes,
    body: Bytes,
}

impl Writer {
    /// An empty ledger's writer. Only `create` makes one, with the metadata that says so.
    pub(crate) fn new(
        ledger_id: LedgerId,
        quorums: Quorums,
        ensemble: Vec<BookieId>,
        in_flight_max: usize,
    ) -> Self {
        assert!(ensemble.len() == quorums.ensemble_size() as usize);
        let member = |id| Member { id, outbox: Vec::new() };
        Self {
            ledger_id,
            quorums,
            ensemble: ensemble.into_iter().map(member).collect(),
            window: AddWindow::new(quorums, EntryId(0), in_flight_max),
            length_added: 0,
            may_use_reserve: false,
            failure: None,
        }
    }

    /// The same, whose entries may use the reserve of a bookie that is nearly full.
    pub(crate) fn with_reserve(self, may_use_reserve: bool) -> Self {
        Self { may_use_reserve, ..self }
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger_id(&self) -> LedgerId {
        self.ledger_id
    }

    /// Whether [`Self::add`] may be called now. Never again after a failure or a stop.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.window.has_room()
    }

    /// Takes `body` as the ledger's next entry. `body_sum` is its sum, so that it need not be read.
    ///
    /// # Panics
    ///
    /// If there is no room (the caller takes work only when [`Self::has_room`]), or `body_sum` is
    /// of another length.
    pub fn add(&mut self, body: Bytes, body_sum: Sum) -> EntryId {
        self.add_with_front(Bytes::new(), body, body_sum)
    }

    /// The same for a body of which the first part, `front`, is in a piece of its own; the sum is that
    /// of both.
    ///
    /// # Panics
    ///
    /// As [`Self::add`].
    pub fn add_with_front(&mut self, front: Bytes, body: Bytes, body_sum: Sum) -> EntryId {
        let body_len = front.len() + body.len();
        assert!(body_sum.len() == body_len, "the sum is not this body's");
        debug_assert_eq!(body_sum, Sum::of(&front).append(&body), "the sum is not this body's");
        let last_add_confirmed = self.window.last_add_confirmed();
        let entry_id = self.window.add(front.clone(), body.clone());
        self.length_added += body_len as u64;
        let ledger_id = self.ledger_id;
        let length = self.length_added;
        let (head, sum) =
            Head { ledger_id, entry_id, last_add_confirmed, length }.enclose(body_sum);
        let (is_recovery, may_use_reserve) = (false, self.may_use_reserve);
        let entry =
            AddEntry { ledger_id, entry_id, head, front, body, sum, is_recovery, may_use_reserve };
        let mut write_set = self.quorums.write_set(entry_id);
        let first = write_set.next().expect("a write set is not empty");
        for bookie in write_set {
            self.ensemble[bookie.get()].outbox.push(entry.clone());
        }
        self.ensemble[first.get()].outbox.push(entry);
        entry_id
    }

    /// Takes out what is to be sent to one bookie, in entry order. Call until `None`.
    pub fn poll_send(&mut self) -> Option<(BookieId, Vec<AddEntry>)> {
        if self.window.is_frozen() {
            return None;
        }
        let member = self.ensemble.iter_mut().find(|member| !member.outbox.is_empty())?;
        Some((member.id.clone(), std::mem::take(&mut member.outbox)))
    }

    /// Notes what became of an entry at one bookie. Late and repeated answers are welcome.
    ///
    /// # Errors
    ///
    /// [`NeverSent`] if that bookie was not sent that entry; nothing has changed then.
    pub fn on_added(
        &mut self,
        bookie: &BookieId,
        entry_id: EntryId,
        result: Result<(), AddError>,
    ) -> Result<(), NeverSent> {
        let index = self.index_of(bookie).ok_or(NeverSent)?;
        let Err(error) = result else { return self.window.on_stored(entry_id, index) };
        let failed = match error {
            AddError::Fenced(_) | AddError::ReadOnly(_) => Failed::Refused,
            AddError::Failed(_) => Failed::Unknown,
        };
        let quorum_is_lost = self.window.on_failed(entry_id, index, failed)?;
        if matches!(error, AddError::Fenced(_)) {
            self.window.freeze();
            self.failure = Some(error);
        } else if quorum_is_lost {
            self.window.freeze();
            self.failure.get_or_insert(error);
        }
        Ok(())
    }

    /// Takes out the next confirmed entry, in entry order. Call until `None`.
    pub fn poll_confirmed(&mut self) -> Option<Confirmed> {
        let (entry_id, front, body) = self.window.poll_confirmed()?;
        let position = Position { ledger_id: self.ledger_id, entry_id };
        Some(Confirmed { position, front, body })
    }

    /// Why this writer is of no more use, if it is: it was fenced, or an entry cannot reach its ack
    /// quorum. What was confirmed before may still be polled; nothing is confirmed any more.
    #[must_use]
    pub const fn failure(&self) -> Option<&AddError> {
        self.failure.as_ref()
    }

    /// Whether an entry that was added and not confirmed may be on a bookie: then recovery may yet
    /// confirm it, unless the ledger is sealed at [`Self::last_add_confirmed`] first. False is proof.
    #[must_use]
    pub fn may_exist(&self, entry_id: EntryId) -> bool {
        let Some(refused_by) = self.window.refused_by(entry_id) else { return true };
        self.quorums.write_set(entry_id).any(|bookie| {
            let refused = refused_by & bookie.bit() != 0;
            let outbox = &self.ensemble[bookie.get()].outbox;
            let unsent = outbox.first().is_some_and(|first| first.entry_id <= entry_id);
            !refused && !unsent
        })
    }

    /// Confirms and takes nothing any more, and says where the ledger is to be sealed.
    pub fn stop(&mut self) -> Sealed {
        self.window.freeze();
        Sealed { last_entry: self.last_add_confirmed(), length: self.length() }
    }

    /// LAC: the last confirmed entry, polled or not; [`EntryId::NONE`] at first.
    #[must_use]
    pub fn last_add_confirmed(&self) -> EntryId {
        self.window.last_add_confirmed()
    }

    /// Bytes of the bodies up to [`Self::last_add_confirmed`].
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.window.confirmed_bytes()
    }

    /// How many entries were added and not polled as confirmed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.window.in_flight()
    }

    fn index_of(&self, bookie: &BookieId) -> Option<BookieIndex> {
        let index = self.ensemble.iter().position(|member| member.id == *bookie)?;
        BookieIndex::new(u8::try_from(index).ok()?)
    }
}

impl Confirmed {
    /// Where the entry lies; also the ledger's LAC at that moment.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The entry in its ledger.
    #[must_use]
    pub const fn entry_id(&self) -> EntryId {
        self.position.entry_id
    }

    /// The entry's body, as it was added: without what was added as its front.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// How long the stored body is, with its front.
    #[must_use]
    pub const fn body_len(&self) -> usize {
        self.front.len() + self.body.len()
    }

    /// Takes the front and the rest of the body out, as they were added.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, Bytes) {
        (self.front, self.body)
    }
}

#[cfg(test)]
mod tests;
