package geminga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.admin.TopicPolicies;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.PulsarClientException.ProducerBlockedQuotaExceededException;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.common.policies.data.BacklogQuota;
import org.apache.pulsar.common.policies.data.BacklogQuota.BacklogQuotaType;
import org.apache.pulsar.common.policies.data.BacklogQuota.RetentionPolicy;
import org.apache.pulsar.common.policies.data.DelayedDeliveryPolicies;
import org.apache.pulsar.common.policies.data.DispatchRate;
import org.apache.pulsar.common.policies.data.InactiveTopicDeleteMode;
import org.apache.pulsar.common.policies.data.InactiveTopicPolicies;
import org.apache.pulsar.common.policies.data.PublishRate;
import org.apache.pulsar.common.policies.data.RetentionPolicies;
import org.apache.pulsar.common.policies.data.SchemaCompatibilityStrategy;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Policies of a topic: set by the admin client, seen by producers and consumers, removed. */
class TopicPoliciesTest extends Namespace {
    private static final int LIMIT = 1_000;

    private static TopicPolicies policies() throws PulsarAdminException {
        return admin.topicPolicies();
    }

    @BeforeEach
    void makeTheTopic() throws PulsarAdminException {
        admin.topics().createNonPartitionedTopic(topic);
    }

    private static byte[] random(int size) {
        byte[] bytes = new byte[size];
        ThreadLocalRandom.current().nextBytes(bytes);
        return bytes;
    }

    /** Once the policy counts, which may be a moment after it is set. */
    private static void waitUntilRefused(Class<? extends Exception> error, Condition attempt) throws Exception {
        waitFor(error.getSimpleName(), () -> {
            try {
                attempt.holds();
                return false;
            } catch (Exception refused) {
                assertEquals(error, refused.getClass(), refused.getMessage());
                return true;
            }
        });
    }

    /** Once it counts no more. */
    private static void waitUntilTaken(Class<? extends Exception> error, Condition attempt) throws Exception {
        waitFor("no " + error.getSimpleName(), () -> {
            try {
                return attempt.holds();
            } catch (Exception refused) {
                assertEquals(error, refused.getClass(), refused.getMessage());
                return false;
            }
        });
    }

    /** Goal: what is too large is refused alone, whole or as one partition's; chunks are not. */
    @Test
    void aMessageThatIsTooLargeIsRefused() throws Exception {
        String partitioned = topic + "-parts";
        admin.topics().createPartitionedTopic(partitioned, 3);
        for (String name : new String[] {topic, partitioned}) {
            Producer<byte[]> producer = client.newProducer().topic(name).enableBatching(false).create();
            producer.send(random(2 * LIMIT));
            assertNull(policies().getMaxMessageSize(name));
            policies().setMaxMessageSize(name, LIMIT);
            assertEquals(LIMIT, policies().getMaxMessageSize(name));
            for (int partition = 0; partition < 3; partition++) {
                waitUntilRefused(PulsarClientException.NotAllowedException.class,
                        () -> producer.send(random(2 * LIMIT)) != null);
            }
            producer.send(random(LIMIT / 2));
            Consumer<byte[]> consumer = client.newConsumer().topic(name).subscriptionName("s").subscribe();
            byte[] large = random(5 * LIMIT);
            try (Producer<byte[]> chunking = client.newProducer().topic(name).enableBatching(false)
                    .enableChunking(true).chunkMaxMessageSize(2 * LIMIT).create()) {
                chunking.send(large);
            }
            assertArrayEquals(large, receive(consumer).getData());
            consumer.close();
            policies().removeMaxMessageSize(name);
            assertNull(policies().getMaxMessageSize(name));
            for (int partition = 0; partition < 3; partition++) {
                waitUntilTaken(PulsarClientException.NotAllowedException.class,
                        () -> producer.send(random(2 * LIMIT)) != null);
            }
            producer.close();
        }
        assertThrows(PulsarAdminException.PreconditionFailedException.class,
                () -> policies().setMaxMessageSize(topic, -1));
    }

    @Test
    void duplicatesAreDroppedWhereTheTopicSaysSo() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        assertNull(policies().getDeduplicationStatus(topic));
        assertFalse(policies().getDeduplicationStatus(topic, true));
        policies().setDeduplicationStatus(topic, true);
        assertTrue(policies().getDeduplicationStatus(topic));
        waitFor("deduplication", () -> "Enabled".equals(admin.topics().getStats(topic).getDeduplicationStatus()));
        try (Producer<byte[]> producer = producer().producerName("p").create()) {
            producer.newMessage().sequenceId(1).value(number(0)).send();
            producer.newMessage().sequenceId(1).value(number(0)).send();
            producer.newMessage().sequenceId(2).value(number(1)).send();
        }
        receiveNumbers(consumer, 0, 2);
        nothingMore(consumer);
        policies().removeDeduplicationStatus(topic);
        assertNull(policies().getDeduplicationStatus(topic));
        waitFor("no more", () -> "Disabled".equals(admin.topics().getStats(topic).getDeduplicationStatus()));
    }

    @Test
    void oneProducerTooManyIsRefused() throws Exception {
        policies().setMaxProducers(topic, 1);
        assertEquals(1, policies().getMaxProducers(topic));
        Producer<byte[]> first = producer().create();
        assertThrows(PulsarClientException.ProducerBusyException.class, () -> producer().create());
        policies().removeMaxProducers(topic);
        assertNull(policies().getMaxProducers(topic));
        waitUntilTaken(PulsarClientException.ProducerBusyException.class, () -> producer().create().isConnected());
        first.close();
    }

    @Test
    void thePublishRateIsKept() throws Exception {
        assertNull(policies().getPublishRate(topic));
        PublishRate rate = new PublishRate(50, -1);
        policies().setPublishRate(topic, rate);
        assertEquals(rate, policies().getPublishRate(topic));
        Consumer<byte[]> consumer = consumer().subscribe();
        long start = System.nanoTime();
        sendNumbers(0, 50);
        assertTrue(800_000_000L < System.nanoTime() - start, "it takes a second");
        policies().removePublishRate(topic);
        assertNull(policies().getPublishRate(topic));
        receiveNumbers(consumer, 0, 50);
    }

    @Test
    void producersFailBeyondTheBacklogQuota() throws Exception {
        assertEquals(Map.of(), policies().getBacklogQuotaMap(topic));
        BacklogQuota quota = BacklogQuota.builder().limitSize(LIMIT)
                .retentionPolicy(RetentionPolicy.producer_exception).build();
        policies().setBacklogQuota(topic, quota, BacklogQuotaType.destination_storage);
        BacklogQuota stored = policies().getBacklogQuotaMap(topic).get(BacklogQuotaType.destination_storage);
        assertEquals(LIMIT, stored.getLimitSize());
        assertEquals(RetentionPolicy.producer_exception, stored.getPolicy());
        consumer().subscribe().close();
        try (PulsarClient impatient = impatientClient()) {
            waitUntilRefused(ProducerBlockedQuotaExceededException.class, () -> {
                try (Producer<byte[]> producer = impatient.newProducer().topic(topic).create()) {
                    producer.send(random(LIMIT));
                } catch (PulsarClientException.TimeoutException beyond) {
                    // It opens again until it is told.
                }
                return true;
            });
        }
        policies().removeBacklogQuota(topic, BacklogQuotaType.destination_storage);
        assertEquals(Map.of(), policies().getBacklogQuotaMap(topic));
        producer().create().send(number(0));
    }

    @Test
    void delaysAreHonouredUnlessTheTopicSaysOtherwise() throws Exception {
        Consumer<byte[]> consumer = consumer().subscriptionType(SubscriptionType.Shared).subscribe();
        assertNull(policies().getDelayedDeliveryPolicy(topic));
        assertTrue(policies().getDelayedDeliveryPolicy(topic, true).isActive());
        Producer<byte[]> producer = producer().create();
        producer.newMessage().value(number(0)).deliverAfter(1, TimeUnit.HOURS).send();
        nothingMore(consumer);
        DelayedDeliveryPolicies off = DelayedDeliveryPolicies.builder().active(false).tickTime(1_000).build();
        policies().setDelayedDeliveryPolicy(topic, off);
        assertFalse(policies().getDelayedDeliveryPolicy(topic).isActive());
        receiveNumbers(consumer, 0, 1);
        producer.newMessage().value(number(1)).deliverAfter(1, TimeUnit.HOURS).send();
        receiveNumbers(consumer, 1, 2);
        policies().removeDelayedDeliveryPolicy(topic);
        assertNull(policies().getDelayedDeliveryPolicy(topic));
    }

    @Test
    void aMessagePastItsTimeIsNotDelivered() throws Exception {
        assertNull(policies().getMessageTTL(topic));
        policies().setMessageTTL(topic, 1);
        assertEquals(1, policies().getMessageTTL(topic));
        consumer().subscribe().close();
        sendNumbers(0, 3);
        long sent = System.currentTimeMillis();
        waitFor("time goes by", () -> 1_100 < System.currentTimeMillis() - sent);
        sendNumbers(3, 4);
        Consumer<byte[]> consumer = consumer().subscribe();
        receiveNumbers(consumer, 3, 4);
        policies().removeMessageTTL(topic);
        assertNull(policies().getMessageTTL(topic));
    }

    /** Goal: what is applied is the topic's, else the namespace's, else the broker's. */
    @Test
    void whatIsAppliedIsTheUppermost() throws Exception {
        RetentionPolicies ofNamespace = new RetentionPolicies(60, 100);
        RetentionPolicies own = new RetentionPolicies(10, 10);
        assertNull(policies().getRetention(topic));
        assertEquals(new RetentionPolicies(0, 0), policies().getRetention(topic, true));
        admin.namespaces().setRetention(namespace, ofNamespace);
        assertNull(policies().getRetention(topic));
        assertEquals(ofNamespace, policies().getRetention(topic, true));
        policies().setRetention(topic, own);
        assertEquals(own, policies().getRetention(topic));
        assertEquals(own, policies().getRetention(topic, true));
        assertThrows(PulsarAdminException.PreconditionFailedException.class,
                () -> policies().setRetention(topic, new RetentionPolicies(0, 100)));
        policies().removeRetention(topic);
        assertNull(policies().getRetention(topic));
        assertEquals(ofNamespace, policies().getRetention(topic, true));

        admin.namespaces().setMaxProducersPerTopic(namespace, 7);
        assertEquals(7, policies().getMaxProducers(topic, true));
        policies().setMaxProducers(topic, 0);
        assertEquals(0, policies().getMaxProducers(topic, true));
        assertEquals(50_000, policies().getMaxUnackedMessagesOnConsumer(topic, true));
        assertEquals(200_000, policies().getMaxUnackedMessagesOnSubscription(topic, true));
        assertEquals(0, policies().getMessageTTL(topic, true));
        assertEquals(0, policies().getCompactionThreshold(topic, true));
        assertEquals(2, policies().getBacklogQuotaMap(topic, true).size());
        assertEquals(SchemaCompatibilityStrategy.FULL, policies().getSchemaCompatibilityStrategy(topic, true));
    }

    /** The others: set, read, removed. */
    @Test
    void theyAreSetReadAndRemoved() throws Exception {
        policies().setMaxUnackedMessagesOnConsumer(topic, 1);
        assertEquals(1, policies().getMaxUnackedMessagesOnConsumer(topic));
        policies().removeMaxUnackedMessagesOnConsumer(topic);
        assertNull(policies().getMaxUnackedMessagesOnConsumer(topic));
        policies().setMaxUnackedMessagesOnSubscription(topic, 2);
        assertEquals(2, policies().getMaxUnackedMessagesOnSubscription(topic));
        policies().removeMaxUnackedMessagesOnSubscription(topic);
        assertNull(policies().getMaxUnackedMessagesOnSubscription(topic));
        policies().setCompactionThreshold(topic, 3);
        assertEquals(3, policies().getCompactionThreshold(topic));
        policies().removeCompactionThreshold(topic);
        assertNull(policies().getCompactionThreshold(topic));
        DispatchRate rate = DispatchRate.builder().dispatchThrottlingRateInMsg(4).ratePeriodInSecond(1).build();
        policies().setDispatchRate(topic, rate);
        assertEquals(rate, policies().getDispatchRate(topic));
        policies().removeDispatchRate(topic);
        assertNull(policies().getDispatchRate(topic));
        policies().setSubscriptionDispatchRate(topic, rate);
        assertEquals(rate, policies().getSubscriptionDispatchRate(topic));
        policies().removeSubscriptionDispatchRate(topic);
        assertNull(policies().getSubscriptionDispatchRate(topic));
        InactiveTopicPolicies inactive =
                new InactiveTopicPolicies(InactiveTopicDeleteMode.delete_when_no_subscriptions, 60, true);
        policies().setInactiveTopicPolicies(topic, inactive);
        assertEquals(inactive, policies().getInactiveTopicPolicies(topic));
        policies().removeInactiveTopicPolicies(topic);
        assertNull(policies().getInactiveTopicPolicies(topic));
        policies().setSchemaCompatibilityStrategy(topic, SchemaCompatibilityStrategy.BACKWARD);
        assertEquals(SchemaCompatibilityStrategy.BACKWARD, policies().getSchemaCompatibilityStrategy(topic, false));
        policies().removeSchemaCompatibilityStrategy(topic);
        assertNull(policies().getSchemaCompatibilityStrategy(topic, false));
        assertFalse(admin.topics().getSchemaValidationEnforced(topic, false));
        admin.topics().setSchemaValidationEnforced(topic, true);
        assertTrue(admin.topics().getSchemaValidationEnforced(topic, false));
    }

    @Test
    void theyGoWithTheTopic() throws Exception {
        policies().setMaxProducers(topic, 1);
        admin.topics().delete(topic);
        assertThrows(PulsarAdminException.NotFoundException.class, () -> policies().getMaxProducers(topic));
        assertThrows(PulsarAdminException.NotFoundException.class, () -> policies().setMaxProducers(topic, 1));
        admin.topics().createNonPartitionedTopic(topic);
        assertNull(policies().getMaxProducers(topic));
    }
}
