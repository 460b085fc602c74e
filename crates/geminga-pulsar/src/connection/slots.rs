//! What is open under each id that a client chose: its producers, or its consumers.
//!
//! Opening and closing take time, and a client that lost patience sends CLOSE for an id that is
//! still opening, or opens it again. Here is decided what happens then; the caller carries out the
//! [`Step`]s. `H` is the open handle, `O` what it takes to open one.
//!
//! # Invariants
//!
//! 1. At most one opening or closing is in progress for an id: the next begins when it has ended.
//! 2. Every request is answered by exactly one step, unless [`Slots::end`] came or
//!    [`Slots::give_up_waiting`] took it.
//! 3. Every handle that was opened is closed: by CLOSE, by the topic, or at the end.
//! 4. Each opening has an incarnation of its own: what is said of another has no effect.

use std::{collections::BTreeMap, mem, sync::Arc};

use geminga_broker::ClientKey;

use crate::errors::Refusal;

/// Requests that may wait for one opening; a client has one, or a few after timeouts.
const JOINED_MAX: usize = 64;

/// All ids of one kind on one connection.
#[derive(Debug)]
pub(super) struct Slots<H, O> {
    by_id: BTreeMap<u64, Slot<H, O>>,
    incarnations: u64,
    is_ended: bool,
}

#[derive(Debug)]
enum Slot<H, O> {
    /// The broker was asked to open it.
    Opening {
        incarnation: u64,
        opens: Vec<u64>,
        /// Set once it is to be closed as soon as it is open: who waits for that.
        closes: Option<Vec<u64>>,
        next: Option<Box<Next<O>>>,
    },
    /// In use.
    Open { incarnation: u64, handle: Arc<H> },
    /// The broker was asked to close it.
    Closing { closes: Vec<u64>, next: Option<Box<Next<O>>> },
}

/// To be opened once the id is free.
#[derive(Debug)]
struct Next<O> {
    order: O,
    opens: Vec<u64>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Step<H, O> {
    /// Open it as this incarnation, then call [`Slots::opened`].
    Open(O, u64),
    /// Close it, then call [`Slots::closed`].
    Close(Arc<H>),
    /// Tell these requests that it is open now.
    AnswerOpen(Arc<H>, Vec<u64>),
    /// Tell this request that it has been open already.
    AnswerAgain(Arc<H>, u64),
    /// Tell these requests that it could not be opened.
    AnswerRefused(Refusal, Vec<u64>),
    /// Tell these requests that it was closed before it was open.
    AnswerCancelled(Vec<u64>),
    /// Tell these requests that it is closed.
    AnswerClosed(Vec<u64>),
    /// Tell this request that too many like it wait.
    AnswerTooMany(u64),
}

pub(super) type Steps<H, O> = Vec<Step<H, O>>;

impl<H, O> Slots<H, O> {
    pub(super) const fn new() -> Self {
        Self { by_id: BTreeMap::new(), incarnations: 0, is_ended: false }
    }

    /// The handle under `id`, if it is open.
    pub(super) fn get(&self, id: u64) -> Option<&Arc<H>> {
        match self.by_id.get(&id) {
            Some(Slot::Open { handle, .. }) => Some(handle),
            _ => None,
        }
    }

    /// The incarnation that is open or opening under `id`.
    pub(super) fn incarnation(&self, id: u64) -> Option<u64> {
        match self.by_id.get(&id)? {
            Slot::Opening { incarnation, .. } | Slot::Open { incarnation, .. } => {
                Some(*incarnation)
            }
            Slot::Closing { .. } => None,
        }
    }

    /// The handle under `key`, if it is open and of that incarnation.
    pub(super) fn get_as(&self, key: ClientKey) -> Option<&Arc<H>> {
        self.get(key.id).filter(|_| self.incarnation(key.id) == Some(key.incarnation))
    }

    /// Whether `id` is being opened.
    pub(super) fn is_opening(&self, id: u64) -> bool {
        matches!(self.by_id.get(&id), Some(Slot::Opening { .. }))
    }

    /// Whether `id` is being closed.
    pub(super) fn is_closing(&self, id: u64) -> bool {
        matches!(self.by_id.get(&id), Some(Slot::Closing { .. }))
    }

    /// The client asks for `order` under `id`.
    pub(super) fn open(&mut self, id: u64, request_id: u64, order: O) -> Steps<H, O> {
        if self.is_ended {
            return Vec::new();
        }
        let Some(slot) = self.by_id.get_mut(&id) else {
            return self.start(id, Next { order, opens: vec![request_id] });
        };
        let waiting = match slot {
            Slot::Open { handle, .. } => {
                return vec![Step::AnswerAgain(Arc::clone(handle), request_id)];
            }
            Slot::Opening { opens, closes: None, .. } => opens,
            Slot::Opening { next, .. } | Slot::Closing { next, .. } => match next {
                Some(next) => {
                    next.order = order;
                    &mut next.opens
                }
                None => &mut next.insert(Box::new(Next { order, opens: Vec::new() })).opens,
            },
        };
        if JOINED_MAX <= waiting.len() {
            return vec![Step::AnswerTooMany(request_id)];
        }
        waiting.push(request_id);
        Vec::new()
    }

    /// The client asks to close `id`.
    pub(super) fn close(&mut self, id: u64, request_id: u64) -> Steps<H, O> {
        let Some(slot) = self.by_id.get_mut(&id) else {
            return vec![Step::AnswerClosed(vec![request_id])];
        };
        let (closes, next) = match slot {
            Slot::Open { handle, .. } => {
                let handle = Arc::clone(handle);
                *slot = Slot::Closing { closes: vec![request_id], next: None };
                return vec![Step::Close(handle)];
            }
            Slot::Opening { closes, next, .. } => (closes.get_or_insert_default(), next),
            Slot::Closing { closes, next } => (closes, next),
        };
        let mut steps = Vec::new();
        if let Some(next) = next.take() {
            steps.push(Step::AnswerCancelled(next.opens));
        }
        if JOINED_MAX <= closes.len() {
            steps.push(Step::AnswerTooMany(request_id));
        } else {
            closes.push(request_id);
        }
        steps
    }

    /// The topic, or this side, closes `id` although the client did not ask. Returns the handle to
    /// close if it was open; one that is opening will be closed once it is open.
    pub(super) fn drop_open(&mut self, id: u64) -> Option<Arc<H>> {
        match self.by_id.get_mut(&id)? {
            slot @ Slot::Open { .. } => {
                let closing = Slot::Closing { closes: Vec::new(), next: None };
                match mem::replace(slot, closing) {
                    Slot::Open { handle, .. } => Some(handle),
                    Slot::Opening { .. } | Slot::Closing { .. } => None,
                }
            }
            Slot::Opening { closes, .. } => {
                closes.get_or_insert_default();
                None
            }
            Slot::Closing { .. } => None,
        }
    }

    /// The same, if it is still of that incarnation.
    pub(super) fn drop_open_as(&mut self, key: ClientKey) -> Option<Arc<H>> {
        if self.incarnation(key.id) == Some(key.incarnation) {
            self.drop_open(key.id)
        } else {
            None
        }
    }

    /// The broker has opened `id`, or has not.
    pub(super) fn opened(&mut self, id: u64, result: Result<H, Refusal>) -> Steps<H, O> {
        let Some(Slot::Opening { incarnation, opens, closes, next }) = self.by_id.remove(&id)
        else {
            debug_assert!(false, "only what is opening can have been opened");
            return Vec::new();
        };
        match (result.map(Arc::new), closes) {
            (Ok(handle), None) if !self.is_ended => {
                self.by_id.insert(id, Slot::Open { incarnation, handle: Arc::clone(&handle) });
                vec![Step::AnswerOpen(handle, opens)]
            }
            (Ok(handle), closes) => {
                let closes = closes.unwrap_or_default();
                self.by_id.insert(id, Slot::Closing { closes, next });
                vec![Step::AnswerCancelled(opens), Step::Close(handle)]
            }
            (Err(refusal), closes) => {
                let mut steps = vec![
                    Step::AnswerRefused(refusal, opens),
                    Step::AnswerClosed(closes.unwrap_or_default()),
                ];
                steps.extend(next.into_iter().flat_map(|next| self.start(id, *next)));
                steps
            }
        }
    }

    /// The broker has closed what was under `id`.
    pub(super) fn closed(&mut self, id: u64) -> Steps<H, O> {
        let Some(Slot::Closing { closes, next }) = self.by_id.remove(&id) else {
            debug_assert!(false, "only what is closing can have been closed");
            return Vec::new();
        };
        let mut steps = vec![Step::AnswerClosed(closes)];
        steps.extend(next.into_iter().flat_map(|next| self.start(id, *next)));
        steps
    }

    /// Whether the CLOSE `request_id` still waits for an opening to end; it does no longer.
    pub(super) fn give_up_waiting(&mut self, id: u64, request_id: u64) -> bool {
        let Some(Slot::Opening { closes: Some(closes), .. }) = self.by_id.get_mut(&id) else {
            return false;
        };
        let waiting = closes.len();
        closes.retain(|waiting| *waiting != request_id);
        closes.len() < waiting
    }

    /// The connection has ended: returns what is to be closed now; what is opening is closed as
    /// soon as it is open.
    pub(super) fn end(&mut self) -> Vec<(u64, Arc<H>)> {
        self.is_ended = true;
        let mut open = Vec::new();
        for (id, slot) in &mut self.by_id {
            match slot {
                Slot::Open { handle, .. } => {
                    open.push((*id, Arc::clone(handle)));
                    *slot = Slot::Closing { closes: Vec::new(), next: None };
                }
                Slot::Opening { next, .. } | Slot::Closing { next, .. } => *next = None,
            }
        }
        open
    }

    fn start(&mut self, id: u64, next: Next<O>) -> Steps<H, O> {
        if self.is_ended {
            return Vec::new();
        }
        self.incarnations += 1;
        let (incarnation, opens) = (self.incarnations, next.opens);
        self.by_id.insert(id, Slot::Opening { incarnation, opens, closes: None, next: None });
        vec![Step::Open(next.order, incarnation)]
    }
}

#[cfg(test)]
mod tests;
