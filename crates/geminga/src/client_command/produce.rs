//! `geminga client produce`.

use std::{collections::VecDeque, io::Write, path::PathBuf};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use geminga_client::{
    Client, Compression, MessageId, OutgoingMetadata, ProducerOptions,
    producer::{Batching, Receipt},
};
use geminga_env::Env;
use serde_json::json;

use super::{
    pace::{Pace, parse_rate},
    schema::SchemaOptions,
    write_failed,
};

#[derive(Debug, Args)]
pub(super) struct Produce {
    /// `topic`, `tenant/namespace/topic` or `persistent://tenant/namespace/topic`.
    topic: String,
    /// A message, or several with separators between; may be repeated.
    #[arg(short, long = "messages", value_name = "MESSAGE", allow_hyphen_values = true)]
    messages: Vec<String>,
    /// A file whose content is a message; may be repeated.
    #[arg(short, long = "files", value_name = "FILE", value_delimiter = ',')]
    files: Vec<PathBuf>,
    /// How often to send the messages.
    #[arg(short, long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    num_produce: u32,
    /// The key of each message.
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// A property of each message; may be repeated.
    #[arg(short, long = "properties", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = parse_property)]
    properties: Vec<(String, String)>,
    /// What separates the messages in one -m; empty when nothing does.
    #[arg(short, long, value_name = "TEXT", default_value = ",")]
    separator: String,
    /// Messages per second; 0 for as fast as it goes.
    #[arg(short, long, value_name = "RATE", default_value = "0", value_parser = parse_rate)]
    rate: f64,
    /// How payloads are compressed.
    #[arg(long, value_enum, default_value_t = Codec::None)]
    compression: Codec,
    /// Send each message as an entry of its own.
    #[arg(long)]
    disable_batching: bool,
    /// Name of the producer; the broker makes one up when it is not given.
    #[arg(long, value_name = "NAME")]
    producer_name: Option<String>,
    #[command(flatten)]
    schema: SchemaOptions,
    /// Print the id of each message that is stored as a JSON object a line, and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    None,
    Lz4,
    Zlib,
    Zstd,
    Snappy,
}

impl Produce {
    /// What is to be sent, in order, once.
    pub(super) fn messages(&self) -> anyhow::Result<Vec<Bytes>> {
        self.schema.schema_to_write()?;
        let mut messages: Vec<Bytes> = Vec::new();
        for text in &self.messages {
            let split = |text: &str| Bytes::copy_from_slice(text.as_bytes());
            match self.separator.as_str() {
                "" => messages.push(split(text)),
                separator => messages.extend(text.split(separator).map(split)),
            }
        }
        messages.iter().try_for_each(|message| self.schema.check(message, true))?;
        for path in &self.files {
            let name = path.display();
            let content =
                std::fs::read(path).with_context(|| format!("file {name} could not be read"))?;
            self.schema.check(&content, false).context(format!("file {name}"))?;
            messages.push(content.into());
        }
        ensure!(
            !messages.is_empty(),
            "there is nothing to send: give messages with -m or files with -f"
        );
        Ok(messages)
    }

    /// Sends them, pipelined, and says how many are stored.
    pub(super) async fn run(
        &self,
        env: &Env,
        client: &Client,
        messages: Vec<Bytes>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let options = ProducerOptions {
            name: self.producer_name.clone(),
            compression: self.compression.into(),
            batching: (!self.disable_batching).then(Batching::default),
            schema: self.schema.schema_to_write()?,
            ..ProducerOptions::default()
        };
        let producer = client.producer(&self.topic, options).await;
        let producer = producer.with_context(|| format!("topic {}", self.topic))?;
        let mut pace = Pace::new(env, self.rate);
        let mut sent = Tally { keeps_ids: self.json, ..Tally::default() };
        'all: for _ in 0..self.num_produce {
            for message in &messages {
                pace.turn(env).await;
                sent.push(producer.send(self.metadata(), message.clone()).await).await;
                if sent.failure.is_some() {
                    break 'all;
                }
            }
        }
        while !sent.receipts.is_empty() {
            sent.settle_oldest().await;
        }
        let closed = producer.close().await;
        if self.json {
            let ids = sent.ids.iter().map(|id| json!({"messageId": id.to_string()}));
            ids.into_iter().try_for_each(|id| write_failed(writeln!(out, "{id}")))?;
        } else {
            write_failed(writeln!(out, "{} messages successfully produced", sent.stored))?;
        }
        if let Some(failure) = sent.failure {
            let context = format!("a message to {} is not known to be stored", self.topic);
            return Err(anyhow::Error::new(failure).context(context));
        }
        closed.context("closing the producer")
    }

    fn metadata(&self) -> OutgoingMetadata {
        OutgoingMetadata {
            key: self.key.clone(),
            properties: self.properties.clone(),
            ..OutgoingMetadata::default()
        }
    }
}

/// What became of the messages that were sent.
#[derive(Default)]
struct Tally {
    receipts: VecDeque<Receipt>,
    stored: u64,
    /// Of what is stored, in the order of the sends, if they are wanted.
    ids: Vec<MessageId>,
    keeps_ids: bool,
    failure: Option<geminga_client::producer::SendError>,
}

impl Tally {
    /// Receipts that are kept before the oldest is waited for.
    const KEPT_MAX: usize = 1_000;

    async fn push(&mut self, receipt: Receipt) {
        self.receipts.push_back(receipt);
        if Self::KEPT_MAX < self.receipts.len() {
            self.settle_oldest().await;
        }
    }

    async fn settle_oldest(&mut self) {
        let Some(receipt) = self.receipts.pop_front() else { return };
        match receipt.await {
            Ok(id) => {
                self.stored += 1;
                if self.keeps_ids {
                    self.ids.push(id);
                }
            }
            Err(error) => _ = self.failure.get_or_insert(error),
        }
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

fn parse_property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if name.is_empty() {
        return Err("the key is missing".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}
