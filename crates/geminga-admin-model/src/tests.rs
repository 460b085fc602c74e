use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn lookup_data_has_every_key_and_nulls() {
    let data = LookupData {
        broker_url: Some("pulsar://localhost:6650".to_owned()),
        http_url: Some("http://localhost:8080".to_owned()),
        native_url: Some("pulsar://localhost:6650".to_owned()),
        ..LookupData::default()
    };
    let text = serde_json::to_string(&data).unwrap();
    assert_eq!(
        text,
        r#"{"brokerUrl":"pulsar://localhost:6650","brokerUrlTls":null,"httpUrl":"http://localhost:8080","httpUrlTls":null,"nativeUrl":"pulsar://localhost:6650"}"#
    );
    assert_eq!(serde_json::from_str::<LookupData>(&text).unwrap(), data);
}

#[test]
fn message_ids_are_pulsars() {
    let id = MessageId { ledger_id: 3, entry_id: 9, partition_index: -1, batch_index: None };
    let text = serde_json::to_string(&id).unwrap();
    assert_eq!(text, r#"{"ledgerId":3,"entryId":9,"partitionIndex":-1}"#);
    let from_java = r#"{"ledgerId":9223372036854775807,"entryId":9223372036854775807,"partitionIndex":-1,"properties":null}"#;
    let latest: MessageId = serde_json::from_str(from_java).unwrap();
    assert_eq!((latest.ledger_id, latest.entry_id), (i64::MAX, i64::MAX));
    let short: MessageId = serde_json::from_str(r#"{"ledgerId":-1,"entryId":-1}"#).unwrap();
    assert_eq!(short.partition_index, -1);
}

#[test]
fn errors_have_a_reason() {
    let reason = Reason { reason: "Topic \"x\" not found".to_owned() };
    let text = serde_json::to_string(&reason).unwrap();
    assert_eq!(text, r#"{"reason":"Topic \"x\" not found"}"#);
}

#[test]
fn clusters_and_tenants_are_pulsars() {
    let cluster = ClusterData {
        service_url: Some("http://h:8080".to_owned()),
        broker_service_url: Some("pulsar://h:6650".to_owned()),
        ..ClusterData::default()
    };
    let expected = json!({
        "serviceUrl": "http://h:8080", "brokerServiceUrl": "pulsar://h:6650",
        "brokerClientTlsEnabled": false, "tlsAllowInsecureConnection": false,
    });
    assert_eq!(serde_json::to_value(cluster).unwrap(), expected);
    let tenant: TenantInfo =
        serde_json::from_value(json!({"adminRoles": ["b", "a", "a"], "x": 1})).unwrap();
    let expected = json!({"adminRoles": ["a", "b"], "allowedClusters": []});
    assert_eq!(serde_json::to_value(tenant).unwrap(), expected);
    let leader = BrokerInfo { service_url: "http://h:1".to_owned(), broker_id: "h:1".to_owned() };
    let expected = json!({"serviceUrl": "http://h:1", "brokerId": "h:1"});
    assert_eq!(serde_json::to_value(leader).unwrap(), expected);
}

#[test]
fn partitioned_metadata_is_pulsars() {
    let metadata =
        PartitionedTopicMetadata { partitions: 3, ..PartitionedTopicMetadata::default() };
    let text = serde_json::to_string(&metadata).unwrap();
    assert_eq!(text, r#"{"partitions":3,"deleted":false}"#);
    let read: PartitionedTopicMetadata = serde_json::from_str(r#"{"partitions":3}"#).unwrap();
    assert_eq!(read, metadata);
}

#[test]
fn schemas_are_pulsars() {
    let response = GetSchemaResponse {
        version: 0,
        kind: SchemaType::of_number(4),
        timestamp: 5,
        data: "{}".to_owned(),
        properties: BTreeMap::new(),
    };
    let text = serde_json::to_string(&response).unwrap();
    let expected = r#"{"version":0,"type":"AVRO","timestamp":5,"data":"{}","properties":{}}"#;
    assert_eq!(text, expected);
    let posted: PostSchemaPayload =
        serde_json::from_str(r#"{"type":"KEY_VALUE","schema":"s","properties":{"a":"b"}}"#)
            .unwrap();
    assert_eq!(posted.kind, SchemaType::KEY_VALUE);
    let from_go = r#"{"type":"STRING","schema":null,"properties":null}"#;
    let posted: PostSchemaPayload = serde_json::from_str(from_go).unwrap();
    assert_eq!((posted.schema.as_str(), posted.properties.len()), ("", 0));
    let answer = PostSchemaResponse { version: SchemaVersionLong { version: 2 } };
    assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"version":{"version":2}}"#);
    let error = serde_json::from_str::<PostSchemaPayload>(r#"{"type":"AVROX"}"#).unwrap_err();
    assert!(error.to_string().contains("AVROX"), "{error}");
    for number in (0..=20).chain([22]) {
        let kind = SchemaType::of_number(number);
        assert_eq!(kind.number(), number);
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    assert_eq!(SchemaType::of_number(-1).name(), "NONE");
}

const TOPIC_KEYS: &str = "
    msgRateIn msgThroughputIn msgRateOut msgThroughputOut bytesInCounter msgInCounter
    bytesOutCounter msgOutCounter averageMsgSize msgChunkPublished storageSize backlogSize
    publishers waitingPublishers subscriptions replication deduplicationStatus compaction
    offloadedStorageSize lastOffloadSuccessTimeStamp
    nonContiguousDeletedMessagesRangesSerializedSize
";
const SUBSCRIPTION_KEYS: &str = "
    msgBacklog msgBacklogNoDelayed backlogSize unackedMessages type consumers isDurable
    durable isReplicated replicated msgRateRedeliver msgDelayed
    blockedSubscriptionOnUnackedMsgs subscriptionProperties totalMsgExpired
    consumersAfterMarkDeletePosition lastMarkDeleteAdvancedTimestamp
";
const CONSUMER_KEYS: &str = "consumerName availablePermits unackedMessages keyHashRanges metadata";
const PUBLISHER_KEYS: &str = "accessMode producerId producerName averageMsgSize metadata";

fn assert_has(value: &Value, expected: &str) {
    for key in expected.split_whitespace() {
        assert!(keys(value).contains(key), "{key}");
    }
}

/// The keys that Pulsar's own readers and dashboards look for.
#[test]
fn topic_stats_have_pulsars_keys() {
    let mut stats = TopicStats::default();
    let consumer = ConsumerStats {
        consumer_name: Some("c".to_owned()),
        key_hash_ranges: Some(vec!["[0, 65535]".to_owned()]),
        ..ConsumerStats::default()
    };
    let subscription = SubscriptionStats {
        kind: Some("Shared".to_owned()),
        consumers: vec![consumer],
        ..SubscriptionStats::default()
    };
    let publisher = PublisherStats {
        access_mode: Some("Shared".to_owned()),
        producer_name: Some("p".to_owned()),
        ..PublisherStats::default()
    };
    stats.publishers.push(publisher);
    stats.subscriptions.insert("s".to_owned(), subscription);
    let value = serde_json::to_value(&stats).unwrap();
    assert_has(&value, TOPIC_KEYS);
    let subscription = &value["subscriptions"]["s"];
    assert_has(subscription, SUBSCRIPTION_KEYS);
    assert_eq!(subscription["type"], "Shared");
    assert_has(&subscription["consumers"][0], CONSUMER_KEYS);
    let publisher = &value["publishers"][0];
    assert_has(publisher, PUBLISHER_KEYS);
    assert!(!keys(publisher).contains("address"), "nulls are left out");
    assert_eq!(serde_json::from_value::<TopicStats>(value).unwrap(), stats);
}

#[test]
fn partitioned_stats_are_one_object() {
    let mut all = PartitionedTopicStats::default();
    all.metadata.partitions = 2;
    all.total.msg_in_counter = 7;
    all.partitions.insert("persistent://a/b/c-partition-0".to_owned(), TopicStats::default());
    let value = serde_json::to_value(&all).unwrap();
    assert_eq!(value["msgInCounter"], 7);
    assert_eq!(value["metadata"], json!({"partitions": 2, "deleted": false}));
    assert_eq!(value["partitions"]["persistent://a/b/c-partition-0"]["msgInCounter"], 0);
    assert_eq!(serde_json::from_value::<PartitionedTopicStats>(value).unwrap(), all);
}

#[test]
fn partitions_add_up() {
    let part = |name: &str, backlog: u64| {
        let subscription = SubscriptionStats {
            msg_backlog: backlog,
            kind: Some("Exclusive".to_owned()),
            consumers: vec![ConsumerStats::default()],
            ..SubscriptionStats::default()
        };
        let publisher = PublisherStats {
            producer_name: Some(name.to_owned()),
            msg_rate_in: 2.0,
            msg_throughput_in: 20.0,
            ..PublisherStats::default()
        };
        TopicStats {
            msg_rate_in: 2.0,
            msg_throughput_in: 20.0,
            msg_in_counter: backlog,
            last_publish_time_stamp: backlog,
            publishers: vec![publisher],
            subscriptions: BTreeMap::from([("s".to_owned(), subscription)]),
            ..TopicStats::default()
        }
    };
    let mut total = part("p", 3);
    total.add(&part("p", 5));
    total.add(&part("q", 0));
    assert_eq!((total.msg_in_counter, total.last_publish_time_stamp), (8, 5));
    assert_eq!((total.msg_rate_in, total.average_msg_size), (6.0, 10.0));
    assert_eq!(total.publishers.len(), 2);
    assert_eq!(total.publishers[0].msg_rate_in, 4.0);
    assert_eq!(total.subscriptions["s"].msg_backlog, 8);
    assert_eq!(total.subscriptions["s"].consumers.len(), 3);
}

#[test]
fn internal_stats_have_pulsars_keys() {
    let stats = PersistentTopicInternalStats {
        last_confirmed_entry: Some("1:2".to_owned()),
        state: Some("LedgerOpened".to_owned()),
        ledgers: vec![LedgerInfo { ledger_id: 1, ..LedgerInfo::default() }],
        cursors: BTreeMap::from([("s".to_owned(), CursorStats::default())]),
        ..PersistentTopicInternalStats::default()
    };
    let value = serde_json::to_value(&stats).unwrap();
    assert_eq!(value["lastConfirmedEntry"], "1:2");
    assert_eq!(value["ledgers"][0]["ledgerId"], 1);
    assert!(keys(&value["cursors"]["s"]).contains("markDeletePosition"));
    assert_eq!(serde_json::from_value::<PersistentTopicInternalStats>(value).unwrap(), stats);
}

#[test]
fn time_is_printed_as_pulsars() {
    for (millis, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
        (1_735_689_599_123, "2024-12-31T23:59:59.123Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(iso_8601(millis), text);
    }
    assert!(iso_8601(u64::MAX).ends_with('Z'));
}

/// Goal: every day of 800 years has the date that counting days one by one gives.
#[test]
fn dates_match_a_calendar() {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut month, mut day) = (1970_u64, 1_u64, 1_u64);
    for days in 0..292_194_u64 {
        let text = iso_8601(days * 86_400_000);
        assert_eq!(&text[..10], format!("{year:04}-{month:02}-{day:02}"), "day {days}");
        let length = match month {
            2 => 28 + u64::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (year, month, day) = match (month, day == length) {
            (_, false) => (year, month, day + 1),
            (12, true) => (year + 1, 1, 1),
            (_, true) => (year, month + 1, 1),
        };
    }
}

#[test]
fn a_reset_is_read_as_clients_write_it() {
    let read = |json: &str| serde_json::from_str::<ResetCursorData>(json);
    let given = r#"{"ledgerId":3,"entryId":4,"partitionIndex":1,"batchIndex":2,"properties":null,"excluded":true}"#;
    let expected = ResetCursorData {
        partition_index: 1,
        batch_index: 2,
        excluded: true,
        ..ResetCursorData::at(3, 4)
    };
    assert_eq!(read(given).unwrap(), expected);
    let written = serde_json::to_string(&expected).unwrap();
    assert_eq!(read(&written).unwrap(), expected);
    assert_eq!(read(r#"{"ledgerId":3,"entryId":4}"#).unwrap(), ResetCursorData::at(3, 4));
    assert!(read(r#"{"ledgerId":3,"entryId":4,"isExcluded":true}"#).unwrap().excluded);
    assert_eq!(read(r#""earliest""#).unwrap(), ResetCursorData::EARLIEST);
    assert_eq!(read(r#""latest""#).unwrap(), ResetCursorData::LATEST);
    for bad in [r#""middle""#, "{}", "7", r#"{"ledgerId":3}"#] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
