//! Between what a client asks for and what the subscription machines know.

use std::sync::Arc;

use geminga_subscription::{AttachError, ConsumerInfo, KeySharedMode, KeySharedOptions, Kind};
use geminga_types::{TopicName, key_slot};
use geminga_wire::entry::key_hash;

use crate::{Options, SubscribeError, SubscribeRequest, SubscriptionKind};

/// What the machines need to know of a consumer.
pub(super) fn info_of(request: &SubscribeRequest) -> ConsumerInfo {
    let kind = match request.kind {
        SubscriptionKind::Exclusive => Kind::Exclusive,
        SubscriptionKind::Failover => Kind::Failover,
        SubscriptionKind::Shared => Kind::Shared,
        SubscriptionKind::KeyShared => Kind::KeyShared,
    };
    // A reader says which hashes it wants to see. What others do not want would be acked for good.
    let is_reader =
        kind == Kind::Exclusive && !request.is_durable && request.sticky_ranges.is_some();
    let key_shared = (kind == Kind::KeyShared || is_reader).then(|| KeySharedOptions {
        mode: match &request.sticky_ranges {
            None => KeySharedMode::AutoSplit,
            Some(ranges) => {
                KeySharedMode::Sticky(ranges.iter().map(|&(first, last)| first..=last).collect())
            }
        },
        allow_out_of_order: request.allow_out_of_order,
    });
    let name = Arc::from(request.consumer_name.as_str());
    ConsumerInfo { name, priority: request.priority, kind, key_shared }
}

/// Their refusal, as doors see it.
pub(super) fn refusal(name: &str, error: AttachError) -> SubscribeError {
    match error {
        AttachError::ConsumerBusy => SubscribeError::Busy(format!(
            "Exclusive consumer is already connected to subscription {name}"
        )),
        AttachError::KindMismatch { attached } => SubscribeError::Busy(format!(
            "Subscription {name} is of different type: it has connected {attached:?} consumers"
        )),
        AttachError::NotShared => SubscribeError::NotAllowed(format!(
            "Subscription {name} has a dead-letter policy (geminga.deadLetter.maxRedeliverCount): its \
             consumers are Shared or Key_Shared"
        )),
        AttachError::Assign(reason) => SubscribeError::Assign(reason),
    }
}

/// Where a topic is on the ring of its consumers' names, if that decides who is active.
pub(super) fn failover_slot(topic: &TopicName, options: &Options) -> Option<u32> {
    options.failover_by_ring.then(|| key_slot(key_hash(topic.to_string().as_bytes())))
}
