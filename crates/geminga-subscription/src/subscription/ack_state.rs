//! What is acked, as a whole or in parts.

use geminga_types::Ordinal;

use super::Subscription;
use crate::AckState;

/// Where a part of what is acked begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckPart {
    kind: AckKind,
    /// The first entry that counts.
    from: Ordinal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AckKind {
    Acked,
    Partial,
    RedeliveryCount,
}

impl AckPart {
    /// The first part.
    #[must_use]
    pub const fn first() -> Self {
        Self { kind: AckKind::Acked, from: Ordinal(0) }
    }
}

impl<P> Subscription<P> {
    /// What is acked, as a whole, and the redelivery counts of what is not.
    #[must_use]
    pub fn ack_state(&self) -> AckState {
        self.ack_state_part(AckPart::first(), usize::MAX).0
    }

    /// A part of what is acked, as of now, of at most `items_max` items (and at least one), and where the
    /// next one begins. Parts that were taken at different times make up what is acked once all changes
    /// since the first are applied to them again.
    #[must_use]
    pub fn ack_state_part(&self, part: AckPart, items_max: usize) -> (AckState, Option<AckPart>) {
        let mut state = AckState {
            next_unacked: self.acks.next_unacked(),
            acked: Vec::new(),
            partial: Vec::new(),
            redelivery_counts: Vec::new(),
        };
        let AckPart { mut kind, mut from } = part;
        let mut left = items_max.max(1);
        loop {
            let (collected, next) = match kind {
                AckKind::Acked => {
                    state.acked.extend(self.acks.acked_from(from).take(left));
                    (state.acked.len(), state.acked.last().map(|range| range.end))
                }
                AckKind::Partial => {
                    state.partial.extend(self.acks.partial_from(from).take(left));
                    (state.partial.len(), state.partial.last().map(|(at, _)| at.plus(1)))
                }
                AckKind::RedeliveryCount => {
                    let counts = self.redelivery_counts.range(from..);
                    state
                        .redelivery_counts
                        .extend(counts.map(|(&at, &count)| (at, count)).take(left));
                    let last = state.redelivery_counts.last();
                    (state.redelivery_counts.len(), last.map(|(at, _)| at.plus(1)))
                }
            };
            left -= collected;
            from = next.unwrap_or(from);
            if left == 0 {
                return (state, Some(AckPart { kind, from }));
            }
            (kind, from) = match kind {
                AckKind::Acked => (AckKind::Partial, Ordinal(0)),
                AckKind::Partial => (AckKind::RedeliveryCount, Ordinal(0)),
                AckKind::RedeliveryCount => return (state, None),
            };
        }
    }
}
