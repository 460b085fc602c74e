//! The table of verbs: everything that `geminga admin` can do, with the nouns, verbs and options of
//! `pulsar-admin` 4.0, as far as the server has it.

mod brokers;
mod clusters;
mod namespaces;
mod policies;
mod resources;
mod tenants;
mod topics;

use std::sync::OnceLock;

use super::verb::{Argument, Kind, Noun, argument};

/// All nouns, each with its verbs.
pub(super) fn nouns() -> &'static [Noun] {
    static TABLE: OnceLock<Vec<Noun>> = OnceLock::new();
    TABLE.get_or_init(all)
}

fn all() -> Vec<Noun> {
    vec![
        noun("tenants", "Tenants.", tenants::verbs()),
        noun("namespaces", "Namespaces and their policies.", namespaces::verbs()),
        noun("topics", "Topics and their subscriptions.", topics::verbs()),
        noun("non-persistent", "Topics that are not stored.", topics::not_stored()),
        noun("topicPolicies", "Policies of one topic.", policies::of_topic()),
        noun("schemas", "Schemas of topics.", topics::schemas()),
        noun("clusters", "Clusters, their peers and failure domains.", clusters::verbs()),
        noun("ns-isolation-policy", "Which brokers serve which namespaces.", clusters::isolation()),
        noun("brokers", "Brokers and their configuration.", brokers::verbs()),
        noun("broker-stats", "Numbers of a broker.", brokers::stats()),
        noun("bookies", "Bookies and their racks.", brokers::bookies()),
        noun("resource-quotas", "What bundles are expected to take.", resources::quotas()),
        noun("resourcegroups", "Rates that namespaces share.", resources::groups()),
        noun("backup", "Backups of the whole server.", resources::backup()),
    ]
}

fn noun(name: &'static str, about: &'static str, verbs: Vec<super::verb::Verb>) -> Noun {
    let aliases: &[&str] = if name == "tenants" { &["properties"] } else { &[] };
    Noun { name, aliases, about, verbs }
}

fn tenant() -> Argument {
    argument("tenant", Kind::Text, "The tenant.")
}

fn namespace() -> Argument {
    argument("namespace", Kind::Namespace, "tenant/namespace.")
}

fn topic() -> Argument {
    argument("topic", Kind::Topic, "persistent://tenant/namespace/topic, or a part of that.")
}

fn cluster() -> Argument {
    argument("cluster", Kind::Text, "The cluster.")
}
