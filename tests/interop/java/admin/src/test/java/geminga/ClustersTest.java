package geminga;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** What is not of one namespace: clusters, tenants, isolation, quotas, groups. */
class ClustersTest extends Script {
    @Test
    void clusters() {
        String name = tenant + "-c";
        run("clusters create " + name + " --url http://here:8080 --broker-url pulsar://here:6650");
        finds("clusters list", name);
        finds("clusters get " + name, "'serviceUrl' : 'http://here:8080'");
        run("clusters update " + name + " --url http://there:8080 --broker-url pulsar://there:6650");
        finds("clusters get " + name, "'brokerServiceUrl' : 'pulsar://there:6650'");
        run("clusters update-peer-clusters " + name + " --peer-clusters standalone");
        finds("clusters get-peer-clusters " + name, "standalone");
        run("clusters delete " + name);
        refuses("clusters get " + name, "does not exist");
    }

    @Test
    void failureDomains() {
        run("clusters create-failure-domain standalone --domain-name TENANT --broker-list b:1");
        finds("clusters get-failure-domain standalone --domain-name TENANT", "'b:1'");
        run("clusters update-failure-domain standalone --domain-name TENANT --broker-list b:2");
        finds("clusters list-failure-domains standalone", "TENANT .*b:2");
        run("clusters delete-failure-domain standalone --domain-name TENANT");
        refuses("clusters get-failure-domain standalone --domain-name TENANT", "does not exist");
    }

    @Test
    void tenants() {
        String name = tenant + "-2";
        run("tenants create " + name + " -r app -c standalone");
        finds("tenants list", name);
        finds("tenants get " + name, "'adminRoles' : \\[ 'app' \\]");
        run("tenants update " + name + " -r other -c standalone");
        finds("tenants get " + name, "'adminRoles' : \\[ 'other' \\]");
        run("namespaces create " + name + "/n -b 4");
        prints("namespaces list " + name, name + "/n");
        refuses("tenants delete " + name, "active namespaces");
        run("namespaces delete " + name + "/n");
        prints("namespaces list " + name, "");
        run("tenants delete " + name);
        refuses("tenants get " + name, "does not exist");
    }

    @Test
    void isolation() {
        run("ns-isolation-policy set standalone TENANT --namespaces NS --primary b.* --secondary c.* "
                + "--auto-failover-policy-type min_available "
                + "--auto-failover-policy-params min_limit=1,usage_threshold=80");
        finds("ns-isolation-policy get standalone TENANT", "'primary' : \\[ 'b\\.\\*' \\]");
        finds("ns-isolation-policy list standalone", "TENANT");
        String broker = run("brokers list standalone").strip();
        finds("ns-isolation-policy brokers standalone", broker);
        finds("ns-isolation-policy broker standalone --broker " + broker, "'brokerName' : '" + broker + "'");
        run("ns-isolation-policy delete standalone TENANT");
        refuses("ns-isolation-policy get standalone TENANT", "Cannot find");
    }

    @Test
    void quotas() {
        finds("resource-quotas get", "'msgRateIn' : ");
        run("resource-quotas set -n NS -b 0x00000000_0x40000000 -mi 11 -mo 12 -bi 13 -bo 14 -mem 15");
        finds("resource-quotas get -n NS -b 0x00000000_0x40000000", "'msgRateIn' : 11\\.0");
        String before = run("resource-quotas get").strip();
        run("resource-quotas reset-namespace-bundle-quota -n NS -b 0x00000000_0x40000000");
        prints("resource-quotas get -n NS -b 0x00000000_0x40000000", before);
    }

    @Test
    void groups() {
        run("resourcegroups create TENANT -mp 10 -bp 1000 -md 20 -bd 2000");
        finds("resourcegroups get TENANT", "'publishRateInMsgs' : 10");
        finds("resourcegroups list", "TENANT");
        run("resourcegroups update TENANT -mp 11");
        finds("resourcegroups get TENANT", "'publishRateInMsgs' : 11");
        run("namespaces set-resource-group NS -rgn TENANT");
        prints("namespaces get-resource-group NS", "TENANT");
        refuses("resourcegroups delete TENANT", "in use");
        run("namespaces remove-resource-group NS");
        prints("namespaces get-resource-group NS", "");
        run("resourcegroups delete TENANT");
        refuses("resourcegroups get TENANT", "does not exist");
    }

    @Test
    void schemas() throws Exception {
        Path file = Files.createTempFile("schema", ".json");
        try {
            Files.writeString(file, schema("{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"int\\\"}"));
            run("schemas upload TOPIC -f " + file);
            finds("schemas get TOPIC", "'version': 0");
            finds("schemas metadata TOPIC", "(?s)\\{.*\\}");
            Files.writeString(file, schema("{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"string\\\"}"));
            refuses("schemas upload TOPIC -f " + file, "ncompatible");
            run("schemas delete TOPIC");
            refuses("schemas get TOPIC", "not found");
        } finally {
            Files.delete(file);
        }
    }

    private static String schema(String field) {
        String record = "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\",\\\"fields\\\":[" + field + "]}";
        return "{\"type\": \"AVRO\", \"schema\": \"" + record + "\", \"properties\": {}}";
    }
}
