//! `namespaces`, but for the policies that topics have as well.

use super::{
    super::verb::{Argument, Kind, Place, Verb, delete, get, option, post, put},
    namespace, policies, tenant,
};

pub(super) fn verbs() -> Vec<Verb> {
    let mut verbs = lists();
    verbs.extend(permissions());
    verbs.extend(properties());
    verbs.extend(placement());
    verbs.extend(bundles());
    verbs.extend(backlogs());
    verbs.extend(policies::of_namespace());
    verbs
}

fn lists() -> Vec<Verb> {
    let path = "/admin/v2/namespaces/{namespace}";
    let allowed = "/admin/v2/namespaces/{namespace}/allowedClusters";
    let system = option(
        "--include-system-topic -ist",
        Kind::Switch,
        Place::Query("includeSystemTopic"),
        "System topics as well.",
    );
    let mode = Kind::OneOf(&["PERSISTENT", "NON_PERSISTENT", "ALL"]);
    vec![
        get("list", "/admin/v2/namespaces/{tenant}", "List a tenant's namespaces.").with(tenant()),
        get("topics", "/admin/v2/namespaces/{namespace}/topics", "List a namespace's topics.")
            .with(namespace())
            .with(option("--mode -m", mode, Place::Query("mode"), "Of which domain.").or("ALL"))
            .with(system),
        get("bundles", "/admin/v2/namespaces/{namespace}/bundles", "Show how it is cut.")
            .with(namespace()),
        get("policies", path, "Show all policies of a namespace.").with(namespace()),
        put("create", path, "Create a namespace.")
            .with(namespace())
            .with(option(
                "--clusters -c",
                Kind::List,
                Place::Field("replication_clusters"),
                "Clusters that it is in.",
            ))
            .with(option(
                "--bundles -b",
                Kind::Number,
                Place::Field("bundles.numBundles"),
                "How many parts it is cut into.",
            )),
        delete("delete", path, "Delete a namespace.").with(namespace()).with(option(
            "--force -f",
            Kind::Switch,
            Place::Query("force"),
            "Delete its topics as well.",
        )),
        get("get-clusters", "/admin/v2/namespaces/{namespace}/replication", "Show its clusters.")
            .with(namespace()),
        post("set-clusters", "/admin/v2/namespaces/{namespace}/replication", "Set its clusters.")
            .with(namespace())
            .with(option("--clusters -c", Kind::List, Place::Body, "Clusters.").required()),
        get("get-allowed-clusters", allowed, "Show which clusters it may be in.").with(namespace()),
        post("set-allowed-clusters", allowed, "Say which clusters it may be in.")
            .with(namespace())
            .with(option("--clusters -c", Kind::List, Place::Body, "Clusters.").required()),
        post(
            "update-migration-state",
            "/admin/v2/namespaces/{namespace}/migration",
            "Note whether its clients were sent to another cluster.",
        )
        .with(namespace())
        .with(option("--migrated", Kind::Switch, Place::Body, "They were.").or("false")),
    ]
}

fn permissions() -> Vec<Verb> {
    let path = "/admin/v2/namespaces/{namespace}/permissions";
    let of_role = "/admin/v2/namespaces/{namespace}/permissions/{role}";
    let of_subscriptions = "/admin/v2/namespaces/{namespace}/permissions/subscription";
    let subscription =
        option("--subscription -s", Kind::Text, Place::Path, "The subscription.").required();
    let actions = "What it may do: produce, consume, functions, sources, sinks, packages.";
    vec![
        get("permissions", path, "Show who may do what.").with(namespace()),
        post("grant-permission", of_role, "Permit a role something.")
            .with(namespace())
            .with(option("--role", Kind::Text, Place::Path, "The role.").required())
            .with(option("--actions", Kind::List, Place::Body, actions).required()),
        delete("revoke-permission", of_role, "Take everything from a role.")
            .with(namespace())
            .with(option("--role", Kind::Text, Place::Path, "The role.").required()),
        get("subscription-permission", of_subscriptions, "Show who may use which subscription.")
            .with(namespace()),
        post(
            "grant-subscription-permission",
            "/admin/v2/namespaces/{namespace}/permissions/subscription/{subscription}",
            "Permit roles a subscription.",
        )
        .with(namespace())
        .with(subscription.clone())
        .with(option("--roles -rs", Kind::List, Place::Body, "The roles.").required()),
        delete(
            "revoke-subscription-permission",
            "/admin/v2/namespaces/{namespace}/permissions/{subscription}/{role}",
            "Take a subscription from a role.",
        )
        .with(namespace())
        .with(subscription)
        .with(option("--role -r", Kind::Text, Place::Path, "The role.").required()),
    ]
}

fn properties() -> Vec<Verb> {
    let path = "/admin/v2/namespaces/{namespace}/properties";
    let of_key = "/admin/v2/namespaces/{namespace}/property/{key}";
    let key = || option("--key -k", Kind::Text, Place::Path, "The key.").required();
    vec![
        put(
            "set-property",
            "/admin/v2/namespaces/{namespace}/property/{key}/{value}",
            "Note something about a namespace.",
        )
        .with(namespace())
        .with(key())
        .with(option("--value -v", Kind::Text, Place::Path, "The value.").required()),
        get("get-property", of_key, "Show one thing that is noted.").with(namespace()).with(key()),
        delete("remove-property", of_key, "Forget one thing.").with(namespace()).with(key()),
        put("set-properties", path, "Note several things.").with(namespace()).with(
            option("--properties -p", Kind::Map, Place::Body, "key=value, with commas between.")
                .required(),
        ),
        get("get-properties", path, "Show all that is noted.").with(namespace()),
        delete("clear-properties", path, "Forget all of it.").with(namespace()),
    ]
}

fn placement() -> Vec<Verb> {
    let group = "/admin/v2/namespaces/{namespace}/resourcegroup";
    let affinity = "/admin/v2/namespaces/{namespace}/antiAffinity";
    let bookies = "/admin/v2/namespaces/{namespace}/persistence/bookieAffinity";
    let name = |names, place| option(names, Kind::Text, place, "The group.").required();
    let (primary, secondary) =
        ("bookkeeperAffinityGroupPrimary", "bookkeeperAffinityGroupSecondary");
    vec![
        get("get-resource-group", group, "Show the resource group it is in.").with(namespace()),
        post(
            "set-resource-group",
            "/admin/v2/namespaces/{namespace}/resourcegroup/{resource-group-name}",
            "Put it into a resource group.",
        )
        .with(namespace())
        .with(name("--resource-group-name -rgn", Place::Path)),
        delete("remove-resource-group", group, "Take it out of its resource group.")
            .with(namespace()),
        get("get-anti-affinity-group", affinity, "Show what it is kept apart from.")
            .with(namespace()),
        post("set-anti-affinity-group", affinity, "Keep it apart from others of a group.")
            .with(namespace())
            .with(name("--group -g", Place::Body)),
        delete("delete-anti-affinity-group", affinity, "Do so no longer.").with(namespace()),
        get(
            "get-anti-affinity-namespaces",
            "/admin/v2/namespaces/{cluster}/antiAffinity/{group}",
            "List the namespaces of such a group.",
        )
        .with(option("--tenant -p", Kind::Text, Place::Query("tenant"), "A tenant of yours."))
        .with(option("--cluster -c", Kind::Text, Place::Path, "The cluster.").required())
        .with(name("--group -g", Place::Path)),
        get("get-bookie-affinity-group", bookies, "Show which bookies have its ledgers.")
            .with(namespace()),
        post("set-bookie-affinity-group", bookies, "Say which bookies are to have them.")
            .with(namespace())
            .with(name("--primary-group -pg", Place::Field(primary)))
            .with(option(
                "--secondary-group -sg",
                Kind::Text,
                Place::Field(secondary),
                "Bookies for when there are too few.",
            )),
        delete("delete-bookie-affinity-group", bookies, "Leave it to the broker.")
            .with(namespace()),
    ]
}

fn bundle() -> Argument {
    option("--bundle -b", Kind::Text, Place::Path, "0x00000000_0x40000000: only this bundle.")
}

fn subscription() -> Argument {
    option("--sub -s", Kind::Text, Place::Path, "The subscription.")
}

const SPLIT_ALGORITHMS: &[&str] = &[
    "range_equally_divide",
    "topic_count_equally_divide",
    "specified_positions_divide",
    "flow_or_qps_equally_divide",
];

fn bundles() -> Vec<Verb> {
    vec![
        put(
            "split-bundle",
            "/admin/v2/namespaces/{namespace}/{bundle}/split",
            "Split a bundle: the server says why it does not.",
        )
        .or(&["/admin/v2/namespaces/{namespace}/{bundle-type}/split"])
        .with(namespace())
        .with(bundle().required_unless("bundle-type"))
        .with(option(
            "--bundle-type -bt",
            Kind::OneOf(&["LARGEST", "HOT"]),
            Place::Path,
            "The one with the most topics, or that does the most, instead.",
        ))
        .with(option("--unload -u", Kind::Switch, Place::Query("unload"), "Unload the parts."))
        .with(option(
            "--split-algorithm-name -san",
            Kind::OneOf(SPLIT_ALGORITHMS),
            Place::Query("splitAlgorithmName"),
            "Where it is cut.",
        ))
        .with(option(
            "--split-boundaries -sb",
            Kind::Numbers,
            Place::Body,
            "Hashes, for specified_positions_divide.",
        )),
        get(
            "get-topic-positions",
            "/admin/v2/namespaces/{namespace}/{bundle}/topicHashPositions",
            "Show the hashes of a bundle's topics.",
        )
        .with(namespace())
        .with(bundle().required())
        .with(option(
            "--topic-list -tl",
            Kind::List,
            Place::Query("topics"),
            "Only these.",
        )),
    ]
}

fn backlogs() -> Vec<Verb> {
    vec![
        put(
            "unload",
            "/admin/v2/namespaces/{namespace}/{bundle}/unload",
            "Unload topics: clients connect anew.",
        )
        .or(&["/admin/v2/namespaces/{namespace}/unload"])
        .with(namespace())
        .with(bundle())
        .with(option(
            "--destinationBroker -d",
            Kind::Text,
            Place::Query("destinationBroker"),
            "The broker that is to have them.",
        )),
        post(
            "clear-backlog",
            "/admin/v2/namespaces/{namespace}/{bundle}/clearBacklog/{sub}",
            "Ack all that waits.",
        )
        .or(&["/admin/v2/namespaces/{namespace}/{bundle}/clearBacklog"])
        .or(&["/admin/v2/namespaces/{namespace}/clearBacklog/{sub}"])
        .or(&["/admin/v2/namespaces/{namespace}/clearBacklog"])
        .asks("Messages that wait will not be delivered. Clear the backlog?")
        .with(namespace())
        .with(subscription())
        .with(bundle())
        .with(option("--force -force", Kind::Switch, Place::Path, "Do not ask.")),
        post(
            "unsubscribe",
            "/admin/v2/namespaces/{namespace}/{bundle}/unsubscribe/{sub}",
            "Delete a subscription from all topics.",
        )
        .or(&["/admin/v2/namespaces/{namespace}/unsubscribe/{sub}"])
        .with(namespace())
        .with(subscription().required())
        .with(bundle()),
        get("destinations", "/admin/v2/namespaces/{namespace}/topics", "Older name of topics.")
            .with(namespace())
            .hidden(),
    ]
}
