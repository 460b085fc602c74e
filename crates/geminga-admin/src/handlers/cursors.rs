//! Moves cursors.

use geminga_admin_model::ResetCursorData;
use geminga_broker::{AdminError, Broker, admin::ResetPosition};
use geminga_types::Position;

use super::{Answered, messages::number, topics::partition_index};
use crate::{answer::Answer, failure::Failure, request::Request};

const SUBSCRIPTION: usize = 4;
const TIME: usize = 5;
const TIME_OF_ALL: usize = 4;

pub(super) async fn reset_to_time(broker: &Broker, request: &Request) -> Answered {
    let time: i64 = number(request.part(TIME), "a timestamp in milliseconds")?;
    let (topic, name) = (request.topic()?, request.subscription(SUBSCRIPTION));
    broker.reset_cursor_to_time(&topic, &name, u64::try_from(time).unwrap_or(0)).await?;
    Ok(Answer::done())
}

pub(super) async fn reset(broker: &Broker, request: &Request) -> Answered {
    let to = position(&given(request)?);
    broker.reset_cursor(&request.topic()?, &request.subscription(SUBSCRIPTION), to).await?;
    Ok(Answer::done())
}

pub(super) async fn expire(broker: &Broker, request: &Request) -> Answered {
    let before = past(broker, request.part(TIME))?;
    broker.expire_messages(&request.topic()?, &request.subscription(SUBSCRIPTION), before).await?;
    Ok(Answer::done())
}

pub(super) async fn expire_all(broker: &Broker, request: &Request) -> Answered {
    let before = past(broker, request.part(TIME_OF_ALL))?;
    broker.expire_messages_of_all(&request.topic()?, before).await?;
    Ok(Answer::done())
}

/// The position is to be of this partition, as in Pulsar.
pub(super) async fn expire_to(broker: &Broker, request: &Request) -> Answered {
    let (topic, given) = (request.topic()?, given(request)?);
    let (index, own) = (given.partition_index, partition_index(&topic));
    let name = request.subscription(SUBSCRIPTION);
    if index == own {
        broker.expire_messages_to(&topic, &name, position(&given)).await?;
        return Ok(Answer::done());
    }
    // A topic that cannot be expired in this way says so first.
    broker.require_stored_part(&topic, "an expiry up to a position").await?;
    let message = format!("The position is of partition {index}, the topic {topic} is {own}");
    Err(AdminError::Invalid(message).into())
}

fn given(request: &Request) -> Result<ResetCursorData, Failure> {
    let given = request.json()?;
    given.ok_or_else(|| Failure::InvalidBody("Request body is not a position: it is empty".into()))
}

fn position(given: &ResetCursorData) -> ResetPosition {
    ResetPosition {
        position: Position::new(given.ledger_id, given.entry_id),
        batch_index: u32::try_from(given.batch_index).ok(),
        is_excluded: given.excluded,
    }
}

/// The time so many seconds ago. As in Pulsar, nothing is older than 0 seconds.
fn past(broker: &Broker, seconds: &str) -> Result<u64, Failure> {
    let seconds: i32 = number(seconds, "a number of seconds")?;
    let seconds = u64::try_from(seconds).map_err(|_| {
        Failure::InvalidParameter(format!("Messages are older than 0 seconds, not {seconds}"))
    })?;
    if seconds == 0 {
        return Ok(0);
    }
    Ok(broker.env().clock.wall().0.saturating_sub(seconds.saturating_mul(1_000)))
}
