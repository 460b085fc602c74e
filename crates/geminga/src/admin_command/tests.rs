//! Tests of the table: its grammar, and that the server serves what it asks for.

use std::collections::BTreeSet;

use clap::{CommandFactory as _, Parser as _};
use geminga_admin::route::Route;
use serde_json::{Value, json};

use super::{
    call::{self, Call},
    table,
    verb::{Argument, Kind},
    *,
};

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    command: AdminCommand,
}

/// Every noun, verb and option of `pulsar-admin` 4.0.6, with those that have to be given marked by `!`.
/// Without those for functions, connectors, packages, transactions and proxies.
const PULSAR_ADMIN: &str = include_str!("pulsar_admin.txt");

fn parsed(line: &str) -> Result<AdminCommand, clap::Error> {
    let words = ["geminga", "admin"].into_iter().chain(line.split(' ')).map(OsString::from);
    let words = with_long_names(words.collect());
    Cli::try_parse_from(words.into_iter().skip(1)).map(|cli| cli.command)
}

#[track_caller]
fn calls(line: &str) -> Vec<Call> {
    let AdminCommand { verb, values, .. } =
        parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    call::calls(verb, &values, None, 1_000_000).unwrap()
}

#[track_caller]
fn call(line: &str) -> (String, Value) {
    let mut calls = calls(line);
    assert_eq!(calls.len(), 1, "{line}: {calls:?}");
    let call = calls.remove(0);
    (format!("{} {}", call.method, call.path), call.body.unwrap_or_default())
}

fn verbs() -> impl Iterator<Item = (&'static str, &'static Verb)> {
    table::nouns().iter().flat_map(|noun| noun.verbs.iter().map(|verb| (noun.name, verb)))
}

/// A value that an argument takes.
fn sample(argument: &Argument) -> String {
    match argument.kind {
        Kind::OneOf(values) => values[0].to_owned(),
        Kind::Number
        | Kind::Numbers
        | Kind::Decimal
        | Kind::Seconds
        | Kind::Minutes
        | Kind::Millis
        | Kind::Ago => "7".to_owned(),
        Kind::Bytes | Kind::Megabytes => "1G".to_owned(),
        Kind::Map => "a=b".to_owned(),
        Kind::Time => "2021-06-28T16:53:08Z".to_owned(),
        Kind::Position => "3:4".to_owned(),
        Kind::Domain => "persistent".to_owned(),
        Kind::Namespace => "t/n".to_owned(),
        Kind::Topic => "persistent://t/n/x".to_owned(),
        _ if argument.name == "bundle" => "0x00000000_0xffffffff".to_owned(),
        _ => "some".to_owned(),
    }
}

/// Values for all arguments that fill the variable parts of a path.
fn values_for(verb: &Verb, paths: &[&str]) -> Values {
    let is_used = |argument: &&Argument| {
        paths.iter().any(|path| {
            let name = argument.name;
            path.contains(&format!("{{{name}}}")) || path.contains(&format!("{{{name} "))
        })
    };
    let used = verb.arguments.iter().filter(is_used);
    used.map(|argument| {
        let value = value::parse(argument.kind, &sample(argument)).unwrap();
        (argument.name, value)
    })
    .collect()
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
    let mut seen = BTreeSet::new();
    for (noun, verb) in verbs() {
        assert!(seen.insert((noun, verb.name)), "{noun} {} is there twice", verb.name);
    }
}

/// Every path that a verb may ask for is one that the server serves, and what the verb fills in is what
/// varies there: a misspelt word would be taken for a name.
#[test]
fn the_server_serves_every_verb() {
    for (noun, verb) in verbs() {
        let defaults = verb.arguments.iter().filter_map(|argument| argument.default_at);
        let bases = verb.base.into_iter().chain(defaults).map(|path| ("GET", vec![path]));
        for (method, paths) in
            verb.paths.iter().map(|paths| (verb.method, paths.clone())).chain(bases)
        {
            let values = values_for(verb, &paths);
            let only = Verb { method, paths: vec![paths.clone()], ..verb.clone() };
            let calls = call::calls(&only, &values, None, 0).unwrap();
            for (call, template) in calls.iter().zip(&paths) {
                let name = format!("{noun} {}: {method} {}", verb.name, call.path);
                let path = call.path.split('?').next().unwrap();
                let (route, parts) =
                    Route::serving(method, path).unwrap_or_else(|| panic!("{name}"));
                let is_variable = |part: &&str| part.starts_with('{');
                let literals = path.split('/').count() - parts.len();
                let (served, mut wanted) = (route.path(), template.split('/').count());
                wanted -= template.split('/').filter(is_variable).count();
                // A namespace and a topic are several parts in one; a policy's name is one of ours.
                let of_policy = usize::from(served.contains("{policy of"));
                let of_choice = usize::from(template.contains("{all-version}"));
                let of_domain = usize::from(
                    served.contains("{domain}")
                        && !template.contains("{topic}")
                        && !template.contains("-domain}"),
                );
                assert_eq!(
                    literals + of_policy + of_domain,
                    wanted + of_choice,
                    "{name} is {served}"
                );
            }
        }
    }
}

/// What `pulsar-admin` has and this has not, by a part of the verb's name: the server offloads nothing, and
/// has no shadow topics.
const NOT_SERVED: &[&str] = &["offload", "shadow"];

/// Verbs that are made otherwise: by another verb, or not from a command line without a JVM.
const LEFT_OUT: &[&str] = &[
    "namespaces list-cluster",
    "namespaces get-schema-autoupdate-strategy",
    "namespaces set-schema-autoupdate-strategy",
    "schemas extract",
    "topics enable-deduplication",
    "topics disable-deduplication",
];

#[test]
fn pulsar_admin_has_no_verb_that_is_not_accounted_for() {
    let mut missing = Vec::new();
    for line in PULSAR_ADMIN.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_there = verbs().any(|(noun, verb)| noun == words[0] && verb.name == words[1]);
        let is_known = NOT_SERVED.iter().any(|part| words[1].contains(part));
        if !is_there && !is_known {
            missing.push(format!("{} {}", words[0], words[1]));
        }
    }
    assert_eq!(missing, LEFT_OUT);
}

/// Options of verbs that are there, under every name.
#[test]
fn options_have_pulsar_admins_names() {
    const NOT_TAKEN: &[&str] = &[
        "clusters create --tls-factory-plugin",
        "clusters create --tls-factory-plugin-params",
        "clusters create --cluster-config-file",
        "clusters update --tls-factory-plugin",
        "clusters update --tls-factory-plugin-params",
        "clusters update --cluster-config-file",
        "clusters delete --all",
        "clusters delete -a",
        "clusters list --current",
        "clusters list -c",
        "ns-isolation-policy set --unload-scope",
        "topics delete --from-file",
        "topics peek-messages --show-server-marker",
        "topics peek-messages -ssm",
        "topics peek-messages --transaction-isolation-level",
        "topics peek-messages -til",
    ];
    let mut missing = Vec::new();
    for line in PULSAR_ADMIN.lines() {
        let mut words = line.split(' ');
        let (noun, name) = (words.next().unwrap(), words.next().unwrap());
        let Some((_, verb)) = verbs().find(|(known, verb)| *known == noun && verb.name == name)
        else {
            continue;
        };
        for option in words {
            let names = option.trim_end_matches('!').split('|');
            for wanted in names {
                let has = |argument: &Argument| {
                    let off = if let Kind::EitherOf(off) = argument.kind { off } else { "" };
                    format!("--{}", argument.name) == wanted
                        || argument.others.contains(&wanted)
                        || off.split(' ').any(|name| name == wanted)
                };
                if !verb.arguments.iter().any(has) {
                    missing.push(format!("{noun} {name} {wanted}"));
                }
            }
        }
    }
    assert_eq!(missing, NOT_TAKEN);
}

#[test]
fn requests_are_what_pulsar_admin_sends() {
    for (line, request, body) in [
        (
            "tenants create t -r a,b -c standalone",
            "PUT /admin/v2/tenants/t".to_owned(),
            json!({"adminRoles": ["a", "b"], "allowedClusters": ["standalone"]}),
        ),
        ("tenants create t", "PUT /admin/v2/tenants/t".to_owned(), json!({"adminRoles": []})),
        ("properties delete t -f", "DELETE /admin/v2/tenants/t?force=true".to_owned(), Value::Null),
        (
            "namespaces create t/n -b 4",
            "PUT /admin/v2/namespaces/t/n".to_owned(),
            json!({"bundles": {"numBundles": 4}}),
        ),
        (
            "namespaces set-retention t/n -t 3h -s 10G",
            "POST /admin/v2/namespaces/t/n/retention".to_owned(),
            json!({"retentionTimeInMinutes": 180, "retentionSizeInMB": 10_240}),
        ),
        (
            "namespaces set-retention t/n -t -1 -s -1",
            "POST /admin/v2/namespaces/t/n/retention".to_owned(),
            json!({"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}),
        ),
        (
            "namespaces set-message-ttl t/n -ttl 7d",
            "POST /admin/v2/namespaces/t/n/messageTTL".to_owned(),
            json!(604_800),
        ),
        (
            "namespaces set-deduplication t/n -d",
            "POST /admin/v2/namespaces/t/n/deduplication".to_owned(),
            json!(false),
        ),
        (
            "namespaces set-backlog-quota t/n -l 10M -p PRODUCER_EXCEPTION",
            "POST /admin/v2/namespaces/t/n/backlogQuota?backlogQuotaType=destination_storage"
                .to_owned(),
            json!({"limitSize": 10_485_760, "limitTime": -1, "policy": "producer_exception"}),
        ),
        (
            "namespaces clear-backlog t/n -s a -b 0x0_0x8 -force",
            "POST /admin/v2/namespaces/t/n/0x0_0x8/clearBacklog/a".to_owned(),
            Value::Null,
        ),
        (
            "namespaces clear-backlog t/n -s a",
            "POST /admin/v2/namespaces/t/n/clearBacklog/a".to_owned(),
            Value::Null,
        ),
        (
            "namespaces grant-permission t/n --role r --actions produce,consume",
            "POST /admin/v2/namespaces/t/n/permissions/r".to_owned(),
            json!(["produce", "consume"]),
        ),
        (
            "namespaces set-anti-affinity-group t/n -g g",
            "POST /admin/v2/namespaces/t/n/antiAffinity".to_owned(),
            json!("g"),
        ),
        (
            "namespaces set-compaction-threshold t/n -t 1M",
            "PUT /admin/v2/namespaces/t/n/compactionThreshold".to_owned(),
            json!(1_048_576),
        ),
    ] {
        assert_eq!(call(line), (request, body), "{line}");
    }
}

#[test]
fn requests_about_parts_of_namespaces_are_what_pulsar_admin_sends() {
    for (line, request, body) in [
        (
            "namespaces split-bundle t/n -b 0x0_0x8 -u -san specified_positions_divide -sb 3,4",
            "PUT /admin/v2/namespaces/t/n/0x0_0x8/split?unload=true\
             &splitAlgorithmName=specified_positions_divide"
                .to_owned(),
            json!([3, 4]),
        ),
        (
            "namespaces get-topic-positions t/n -b 0x0_0x8 -tl a,b",
            "GET /admin/v2/namespaces/t/n/0x0_0x8/topicHashPositions?topics=a&topics=b".to_owned(),
            Value::Null,
        ),
        (
            "namespaces split-bundle t/n -bt hot",
            "PUT /admin/v2/namespaces/t/n/HOT/split".to_owned(),
            Value::Null,
        ),
        (
            "namespaces set-subscription-types-enabled t/n -t Shared,Key_Shared",
            "POST /admin/v2/namespaces/t/n/subscriptionTypesEnabled".to_owned(),
            json!(["Shared", "Key_Shared"]),
        ),
        (
            "namespaces set-subscribe-rate t/n -sr 10",
            "POST /admin/v2/namespaces/t/n/subscribeRate".to_owned(),
            json!({"subscribeThrottlingRatePerConsumer": 10, "ratePeriodInSecond": 30}),
        ),
        (
            "namespaces remove-deduplication-snapshot-interval t/n",
            "POST /admin/v2/namespaces/t/n/deduplicationSnapshotInterval".to_owned(),
            Value::Null,
        ),
        (
            "namespaces update-migration-state t/n",
            "POST /admin/v2/namespaces/t/n/migration".to_owned(),
            json!(false),
        ),
    ] {
        assert_eq!(call(line), (request, body), "{line}");
    }
}

#[test]
fn requests_about_single_policies_are_what_pulsar_admin_sends() {
    for (line, request, body) in [
        (
            "topicPolicies set-subscription-dispatch-rate t -s a/b -md 5 -rp",
            "POST /admin/v2/persistent/public/default/t/a%2Fb/dispatchRate".to_owned(),
            json!({
                "dispatchThrottlingRateInMsg": 5,
                "dispatchThrottlingRateInByte": -1,
                "ratePeriodInSecond": 1,
                "relativeToPublishRate": true,
            }),
        ),
        (
            "topicPolicies remove-subscription-dispatch-rate t",
            "DELETE /admin/v2/persistent/public/default/t/subscriptionDispatchRate".to_owned(),
            Value::Null,
        ),
        (
            "topicPolicies set-persistence t -e 3 -a 1 -r 2.5",
            "POST /admin/v2/persistent/public/default/t/persistence".to_owned(),
            json!({
                "bookkeeperEnsemble": 3,
                "bookkeeperWriteQuorum": 2,
                "bookkeeperAckQuorum": 1,
                "managedLedgerMaxMarkDeleteRate": 2.5,
            }),
        ),
        (
            "topicPolicies set-entry-filters-per-topic t -efn a,b",
            "POST /admin/v2/persistent/public/default/t/entryFilters".to_owned(),
            json!({"entryFilterNames": "a,b"}),
        ),
        (
            "topicPolicies set-dispatcher-pause-on-ack-state-persistent t",
            "POST /admin/v2/persistent/public/default/t/dispatcherPauseOnAckStatePersistent"
                .to_owned(),
            Value::Null,
        ),
        (
            "topics set-replication-clusters t -c a,b",
            "POST /admin/v2/persistent/public/default/t/replication".to_owned(),
            json!(["a", "b"]),
        ),
    ] {
        assert_eq!(call(line), (request, body), "{line}");
    }
}

#[test]
fn requests_about_topics_are_what_pulsar_admin_sends() {
    let topic = "persistent/t/n/a%2Bb";
    for (line, request, body) in [
        (
            "topicPolicies set-compaction-threshold t -t 0",
            "POST /admin/v2/persistent/public/default/t/compactionThreshold".to_owned(),
            json!(0),
        ),
        (
            "topics list t/n -td non_persistent",
            "GET /admin/v2/non-persistent/t/n".to_owned(),
            Value::Null,
        ),
        (
            "topics create-partitioned-topic persistent://t/n/a+b -p 3 -m x=y",
            format!("PUT /admin/v2/{topic}/partitions"),
            json!({"partitions": 3, "properties": {"x": "y"}}),
        ),
        (
            "topics update-partitioned-topic persistent://t/n/a+b -p 4 -ulo",
            format!("POST /admin/v2/{topic}/partitions?updateLocalTopicOnly=true"),
            json!(4),
        ),
        (
            "topics reset-cursor persistent://t/n/a+b -s x -t 10s",
            format!("POST /admin/v2/{topic}/subscription/x/resetcursor/990000"),
            json!({}),
        ),
        (
            "topics reset-cursor persistent://t/n/a+b -s x -m 3:4 -e",
            format!("POST /admin/v2/{topic}/subscription/x/resetcursor"),
            json!({"ledgerId": 3, "entryId": 4, "partitionIndex": -1, "excluded": true}),
        ),
        (
            "topics create-subscription persistent://t/n/a+b -s x/y -m earliest -p a=b -p c=d",
            format!("PUT /admin/v2/{topic}/subscription/x%2Fy"),
            json!({"ledgerId": -1, "entryId": -1, "partitionIndex": -1, "properties": {"a": "b", "c": "d"}}),
        ),
        (
            "topics update-subscription-properties persistent://t/n/a+b -s x --clear",
            format!("PUT /admin/v2/{topic}/subscription/x/properties"),
            json!({}),
        ),
        (
            "topics stats persistent://t/n/a+b -gpb --get-earliest-time-in-backlog",
            format!(
                "GET /admin/v2/{topic}/stats?getPreciseBacklog=true&getEarliestTimeInBacklog=true"
            ),
            Value::Null,
        ),
    ] {
        assert_eq!(call(line), (request, body), "{line}");
    }
    assert_eq!(calls("topics list t/n").len(), 2);
}

#[test]
fn requests_about_the_rest_are_what_pulsar_admin_sends() {
    for (line, request, body) in [
        (
            "topicPolicies set-message-ttl t -t 1m",
            "POST /admin/v2/persistent/public/default/t/messageTTL?messageTTL=60".to_owned(),
            Value::Null,
        ),
        (
            "topicPolicies set-dispatch-rate t -md 5",
            "POST /admin/v2/persistent/public/default/t/dispatchRate".to_owned(),
            json!({
                "dispatchThrottlingRateInMsg": 5,
                "dispatchThrottlingRateInByte": -1,
                "ratePeriodInSecond": 1,
                "relativeToPublishRate": false,
            }),
        ),
        (
            "topics partitioned-stats t",
            "GET /admin/v2/persistent/public/default/t/partitioned-stats?perPartition=false"
                .to_owned(),
            Value::Null,
        ),
        (
            "resourcegroups create g -mp 1",
            "PUT /admin/v2/resourcegroups/g".to_owned(),
            json!({"publishRateInMsgs": 1}),
        ),
        (
            "schemas get t -a",
            "GET /admin/v2/schemas/public/default/t/schemas".to_owned(),
            Value::Null,
        ),
        (
            "schemas get t --version 2",
            "GET /admin/v2/schemas/public/default/t/schema/2".to_owned(),
            Value::Null,
        ),
        (
            "ns-isolation-policy set c p --namespaces a.* --primary b --auto-failover-policy-type \
             min_available --auto-failover-policy-params min_limit=1,usage_threshold=80",
            "POST /admin/v2/clusters/c/namespaceIsolationPolicies/p".to_owned(),
            json!({"namespaces": ["a.*"], "primary": ["b"], "secondary": [], "auto_failover_policy":
                {"policy_type": "min_available", "parameters": {"min_limit": "1", "usage_threshold": "80"}}}),
        ),
    ] {
        assert_eq!(call(line), (request, body), "{line}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_said_before_anything_is_asked() {
    for line in [
        "topics",
        "topics frobnicate t",
        "topics stats",
        "topics stats bad://a/b/c",
        "topics skip t -s s -n many",
        "topics reset-cursor t -s s",
        "topics reset-cursor t -s s -t 10m -m 1:2",
        "topics update-subscription-properties t -s s",
        "topics unsubscribe t",
        "namespaces create default",
        "namespaces set-deduplication t/n",
        "namespaces set-deduplication t/n -e -d",
        "namespaces set-retention t/n -t 3q -s 1G",
        "namespaces set-backlog-quota t/n -p never",
        "resource-quotas get -n t/n",
        "brokers update-dynamic-config -c a",
    ] {
        assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn what_is_changed_keeps_what_is_not_given() {
    let AdminCommand { verb, values, .. } = parsed("tenants update t -r new").unwrap();
    let base = call::base_call(verb, &values).unwrap().unwrap();
    assert_eq!((base.method, base.path.as_str()), ("GET", "/admin/v2/tenants/t"));
    let found = json!({"adminRoles": ["old"], "allowedClusters": ["standalone"]});
    let calls = call::calls(verb, &values, Some(found), 0).unwrap();
    let changed = json!({"adminRoles": ["new"], "allowedClusters": ["standalone"]});
    assert_eq!(calls[0].body, Some(changed));
}
