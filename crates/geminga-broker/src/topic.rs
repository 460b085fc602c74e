//! One topic partition: one task that owns its producers, managed ledger, subscriptions and cursors.
//!
//! Everything that happens to it is an [`Event`] in its mailbox, or comes back from work that it
//! started ([`inbox`]); `task.rs` waits, the rest decides. The two kinds of topic have one mailbox
//! type: [`persistent`] ones store entries, [`nonpersistent`] ones hand them to who is connected.

mod activity;
mod admission;
mod attach;
mod consumers;
mod handle;
mod inbox;
mod mailbox;
mod nonpersistent;
mod persistent;
mod producers;
mod rates;

use std::{collections::BTreeMap, sync::Arc};

use geminga_types::Position;
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use handle::StuckTopic;
pub(crate) use handle::{ExpireTo, Gone, StartAt, TopicHandle, WhichEntry};
pub(crate) use mailbox::Sender as MailboxSender;
pub(crate) use persistent::{
    DEDUPLICATION_CURSOR, Deduplication, TopicDeps, is_reserved, recover_deduplication,
    recover_index,
};

use crate::{
    AckRequest, AdminError, BacklogCount, CompactionStatus, Consumer, ConsumerStats, LastMessage,
    ProduceError, Producer, Publish, RequestError, SeekTo, StoredEntry, SubscribeError,
    SubscriptionExplanation, TopicStats,
    consumer::OpenConsumer,
    policies::TopicPolicies,
    producer::OpenProducer,
    topic_row::{RowDetail, TopicRow},
};

type Reply<T> = oneshot::Sender<T>;

/// What can happen to a topic from outside. Each names its producer or consumer by the key that the
/// topic gave; a key that is gone is ignored, or answered with "closed".
#[derive(Debug)]
pub(crate) enum Event {
    OpenProducer {
        open: Box<OpenProducer>,
        reply: Reply<Result<Producer, ProduceError>>,
    },
    Publish {
        producer: u64,
        batch: Vec<Publish>,
    },
    CloseProducer {
        producer: u64,
        reply: Reply<()>,
    },
    OpenConsumer {
        open: Box<OpenConsumer>,
        reply: Reply<Result<Consumer, SubscribeError>>,
    },
    Flow {
        consumer: u64,
        permits: u32,
    },
    Ack {
        consumer: u64,
        request: AckRequest,
    },
    Redeliver {
        consumer: u64,
        positions: Option<Vec<Position>>,
        epoch: Option<u64>,
    },
    Unsubscribe {
        consumer: u64,
        force: bool,
        reply: Reply<Result<(), RequestError>>,
    },
    Seek {
        consumer: u64,
        to: SeekTo,
        reply: Reply<Result<(), RequestError>>,
    },
    LastMessage {
        consumer: u64,
        reply: Reply<Result<LastMessage, RequestError>>,
    },
    ConsumerStats {
        consumer: u64,
        reply: Reply<Result<ConsumerStats, RequestError>>,
    },
    CloseConsumer {
        consumer: u64,
        reply: Reply<()>,
    },
    Stats {
        reply: Reply<TopicStats>,
    },
    Row {
        detail: RowDetail,
        reply: Reply<TopicRow>,
    },
    Explain {
        subscription: String,
        reply: Reply<Result<SubscriptionExplanation, AdminError>>,
    },
    IsIdle {
        reply: Reply<bool>,
    },
    LastMessageId {
        reply: Reply<Result<LastMessage, AdminError>>,
    },
    PositionOfIndex {
        index: u64,
        reply: Reply<Result<Position, AdminError>>,
    },
    PositionOfTime {
        time: u64,
        reply: Reply<Result<Option<Position>, AdminError>>,
    },
    ReadEntry {
        which: WhichEntry,
        reply: Reply<Result<StoredEntry, AdminError>>,
    },
    CreateSubscription {
        name: String,
        at: StartAt,
        properties: Vec<(String, String)>,
        reply: Reply<Result<(), AdminError>>,
    },
    DeleteSubscription {
        name: String,
        force: bool,
        reply: Reply<Result<(), AdminError>>,
    },
    Skip {
        subscription: String,
        entries: Option<u64>,
        reply: Reply<Result<(), AdminError>>,
    },
    ResetCursor {
        subscription: String,
        to: SeekTo,
        reply: Reply<Result<(), AdminError>>,
    },
    Expire {
        subscription: String,
        to: ExpireTo,
        reply: Reply<Result<(), AdminError>>,
    },
    SetSubscriptionProperties {
        subscription: String,
        properties: BTreeMap<String, String>,
        reply: Reply<Result<(), AdminError>>,
    },
    CountBacklog {
        subscription: String,
        from: Option<Position>,
        reply: Reply<Result<BacklogCount, AdminError>>,
    },
    /// Bytes stored from a position on.
    BytesFrom {
        position: Position,
        reply: Reply<Result<u64, AdminError>>,
    },
    /// Deletes ledgers that nobody needs, now.
    Trim {
        reply: Reply<Result<(), AdminError>>,
    },
    Compact {
        reply: Reply<Result<(), AdminError>>,
    },
    CompactionStatus {
        reply: Reply<Result<CompactionStatus, AdminError>>,
    },
    Terminate {
        reply: Reply<Result<Position, AdminError>>,
    },
    Properties {
        reply: Reply<Result<BTreeMap<String, String>, AdminError>>,
    },
    /// Each with its value; nothing removes it.
    ChangeProperties {
        changes: Vec<(String, Option<String>)>,
        reply: Reply<Result<(), AdminError>>,
    },
    Truncate {
        reply: Reply<Result<(), AdminError>>,
    },
    /// What governs it has changed.
    Policies(Arc<TopicPolicies>),
    Unload {
        reply: Reply<()>,
    },
    /// Unloads it if it is at rest: nobody would notice. Otherwise it stays, and drops the reply.
    Sleep {
        reply: Reply<()>,
    },
    /// Refused unless it is inactive; else like the next.
    DeleteInactive {
        reply: Reply<Result<(), AdminError>>,
    },
    /// Refused while in use unless `force`; once answered `Ok` nothing is attached and the task
    /// ends without sealing: the caller deletes what is stored.
    PrepareDelete {
        force: bool,
        reply: Reply<Result<(), AdminError>>,
    },
}

/// Starts a topic that stores its entries.
pub(crate) fn spawn_persistent(
    name: geminga_types::TopicName,
    stored: (geminga_managed_ledger::ManagedLedger, Option<Box<Deduplication>>),
    policies: Arc<TopicPolicies>,
    grant: crate::ownership::Grant,
    deps: TopicDeps,
    shutdown: tokio_util::sync::CancellationToken,
) -> TopicHandle {
    persistent::spawn(name, stored, policies, grant, deps, shutdown)
}

/// Starts a topic that stores nothing.
pub(crate) fn spawn_nonpersistent(
    name: geminga_types::TopicName,
    policies: Arc<TopicPolicies>,
    grant: crate::ownership::Grant,
    deps: TopicDeps,
    shutdown: tokio_util::sync::CancellationToken,
) -> TopicHandle {
    nonpersistent::spawn(name, policies, grant, deps, shutdown)
}

#[cfg(test)]
mod tests {
    use super::Event;

    /// A mailbox holds slots of this size for each topic, so it is worth watching.
    #[test]
    fn an_event_is_small() {
        assert!(size_of::<Event>() <= 128, "{}", size_of::<Event>());
    }
}
