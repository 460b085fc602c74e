//! Delayed entries beyond those that are held: parked, and loaded again before they are due.

use std::{ops::Range, sync::Arc};

use geminga_types::Ordinal;

use super::{DELAYED_BYTES, Subscription};
use crate::{Action, Kind, LoadedDelayed, ReadFailed, ReadId, parked::Due};

/// Most entries of one load: about a millisecond's work.
const LOADED_MAX: usize = 10_000;

impl<P> Subscription<P> {
    /// Says of which parts of the topic there is an index of every entry with a time. Ascending, not
    /// touching. A part stays in it as long as it is stored.
    pub fn set_indexed(&mut self, indexed: Arc<[Range<Ordinal>]>) {
        self.parked.set_indexed(indexed);
    }

    /// Says whether the times of entries count. If not, all are delivered at once.
    pub const fn set_honours_delays(&mut self, honours_delays: bool) {
        self.options.honours_delays = honours_delays;
        self.queue.note_unsorted();
    }

    /// The first delayed entry that is held because no index has it, once no more can be held: an index of
    /// what follows would help.
    #[must_use]
    pub fn wants_index(&self) -> Option<Ordinal> {
        if !self.is_shared() || self.queue.delayed_len() < self.delayed_max() {
            return None;
        }
        self.parked.unindexed(self.end).find_map(|gap| self.queue.first_delayed(gap))
    }

    /// Takes the answer to a load. Answers to other loads have no effect.
    pub fn on_delayed(&mut self, id: ReadId, result: Result<LoadedDelayed, ReadFailed>) {
        if !self.parked.take_answer(id) {
            return;
        }
        let Ok(LoadedDelayed { entries, until }) = result else { return self.parked.on_failure() };
        if !self.parked.on_loaded(until) {
            return;
        }
        for entry in entries {
            let at = entry.ordinal;
            let is_unknown = at < self.queue.next_read
                && !self.acks.is_acked(at)
                && !self.pending.contains(at)
                && !self.pending.dead.contains(at)
                && !self.queue.holds(at);
            if is_unknown && self.is_dead(at) {
                self.bury(at, entry.slot);
            } else if is_unknown {
                self.queue.push_delayed(at, entry.due, entry.slot);
            }
        }
    }

    /// Passes over entries that the index has: those of `runs` that come next, but for what is acked.
    /// False: there were none, and none that were acked since.
    pub(super) fn park(&mut self, runs: &[Range<Ordinal>], due_min: u64) -> bool {
        let before = self.queue.next_read;
        let mut is_useful = false;
        for run in runs {
            let next = self.acks.next_unacked_from(self.queue.next_read);
            if next < run.start || self.end <= next {
                break;
            }
            if next < run.end {
                self.queue.next_read = run.end.min(self.end);
            }
            is_useful = true;
        }
        let has_parked = before < self.queue.next_read;
        if has_parked {
            self.parked.park_from((due_min, Ordinal(0)));
        }
        is_useful
    }

    /// How many entries are parked. Costs time in the acked ranges behind what was read.
    pub(super) fn parked_entries(&self) -> u64 {
        if self.parked.known_until().is_none() {
            return 0;
        }
        let unread = self.acks.unacked_behind(self.queue.next_read, self.end);
        let dead = self.pending.dead.len_before(self.queue.next_read);
        let known = self.pending.len() + dead + self.held_back() + self.queue.delayed_len();
        self.backlog().saturating_sub(unread).saturating_sub(known as u64)
    }

    /// Most delayed entries that are held: fewer while memory for them is scarce.
    pub(super) fn delayed_max(&self) -> usize {
        let max = self.options.delayed_entries_max;
        let scarce_max = self.options.scarce_bytes.saturating_sub(1) / DELAYED_BYTES;
        if self.scarce.timers { max.min(scarce_max).max(1) } else { max.max(1) }
    }

    fn delayed_half(&self) -> usize {
        self.delayed_max().div_ceil(2)
    }

    /// Parks the latest of what is held, if that is too much. What cannot be parked keeps what is due
    /// before it: to load that again would be endless.
    pub(super) fn evict_delayed(&mut self) {
        let too_many = self.queue.delayed_len().saturating_sub(self.delayed_max());
        if 0 < too_many {
            let latest = self.queue.latest().take(too_many);
            let latest: Vec<_> = latest.take_while(|&(_, at)| self.parked.is_indexed(at)).collect();
            self.evict(&latest);
        }
    }

    /// Makes room for what is read next, if there is none: a quarter of what is held, or what of it can
    /// be parked.
    pub(super) fn make_room_for_delayed(&mut self) {
        let (max, held) = (self.delayed_max(), self.queue.delayed_len());
        let is_any = |part: &Range<Ordinal>| self.queue.first_delayed(part.clone()).is_some();
        if max <= held && self.parked.indexed().iter().any(is_any) {
            let too_many = held - (max / 4 * 3 + max % 4 * 3 / 4);
            let latest = self.queue.latest().filter(|&(_, at)| self.parked.is_indexed(at));
            let latest: Vec<_> = latest.take(too_many).collect();
            // Otherwise there is no room either, and they would be loaded again.
            if held - max < latest.len() {
                self.evict(&latest);
            }
        }
    }

    fn evict(&mut self, latest: &[Due]) {
        if let Some(&least) = latest.last() {
            self.queue.evict(latest);
            self.parked.evict_from(least);
        }
    }

    /// The next load, if what is parked may be due before long or little is held.
    pub(super) fn load(&mut self, now_wall_ms: u64) -> Option<Action<P>> {
        let after = self.parked.known_until().filter(|_| self.is_shared())?;
        if self.acks.acked_end() <= self.queue.next_read && self.parked_entries() == 0 {
            self.parked.clear();
            return None;
        }
        if !self.parked.may_load() || !self.has_room_for_due() {
            return None;
        }
        if self.delayed_half() <= self.queue.delayed_len() && self.options.honours_delays {
            // What is held may be due before what is parked. That is loaded then, if not before.
            let has_later = self.has_later_than(after);
            let ahead = if has_later { self.options.delayed_load_ahead_ms } else { 0 };
            if now_wall_ms.saturating_add(ahead) < after.0 {
                self.look_again(after.0.saturating_sub(ahead));
                return None;
            }
        }
        let entries_max = (self.delayed_max() / 2).clamp(1, LOADED_MAX);
        Some(Action::LoadDelayed { id: self.parked.issue(after), after, entries_max })
    }

    /// Whether more that is due can be held. Of what waits for its key only that counts which consumers
    /// that are ready can take, up to a limit: so one that takes nothing does not stop the others.
    pub(super) fn has_room_for_due(&self) -> bool {
        let held = match self.members.kind() {
            _ if self.members.ready_permits() == 0 => self.held_back(),
            Some(Kind::KeyShared) => {
                let lanes = self.queue.lanes.turns();
                lanes.filter(|&(key, _)| self.members.is_ready(key)).map(|(_, it)| it.len()).sum()
            }
            _ if self.delayed_half() <= self.queue.replay_of_whole_messages() => return false,
            // Beyond that there is no room in any case.
            _ => self.readable_replay().take(self.delayed_half()).count(),
        };
        held < self.delayed_half() && self.held_back() < self.due_max()
    }

    /// Most entries that are known and not delivered, their keys' consumers taking nothing, before
    /// nothing more is loaded.
    pub(super) fn due_max(&self) -> usize {
        self.delayed_max().saturating_mul(2)
    }

    /// Whether something that is held would better be parked. Not endlessly many are, though.
    fn has_later_than(&self, due: Due) -> bool {
        let is_bounded = self.queue.delayed_len() < self.delayed_max().saturating_mul(2);
        is_bounded && self.queue.latest().next().is_some_and(|last| due < last)
    }
}
