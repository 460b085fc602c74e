//! What can be asked for.

use std::time::Duration;

use clap::{Args, ValueEnum};
use geminga_client::{
    Compression, ConsumerOptions, ProducerOptions,
    consumer::{StartAt, SubscriptionType},
    producer::Batching,
};

use crate::client_command::parse_rate;

#[derive(Debug, Args)]
pub(super) struct Produce {
    #[command(flatten)]
    pub(super) topics: Topics,
    #[command(flatten)]
    pub(super) sending: Sending,
    #[command(flatten)]
    pub(super) length: Length,
    /// Connections that the producers are spread over.
    #[arg(short, long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) connections: u32,
}

#[derive(Debug, Args)]
pub(super) struct Consume {
    #[command(flatten)]
    pub(super) topics: Topics,
    #[command(flatten)]
    pub(super) receiving: Receiving,
    #[command(flatten)]
    pub(super) length: Length,
    /// Connections that the consumers are spread over.
    #[arg(short, long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) connections: u32,
}

#[derive(Debug, Args)]
pub(super) struct Latency {
    #[command(flatten)]
    pub(super) produce: Produce,
    #[command(flatten)]
    pub(super) receiving: Receiving,
}

#[derive(Debug, Args)]
pub(super) struct Topics {
    /// `topic`, `tenant/namespace/topic` or `persistent://tenant/namespace/topic`.
    #[arg(default_value = "perf")]
    pub(super) topic: String,
    /// So many topics, with `-0`, `-1`, … behind the name.
    #[arg(short = 't', long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) topics: u32,
}

#[derive(Debug, Args)]
pub(super) struct Sending {
    /// Messages per second of all producers together; 0 for as fast as it goes.
    #[arg(short, long, value_name = "RATE", default_value = "0", value_parser = parse_rate)]
    pub(super) rate: f64,
    /// Bytes of each message.
    #[arg(short, long, value_name = "BYTES", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(0..=64 * 1024 * 1024))]
    pub(super) size: u32,
    /// Producers of each topic.
    #[arg(short = 'n', long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) producers: u32,
    /// Messages of each producer that may be without a receipt.
    #[arg(short = 'o', long, value_name = "NUM", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) in_flight: u32,
    /// Messages have keys: so many different ones, in turn.
    #[arg(short, long, value_name = "NUM", default_value_t = 0)]
    pub(super) keys: u32,
    /// Send each message as an entry of its own.
    #[arg(long)]
    pub(super) disable_batching: bool,
    /// Messages of a batch, at most.
    #[arg(long, value_name = "NUM", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_messages: u32,
    /// Bytes of a batch, at most.
    #[arg(long, value_name = "BYTES", default_value_t = 128 * 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_bytes: u32,
    /// How long a batch waits for more messages.
    #[arg(long, value_name = "MS", default_value_t = 1)]
    pub(super) batch_delay: u32,
    /// How payloads are compressed.
    #[arg(long, value_enum, default_value_t = Codec::None)]
    pub(super) compression: Codec,
}

#[derive(Debug, Args)]
pub(super) struct Receiving {
    /// Subscriptions of each topic.
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) subscriptions: u32,
    /// Their name; with `-1`, `-2`, … behind it for those after the first.
    #[arg(long, value_name = "NAME", default_value = "perf")]
    pub(super) subscription: String,
    /// How messages are divided among the consumers of a subscription.
    #[arg(long, value_name = "TYPE", value_enum, ignore_case = true, default_value_t = Type::Exclusive)]
    pub(super) subscription_type: Type,
    /// Where a new subscription begins.
    #[arg(long, value_name = "POSITION", value_enum, ignore_case = true, default_value_t = Begin::Latest)]
    pub(super) position: Begin,
    /// Consumers of each subscription.
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) consumers: u32,
    /// Messages that each consumer fetches ahead.
    #[arg(short, long, value_name = "NUM", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) queue_size: u32,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Length {
    /// Seconds that are measured; without it 10, or until all messages are done.
    #[arg(short, long, value_name = "SECONDS")]
    pub(super) duration: Option<u32>,
    /// Messages in all; 0 for no limit.
    #[arg(short = 'm', long, value_name = "NUM", default_value_t = 0)]
    pub(super) messages: u64,
    /// Seconds before that, which are not measured.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 0)]
    pub(super) warm_up: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Codec {
    None,
    Lz4,
    Zlib,
    Zstd,
    Snappy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum Type {
    Exclusive,
    Shared,
    Failover,
    #[value(name = "Key_Shared")]
    KeyShared,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum Begin {
    Latest,
    Earliest,
}

impl Topics {
    /// Their names.
    pub(super) fn names(&self) -> Vec<String> {
        match self.topics {
            1 => vec![self.topic.clone()],
            count => (0..count).map(|index| format!("{}-{index}", self.topic)).collect(),
        }
    }
}

impl Sending {
    pub(super) fn size_bytes(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    pub(super) fn options(&self) -> ProducerOptions {
        let batching = (!self.disable_batching).then(|| Batching {
            messages_max: self.batch_messages,
            bytes_max: usize::try_from(self.batch_bytes).unwrap_or(usize::MAX),
            delay: Duration::from_millis(self.batch_delay.into()),
        });
        let bytes = u64::from(self.in_flight) * u64::from(self.size);
        ProducerOptions {
            compression: self.compression.into(),
            batching,
            // The schedule keeps to the limit; places are freed in groups, a little later.
            pending_messages_max: self.in_flight.saturating_mul(2),
            pending_bytes_max: u32::try_from(bytes.saturating_mul(2)).unwrap_or(u32::MAX).max(1),
            ..ProducerOptions::default()
        }
    }
}

impl Receiving {
    pub(super) fn options(&self) -> ConsumerOptions {
        ConsumerOptions {
            subscription_type: match self.subscription_type {
                Type::Exclusive => SubscriptionType::Exclusive,
                Type::Shared => SubscriptionType::Shared,
                Type::Failover => SubscriptionType::Failover,
                Type::KeyShared => SubscriptionType::KeyShared,
            },
            start_at: match self.position {
                Begin::Latest => StartAt::Latest,
                Begin::Earliest => StartAt::Earliest,
            },
            queue_size: self.queue_size,
            ..ConsumerOptions::default()
        }
    }

    /// The subscriptions' names.
    pub(super) fn names(&self) -> Vec<String> {
        let name = &self.subscription;
        let numbered = |index| if index == 0 { name.clone() } else { format!("{name}-{index}") };
        (0..self.subscriptions).map(numbered).collect()
    }
}

impl Length {
    /// What is measured if nothing else is asked for.
    const USUAL: Duration = Duration::from_secs(10);

    /// How long is measured at most.
    pub(super) fn measured(&self) -> Option<Duration> {
        let asked = self.duration.map(|seconds| Duration::from_secs(seconds.into()));
        asked.or_else(|| (self.messages == 0).then_some(Self::USUAL))
    }

    pub(super) fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up.into())
    }
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Lz4 => Self::Lz4,
            Codec::Zlib => Self::Zlib,
            Codec::Zstd => Self::Zstd,
            Codec::Snappy => Self::Snappy,
        }
    }
}
