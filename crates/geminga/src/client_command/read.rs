//! `geminga client read`.

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use geminga_client::{
    Client, Consumer, ConsumerOptions, MessageId,
    consumer::{ReceiveError, StartAt},
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
pub(super) struct Read {
    /// `topic`, `tenant/namespace/topic` or `persistent://tenant/namespace/topic`.
    topic: String,
    /// Where to begin: latest, earliest or ledger:entry; an id is of one partition, which TOPIC names.
    #[arg(short = 'm', long, value_name = "ID", default_value = "latest", value_parser = parse_start)]
    start_message_id: StartAt,
    /// Begin with the message of that id, not behind it.
    #[arg(short = 'i', long)]
    start_message_id_inclusive: bool,
    /// How many messages to read; 0 to go on for ever.
    #[arg(short, long, value_name = "NUM", default_value_t = 1)]
    num_messages: u64,
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

fn parse_start(text: &str) -> Result<StartAt, String> {
    match text {
        "latest" => Ok(StartAt::Latest),
        "earliest" => Ok(StartAt::Earliest),
        _ => {
            let id: MessageId =
                text.parse().map_err(|_| "expected latest, earliest or ledger:entry".to_owned())?;
            Ok(StartAt::Id { id, inclusive: false })
        }
    }
}

impl Read {
    /// Reads and prints until there were enough, or Ctrl-C; nothing is kept at the broker.
    pub(super) async fn run(
        &self,
        env: &Env,
        client: &Client,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let name = format!("reader-{:010x}", env.random.next_u64() >> 24);
        let subscribed = client.subscribe(&self.topic, &name, self.options()?);
        let mut reader = subscribed.await.with_context(|| format!("topic {}", self.topic))?;
        let mut count = 0;
        let outcome = tokio::select! {
            biased;
            interrupted = tokio::signal::ctrl_c() => interrupted.context("handler of Ctrl-C"),
            outcome = self.receive(env, &mut reader, &mut count, out) => outcome,
        };
        let closed = reader.close().await;
        if !self.form.json {
            write_failed(writeln!(out, "{count} messages successfully read"))?;
        }
        outcome?;
        closed.context("closing the reader")
    }

    async fn receive(
        &self,
        env: &Env,
        reader: &mut Consumer,
        count: &mut u64,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut pace = Pace::new(env, self.rate);
        while self.num_messages == 0 || *count < self.num_messages {
            pace.turn(env).await;
            match reader.receive().await {
                Ok(message) => {
                    *count += 1;
                    write_failed(self.form.print(&message, out))?;
                    // What was read is not sent again after a loss of the connection.
                    reader.ack(&message.id).await?;
                }
                Err(unreadable @ ReceiveError::Unreadable { .. }) => error!("{unreadable}"),
                Err(error) => return Err(error).with_context(|| format!("topic {}", self.topic)),
            }
        }
        Ok(())
    }

    /// What the reader is to be; asked before anything is connected, too, to find what is wrong.
    pub(super) fn options(&self) -> anyhow::Result<ConsumerOptions> {
        let start_at = match self.start_message_id {
            StartAt::Id { id, .. } => {
                StartAt::Id { id, inclusive: self.start_message_id_inclusive }
            }
            end => end,
        };
        let (is_durable, queue_size, schema) = (false, self.queue_size, self.schema.schema()?);
        Ok(ConsumerOptions {
            start_at,
            is_durable,
            queue_size,
            schema,
            ..ConsumerOptions::default()
        })
    }
}
