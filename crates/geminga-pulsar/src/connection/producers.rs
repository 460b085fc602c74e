//! PRODUCER and CLOSE_PRODUCER.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use geminga_broker::{AccessMode, ClientKey, Producer, ProducerRequest};
use geminga_env::Instant;
use geminga_types::{Domain, TopicName};
use geminga_wire::proto::{
    CommandCloseProducer, CommandProducer, CommandProducerSuccess, ProducerAccessMode, ServerError,
};

use super::{
    Connection, RequestPermit, lock,
    slots::{Step, Steps},
    turns::{Granted, Said},
    writer::close_producer,
};
use crate::{
    errors::{Coded, Refusal},
    schema,
};

/// A CLOSE for an id that is still opening is answered after this long at the latest: its client
/// has given the id up, and what is opened will be closed.
pub(super) const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// What it takes to open a producer.
#[derive(Debug)]
pub(super) struct ProducerOrder {
    topic: TopicName,
    request: ProducerRequest,
    permit: RequestPermit,
}

/// Producers that this side closed: SENDs that were on their way are expected, and dropped.
#[derive(Debug, Default)]
pub(super) struct RecentlyClosed(BTreeMap<u64, Instant>);

/// Within what time everything is read that has come, where SENDs wait for a rate.
const READ_WITHIN: Duration = Duration::from_secs(3_600);

impl RecentlyClosed {
    fn note(&mut self, producer_id: u64, now: Instant, kept: Duration) {
        self.0.retain(|_, until| now < *until);
        self.0.insert(producer_id, now + kept);
    }

    pub(super) fn contains(&self, producer_id: u64, now: Instant) -> bool {
        self.0.get(&producer_id).is_some_and(|until| now < *until)
    }
}

impl Connection {
    pub(super) async fn on_producer(self: &Arc<Self>, command: CommandProducer) {
        let (producer_id, request_id) = (command.producer_id, command.request_id);
        let Some(permit) = self.request_permit().await else { return };
        let (topic, request) = match self.producer_request(command) {
            Ok(order) => order,
            Err(refusal) => return self.answer_error(request_id, refusal),
        };
        let steps = {
            let mut producers = lock(&self.producers);
            let other = producers.get(producer_id).map(|open| open.topic().clone());
            match other.filter(|open| *open != topic) {
                None => {
                    let order = ProducerOrder { topic, request, permit };
                    Ok(producers.open(producer_id, request_id, order))
                }
                Some(other) => Err(other),
            }
        };
        match steps {
            Ok(steps) => self.producer_steps(producer_id, steps),
            Err(other) => {
                let message = format!("Producer id {producer_id} is in use on topic {other}");
                self.answer_error(request_id, Refusal::not_allowed(message));
            }
        }
    }

    pub(super) fn on_close_producer(self: &Arc<Self>, command: &CommandCloseProducer) {
        let (producer_id, request_id) = (command.producer_id, command.request_id);
        let (steps, waits) = {
            let mut producers = lock(&self.producers);
            let steps = producers.close(producer_id, request_id);
            let waits = producers.is_opening(producer_id);
            (steps, waits)
        };
        self.producer_steps(producer_id, steps);
        if waits {
            let me = Arc::clone(self);
            self.door.tasks.spawn(async move {
                tokio::time::sleep_until(me.now() + CLOSE_WAIT).await;
                if lock(&me.producers).give_up_waiting(producer_id, request_id) {
                    me.answer_success(request_id);
                }
            });
        }
    }

    /// Closes a producer that its topic has closed. True: the client must be told.
    pub(super) fn drop_producer(self: &Arc<Self>, producer: ClientKey) -> bool {
        let dropped = lock(&self.producers).drop_open_as(producer);
        dropped.map(|open| self.forget_producer(producer.id, open)).is_some()
    }

    fn forget_producer(self: &Arc<Self>, producer_id: u64, producer: Arc<Producer>) {
        let kept = if self.parking.has_any() {
            READ_WITHIN // What it sent may lie behind SENDs that wait for a rate.
        } else {
            self.options().keep_alive.max(self.options().window_timeout)
        };
        lock(&self.recently_closed).note(producer_id, self.now(), kept);
        self.windows.remove(producer_id);
        self.parking.remove(producer_id);
        self.spawn_close_producer(producer_id, producer);
    }

    /// Closes a producer of which no more SENDs may reach the topic, and tells the client.
    pub(super) fn give_up_producer(self: &Arc<Self>, producer_id: u64, why: &str) {
        let dropped = lock(&self.producers).drop_open(producer_id);
        self.gave_up_producer(producer_id, dropped, why);
    }

    /// The same, if it is still the one that was opened so.
    pub(super) fn give_up_incarnation(self: &Arc<Self>, producer: ClientKey, why: &str) {
        let dropped = lock(&self.producers).drop_open_as(producer);
        self.gave_up_producer(producer.id, dropped, why);
    }

    fn gave_up_producer(
        self: &Arc<Self>,
        producer_id: u64,
        dropped: Option<Arc<Producer>>,
        why: &str,
    ) {
        if let Some(open) = dropped {
            self.forget_producer(producer_id, open);
            self.warn_about_producer(producer_id, why);
            self.answer(close_producer(producer_id));
        }
    }

    pub(super) fn spawn_close_producer(self: &Arc<Self>, producer_id: u64, open: Arc<Producer>) {
        self.turns.forget(producer_id);
        let me = Arc::clone(self);
        self.door.tasks.spawn(async move {
            me.wait_for_receipts(producer_id).await;
            me.parking.remove(producer_id);
            open.close().await;
            me.windows.retire(producer_id);
            let steps = lock(&me.producers).closed(producer_id);
            me.producer_steps(producer_id, steps);
        });
    }

    /// What a client sent before its CLOSE_PRODUCER is answered before the close is, however long it
    /// waits for a publish rate.
    async fn wait_for_receipts(&self, producer_id: u64) {
        let mut deadline = self.now() + CLOSE_WAIT;
        loop {
            let freed = self.windows.freed();
            if self.windows.is_settled(producer_id) {
                return;
            }
            tokio::select! {
                biased;
                () = self.closed.cancelled() => return,
                () = freed => {}
                () = tokio::time::sleep_until(deadline) => {
                    if !self.parking.has(producer_id) {
                        return;
                    }
                    deadline = self.now() + CLOSE_WAIT;
                }
            }
        }
    }

    fn producer_steps(self: &Arc<Self>, id: u64, steps: Steps<Producer, ProducerOrder>) {
        for step in steps {
            match step {
                Step::Open(order, incarnation) => {
                    self.spawn_open_producer(ClientKey { id, incarnation }, order);
                }
                Step::Close(producer) => self.spawn_close_producer(id, producer),
                Step::AnswerOpen(producer, requests) => self.answer_open(id, &producer, &requests),
                Step::AnswerAgain(producer, request_id) => {
                    let waits = self.turns.waits_too(id, request_id);
                    let granted = self.turns.granted(id).unwrap_or_else(|| granted(&producer));
                    self.answer(success(&producer, request_id, (!waits).then_some(granted)));
                }
                Step::AnswerRefused(refusal, requests) => {
                    for request_id in requests {
                        self.answer_error(request_id, refusal.clone());
                    }
                }
                Step::AnswerCancelled(requests) => self.answer_cancelled(&requests),
                Step::AnswerClosed(requests) => {
                    requests.into_iter().for_each(|request_id| self.answer_success(request_id));
                }
                Step::AnswerTooMany(request_id) => self.answer_too_many(request_id),
            }
        }
    }

    fn spawn_open_producer(self: &Arc<Self>, key: ClientKey, order: ProducerOrder) {
        let me = Arc::clone(self);
        let id = key.id;
        self.door.tasks.spawn(async move {
            let ProducerOrder { topic, request, permit } = order;
            let request = ProducerRequest { incarnation: key.incarnation, ..request };
            let opened = me.door.broker.produce(&topic, request, &me.outbox).await;
            if let Ok(producer) = &opened {
                let is_nonpersistent = producer.topic().domain() == Domain::NonPersistent;
                me.windows.reset(key, is_nonpersistent);
            }
            let opened = opened.map_err(|error| error.refusal());
            let steps = lock(&me.producers).opened(id, opened);
            me.producer_steps(id, steps);
            drop(permit);
        });
    }

    fn answer_open(self: &Arc<Self>, id: u64, producer: &Producer, requests: &[u64]) {
        for request_id in requests.iter().copied() {
            let ready = producer.is_ready().then(|| granted(producer));
            self.answer(success(producer, request_id, ready));
        }
        if !producer.is_ready()
            && let Some(said) = self.turns.told_to_wait(id, requests)
        {
            self.tell_turn(id, producer, requests, said);
        }
    }

    /// Tells a client that was told to wait what became of that.
    pub(super) fn tell_turn(
        self: &Arc<Self>,
        id: u64,
        producer: &Producer,
        requests: &[u64],
        said: Said,
    ) {
        match said {
            Said::Ready(granted) => {
                for request_id in requests.iter().copied() {
                    self.answer(success(producer, request_id, Some(granted)));
                }
            }
            Said::Refused(refusal) => {
                let dropped = lock(&self.producers).drop_open(id);
                if let Some(open) = dropped {
                    self.forget_producer(id, open);
                }
                for request_id in requests.iter().copied() {
                    self.answer_error(request_id, refusal.clone());
                }
            }
        }
    }

    pub(super) fn answer_cancelled(&self, requests: &[u64]) {
        for request_id in requests.iter().copied() {
            let message = "Closed before its creation was completed";
            self.answer_error(request_id, Refusal::new(ServerError::ServiceNotReady, message));
        }
    }

    pub(super) fn answer_too_many(&self, request_id: u64) {
        let message = "Too many requests wait for the same id";
        self.answer_error(request_id, Refusal::new(ServerError::TooManyRequests, message));
    }

    fn producer_request(
        &self,
        command: CommandProducer,
    ) -> Result<(TopicName, ProducerRequest), Refusal> {
        if command.txn_enabled() {
            let message = "Transactions are not enabled on this server";
            return Err(Refusal::not_allowed(message));
        }
        let topic: TopicName = command.topic.parse().map_err(refusal)?;
        let access_mode = match command.producer_access_mode() {
            ProducerAccessMode::Shared => AccessMode::Shared,
            ProducerAccessMode::Exclusive => AccessMode::Exclusive,
            ProducerAccessMode::WaitForExclusive => AccessMode::WaitForExclusive,
            ProducerAccessMode::ExclusiveWithFencing => AccessMode::ExclusiveWithFencing,
        };
        let is_name_user_provided = command.user_provided_producer_name();
        let (epoch, is_encrypted) = (command.epoch(), command.encrypted());
        let request = ProducerRequest {
            producer_id: command.producer_id,
            incarnation: 0, // Set when it is opened.
            request_id: command.request_id,
            connection_id: self.id,
            address: self.peer.to_string(),
            client_version: self.client.version.clone(),
            name: command.producer_name.filter(|name| !name.is_empty()),
            is_name_user_provided,
            access_mode,
            epoch,
            topic_epoch: command.topic_epoch,
            is_encrypted,
            is_internal: false,
            schema: schema::from_wire(command.schema),
            metadata: schema::pairs(command.metadata),
            initial_subscription: command.initial_subscription_name.filter(|name| !name.is_empty()),
        };
        Ok((topic, request))
    }
}

/// PRODUCER_SUCCESS; without `ready` the client is told to wait for its turn.
pub(super) fn success(
    producer: &Producer,
    request_id: u64,
    ready: Option<Granted>,
) -> CommandProducerSuccess {
    let version = producer.schema_version();
    let version = version.map(|version| Bytes::copy_from_slice(&version.to_bytes()));
    CommandProducerSuccess {
        request_id,
        producer_name: producer.name().to_owned(),
        last_sequence_id: Some(ready.unwrap_or_else(|| granted(producer)).last_sequence_id),
        schema_version: Some(version.unwrap_or_default()),
        topic_epoch: ready.and_then(|ready| ready.topic_epoch),
        producer_ready: Some(ready.is_some()),
    }
}

const fn granted(producer: &Producer) -> Granted {
    let (topic_epoch, last_sequence_id) = (producer.topic_epoch(), producer.last_sequence_id());
    Granted { topic_epoch, last_sequence_id }
}

pub(super) fn refusal(error: impl Coded) -> Refusal {
    error.refusal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn closed_producers_are_forgotten_in_time() {
        let clock = geminga_env::sim::SimClock::new();
        let start = geminga_env::Clock::now(&clock);
        let mut recent = RecentlyClosed::default();
        let second = Duration::from_secs(1);
        recent.note(1, start, second);
        assert!(recent.contains(1, start));
        assert!(!recent.contains(1, start + second));
        assert!(!recent.contains(2, start));
        recent.note(2, start + second, second);
        assert_eq!(recent.0.len(), 1);
    }
}
