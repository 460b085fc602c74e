//! Dispatch of a non-persistent topic: each message goes at once to a consumer that can take it, or
//! is dropped and counted. No acks, no redelivery.

use geminga_types::key_slot;

use crate::{AttachError, ConsumerInfo, ConsumerKey, Kind, Options, members::Members};

/// A message, or a batch, as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<P> {
    /// How many messages it holds; 0 counts as 1.
    pub messages: u32,
    /// Slot of its key, in `0..65536`. `Key_Shared` only.
    pub key_hash: u32,
    /// Handed through.
    pub payload: P,
}

/// A message on its way to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<P> {
    /// The consumer.
    pub consumer: ConsumerKey,
    /// What the delivery cost in permits.
    pub messages: u32,
    /// As it was published.
    pub payload: P,
}

/// A subscription of a non-persistent topic.
#[derive(Debug)]
pub struct Dispatch {
    members: Members,
    dropped_messages: u64,
}

impl Dispatch {
    /// No consumers. Of `options` count those that say who is active and who has which key.
    #[must_use]
    pub const fn new(options: &Options) -> Self {
        Self { members: Members::new(options), dropped_messages: 0 }
    }

    /// Adds a consumer, without permits.
    ///
    /// # Errors
    ///
    /// As [`AttachError`] says; nothing has changed then.
    pub fn attach(&mut self, key: ConsumerKey, info: ConsumerInfo) -> Result<(), AttachError> {
        self.members.attach(key, info)
    }

    /// Removes a consumer.
    pub fn detach(&mut self, key: ConsumerKey) {
        self.members.detach(key);
    }

    /// Grants a consumer more permits.
    pub fn flow(&mut self, key: ConsumerKey, permits: u32) {
        self.members.grant(key, permits);
    }

    /// Notes whether a consumer's connection takes more; it does at first.
    pub fn set_writable(&mut self, key: ConsumerKey, is_writable: bool) {
        if let Some(member) = self.members.get_mut(key) {
            member.is_writable = is_writable;
        }
    }

    /// A Failover consumer to be told whether it is the active one. Poll until `None`.
    pub fn poll_active_changed(&mut self) -> Option<(ConsumerKey, bool)> {
        self.members.poll_announcement()
    }

    /// Gives a message to a consumer; `None` when none can take it: it is dropped.
    pub fn publish<P>(&mut self, message: Message<P>) -> Option<Delivery<P>> {
        let messages = message.messages.max(1);
        let chosen = match self.members.kind() {
            None => None,
            Some(Kind::Exclusive | Kind::Failover) => self.members.active(),
            Some(Kind::Shared) => self.members.take_turn().map(|(key, _)| key),
            Some(Kind::KeyShared) => self.members.owner(key_slot(message.key_hash)),
        };
        let ready = chosen.filter(|&key| self.members.is_ready(key));
        let Some((consumer, member)) =
            ready.and_then(|key| Some((key, self.members.get_mut(key)?)))
        else {
            self.note_dropped(messages);
            return None;
        };
        member.charge(messages);
        Some(Delivery { consumer, messages, payload: message.payload })
    }

    /// Drops a message without a look at its consumers; 0 messages count as 1.
    pub fn note_dropped(&mut self, messages: u32) {
        self.dropped_messages += u64::from(messages.max(1));
    }

    /// Messages that nobody could take.
    #[must_use]
    pub const fn dropped_messages(&self) -> u64 {
        self.dropped_messages
    }

    /// The type of the consumers attached, if any.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.members.kind()
    }

    /// The active consumer of an Exclusive or Failover subscription.
    #[must_use]
    pub const fn active(&self) -> Option<ConsumerKey> {
        self.members.active()
    }

    /// Whether nobody is attached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A consumer's permits, if it is attached.
    #[must_use]
    pub fn permits(&self, key: ConsumerKey) -> Option<i64> {
        self.members.get(key).map(|member| member.permits())
    }
}

#[cfg(test)]
mod tests;
