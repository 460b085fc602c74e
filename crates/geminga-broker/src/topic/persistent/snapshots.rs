//! Snapshots of cursors, for their logs. That of a cursor with many items is collected in parts, between
//! which the topic does its other work: acks do not wait for it.

use geminga_managed_ledger::{CursorState, SnapshotAttempt};
use geminga_subscription::AckPart;

use super::{SubscriptionName, Topic};

/// One that is being collected.
#[derive(Debug)]
pub(super) struct Making {
    attempt: SnapshotAttempt,
    /// Of its subscription.
    incarnation: u64,
    state: CursorState,
    next: AckPart,
}

impl Topic {
    pub(super) fn begin_snapshot(&mut self, name: &str) {
        let Some((name, sub)) = self.subscriptions.get_key_value(name) else { return };
        let Some(attempt) = self.ledger.begin_snapshot(name) else { return };
        let next_unacked = sub.machine.mark_delete();
        let state = CursorState {
            cursor_properties: sub.properties.iter().cloned().collect(),
            ..CursorState::at(self.ledger.mark_delete_position(next_unacked))
        };
        let (incarnation, next) = (sub.incarnation, AckPart::first());
        let making = Box::new(Making { attempt, incarnation, state, next });
        self.go_on_with_snapshot(SubscriptionName::clone(name), making);
    }

    /// Collects another part of each.
    pub(super) fn go_on_with_snapshots(&mut self) {
        for (name, making) in std::mem::take(&mut self.snapshots) {
            self.go_on_with_snapshot(name, making);
        }
    }

    fn go_on_with_snapshot(&mut self, name: SubscriptionName, mut making: Box<Making>) {
        let sub = self.subscriptions.get(&name);
        let Some(sub) = sub.filter(|sub| sub.incarnation == making.incarnation) else {
            return; // It has gone, and its cursor with it.
        };
        let items = self.ledger.options().cursor_part_items;
        let (part, next) = sub.machine.ack_state_part(making.next, items);
        let state = &mut making.state;
        state.acked.extend(self.positions_of(part.acked.iter()));
        state.partial.extend(self.positions_of_partial(&part.partial));
        state.redelivery_counts.extend(self.positions_of_counts(&part.redelivery_counts));
        if let Some(next) = next {
            making.next = next;
            self.snapshots.insert(name, making);
        } else {
            // What changed between two parts may be in none of them, as it was or as it is now: it is in the
            // log before they are.
            self.flush_acks(&name);
            self.ledger.finish_snapshot(&name, making.attempt, making.state);
        }
    }
}
