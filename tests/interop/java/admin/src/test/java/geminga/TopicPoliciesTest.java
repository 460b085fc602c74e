package geminga;

import org.apache.pulsar.client.admin.PulsarAdminException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What can be set for a topic. */
class TopicPoliciesTest extends Script {
    private void policy(String name, String options, String printed) {
        policy("topicPolicies", "TOPIC", name, options, printed);
    }

    @BeforeEach
    void makeTheTopic() throws PulsarAdminException {
        admin.topics().createNonPartitionedTopic(topic);
    }

    @Test
    void limits() {
        policy("max-producers", "-p 3", "3");
        policy("max-consumers", "-c 4", "4");
        policy("max-consumers-per-subscription", "-c 5", "5");
        policy("max-subscriptions-per-topic", "-s 6", "6");
        policy("max-unacked-messages-per-subscription", "-m 7", "7");
        policy("max-unacked-messages-per-consumer", "-m 8", "8");
        policy("max-message-size", "-m 1000", "1000");
    }

    @Test
    void times() {
        policy("message-ttl", "-t 60", "60");
        policy("deduplication-snapshot-interval", "-i 5", "5");
        policy("compaction-threshold", "-t 1M", "1048576");
        policy("retention", "-t 10m -s 5M", "{ 'retentionTimeInMinutes' : 10, 'retentionSizeInMB' : 5 }");
        policy("inactive-topic-policies", "-e -t 1h -m delete_when_no_subscriptions",
                "{ 'inactiveTopicDeleteMode' : 'delete_when_no_subscriptions', "
                        + "'maxInactiveDurationSeconds' : 3600, 'deleteWhileInactive' : true }");
    }

    @Test
    void rates() {
        policy("dispatch-rate", "-md 5 -bd 6 -dt 2", DISPATCH_RATE);
        policy("subscription-dispatch-rate", "-md 5 -bd 6 -dt 2", DISPATCH_RATE);
        policy("replicator-dispatch-rate", "-md 5 -bd 6 -dt 2", DISPATCH_RATE);
        policy("publish-rate", "-m 5 -b 6",
                "{ 'publishThrottlingRateInMsg' : 5, 'publishThrottlingRateInByte' : 6 }");
        policy("subscribe-rate", "-sr 5 -st 10",
                "{ 'subscribeThrottlingRatePerConsumer' : 5, 'ratePeriodInSecond' : 10 }");
    }

    @Test
    void delivery() {
        policy("deduplication", "-e", "true");
        policy("delayed-delivery", "-e -t 2s -md 1h",
                "{ 'tickTime' : 2000, 'active' : true, 'maxDeliveryDelayInMillis' : 3600000 }");
        policy("entry-filters-per-topic", "-efn a", "{ 'entryFilterNames' : 'a' }");
        policy("subscription-types-enabled", "-t Shared", "[ 'Shared' ]");
        policy("auto-subscription-creation", "-e", "{ 'allowAutoSubscriptionCreation' : true }");
        policy("schema-compatibility-strategy", "-s FORWARD", "FORWARD");
    }

    /** The tool's own `get` prints a future, and its `set` waits for none. */
    @Test
    void dispatchPauses() throws Exception {
        run("topicPolicies set-dispatcher-pause-on-ack-state-persistent TOPIC");
        holds("set", () -> admin.topicPolicies().getDispatcherPauseOnAckStatePersistent(topic, false).get());
        run("topicPolicies remove-dispatcher-pause-on-ack-state-persistent TOPIC");
        holds("unset", () -> !admin.topicPolicies().getDispatcherPauseOnAckStatePersistent(topic, true).get());
    }

    @Test
    void storage() {
        policy("persistence", "-e 1 -w 1 -a 1 -r 2.5",
                "{ 'bookkeeperEnsemble' : 1, 'bookkeeperWriteQuorum' : 1, 'bookkeeperAckQuorum' : 1, "
                        + "'managedLedgerMaxMarkDeleteRate' : 2.5 }");
        run("topicPolicies set-offload-policies TOPIC -d filesystem -t 1000 -ts 100");
        finds("topicPolicies get-offload-policies TOPIC", "'managedLedgerOffloadThresholdInBytes' : 1000\\b");
        run("topicPolicies remove-offload-policies TOPIC");
        prints("topicPolicies get-offload-policies TOPIC", "null");
        run("topicPolicies set-backlog-quota TOPIC -l 10M -p producer_exception");
        finds("topicPolicies get-backlog-quota TOPIC",
                "destination_storage .*limitSize=10485760, .*policy=producer_exception");
        run("topicPolicies remove-backlog-quota TOPIC");
        prints("topicPolicies get-backlog-quota TOPIC", "");
    }

    @Test
    void clusters() {
        prints("topics get-replication-clusters TOPIC", "null");
        prints("topics get-replication-clusters TOPIC -ap", "[ 'standalone' ]");
        run("topics set-replication-clusters TOPIC -c standalone");
        prints("topics get-replication-clusters TOPIC", "[ 'standalone' ]");
        refuses("topics set-replication-clusters TOPIC -c nowhere", "nowhere");
        run("topics remove-replication-clusters TOPIC");
        prints("topics get-replication-clusters TOPIC", "null");
    }

    @Test
    void aNamespacesPolicyAppliesUntilTheTopicHasItsOwn() {
        run("namespaces set-message-ttl NS -ttl 70");
        prints("topicPolicies get-message-ttl TOPIC -ap", "70");
        run("topicPolicies set-message-ttl TOPIC -t 80");
        prints("topicPolicies get-message-ttl TOPIC -ap", "80");
    }
}
