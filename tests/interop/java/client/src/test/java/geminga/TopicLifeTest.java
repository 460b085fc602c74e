package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageRoutingMode;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerAccessMode;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.common.policies.data.AutoSubscriptionCreationOverride;
import org.apache.pulsar.common.policies.data.AutoTopicCreationOverride;
import org.apache.pulsar.common.policies.data.RetentionPolicies;
import org.apache.pulsar.common.policies.data.TopicStats;
import org.junit.jupiter.api.Test;

/** Topics and partitions come, change and go, by the admin client and by being used. */
class TopicLifeTest extends Namespace {
    private static AutoTopicCreationOverride creation(boolean allowed, String type, Integer partitions) {
        return AutoTopicCreationOverride.builder().allowAutoTopicCreation(allowed).topicType(type)
                .defaultNumPartitions(partitions).build();
    }

    @Test
    void topicsComeAsTheNamespaceSays() throws Exception {
        assertNull(admin.namespaces().getAutoTopicCreation(namespace));
        AutoTopicCreationOverride three = creation(true, "partitioned", 3);
        admin.namespaces().setAutoTopicCreation(namespace, three);
        assertEquals(three, admin.namespaces().getAutoTopicCreation(namespace));
        assertThrows(PulsarAdminException.PreconditionFailedException.class,
                () -> admin.namespaces().setAutoTopicCreation(namespace, creation(true, "partitioned", 0)));
        Consumer<byte[]> consumer = consumer().subscribe();
        sendNumbers(0, 6);
        assertEquals(3, admin.topics().getPartitionedTopicMetadata(topic).partitions);
        for (int n = 0; n < 6; n++) {
            receive(consumer);
        }
        admin.namespaces().setAutoTopicCreation(namespace, creation(false, null, null));
        String other = topic + "-other";
        assertThrows(PulsarClientException.TopicDoesNotExistException.class,
                () -> client.newProducer().topic(other).create());
        assertThrows(PulsarClientException.TopicDoesNotExistException.class,
                () -> client.newConsumer().topic(other).subscriptionName("s").subscribe());
        assertThrows(PulsarClientException.TopicDoesNotExistException.class,
                () -> client.newProducer().topic(topic + "-partition-3").create());
        admin.topics().updatePartitionedTopic(topic, 4);
        client.newProducer().topic(topic + "-partition-3").create().close();
        assertTrue(admin.topics().getSubscriptions(topic + "-partition-3").contains("s"));
        admin.topics().createMissedPartitions(topic);
        admin.namespaces().removeAutoTopicCreation(namespace);
        assertNull(admin.namespaces().getAutoTopicCreation(namespace));
        client.newProducer().topic(other).create().close();
        assertEquals(0, admin.topics().getPartitionedTopicMetadata(other).partitions);
    }

    @Test
    void subscriptionsComeAsTheNamespaceSays() throws Exception {
        admin.namespaces().setAutoSubscriptionCreation(namespace,
                AutoSubscriptionCreationOverride.builder().allowAutoSubscriptionCreation(false).build());
        assertFalse(admin.namespaces().getAutoSubscriptionCreation(namespace).isAllowAutoSubscriptionCreation());
        producer().create().close();
        assertThrows(PulsarClientException.class, () -> consumer().subscribe());
        admin.topics().createSubscription(topic, "s", MessageId.latest);
        consumer().subscribe().close();
        admin.namespaces().removeAutoSubscriptionCreation(namespace);
        waitFor("the policy counts", () -> {
            try {
                consumer().subscriptionName("t").subscribe().close();
                return true;
            } catch (PulsarClientException e) {
                return false;
            }
        });
    }

    @Test
    void whatIsNotedAboutATopicOutlivesTheServer() throws Exception {
        long before = System.currentTimeMillis();
        admin.topics().createNonPartitionedTopic(topic, Map.of("a", "1", "b", "2"));
        assertEquals(Map.of("a", "1", "b", "2"), admin.topics().getProperties(topic));
        admin.topics().updateProperties(topic, Map.of("b", "3"));
        admin.topics().removeProperties(topic, "a");
        String whole = topic + "-whole";
        admin.topics().createPartitionedTopic(whole, 2, Map.of("p", "1"));
        admin.topics().updateProperties(whole, Map.of("q", "2"));
        sendNumbers(0, 3);
        restartServer();
        assertEquals(Map.of("b", "3"), admin.topics().getProperties(topic));
        assertEquals(Map.of("p", "1", "q", "2"), admin.topics().getProperties(whole));
        assertEquals(Map.of("p", "1", "q", "2"), admin.topics().getPartitionedTopicMetadata(whole).properties);
        String stats = rest("GET", restPath() + "/stats", "");
        long created = Long.parseLong(stats.replaceAll("(?s).*\"topicCreationTimeStamp\":(\\d+).*", "$1"));
        assertTrue(before - 1000 <= created && created <= System.currentTimeMillis(), stats);
    }

    @Test
    void aTruncatedTopicHasOnlyWhatComesLater() throws Exception {
        admin.namespaces().setRetention(namespace, new RetentionPolicies(-1, -1));
        makePartitions(2);
        Consumer<byte[]> consumer = consumer().subscribe();
        sendNumbers(0, 10);
        admin.topics().truncate(topic);
        TopicStats stats = admin.topics().getPartitionedStats(topic, false);
        assertEquals(0, stats.getStorageSize());
        assertEquals(0, stats.getSubscriptions().get("s").getMsgBacklog());
        sendNumbers(10, 12);
        consumer.close();
        Consumer<byte[]> late = consumer().subscriptionName("late")
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).subscribe();
        assertEquals(21, number(receive(late)) + number(receive(late)));
        nothingMore(late);
    }

    @Test
    void allPartitionsEndTogether() throws Exception {
        makePartitions(2);
        Consumer<byte[]> consumer = consumer().subscribe();
        List<MessageId> sent = sendNumbers(0, 4);
        Map<Integer, MessageId> last = admin.topics().terminatePartitionedTopic(topic);
        assertEquals(new TreeMap<>(last).keySet(), new TreeMap<>(Map.of(0, 0, 1, 0)).keySet());
        assertTrue(last.containsValue(sent.get(3)) || last.containsValue(sent.get(2)), last.toString());
        assertThrows(PulsarClientException.TopicTerminatedException.class, () -> producer().create());
        for (int n = 0; n < 4; n++) {
            consumer.acknowledge(receive(consumer));
        }
        waitFor("the end", () -> consumer.hasReachedEndOfTopic());
        String plain = topic + "-plain";
        admin.topics().createNonPartitionedTopic(plain);
        assertThrows(PulsarAdminException.NotAllowedException.class,
                () -> admin.topics().terminatePartitionedTopic(plain));
        assertThrows(PulsarAdminException.NotAllowedException.class, () -> admin.topics().terminateTopic(topic));
    }

    @Test
    void whatIsDeletedByForceDoesNotComeBack() throws Exception {
        admin.namespaces().setAutoTopicCreation(namespace, creation(false, null, null));
        admin.topics().createPartitionedTopic(topic, 2);
        String plain = topic + "-plain";
        admin.topics().createNonPartitionedTopic(plain);
        Consumer<byte[]> consumer = consumer().topic(plain).subscribe();
        Producer<byte[]> producer = producer().create();
        producer.send(number(0));
        assertThrows(PulsarAdminException.PreconditionFailedException.class,
                () -> admin.topics().deletePartitionedTopic(topic));
        assertThrows(PulsarAdminException.PreconditionFailedException.class, () -> admin.topics().delete(plain));
        admin.topics().deletePartitionedTopic(topic, true);
        admin.topics().delete(plain, true);
        waitFor("they are told", () -> !consumer.isConnected() && !producer.isConnected());
        assertThrows(PulsarClientException.class, () -> producer.send(number(1)));
        assertEquals(List.of(), admin.topics().getList(namespace));
        assertThrows(PulsarAdminException.NotFoundException.class, () -> admin.topics().delete(plain, true));
    }

    /** Only the partition that is sent to gets a producer, and exclusive access is for all of them. */
    @Test
    void aLazyProducerOpensOnlyThePartitionsThatItUses() throws Exception {
        makePartitions(4);
        try (Producer<byte[]> producer = producer().enableLazyStartPartitionedProducers(true)
                .messageRoutingMode(MessageRoutingMode.SinglePartition).create()) {
            MessageId id = producer.send(number(1));
            assertTrue(id.toString().matches("\\d+:\\d+:\\d+.*"), id.toString());
            waitFor("one producer", () -> openProducers() == 1);
        }
        try (Producer<byte[]> exclusive = producer().enableLazyStartPartitionedProducers(true)
                .accessMode(ProducerAccessMode.Exclusive).enableBatching(false).create()) {
            assertTrue(1 <= openProducers());
            for (int n = 0; n < 8; n++) {
                exclusive.sendAsync(number(n)).get(10, TimeUnit.SECONDS);
            }
            waitFor("all producers", () -> openProducers() == 4);
            assertThrows(PulsarClientException.class,
                    () -> producer().accessMode(ProducerAccessMode.Exclusive).create());
        }
    }

    private long openProducers() throws PulsarAdminException {
        return admin.topics().getPartitionedStats(topic, true).getPartitions().values().stream()
                .mapToLong(stats -> stats.getPublishers().size()).sum();
    }
}
