package geminga;

import org.junit.jupiter.api.Test;

/** What can be set for a namespace. */
class NamespacePoliciesTest extends Script {
    private void policy(String name, String options, String printed) {
        policy("namespaces", "NS", name, options, printed);
    }

    @Test
    void limits() {
        policy("max-producers-per-topic", "-p 3", "3");
        policy("max-consumers-per-topic", "-c 4", "4");
        policy("max-consumers-per-subscription", "-c 5", "5");
        policy("max-subscriptions-per-topic", "-m 6", "6");
        policy("max-unacked-messages-per-subscription", "-c 7", "7");
        policy("max-unacked-messages-per-consumer", "-c 8", "8");
    }

    @Test
    void aLimitOfTopics() {
        run("namespaces set-max-topics-per-namespace NS -t 1");
        prints("namespaces get-max-topics-per-namespace NS", "1");
        run("topics create TOPIC");
        refuses("topics create TOPIC-2", "maxTopicsPerNamespace");
        run("namespaces remove-max-topics-per-namespace NS");
        run("topics create TOPIC-2");
        finds("topics list NS", "TOPIC-2");
    }

    @Test
    void times() {
        policy("message-ttl", "-ttl 60", "60");
        policy("subscription-expiration-time", "-t 7", "7");
        policy("deduplication-snapshot-interval", "-i 5", "5");
        policy("compaction-threshold", "-t 1M", "1048576");
        policy("retention", "-t 10m -s 5M", "{ 'retentionTimeInMinutes' : 10, 'retentionSizeInMB' : 5 }");
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
    void whatComesByBeingUsed() {
        policy("auto-topic-creation", "-e -t partitioned -n 2",
                "{ 'allowAutoTopicCreation' : true, 'topicType' : 'partitioned', "
                        + "'defaultNumPartitions' : 2 }");
        policy("auto-subscription-creation", "-e", "{ 'allowAutoSubscriptionCreation' : true }");
        policy("inactive-topic-policies", "-e -t 1h -m delete_when_no_subscriptions",
                "{ 'inactiveTopicDeleteMode' : 'delete_when_no_subscriptions', "
                        + "'maxInactiveDurationSeconds' : 3600, 'deleteWhileInactive' : true }");
    }

    @Test
    void delivery() {
        policy("deduplication", "-e", "true");
        policy("delayed-delivery", "-e -t 2s -md 1h",
                "{ 'tickTime' : 2000, 'active' : true, 'maxDeliveryDelayInMillis' : 3600000 }");
        policy("entry-filters", "-efn a", "{ 'entryFilterNames' : 'a' }");
        run("namespaces set-dispatcher-pause-on-ack-state-persistent NS");
        prints("namespaces get-dispatcher-pause-on-ack-state-persistent NS", "true");
        run("namespaces remove-dispatcher-pause-on-ack-state-persistent NS");
        prints("namespaces get-dispatcher-pause-on-ack-state-persistent NS", "false");
        run("namespaces set-subscription-types-enabled NS -t Shared");
        prints("namespaces get-subscription-types-enabled NS", "[ 'Shared' ]");
        run("namespaces remove-subscription-types-enabled NS");
        prints("namespaces get-subscription-types-enabled NS", "[ ]");
    }

    @Test
    void storage() {
        policy("persistence", "-e 1 -w 1 -a 1 -r 2.5",
                "{ 'bookkeeperEnsemble' : 1, 'bookkeeperWriteQuorum' : 1, 'bookkeeperAckQuorum' : 1, "
                        + "'managedLedgerMaxMarkDeleteRate' : 2.5 }");
        run("namespaces set-bookie-affinity-group NS -pg p -sg s");
        prints("namespaces get-bookie-affinity-group NS",
                "{ 'bookkeeperAffinityGroupPrimary' : 'p', 'bookkeeperAffinityGroupSecondary' : 's' }");
        run("namespaces delete-bookie-affinity-group NS");
        prints("namespaces get-bookie-affinity-group NS", "null");
    }

    @Test
    void offload() {
        run("namespaces set-offload-policies NS -d filesystem -oat 10M -oats 100");
        finds("namespaces get-offload-policies NS", "'managedLedgerOffloadDriver' : 'filesystem'");
        finds("namespaces get-offload-policies NS", "'managedLedgerOffloadThresholdInBytes' : 10485760");
        run("namespaces remove-offload-policies NS");
        prints("namespaces get-offload-policies NS", "null");
        run("namespaces set-offload-threshold NS -s 20M -t 100");
        prints("namespaces get-offload-threshold NS",
                "offloadThresholdInBytes: 20971520 offloadThresholdInSeconds: 100");
        run("namespaces set-offload-deletion-lag NS -l 1h");
        prints("namespaces get-offload-deletion-lag NS", "60 minute(s)");
        run("namespaces clear-offload-deletion-lag NS");
        finds("namespaces get-offload-deletion-lag NS", "Unset for namespace");
    }

    @Test
    void backlogQuotas() {
        run("namespaces set-backlog-quota NS -l 10M -p producer_exception");
        run("namespaces set-backlog-quota NS -lt 60 -p consumer_backlog_eviction -t message_age");
        finds("namespaces get-backlog-quotas NS",
                "destination_storage .*limitSize=10485760, .*policy=producer_exception");
        finds("namespaces get-backlog-quotas NS", "message_age .*limitTime=60, policy=consumer_backlog_eviction");
        run("namespaces remove-backlog-quota NS");
        run("namespaces remove-backlog-quota NS -t message_age");
        prints("namespaces get-backlog-quotas NS", "");
    }

    @Test
    void schemas() {
        run("namespaces set-schema-autoupdate-strategy NS -c Forward");
        prints("namespaces get-schema-autoupdate-strategy NS", "FORWARD");
        run("namespaces set-schema-compatibility-strategy NS -c BACKWARD");
        prints("namespaces get-schema-compatibility-strategy NS", "BACKWARD");
        run("namespaces set-is-allow-auto-update-schema NS -d");
        prints("namespaces get-is-allow-auto-update-schema NS", "false");
        run("namespaces set-schema-validation-enforce NS -e");
        prints("namespaces get-schema-validation-enforce NS", "true");
    }

    @Test
    void clusters() {
        prints("namespaces get-allowed-clusters NS", "");
        run("namespaces set-allowed-clusters NS -c standalone");
        prints("namespaces get-allowed-clusters NS", "standalone");
        refuses("namespaces set-allowed-clusters NS -c nowhere", "nowhere");
        finds("namespaces policies NS", "'migrated' : false");
        run("namespaces update-migration-state NS --migrated");
        finds("namespaces policies NS", "'migrated' : true");
        run("namespaces update-migration-state NS");
        finds("namespaces policies NS", "'migrated' : false");
    }

    @Test
    void encryptionIsRequiredAndNoLonger() {
        run("namespaces set-encryption-required NS -e");
        prints("namespaces get-encryption-required NS", "true");
        run("namespaces set-encryption-required NS -d");
        prints("namespaces get-encryption-required NS", "false");
    }
}
