//! Lookups, lists, schemas, and what is not served.

use bytes::Bytes;
use geminga_wire::proto::{
    Body, CommandGetOrCreateSchema, CommandGetSchema, CommandGetTopicsOfNamespace,
    CommandLookupTopic, CommandNewTxn, CommandPartitionedTopicMetadata, CommandSeek,
    CommandWatchTopicList, CommandWatchTopicListClose, Schema, ServerError,
    command_get_topics_of_namespace::Mode, command_lookup_topic_response,
    command_partitioned_topic_metadata_response, schema::Type,
};

use crate::server::Server;

fn lookup(topic: &str, listener: Option<&str>) -> CommandLookupTopic {
    CommandLookupTopic {
        topic: topic.to_owned(),
        request_id: 7,
        advertised_listener_name: listener.map(str::to_owned),
        ..CommandLookupTopic::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_answers_the_advertised_address() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for listener in [None, Some("")] {
        let Body::LookupTopicResponse(found) = client.ask(lookup("t", listener)).await else {
            panic!()
        };
        assert_eq!(found.request_id, 7);
        assert_eq!(found.response(), command_lookup_topic_response::LookupType::Connect);
        assert_eq!(found.broker_service_url(), "pulsar://localhost:6650");
        assert!(found.authoritative());
        assert!(!found.proxy_through_service_url());
    }
    for (topic, listener, code) in [
        ("t", Some("test"), ServerError::ServiceNotReady),
        ("persistent://public/nowhere/t", None, ServerError::TopicNotFound),
        ("persistent://a/b/c/d", None, ServerError::InvalidTopicName),
    ] {
        let Body::LookupTopicResponse(failed) = client.ask(lookup(topic, listener)).await else {
            panic!()
        };
        assert_eq!(failed.response(), command_lookup_topic_response::LookupType::Failed);
        assert_eq!((failed.request_id, failed.error()), (7, code));
        if listener.is_some() {
            assert!(failed.message().contains("the broker do not have test listener"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn partition_metadata_follows_the_clients_wish_to_create() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let topic = "parted".parse().unwrap();
    server.broker.create_partitioned_topic(&topic, 3, None).await.unwrap();
    let ask = |topic: &str, create| CommandPartitionedTopicMetadata {
        topic: topic.to_owned(),
        request_id: 8,
        metadata_auto_creation_enabled: Some(create),
        ..CommandPartitionedTopicMetadata::default()
    };
    for (topic, create, expected) in [
        ("parted", false, Ok(3)),
        ("unknown", true, Ok(0)),
        ("unknown", false, Err(ServerError::TopicNotFound)),
        ("persistent://public/nowhere/t", true, Err(ServerError::TopicNotFound)),
        ("persistent://a/b/c/d", true, Err(ServerError::InvalidTopicName)),
    ] {
        let Body::PartitionMetadataResponse(found) = client.ask(ask(topic, create)).await else {
            panic!()
        };
        assert_eq!(found.request_id, 8);
        let is_found =
            found.response() == command_partitioned_topic_metadata_response::LookupType::Success;
        let answer = if is_found { Ok(found.partitions()) } else { Err(found.error()) };
        assert_eq!(answer, expected, "{topic}");
    }
}

#[tokio::test(start_paused = true)]
async fn topics_are_listed_filtered_and_left_out_when_unchanged() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (id, topic) in
        ["list-a", "list-b", "non-persistent://public/default/list-c"].into_iter().enumerate()
    {
        client.open_producer(topic, id.try_into().unwrap()).await;
    }
    let ask =
        |mode: Mode, pattern: Option<&str>, hash: Option<String>| CommandGetTopicsOfNamespace {
            request_id: 4,
            namespace: "public/default".to_owned(),
            mode: Some(mode.into()),
            topics_pattern: pattern.map(str::to_owned),
            topics_hash: hash,
            ..CommandGetTopicsOfNamespace::default()
        };
    let (a, c) = ("persistent://public/default/list-a", "non-persistent://public/default/list-c");
    let Body::GetTopicsOfNamespaceResponse(all) = client.ask(ask(Mode::All, None, None)).await
    else {
        panic!()
    };
    assert_eq!((all.request_id, all.topics.len(), all.filtered()), (4, 3, false));
    let pattern = Some("persistent://public/default/list-[ac]");
    let Body::GetTopicsOfNamespaceResponse(some) =
        client.ask(ask(Mode::Persistent, pattern, None)).await
    else {
        panic!()
    };
    assert_eq!((some.topics.as_slice(), some.filtered()), (&[a.to_owned()][..], true));
    let Body::GetTopicsOfNamespaceResponse(same) =
        client.ask(ask(Mode::Persistent, pattern, some.topics_hash)).await
    else {
        panic!()
    };
    assert!(same.topics.is_empty() && !same.changed());
    let Body::GetTopicsOfNamespaceResponse(others) =
        client.ask(ask(Mode::NonPersistent, None, None)).await
    else {
        panic!()
    };
    assert_eq!(others.topics, [c]);
}

#[tokio::test(start_paused = true)]
async fn a_schema_comes_out_as_it_went_in() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let schema = Schema {
        name: "s".to_owned(),
        schema_data: Bytes::from_static(b"{\"type\":\"string\"}"),
        r#type: Type::Avro.into(),
        properties: Vec::new(),
    };
    let create = CommandGetOrCreateSchema {
        request_id: 1,
        topic: "t".to_owned(),
        schema: schema.clone(),
        producer_name: None,
    };
    let Body::GetOrCreateSchemaResponse(refused) = client.ask(create.clone()).await else {
        panic!()
    };
    assert_eq!(refused.error_code(), ServerError::TopicNotFound);
    client.open_producer("t", 1).await;
    let Body::GetOrCreateSchemaResponse(created) = client.ask(create).await else { panic!() };
    assert_eq!((created.error_code, created.schema_version()), (None, &[0; 8][..]));
    let get = |version: Option<&'static [u8]>| CommandGetSchema {
        request_id: 2,
        topic: "t".to_owned(),
        schema_version: version.map(Bytes::from_static),
    };
    for version in [None, Some(&[0; 8][..])] {
        let Body::GetSchemaResponse(found) = client.ask(get(version)).await else { panic!() };
        assert_eq!((found.request_id, found.schema_version()), (2, &[0; 8][..]));
        let found = found.schema.unwrap();
        assert_eq!((found.schema_data, found.r#type), (schema.schema_data.clone(), schema.r#type));
    }
    for (version, code) in [
        (&[0, 0, 0, 0, 0, 0, 0, 2][..], ServerError::TopicNotFound),
        (&[1][..], ServerError::IncompatibleSchema),
    ] {
        let Body::GetSchemaResponse(failed) = client.ask(get(Some(version))).await else {
            panic!()
        };
        assert_eq!(failed.error_code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_refused_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let new = CommandNewTxn { request_id: 1, ..CommandNewTxn::default() };
    let Body::NewTxnResponse(refused) = client.ask(new).await else { panic!() };
    assert_eq!(refused.error(), ServerError::TransactionCoordinatorNotFound);
    let seek = CommandSeek { consumer_id: 5, request_id: 3, ..CommandSeek::default() };
    client.send(seek).await;
    assert_eq!(client.error_code().await, ServerError::ConsumerNotFound);
    client.open_producer("t", 1).await;
}

/// Goal: a watcher gets the list, then each topic that comes or goes and matches, and nothing once it is
/// closed.
#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_which_topics_come_and_go() {
    let server = Server::start().await;
    let (mut client, mut other) = (server.connect().await, server.connect().await);
    other.open_producer("a-1", 1).await;
    let watch = CommandWatchTopicList {
        request_id: 2,
        watcher_id: 7,
        namespace: "public/default".to_owned(),
        topics_pattern: "persistent://public/default/a-.*".to_owned(),
        topics_hash: None,
    };
    let Body::WatchTopicListSuccess(listed) = client.ask(watch.clone()).await else { panic!() };
    assert_eq!((listed.request_id, listed.watcher_id), (2, 7));
    assert_eq!(listed.topic, ["persistent://public/default/a-1"]);
    let known = CommandWatchTopicList {
        request_id: 3,
        watcher_id: 8,
        topics_hash: Some(listed.topics_hash.clone()),
        ..watch.clone()
    };
    let Body::WatchTopicListSuccess(unchanged) = client.ask(known).await else { panic!() };
    assert!(unchanged.topic.is_empty(), "the client has that list");
    assert_eq!(unchanged.topics_hash, listed.topics_hash);
    let close = CommandWatchTopicListClose { request_id: 4, watcher_id: 8 };
    let Body::Success(closed) = client.ask(close).await else { panic!() };
    assert_eq!(closed.request_id, 4);
    other.open_producer("b-1", 2).await;
    other.open_producer("a-2", 3).await;
    let Body::WatchTopicUpdate(update) = client.body().await else { panic!() };
    assert_eq!(update.watcher_id, 7);
    assert_eq!(update.new_topics, ["persistent://public/default/a-2"]);
    assert!(update.deleted_topics.is_empty());
    assert_ne!(update.topics_hash, listed.topics_hash);
    server.broker.delete_topic(&"a-2".parse().unwrap(), true).await.unwrap();
    let Body::WatchTopicUpdate(update) = client.body().await else { panic!() };
    assert_eq!(update.deleted_topics, ["persistent://public/default/a-2"]);
    assert_eq!(update.topics_hash, listed.topics_hash);
    let wrong = CommandWatchTopicList { topics_pattern: "(".to_owned(), ..watch };
    client.send(wrong).await;
    assert_eq!(client.error_code().await, ServerError::NotAllowedError);
}
