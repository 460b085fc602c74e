package geminga;

import org.apache.pulsar.client.admin.PulsarAdminException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What can be set for a topic by the verbs of `topics`, which the tool no longer shows and still has. */
class OlderTopicPoliciesTest extends Script {
    private void policy(String name, String options, String printed) {
        policy("topics", "TOPIC", name, options, printed);
    }

    @BeforeEach
    void makeTheTopic() throws PulsarAdminException {
        admin.topics().createNonPartitionedTopic(topic);
    }

    @Test
    void limits() {
        policy("maxProducers", "-p 2", "2");
        policy("max-producers", "-p 3", "3");
        policy("max-consumers", "-c 4", "4");
        policy("max-consumers-per-subscription", "-c 5", "5");
        policy("max-subscriptions", "-m 6", "6");
        policy("max-unacked-messages-on-consumer", "-m 7", "7");
        policy("max-unacked-messages-on-subscription", "-m 8", "8");
        policy("max-unacked-messages-per-consumer", "-m 9", "9");
        policy("max-unacked-messages-per-subscription", "-m 10", "10");
        policy("max-message-size", "-m 1000", "1000");
    }

    @Test
    void times() {
        policy("message-ttl", "-t 60", "60");
        policy("retention", "-t 10m -s 5M", "{ 'retentionTimeInMinutes' : 10, 'retentionSizeInMB' : 5 }");
        policy("compaction-threshold", "-t 1M", "1048576");
        policy("deduplication-snapshot-interval", "-i 5", "5");
        policy("delayed-delivery", "-e -t 2s",
                "{ 'tickTime' : 2000, 'active' : true, 'maxDeliveryDelayInMillis' : 0 }");
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
    void deduplication() {
        policy("deduplication", "-e", "true");
        run("topics enable-deduplication TOPIC");
        prints("topics get-deduplication-enabled TOPIC", "true");
        run("topics disable-deduplication TOPIC");
        prints("topics get-deduplication-enabled TOPIC", "false");
    }

    @Test
    void storage() {
        policy("subscription-types-enabled", "-t Shared", "[ 'Shared' ]");
        policy("persistence", "-e 1 -w 1 -a 1 -r 2.5",
                "{ 'bookkeeperEnsemble' : 1, 'bookkeeperWriteQuorum' : 1, 'bookkeeperAckQuorum' : 1, "
                        + "'managedLedgerMaxMarkDeleteRate' : 2.5 }");
        run("topics set-offload-policies TOPIC -d filesystem -t 1000");
        finds("topics get-offload-policies TOPIC", "'managedLedgerOffloadThresholdInBytes' : 1000\\b");
        run("topics remove-offload-policies TOPIC");
        prints("topics get-offload-policies TOPIC", "null");
        run("topics set-backlog-quota TOPIC -l 10M -p producer_exception");
        finds("topics get-backlog-quotas TOPIC", "limitSize=10485760, .*policy=producer_exception");
        run("topics remove-backlog-quota TOPIC");
        prints("topics get-backlog-quotas TOPIC", "");
        prints("topics get-schema-validation-enforce TOPIC", "false");
        run("topics set-schema-validation-enforce TOPIC -e");
        prints("topics get-schema-validation-enforce TOPIC", "true");
    }

    /** The older verbs and those of `topicPolicies` are of the same policies. */
    @Test
    void theNewerVerbsShowTheSame() {
        run("topics set-message-ttl TOPIC -t 60");
        prints("topicPolicies get-message-ttl TOPIC", "60");
        run("topicPolicies set-max-producers TOPIC -p 3");
        prints("topics get-maxProducers TOPIC", "3");
    }
}
