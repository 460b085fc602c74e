//! Subscribes: a task for each partition.

use std::sync::{Arc, atomic::AtomicU64};

use geminga_env::Random;
use geminga_types::{Position, TopicName};
use geminga_wire::proto::{
    CommandSubscribe, KeySharedMeta, KeySharedMode, command_subscribe::InitialPosition,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Consumer, ConsumerControl, ConsumerOptions, Handle, Item, Part, StartAt, SubscriptionType,
    state::{Place, State},
    task::{self, Ends},
};
use crate::{ClientError, client::Shared, link::Link};

/// Requests and acks that wait for a partition's task.
const MAILBOX_CAPACITY: usize = 1_024;
/// Messages on their way from the tasks to the application.
const HANDED_OUT_MAX: usize = 64;
/// Event queue of a consumer beyond its permits: a batch may cost more than is left.
const EVENTS_SLACK: usize = 64;

/// Starts a task for each partition and waits until all are attached.
pub(crate) async fn create(
    shared: &Arc<Shared>,
    topic: &TopicName,
    partitions: u32,
    subscription: &str,
    options: ConsumerOptions,
) -> Result<Consumer, ClientError> {
    check(subscription, partitions, &options)?;
    let name = options.name.clone().unwrap_or_else(|| random_name(&*shared.env.random));
    let command = subscribe_command(subscription, name, &options);
    let queue_size = usize::try_from(options.queue_size).unwrap_or(usize::MAX);
    let (out, incoming) = mpsc::channel(queue_size.clamp(1, HANDED_OUT_MAX));
    let (mut parts, mut waits) = (Vec::new(), Vec::new());
    for index in 0..partitions.max(1) {
        let partition = (0 < partitions).then_some(index);
        let full = partition.map_or_else(|| topic.clone(), |index| topic.with_partition(index));
        let full: Arc<str> = full.to_string().into();
        let place = Place {
            part: parts.len(),
            partition,
            topic: Arc::clone(&full),
            is_durable: options.is_durable,
            queue_size: options.queue_size,
        };
        let command = CommandSubscribe { topic: full.to_string(), ..command.clone() };
        let (part, attached) = start(shared, place, command, &options, out.clone());
        parts.push(part);
        waits.push(attached);
    }
    for attached in waits {
        attached.await.map_err(|_| ClientError::Closed)??;
    }
    let handle = Handle {
        topic: topic.clone(),
        subscription: subscription.to_owned(),
        is_durable: options.is_durable,
        parts,
    };
    Ok(Consumer { incoming, failure: None, control: ConsumerControl { shared: Arc::new(handle) } })
}

fn check(
    subscription: &str,
    partitions: u32,
    options: &ConsumerOptions,
) -> Result<(), ClientError> {
    let invalid = |option, reason| Err(ClientError::InvalidOption { option, reason });
    if subscription.is_empty() {
        return invalid("subscription", "must have a name");
    }
    if options.queue_size == 0 {
        return invalid("queue_size", "must be at least 1");
    }
    if matches!(options.start_at, StartAt::Id { .. }) {
        if options.is_durable {
            return invalid("start_at", "a durable subscription begins at Earliest or Latest");
        }
        if 1 < partitions {
            return invalid("start_at", "a message id is of one partition: name it");
        }
    }
    Ok(())
}

fn start(
    shared: &Arc<Shared>,
    place: Place,
    command: CommandSubscribe,
    options: &ConsumerOptions,
    out: mpsc::Sender<Item>,
) -> (Part, oneshot::Receiver<Result<(), ClientError>>) {
    let queue_size = usize::try_from(place.queue_size).unwrap_or(usize::MAX);
    // Twice, for what a seek or a redelivery gives back while it is still on its way.
    let capacity = queue_size.saturating_mul(2).saturating_add(EVENTS_SLACK);
    let link = Link::new(shared, &place.topic, command.into(), capacity);
    let (mailbox, inbox) = mpsc::channel(MAILBOX_CAPACITY);
    let (attached, is_attached) = oneshot::channel();
    let epoch = Arc::new(AtomicU64::new(0));
    let acks_indexes = options.batch_index_acks;
    let state = State::new(place, options.start_at, acks_indexes, Arc::clone(&epoch), attached);
    let ends = Ends { inbox, out, closing: shared.closing.clone() };
    shared.tasks.spawn(task::run(state, link, ends));
    (Part { mailbox, epoch }, is_attached)
}

fn subscribe_command(
    subscription: &str,
    name: String,
    options: &ConsumerOptions,
) -> CommandSubscribe {
    let key_shared = options.subscription_type == SubscriptionType::KeyShared;
    let key_shared_meta = key_shared.then(|| KeySharedMeta {
        key_shared_mode: KeySharedMode::AutoSplit.into(),
        ..KeySharedMeta::default()
    });
    let initial = match options.start_at {
        StartAt::Earliest => InitialPosition::Earliest,
        StartAt::Latest | StartAt::Id { .. } => InitialPosition::Latest,
    };
    let mut command = CommandSubscribe {
        subscription: subscription.to_owned(),
        sub_type: options.subscription_type.wire().into(),
        consumer_name: Some(name),
        priority_level: options.priority_level,
        durable: Some(options.is_durable),
        read_compacted: options.read_compacted.then_some(true),
        initial_position: Some(initial.into()),
        key_shared_meta,
        schema: options.schema.clone(),
        ..CommandSubscribe::default()
    };
    set_start(&mut command, options.start_at);
    command
}

/// Where a subscription begins that is not durable.
pub(super) fn set_start(command: &mut CommandSubscribe, start: StartAt) {
    if command.durable() {
        return;
    }
    command.start_message_id = Some(match start {
        StartAt::Latest => Position::LATEST.into(),
        StartAt::Earliest => Position::EARLIEST.into(),
        StartAt::Id { id, .. } => id.to_wire(),
    });
}

fn random_name(random: &dyn Random) -> String {
    let number = random.next_u64();
    format!("{:010x}", number >> 24)
}
