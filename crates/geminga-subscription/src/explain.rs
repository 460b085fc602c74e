//! Why a subscription moves, or does not.

use geminga_types::Ordinal;

use crate::ConsumerKey;

/// A subscription's answer to "what do you wait for?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What it waits for.
    pub state: State,
    /// The first entry that was never read.
    pub next_read: Ordinal,
    /// The first entry that the topic does not have yet.
    pub end: Ordinal,
    /// When the next delayed entry is due, in milliseconds of wall time.
    pub next_due: Option<u64>,
    /// Delayed entries that only the topic's index has.
    pub parked_entries: u64,
    /// None of those is due before, in milliseconds of wall time.
    pub parked_due: Option<u64>,
    /// Entries that are known and wait for their consumers: on `Key_Shared`, and on Shared chunks of
    /// messages that one has begun to get.
    pub held_back_entries: u64,
    /// How many of those there may be before nothing new is read; `None`: any number.
    pub held_back_entries_max: Option<u64>,
    /// In order of their keys.
    pub consumers: Vec<ConsumerState>,
    /// Slots that wait for their former owners or for dead letters, in order.
    pub draining: Vec<Draining>,
    /// Its dead letters, if it has a policy for them.
    pub dead_letters: Option<DeadLetters>,
}

/// Entries that were asked for again too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    /// Those to be published.
    pub waiting_entries: u64,
    /// Those at the publisher.
    pub out_entries: u64,
    /// Messages that were handed out and whose acks are not known to be durable.
    pub unsettled_messages: u64,
    /// How many of those there may be.
    pub unsettled_messages_max: u64,
    /// When the publisher tries again after a failure, in milliseconds of wall time.
    pub retry_at: Option<u64>,
}

/// What a subscription waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// For a consumer to come.
    NoConsumers,
    /// For messages to be published: there is no backlog, or all of it is at consumers.
    NothingToDeliver,
    /// For acks, and for dead letters to be published: nothing else is left.
    DeadLetters,
    /// For entries that are being read.
    Reading,
    /// For a time after a read that failed, in milliseconds of wall time.
    ReadFailed {
        /// When it tries again; unknown until it is polled.
        retry_at: Option<u64>,
    },
    /// For the consumer that was active before to ack what it has. Failover only.
    HandingOver {
        /// Which.
        from: ConsumerKey,
        /// Until when at most, in milliseconds of wall time; unknown until it is polled.
        until: Option<u64>,
    },
    /// For its consumers, none of which can take more: see them one by one.
    NoConsumerReady,
    /// For a limit that is reached.
    AtLimit(Limit),
    /// For some consumers, or the time of some entries, while others get theirs.
    PartlyHeldBack,
}

/// A limit that holds a subscription back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// For acks: too many messages are at its consumers.
    TooManyUnacked {
        /// How many.
        unacked_messages: u64,
        /// The limit.
        max: u64,
    },
    /// For acks, here or elsewhere: too many messages are at the consumers of all subscriptions.
    TooManyUnackedInAll {
        /// How many are at its own.
        unacked_messages: u64,
        /// How many there may be as long as there are too many in all.
        max: u64,
    },
    /// For its dispatch rate.
    DispatchRate {
        /// When it may send more, in milliseconds of wall time.
        again_at: u64,
    },
    /// For the time of delayed entries: there are too many to look further.
    TooManyDelayed {
        /// How many.
        delayed_entries: u64,
        /// The limit.
        max: u64,
    },
    /// For consumers of some keys: too many entries wait for them to look further.
    TooManyHeldBack,
    /// For consumers of some keys: too many delayed entries that are due wait for them to load more.
    TooManyDue {
        /// How many.
        held_back_entries: u64,
        /// The limit.
        max: u64,
    },
    /// For memory: the process holds too much of what this subscription would add to.
    ScarceMemory,
}

/// What a consumer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For messages: it can take them.
    ForMessages,
    /// It has not asked for more.
    ForPermits,
    /// Its connection takes no more.
    ForConnection,
    /// Too many of its messages are not acked.
    ForAcks,
    /// Another one is active.
    ToBeActive,
}

/// A consumer, as far as delivery is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerState {
    /// Which.
    pub consumer: ConsumerKey,
    /// What it waits for.
    pub waits: Waits,
    /// Messages it may still be sent.
    pub permits: i64,
    /// Messages at it that are not acked.
    pub unacked_messages: u64,
    /// Entries that wait for it: on `Key_Shared`, and on Shared chunks of messages that it has begun to
    /// get.
    pub waiting_entries: u64,
}

/// A slot that waits until its former owner has acked what it holds, or a dead letter is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draining {
    /// The slot.
    pub slot: u32,
    /// The former owner; `None`: the dead-letter publisher.
    pub holder: Option<ConsumerKey>,
    /// The first entry that it holds.
    pub held: Ordinal,
    /// Entries that wait.
    pub waiting_entries: u64,
    /// Since when, in milliseconds of wall time.
    pub since: u64,
}
