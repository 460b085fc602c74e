//! `brokers`, `broker-stats` and `bookies`.

use super::{
    super::verb::{Argument, Kind, Place, Verb, argument, delete, get, option, post},
    cluster,
};

pub(super) fn verbs() -> Vec<Verb> {
    let config = || option("--config -c", Kind::Text, Place::Path, "The key.").required();
    let configuration = "/admin/v2/brokers/configuration/{config}";
    vec![
        get("list", "/admin/v2/brokers/{cluster}", "List a cluster's brokers.").with(cluster()),
        get("leader-broker", "/admin/v2/brokers/leaderBroker", "Show who balances load."),
        get(
            "namespaces",
            "/admin/v2/brokers/{cluster}/{url}/ownedNamespaces",
            "List the bundles that a broker has.",
        )
        .with(cluster())
        .with(option("--url -u", Kind::Text, Place::Path, "The broker, as host:port.").required()),
        post(
            "update-dynamic-config",
            "/admin/v2/brokers/configuration/{config}/{value}",
            "Set a key while the broker runs.",
        )
        .with(config())
        .with(option("--value -v", Kind::Text, Place::Path, "The value.").required()),
        delete("delete-dynamic-config", configuration, "Leave a key to the configuration.")
            .with(config()),
        get("list-dynamic-config", "/admin/v2/brokers/configuration", "List keys that can be set."),
        get("get-all-dynamic-config", "/admin/v2/brokers/configuration/values", "Show those set."),
        get(
            "get-internal-config",
            "/admin/v2/brokers/internal-configuration",
            "Show where metadata is.",
        ),
        get("get-runtime-config", "/admin/v2/brokers/configuration/runtime", "Show what counts."),
        get("healthcheck", "/admin/v2/brokers/health", "Say whether the broker works.").with(
            option(
                "--topic-version -tv",
                Kind::OneOf(&["V1", "V2"]),
                Place::Query("topicVersion"),
                "Taken, and without effect.",
            ),
        ),
        get(
            "backlog-quota-check",
            "/admin/v2/brokers/backlog-quota-check",
            "Look at backlog quotas now.",
        ),
        shutdown(),
        get("version", "/admin/v2/brokers/version", "Show the broker's version."),
    ]
}

fn shutdown() -> Verb {
    let path = "/admin/v2/brokers/shutdown";
    post("shutdown", path, "End the broker: the server says why it does not.")
        .with(option(
            "--max-concurrent-unload-per-sec -m",
            Kind::Number,
            Place::Query("maxConcurrentUnloadPerSec"),
            "At most so many bundles a second.",
        ))
        .with(option(
            "--forced-terminate-topic -f",
            Kind::Switch,
            Place::Query("forcedTerminateTopic"),
            "Although topics are in use.",
        ))
}

pub(super) fn stats() -> Vec<Verb> {
    let indent = || -> Argument {
        option("--indent -i", Kind::Switch, Place::Path, "Taken, and without effect.")
    };
    let topics = "/admin/v2/broker-stats/topics";
    vec![
        get("monitoring-metrics", "/admin/v2/broker-stats/metrics", "Show numbers of the broker.")
            .with(indent()),
        get("mbeans", "/admin/v2/broker-stats/mbeans", "Show numbers of a JVM: none.")
            .with(indent()),
        get("topics", topics, "Show stats of all topics in use.").with(indent()),
        get("destinations", topics, "Older name of topics.").with(indent()).hidden(),
        get(
            "allocator-stats",
            "/admin/v2/broker-stats/allocator-stats/{allocator}",
            "Show numbers of an allocator: there is none that has them.",
        )
        .with(argument("allocator", Kind::Text, "Its name.")),
        get("load-report", "/admin/v2/broker-stats/load-report", "Show how busy the broker is."),
    ]
}

pub(super) fn bookies() -> Vec<Verb> {
    let path = "/admin/v2/bookies/racks-info/{bookie}";
    let bookie = || option("--bookie -b", Kind::Text, Place::Path, "address:port.").required();
    vec![
        get("list-bookies", "/admin/v2/bookies/all", "List the bookies."),
        get("racks-placement", "/admin/v2/bookies/racks-info", "Show where bookies are."),
        get("get-bookie-rack", path, "Show where one is.").with(bookie()),
        delete("delete-bookie-rack", path, "Forget where one is.").with(bookie()),
        post("set-bookie-rack", path, "Say where one is.")
            .with(bookie())
            .with(
                option("--group -g", Kind::Text, Place::Query("group"), "Its group.").or("default"),
            )
            .with(option("--rack -r", Kind::Text, Place::Field("rack"), "Its rack.").required())
            .with(option("--hostname -hn", Kind::Text, Place::Field("hostname"), "Its host.")),
    ]
}
