//! `geminga client consume`.

use std::io::Write;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use geminga_client::{
    Client, Consumer, ConsumerOptions,
    consumer::{ReceiveError, StartAt, SubscriptionType},
};
use geminga_env::Env;
use tracing::error;

use super::{
    pace::{Pace, parse_rate},
    print::Form,
    schema::SchemaOptions,
    write_failed,
};

#[derive(Debug, Args)]
pub(super) struct Consume {
    /// `topic`, `tenant/namespace/topic` or `persistent://tenant/namespace/topic`.
    topic: String,
    /// The subscription.
    #[arg(short, long, value_name = "NAME")]
    subscription_name: String,
    /// How many messages to receive; 0 to go on for ever.
    #[arg(short, long, value_name = "NUM", default_value_t = 1)]
    num_messages: u64,
    /// How messages are divided among the subscription's consumers.
    #[arg(short = 't', long, value_name = "TYPE", value_enum, ignore_case = true, default_value_t = Type::Exclusive)]
    subscription_type: Type,
    /// Where a new subscription begins.
    #[arg(short = 'p', long, value_name = "POSITION", value_enum, ignore_case = true, default_value_t = Begin::Latest)]
    subscription_position: Begin,
    /// Whether the broker keeps the subscription when nobody is connected.
    #[arg(short = 'm', long, value_name = "MODE", value_enum, ignore_case = true, default_value_t = Mode::Durable)]
    subscription_mode: Mode,
    #[command(flatten)]
    form: Form,
    /// Messages per second; 0 for as fast as it goes.
    #[arg(short, long, value_name = "RATE", default_value = "0", value_parser = parse_rate)]
    rate: f64,
    /// Messages that are fetched ahead.
    #[arg(short, long, value_name = "NUM", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queue_size: u32,
    #[command(flatten)]
    schema: SchemaOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Type {
    Exclusive,
    Shared,
    Failover,
    #[value(name = "Key_Shared")]
    KeyShared,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Begin {
    Latest,
    Earliest,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Mode {
    Durable,
    NonDurable,
}

impl Consume {
    /// Receives, prints and acks until there were enough, or Ctrl-C.
    pub(super) async fn run(
        &self,
        env: &Env,
        client: &Client,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let subscribed = client.subscribe(&self.topic, &self.subscription_name, self.options()?);
        let mut consumer = subscribed.await.with_context(|| {
            format!("topic {}, subscription {}", self.topic, self.subscription_name)
        })?;
        let mut consumed = 0;
        let outcome = tokio::select! {
            biased;
            interrupted = tokio::signal::ctrl_c() => interrupted.context("handler of Ctrl-C"),
            outcome = self.receive(env, &mut consumer, &mut consumed, out) => outcome,
        };
        let closed = consumer.close().await;
        if !self.form.json {
            write_failed(writeln!(out, "{consumed} messages successfully consumed"))?;
        }
        outcome?;
        closed.context("closing the consumer")
    }

    async fn receive(
        &self,
        env: &Env,
        consumer: &mut Consumer,
        consumed: &mut u64,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut pace = Pace::new(env, self.rate);
        while self.num_messages == 0 || *consumed < self.num_messages {
            pace.turn(env).await;
            let message = match consumer.receive().await {
                Ok(message) => message,
                Err(unreadable @ ReceiveError::Unreadable { .. }) => {
                    error!("{unreadable}; it stays in the backlog");
                    continue;
                }
                Err(error) => return Err(error).with_context(|| format!("topic {}", self.topic)),
            };
            *consumed += 1;
            write_failed(self.form.print(&message, out))?;
            consumer.ack(&message.id).await?;
        }
        Ok(())
    }

    /// What the consumer is to be; asked before anything is connected, too, to find what is wrong.
    pub(super) fn options(&self) -> anyhow::Result<ConsumerOptions> {
        Ok(ConsumerOptions {
            subscription_type: match self.subscription_type {
                Type::Exclusive => SubscriptionType::Exclusive,
                Type::Shared => SubscriptionType::Shared,
                Type::Failover => SubscriptionType::Failover,
                Type::KeyShared => SubscriptionType::KeyShared,
            },
            start_at: match self.subscription_position {
                Begin::Latest => StartAt::Latest,
                Begin::Earliest => StartAt::Earliest,
            },
            is_durable: matches!(self.subscription_mode, Mode::Durable),
            queue_size: self.queue_size,
            schema: self.schema.schema()?,
            ..ConsumerOptions::default()
        })
    }
}
