//! Policies of namespaces and topics: each is a row, from which the verbs to read, set and remove it
//! are made.

mod storing;
mod subscribing;

use super::{
    super::verb::{Argument, Kind, Place, Verb, delete, get, option, post, put},
    namespace, topic,
};

/// A policy: what it is called in verbs, and what its values are.
struct Policy {
    name: &'static str,
    about: &'static str,
    /// The last part of the path, to read it and to change it.
    read: &'static str,
    change: &'static str,
    values: Vec<Argument>,
    is_put: bool,
    is_removable: bool,
    /// What is chosen on removal too.
    which: Option<Argument>,
}

fn policy(name: &'static str, path: &'static str, about: &'static str) -> Policy {
    Policy {
        name,
        about,
        read: path,
        change: path,
        values: Vec::new(),
        is_put: false,
        is_removable: true,
        which: None,
    }
}

impl Policy {
    fn with(mut self, value: Argument) -> Self {
        self.values.push(value);
        self
    }

    /// One whose value is one number.
    fn number(self, names: &'static str) -> Self {
        self.with(option(names, Kind::Number, Place::Body, "At most so many.").required())
    }

    /// One that is on or off.
    fn switch(self) -> Self {
        self.with(enable(Place::Body))
    }

    fn by_put(self) -> Self {
        Self { is_put: true, ..self }
    }

    fn lasting(self) -> Self {
        Self { is_removable: false, ..self }
    }

    /// One policy of several, which are read together.
    fn of_several(self, read: &'static str, which: Argument) -> Self {
        Self { read, which: Some(which), ..self }
    }

    fn verbs(self, level: Level) -> Vec<Verb> {
        let Self { name, about, values, is_put, which, .. } = &self;
        let (read, change) = (level.path(self.read), level.path(self.change));
        let set = if *is_put { put } else { post };
        let get = get(lasting(format!("get-{name}")), read, lasting(format!("Show {about}.")));
        let mut set = set(lasting(format!("set-{name}")), change, lasting(format!("Set {about}.")));
        let mut remove =
            delete(lasting(format!("remove-{name}")), change, lasting(format!("Unset {about}.")));
        for value in values {
            set = set.with(value.clone());
        }
        if let Some(which) = which {
            set = set.with(which.clone());
            remove = remove.with(which.clone());
        }
        let applied =
            option("--applied -ap -a", Kind::Switch, Place::Query("applied"), "What counts.");
        let get = get.with(applied);
        let mut verbs = vec![get, set];
        if self.is_removable {
            verbs.push(remove);
        }
        verbs.into_iter().map(|verb| level.place(verb)).collect()
    }
}

#[derive(Clone, Copy)]
enum Level {
    Namespace,
    Topic,
}

impl Level {
    /// The path of a policy.
    fn path(self, last: &'static str) -> &'static str {
        let of = match self {
            Self::Namespace => "namespaces/{namespace}",
            Self::Topic => "{topic}",
        };
        lasting(format!("/admin/v2/{of}/{last}"))
    }

    fn place(self, mut verb: Verb) -> Verb {
        match self {
            Self::Namespace => verb.arguments.insert(0, namespace()),
            Self::Topic => {
                verb.arguments.insert(0, topic());
                let about = "In all clusters, which the server refuses.";
                let global = option("--global -g", Kind::Switch, Place::Query("isGlobal"), about);
                verb = verb.with(global);
            }
        }
        verb
    }
}

/// Text that lives as long as the process: the table is made once.
fn lasting(text: String) -> &'static str {
    text.leak()
}

fn enable(place: Place) -> Argument {
    option("--enable -e", Kind::EitherOf("--disable -d"), place, "On.").required()
}

/// Those that namespaces and topics call the same.
fn common() -> Vec<Policy> {
    let quota = option(
        "--type -t",
        Kind::OneOf(&["destination_storage", "message_age"]),
        Place::Query("backlogQuotaType"),
        "What it limits: bytes, or the age of the oldest message.",
    );
    let mut quotas = policy("backlog-quota", "backlogQuota", "what may wait")
        .of_several("backlogQuotaMap", quota.or("destination_storage"));
    for value in backlog_quota() {
        quotas = quotas.with(value);
    }
    vec![
        retention(),
        quotas,
        inactive(),
        delayed(),
        rate("dispatch-rate", "dispatchRate", "how fast topics are read"),
        rate(
            "subscription-dispatch-rate",
            "subscriptionDispatchRate",
            "how fast each \
             subscription is",
        ),
        publish_rate(),
        subscribing::types(),
        subscribing::rate(),
        subscribing::creation(),
        storing::persistence(),
        storing::deduplication_snapshots(),
        storing::pause_on_ack_state(),
        storing::replicator_rate(),
        policy(
            "compaction-threshold",
            "compactionThreshold",
            "from how many bytes it is compacted",
        )
        .with(
            option("--threshold -t", Kind::Bytes, Place::Body, "Bytes such as 10M; 0 for never.")
                .required(),
        ),
        policy(
            "max-consumers-per-subscription",
            "maxConsumersPerSubscription",
            "how many \
               consumers a subscription may have",
        )
        .number("--max-consumers-per-subscription -c"),
    ]
}

fn backlog_quota() -> [Argument; 3] {
    let policies = &["producer_request_hold", "producer_exception", "consumer_backlog_eviction"];
    [
        option(
            "--limit -l",
            Kind::Bytes,
            Place::Field("limitSize"),
            "Bytes such as 10M; -1 for none.",
        )
        .or("-1"),
        option("--limitTime -lt", Kind::Seconds, Place::Field("limitTime"), "Time such as 7d.")
            .or("-1"),
        option("--policy -p", Kind::OneOf(policies), Place::Field("policy"), "What is done then.")
            .required(),
    ]
}

fn retention() -> Policy {
    let time = Place::Field("retentionTimeInMinutes");
    let size = Place::Field("retentionSizeInMB");
    policy("retention", "retention", "how long acked messages are kept")
        .with(option("--time -t", Kind::Minutes, time, "Time such as 3h; -1 for ever.").required())
        .with(
            option("--size -s", Kind::Megabytes, size, "Bytes such as 10G; -1 for all.").required(),
        )
}

fn inactive() -> Policy {
    let modes = &["delete_when_no_subscriptions", "delete_when_subscriptions_caught_up"];
    let kind = Kind::EitherOf("--disable-delete-while-inactive -d");
    let (mode, time) =
        (Place::Field("inactiveTopicDeleteMode"), Place::Field("maxInactiveDurationSeconds"));
    policy("inactive-topic-policies", "inactiveTopicPolicies", "when unused topics are deleted")
        .with(
            option(
                "--enable-delete-while-inactive -e",
                kind,
                Place::Field("deleteWhileInactive"),
                "They are.",
            )
            .required(),
        )
        .with(
            option("--max-inactive-duration -t", Kind::Seconds, time, "After so long.").required(),
        )
        .with(option("--delete-mode -m", Kind::OneOf(modes), mode, "Which.").required())
}

fn delayed() -> Policy {
    let tick = "How exact the times are, such as 1s.";
    policy("delayed-delivery", "delayedDelivery", "delayed delivery")
        .with(enable(Place::Field("active")))
        .with(option("--time -t", Kind::Millis, Place::Field("tickTime"), tick).or("1s"))
        .with(
            option(
                "--maxDelay -md",
                Kind::Millis,
                Place::Field("maxDeliveryDelayInMillis"),
                "The longest delay.",
            )
            .or("0"),
        )
}

fn rate(name: &'static str, path: &'static str, about: &'static str) -> Policy {
    let field = |names, field, about| option(names, Kind::Number, Place::Field(field), about);
    policy(name, path, about)
        .with(field("--msg-dispatch-rate -md", "dispatchThrottlingRateInMsg", "Messages.").or("-1"))
        .with(field("--byte-dispatch-rate -bd", "dispatchThrottlingRateInByte", "Bytes.").or("-1"))
        .with(
            field("--dispatch-rate-period -dt", "ratePeriodInSecond", "Per so many seconds.")
                .or("1"),
        )
        .with(
            option(
                "--relative-to-publish-rate -rp",
                Kind::Switch,
                Place::Field("relativeToPublishRate"),
                "Beyond what is published.",
            )
            .or("false"),
        )
}

fn publish_rate() -> Policy {
    let field = |names, field, about| option(names, Kind::Number, Place::Field(field), about);
    policy("publish-rate", "publishRate", "how fast topics may be written")
        .with(
            field("--msg-publish-rate -m", "publishThrottlingRateInMsg", "Messages a second.")
                .or("-1"),
        )
        .with(
            field("--byte-publish-rate -b", "publishThrottlingRateInByte", "Bytes a second.")
                .or("-1"),
        )
}

fn seconds(names: &'static str) -> Argument {
    option(names, Kind::Seconds, Place::Body, "Seconds, or a time such as 3h.").required()
}

/// `get-backlog-quotas` of namespaces; topics have it in the singular.
fn plural(mut verbs: Vec<Verb>) -> Vec<Verb> {
    for verb in &mut verbs {
        if verb.name == "get-backlog-quota" {
            verb.name = "get-backlog-quotas";
        }
    }
    verbs
}

/// A namespace's interval is unset by setting none.
fn unset_by_post(verb: Verb) -> Verb {
    let is_it = verb.name == "remove-deduplication-snapshot-interval";
    if is_it { Verb { method: "POST", ..verb } } else { verb }
}

/// A subscription may have a rate of its own.
fn of_subscription(mut verb: Verb) -> Verb {
    if verb.name.ends_with("-subscription-dispatch-rate") {
        verb.paths.insert(0, vec!["/admin/v2/{topic}/{subscription}/dispatchRate"]);
        let about = "Only that of this subscription.";
        verb = verb.with(option("--subscription -s", Kind::Text, Place::Path, about));
    }
    verb
}

/// What namespaces say.
pub(super) fn of_namespace() -> Vec<Verb> {
    let mut all = common();
    for policy in &mut all {
        policy.is_put |= policy.name == "compaction-threshold";
    }
    all.extend(limits_of_namespace());
    all.extend([
        policy("message-ttl", "messageTTL", "how long messages wait to be acked")
            .with(seconds("--messageTTL -ttl")),
        policy(
            "subscription-expiration-time",
            "subscriptionExpirationTime",
            "after how many \
               minutes an unused subscription is deleted",
        )
        .with(option("--time -t", Kind::Number, Place::Body, "Minutes.").required()),
        policy("deduplication", "deduplication", "whether duplicates are recognised").switch(),
        auto_topics(),
        storing::entry_filters("entry-filters"),
        policy("encryption-required", "encryptionRequired", "whether messages must be encrypted")
            .switch()
            .lasting(),
        policy("subscription-auth-mode", "subscriptionAuthMode", "how subscriptions are permitted")
            .with(
                option(
                    "--subscription-auth-mode -m",
                    Kind::OneOf(&["None", "Prefix"]),
                    Place::Body,
                    "Prefix: a subscription's name begins with the role.",
                )
                .required(),
            )
            .lasting(),
    ]);
    all.extend(schemas_of_namespace());
    let verbs = all.into_iter().flat_map(|policy| policy.verbs(Level::Namespace));
    plural(verbs.map(unset_by_post).collect())
}

fn limits_of_namespace() -> [Policy; 6] {
    [
        policy("max-producers-per-topic", "maxProducersPerTopic", "how many producers a topic has")
            .number("--max-producers-per-topic -p"),
        policy("max-consumers-per-topic", "maxConsumersPerTopic", "how many consumers a topic has")
            .number("--max-consumers-per-topic -c"),
        policy(
            "max-subscriptions-per-topic",
            "maxSubscriptionsPerTopic",
            "how many \
               subscriptions a topic has",
        )
        .number("--max-subscriptions-per-topic -m"),
        policy(
            "max-unacked-messages-per-consumer",
            "maxUnackedMessagesPerConsumer",
            "how many \
               messages a consumer may leave unacked",
        )
        .number("--max-unacked-messages-per-topic -c"),
        policy(
            "max-unacked-messages-per-subscription",
            "maxUnackedMessagesPerSubscription",
            "how \
               many messages a subscription may leave unacked",
        )
        .number("--max-unacked-messages-per-subscription -c"),
        policy("max-topics-per-namespace", "maxTopicsPerNamespace", "how many topics it has")
            .number("--max-topics-per-namespace -t"),
    ]
}

fn auto_topics() -> Policy {
    let types = Kind::OneOf(&["non-partitioned", "partitioned"]);
    policy("auto-topic-creation", "autoTopicCreation", "whether clients create topics")
        .with(enable(Place::Field("allowAutoTopicCreation")))
        .with(
            option("--type -t", types, Place::Field("topicType"), "Which topics.")
                .or("non-partitioned"),
        )
        .with(option(
            "--num-partitions -n",
            Kind::Number,
            Place::Field("defaultNumPartitions"),
            "How many partitions they get.",
        ))
}

const STRATEGIES: Kind = Kind::OneOf(&[
    "UNDEFINED",
    "ALWAYS_INCOMPATIBLE",
    "ALWAYS_COMPATIBLE",
    "BACKWARD",
    "FORWARD",
    "FULL",
    "BACKWARD_TRANSITIVE",
    "FORWARD_TRANSITIVE",
    "FULL_TRANSITIVE",
]);

fn schemas_of_namespace() -> [Policy; 3] {
    let compatibility =
        option("--compatibility -c", STRATEGIES, Place::Body, "The strategy.").required();
    [
        policy(
            "schema-compatibility-strategy",
            "schemaCompatibilityStrategy",
            "which schemas \
               may follow each other",
        )
        .with(compatibility)
        .by_put()
        .lasting(),
        policy(
            "is-allow-auto-update-schema",
            "isAllowAutoUpdateSchema",
            "whether producers add \
               schemas",
        )
        .switch()
        .lasting(),
        policy(
            "schema-validation-enforce",
            "schemaValidationEnforced",
            "whether producers must \
               have a schema",
        )
        .switch()
        .lasting(),
    ]
}

/// What topics say.
pub(super) fn of_topic() -> Vec<Verb> {
    let mut all = common();
    all.extend([
        policy("message-ttl", "messageTTL", "how long messages wait to be acked")
            .with(Argument { place: Place::Query("messageTTL"), ..seconds("--ttl -t") }),
        policy("max-producers", "maxProducers", "how many producers it has")
            .number("--max-producers -p"),
        policy("max-consumers", "maxConsumers", "how many consumers it has")
            .number("--max-consumers -c"),
        policy(
            "max-subscriptions-per-topic",
            "maxSubscriptionsPerTopic",
            "how many \
               subscriptions it has",
        )
        .number("--max-subscriptions-per-topic -s"),
        policy("max-message-size", "maxMessageSize", "how large a message may be")
            .number("--max-message-size -m"),
        policy(
            "max-unacked-messages-per-consumer",
            "maxUnackedMessagesOnConsumer",
            "how many \
               messages a consumer may leave unacked",
        )
        .number("--maxNum -m"),
        policy(
            "max-unacked-messages-per-subscription",
            "maxUnackedMessagesOnSubscription",
            "how \
               many messages a subscription may leave unacked",
        )
        .number("--maxNum -m"),
        policy("deduplication", "deduplicationEnabled", "whether duplicates are recognised")
            .switch(),
        policy(
            "schema-compatibility-strategy",
            "schemaCompatibilityStrategy",
            "which schemas \
               may follow each other",
        )
        .with(option("--strategy -s", STRATEGIES, Place::Body, "The strategy.").required())
        .by_put(),
        storing::entry_filters("entry-filters-per-topic"),
    ]);
    all.into_iter().flat_map(|policy| policy.verbs(Level::Topic)).map(of_subscription).collect()
}

/// The same under `topics`, where `pulsar-admin` had them first, and some under older names.
pub(super) fn of_topic_as_before() -> Vec<Verb> {
    let mut verbs = plural(of_topic());
    let older = [
        ("max-producers", "maxProducers"),
        ("max-subscriptions-per-topic", "max-subscriptions"),
        ("deduplication", "deduplication-enabled"),
        ("max-unacked-messages-per-consumer", "max-unacked-messages-on-consumer"),
        ("max-unacked-messages-per-subscription", "max-unacked-messages-on-subscription"),
    ];
    for (name, older) in older {
        let named = |verb: &&Verb| verb.name.ends_with(name) && !verb.name.ends_with("schema");
        let found: Vec<Verb> = verbs.iter().filter(named).cloned().collect();
        verbs.extend(found.into_iter().map(|verb| {
            let name = lasting(verb.name.replace(name, older));
            Verb { name, ..verb }
        }));
    }
    for verb in &mut verbs {
        for argument in &mut verb.arguments {
            // The short name that this one has under `topics`.
            if argument.name == "max-subscriptions-per-topic" {
                argument.others = vec!["-m", "-s"];
            }
        }
    }
    let validation = policy(
        "schema-validation-enforce",
        "schemaValidationEnforced",
        "whether \
                            producers must have a schema",
    )
    .with(option("--enable -e", Kind::Switch, Place::Body, "They must."))
    .lasting();
    let strategy = |verb: &Verb| verb.name.contains("schema-compatibility-strategy");
    verbs.retain(|verb| !strategy(verb));
    verbs = verbs.into_iter().map(Verb::hidden).collect();
    verbs.extend(validation.verbs(Level::Topic));
    verbs.extend(storing::replication_clusters().verbs(Level::Topic));
    verbs
}
