//! `topics`, `non-persistent` and `schemas`.

use super::{
    super::verb::{Argument, Kind, Place, Shows, Steps, Verb, delete, get, option, post, put},
    namespace, policies, topic,
};

pub(super) fn verbs() -> Vec<Verb> {
    let mut verbs = lists();
    verbs.extend(life());
    verbs.extend(partitions());
    verbs.extend(shown());
    verbs.extend(permissions_and_properties());
    verbs.extend(subscriptions());
    verbs.extend(cursors());
    verbs.extend(messages());
    verbs.extend(jobs());
    verbs.extend(policies::of_topic_as_before());
    verbs
}

fn subscription() -> Argument {
    option("--subscription -s", Kind::Text, Place::Path, "The subscription.").required()
}

fn force() -> Argument {
    option("--force -f", Kind::Switch, Place::Query("force"), "Although it is in use.")
}

fn delete_schema() -> Argument {
    let about = "Taken, and without effect: the schema always goes with the topic.";
    option("--deleteSchema -d", Kind::Switch, Place::Query("deleteSchema"), about)
}

fn properties(name: &'static str, field: &'static str) -> Argument {
    let place = if field.is_empty() { Place::Body } else { Place::Field(field) };
    option(name, Kind::Map, place, "key=value, with commas between.")
}

fn lists() -> Vec<Verb> {
    let system = option(
        "--include-system-topic -ist",
        Kind::Switch,
        Place::Query("includeSystemTopic"),
        "System topics as well.",
    );
    vec![
        get("list", "/admin/v2/{topic-domain}/{namespace}", "List a namespace's topics.")
            .or(&["/admin/v2/persistent/{namespace}", "/admin/v2/non-persistent/{namespace}"])
            .with(namespace())
            .with(option("--topic-domain -td", Kind::Domain, Place::Path, "Only this domain."))
            .with(option("--bundle -b", Kind::Text, Place::Query("bundle"), "Only this bundle."))
            .with(system.clone()),
        get(
            "list-partitioned-topics",
            "/admin/v2/persistent/{namespace}/partitioned",
            "List topics that have partitions.",
        )
        .and("/admin/v2/non-persistent/{namespace}/partitioned")
        .with(namespace())
        .with(system),
        get("lookup", "/lookup/v2/topic/{topic}", "Say which broker serves a topic.")
            .shows(Shows::Field("brokerUrl"))
            .with(topic()),
        get("partitioned-lookup", "/lookup/v2/topic/{topic}", "The same of each partition.")
            .steps(Steps::LookUpPartitions)
            .with(topic())
            .with(option("--sort-by-broker -s", Kind::Switch, Place::Path, "By broker.")),
        get("bundle-range", "/lookup/v2/topic/{topic}/bundle", "Say which bundle it is in.")
            .with(topic()),
    ]
}

fn life() -> Vec<Verb> {
    let path = "/admin/v2/{topic}";
    vec![
        put("create", path, "Create a topic without partitions.")
            .with(topic())
            .with(properties("--metadata -m", "")),
        delete("delete", path, "Delete a topic without partitions.")
            .with(topic())
            .with(force())
            .with(delete_schema()),
        put("unload", "/admin/v2/{topic}/unload", "Unload a topic: clients connect anew.")
            .with(topic()),
        delete("truncate", "/admin/v2/{topic}/truncate", "Let go of what a topic stores.")
            .with(topic()),
        post("terminate", "/admin/v2/{topic}/terminate", "End a topic: nothing more is published.")
            .with(topic()),
        post(
            "partitioned-terminate",
            "/admin/v2/{topic}/terminate/partitions",
            "End all \
             partitions.",
        )
        .with(topic()),
        post("trim-topic", "/admin/v2/{topic}/trim", "Delete what nobody needs.").with(topic()),
    ]
}

fn partitions() -> Vec<Verb> {
    let path = "/admin/v2/{topic}/partitions";
    let count = |place| option("--partitions -p", Kind::Number, place, "How many.").required();
    vec![
        put("create-partitioned-topic", path, "Create a topic with partitions.")
            .with(topic())
            .with(count(Place::Field("partitions")))
            .with(properties("--metadata -m", "properties")),
        post("update-partitioned-topic", path, "Raise the number of partitions.")
            .with(topic())
            .with(count(Place::Body))
            .with(option(
                "--update-local-only -ulo",
                Kind::Switch,
                Place::Query("updateLocalTopicOnly"),
                "Of this cluster only.",
            ))
            .with(force()),
        delete("delete-partitioned-topic", path, "Delete a topic with partitions.")
            .with(topic())
            .with(force())
            .with(delete_schema()),
        get("get-partitioned-topic-metadata", path, "Say how many partitions it has.")
            .with(topic()),
        post(
            "create-missed-partitions",
            "/admin/v2/{topic}/createMissedPartitions",
            "Create the partitions that are missing.",
        )
        .with(topic()),
    ]
}

/// What stats are wanted beyond the usual.
fn of_backlog(verb: Verb) -> Verb {
    let switch = |names, name, about| option(names, Kind::Switch, Place::Query(name), about);
    let precise = "Exact, which it always is.";
    let bytes = "Bytes of each backlog.";
    let earliest = "When the oldest message that waits was published.";
    verb.with(topic())
        .with(switch("--get-precise-backlog -gpb", "getPreciseBacklog", precise))
        .with(switch("--get-subscription-backlog-size -sbs", "subscriptionBacklogSize", bytes))
        .with(switch("--get-earliest-time-in-backlog -etb", "getEarliestTimeInBacklog", earliest))
}

fn shown() -> Vec<Verb> {
    let each =
        option("--per-partition", Kind::Switch, Place::Query("perPartition"), "Each.").or("false");
    vec![
        of_backlog(get("stats", "/admin/v2/{topic}/stats", "Show a topic's stats.")),
        of_backlog(get(
            "partitioned-stats",
            "/admin/v2/{topic}/partitioned-stats",
            "Show the stats of a topic with partitions.",
        ))
        .with(each),
        get("stats-internal", "/admin/v2/{topic}/internalStats", "Show its managed ledger.")
            .with(topic())
            .with(option(
                "--metadata -m",
                Kind::Switch,
                Place::Query("metadata"),
                "Of ledgers too.",
            )),
        get(
            "partitioned-stats-internal",
            "/admin/v2/{topic}/partitioned-internalStats",
            "Show all partitions' managed ledgers.",
        )
        .with(topic()),
        get("info-internal", "/admin/v2/{topic}/internal-info", "Show what is stored of it.")
            .with(topic()),
        get(
            "effective-policies",
            "/admin/v2/{topic}/effective-policies",
            "Show what counts of all \
            policies, and where it comes from.",
        )
        .with(topic()),
    ]
}

fn permissions_and_properties() -> Vec<Verb> {
    let of_role = "/admin/v2/{topic}/permissions/{role}";
    let path = "/admin/v2/{topic}/properties";
    let role = || option("--role -r", Kind::Text, Place::Path, "The role.").required();
    let actions = "What it may do: produce, consume.";
    vec![
        get("permissions", "/admin/v2/{topic}/permissions", "Show who may do what.").with(topic()),
        post("grant-permission", of_role, "Permit a role something.")
            .with(topic())
            .with(role())
            .with(option("--actions -a", Kind::List, Place::Body, actions).required()),
        delete("revoke-permission", of_role, "Take from a role what it was permitted.")
            .with(topic())
            .with(role()),
        get("get-properties", path, "Show what is noted about a topic.").with(topic()),
        put("update-properties", path, "Note more.")
            .with(topic())
            .with(properties("--property -p", "").required()),
        delete("remove-properties", path, "Forget one thing.")
            .with(topic())
            .with(option("--key -k", Kind::Text, Place::Query("key"), "The key.").required()),
    ]
}

fn subscriptions() -> Vec<Verb> {
    let path = "/admin/v2/{topic}/subscription/{subscription}";
    let of_properties = "/admin/v2/{topic}/subscription/{subscription}/properties";
    let replicated = "/admin/v2/{topic}/subscription/{subscription}/replicatedSubscriptionStatus";
    let at = "ledger:entry, earliest or latest.";
    vec![
        get("subscriptions", "/admin/v2/{topic}/subscriptions", "List a topic's subscriptions.")
            .with(topic()),
        put("create-subscription", path, "Create a subscription.")
            .with(topic())
            .with(subscription())
            .with(option("--messageId -m", Kind::Position, Place::Body, at).or("latest"))
            .with(option(
                "--replicated -r",
                Kind::Switch,
                Place::Query("replicated"),
                "Replicate it.",
            ))
            .with(properties("--property -p", "properties")),
        delete("unsubscribe", path, "Delete a subscription.")
            .with(topic())
            .with(subscription())
            .with(force()),
        get("get-subscription-properties", of_properties, "Show what is noted about it.")
            .with(topic())
            .with(subscription()),
        put("update-subscription-properties", of_properties, "Replace what is noted about it.")
            .with(topic())
            .with(subscription())
            .with(properties("--property -p", "").required_unless("clear"))
            .with(option("--clear -c", Kind::Switch, Place::Path, "Note nothing.")),
        get("get-replicated-subscription-status", replicated, "Whether other clusters follow it.")
            .with(topic())
            .with(subscription()),
        post("set-replicated-subscription-status", replicated, "Let them, or not.")
            .with(topic())
            .with(subscription())
            .with(
                option("--enable -e", Kind::EitherOf("--disable -d"), Place::Body, "Let them.")
                    .required(),
            ),
        get(
            "explain-subscription",
            "/admin/v2/{topic}/subscription/{subscription}/explain",
            "Say why a subscription moves, or does not.",
        )
        .shows(Shows::Explanation)
        .with(topic())
        .with(subscription()),
    ]
}

fn cursors() -> Vec<Verb> {
    let of = "/admin/v2/{topic}/subscription/{subscription}";
    let path = |last: &str| -> &'static str { format!("{of}/{last}").leak() };
    let older = "Older than this: seconds, or a time such as 3h.";
    let expire_time = || option("--expireTime -t", Kind::Seconds, Place::Path, older);
    let excluded = || {
        let about = "Begin behind it.";
        option("--exclude-reset-position -e", Kind::Switch, Place::Field("excluded"), about)
    };
    let position = |names, about| option(names, Kind::Position, Place::Body, about);
    let any = "ledger:entry, earliest or latest.";
    vec![
        post("skip", path("skip/{count}"), "Ack the next messages of a subscription.")
            .with(topic())
            .with(subscription())
            .with(option("--count -n", Kind::Number, Place::Path, "How many.").required()),
        post("clear-backlog", path("skip_all"), "Ack all that waits.")
            .with(topic())
            .with(subscription()),
        post("expire-messages", path("expireMessages/{expireTime}"), "Ack what is old.")
            .or(&["/admin/v2/{topic}/subscription/{subscription}/expireMessages"])
            .with(topic())
            .with(subscription())
            .with(expire_time().required_unless("position"))
            .with(position("--position -p", "Up to this ledger:entry."))
            .with(excluded()),
        post(
            "expire-messages-all-subscriptions",
            "/admin/v2/{topic}/all_subscription/expireMessages/{expireTime}",
            "Ack what is old, on all subscriptions.",
        )
        .with(topic())
        .with(expire_time().required()),
        post("reset-cursor", path("resetcursor/{time}"), "Put a subscription somewhere else.")
            .or(&["/admin/v2/{topic}/subscription/{subscription}/resetcursor"])
            .with(topic())
            .with(subscription())
            .with(
                option("--time -t", Kind::Ago, Place::Path, "So long ago, such as 10m.")
                    .required_unless("messageId"),
            )
            .with(position("--messageId -m", any))
            .with(excluded()),
        post("analyze-backlog", path("analyzeBacklog"), "Count what waits by reading it.")
            .with(topic())
            .with(subscription())
            .with(position("--position -p", "From this ledger:entry on.")),
        put("get-backlog-size", "/admin/v2/{topic}/backlogSize", "Bytes from a message on.")
            .with(topic())
            .with(position("--messageId -m", any).required()),
    ]
}

fn messages() -> Vec<Verb> {
    let number = |names, place, about| option(names, Kind::Number, place, about);
    vec![
        get(
            "peek-messages",
            "/admin/v2/{topic}/subscription/{subscription}/position/{count}",
            "Show messages that wait.",
        )
        .steps(Steps::Peek)
        .shows(Shows::Message)
        .with(topic())
        .with(subscription())
        .with(number("--count -n", Place::Path, "How many.").or("1")),
        get(
            "examine-messages",
            "/admin/v2/{topic}/examinemessage",
            "Show a message, counted from \
            either end.",
        )
        .shows(Shows::Message)
        .with(topic())
        .with(
            option(
                "--initialPosition -i",
                Kind::OneOf(&["latest", "earliest"]),
                Place::Query("initialPosition"),
                "From which end.",
            )
            .or("latest"),
        )
        .with(number("--messagePosition -m", Place::Query("messagePosition"), "Which.").or("1")),
        get(
            "get-message-by-id",
            "/admin/v2/{topic}/ledger/{ledgerId}/entry/{entryId}",
            "Show one \
            message.",
        )
        .shows(Shows::Message)
        .with(topic())
        .with(number("--ledgerId -l", Place::Path, "Its ledger.").required())
        .with(number("--entryId -e", Place::Path, "Its entry.").required()),
        get(
            "get-message-id",
            "/admin/v2/{topic}/messageid/{datetime}",
            "Show the first message \
            from a time on.",
        )
        .with(topic())
        .with(option("--datetime -d", Kind::Time, Place::Path, "2021-06-28T16:53:08Z.").required()),
        get("last-message-id", "/admin/v2/{topic}/lastMessageId", "Show the last message's id.")
            .with(topic()),
    ]
}

fn jobs() -> Vec<Verb> {
    let compaction = "/admin/v2/{topic}/compaction";
    let wait = || option("--wait-complete -w", Kind::Switch, Place::Path, "Until it has ended.");
    vec![
        put("compact", compaction, "Begin the compaction of a topic.").with(topic()),
        get("compaction-status", compaction, "Say how it goes.")
            .steps(Steps::Wait)
            .with(topic())
            .with(wait()),
        get("offload-status", "/admin/v2/{topic}/offload", "Say how an offload goes.")
            .steps(Steps::Wait)
            .with(topic())
            .with(wait()),
    ]
}

/// `non-persistent`: the same verbs, for topics of that domain.
pub(super) fn not_stored() -> Vec<Verb> {
    let names = [
        "create-partitioned-topic",
        "lookup",
        "stats",
        "stats-internal",
        "get-partitioned-topic-metadata",
    ];
    let named = |verb: &Verb| names.contains(&verb.name);
    let mut verbs: Vec<Verb> = verbs().into_iter().filter(named).collect();
    for argument in verbs.iter_mut().flat_map(|verb| &mut verb.arguments) {
        if argument.kind == Kind::Topic {
            argument.about = "non-persistent://tenant/namespace/topic.";
        }
    }
    verbs.extend([
        get("list", "/admin/v2/non-persistent/{namespace}", "List topics.").with(namespace()),
        get(
            "list-in-bundle",
            "/admin/v2/non-persistent/{namespace}/{bundle}",
            "List a bundle's \
            topics.",
        )
        .with(namespace())
        .with(option("--bundle -b", Kind::Text, Place::Path, "The bundle.").required()),
    ]);
    verbs
}

pub(super) fn schemas() -> Vec<Verb> {
    let path = "/admin/v2/schemas/{topic without domain}/schema";
    let file = || {
        let about = "JSON with type, schema and properties.";
        option("--filename -f", Kind::File, Place::Body, about).required()
    };
    vec![
        get("get", "/admin/v2/schemas/{topic without domain}/schema/{version}", "Show a schema.")
            .or(&["/admin/v2/schemas/{topic without domain}/{all-version}"])
            .or(&[path])
            .with(topic())
            .with(option(
                "--version",
                Kind::Number,
                Place::Path,
                "Which; the newest, if not given.",
            ))
            .with(option("--all-version -a", Kind::Switch, Place::Path, "All versions.")),
        post("upload", path, "Add a schema.").with(topic()).with(file()),
        delete("delete", path, "Delete all versions of a schema.").with(topic()).with(option(
            "--force -f",
            Kind::Switch,
            Place::Query("force"),
            "Leave no trace of it.",
        )),
        get(
            "metadata",
            "/admin/v2/schemas/{topic without domain}/metadata",
            "Show where the versions are.",
        )
        .with(topic()),
        post(
            "compatibility",
            "/admin/v2/schemas/{topic without domain}/compatibility",
            "Say whether a schema could be added.",
        )
        .with(topic())
        .with(file()),
    ]
}
