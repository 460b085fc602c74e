package geminga;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** The brokers, their bookies, and namespaces as brokers see them. */
class BrokersTest extends MessageScript {
    @Test
    void theBroker() {
        String broker = finds("brokers list standalone", "(\\S+:\\d+)");
        finds("brokers leader-broker", broker);
        prints("brokers healthcheck", "ok");
        finds("brokers version", "\\d+\\.\\d+");
        finds("brokers get-internal-config", "'metadataStoreUrl'");
        finds("brokers get-runtime-config", "maxMessageSize +\\d+");
        run("topics create-subscription TOPIC -s sub");
        finds("brokers namespaces standalone --url " + broker, "NS");
        prints("brokers backlog-quota-check", "ok");
    }

    @Test
    void configurationWhileItRuns() {
        finds("brokers list-dynamic-config", "maxTopicsPerNamespace");
        run("brokers update-dynamic-config --config maxTopicsPerNamespace --value 770");
        finds("brokers get-all-dynamic-config", "maxTopicsPerNamespace +770");
        run("brokers delete-dynamic-config --config maxTopicsPerNamespace");
        String left = run("brokers get-all-dynamic-config");
        assertTrue(!left.contains("maxTopicsPerNamespace"), left);
        prints("brokers get-all-dynamic-config", left);
    }

    @Test
    void bookies() {
        String bookie = finds("bookies list-bookies", "'bookieId' : '([^']+)'");
        run("bookies set-bookie-rack -b " + bookie + " -r /rack-1 -hn here");
        finds("bookies get-bookie-rack -b " + bookie, "/rack-1");
        finds("bookies racks-placement", "/rack-1");
        run("bookies delete-bookie-rack -b " + bookie);
        refuses("bookies get-bookie-rack -b " + bookie, "not found");
    }

    @Test
    void stats() {
        run("topics create-subscription TOPIC -s sub");
        finds("broker-stats topics", "TOPIC");
        finds("broker-stats destinations", "TOPIC");
        finds("broker-stats monitoring-metrics", "'metrics'");
        finds("broker-stats load-report", "pulsarServiceUrl");
        finds("broker-stats mbeans", "\\[");
    }

    @Test
    void bundles() throws Exception {
        finds("namespaces bundles NS", "0x40000000");
        run("namespaces split-bundle NS -b 0x00000000_0x40000000");
        finds("namespaces bundles NS", "0x20000000");
        send("a", "b");
        String range = admin.lookups().getBundleRange(topic);
        finds("namespaces get-topic-positions NS -b " + range, "TOPIC");
        run("namespaces unload NS");
        holds("its topic counts anew", () -> admin.topics().getStats(topic).getMsgInCounter() == 0);
        finds("namespaces topics NS", "TOPIC");
        finds("namespaces destinations NS", "TOPIC");
        run("topics create-subscription TOPIC -s sub");
        run("namespaces unsubscribe NS -s sub");
        prints("topics subscriptions TOPIC", "");
        subscribe("sub");
        backlogIs("sub", 2);
        run("namespaces clear-backlog NS --force");
        backlogIs("sub", 0);
        prints("topics subscriptions TOPIC", "sub");
        finds("namespaces policies NS", "'numBundles' : 5");
    }

    @Test
    void properties() {
        run("namespaces set-property NS -k a -v b");
        prints("namespaces get-property NS -k a", "b");
        run("namespaces set-properties NS -p c=d -p e=f");
        finds("namespaces get-properties NS", "(?s)'c' : 'd',.*'e' : 'f'");
        run("namespaces remove-property NS -k a");
        prints("namespaces get-property NS -k a", "null");
        run("namespaces clear-properties NS");
        prints("namespaces get-properties NS", "{ }");
    }

    @Test
    void clustersAndGroupsOfANamespace() {
        run("namespaces set-clusters NS -c standalone");
        prints("namespaces get-clusters NS", "standalone");
        run("namespaces set-anti-affinity-group NS -g group");
        prints("namespaces get-anti-affinity-group NS", "group");
        finds("namespaces get-anti-affinity-namespaces -p TENANT -c standalone -g group", "NS");
        run("namespaces delete-anti-affinity-group NS");
        prints("namespaces get-anti-affinity-group NS", "");
        run("namespaces set-subscription-auth-mode NS -m Prefix");
        prints("namespaces get-subscription-auth-mode NS", "'Prefix'");
        finds("namespaces policies NS", "'subscription_auth_mode' : 'Prefix'");
    }
}
