//! What a subscription wants done next, and when it wants to be asked again.

use super::{Blocked, Subscription};
use crate::{Action, ConsumerKey, Kind, Options, lanes::Router};

impl<P> Subscription<P> {
    /// What is to be done next. Call until `None`, after anything has happened and at
    /// [`Self::next_timeout`].
    pub fn next_action(&mut self, now_wall_ms: u64) -> Option<Action<P>> {
        self.reader.on_time(now_wall_ms, &self.options);
        self.parked.on_time(now_wall_ms, &self.options);
        self.look_again_at = None;
        if let Some(options) = &self.options.dead_letters {
            self.pending.dead.on_time(now_wall_ms, options);
        }
        if self.hand_over.is_some() && !self.end_hand_over(now_wall_ms) {
            return self.say_own_acks();
        }
        if self.is_shared() {
            let router = Router { members: &self.members, pending: &self.pending };
            self.queue.lanes.set_now(now_wall_ms);
            if std::mem::replace(&mut self.has_stale_lanes, false) {
                self.queue.sort_by_lane(router);
            }
            let due_before = if self.options.honours_delays { now_wall_ms } else { u64::MAX };
            self.queue.sort_by_time(due_before, router);
            self.evict_delayed();
            if self.may_be_blocked {
                self.refresh_blocked();
            }
            if self.blocked.by_common_limit {
                self.look_again(now_wall_ms.saturating_add(self.options.scarce_retry_ms));
            }
        }
        if let Some((consumer, active)) = self.members.poll_announcement() {
            return Some(Action::ActiveChanged { consumer, active });
        }
        if let Some(acked) = self.say_own_acks() {
            return Some(acked);
        }
        let handed = self.hand_out_letters(now_wall_ms);
        let delivered = handed.or_else(|| self.deliver(now_wall_ms));
        let done = delivered.or_else(|| self.say_own_acks());
        let action = done.or_else(|| self.read_letters()).or_else(|| self.read(now_wall_ms));
        let action = action.or_else(|| self.load(now_wall_ms));
        debug_assert!(
            action.is_some() || self.is_consistent(),
            "an entry is in two states or none"
        );
        action
    }

    /// Lets the next consumer begin once the former one has acked what it had, or had its time to.
    fn end_hand_over(&mut self, now_wall_ms: u64) -> bool {
        let Some(going) = &mut self.hand_over else { return true };
        let until = going.until(now_wall_ms, &self.options);
        if now_wall_ms < until && self.acks.next_unacked() < self.delivered_end() {
            self.look_again(until);
            return false;
        }
        self.rewind();
        true
    }

    fn say_own_acks(&mut self) -> Option<Action<P>> {
        if self.own_acks.is_empty() {
            return None;
        }
        let change = std::mem::take(&mut self.own_acks);
        Some(Action::Acked(change.tidied(&self.acks)))
    }

    /// When to poll again even if nothing happens, in milliseconds of wall time. Once polled dry, it
    /// lies behind the time given to that poll.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        let due = self.queue.next_due();
        let retries = self.reader.retry_at().into_iter().chain(self.parked.retry_at());
        let retries = retries.chain(self.pending.dead.retry_at());
        due.into_iter().chain(retries).chain(self.look_again_at).min()
    }

    /// Whether nothing may be sent before there is more allowance, for which it then looks again if
    /// somebody could take something.
    pub(super) fn waits_for_allowance(&mut self, now_wall_ms: u64) -> bool {
        let waits = self.allowance.is_used_up();
        if waits && self.has_ready() {
            self.look_again(self.allowance.again_at.max(now_wall_ms.saturating_add(1)));
        }
        waits
    }

    fn has_ready(&self) -> bool {
        match self.members.active() {
            Some(active) => self.members.is_ready(active),
            None => 0 < self.members.ready_permits(),
        }
    }

    /// Whether it waits for more allowance.
    #[must_use]
    pub fn is_out_of_allowance(&self) -> bool {
        self.allowance.is_used_up() && self.look_again_at.is_some()
    }

    /// Wants to be polled again by then.
    pub(super) fn look_again(&mut self, at: u64) {
        self.look_again_at = Some(self.look_again_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self.members.kind(), Some(Kind::Shared | Kind::KeyShared))
    }

    /// Blocks who has reached an unacked limit, and frees who has come down to half of it.
    pub(super) fn refresh_blocked(&mut self) {
        self.refresh_all_blocked();
        self.may_be_blocked = self.blocked.is_so();
        let max = self.options.consumer_unacked_messages_max;
        for (key, member) in self.members.iter_mut() {
            member.is_blocked = is_held_back(member.is_blocked, self.pending.messages_of(key), max);
            self.may_be_blocked |= member.is_blocked;
        }
    }

    /// The same after one consumer has been sent something, of which it now has so many messages.
    pub(super) fn refresh_blocked_of(&mut self, consumer: ConsumerKey, unacked: u64) {
        self.refresh_all_blocked();
        let max = self.options.consumer_unacked_messages_max;
        if let Some(member) = self.members.get_mut(consumer) {
            member.is_blocked = is_held_back(member.is_blocked, unacked, max);
            self.may_be_blocked |= member.is_blocked;
        }
        self.may_be_blocked |= self.blocked.is_so();
    }

    fn refresh_all_blocked(&mut self) {
        let unacked = self.pending.messages();
        let Options { unacked_messages_max: own, scarce_unacked_messages_max: common, .. } =
            self.options;
        let Blocked { by_own_limit, by_common_limit } = self.blocked;
        self.blocked = Blocked {
            by_own_limit: is_held_back(by_own_limit, unacked, own),
            by_common_limit: self.scarce.unacked && is_held_back(by_common_limit, unacked, common),
        };
    }
}

const fn is_held_back(was: bool, unacked: u64, max: u64) -> bool {
    0 < max && (max <= unacked || was && max / 2 < unacked)
}
