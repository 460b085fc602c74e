//! `clusters` and `ns-isolation-policy`.

use super::{
    super::verb::{Argument, Kind, Place, Verb, argument, delete, get, option, post, put},
    cluster,
};

const CLUSTER: &str = "/admin/v2/clusters/{cluster}";
const DOMAIN: &str = "/admin/v2/clusters/{cluster}/failureDomains/{domain-name}";

pub(super) fn verbs() -> Vec<Verb> {
    let peers = "/admin/v2/clusters/{cluster}/peers";
    let names = option("--peer-clusters", Kind::List, Place::Body, "The clusters.").required();
    let mut verbs = vec![
        get("list", "/admin/v2/clusters", "List the clusters."),
        get("get", CLUSTER, "Show a cluster.").with(cluster()),
        with_addresses(put("create", CLUSTER, "Create a cluster.").with(cluster())),
        with_addresses(post("update", CLUSTER, "Change a cluster.").over(CLUSTER).with(cluster())),
        delete("delete", CLUSTER, "Delete a cluster.").with(cluster()),
        get("get-peer-clusters", peers, "Show who may stand in for it.").with(cluster()),
        post("update-peer-clusters", peers, "Set them.").with(cluster()).with(names),
        get(
            "get-cluster-migration",
            "/admin/v2/clusters/{cluster}/migrate",
            "Whether clients are \
            sent to another.",
        )
        .with(cluster()),
        migration(),
    ];
    verbs.extend(failure_domains());
    verbs
}

fn migration() -> Verb {
    let texts = [
        ("--service-url", "serviceUrl", "Where the other's admin API is."),
        ("--service-url-secure", "serviceUrlTls", "The same, with TLS."),
        ("--broker-url", "brokerServiceUrl", "Where its brokers are."),
        ("--broker-url-secure", "brokerServiceUrlTls", "The same, with TLS."),
    ];
    let path = "/admin/v2/clusters/{cluster}/migrate";
    let about = "Clients are to go there.";
    let migrated = option("--migrated", Kind::Switch, Place::Query("migrated"), about);
    let about = "Send clients to another cluster: the server says why it does not.";
    let verb = post("update-cluster-migration", path, about).with(cluster()).with(migrated);
    texts.into_iter().fold(verb, |verb, (name, field, about)| {
        verb.with(option(name, Kind::Text, Place::Field(field), about))
    })
}

/// Where a cluster is, and how to connect to it.
fn with_addresses(verb: Verb) -> Verb {
    let texts = [
        ("--url", "serviceUrl", "Where its admin API is."),
        ("--url-secure", "serviceUrlTls", "The same, with TLS."),
        ("--broker-url", "brokerServiceUrl", "Where its brokers are."),
        ("--broker-url-secure", "brokerServiceUrlTls", "The same, with TLS."),
        ("--proxy-url", "proxyServiceUrl", "Where its proxy is."),
        ("--proxy-protocol", "proxyProtocol", "How the proxy finds brokers."),
        ("--auth-plugin", "authenticationPlugin", "How to authenticate there."),
        ("--auth-parameters", "authenticationParameters", "With what."),
        ("--tls-trust-certs-filepath", "brokerClientTrustCertsFilePath", "Certificates to trust."),
        ("--tls-key-filepath", "brokerClientKeyFilePath", "The key to show."),
        ("--tls-certs-filepath", "brokerClientCertificateFilePath", "The certificate to show."),
        ("--tls-trust-store-type", "brokerClientTlsTrustStoreType", "The kind of trust store."),
        ("--tls-trust-store", "brokerClientTlsTrustStore", "The trust store."),
        ("--tls-trust-store-pwd", "brokerClientTlsTrustStorePassword", "Its password."),
        ("--tls-key-store-type", "brokerClientTlsKeyStoreType", "The kind of key store."),
        ("--tls-key-store", "brokerClientTlsKeyStore", "The key store."),
        ("--tls-key-store-pwd", "brokerClientTlsKeyStorePassword", "Its password."),
        ("--listener-name", "listenerName", "Which of its listeners to use."),
    ];
    let switches = [
        ("--tls-enable", "brokerClientTlsEnabled", "Connect with TLS."),
        ("--tls-enable-keystore", "brokerClientTlsEnabledWithKeyStore", "With a key store."),
        ("--tls-allow-insecure", "tlsAllowInsecureConnection", "Trust any certificate."),
    ];
    let verb = texts.into_iter().fold(verb, |verb, (name, field, about)| {
        verb.with(option(name, Kind::Text, Place::Field(field), about))
    });
    switches.into_iter().fold(verb, |verb, (name, field, about)| {
        verb.with(option(name, Kind::Switch, Place::Field(field), about))
    })
}

fn failure_domains() -> Vec<Verb> {
    let name = || option("--domain-name", Kind::Text, Place::Path, "Its name.").required();
    let brokers = || {
        let about = "Its brokers, with commas between.";
        option("--broker-list", Kind::List, Place::Field("brokers"), about)
    };
    vec![
        get(
            "list-failure-domains",
            "/admin/v2/clusters/{cluster}/failureDomains",
            "List the sets of brokers that fail together.",
        )
        .with(cluster()),
        get("get-failure-domain", DOMAIN, "Show one.").with(cluster()).with(name()),
        post("create-failure-domain", DOMAIN, "Create one.")
            .with(cluster())
            .with(name())
            .with(brokers()),
        post("update-failure-domain", DOMAIN, "Change one.")
            .with(cluster())
            .with(name())
            .with(brokers()),
        delete("delete-failure-domain", DOMAIN, "Delete one.").with(cluster()).with(name()),
    ]
}

pub(super) fn isolation() -> Vec<Verb> {
    let path = "/admin/v2/clusters/{cluster}/namespaceIsolationPolicies";
    let one = "/admin/v2/clusters/{cluster}/namespaceIsolationPolicies/{policy}";
    let name = || argument("policy", Kind::Text, "Its name.");
    vec![
        get("list", path, "List a cluster's policies.").with(cluster()),
        get("get", one, "Show one.").with(cluster()).with(name()),
        with_policy(post("set", one, "Create or change one.").with(cluster()).with(name())),
        delete("delete", one, "Delete one.").with(cluster()).with(name()),
        get(
            "brokers",
            "/admin/v2/clusters/{cluster}/namespaceIsolationPolicies/brokers",
            "List brokers, with the policies that name them.",
        )
        .with(cluster()),
        get(
            "broker",
            "/admin/v2/clusters/{cluster}/namespaceIsolationPolicies/brokers/{broker}",
            "Show one broker.",
        )
        .with(cluster())
        .with(option("--broker", Kind::Text, Place::Path, "The broker.").required()),
    ]
}

fn with_policy(verb: Verb) -> Verb {
    let list =
        |name, field, about| -> Argument { option(name, Kind::List, Place::Field(field), about) };
    let kind = Place::Field("auto_failover_policy.policy_type");
    let parameters = Place::Field("auto_failover_policy.parameters");
    verb.with(list("--namespaces", "namespaces", "Patterns of namespaces.").required())
        .with(list("--primary", "primary", "Patterns of brokers that serve them.").required())
        .with(list("--secondary", "secondary", "Patterns of brokers that may stand in.").or(""))
        .with(
            option(
                "--auto-failover-policy-type",
                Kind::OneOf(&["min_available"]),
                kind,
                "When they stand in.",
            )
            .required(),
        )
        .with(
            option("--auto-failover-policy-params", Kind::Map, parameters, "name=value,…")
                .required(),
        )
}
