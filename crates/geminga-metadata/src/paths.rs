//! Where things are kept. Pulsar's and BookKeeper's paths, and `/geminga` for what they lack.

use geminga_types::{Domain, LedgerId, NamespaceName, TopicName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Parent of all clusters.
pub const CLUSTERS: &str = "/admin/clusters";
/// Parent of all tenants, each the parent of its namespaces.
pub const POLICIES: &str = "/admin/policies";
/// Racks of bookies.
pub const BOOKIE_RACKS: &str = "/bookies";
/// Parent of all resource groups.
pub const RESOURCE_GROUPS: &str = "/admin/resourcegroups";
/// What was configured while brokers ran.
pub const DYNAMIC_CONFIGURATION: &str = "/admin/configuration";
/// Sequence of generated producer names.
pub const PRODUCER_NAMES: &str = "/counters/producer-name";
/// Parent of everything about ledgers.
pub const LEDGERS: &str = "/ledgers";
/// How ledgers are laid out in the store.
pub const LEDGER_LAYOUT: &str = "/ledgers/LAYOUT";
/// Which store this is; bookies compare it with their cookie's.
pub const LEDGER_INSTANCE_ID: &str = "/ledgers/INSTANCEID";
/// Sequence of ledger ids.
pub const LEDGER_IDS: &str = "/ledgers/idgen";
/// Which forms of stored state this cluster uses; see [`formats`].
pub const FORMATS: &str = "/geminga/formats";
/// Parent of the policies of topics.
pub const TOPIC_POLICIES: &str = "/geminga/topic-policies";
/// Parent of the tombstones of ledgers being deleted.
pub const TOMBSTONES: &str = "/geminga/tombstones";

/// Parent of what is being deleted with all that is in it.
pub const DELETIONS: &str = "/geminga/deletions";

const LAST_SHORT_LEDGER: i64 = 0x7fff_fffe;

/// What survives Java's `URLEncoder`, which Pulsar encodes names with.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_');

/// Encodes a name as one part of a path, as Pulsar does.
#[must_use]
pub fn encode(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string().replace("%20", "+")
}

/// Undoes [`encode`]; `None` when the part is not an encoded text.
#[must_use]
pub fn decode(part: &str) -> Option<String> {
    let spaced = part.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

/// A deletion that is not done.
#[must_use]
pub fn deletion(of: &str) -> String {
    format!("{DELETIONS}/{}", encode(of))
}

/// A cluster's data.
#[must_use]
pub fn cluster(name: &str) -> String {
    format!("{CLUSTERS}/{name}")
}

/// Parent of a cluster's failure domains.
#[must_use]
pub fn failure_domains(cluster: &str) -> String {
    format!("{CLUSTERS}/{cluster}/failureDomain")
}

/// One of them.
#[must_use]
pub fn failure_domain(cluster: &str, name: &str) -> String {
    format!("{}/{}", failure_domains(cluster), encode(name))
}

/// A cluster's isolation policies, all of them.
#[must_use]
pub fn isolation_policies(cluster: &str) -> String {
    format!("{CLUSTERS}/{cluster}/namespaceIsolationPolicies")
}

/// What a bundle is expected to take; `None`: one of which nothing is said.
#[must_use]
pub fn resource_quota(bundle: Option<(&NamespaceName, &str)>) -> String {
    const QUOTAS: &str = "/loadbalance/resource-quota";
    match bundle {
        None => format!("{QUOTAS}/default"),
        Some((namespace, range)) => format!("{QUOTAS}/namespace/{namespace}/{}", encode(range)),
    }
}

/// A resource group.
#[must_use]
pub fn resource_group(name: &str) -> String {
    format!("{RESOURCE_GROUPS}/{}", encode(name))
}

/// A tenant's data; its children are its namespaces.
#[must_use]
pub fn tenant(name: &str) -> String {
    format!("{POLICIES}/{name}")
}

/// A namespace's policies.
#[must_use]
pub fn namespace(name: &NamespaceName) -> String {
    format!("{POLICIES}/{name}")
}

/// A namespace's policies in this cluster alone.
#[must_use]
pub fn local_policies(name: &NamespaceName) -> String {
    format!("/admin/local-policies/{name}")
}

/// Parent of a namespace's partitioned topics.
#[must_use]
pub fn partitioned_topics(namespace: &NamespaceName, domain: Domain) -> String {
    format!("/admin/partitioned-topics/{namespace}/{domain}")
}

/// How many partitions a topic has.
#[must_use]
pub fn partitioned_topic(topic: &TopicName) -> String {
    let parent = partitioned_topics(topic.namespace(), topic.domain());
    format!("{parent}/{}", topic.encoded_local())
}

/// Parent of a namespace's managed ledgers.
#[must_use]
pub fn managed_ledgers(namespace: &NamespaceName, domain: Domain) -> String {
    format!("/managed-ledgers/{namespace}/{domain}")
}

/// A topic's chain of ledgers; its children are its cursors.
#[must_use]
pub fn managed_ledger(topic: &TopicName) -> String {
    let parent = managed_ledgers(topic.namespace(), topic.domain());
    format!("{parent}/{}", topic.encoded_local())
}

/// A subscription's cursor.
#[must_use]
pub fn cursor(topic: &TopicName, subscription: &str) -> String {
    format!("{}/{}", managed_ledger(topic), encode(subscription))
}

/// Which namespace's policies a path is, if some.
#[must_use]
pub fn namespace_of(path: &str) -> Option<NamespaceName> {
    let (tenant, local) = path.strip_prefix(POLICIES)?.strip_prefix('/')?.split_once('/')?;
    NamespaceName::new(tenant, local).ok()
}

/// A ledger's metadata: BookKeeper's hierarchical layout, short below 2³¹ − 1 and long from there.
/// Negative ids, which name no ledger, share the path of ledger 0.
#[must_use]
pub fn ledger(id: LedgerId) -> String {
    let id = id.0.max(0);
    if id <= LAST_SHORT_LEDGER {
        let digits = format!("{id:010}");
        return format!("{LEDGERS}/{}/{}/L{}", &digits[..2], &digits[2..6], &digits[6..]);
    }
    let digits = format!("{id:019}");
    let (a, b, c) = (&digits[..3], &digits[3..7], &digits[7..11]);
    format!("{LEDGERS}/{a}/{b}/{c}/{}/L{}", &digits[11..15], &digits[15..])
}

/// Which ledger a path is of, if of any.
#[must_use]
pub fn ledger_of(path: &str) -> Option<LedgerId> {
    let (parents, last) = path.rsplit_once("/L")?;
    let digits = parents.strip_prefix(LEDGERS)?.replace('/', "") + last;
    let id = LedgerId(digits.parse().ok()?);
    (ledger(id) == path).then_some(id)
}

/// Whether a child of [`LEDGERS`] or below holds ledgers: its name is digits.
#[must_use]
pub fn is_ledger_directory(name: &str) -> bool {
    (2..=4).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// The tombstone that proves a ledger's deletion.
#[must_use]
pub fn tombstone(id: LedgerId) -> String {
    format!("{TOMBSTONES}/{id}")
}

/// Parent of the versions of a topic's schema; shared by its partitions.
#[must_use]
pub fn schemas(topic: &TopicName) -> String {
    let topic = topic.without_partition();
    let (namespace, domain) = (topic.namespace(), topic.domain());
    format!("/geminga/schemas/{namespace}/{domain}/{}", topic.encoded_local())
}

/// One version of a topic's schema. Padded, so that listings are in order of versions.
#[must_use]
pub fn schema(topic: &TopicName, version: u64) -> String {
    format!("{}/{version:020}", schemas(topic))
}

/// Parent of the policies of a namespace's topics.
#[must_use]
pub fn topics_with_policies(namespace: &NamespaceName, domain: Domain) -> String {
    format!("{TOPIC_POLICIES}/{namespace}/{domain}")
}

/// A topic's policies; its partitions share them.
#[must_use]
pub fn topic_policies(topic: &TopicName) -> String {
    let topic = topic.without_partition();
    let parent = topics_with_policies(topic.namespace(), topic.domain());
    format!("{parent}/{}", topic.encoded_local())
}

/// Which topic's policies a path is, if of any.
#[must_use]
pub fn topic_of_policies(path: &str) -> Option<TopicName> {
    let path = path.strip_prefix(TOPIC_POLICIES)?.strip_prefix('/')?;
    let mut parts = path.splitn(4, '/');
    let namespace = NamespaceName::new(parts.next()?, parts.next()?).ok()?;
    let domain = match parts.next()? {
        "persistent" => Domain::Persistent,
        "non-persistent" => Domain::NonPersistent,
        _ => return None,
    };
    TopicName::new(domain, namespace, &decode(parts.next()?)?).ok()
}

/// The form of one kind of stored state, such as `cursors` or `policies`.
#[must_use]
pub fn formats(kind: &str) -> String {
    format!("{FORMATS}/{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_pulsars() {
        let topic: TopicName = "persistent://public/default/a b:c-partition-3".parse().unwrap();
        let namespace = topic.namespace();
        assert_eq!(cluster("standalone"), "/admin/clusters/standalone");
        assert_eq!(tenant("public"), "/admin/policies/public");
        assert_eq!(super::namespace(namespace), "/admin/policies/public/default");
        assert_eq!(namespace_of("/admin/policies/public/default").as_ref(), Some(namespace));
        assert_eq!(namespace_of("/admin/policies/public"), None);
        assert_eq!(local_policies(namespace), "/admin/local-policies/public/default");
        assert_eq!(
            partitioned_topic(&topic.without_partition()),
            "/admin/partitioned-topics/public/default/persistent/a+b%3Ac"
        );
        let ledgers = "/managed-ledgers/public/default/persistent/a+b%3Ac-partition-3";
        assert_eq!(managed_ledger(&topic), ledgers);
        assert_eq!(cursor(&topic, "::,::bf11"), format!("{ledgers}/%3A%3A%2C%3A%3Abf11"));
        assert_eq!(
            schema(&topic, 7),
            "/geminga/schemas/public/default/persistent/a+b%3Ac/00000000000000000007"
        );
        let policies = "/geminga/topic-policies/public/default/persistent/a+b%3Ac";
        assert_eq!(topic_policies(&topic), policies);
        assert_eq!(topic_of_policies(policies), Some(topic.without_partition()));
        for other in ["/geminga/topic-policies", "/geminga/topic-policies/a/b/persistent", "/x"] {
            assert_eq!(topic_of_policies(other), None, "{other}");
        }
        assert_eq!(tombstone(LedgerId(9)), "/geminga/tombstones/9");
    }

    #[test]
    fn names_come_back() {
        for name in ["a", "a b", "topic@%*)(&!%$#@#$><?", "ü+/", ".", "%2F"] {
            assert_eq!(decode(&encode(name)).as_deref(), Some(name));
            assert!(!encode(name).contains('/'));
        }
        assert_eq!(decode("%ff"), None);
    }

    #[test]
    fn ledgers_are_laid_out_as_bookkeepers() {
        let cases = [
            (0, "/ledgers/00/0000/L0000"),
            (1, "/ledgers/00/0000/L0001"),
            (1_234_567_890, "/ledgers/12/3456/L7890"),
            (i64::from(i32::MAX) - 1, "/ledgers/21/4748/L3646"),
            (i64::from(i32::MAX), "/ledgers/000/0000/0021/4748/L3647"),
            (i64::MAX, "/ledgers/922/3372/0368/5477/L5807"),
        ];
        for (id, path) in cases {
            assert_eq!(ledger(LedgerId(id)), path);
            assert_eq!(ledger_of(path), Some(LedgerId(id)));
        }
        for path in ["/ledgers/LAYOUT", "/ledgers/0/L1", "/ledgers/00/0000/L00001", "/x/L1", "L"] {
            assert_eq!(ledger_of(path), None, "{path}");
        }
    }
}
