//! The producers that are open on a topic, whether it stores messages or not.
//!
//! # Invariants
//!
//! 1. Names are unique among them.

use std::collections::BTreeMap;

use geminga_env::{Env, Instant};
use geminga_types::TopicName;

use super::{mailbox::Sender, rates::Flow};
use crate::{
    AccessMode, ClientKey, Outbox, Outgoing, ProduceError, Producer, ProducerRequest,
    PublisherStats, producer::OpenProducer,
};

/// A producer that is open.
pub(super) struct OpenedProducer {
    request: ProducerRequest,
    pub(super) name: String,
    pub(super) outbox: Outbox,
    pub(super) flow: Flow,
    connected_since: u64,
}

/// All of a topic's, by key. Boxed: a map's node is made for eleven, and most topics have one.
#[derive(Default)]
pub(super) struct Producers(BTreeMap<u64, Box<OpenedProducer>>);

impl OpenedProducer {
    pub(super) const fn client_key(&self) -> ClientKey {
        self.request.client_key()
    }

    fn stats(&mut self, now: Instant) -> PublisherStats {
        let (message_rate_in, byte_rate_in) = self.flow.rates(now);
        let is_idle = message_rate_in <= 0.0;
        PublisherStats {
            producer_id: self.request.producer_id,
            name: self.name.clone(),
            access_mode: "Shared",
            message_rate_in,
            byte_rate_in,
            message_size_mean: if is_idle { 0.0 } else { byte_rate_in / message_rate_in },
            address: self.request.address.clone(),
            connected_since: self.connected_since,
            client_version: self.request.client_version.clone(),
            metadata: self.request.metadata.clone(),
        }
    }
}

impl Producers {
    /// Opens one under `key`. A request repeated by its client after a time-out takes the place of
    /// the first.
    pub(super) fn open(
        &mut self,
        open: OpenProducer,
        (topic, key): (&TopicName, u64),
        mailbox: Sender,
        env: &Env,
    ) -> Result<Producer, ProduceError> {
        if open.request.access_mode != AccessMode::Shared {
            return Err(ProduceError::NotAllowed(format!(
                "Producer access mode {:?} is not supported yet (topic {topic})",
                open.request.access_mode
            )));
        }
        let twin = self.0.iter().find(|(_, producer)| producer.name == open.name);
        if let Some((&twin_key, twin)) = twin {
            let is_retry = twin.request.connection_id == open.request.connection_id
                && twin.request.producer_id == open.request.producer_id;
            if !is_retry {
                return Err(ProduceError::Busy(format!(
                    "Producer with name '{}' is already connected to topic {topic}",
                    open.name
                )));
            }
            self.0.remove(&twin_key);
        }
        let producer = Producer {
            topic: topic.clone(),
            key,
            mailbox,
            name: open.name.clone(),
            last_sequence_id: -1,
            schema_version: open.schema_version,
            topic_epoch: None,
            is_ready: true,
        };
        // Not kept: it may be large, and it is stored.
        let request = ProducerRequest { schema: None, initial_subscription: None, ..open.request };
        let opened = OpenedProducer {
            request,
            name: open.name,
            outbox: open.outbox,
            flow: Flow::new(env.clock.now()),
            connected_since: env.clock.wall().0,
        };
        self.0.insert(key, Box::new(opened));
        Ok(producer)
    }

    pub(super) fn get(&self, key: u64) -> Option<&OpenedProducer> {
        self.0.get(&key).map(AsRef::as_ref)
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut OpenedProducer> {
        self.0.get_mut(&key).map(AsMut::as_mut)
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<OpenedProducer> {
        self.0.remove(&key).map(|opened| *opened)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Closes all of them from our side; clients look the topic up again.
    pub(super) fn close_all(&mut self) {
        for opened in std::mem::take(&mut self.0).into_values() {
            let producer = opened.client_key();
            opened.outbox.push(Outgoing::ProducerClosed { producer });
        }
    }

    pub(super) fn stats(&mut self, now: Instant) -> Vec<PublisherStats> {
        self.0.values_mut().map(|producer| producer.stats(now)).collect()
    }
}
