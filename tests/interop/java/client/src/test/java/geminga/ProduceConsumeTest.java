package geminga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.pulsar.client.api.CompressionType;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.client.api.TableView;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Messages in every form, and the kinds of topics. */
class ProduceConsumeTest extends Topic {
    @ParameterizedTest
    @EnumSource(CompressionType.class)
    void batchedPayloadsComeOutAsTheyWentIn(CompressionType compression) throws Exception {
        payloadsComeOutAsTheyWentIn(compression, true);
    }

    @ParameterizedTest
    @EnumSource(CompressionType.class)
    void singlePayloadsComeOutAsTheyWentIn(CompressionType compression) throws Exception {
        payloadsComeOutAsTheyWentIn(compression, false);
    }

    private void payloadsComeOutAsTheyWentIn(CompressionType compression, boolean isBatched) throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        Producer<byte[]> producer = producer().compressionType(compression).enableBatching(isBatched).create();
        List<CompletableFuture<MessageId>> sends = new ArrayList<>();
        for (int n = 0; n < 100; n++) {
            sends.add(producer.newMessage().value(payload(n)).key("k" + n).orderingKey(number(n))
                    .property("n", "" + n).eventTime(1000 + n).sendAsync());
        }
        producer.flush();
        for (int n = 0; n < 100; n++) {
            Message<byte[]> message = receive(consumer);
            assertEquals(sends.get(n).get(), message.getMessageId());
            assertArrayEquals(payload(n), message.getData());
            assertEquals("k" + n, message.getKey());
            assertArrayEquals(number(n), message.getOrderingKey());
            assertEquals(Map.of("n", "" + n), message.getProperties());
            assertEquals(1000 + n, message.getEventTime());
            assertEquals(n, message.getSequenceId());
            assertEquals(producer.getProducerName(), message.getProducerName());
            assertEquals(topic, message.getTopicName());
            consumer.acknowledge(message);
        }
        nothingMore(consumer);
    }

    private static byte[] payload(int n) {
        byte[] payload = new byte[7 * n + 1];
        Arrays.fill(payload, (byte) n);
        return payload;
    }

    @Test
    void receiptsAreDense() throws Exception {
        List<MessageId> ids = sendNumbers(0, 20);
        long ledger = ((MessageIdAdv) ids.get(0)).getLedgerId();
        for (int n = 0; n < 20; n++) {
            assertEquals(n, ((MessageIdAdv) ids.get(n)).getEntryId());
            assertEquals(ledger, ((MessageIdAdv) ids.get(n)).getLedgerId());
        }
    }

    @Test
    void chunksArePutTogether() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        byte[] large = new byte[12_000_000];
        for (int at = 0; at < large.length; at++) {
            large[at] = (byte) (at * 31 + at / 255);
        }
        try (Producer<byte[]> producer = producer().enableBatching(false).enableChunking(true).create()) {
            MessageId id = producer.send(large);
            Message<byte[]> message = receive(consumer);
            assertArrayEquals(large, message.getData());
            assertEquals(id, message.getMessageId());
            consumer.acknowledge(message);
            producer.send(number(1));
        }
        receiveNumbers(consumer, 1, 2);
        consumer.seek(MessageId.earliest);
        assertArrayEquals(large, receive(consumer).getData());
    }

    @Test
    void tooLargeIsRefusedAndTheLargestPasses() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        Producer<byte[]> producer = producer().enableBatching(false).create();
        assertThrows(PulsarClientException.InvalidMessageException.class,
                () -> producer.send(new byte[5 * 1024 * 1024 + 1]));
        producer.newMessage().value(new byte[5 * 1024 * 1024 - 4096]).property("large", "p".repeat(2000)).send();
        assertEquals(5 * 1024 * 1024 - 4096, receive(consumer).getData().length);
    }

    @Test
    void aPartitionedTopicKeepsTheOrderOfAKey() throws Exception {
        makePartitions(3);
        assertEquals(List.of(topic + "-partition-0", topic + "-partition-1", topic + "-partition-2"),
                client.getPartitionsForTopic(topic).get());
        Consumer<byte[]> consumer = consumer().subscribe();
        Producer<byte[]> producer = producer().create();
        for (int n = 0; n < 60; n++) {
            producer.newMessage().key("k" + n % 10).value(number(n)).sendAsync();
        }
        producer.flush();
        Map<String, Integer> last = new HashMap<>();
        Set<String> topics = new HashSet<>();
        for (int count = 0; count < 60; count++) {
            Message<byte[]> message = receive(consumer);
            Integer before = last.put(message.getKey(), number(message));
            assertTrue(before == null || before == number(message) - 10, "order of " + message.getKey());
            topics.add(message.getTopicName());
            consumer.acknowledge(message);
        }
        assertEquals(10, last.size());
        assertEquals(3, topics.size());
        nothingMore(consumer);
    }

    @Test
    void partitionsThatAreAddedAreFound() throws Exception {
        makePartitions(1);
        Consumer<byte[]> consumer = consumer().autoUpdatePartitionsInterval(1, TimeUnit.SECONDS).subscribe();
        Producer<byte[]> producer = producer().autoUpdatePartitionsInterval(1, TimeUnit.SECONDS)
                .enableBatching(false).create();
        rest("POST", restPath() + "/partitions", "2");
        waitFor("a message from the new partition", () -> {
            producer.send(number(0));
            return receive(consumer).getTopicName().endsWith("-partition-1");
        });
    }

    @Test
    void aPatternFindsTopicsOfNowAndLater() throws Exception {
        String prefix = topic;
        Set<String> expected = new HashSet<>();
        for (int n = 0; n < 3; n++) {
            topic = prefix + "-" + n;
            expected.add(topic);
            sendNumbers(0, 1);
        }
        Consumer<byte[]> consumer = client.newConsumer()
                .topicsPattern(Pattern.compile(prefix + "-.*"))
                .patternAutoDiscoveryPeriod(1, TimeUnit.SECONDS)
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest)
                .subscriptionName("s")
                .subscribe();
        Set<String> found = new HashSet<>();
        for (int n = 0; n < 3; n++) {
            found.add(receive(consumer).getTopicName());
        }
        assertEquals(expected, found);
        topic = prefix + "-late";
        sendNumbers(0, 1);
        assertEquals(topic, receive(consumer).getTopicName());
    }

    @Test
    void aNonPersistentTopicDelivers() throws Exception {
        topic = "non-" + topic;
        Consumer<byte[]> consumer = consumer().subscribe();
        sendNumbers(0, 10);
        receiveNumbers(consumer, 0, 10);
    }

    @Test
    void delayedMessagesAreNotEarly() throws Exception {
        Consumer<byte[]> consumer = consumer().subscriptionType(SubscriptionType.Shared).subscribe();
        Producer<byte[]> producer = producer().enableBatching(false).create();
        long begun = System.nanoTime();
        producer.newMessage().value(number(1)).deliverAfter(1, TimeUnit.SECONDS).send();
        producer.newMessage().value(number(0)).send();
        receiveNumbers(consumer, 0, 2);
        assertTrue(TimeUnit.SECONDS.toNanos(1) <= System.nanoTime() - begun, "too early");
    }

    @Test
    void aTableViewHasTheLastValueOfEachKey() throws Exception {
        try (Producer<String> producer = producerOf(topic, Schema.STRING)) {
            for (int n = 0; n < 20; n++) {
                producer.newMessage().key("k" + n % 5).value("v" + n).send();
            }
            try (TableView<String> view = client.newTableView(Schema.STRING).topic(topic)
                    .autoUpdatePartitionsInterval(1, TimeUnit.SECONDS).create()) {
                assertEquals(Map.of("k0", "v15", "k1", "v16", "k2", "v17", "k3", "v18", "k4", "v19"),
                        entries(view));
                producer.newMessage().key("k0").value("new").send();
                waitFor("the new value", () -> "new".equals(view.get("k0")));
            }
        }
    }

    private static Map<String, String> entries(TableView<String> view) {
        Map<String, String> entries = new HashMap<>();
        view.forEach(entries::put);
        return entries;
    }

    @Test
    void theClientsStatsCount() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        sendNumbers(0, 5);
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 5)) {
            consumer.acknowledge(message);
        }
        waitFor("counted", () -> consumer.getStats().getTotalMsgsReceived() == 5);
        assertEquals(5, consumer.getStats().getTotalAcksSent());
        assertEquals(0, consumer.getStats().getTotalAcksFailed());
    }
}
