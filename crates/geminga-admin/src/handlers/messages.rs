//! Looks at messages: payloads as bytes, all else in headers (`message_headers.rs`).

use geminga_admin_model::MessageId;
use geminga_broker::{Broker, StoredEntry, TopicError, admin::CountFrom};
use geminga_types::{Position, TopicName};

use super::{Answered, topics::partition_index};
use crate::{answer::Answer, failure::Failure, message_headers, request::Request};

const TIME: usize = 4;
const LEDGER: usize = 4;
const ENTRY: usize = 5;
const SUBSCRIPTION: usize = 4;
const NTH: usize = 5;

/// Nothing, if there was never a message.
pub(super) async fn id_by_time(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    let time: i64 = number(request.part(TIME), "a timestamp in milliseconds")?;
    let found = broker.position_of_time(&topic, u64::try_from(time).unwrap_or(0)).await?;
    let Some(found) = found else { return Ok(Answer::done()) };
    Ok(Answer::json(&MessageId {
        ledger_id: found.ledger_id.0,
        entry_id: found.entry_id.0,
        partition_index: partition_index(&topic),
        batch_index: None,
    }))
}

pub(super) async fn by_id(broker: &Broker, request: &Request) -> Answered {
    let ledger = number(request.part(LEDGER), "a ledger id")?;
    let entry = number(request.part(ENTRY), "an entry id")?;
    let topic = request.topic()?;
    let found = broker.read_entry(&topic, Position::new(ledger, entry)).await?;
    message(broker, topic, found).await
}

/// Counts from the newest message, unless `initialPosition=earliest`.
pub(super) async fn examine(broker: &Broker, request: &Request) -> Answered {
    let from = match request.query("initialPosition") {
        Some("earliest") => CountFrom::Earliest,
        _ => CountFrom::Latest,
    };
    let nth: i64 = match request.query("messagePosition") {
        None | Some("") => 1,
        Some(given) => number(given, "a message position")?,
    };
    let nth = u64::try_from(nth).unwrap_or(0).max(1);
    let topic = request.topic()?;
    let found = broker.examine_entry(&topic, from, nth).await?;
    message(broker, topic, found).await
}

pub(super) async fn peek(broker: &Broker, request: &Request) -> Answered {
    let nth = number(request.part(NTH), "a message position")?;
    let topic = request.topic()?;
    let found = broker.peek_entry(&topic, &request.subscription(SUBSCRIPTION), nth).await?;
    message(broker, topic, found).await
}

async fn message(broker: &Broker, topic: TopicName, found: StoredEntry) -> Answered {
    let found = broker.env().workers.blocking(move || found.message()).await;
    let found = found.map_err(|reason| TopicError::Corrupt { topic, reason })?;
    let headers = message_headers::of(&found);
    Ok(Answer::bytes(found.payload, headers))
}

/// A number in the path or the query.
pub(super) fn number<T: std::str::FromStr>(given: &str, what: &str) -> Result<T, Failure> {
    given.parse().map_err(|_| Failure::InvalidParameter(format!("{given:?} is not {what}")))
}
