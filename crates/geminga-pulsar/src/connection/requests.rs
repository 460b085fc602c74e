//! LOOKUP, PARTITIONED_METADATA, GET_TOPICS_OF_NAMESPACE.

use std::sync::Arc;

use bytes::Bytes;
use geminga_broker::{Located, TopicsMode};
use geminga_types::NamespaceName;
use geminga_wire::proto::{
    CommandGetTopicsOfNamespace, CommandGetTopicsOfNamespaceResponse, CommandLookupTopic,
    CommandLookupTopicResponse, CommandPartitionedTopicMetadata,
    CommandPartitionedTopicMetadataResponse, ServerError, command_get_topics_of_namespace::Mode,
    command_lookup_topic_response, command_partitioned_topic_metadata_response,
};

use super::{Connection, answer::frame, producers::refusal};
use crate::{counters::Lookup, errors::Refusal, topic_list};

impl Connection {
    pub(super) async fn on_lookup(self: &Arc<Self>, command: CommandLookupTopic) {
        let request_id = command.request_id;
        let lookup = match self.begin_lookup() {
            Ok(lookup) => lookup,
            Err(refusal) => return self.answer(lookup_failed(request_id, refusal)),
        };
        let me = Arc::clone(self);
        self.start(async move {
            let clock = &me.env().clock;
            let began = clock.now();
            let located = me.locate(&command).await;
            drop(lookup);
            let now = clock.now();
            let counters = &me.options().counters;
            counters.note_lookup(now, now - began, located.is_ok());
            me.answer(match located {
                Ok(located) => connect_to(request_id, located),
                Err(refusal) => lookup_failed(request_id, refusal),
            });
        })
        .await;
    }

    pub(super) async fn on_partitioned_metadata(
        self: &Arc<Self>,
        command: CommandPartitionedTopicMetadata,
    ) {
        let request_id = command.request_id;
        let lookup = match self.begin_lookup() {
            Ok(lookup) => lookup,
            Err(refusal) => return self.answer(partitions_failed(request_id, refusal)),
        };
        let me = Arc::clone(self);
        self.start(async move {
            let partitions = me.partitions(&command).await;
            drop(lookup);
            me.answer(match partitions {
                Ok(partitions) => CommandPartitionedTopicMetadataResponse {
                    partitions: Some(partitions),
                    request_id,
                    response: Some(
                        command_partitioned_topic_metadata_response::LookupType::Success.into(),
                    ),
                    error: None,
                    message: None,
                },
                Err(refusal) => partitions_failed(request_id, refusal),
            });
        })
        .await;
    }

    pub(super) async fn on_get_topics(self: &Arc<Self>, command: CommandGetTopicsOfNamespace) {
        let me = Arc::clone(self);
        self.start(async move {
            let (request_id, frame_max) = (command.request_id, me.options().max_frame);
            let answered = match me.topics(&command).await {
                // There may be a million.
                Ok(topics) => {
                    let encode = move || topics_frame(&command, topics, frame_max);
                    me.env().workers.blocking(encode).await
                }
                Err(refusal) => Err(refusal),
            };
            match answered {
                Ok(frame) => me.answer_frame(frame),
                Err(refusal) => me.answer_error(request_id, refusal),
            }
        })
        .await;
    }

    fn begin_lookup(&self) -> Result<Lookup, Refusal> {
        let limit = self.options().concurrent_lookups_max;
        self.options().counters.begin_lookup(limit).ok_or_else(|| {
            let message =
                format!("Too many lookups are in progress, maxConcurrentLookupRequest is {limit}");
            Refusal::new(ServerError::TooManyRequests, message)
        })
    }

    async fn locate(&self, command: &CommandLookupTopic) -> Result<Located, Refusal> {
        let topic = command.topic.parse().map_err(refusal)?;
        let listener = command.advertised_listener_name.as_deref();
        let listener = listener.filter(|name| !name.is_empty());
        self.door.broker.lookup(&topic, listener).await.map_err(refusal)
    }

    async fn partitions(&self, command: &CommandPartitionedTopicMetadata) -> Result<u32, Refusal> {
        let topic = command.topic.parse().map_err(refusal)?;
        let create = command.metadata_auto_creation_enabled();
        self.door.broker.partitions(&topic, create).await.map_err(refusal)
    }

    async fn topics(&self, command: &CommandGetTopicsOfNamespace) -> Result<Vec<String>, Refusal> {
        let namespace: NamespaceName = command.namespace.parse().map_err(refusal)?;
        let mode = match command.mode() {
            Mode::Persistent => TopicsMode::Persistent,
            Mode::NonPersistent => TopicsMode::NonPersistent,
            Mode::All => TopicsMode::All,
        };
        self.door.broker.topics(&namespace, mode).await.map_err(refusal)
    }
}

fn connect_to(request_id: u64, located: Located) -> CommandLookupTopicResponse {
    CommandLookupTopicResponse {
        broker_service_url: Some(located.broker_url).filter(|url| !url.is_empty()),
        broker_service_url_tls: located.broker_url_tls,
        response: Some(command_lookup_topic_response::LookupType::Connect.into()),
        request_id,
        authoritative: Some(true),
        proxy_through_service_url: Some(false),
        error: None,
        message: None,
    }
}

fn lookup_failed(request_id: u64, refusal: Refusal) -> CommandLookupTopicResponse {
    CommandLookupTopicResponse {
        response: Some(command_lookup_topic_response::LookupType::Failed.into()),
        request_id,
        error: Some(refusal.code.into()),
        message: Some(refusal.message),
        ..CommandLookupTopicResponse::default()
    }
}

fn partitions_failed(request_id: u64, refusal: Refusal) -> CommandPartitionedTopicMetadataResponse {
    CommandPartitionedTopicMetadataResponse {
        partitions: None,
        request_id,
        response: Some(command_partitioned_topic_metadata_response::LookupType::Failed.into()),
        error: Some(refusal.code.into()),
        message: Some(refusal.message),
    }
}

/// The answer as a frame, unless no client would take one so large.
fn topics_frame(
    command: &CommandGetTopicsOfNamespace,
    topics: Vec<String>,
    frame_max: usize,
) -> Result<Bytes, Refusal> {
    let response = topics_response(command, topics);
    let (count, frame) = (response.topics.len(), frame(response));
    if frame.len() <= frame_max {
        return Ok(frame);
    }
    let (namespace, bytes) = (&command.namespace, frame.len());
    Err(Refusal::not_allowed(format!(
        "The names of the {count} topics of namespace {namespace} take {bytes} bytes, which is more \
         than a frame of {frame_max} bytes: ask with a pattern, or through the admin API"
    )))
}

/// Filters the list if asked to, and leaves it out when the client has it already.
fn topics_response(
    command: &CommandGetTopicsOfNamespace,
    mut topics: Vec<String>,
) -> CommandGetTopicsOfNamespaceResponse {
    let pattern = command.topics_pattern.as_deref().and_then(topic_list::Pattern::new);
    if let Some(pattern) = &pattern {
        topics.retain(|topic| pattern.matches(topic));
    }
    let hash = topic_list::hash(&topics);
    let is_changed = command.topics_hash.as_ref() != Some(&hash);
    if !is_changed {
        topics.clear();
    }
    CommandGetTopicsOfNamespaceResponse {
        request_id: command.request_id,
        topics,
        filtered: Some(pattern.is_some()),
        topics_hash: Some(hash),
        changed: Some(is_changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_filtered_and_left_out_when_unchanged() {
        let topics = || {
            ["persistent://public/default/a", "persistent://public/default/b-partition-0"]
                .map(str::to_owned)
                .to_vec()
        };
        let mut command = CommandGetTopicsOfNamespace {
            request_id: 1,
            namespace: "public/default".to_owned(),
            ..CommandGetTopicsOfNamespace::default()
        };
        let all = topics_response(&command, topics());
        assert_eq!((all.topics.len(), all.filtered(), all.changed()), (2, false, true));

        command.topics_pattern = Some("public/default/b".to_owned());
        let some = topics_response(&command, topics());
        assert_eq!(some.topics, topics()[1..]);
        assert!(some.filtered());

        command.topics_hash = some.topics_hash;
        let none = topics_response(&command, topics());
        assert_eq!((none.topics.len(), none.filtered(), none.changed()), (0, true, false));

        command.topics_pattern = Some("(".to_owned());
        assert!(!topics_response(&command, topics()).filtered());
    }
}
