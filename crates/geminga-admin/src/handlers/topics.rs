//! Topics, with partitions and without.

use std::collections::BTreeMap;

use geminga_admin_model::{
    LongRunningProcessStatus, MessageId, PartitionedManagedLedgerInfo,
    PartitionedTopicInternalStats, PartitionedTopicMetadata, PartitionedTopicStats, TopicStats,
};
use geminga_broker::{AdminError, Broker, CompactionStatus, admin};
use geminga_types::{Domain, Position, TopicName};

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, stats};

pub(super) async fn list(broker: &Broker, request: &Request) -> Answered {
    let (domain, namespace) = request.domain_and_namespace()?;
    let with_system_topics = request.flag("includeSystemTopic");
    let bundle = request.query("bundle").filter(|bundle| !bundle.is_empty());
    let names = broker.topic_names(&namespace, domain, with_system_topics).await?;
    let names = broker.names_in_bundle(&namespace, bundle, names).await?;
    // There may be a million.
    Ok(broker.env().workers.blocking(move || Answer::json(&names)).await)
}

/// Non-persistent topics that are loaded.
pub(super) async fn list_bundle(broker: &Broker, request: &Request) -> Answered {
    let (namespace, bundle) = (request.namespace()?, Some(request.part(2)));
    let names = broker.topic_names(&namespace, Domain::NonPersistent, true).await?;
    Ok(Answer::json(&broker.names_in_bundle(&namespace, bundle, names).await?))
}

pub(super) async fn list_partitioned(broker: &Broker, request: &Request) -> Answered {
    let (domain, namespace) = request.domain_and_namespace()?;
    let with_system_topics = request.flag("includeSystemTopic");
    Ok(Answer::json(&broker.partitioned_topic_names(&namespace, domain, with_system_topics).await?))
}

pub(super) async fn create(broker: &Broker, request: &Request) -> Answered {
    let properties = request.json()?.unwrap_or_default();
    broker.create_topic_with(&request.topic()?, properties).await?;
    Ok(Answer::done())
}

pub(super) async fn delete(broker: &Broker, request: &Request) -> Answered {
    broker.delete_topic(&request.topic()?, request.flag("force")).await?;
    Ok(Answer::done())
}

/// With `checkAllowAutoCreation`, a topic that does not exist and may be created has 0 partitions.
pub(super) async fn partitions(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    let partitions = broker.partitions(&topic, request.flag("checkAllowAutoCreation")).await?;
    let properties = broker.partitioned_metadata(&topic).await?.properties;
    Ok(Answer::json(&PartitionedTopicMetadata { partitions, deleted: false, properties }))
}

pub(super) async fn create_partitions(broker: &Broker, request: &Request) -> Answered {
    let (topic, given) = (request.topic()?, request.partitions()?);
    broker.create_partitioned_topic(&topic, given.count, given.properties).await?;
    Ok(Answer::done())
}

pub(super) async fn update_partitions(broker: &Broker, request: &Request) -> Answered {
    broker.update_partitions(&request.topic()?, request.partitions()?.count).await?;
    Ok(Answer::done())
}

pub(super) async fn delete_partitions(broker: &Broker, request: &Request) -> Answered {
    broker.delete_partitioned_topic(&request.topic()?, request.flag("force")).await?;
    Ok(Answer::done())
}

pub(super) async fn create_missed_partitions(broker: &Broker, request: &Request) -> Answered {
    broker.create_missed_partitions(&request.topic()?).await?;
    Ok(Answer::done())
}

pub(super) async fn stats(broker: &Broker, request: &Request) -> Answered {
    let found = broker.topic_stats(&request.topic()?).await?;
    Ok(Answer::json(&chosen(broker, request, &found).await?))
}

/// Stats with what is asked for, and without what is not wanted. The number of entries in a backlog is
/// exact in any case.
async fn chosen(
    broker: &Broker,
    request: &Request,
    found: &admin::TopicStats,
) -> Result<TopicStats, Failure> {
    let mut all = stats::topic(found);
    // As in Pulsar, it is left out by request only.
    let with_bytes = request.query("subscriptionBacklogSize") != Some("false");
    let is_stored = found.topic.domain() == Domain::Persistent;
    let with_times = request.flag("getEarliestTimeInBacklog") && is_stored;
    for source in &found.subscriptions {
        let Some(to) = all.subscriptions.get_mut(&source.name) else { continue };
        if with_bytes && is_stored {
            to.backlog_size = i64::try_from(source.backlog_bytes).unwrap_or(i64::MAX);
        }
        if with_times && 0 < source.backlog_entries {
            let time = broker.backlog_time(&found.topic, &source.name).await?.unwrap_or(0);
            to.earliest_msg_publish_time_in_backlog = time;
            let earliest = &mut all.earliest_msg_publish_time_in_backlogs;
            *earliest = if *earliest == 0 { time } else { time.min(*earliest) };
        }
        if request.flag("excludeConsumers") {
            to.consumers.clear();
        }
    }
    if request.flag("excludePublishers") {
        all.publishers.clear();
    }
    Ok(all)
}

/// The sum over the partitions, and each of them unless `perPartition=false`.
pub(super) async fn partitioned_stats(broker: &Broker, request: &Request) -> Answered {
    let (metadata, found) = broker.partitioned_stats(&request.topic()?).await?;
    let metadata = PartitionedTopicMetadata {
        partitions: metadata.partitions,
        deleted: false,
        properties: metadata.properties,
    };
    let mut all = PartitionedTopicStats { metadata, ..PartitionedTopicStats::default() };
    let mut total: Option<TopicStats> = None;
    let with_each = request.query("perPartition") != Some("false");
    for part in &found {
        let part_stats = chosen(broker, request, part).await?;
        match &mut total {
            None => total = Some(part_stats.clone()),
            Some(total) => total.add(&part_stats),
        }
        if with_each {
            all.partitions.insert(part.topic.to_string(), part_stats);
        }
    }
    all.total = total.unwrap_or_default();
    Ok(Answer::json(&all))
}

pub(super) async fn internal_stats(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    refuse_non_persistent(&topic)?;
    Ok(Answer::json(&stats::internal(&broker.topic_stats(&topic).await?)))
}

/// What is stored of a managed ledger, or of those of all partitions.
pub(super) async fn internal_info(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    refuse_non_persistent(&topic)?;
    if broker.partitions(&topic, false).await? == 0 {
        let found = broker.topic_stats(&topic).await?;
        let properties = broker.topic_properties(&topic).await?;
        return Ok(Answer::json(&stats::info(&found, properties)));
    }
    let mut all = PartitionedManagedLedgerInfo::default();
    for part in broker.partitioned_stats(&topic).await?.1 {
        let properties = broker.topic_properties(&part.topic).await?;
        all.partitions.insert(part.topic.to_string(), stats::info(&part, properties));
    }
    Ok(Answer::json(&all))
}

/// Nothing here fills a topic with what another gets.
pub(super) async fn shadows(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    broker.topic_policies(&topic).await?;
    let message = format!("Topic {topic} has no shadow topics: this broker has no shadow topics");
    Err(AdminError::NotAllowed(message).into())
}

/// Nothing is moved to cold storage here.
pub(super) async fn offload(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    broker.require_stored_part(&topic, "its offload").await?;
    broker.topic_stats(&topic).await?;
    let message = format!("Topic {topic} is not offloaded: there is no managedLedgerOffloadDriver");
    Err(AdminError::NotAllowed(message).into())
}

pub(super) async fn offload_status(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    broker.require_stored_part(&topic, "its offload").await?;
    broker.topic_stats(&topic).await?;
    let (status, last_error) = ("NOT_RUN".to_owned(), String::new());
    Ok(Answer::json(&LongRunningProcessStatus { status, last_error }))
}

pub(super) async fn partitioned_internals(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    refuse_non_persistent(&topic)?;
    let (metadata, found) = broker.partitioned_stats(&topic).await?;
    let metadata = PartitionedTopicMetadata {
        partitions: metadata.partitions,
        deleted: false,
        properties: metadata.properties,
    };
    let partitions =
        found.iter().map(|part| (part.topic.to_string(), stats::internal(part))).collect();
    Ok(Answer::json(&PartitionedTopicInternalStats { metadata, partitions }))
}

pub(super) async fn unload(broker: &Broker, request: &Request) -> Answered {
    broker.unload_topic(&request.topic()?).await?;
    Ok(Answer::done())
}

pub(super) async fn terminate(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    let last = broker.terminate(&topic).await?;
    Ok(Answer::json(&message_id(&topic, last)))
}

pub(super) async fn terminate_partitions(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    let last = broker.terminate_partitions(&topic).await?.into_iter();
    let last = last.map(|(index, at)| (index, message_id(&topic.with_partition(index), at)));
    Ok(Answer::json(&last.collect::<BTreeMap<_, _>>()))
}

pub(super) async fn truncate(broker: &Broker, request: &Request) -> Answered {
    broker.truncate(&request.topic()?).await?;
    Ok(Answer::done())
}

pub(super) async fn properties(broker: &Broker, request: &Request) -> Answered {
    Ok(Answer::json(&broker.topic_properties(&request.topic()?).await?))
}

pub(super) async fn set_properties(broker: &Broker, request: &Request) -> Answered {
    let properties = request.json()?.unwrap_or_default();
    broker.set_topic_properties(&request.topic()?, properties).await?;
    Ok(Answer::done())
}

pub(super) async fn remove_property(broker: &Broker, request: &Request) -> Answered {
    let key = request.query("key").unwrap_or_default();
    broker.remove_topic_property(&request.topic()?, key).await?;
    Ok(Answer::done())
}

fn message_id(topic: &TopicName, at: Position) -> MessageId {
    MessageId {
        ledger_id: at.ledger_id.0,
        entry_id: at.entry_id.0,
        partition_index: partition_index(topic),
        batch_index: None,
    }
}

pub(super) async fn last_message_id(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    let last = broker.last_message_id(&topic).await?;
    Ok(Answer::json(&MessageId {
        ledger_id: last.position.ledger_id.0,
        entry_id: last.position.entry_id.0,
        partition_index: partition_index(&topic),
        batch_index: (0 <= last.batch_index).then_some(last.batch_index),
    }))
}

pub(super) async fn message_id_by_index(broker: &Broker, request: &Request) -> Answered {
    let (topic, index) = (request.topic()?, request.query("index").unwrap_or_default());
    let number: i64 = index.parse().map_err(|_| {
        Failure::InvalidParameter(format!("Query parameter index={index}: expected a number"))
    })?;
    let number = u64::try_from(number)
        .map_err(|_| AdminError::NotFound(format!("No message has the index {number}")))?;
    let found = broker.position_of_index(&topic, number).await?;
    Ok(Answer::json(&MessageId {
        ledger_id: found.ledger_id.0,
        entry_id: found.entry_id.0,
        partition_index: partition_index(&topic),
        batch_index: None,
    }))
}

pub(super) async fn trim(broker: &Broker, request: &Request) -> Answered {
    broker.trim(&request.topic()?).await?;
    Ok(Answer::done())
}

pub(super) async fn compact(broker: &Broker, request: &Request) -> Answered {
    broker.compact(&request.topic()?).await?;
    Ok(Answer::done())
}

pub(super) async fn compaction_status(broker: &Broker, request: &Request) -> Answered {
    let found = broker.compaction_status(&request.topic()?).await?;
    let (status, last_error) = match found {
        CompactionStatus::NotRun => ("NOT_RUN", String::new()),
        CompactionStatus::Running => ("RUNNING", String::new()),
        CompactionStatus::Success => ("SUCCESS", String::new()),
        CompactionStatus::Error(reason) => ("ERROR", reason),
    };
    let status = status.to_owned();
    Ok(Answer::json(&LongRunningProcessStatus { status, last_error }))
}

pub(super) fn partition_index(topic: &TopicName) -> i32 {
    topic.partition().and_then(|index| i32::try_from(index).ok()).unwrap_or(-1)
}

fn refuse_non_persistent(topic: &TopicName) -> Result<(), AdminError> {
    if topic.domain() == Domain::Persistent {
        return Ok(());
    }
    Err(AdminError::NotAllowed(format!("The non-persistent topic {topic} has no managed ledger")))
}
