//! Subscriptions.

use std::collections::BTreeMap;

use geminga_admin_model::{
    ConsumerExplanation, DeadLettersExplanation, DrainingExplanation, MessageId, ResetCursorData,
    SubscriptionExplanation,
};
use geminga_broker::{AdminError, Broker, admin::CursorStart};
use geminga_types::{Domain, Position};

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request};

const SUBSCRIPTION: usize = 4;
const COUNT: usize = 5;

pub(super) async fn list(broker: &Broker, request: &Request) -> Answered {
    Ok(Answer::json(&broker.subscriptions(&request.topic()?).await?))
}

/// The body is the message id to begin at: none, or latest, begins with the next message.
pub(super) async fn create(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    if topic.domain() == Domain::NonPersistent {
        let message = "Create subscription on non-persistent topic can only be done through client";
        return Err(Failure::InvalidBody(message.to_owned()));
    }
    let given: Option<ResetCursorData> = request.json_or_empty()?;
    let given = given.unwrap_or(ResetCursorData::LATEST);
    let at = start(&given);
    let properties = given.properties.into_iter().flatten().collect();
    broker.create_subscription(&topic, &request.subscription(SUBSCRIPTION), at, properties).await?;
    Ok(Answer::done())
}

pub(super) async fn delete(broker: &Broker, request: &Request) -> Answered {
    let name = request.subscription(SUBSCRIPTION);
    broker.delete_subscription(&request.topic()?, &name, request.flag("force")).await?;
    Ok(Answer::done())
}

pub(super) async fn skip_all(broker: &Broker, request: &Request) -> Answered {
    broker.skip_all(&request.topic()?, &request.subscription(SUBSCRIPTION)).await?;
    Ok(Answer::done())
}

pub(super) async fn skip(broker: &Broker, request: &Request) -> Answered {
    let count = request.part(COUNT).parse().map_err(|_| {
        let given = request.part(COUNT);
        Failure::InvalidParameter(format!("{given:?} is not a number of messages to skip"))
    })?;
    let name = request.subscription(SUBSCRIPTION);
    broker.skip_messages(&request.topic()?, &name, count).await?;
    Ok(Answer::done())
}

/// No other cluster follows a subscription here, of whichever partition.
pub(super) async fn replicated_status(broker: &Broker, request: &Request) -> Answered {
    let parts = broker
        .parts_with_subscription(&request.topic()?, &request.subscription(SUBSCRIPTION))
        .await?;
    let all = parts.into_iter().map(|part| (part.to_string(), false));
    Ok(Answer::json(&all.collect::<BTreeMap<_, _>>()))
}

pub(super) async fn set_replicated_status(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    broker.parts_with_subscription(&topic, &request.subscription(SUBSCRIPTION)).await?;
    if request.json()?.unwrap_or(true) {
        let message = format!("Topic {topic} is not replicated: there is no other cluster");
        return Err(AdminError::NotAllowed(message).into());
    }
    Ok(Answer::done())
}

pub(super) async fn explain(broker: &Broker, request: &Request) -> Answered {
    let name = request.subscription(SUBSCRIPTION);
    let found = broker.explain_subscription(&request.topic()?, &name).await?;
    Ok(Answer::json(&found.into_iter().map(explanation).collect::<Vec<_>>()))
}

fn explanation(found: geminga_broker::SubscriptionExplanation) -> SubscriptionExplanation {
    let consumers = found.consumers.into_iter().map(|consumer| ConsumerExplanation {
        name: consumer.name,
        address: consumer.address,
        waits: consumer.waits.to_owned(),
        permits: consumer.permits,
        unacked_messages: consumer.unacked_messages,
        waiting_entries: consumer.waiting_entries,
    });
    let draining = found.draining.into_iter().map(|draining| DrainingExplanation {
        slot: draining.slot,
        holder: draining.holder,
        held: message_id(draining.held),
        waiting_entries: draining.waiting_entries,
        since: draining.since,
    });
    SubscriptionExplanation {
        topic: found.topic.to_string(),
        subscription: found.subscription,
        kind: found.kind.to_owned(),
        state: found.state.to_owned(),
        because: found.because,
        backlog_entries: found.backlog_entries,
        unacked_messages: found.unacked_messages,
        delayed_entries: found.delayed_entries,
        next_due: found.next_due,
        parked_entries: found.parked_entries,
        parked_due: found.parked_due,
        held_back_entries: found.held_back_entries,
        held_back_entries_max: found.held_back_entries_max,
        rates: found.rates,
        mark_delete: message_id(found.mark_delete),
        read: message_id(found.read),
        consumers: consumers.collect(),
        draining: draining.collect(),
        dead_letters: found.dead_letters.map(dead_letters),
    }
}

fn dead_letters(found: geminga_broker::DeadLettersExplanation) -> DeadLettersExplanation {
    DeadLettersExplanation {
        policy: found.policy,
        topic: found.topic.to_string(),
        waiting_entries: found.waiting_entries,
        out_entries: found.out_entries,
        unsettled_messages: found.unsettled_messages,
        unsettled_messages_max: found.unsettled_messages_max,
        published_messages: found.published_messages,
        failure: found.failure,
        failing_since: found.failing_since,
        retry_at: found.retry_at,
    }
}

fn message_id(position: Position) -> MessageId {
    MessageId {
        ledger_id: position.ledger_id.0,
        entry_id: position.entry_id.0,
        partition_index: -1,
        batch_index: None,
    }
}

fn start(given: &ResetCursorData) -> CursorStart {
    match Position::new(given.ledger_id, given.entry_id) {
        Position::EARLIEST => CursorStart::Earliest,
        Position::LATEST => CursorStart::Latest,
        position => CursorStart::Position(position),
    }
}
