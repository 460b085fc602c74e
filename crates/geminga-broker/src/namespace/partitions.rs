//! How many partitions a topic has.

use std::collections::BTreeMap;

use geminga_ledger::Deps;
use geminga_metadata::{MetadataError, paths, values::policies::PartitionedTopicMetadata};
use geminga_types::TopicName;

use super::record;
use crate::AdminError;

/// A partitioned topic's record as stored, deleted or not.
pub(crate) type PartitionRecord = PartitionedTopicMetadata;

/// How many partitions `topic` has; `None` when it is not a partitioned topic, or is being deleted.
pub(crate) async fn partition_count(
    deps: &Deps,
    topic: &TopicName,
) -> Result<Option<u32>, MetadataError> {
    let found = partition_record(deps, topic).await?;
    Ok(found.filter(|found| !found.deleted).map(|found| found.partitions))
}

/// The record of a partitioned topic, also of one that is being deleted.
pub(crate) async fn partition_record(
    deps: &Deps,
    topic: &TopicName,
) -> Result<Option<PartitionRecord>, MetadataError> {
    Ok(record::read(deps, &paths::partitioned_topic(topic)).await?.map(|(found, _)| found))
}

/// Makes `topic` a partitioned one. Its partitions are the caller's to create.
///
/// # Errors
///
/// `Conflict` when it is one already; while it is being deleted too.
pub(crate) async fn create_partitions(
    deps: &Deps,
    topic: &TopicName,
    partitions: u32,
    properties: Option<BTreeMap<String, String>>,
) -> Result<(), AdminError> {
    if partitions == 0 {
        return Err(AdminError::Invalid(format!(
            "Topic {topic}: the number of partitions should be more than 0"
        )));
    }
    let wanted = PartitionRecord { partitions, properties, ..PartitionRecord::default() };
    match record::create(deps, &paths::partitioned_topic(topic), &wanted).await? {
        record::Created::New => Ok(()),
        record::Created::Exists => {
            Err(AdminError::Conflict(format!("Partitioned topic {topic} already exists")))
        }
    }
}

/// Refuses to make a topic with `before` partitions (`None`: it has none) one with fewer.
///
/// # Errors
///
/// `Unprocessable`, as Pulsar has it for both.
pub(crate) fn check_growth(
    topic: &TopicName,
    before: Option<u32>,
    partitions: u32,
) -> Result<u32, AdminError> {
    let Some(before) = before else {
        let message = format!("Topic {topic} is not a partitioned topic");
        return Err(AdminError::Unprocessable(message));
    };
    if partitions < before {
        return Err(AdminError::Unprocessable(format!(
            "Topic {topic}: desired partitions {partitions} can't be less than the current \
             partitions {before}"
        )));
    }
    Ok(before)
}

/// Raises the number of partitions and returns the number before. The same number changes nothing.
///
/// # Errors
///
/// See [`check_growth`].
pub(crate) async fn grow_partitions(
    deps: &Deps,
    topic: &TopicName,
    partitions: u32,
) -> Result<u32, AdminError> {
    let mut before = 0;
    let path = paths::partitioned_topic(topic);
    record::change::<PartitionRecord, AdminError>(deps, &path, |found| {
        let found = found.filter(|found| !found.deleted);
        before = check_growth(topic, found.map(|found| found.partitions), partitions)?;
        let grown = found.filter(|_| partitions != before);
        Ok(grown.map(|found| PartitionRecord { partitions, ..found.clone() }))
    })
    .await?;
    Ok(before)
}

/// Changes a partitioned topic's properties: each is noted, or removed. `false`: there is no such topic.
pub(crate) async fn change_partitioned_properties(
    deps: &Deps,
    topic: &TopicName,
    changes: &[(String, Option<String>)],
) -> Result<bool, AdminError> {
    let path = paths::partitioned_topic(topic);
    let changed = record::change::<PartitionRecord, AdminError>(deps, &path, |found| {
        let Some(found) = found.filter(|found| !found.deleted) else { return Ok(None) };
        let mut properties = found.properties.clone().unwrap_or_default();
        for (key, value) in changes {
            match value {
                Some(value) => _ = properties.insert(key.clone(), value.clone()),
                None => _ = properties.remove(key),
            }
        }
        let properties = Some(properties).filter(|properties| !properties.is_empty());
        let wanted = PartitionRecord { properties, ..found.clone() };
        Ok((wanted != *found).then_some(wanted))
    })
    .await?;
    Ok(changed.is_some_and(|found| !found.deleted))
}

/// First phase of deleting: from here on the topic counts as absent, and only deleting it again
/// goes on. Returns how many partitions are to be deleted.
///
/// # Errors
///
/// `NotFound` when it is no partitioned topic.
pub(crate) async fn mark_partitions_deleted(
    deps: &Deps,
    topic: &TopicName,
) -> Result<u32, AdminError> {
    let path = paths::partitioned_topic(topic);
    let marked = record::change::<PartitionRecord, AdminError>(deps, &path, |found| {
        let found = found.ok_or_else(|| {
            AdminError::NotFound(format!("Partitioned topic {topic} does not exist"))
        })?;
        Ok((!found.deleted).then(|| PartitionRecord { deleted: true, ..found.clone() }))
    })
    .await?;
    Ok(marked.map_or(0, |marked| marked.partitions))
}

/// The topic is not deleted, after all.
pub(crate) async fn unmark_partitions_deleted(
    deps: &Deps,
    topic: &TopicName,
) -> Result<(), AdminError> {
    let path = paths::partitioned_topic(topic);
    record::change::<PartitionRecord, AdminError>(deps, &path, |found| {
        let marked = found.filter(|found| found.deleted);
        Ok(marked.map(|found| PartitionRecord { deleted: false, ..found.clone() }))
    })
    .await?;
    Ok(())
}

/// Last phase of deleting, once the partitions are gone.
pub(crate) async fn finish_delete_partitions(
    deps: &Deps,
    topic: &TopicName,
) -> Result<(), AdminError> {
    let path = paths::partitioned_topic(topic);
    let mut was_created_again = false;
    record::delete::<PartitionRecord>(deps, &path, |found| {
        was_created_again = !found.deleted;
        found.deleted
    })
    .await?;
    if was_created_again {
        let message = format!("Partitioned topic {topic} was created again while it was deleted");
        return Err(AdminError::Conflict(message));
    }
    Ok(())
}
