//! Policies of topics.

use geminga_admin::Options;
use serde_json::{Value, json};

use crate::server::{Disk, Server, with_server};

const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const NAMESPACE: &str = "/admin/v2/namespaces/public/default";

/// A policy: what it is called of a topic, how it is set, a value that can be set, some that can't, and its
/// name and method of a namespace, if it has one.
type Case =
    (&'static str, &'static str, Value, &'static [&'static str], &'static str, &'static str);

fn cases() -> Vec<Case> {
    [counts(), rates(), records(), kept()].concat()
}

fn counts() -> Vec<Case> {
    let (of_consumer, of_subscription) =
        ("maxUnackedMessagesPerConsumer", "maxUnackedMessagesPerSubscription");
    let (of_one, subscriptions) = ("maxConsumersPerSubscription", "maxSubscriptionsPerTopic");
    let post = "POST";
    vec![
        ("messageTTL", post, json!(60), &["-1", "\"x\"", "{}"], "messageTTL", post),
        ("maxProducers", post, json!(3), &["-1", "\"x\""], "maxProducersPerTopic", post),
        ("maxConsumers", post, json!(4), &["-1", "{}"], "maxConsumersPerTopic", post),
        (of_one, post, json!(5), &["-1", "{}"], of_one, post),
        (subscriptions, post, json!(6), &["-1", "{}"], subscriptions, post),
        ("maxMessageSize", post, json!(1000), &["-1", "5242881", "\"x\""], "", ""),
        ("maxUnackedMessagesOnConsumer", post, json!(7), &["-5", "1.5"], of_consumer, post),
        ("maxUnackedMessagesOnSubscription", post, json!(0), &["-5", "[]"], of_subscription, post),
        ("compactionThreshold", post, json!(1_i64 << 40), &["-1"], "compactionThreshold", "PUT"),
    ]
}

fn rates() -> Vec<Case> {
    let rate = json!({
        "dispatchThrottlingRateInMsg": 10, "dispatchThrottlingRateInByte": -1,
        "relativeToPublishRate": false, "ratePeriodInSecond": 1,
    });
    let bad: &[&str] =
        &[r#"{"ratePeriodInSecond":0}"#, r#"{"dispatchThrottlingRateInByte":"x"}"#, "7"];
    let publish_rate = json!({
        "publishThrottlingRateInMsg": 10, "publishThrottlingRateInByte": -1,
    });
    let (of_subscription, post) = ("subscriptionDispatchRate", "POST");
    vec![
        ("dispatchRate", post, rate.clone(), bad, "dispatchRate", post),
        (of_subscription, post, rate, bad, of_subscription, post),
        ("publishRate", post, publish_rate, &["7"], "publishRate", post),
    ]
}

fn records() -> Vec<Case> {
    let inactive = json!({
        "inactiveTopicDeleteMode": "delete_when_no_subscriptions",
        "maxInactiveDurationSeconds": 60, "deleteWhileInactive": true,
    });
    let retention = json!({"retentionTimeInMinutes": 10, "retentionSizeInMB": -1});
    let delays = json!({"active": false, "tickTime": 2000, "maxDeliveryDelayInMillis": 7});
    let no_tick: &[&str] = &[
        r#"{"active":true,"tickTime":0}"#,
        r#"{"active":true,"tickTime":1,"maxDeliveryDelayInMillis":-1}"#,
    ];
    let (strategy, post) = ("schemaCompatibilityStrategy", "POST");
    vec![
        ("deduplicationEnabled", post, json!(true), &["\"maybe\""], "deduplication", post),
        ("retention", post, retention, &["7", "{\"retentionSizeInMB\":1}"], "retention", post),
        ("inactiveTopicPolicies", post, inactive, &["{}"], "inactiveTopicPolicies", post),
        ("delayedDelivery", post, delays, no_tick, "delayedDelivery", post),
        (strategy, "PUT", json!("BACKWARD"), &["\"x\"", ""], strategy, "PUT"),
    ]
}

/// What acts on who subscribes, and what is kept for what there is not yet.
fn kept() -> Vec<Case> {
    let rate = json!({
        "dispatchThrottlingRateInMsg": 10, "dispatchThrottlingRateInByte": -1,
        "relativeToPublishRate": false, "ratePeriodInSecond": 1,
    });
    let often = json!({"subscribeThrottlingRatePerConsumer": 10, "ratePeriodInSecond": 5});
    let too_short: &[&str] = &[r#"{"subscribeThrottlingRatePerConsumer":1}"#, "7"];
    let copies = json!({
        "bookkeeperEnsemble": 3, "bookkeeperWriteQuorum": 3, "bookkeeperAckQuorum": 2,
        "managedLedgerMaxMarkDeleteRate": 1.0,
    });
    let too_many: &[&str] = &[
        r#"{"bookkeeperEnsemble":1,"bookkeeperWriteQuorum":2,"bookkeeperAckQuorum":1}"#,
        r#"{"bookkeeperEnsemble":-1,"bookkeeperWriteQuorum":-1,"bookkeeperAckQuorum":-1}"#,
        "{}",
        "",
    ];
    let (filters, post) = (json!({"entryFilterNames": "a,b"}), "POST");
    let (replicator, creation) = ("replicatorDispatchRate", "autoSubscriptionCreation");
    let types = ("subscriptionTypesEnabled", json!(["Key_Shared", "Shared"]));
    let bucket = json!({"managedLedgerOffloadDriver": "aws-s3", "any": {"x": 1}});
    let allowed = json!({"allowAutoSubscriptionCreation": false});
    let snapshots = "deduplicationSnapshotInterval";
    vec![
        (types.0, post, types.1, &["[\"Other\"]", "7", ""], types.0, post),
        ("subscribeRate", post, often, too_short, "subscribeRate", post),
        (snapshots, post, json!(7), &["-1", "\"x\""], snapshots, post),
        ("persistence", post, copies, too_many, "persistence", post),
        (replicator, post, rate, &[r#"{"ratePeriodInSecond":0}"#], replicator, post),
        (
            "entryFilters",
            post,
            filters,
            &[r#"{"entryFilterNames":"a,,b"}"#, "{}"],
            "entryFilters",
            post,
        ),
        ("offloadPolicies", post, bucket, &[r#"{"managedLedgerOffloadDriver":"x"}"#, "7"], "", ""),
        (creation, post, allowed, &["7"], creation, post),
    ]
}

async fn shown(server: &Server, path: &str) -> Value {
    server.get(path).await.is(200).json()
}

/// Goal: each policy can be set, read and removed, is stored under Pulsar's name, and what makes no sense
/// changes nothing.
#[test]
fn policies_are_set_read_and_removed() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        for (name, method, good, bad, ..) in cases() {
            let path = format!("{TOPIC}/{name}");
            let set = async |body: &str| server.send(method, &path, "", body).await;
            assert_eq!(server.get(&path).await.is(204).body, "", "{name}");
            set(&good.to_string()).await.is(204);
            assert_eq!(shown(server, &path).await, good, "{name}");
            for bad in bad {
                let status = set(bad).await.status;
                assert!(matches!(status, 400 | 412), "{name}: {bad} got {status}");
                assert_eq!(shown(server, &path).await, good, "{name}: {bad}");
            }
            server.delete(&path).await.is(204);
            server.delete(&path).await.is(204);
            assert_eq!(server.get(&path).await.is(204).body, "", "{name}");
            let nowhere = format!("/admin/v2/persistent/public/default/nowhere/{name}");
            server.get(&nowhere).await.is(404);
            server.send(method, &nowhere, "", &good.to_string()).await.is(404);
            server.get(&format!("{TOPIC}-partition-0/{name}")).await.is(412);
            server.get(&format!("{path}?isGlobal=true")).await.is(412);
        }
    });
}

/// Goal: with applied=true the value is the topic's, else the namespace's, else the broker's; so it is with
/// a namespace, and in the list of all, which names the level.
#[test]
fn what_is_applied_is_the_uppermost_value() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        let in_force = async |name: &str| {
            let all = shown(server, &format!("{TOPIC}/effective-policies")).await;
            let found = &all[name];
            assert!(found["value"] != Value::Null, "{name}: {all}");
            (found["value"].clone(), found["level"].as_str().unwrap().to_owned())
        };
        for (name, method, value, _, of_namespace, method_of_namespace) in cases() {
            let path = format!("{TOPIC}/{name}");
            let applied = format!("{path}?applied=true");
            let of_broker = shown(server, &applied).await;
            assert_ne!(of_broker, value, "{name}: the test would show nothing");
            assert_eq!(in_force(name).await, (of_broker.clone(), "broker".to_owned()));
            let path_of_namespace = format!("{NAMESPACE}/{of_namespace}");
            if !of_namespace.is_empty() {
                let body = value.to_string();
                server.send(method_of_namespace, &path_of_namespace, "", &body).await.is(204);
                assert_eq!(shown(server, &applied).await, value, "{name}");
                assert_eq!(in_force(name).await, (value.clone(), "namespace".to_owned()));
                let applied = format!("{path_of_namespace}?applied=true");
                assert_eq!(shown(server, &applied).await, value, "{name}");
                if !["schemaCompatibilityStrategy", "deduplicationSnapshotInterval"].contains(&name)
                {
                    server.delete(&path_of_namespace).await.is(204);
                    assert_eq!(shown(server, &applied).await, of_broker, "{name}");
                }
            }
            server.send(method, &path, "", &value.to_string()).await.is(204);
            assert_eq!(shown(server, &applied).await, value, "{name}");
            assert_eq!(in_force(name).await, (value, "topic".to_owned()));
        }
        assert_eq!(in_force("encryptionRequired").await, (json!(false), "broker".to_owned()));
    });
}

#[test]
fn a_time_to_live_may_come_in_the_query() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        let path = format!("{TOPIC}/messageTTL");
        server.post(&format!("{path}?messageTTL=7"), "").await.is(204);
        assert_eq!(shown(server, &path).await, json!(7));
        server.post(&format!("{path}?messageTTL=-7"), "").await.is(412);
        server.post(&format!("{path}?messageTTL=x"), "").await.is(412);
        server.delete(&format!("{path}?messageTTL=0")).await.is(204);
        server.get(&path).await.is(204);
    });
}

/// Goal: what a namespace has beside: offloading, which is kept, and a pause that is set by a request
/// without a body.
#[test]
fn offloading_and_pauses_are_kept() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        for name in ["offloadThreshold", "offloadThresholdInSeconds"] {
            let path = format!("{NAMESPACE}/{name}");
            assert_eq!(shown(server, &path).await, json!(-1));
            server.put(&path, "100").await.is(204);
            assert_eq!(shown(server, &path).await, json!(100));
            server.put(&path, "x").await.is(400);
        }
        let path = format!("{NAMESPACE}/offloadDeletionLagMs");
        server.get(&path).await.is(204);
        server.put(&path, "1000").await.is(204);
        assert_eq!(shown(server, &path).await, json!(1000));
        server.delete(&path).await.is(204);
        server.get(&path).await.is(204);
        let path = format!("{NAMESPACE}/offloadPolicies");
        server.post(&path, r#"{"managedLedgerOffloadDriver":"S3"}"#).await.is(204);
        assert_eq!(shown(server, &path).await, json!({"managedLedgerOffloadDriver": "S3"}));
        server.delete(&format!("{NAMESPACE}/removeOffloadPolicies")).await.is(204);
        server.get(&path).await.is(204);
        for level in [TOPIC, NAMESPACE] {
            let path = format!("{level}/dispatcherPauseOnAckStatePersistent");
            assert_eq!(shown(server, &path).await, json!(false));
            server.post(&path, "").await.is(204);
            assert_eq!(shown(server, &path).await, json!(true));
            server.delete(&path).await.is(204);
            assert_eq!(shown(server, &path).await, json!(false));
        }
    });
}

#[test]
fn schema_validation_is_said_or_not() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        let path = format!("{TOPIC}/schemaValidationEnforced");
        let of_namespace = format!("{NAMESPACE}/schemaValidationEnforced");
        let applied = format!("{path}?applied=true");
        assert_eq!(shown(server, &path).await, json!(false));
        server.post(&of_namespace, "true").await.is(204);
        assert_eq!(shown(server, &path).await, json!(false));
        assert_eq!(shown(server, &applied).await, json!(true));
        server.post(&path, "false").await.is(204);
        assert_eq!(shown(server, &applied).await, json!(false));
        server.delete(&path).await.is(204);
        assert_eq!(shown(server, &applied).await, json!(true));
    });
}

/// Goal: quotas of a topic are kept and applied by kind, and fit what is kept, whoever says that.
#[test]
fn backlog_quotas_are_set_by_kind() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        let (path, map) = (format!("{TOPIC}/backlogQuota"), format!("{TOPIC}/backlogQuotaMap"));
        let applied = format!("{map}?applied=true");
        assert_eq!(shown(server, &map).await, json!({}));
        let of_broker = shown(server, &applied).await;
        let kinds: Vec<&String> = of_broker.as_object().unwrap().keys().collect();
        assert_eq!(kinds, ["destination_storage", "message_age"]);
        let size = json!({"limitSize": 1000, "policy": "producer_exception"});
        server.post(&path, &size.to_string()).await.is(204);
        let age = json!({"limitSize": -1, "limitTime": 60, "policy": "producer_request_hold"});
        let of_age = format!("{NAMESPACE}/backlogQuota?backlogQuotaType=message_age");
        server.post(&of_age, &age.to_string()).await.is(204);
        assert_eq!(shown(server, &map).await, json!({"destination_storage": size}));
        let both = json!({"destination_storage": size, "message_age": age});
        assert_eq!(shown(server, &applied).await, both);
        server.post(&format!("{path}?backlogQuotaType=other"), "{}").await.is(412);

        let minute = r#"{"retentionTimeInMinutes":1,"retentionSizeInMB":1}"#;
        server.post(&format!("{TOPIC}/retention"), minute).await.is(412);
        server.delete(&of_age).await.is(204);
        server.post(&format!("{TOPIC}/retention"), minute).await.is(204);
        server.post(&path, r#"{"limitSize":1048576}"#).await.is(412);
        server.delete(&path).await.is(204);
        assert_eq!(shown(server, &map).await, json!({}));
        assert_eq!(shown(server, &applied).await, of_broker);
    });
}

/// Goal: what another release has stored of a topic stays when a policy is changed.
#[test]
fn what_is_not_known_is_kept() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        let key = "/geminga/topic-policies/public/default/persistent/t";
        let stored = json!({"of_the_future": {"x": 1}, "maxMessageSize": 5});
        let (any, persistent) =
            (geminga_metadata::Expected::Any, geminga_metadata::Lifetime::Persistent);
        let bytes = stored.to_string().into();
        server.disk.metadata.put(key, bytes, any, persistent).await.unwrap();
        assert_eq!(shown(server, &format!("{TOPIC}/maxMessageSize")).await, json!(5));
        server.delete(&format!("{TOPIC}/maxMessageSize")).await.is(204);
        let found = server.disk.metadata.get(key).await.unwrap().unwrap();
        let found: Value = serde_json::from_slice(&found.value).unwrap();
        assert_eq!(found, json!({"of_the_future": {"x": 1}}));
    });
}

/// Goal: a partitioned topic has policies, and one that is not persistent, while it is there.
#[test]
fn partitioned_and_non_persistent_topics_have_policies() {
    with_server(async |server| {
        server.put("/admin/v2/persistent/public/default/p/partitions", "2").await.is(204);
        let path = "/admin/v2/persistent/public/default/p/maxProducers";
        server.post(path, "3").await.is(204);
        assert_eq!(shown(server, path).await, json!(3));
        server.get("/admin/v2/persistent/public/default/p-partition-1/maxProducers").await.is(412);
        let path = "/admin/v2/non-persistent/public/default/n/maxProducers";
        server.get(path).await.is(404);
        let _producer = server.producer("non-persistent://public/default/n").await;
        server.post(path, "3").await.is(204);
        assert_eq!(shown(server, path).await, json!(3));
    });
}

/// Goal: where topics have no policies, all requests for them are refused, as Pulsar does.
#[test]
fn policies_may_be_switched_off() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let change = |options: &mut geminga_broker::Options| options.topic_level_policies = false;
        let server = Server::start_with(Disk::new(), Options::default(), change).await;
        server.put(TOPIC, "").await.is(204);
        let path = format!("{TOPIC}/maxProducers");
        server.get(&path).await.is(405);
        server.get(&format!("{path}?applied=true")).await.is(405);
        server.delete(&path).await.is(405);
        let refused = server.post(&path, "3").await.is(405);
        assert!(refused.body.contains("Topic level policies is disabled"), "{}", refused.body);
        server.stop().await;
    });
}

/// Goal: what a topic says of one subscription comes before what it says of all, and goes alone.
#[test]
fn one_subscription_has_a_dispatch_rate() {
    with_server(async |server| {
        let rate = |messages: i32| {
            json!({
                "dispatchThrottlingRateInMsg": messages, "dispatchThrottlingRateInByte": -1,
                "relativeToPublishRate": false, "ratePeriodInSecond": 1,
            })
        };
        let path = format!("{TOPIC}/a%2Fb/dispatchRate");
        let (other, applied) =
            (format!("{TOPIC}/other/dispatchRate"), format!("{path}?applied=true"));
        server.get(&path).await.is(404);
        server.post(&path, &rate(1).to_string()).await.is(404);
        server.put(TOPIC, "").await.is(204);
        server.get(&path).await.is(204);
        let of_broker = shown(server, &applied).await;
        assert_eq!(of_broker["dispatchThrottlingRateInMsg"], json!(-1));
        let of_all = format!("{TOPIC}/subscriptionDispatchRate");
        server.post(&of_all, &rate(2).to_string()).await.is(204);
        assert_eq!(shown(server, &applied).await, rate(2));
        server.post(&path, &rate(1).to_string()).await.is(204);
        assert_eq!(shown(server, &path).await, rate(1));
        assert_eq!(shown(server, &applied).await, rate(1));
        server.get(&other).await.is(204);
        assert_eq!(shown(server, &format!("{other}?applied=true")).await, rate(2));
        let all = shown(server, &format!("{TOPIC}/effective-policies")).await;
        let expected = json!({"value": {"a/b": {"dispatchRate": rate(1)}}, "level": "topic"});
        assert_eq!(all["subscriptionPolicies"], expected);
        for bad in [r#"{"ratePeriodInSecond":0}"#, "7"] {
            let status = server.post(&path, bad).await.status;
            assert!(matches!(status, 400 | 412), "{bad} got {status}");
        }
        server.get(&format!("{path}?isGlobal=true")).await.is(412);
        server.delete(&path).await.is(204);
        server.delete(&path).await.is(204);
        server.get(&path).await.is(204);
        assert_eq!(shown(server, &applied).await, rate(2));
        let all = shown(server, &format!("{TOPIC}/effective-policies")).await;
        assert_eq!(all.get("subscriptionPolicies"), None);
    });
}
