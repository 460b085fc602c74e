package geminga;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** What is off or not there: whoever asks is told so, rather than that there is nothing. */
class OffTest extends MessageScript {
    private static final String NO_WORKER =
            "Pulsar Function Worker is not enabled, probably functionsWorkerEnabled is set to false";
    private static final String NO_PACKAGES = "Package Management Service is not enabled in the broker.";
    private static final String NO_TRANSACTIONS =
            "This Broker is not configured with transactionCoordinatorEnabled=true.";

    interface Use {
        void of(Path file);
    }

    private static void withFile(Use use) throws Exception {
        Path file = Files.createTempFile("nothing", ".jar");
        try {
            use.of(file);
        } finally {
            Files.delete(file);
        }
    }

    private void refuseAll(String noun, String options, String why, String... verbs) {
        for (String verb : verbs) {
            refuses(noun + " " + verb + " " + options, why);
        }
    }

    @Test
    void functions() throws Exception {
        String name = "--tenant TENANT --namespace n --name f";
        refuseAll("functions", name, NO_WORKER, "get", "delete", "restart", "stop", "start", "status", "stats");
        refuseAll("functions", "", NO_WORKER, "reload", "available-functions");
        refuses("functions list --tenant TENANT --namespace n", NO_WORKER);
        refuses("functions querystate -k k " + name, NO_WORKER);
        refuses("functions putstate -s {'key':'k','stringValue':'v'} " + name, NO_WORKER);
        refuses("functions trigger --trigger-value a " + name, NO_WORKER);
        withFile(file -> {
            String made = " --py " + file + " --classname a.B --inputs TOPIC";
            refuseAll("functions", name + made, NO_WORKER, "create", "update");
            refuses("functions upload --path a --source-file " + file, NO_WORKER);
            // The tool says no more of an answer that it wants to store.
            refuses("functions download --path a --destination-file " + file, "HTTP 409 Conflict");
        });
    }

    @Test
    void sources() throws Exception {
        connectors(new String[] {"sources", "source"}, "--destination-topic-name TOPIC");
    }

    @Test
    void sinks() throws Exception {
        connectors(new String[] {"sinks", "sink"}, "--inputs TOPIC");
    }

    private void connectors(String[] nouns, String topics) throws Exception {
        String name = "--tenant TENANT --namespace n --name f";
        for (String noun : nouns) {
            refuseAll(noun, name, NO_WORKER, "get", "delete", "restart", "stop", "start", "status");
            refuses(noun + " list --tenant TENANT --namespace n", NO_WORKER);
            refuseAll(noun, "", NO_WORKER, "reload", "available-" + (noun.startsWith("source") ? "sources" : "sinks"));
            withFile(file -> {
                String archive = " --archive " + file + " " + topics;
                refuseAll(noun, name + archive, NO_WORKER, "create", "update");
            });
        }
    }

    @Test
    void theWorker() {
        refuseAll("functions-worker", "", NO_WORKER, "function-stats", "monitoring-metrics", "get-cluster",
                "get-cluster-leader", "get-function-assignments", "rebalance");
    }

    @Test
    void packages() throws Exception {
        String name = "function://TENANT/n/a";
        refuses("packages list --type function NS", NO_PACKAGES);
        refuses("packages list-versions " + name, NO_PACKAGES);
        refuseAll("packages", name + "@v1", NO_PACKAGES, "get-metadata", "delete");
        refuses("packages update-metadata " + name + "@v1 --description d", NO_PACKAGES);
        withFile(file -> {
            refuses("packages upload " + name + "@v1 --description d --path " + file, NO_PACKAGES);
            // The tool says no more of an answer that it wants to store.
            refuses("packages download " + name + "@v1 --path " + file, "HTTP 503 Service Unavailable");
        });
    }

    @Test
    void transactions() {
        String id = "-m 0 -l 0 ";
        refuseAll("transactions", "-c 0", NO_TRANSACTIONS, "coordinator-stats", "coordinator-internal-stats");
        refuseAll("transactions", "-t TOPIC", NO_TRANSACTIONS, "buffer-snapshot-internal-stats",
                "transaction-buffer-stats");
        refuseAll("transactions", "-t TOPIC -s sub", NO_TRANSACTIONS, "pending-ack-stats",
                "pending-ack-internal-stats");
        refuseAll("transactions", id, NO_TRANSACTIONS, "transaction-metadata", "abort-transaction");
        refuses("transactions transaction-in-buffer-stats -t TOPIC " + id, NO_TRANSACTIONS);
        refuses("transactions transaction-in-pending-ack-stats -t TOPIC -s sub " + id, NO_TRANSACTIONS);
        refuses("transactions position-stats-in-pending-ack -t TOPIC -s sub -l 0 -e 0", NO_TRANSACTIONS);
        refuses("transactions coordinators-list", NO_TRANSACTIONS);
        refuses("transactions slow-transactions -t 10s", NO_TRANSACTIONS);
        refuses("transactions scale-transactionCoordinators -r 17", NO_TRANSACTIONS);
    }

    @Test
    void otherClusters() throws Exception {
        subscribe("sub");
        String status = "topics set-replicated-subscription-status TOPIC -s sub";
        refuses(status + " -e", "there is no other cluster");
        run(status + " -d");
        finds("topics get-replicated-subscription-status TOPIC -s sub", "TOPIC +false");
        finds("clusters get-cluster-migration standalone", "'migrated' : false");
        refuses("clusters update-cluster-migration standalone --migrated --service-url http://a:1 "
                + "--broker-url pulsar://a:2", "does not move clients");
    }

    @Test
    void theMachine() {
        refuses("broker-stats allocator-stats default", "Allocator default is not one of this broker");
        refuses("brokers shutdown -m 1", "A broker is not shut down by REST");
        refuses("non-persistent stats-internal non-TOPIC", "has no managed ledger");
    }

    @Test
    void offload() throws Exception {
        send("a");
        refuses("topics offload TOPIC -s 0", "is not offloaded");
    }

    @Test
    void shadowTopics() throws Exception {
        send("a");
        String none = "this broker has no shadow topics";
        refuseAll("topics", "TOPIC", none, "get-shadow-topics", "remove-shadow-topics");
        refuses("topics set-shadow-topics TOPIC -t TOPIC-2", none);
        refuses("topics create-shadow-topic TOPIC-2 -s TOPIC", none);
        prints("topics list NS", "TOPIC");
        prints("topics get-shadow-source TOPIC", "null");
    }

    /** A server of before Pulsar 2.0 is asked for the one, a proxy for the other. */
    @Test
    void whatIsNotABrokers() {
        String none = "No such resource";
        refuses("namespaces list-cluster TENANT/standalone", none);
        refuseAll("proxy-stats", "", none, "connections", "topics");
    }
}
