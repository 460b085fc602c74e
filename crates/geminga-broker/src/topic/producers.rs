//! The producers that are open on a topic, whether it stores messages or not, and who of them may
//! produce: all, or one.
//!
//! Whoever has exclusive access has it under an epoch of the topic, which is stored before it is told. A
//! client that comes back says the epoch it had; a lower one than the topic's tells that another had
//! access meanwhile.
//!
//! # Invariants
//!
//! 1. Names are unique among those that are open.
//! 2. While one has exclusive access it is the only one that is open.
//! 3. An epoch is never given twice, but to the producer that has it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use geminga_env::{Env, Instant};
use geminga_types::TopicName;

use super::{Reply, mailbox::Sender, persistent::TopicDeps, rates::Flow};
use crate::{
    AccessMode, ClientKey, Outbox, Outgoing, ProduceError, Producer, ProducerRequest, Publish,
    PublishError, PublisherStats, Receipt, TopicError, policies::TopicPolicies,
    producer::OpenProducer, publish_gate::PublishGate, topic_row::ProducerRow,
};

/// Epochs from here on are not taken from clients, so that there is always a next one.
const EPOCH_END: u64 = 1 << 62;

/// How long an answer to PRODUCER waits: clients wait for half a minute, and ask again.
pub(super) const OPENING_TIME_MAX: Duration = Duration::from_secs(10);

/// A producer that is open.
pub(super) struct OpenedProducer {
    request: ProducerRequest,
    pub(super) name: String,
    pub(super) outbox: Outbox,
    pub(super) flow: Flow,
    /// Messages that its door has dropped: it counts them.
    dropped: Arc<AtomicU64>,
    flow_dropped: Flow,
    connected_since: u64,
}

/// All of a topic's.
#[derive(Default)]
pub(super) struct Producers {
    /// By key. Boxed: a map's node is made for eleven, and most topics have one.
    open: BTreeMap<u64, Box<OpenedProducer>>,
    access: Option<Box<Access>>,
    /// What producers' connections look at; made for the first one.
    gate: Option<Arc<PublishGate>>,
}

/// What a topic knows that opens a producer.
pub(super) struct Opening<'a> {
    pub(super) topic: &'a TopicName,
    pub(super) policies: &'a TopicPolicies,
    pub(super) deps: &'a TopicDeps,
    /// Of the producer, in its topic.
    pub(super) key: u64,
    pub(super) last_sequence_id: i64,
    pub(super) mailbox: Sender,
}

/// Of a topic that somebody has, or had, exclusive access to.
#[derive(Default)]
struct Access {
    /// The last epoch that is stored.
    epoch: Option<u64>,
    /// An epoch that is being stored.
    storing: Option<u64>,
    holder: Option<u64>,
    /// Who gets access once its epoch is stored.
    claim: Option<Claim>,
    /// Who waits for the holder to leave, by key.
    waiting: VecDeque<(u64, Box<OpenedProducer>)>,
}

struct Claim {
    epoch: u64,
    key: u64,
    producer: Box<OpenedProducer>,
    /// Whether those that waited before it are refused once it has access.
    fences: bool,
    /// Who waits for an answer; one that waited for its turn has it.
    asked: Option<Asked>,
}

/// Who waits for an answer.
struct Asked {
    handle: Producer,
    reply: Reply<Result<Producer, ProduceError>>,
    /// When it waits no longer.
    until: Instant,
}

/// What a producer that is to be opened waits for.
enum Verdict {
    Open,
    /// With this epoch.
    Claim(u64),
    /// The same, and all others leave.
    Fence(u64),
    Wait,
}

/// What one message may be, at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageLimits {
    bytes: usize,
    /// From its publish time on.
    delay_ms: u64,
}

impl MessageLimits {
    /// The same where messages do not wait for their time.
    pub(super) const fn without_delay(self) -> Self {
        Self { delay_ms: u64::MAX, ..self }
    }

    /// Why a message is refused, if it is.
    pub(super) fn refusal(self, topic: &TopicName, publish: &Publish) -> Option<PublishError> {
        if self.bytes < publish.bytes_as_message() {
            let (topic, size) = (topic.clone(), publish.entry.len());
            return Some(PublishError::TooLarge { topic, size, limit: self.bytes });
        }
        let delay_ms = publish.deliver_at?.saturating_sub(publish.published_at);
        (self.delay_ms < delay_ms).then(|| {
            let (topic, limit_ms) = (topic.clone(), self.delay_ms);
            PublishError::DelayedTooLong { topic, delay_ms, limit_ms }
        })
    }
}

impl OpenedProducer {
    fn new(open: OpenProducer, env: &Env, dropped: Arc<AtomicU64>) -> Self {
        // Not kept: it may be large, and it is stored.
        let request = ProducerRequest { schema: None, initial_subscription: None, ..open.request };
        Self {
            request,
            name: open.name,
            outbox: open.outbox,
            flow: Flow::new(env.clock.now()),
            dropped,
            flow_dropped: Flow::new(env.clock.now()),
            connected_since: env.clock.wall().0,
        }
    }

    pub(super) const fn client_key(&self) -> ClientKey {
        self.request.client_key()
    }

    /// What one message of it may be.
    pub(super) const fn message_limits(&self, policies: &TopicPolicies) -> MessageLimits {
        if self.request.is_internal {
            return MessageLimits { bytes: usize::MAX, delay_ms: u64::MAX };
        }
        let delay_ms = if policies.honours_delays { policies.delay_ms_max } else { u64::MAX };
        MessageLimits { bytes: policies.message_bytes_max, delay_ms }
    }

    /// Tells it what is done.
    pub(super) fn receive(&self, receipts: Vec<Receipt>) {
        if !receipts.is_empty() {
            let producer = self.client_key();
            self.outbox.push(Outgoing::Receipts { producer, receipts });
        }
    }

    /// Tells it that a message is refused. It goes on: what it sends next depends on nothing refused.
    pub(super) fn refuse_message(&self, publish: &Publish, error: PublishError) {
        let Publish { sequence_id, highest_sequence_id, .. } = *publish;
        self.outbox.push(Outgoing::SendFailed {
            producer: self.client_key(),
            sequence_id,
            highest_sequence_id,
            error,
        });
    }

    fn tell_closed(&self) {
        self.outbox.push(Outgoing::ProducerClosed { producer: self.client_key() });
    }

    /// It waited, and does not get in.
    fn refuse(&self, error: ProduceError) {
        let (producer, request_id) = (self.client_key(), self.request.request_id);
        self.outbox.push(Outgoing::ProducerRefused { producer, request_id, error });
    }

    /// Takes over what its door has counted.
    pub(super) fn note_dropped(&mut self, now: Instant) {
        self.flow_dropped.note_messages(now, self.dropped.load(Ordering::Relaxed));
    }

    fn row(&mut self, now: Instant) -> ProducerRow {
        let (message_rate_in, byte_rate_in) = self.flow.rates(now);
        let is_idle = message_rate_in <= 0.0;
        ProducerRow {
            name: self.name.clone(),
            producer_id: self.request.producer_id,
            message_rate_in,
            byte_rate_in,
            message_size_mean: if is_idle { 0.0 } else { byte_rate_in / message_rate_in },
        }
    }

    fn stats(&mut self, now: Instant) -> PublisherStats {
        let (message_rate_in, byte_rate_in) = self.flow.rates(now);
        let is_idle = message_rate_in <= 0.0;
        self.note_dropped(now);
        let (message_rate_dropped, _) = self.flow_dropped.rates(now);
        PublisherStats {
            producer_id: self.request.producer_id,
            name: self.name.clone(),
            access_mode: match self.request.access_mode {
                AccessMode::Shared => "Shared",
                AccessMode::Exclusive => "Exclusive",
                AccessMode::WaitForExclusive => "WaitForExclusive",
                AccessMode::ExclusiveWithFencing => "ExclusiveWithFencing",
            },
            message_rate_in,
            byte_rate_in,
            message_rate_dropped,
            message_size_mean: if is_idle { 0.0 } else { byte_rate_in / message_rate_in },
            address: self.request.address.clone(),
            connected_since: self.connected_since,
            client_version: self.request.client_version.clone(),
            metadata: self.request.metadata.clone(),
        }
    }
}

impl Producers {
    /// Of a topic with this epoch.
    pub(super) fn new(epoch: Option<u64>) -> Self {
        let access = epoch.map(|epoch| Access { epoch: Some(epoch), ..Access::default() });
        Self { access: access.map(Box::new), ..Self::default() }
    }

    /// Opens one, lets it wait, or refuses it. A request repeated by its client after a time-out takes
    /// the place of the first. Then an epoch may be [wanted](Self::take_epoch).
    pub(super) fn open(
        &mut self,
        open: OpenProducer,
        with: Opening<'_>,
        reply: Reply<Result<Producer, ProduceError>>,
    ) {
        let verdict = match self.verdict(&open, &with) {
            Ok(verdict) => verdict,
            Err(error) => {
                _ = reply.send(Err(error));
                return;
            }
        };
        let (key, env) = (with.key, &with.deps.ledger.env);
        let mut producer = self.handle_of(&open, with);
        let opened = Box::new(OpenedProducer::new(open, env, Arc::clone(&producer.dropped)));
        let until = env.clock.now() + OPENING_TIME_MAX;
        match verdict {
            Verdict::Open => {
                self.open.insert(key, opened);
                if let Err(Ok(_)) = reply.send(Ok(producer)) {
                    self.remove(key); // Nobody waits for it any more.
                }
            }
            Verdict::Claim(epoch) | Verdict::Fence(epoch) => {
                let fences = matches!(verdict, Verdict::Fence(_));
                let asked = Some(Asked { handle: producer, reply, until });
                let claim = Claim { epoch, key, producer: opened, fences, asked };
                self.access().claim = Some(claim);
            }
            Verdict::Wait => {
                producer.is_ready = false;
                self.access().waiting.push_back((key, opened));
                if let Err(Ok(_)) = reply.send(Ok(producer)) {
                    self.remove(key);
                }
            }
        }
    }

    fn handle_of(&mut self, open: &OpenProducer, with: Opening<'_>) -> Producer {
        let gate = self.gate.get_or_insert_with(|| {
            let of_broker = Arc::clone(&with.deps.publish_rate);
            let groups = Arc::clone(&with.deps.resource_groups);
            Arc::new(PublishGate::new(of_broker, groups, with.policies))
        });
        Producer {
            topic: with.topic.clone(),
            key: with.key,
            mailbox: with.mailbox,
            name: open.name.clone(),
            last_sequence_id: with.last_sequence_id,
            schema_version: open.schema_version,
            topic_epoch: None,
            is_ready: true,
            is_encrypted: open.request.is_encrypted,
            gate: Arc::clone(gate),
            dropped: Arc::default(),
        }
    }

    /// Others govern the topic.
    pub(super) fn set_policies(&self, policies: &TopicPolicies) {
        if let Some(gate) = &self.gate {
            gate.set_policies(policies);
        }
    }

    /// How often a producer had to wait for a publish rate.
    pub(super) fn limited_times(&self) -> u64 {
        self.gate.as_ref().map_or(0, |gate| gate.limited_times())
    }

    fn verdict(
        &mut self,
        open: &OpenProducer,
        with: &Opening<'_>,
    ) -> Result<Verdict, ProduceError> {
        let request = &open.request;
        if with.policies.requires_encryption && !request.is_encrypted && !request.is_internal {
            return Err(ProduceError::NotEncrypting(with.topic.clone()));
        }
        match self.replace_twin(open, with.topic)? {
            Some(verdict) => Ok(verdict),
            None => {
                self.refuse_too_many(request, with)?;
                self.admit(request)
            }
        }
    }

    /// Refuses one more client's producer if there are as many as there may be, waiting ones included.
    /// One that throws the others out will be the only one.
    fn refuse_too_many(
        &self,
        request: &ProducerRequest,
        with: &Opening<'_>,
    ) -> Result<(), ProduceError> {
        if request.is_internal || request.access_mode == AccessMode::ExclusiveWithFencing {
            return Ok(());
        }
        let per_topic = with.policies.producers_max;
        let per_address = with.policies.producers_per_address_max;
        if per_topic == 0 && per_address == 0 {
            return Ok(());
        }
        let host = host_of(&request.address);
        let (mut in_all, mut of_address) = (0, 0);
        for other in self.all().filter(|other| !other.request.is_internal) {
            in_all += 1;
            of_address += u64::from(host_of(&other.request.address) == host);
        }
        let refused = |what, limit| {
            let text = format!("Topic '{}' reached max {what} limit: {limit}", with.topic);
            Err(ProduceError::Busy(text))
        };
        if per_topic != 0 && per_topic <= in_all {
            return refused("producers", per_topic);
        }
        if per_address != 0 && per_address <= of_address {
            return refused("same address producers", per_address);
        }
        Ok(())
    }

    /// Takes away a producer that its client opens again; the new one gets what the old one had.
    fn replace_twin(
        &mut self,
        open: &OpenProducer,
        topic: &TopicName,
    ) -> Result<Option<Verdict>, ProduceError> {
        let Some((key, is_retry, is_back)) = self.twin(open) else { return Ok(None) };
        if let Some(verdict) = self.replace_claim(key, is_retry || is_back) {
            return Ok(Some(verdict));
        }
        let held = self.held_epoch(key);
        if !is_retry && !is_back {
            return match open.request.access_mode {
                AccessMode::Shared => Err(ProduceError::Busy(format!(
                    "Producer with name '{}' is already connected to topic {topic}",
                    open.name
                ))),
                _ => Ok(None), // It waits for it, or is refused, or takes its place.
            };
        }
        if let Some(access) = &mut self.access {
            access.holder = access.holder.filter(|&holder| holder != key);
        }
        if let Some(twin) = self.open.remove(&key)
            && !is_retry
        {
            twin.tell_closed();
        }
        Ok(Some(held.map_or(Verdict::Open, Verdict::Claim)))
    }

    /// Takes away a claim that its client makes again.
    fn replace_claim(&mut self, key: u64, is_again: bool) -> Option<Verdict> {
        let access = self.access.as_mut()?;
        let claim = access.claim.take_if(|claim| claim.key == key && is_again)?;
        let (epoch, fences) = (claim.epoch, claim.fences);
        if let Some(waited) = claim.refuse(ProduceError::Busy("It was opened again".to_owned())) {
            waited.tell_closed();
        }
        Some(if fences { Verdict::Fence(epoch) } else { Verdict::Claim(epoch) })
    }

    /// The producer of that name that is open or has claimed access; whether it is the same one, asked
    /// for twice, and whether it has or claims exclusive access under an epoch that is stored, and its
    /// client comes back for that. Only that client knows the epoch: its connection is gone, and we have
    /// not seen it yet.
    fn twin(&self, open: &OpenProducer) -> Option<(u64, bool, bool)> {
        let OpenProducer { request, name, .. } = open;
        let claim = self.access.as_ref().and_then(|access| access.claim.as_ref());
        let claim = claim.map(|claim| (&claim.key, &claim.producer));
        let mut all = self.open.iter().chain(claim);
        let (&key, twin) = all.find(|(_, producer)| producer.name == *name)?;
        let is_retry = twin.request.connection_id == request.connection_id
            && twin.request.producer_id == request.producer_id
            && twin.request.access_mode == request.access_mode;
        let is_back = request.access_mode != AccessMode::Shared
            && request.topic_epoch.is_some()
            && request.topic_epoch == self.held_epoch(key);
        Some((key, is_retry, is_back))
    }

    /// The epoch, if this one has exclusive access, or claims it under an epoch that it had.
    fn held_epoch(&self, key: u64) -> Option<u64> {
        let access = self.access.as_ref()?;
        let claims = |claim: &Claim| claim.key == key && access.epoch == Some(claim.epoch);
        let has = access.holder == Some(key) || access.claim.as_ref().is_some_and(claims);
        access.epoch.filter(|_| has)
    }

    /// Whether another producer has its name.
    pub(super) fn is_taken(&self, open: &OpenProducer) -> bool {
        self.twin(open).is_some_and(|(_, is_retry, is_back)| !is_retry && !is_back)
    }

    /// The names of all that are open or want to be, as bytes.
    pub(super) fn names(&self) -> BTreeSet<&[u8]> {
        self.all().map(|producer| producer.name.as_bytes()).collect()
    }

    /// All that are open or want to be.
    fn all(&self) -> impl Iterator<Item = &OpenedProducer> {
        let access = self.access.as_ref();
        let waiting = access.into_iter().flat_map(|access| &access.waiting).map(|(_, it)| it);
        let claim = access.and_then(|access| access.claim.as_ref()).map(|claim| &claim.producer);
        self.open.values().chain(waiting).chain(claim).map(AsRef::as_ref)
    }

    fn admit(&mut self, request: &ProducerRequest) -> Result<Verdict, ProduceError> {
        let holder = self.holder_name().map(str::to_owned);
        let exclusive =
            holder.map(|name| format!("Topic has an existing exclusive producer: {name}"));
        match request.access_mode {
            AccessMode::Shared => {
                exclusive.map_or(Ok(Verdict::Open), |text| Err(ProduceError::Busy(text)))
            }
            AccessMode::Exclusive if let Some(text) = exclusive => Err(ProduceError::Fenced(text)),
            AccessMode::Exclusive if !self.open.is_empty() => {
                Err(ProduceError::Fenced("Topic has existing shared producers".to_owned()))
            }
            AccessMode::WaitForExclusive if exclusive.is_some() || !self.open.is_empty() => {
                self.next_epoch(request).map(|_| Verdict::Wait)
            }
            AccessMode::Exclusive | AccessMode::WaitForExclusive => {
                self.next_epoch(request).map(Verdict::Claim)
            }
            AccessMode::ExclusiveWithFencing => {
                let epoch = self.next_epoch(request)?;
                self.close_others();
                Ok(Verdict::Fence(epoch))
            }
        }
    }

    /// Who has exclusive access, or is about to get it.
    fn holder_name(&self) -> Option<&str> {
        let access = self.access.as_ref()?;
        let holder = access.holder.and_then(|key| self.open.get(&key));
        let claim = access.claim.as_ref().map(|claim| &claim.producer);
        let waiting = access.waiting.front().map(|(_, producer)| producer);
        holder.or(claim).or(waiting).map(|producer| producer.name.as_str())
    }

    /// The epoch under which this one would have access.
    fn next_epoch(&self, request: &ProducerRequest) -> Result<u64, ProduceError> {
        let access = self.access.as_ref();
        let last = access.and_then(|access| access.epoch.max(access.storing));
        match request.topic_epoch {
            Some(epoch) if last.is_some_and(|last| epoch < last) => {
                let last = last.unwrap_or_default();
                let text = format!("Topic epoch has already moved: it is {last}, and was {epoch}");
                Err(ProduceError::Fenced(text))
            }
            Some(epoch) if EPOCH_END <= epoch => {
                let text = format!("Topic epoch {epoch} is not below {EPOCH_END}");
                Err(ProduceError::NotAllowed(text))
            }
            Some(epoch) => Ok(epoch),
            None => Ok(last.map_or(0, |last| last.saturating_add(1))),
        }
    }

    fn access(&mut self) -> &mut Access {
        self.access.get_or_insert_default()
    }

    /// Closes who is open or has claimed access. Those that wait stay until the new epoch is stored.
    fn close_others(&mut self) {
        for (_, producer) in std::mem::take(&mut self.open) {
            producer.tell_closed();
        }
        let Some(access) = &mut self.access else { return };
        access.holder = None;
        if let Some(claimant) = access.claim.take().and_then(|claim| claim.refuse(fenced_out())) {
            claimant.refuse(fenced_out());
        }
    }

    /// The epoch that is to be stored now; [`Self::on_epoch`] is to follow.
    pub(super) fn take_epoch(&mut self) -> Option<u64> {
        let access = self.access.as_mut()?;
        let epoch = access.claim.as_ref()?.epoch;
        if access.storing.is_some() || access.epoch == Some(epoch) {
            return None;
        }
        access.storing = Some(epoch);
        Some(epoch)
    }

    /// The epoch that was taken is stored, or maybe not.
    pub(super) fn on_epoch(&mut self, result: Result<u64, TopicError>) {
        let Some(access) = &mut self.access else { return };
        let stored = access.storing.take();
        let is_claimed = access.claim.as_ref().is_some_and(|claim| Some(claim.epoch) == stored);
        match result {
            Ok(epoch) => {
                access.epoch = Some(epoch);
                self.promote();
            }
            Err(error) => {
                if let Some(claim) = access.claim.take_if(|_| is_claimed)
                    && let Some(waited) = claim.refuse(error.into())
                {
                    waited.tell_closed(); // It comes back and waits again.
                }
                self.promote();
            }
        }
    }

    /// The name of who has claimed access, under an epoch that is stored; [`Self::grant`] is to follow.
    pub(super) fn claimant(&self) -> Option<&str> {
        let access = self.access.as_ref()?;
        let claim = access.claim.as_ref()?;
        let is_stored = access.epoch == Some(claim.epoch) && access.storing.is_none();
        is_stored.then_some(claim.producer.name.as_str())
    }

    /// Until when who claimed access may wait for an answer.
    pub(super) fn claim_until(&self) -> Option<Instant> {
        let claim = self.access.as_ref()?.claim.as_ref()?;
        claim.asked.as_ref().map(|asked| asked.until)
    }

    /// Refuses who claimed access.
    pub(super) fn refuse_claim(&mut self, error: ProduceError) {
        let claim = self.access.as_mut().and_then(|access| access.claim.take());
        if let Some(waited) = claim.and_then(|claim| claim.refuse(error)) {
            waited.tell_closed();
        }
        self.promote();
    }

    /// Opens who claimed access.
    pub(super) fn grant(&mut self, last_sequence_id: i64) {
        let Some(access) = &mut self.access else { return };
        let Some(claim) = access.claim.take() else { return };
        let Claim { epoch, key, producer, fences, asked } = claim;
        access.holder = Some(key);
        let is_fenced_out = |(waiting, _): &(u64, Box<OpenedProducer>)| fences && *waiting < key;
        while let Some((_, waiting)) = access.waiting.pop_front_if(|it| is_fenced_out(it)) {
            waiting.refuse(fenced_out());
        }
        let topic_epoch = Some(epoch);
        match asked {
            Some(Asked { handle, reply, .. }) => {
                self.open.insert(key, producer);
                let handle = Producer { topic_epoch, last_sequence_id, ..handle };
                if let Err(Ok(_)) = reply.send(Ok(handle)) {
                    self.remove(key);
                }
            }
            None => {
                let (client, request_id) = (producer.client_key(), producer.request.request_id);
                producer.outbox.push(Outgoing::ProducerReady {
                    producer: client,
                    request_id,
                    topic_epoch,
                    last_sequence_id,
                });
                self.open.insert(key, producer);
            }
        }
    }

    /// Lets the next one that waits claim access, if nobody is open.
    fn promote(&mut self) {
        let Some(access) = &mut self.access else { return };
        if !self.open.is_empty() || access.claim.is_some() {
            return;
        }
        while let Some((key, producer)) = self.access().waiting.pop_front() {
            match self.next_epoch(&producer.request) {
                Ok(epoch) => {
                    let claim = Claim { epoch, key, producer, fences: false, asked: None };
                    self.access().claim = Some(claim);
                    return;
                }
                Err(error) => producer.refuse(error),
            }
        }
    }

    pub(super) fn get(&self, key: u64) -> Option<&OpenedProducer> {
        self.open.get(&key).map(AsRef::as_ref)
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut OpenedProducer> {
        self.open.get_mut(&key).map(AsMut::as_mut)
    }

    /// Forgets one, open or not; who waits may get access by that.
    pub(super) fn remove(&mut self, key: u64) -> Option<OpenedProducer> {
        let removed = self.open.remove(&key).map(|opened| *opened);
        if let Some(access) = &mut self.access {
            access.holder = access.holder.filter(|&holder| holder != key);
            access.waiting.retain(|(waiting, _)| *waiting != key);
            access.claim.take_if(|claim| claim.key == key);
            self.promote();
        }
        removed
    }

    /// How many are open, or want to be.
    pub(super) fn len(&self) -> usize {
        let access = self.access.as_ref();
        let others = access.map_or(0, |it| it.waiting.len() + usize::from(it.claim.is_some()));
        self.open.len() + others
    }

    /// Closes all of them from our side; clients look the topic up again.
    pub(super) fn close_all(&mut self, why: TopicError) {
        for opened in std::mem::take(&mut self.open).into_values() {
            opened.tell_closed();
        }
        let Some(access) = &mut self.access else { return };
        access.holder = None;
        let waiting = std::mem::take(&mut access.waiting).into_iter().map(|(_, producer)| producer);
        let claimant = access.claim.take().and_then(|claim| claim.refuse(why.into()));
        waiting.chain(claimant).for_each(|producer| producer.tell_closed());
    }

    pub(super) fn rows(&mut self, now: Instant) -> Vec<ProducerRow> {
        self.open.values_mut().map(|producer| producer.row(now)).collect()
    }

    pub(super) fn stats(&mut self, now: Instant) -> Vec<PublisherStats> {
        self.open.values_mut().map(|producer| producer.stats(now)).collect()
    }
}

impl Claim {
    /// Answers who waits for an answer. Returns the producer if it was told to wait instead.
    fn refuse(self, error: ProduceError) -> Option<Box<OpenedProducer>> {
        match self.asked {
            Some(asked) => {
                _ = asked.reply.send(Err(error));
                None
            }
            None => Some(self.producer),
        }
    }
}

/// An address without its port.
fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn fenced_out() -> ProduceError {
    ProduceError::Fenced("Fenced out: another producer has taken exclusive access".to_owned())
}
