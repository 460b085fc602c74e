//! What the broker holds of a loaded topic.

use std::{collections::BTreeMap, sync::Arc};

use geminga_types::Position;
use tokio::sync::oneshot;

use super::{Event, mailbox::Sender};
use crate::{
    AdminError, BacklogCount, CompactionStatus, Consumer, LastMessage, ProduceError, Producer,
    SeekTo, StoredEntry, SubscribeError, SubscriptionExplanation, TopicError, TopicStats,
    consumer::OpenConsumer,
    policies::TopicPolicies,
    producer::OpenProducer,
    topic_row::{RowDetail, TopicRow},
};

/// Where a subscription made by an administrator begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartAt {
    Earliest,
    Latest,
    Position(Position),
}

/// An entry that an administrator wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WhichEntry {
    /// The one at this position.
    At(Position),
    /// With so many entries before it, of those not acked on a subscription.
    Unacked { subscription: String, index: u64 },
    /// With so many entries before it, of those stored.
    FromFirst(u64),
    /// With so many entries behind it.
    FromLast(u64),
}

/// What an administrator lets expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExpireTo {
    /// What was published before this wall-clock time in milliseconds.
    Time(u64),
    /// What lies at or before this position; with an ack set, of the entry there what that lets go.
    Position(Position, Option<Box<[i64]>>),
}

/// A loaded topic. Calls answer "gone" once its task has ended.
#[derive(Clone, Debug)]
pub(crate) struct TopicHandle {
    pub(super) mailbox: Sender,
}

/// The topic's task has ended: load it again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

impl From<Gone> for AdminError {
    fn from(_: Gone) -> Self {
        Self::Unavailable("the topic is being closed; try again".to_owned())
    }
}

impl TopicHandle {
    /// Whether the task has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.mailbox.is_closed()
    }

    pub(crate) async fn open_producer(
        &self,
        open: OpenProducer,
        gone: impl FnOnce() -> TopicError,
    ) -> Result<Producer, ProduceError> {
        let open = Box::new(open);
        match self.ask(|reply| Event::OpenProducer { open, reply }).await {
            Ok(answer) => answer,
            Err(Gone) => Err(gone().into()),
        }
    }

    pub(crate) async fn open_consumer(
        &self,
        open: OpenConsumer,
        gone: impl FnOnce() -> TopicError,
    ) -> Result<Consumer, SubscribeError> {
        let open = Box::new(open);
        match self.ask(|reply| Event::OpenConsumer { open, reply }).await {
            Ok(answer) => answer,
            Err(Gone) => Err(gone().into()),
        }
    }

    pub(crate) async fn stats(&self) -> Result<TopicStats, Gone> {
        self.ask(|reply| Event::Stats { reply }).await
    }

    pub(crate) async fn row(&self, detail: RowDetail) -> Result<TopicRow, Gone> {
        self.ask(|reply| Event::Row { detail, reply }).await
    }

    pub(crate) async fn explain(
        &self,
        subscription: String,
    ) -> Result<SubscriptionExplanation, AdminError> {
        self.ask(|reply| Event::Explain { subscription, reply }).await?
    }

    /// Whether nothing is stored or produced, nor consumed but by those that take any schema.
    /// Nothing if the topic is gone: whoever asks is to look for it again.
    pub(crate) async fn is_idle(&self) -> Option<bool> {
        self.ask(|reply| Event::IsIdle { reply }).await.ok()
    }

    /// Closes producers and consumers, makes acks durable, seals ledgers, ends the task.
    pub(crate) async fn unload(&self) {
        _ = self.ask(|reply| Event::Unload { reply }).await; // Gone is unloaded.
        self.mailbox.closed().await;
    }

    /// Whether anybody but the holder of this handle can send events.
    pub(crate) fn is_held_elsewhere(&self) -> bool {
        self.mailbox.has_others()
    }

    /// Unloads it if it is at rest. It is gone then.
    pub(crate) async fn sleep(&self) {
        if self.ask(|reply| Event::Sleep { reply }).await.is_ok() {
            self.mailbox.closed().await;
        }
    }

    /// Ends its task if it has been inactive for long enough, for the caller to delete what is stored;
    /// nothing of it is written any more.
    pub(crate) async fn delete_inactive(&self) -> Result<(), AdminError> {
        self.ask(|reply| Event::DeleteInactive { reply }).await??;
        self.mailbox.closed().await;
        Ok(())
    }

    /// Ends the task so that what is stored can be deleted; nothing of it is written any more.
    pub(crate) async fn prepare_delete(&self, force: bool) -> Result<(), AdminError> {
        if let Ok(answer) = self.ask(|reply| Event::PrepareDelete { force, reply }).await {
            answer?;
        }
        self.mailbox.closed().await;
        Ok(())
    }

    /// Tells it what governs it now; one that is gone will read that when it is loaded.
    pub(crate) async fn set_policies(&self, policies: Arc<TopicPolicies>) {
        _ = self.mailbox.send(Event::Policies(policies)).await;
    }

    pub(crate) async fn terminate(&self) -> Result<Position, AdminError> {
        self.ask(|reply| Event::Terminate { reply }).await?
    }

    /// What users noted about it.
    pub(crate) async fn properties(&self) -> Result<BTreeMap<String, String>, AdminError> {
        self.ask(|reply| Event::Properties { reply }).await?
    }

    /// Notes each property, or removes it. Durable once answered.
    pub(crate) async fn change_properties(
        &self,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<(), AdminError> {
        self.ask(|reply| Event::ChangeProperties { changes, reply }).await?
    }

    /// Lets go of all that is stored and that no cursor needs.
    pub(crate) async fn truncate(&self) -> Result<(), AdminError> {
        self.ask(|reply| Event::Truncate { reply }).await?
    }

    /// Begins a compaction.
    pub(crate) async fn compact(&self) -> Result<(), AdminError> {
        self.ask(|reply| Event::Compact { reply }).await?
    }

    pub(crate) async fn compaction_status(&self) -> Result<CompactionStatus, AdminError> {
        self.ask(|reply| Event::CompactionStatus { reply }).await?
    }

    pub(crate) async fn create_subscription(
        &self,
        name: String,
        at: StartAt,
        properties: Vec<(String, String)>,
    ) -> Result<(), AdminError> {
        self.ask(|reply| Event::CreateSubscription { name, at, properties, reply }).await?
    }

    pub(crate) async fn delete_subscription(
        &self,
        name: String,
        force: bool,
    ) -> Result<(), AdminError> {
        self.ask(|reply| Event::DeleteSubscription { name, force, reply }).await?
    }

    /// Acks the next `entries` entries of a subscription, or all of its backlog.
    pub(crate) async fn skip(
        &self,
        subscription: String,
        entries: Option<u64>,
    ) -> Result<(), AdminError> {
        self.ask(|reply| Event::Skip { subscription, entries, reply }).await?
    }

    /// Moves a cursor; who consumes is disconnected.
    pub(crate) async fn reset_cursor(
        &self,
        subscription: String,
        to: SeekTo,
    ) -> Result<(), AdminError> {
        self.ask(|reply| Event::ResetCursor { subscription, to, reply }).await?
    }

    /// Acks what is past its time on one subscription.
    pub(crate) async fn expire(
        &self,
        subscription: String,
        to: ExpireTo,
    ) -> Result<(), AdminError> {
        self.ask(|reply| Event::Expire { subscription, to, reply }).await?
    }

    /// Gives a subscription these properties, and no others. Durable once answered.
    pub(crate) async fn set_subscription_properties(
        &self,
        subscription: String,
        properties: BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        let event = |reply| Event::SetSubscriptionProperties { subscription, properties, reply };
        self.ask(event).await?
    }

    /// Counts what a subscription has not acked, from its first on or from a later position on.
    pub(crate) async fn count_backlog(
        &self,
        subscription: String,
        from: Option<Position>,
    ) -> Result<BacklogCount, AdminError> {
        self.ask(|reply| Event::CountBacklog { subscription, from, reply }).await?
    }

    /// How many bytes are stored from a position on.
    pub(crate) async fn bytes_from(&self, position: Position) -> Result<u64, AdminError> {
        self.ask(|reply| Event::BytesFrom { position, reply }).await?
    }

    /// Lets go of ledgers that nobody needs.
    pub(crate) async fn trim(&self) -> Result<(), AdminError> {
        self.ask(|reply| Event::Trim { reply }).await?
    }

    pub(crate) async fn last_message(&self) -> Result<LastMessage, AdminError> {
        self.ask(|reply| Event::LastMessageId { reply }).await?
    }

    pub(crate) async fn position_of_index(&self, index: u64) -> Result<Position, AdminError> {
        self.ask(|reply| Event::PositionOfIndex { index, reply }).await?
    }

    /// The first entry that was published at or after a time, or the place behind the last one; nothing if
    /// there was never an entry.
    pub(crate) async fn position_of_time(&self, time: u64) -> Result<Option<Position>, AdminError> {
        self.ask(|reply| Event::PositionOfTime { time, reply }).await?
    }

    pub(crate) async fn read_entry(&self, which: WhichEntry) -> Result<StoredEntry, AdminError> {
        self.ask(|reply| Event::ReadEntry { which, reply }).await?
    }

    async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(event(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

/// A topic that takes events and does nothing.
#[cfg(test)]
pub(crate) struct StuckTopic(TopicHandle, Option<super::mailbox::Receiver>);

#[cfg(test)]
impl StuckTopic {
    pub(crate) fn new() -> Self {
        let (mailbox, receiver) = super::mailbox::mailbox();
        Self(TopicHandle { mailbox }, Some(receiver))
    }

    pub(crate) fn handle(&self) -> TopicHandle {
        self.0.clone()
    }

    pub(crate) fn end(&mut self) {
        self.1 = None;
    }
}
