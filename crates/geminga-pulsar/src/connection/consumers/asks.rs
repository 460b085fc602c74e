//! UNSUBSCRIBE, SEEK, GET_LAST_MESSAGE_ID, CONSUMER_STATS: answered by the consumer's topic.

use std::sync::Arc;

use geminga_broker::{Consumer, ConsumerStats, LastMessage, SeekTo};
use geminga_types::TopicName;
use geminga_wire::{
    ack_set,
    proto::{
        CommandConsumerStats, CommandConsumerStatsResponse, CommandGetLastMessageId,
        CommandGetLastMessageIdResponse, CommandSeek, CommandUnsubscribe, MessageIdData,
        ServerError,
    },
};

use crate::{
    connection::Connection,
    errors::{Coded, Refusal},
};

impl Connection {
    pub(in crate::connection) async fn on_unsubscribe(
        self: &Arc<Self>,
        command: CommandUnsubscribe,
    ) {
        let (consumer_id, request_id) = (command.consumer_id, command.request_id);
        let Some((consumer, key)) = self.consumer_and_key(consumer_id) else {
            return self.answer_no_consumer(request_id);
        };
        let me = Arc::clone(self);
        self.start(async move {
            let result = consumer.unsubscribe(command.force()).await;
            if result.is_ok() {
                // The topic has closed it; the client knows by the answer.
                me.drop_consumer(key);
            }
            me.answer_result(request_id, result);
        })
        .await;
    }

    pub(in crate::connection) async fn on_seek(self: &Arc<Self>, command: CommandSeek) {
        let request_id = command.request_id;
        let Some(consumer) = self.consumer(command.consumer_id) else {
            return self.answer_no_consumer(request_id);
        };
        let Some(to) = seek_to(&command) else {
            let message = "SEEK names neither a message nor a time";
            return self.answer_error(request_id, Refusal::not_allowed(message));
        };
        let me = Arc::clone(self);
        self.start(async move {
            let result = consumer.seek(to).await;
            me.answer_result(request_id, result);
        })
        .await;
    }

    pub(in crate::connection) async fn on_get_last_message_id(
        self: &Arc<Self>,
        command: CommandGetLastMessageId,
    ) {
        let request_id = command.request_id;
        let Some(consumer) = self.consumer(command.consumer_id) else {
            return self.answer_no_consumer(request_id);
        };
        let me = Arc::clone(self);
        self.start(async move {
            match consumer.last_message().await {
                Ok(last) => me.answer(last_message_id(request_id, last, consumer.topic())),
                Err(error) => me.answer_error(request_id, error.refusal()),
            }
        })
        .await;
    }

    pub(in crate::connection) async fn on_consumer_stats(
        self: &Arc<Self>,
        command: CommandConsumerStats,
    ) {
        let request_id = command.request_id;
        let Some(consumer) = self.consumer(command.consumer_id) else {
            let refusal = Refusal::new(ServerError::ConsumerNotFound, "Consumer not found");
            return self.answer(stats_refused(request_id, refusal));
        };
        let me = Arc::clone(self);
        self.start(async move { me.answer(stats(request_id, &consumer).await) }).await;
    }
}

fn seek_to(command: &CommandSeek) -> Option<SeekTo> {
    match (&command.message_id, command.message_publish_time) {
        (Some(id), _) => {
            let left = (!ack_set::is_empty(&id.ack_set)).then(|| id.ack_set.clone().into());
            Some(SeekTo::Position(id.position(), left))
        }
        (None, Some(time)) => Some(SeekTo::PublishTime(time)),
        (None, None) => None,
    }
}

fn last_message_id(
    request_id: u64,
    last: LastMessage,
    topic: &TopicName,
) -> CommandGetLastMessageIdResponse {
    let partition = topic.partition().and_then(|index| i32::try_from(index).ok());
    let id = |position| MessageIdData { partition, ..MessageIdData::from(position) };
    CommandGetLastMessageIdResponse {
        request_id,
        last_message_id: MessageIdData { batch_index: Some(last.batch_index), ..id(last.position) },
        consumer_mark_delete_position: Some(id(last.mark_delete)),
    }
}

async fn stats(request_id: u64, consumer: &Consumer) -> CommandConsumerStatsResponse {
    match consumer.stats().await {
        Ok(stats) => stats_response(request_id, stats),
        Err(error) => stats_refused(request_id, error.refusal()),
    }
}

fn stats_response(request_id: u64, stats: ConsumerStats) -> CommandConsumerStatsResponse {
    CommandConsumerStatsResponse {
        request_id,
        error_code: None,
        error_message: None,
        msg_rate_out: Some(stats.message_rate_out),
        msg_throughput_out: Some(stats.byte_rate_out),
        msg_rate_redeliver: Some(stats.message_rate_redeliver),
        consumer_name: Some(stats.consumer_name),
        available_permits: Some(u64::try_from(stats.available_permits).unwrap_or(0)),
        unacked_messages: Some(stats.unacked_messages),
        blocked_consumer_on_unacked_msgs: Some(stats.is_blocked),
        address: Some(stats.address),
        connected_since: Some(iso_8601(stats.connected_since)),
        r#type: Some(stats.kind.to_owned()),
        msg_rate_expired: Some(stats.entry_rate_expired),
        msg_backlog: Some(stats.backlog),
        message_ack_rate: Some(stats.message_ack_rate),
    }
}

fn stats_refused(request_id: u64, refusal: Refusal) -> CommandConsumerStatsResponse {
    CommandConsumerStatsResponse {
        request_id,
        error_code: Some(refusal.code.into()),
        error_message: Some(refusal.message),
        ..CommandConsumerStatsResponse::default()
    }
}

/// Milliseconds since 1970 as `2024-02-29T23:59:59.123Z`.
fn iso_8601(millis: u64) -> String {
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted from March 1st of the year 0, so that a leap day is a year's last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use geminga_types::Position;

    use super::*;

    #[test]
    fn times_are_written_as_iso_8601() {
        assert_eq!(iso_8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_8601(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso_8601(951_868_800_000), "2000-03-01T00:00:00.000Z");
        assert_eq!(iso_8601(1_709_251_199_123), "2024-02-29T23:59:59.123Z");
        assert_eq!(iso_8601(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
        assert_eq!(iso_8601(4_102_444_800_000), "2100-01-01T00:00:00.000Z");
        assert!(iso_8601(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn the_earliest_and_latest_positions_come_as_unsigned() {
        let seek = |ledger_id, entry_id| CommandSeek {
            message_id: Some(MessageIdData { ledger_id, entry_id, ..MessageIdData::default() }),
            ..CommandSeek::default()
        };
        let earliest = SeekTo::Position(Position::EARLIEST, None);
        assert_eq!(seek_to(&seek(u64::MAX, u64::MAX)), Some(earliest));
        let latest = SeekTo::Position(Position::LATEST, None);
        assert_eq!(seek_to(&seek(u64::MAX / 2, u64::MAX / 2)), Some(latest));
        assert_eq!(seek_to(&CommandSeek::default()), None);
    }

    #[test]
    fn the_last_message_of_an_empty_topic_is_before_the_first() {
        let last = LastMessage {
            position: Position::EARLIEST,
            batch_index: -1,
            mark_delete: Position::new(3, -1),
        };
        let topic: TopicName = "t-partition-2".parse().unwrap();
        let response = last_message_id(1, last, &topic);
        assert_eq!(response.last_message_id.ledger_id, u64::MAX);
        assert_eq!(response.last_message_id.batch_index(), -1);
        assert_eq!(response.last_message_id.partition(), 2);
        let mark = response.consumer_mark_delete_position.unwrap();
        assert_eq!((mark.ledger_id, mark.entry_id), (3, u64::MAX));
    }
}
