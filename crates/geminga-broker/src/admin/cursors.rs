//! Moves cursors: back and forth, or over what is too old.

use geminga_types::{EntryId, Position, TopicName};
use geminga_wire::entry::EntryMeta;

use super::subscriptions::{no_subscription, persistent_only};
use crate::{AdminError, Broker, SeekTo, creation::Purpose, topic::ExpireTo};

/// Where a cursor is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetPosition {
    /// The entry.
    pub position: Position,
    /// The message in its batch.
    pub batch_index: Option<u32>,
    /// Whether the message behind it is meant.
    pub is_excluded: bool,
}

impl Broker {
    /// Puts a subscription before the first entry that was published at or after a wall-clock time in
    /// milliseconds, on each partition that was ever used. Who consumes is disconnected.
    ///
    /// # Errors
    ///
    /// If it does not exist, or is being reset.
    pub async fn reset_cursor_to_time(
        &self,
        topic: &TopicName,
        name: &str,
        time: u64,
    ) -> Result<(), AdminError> {
        persistent_only(topic)?;
        let mut was_there = false;
        for part in self.parts_of(topic).await? {
            let Some(handle) = self.used_part(topic, &part).await? else { continue };
            handle.reset_cursor(name.to_owned(), SeekTo::PublishTime(time)).await?;
            was_there = true;
        }
        require_found(was_there, topic, name)
    }

    /// Puts a subscription of one partition before, or behind, a message.
    ///
    /// # Errors
    ///
    /// If it does not exist, or is being reset; if the topic has partitions.
    pub async fn reset_cursor(
        &self,
        topic: &TopicName,
        name: &str,
        to: ResetPosition,
    ) -> Result<(), AdminError> {
        self.require_stored_part(topic, "a reset to a position").await?;
        let (position, ack_set) = self.place_of(topic, to).await?;
        let handle = self.topic(topic, Purpose::Administer).await?;
        handle.reset_cursor(name.to_owned(), SeekTo::Position(position, ack_set)).await
    }

    /// Acks what was published before a wall-clock time in milliseconds on one subscription, of each
    /// partition that was ever used.
    ///
    /// # Errors
    ///
    /// If it does not exist, or there is nothing to be done on one of the partitions.
    pub async fn expire_messages(
        &self,
        topic: &TopicName,
        name: &str,
        before: u64,
    ) -> Result<(), AdminError> {
        persistent_only(topic)?;
        let (mut was_there, mut conflict) = (false, None);
        for part in self.parts_of(topic).await? {
            let Some(handle) = self.used_part(topic, &part).await? else { continue };
            match handle.expire(name.to_owned(), ExpireTo::Time(before)).await {
                Err(error @ AdminError::Conflict(_)) => conflict = conflict.or(Some(error)),
                expired => expired?,
            }
            was_there = true;
        }
        require_found(was_there, topic, name)?;
        conflict.map_or(Ok(()), Err)
    }

    /// The same for all subscriptions.
    ///
    /// # Errors
    ///
    /// If the topic does not exist, or there is nothing to be done for one of the subscriptions.
    pub async fn expire_messages_of_all(
        &self,
        topic: &TopicName,
        before: u64,
    ) -> Result<(), AdminError> {
        persistent_only(topic)?;
        let mut conflict = None;
        for part in self.parts_of(topic).await? {
            let Some(handle) = self.used_part(topic, &part).await? else { continue };
            for name in self.subscriptions(&part).await? {
                match handle.expire(name, ExpireTo::Time(before)).await {
                    Err(error @ AdminError::Conflict(_)) => conflict = conflict.or(Some(error)),
                    // The topic's own, or gone meanwhile.
                    Err(AdminError::NotAllowed(_) | AdminError::NotFound(_)) => {}
                    expired => expired?,
                }
            }
        }
        conflict.map_or(Ok(()), Err)
    }

    /// Acks what lies at or before a message on a subscription of one partition; with
    /// [`ResetPosition::is_excluded`] the message behind it too.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the topic has partitions, or the message lies behind the last one.
    pub async fn expire_messages_to(
        &self,
        topic: &TopicName,
        name: &str,
        to: ResetPosition,
    ) -> Result<(), AdminError> {
        self.require_stored_part(topic, "an expiry up to a position").await?;
        let (position, ack_set) = self.place_of(topic, to).await?;
        let handle = self.topic(topic, Purpose::Administer).await?;
        handle.expire(name.to_owned(), ExpireTo::Position(position, ack_set)).await
    }

    /// The entry, and what is left of it if it is a batch of which a part is meant.
    async fn place_of(
        &self,
        topic: &TopicName,
        to: ResetPosition,
    ) -> Result<(Position, Option<Box<[i64]>>), AdminError> {
        let ResetPosition { position, batch_index, is_excluded } = to;
        let next =
            Position { entry_id: EntryId(position.entry_id.0.saturating_add(1)), ..position };
        let Some(index) = batch_index else {
            return Ok((if is_excluded { next } else { position }, None));
        };
        let messages = match self.read_entry(topic, position).await {
            Ok(found) => EntryMeta::parse(&found.entry).map_or(0, |meta| meta.messages),
            Err(AdminError::NotFound(_)) => 0,
            Err(error) => return Err(error),
        };
        let gone = if is_excluded { index.saturating_add(1) } else { index };
        Ok(match gone {
            // It was trimmed, or was never there.
            _ if messages == 0 => (if is_excluded { next } else { position }, None),
            0 => (position, None),
            gone if messages <= gone => (next, None),
            gone => (position, Some(left_of(messages, gone))),
        })
    }
}

fn require_found(was_there: bool, topic: &TopicName, name: &str) -> Result<(), AdminError> {
    if was_there {
        return Ok(());
    }
    Err(no_subscription(topic, name))
}

/// The ack set of a batch without its first messages.
fn left_of(messages: u32, gone: u32) -> Box<[i64]> {
    let mut words = vec![0_u64; messages.div_ceil(64) as usize];
    for index in gone..messages {
        words[(index / 64) as usize] |= 1 << (index % 64);
    }
    words.into_iter().map(u64::cast_signed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_batch_has_its_bits_set() {
        assert_eq!(*left_of(3, 1), [0b110]);
        assert_eq!(*left_of(64, 63), [i64::MIN]);
        assert_eq!(*left_of(65, 0), [-1, 1]);
        assert_eq!(*left_of(130, 64), [0, -1, 3]);
    }
}
