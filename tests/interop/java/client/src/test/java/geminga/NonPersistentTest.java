package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerAccessMode;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.common.policies.data.NonPersistentTopicStats;
import org.apache.pulsar.common.policies.data.PublishRate;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Topics that store nothing. */
class NonPersistentTest extends Namespace {
    @BeforeEach
    void storeNothing() {
        topic = topic.replace("persistent://", "non-persistent://");
    }

    @Test
    void whoIsConnectedGetsWhatIsSentMeanwhile() throws Exception {
        sendNumbers(0, 3);
        Consumer<byte[]> exclusive = consumer().subscribe();
        Consumer<byte[]> failover = consumer().subscriptionName("f")
                .subscriptionType(SubscriptionType.Failover).subscribe();
        Reader<byte[]> reader = client.newReader().topic(topic)
                .startMessageId(MessageId.latest).create();
        sendNumbers(3, 8);
        for (Message<byte[]> message : receiveNumbers(exclusive, 3, 8)) {
            exclusive.acknowledge(message);
        }
        receiveNumbers(failover, 3, 8);
        for (int n = 3; n < 8; n++) {
            assertEquals(n, number(reader.readNext()));
        }
        exclusive.close();
        sendNumbers(8, 9);
        exclusive = consumer().subscribe();
        sendNumbers(9, 10);
        receiveNumbers(exclusive, 9, 10);
        receiveNumbers(failover, 8, 10);
        Consumer<byte[]> seeker = exclusive;
        assertThrows(PulsarClientException.class, () -> seeker.seek(0));
    }

    @Test
    void sharedConsumersShareAndKeysStayTogether() throws Exception {
        Map<Integer, Integer> received = new HashMap<>();
        Consumer<byte[]> first = consumer().subscriptionType(SubscriptionType.Shared).subscribe();
        Consumer<byte[]> second = consumer().subscriptionType(SubscriptionType.Shared).subscribe();
        Consumer<byte[]> keyed = keyShared();
        Consumer<byte[]> keyedToo = keyShared();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            for (int n = 0; n < 40; n++) {
                producer.newMessage().key("key-" + n % 10).value(number(n)).send();
            }
        }
        for (int n = 0; n < 20; n++) {
            received.merge(number(receive(first)), 1, Integer::sum);
            received.merge(number(receive(second)), 1, Integer::sum);
        }
        assertEquals(40, received.size());
        Set<String> keys = keysOf(keyed);
        Set<String> keysToo = keysOf(keyedToo);
        assertFalse(keys.isEmpty() || keysToo.isEmpty());
        assertEquals(10, keys.size() + keysToo.size());
        keys.retainAll(keysToo);
        assertTrue(keys.isEmpty(), () -> "at both: " + keys);
    }

    private Consumer<byte[]> keyShared() throws PulsarClientException {
        return consumer().subscriptionName("k").subscriptionType(SubscriptionType.Key_Shared).subscribe();
    }

    private static Set<String> keysOf(Consumer<byte[]> consumer) throws PulsarClientException {
        Set<String> keys = new HashSet<>();
        Map<String, Integer> last = new HashMap<>();
        Message<byte[]> message;
        while ((message = consumer.receive(500, TimeUnit.MILLISECONDS)) != null) {
            keys.add(message.getKey());
            Integer before = last.put(message.getKey(), number(message));
            assertTrue(before == null || before < number(message));
        }
        return keys;
    }

    @Test
    void whatNobodyCanTakeIsDroppedAndCounted() throws Exception {
        Consumer<byte[]> consumer = consumer().receiverQueueSize(1).subscribe();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            waitFor("drops are seen", () -> {
                for (int n = 0; n < 20; n++) {
                    producer.send(number(n));
                }
                NonPersistentTopicStats stats = admin.nonPersistentTopics().getStats(topic);
                return 0.0 < stats.getSubscriptions().get("s").getMsgDropRate();
            });
        }
        assertEquals(List.of("s"), admin.topics().getSubscriptions(topic));
        assertThrows(PulsarAdminException.PreconditionFailedException.class,
                () -> admin.topics().deleteSubscription(topic, "s"));
        // Java's client says of its subscriptions here that they are not durable.
        consumer.close();
        assertEquals(List.of(), admin.topics().getSubscriptions(topic));
        PulsarAdminException refused = assertThrows(PulsarAdminException.class,
                () -> admin.topics().skipAllMessages(topic, "s"));
        assertEquals(405, refused.getStatusCode());
    }

    @Test
    void partitionsAreSharedOutAndListed() throws Exception {
        admin.topics().createPartitionedTopic(topic, 3);
        Consumer<byte[]> consumer = consumer().subscribe();
        sendNumbers(0, 30);
        Set<Integer> numbers = new HashSet<>();
        Set<String> partitions = new HashSet<>();
        for (int n = 0; n < 30; n++) {
            Message<byte[]> message = receive(consumer);
            numbers.add(number(message));
            partitions.add(message.getTopicName());
        }
        assertEquals(30, numbers.size());
        assertEquals(3, partitions.size());
        assertEquals(partitions, new HashSet<>(admin.nonPersistentTopics().getList(namespace)));
        assertEquals(30, admin.topics().getPartitionedStats(topic, false).getMsgInCounter());
        consumer.close();
        admin.topics().deletePartitionedTopic(topic, true);
        assertEquals(List.of(), admin.nonPersistentTopics().getList(namespace));
    }

    @Test
    void producersKeepToTheirModesAndLimits() throws Exception {
        admin.namespaces().setMaxProducersPerTopic(namespace, 2);
        Producer<byte[]> first = producer().create();
        producer().create();
        assertThrows(PulsarClientException.ProducerBusyException.class, () -> producer().create());
        admin.namespaces().removeMaxProducersPerTopic(namespace);
        Producer<byte[]> fencing = producer().accessMode(ProducerAccessMode.ExclusiveWithFencing).create();
        assertThrows(PulsarClientException.class, () -> first.send(number(0)));
        fencing.close();
        Consumer<byte[]> consumer = consumer().subscribe();
        admin.namespaces().setPublishRate(namespace, new PublishRate(50, -1));
        long start = System.nanoTime();
        sendNumbers(0, 100);
        assertTrue(1_800_000_000L < System.nanoTime() - start, "it takes two seconds");
        receiveNumbers(consumer, 0, 100);
    }
}
