package geminga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.client.impl.TypedMessageBuilderImpl;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Messages in chunks, of several producers at once, and those that never become whole. */
class ChunkingTest extends Namespace {
    private static final int CHUNK_BYTES = 10_000;

    /** Without a size of its own, chunks are as large as the broker takes messages. */
    private Producer<byte[]> chunking(int chunkBytes) throws Exception {
        return producer().enableBatching(false).enableChunking(true).chunkMaxMessageSize(chunkBytes)
                .sendTimeout(0, TimeUnit.SECONDS).create();
    }

    private void deduplicate(boolean isOn) throws Exception {
        admin.namespaces().setDeduplicationStatus(namespace, isOn);
    }

    private static byte[] payload(long seed, int bytes) {
        byte[] payload = new byte[bytes];
        new Random(seed).nextBytes(payload);
        return payload;
    }

    /** Of four chunks each. */
    private List<MessageId> sendMessages(int count) throws Exception {
        List<MessageId> ids = new ArrayList<>();
        try (Producer<byte[]> producer = chunking(CHUNK_BYTES)) {
            for (int n = 0; n < count; n++) {
                ids.add(producer.send(payload(n, 4 * CHUNK_BYTES - 100)));
            }
        }
        return ids;
    }

    private static void assertPayload(int n, Message<byte[]> message) {
        assertArrayEquals(payload(n, 4 * CHUNK_BYTES - 100), message.getData(), "message " + n);
    }

    /** Sends one chunk of a message, and no other. */
    private static void sendChunk(Producer<byte[]> producer, String message, int chunk, int count) throws Exception {
        TypedMessageBuilderImpl<byte[]> builder = (TypedMessageBuilderImpl<byte[]>) producer.newMessage();
        String part = message + chunk;
        builder.getMetadataBuilder().setUuid(message).setChunkId(chunk).setNumChunksFromMsg(count)
                .setTotalChunkMsgSize(part.length() * count);
        builder.value(part.getBytes()).send();
    }

    private static String text(Message<byte[]> message) {
        return new String(message.getData());
    }

    private void waitForBacklog(long backlog) throws Exception {
        waitFor("a backlog of " + backlog, () -> stats("s").getMsgBacklog() == backlog);
    }

    /** Sends from all producers at once; returns each one's futures. */
    private static Map<String, List<CompletableFuture<MessageId>>> sendAtOnce(
            List<Producer<byte[]>> producers, int each, int bytes) {
        Map<String, List<CompletableFuture<MessageId>>> sends = new HashMap<>();
        for (int n = 0; n < each; n++) {
            for (Producer<byte[]> producer : producers) {
                String name = producer.getProducerName();
                sends.computeIfAbsent(name, key -> new ArrayList<>())
                        .add(producer.sendAsync(payload(name.hashCode() + n, bytes + n)));
            }
        }
        return sends;
    }

    /** Takes all, each whole, each producer's in order, with the receipts' ids; returns the ids. */
    private List<MessageId> receiveAll(
            Consumer<byte[]> consumer, Map<String, List<CompletableFuture<MessageId>>> sends, int each, int bytes)
            throws Exception {
        Map<String, Integer> next = new HashMap<>();
        List<MessageId> ids = new ArrayList<>();
        for (int count = 0; count < sends.size() * each; count++) {
            Message<byte[]> message = receive(consumer);
            String name = message.getProducerName();
            int n = next.merge(name, 1, Integer::sum) - 1;
            assertArrayEquals(payload(name.hashCode() + n, bytes + n), message.getData(), name + " " + n);
            assertEquals(sends.get(name).get(n).get(20, TimeUnit.SECONDS), message.getMessageId());
            ids.add(message.getMessageId());
            consumer.acknowledge(message);
        }
        nothingMore(consumer);
        return ids;
    }

    @ParameterizedTest
    @CsvSource({"Exclusive,false", "Exclusive,true", "Failover,false", "Failover,true"})
    void chunksOfSeveralProducersInterleave(SubscriptionType type, boolean isDeduplicating) throws Exception {
        deduplicate(isDeduplicating);
        Consumer<byte[]> consumer = consumerWithReceipts().subscriptionType(type).subscribe();
        List<Producer<byte[]>> producers = new ArrayList<>();
        for (int at = 0; at < 4; at++) {
            producers.add(chunking(CHUNK_BYTES));
        }
        int bytes = 5 * CHUNK_BYTES;
        List<MessageId> ids = receiveAll(consumer, sendAtOnce(producers, 20, bytes), 20, bytes);
        // One in whose midst another one ends is not in a row.
        int interleaved = 0;
        for (MessageId id : ids) {
            long first = ((MessageIdAdv) id).getFirstChunkMessageId().getEntryId();
            long chunks = 1 + ((MessageIdAdv) id).getEntryId() - first;
            interleaved += 7 < chunks ? 1 : 0;
        }
        assertTrue(0 < interleaved, () -> "no message is interleaved: " + ids);
        waitForBacklog(0);
        for (Producer<byte[]> producer : producers) {
            producer.close();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void severalProducersMessagesAreLargerThanTheBrokerTakes(boolean isDeduplicating) throws Exception {
        deduplicate(isDeduplicating);
        Consumer<byte[]> consumer = consumerWithReceipts().subscribe();
        List<Producer<byte[]>> producers = List.of(chunking(-1), chunking(-1));
        int bytes = 6_000_000;
        List<MessageId> ids = receiveAll(consumer, sendAtOnce(producers, 2, bytes), 2, bytes);
        assertEquals(2 * ids.size(), admin.topics().getStats(topic).getMsgInCounter(), "two chunks each");
        waitForBacklog(0);
    }

    @Test
    void theNextActiveConsumerGetsAMessageFromItsFirstChunk() throws Exception {
        ConsumerBuilder<byte[]> builder = consumerWithReceipts().subscriptionType(SubscriptionType.Failover);
        Consumer<byte[]> first = builder.consumerName("a").subscribe();
        Consumer<byte[]> second = builder.consumerName("b").subscribe();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            producer.send("whole".getBytes());
            sendChunk(producer, "m", 0, 3);
            sendChunk(producer, "m", 1, 3);
            Message<byte[]> whole = receive(first);
            first.acknowledge(whole);
            nothingMore(first); // By then it has the chunks.
            first.close();
            sendChunk(producer, "m", 2, 3);
        }
        Message<byte[]> message = receive(second);
        assertEquals("m0m1m2", text(message));
        second.acknowledge(message);
        nothingMore(second);
        waitForBacklog(0);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatStaysIncompleteExpires(boolean isDeduplicating) throws Exception {
        deduplicate(isDeduplicating);
        Consumer<byte[]> consumer = consumerWithReceipts()
                .expireTimeOfIncompleteChunkedMessage(300, TimeUnit.MILLISECONDS).subscribe();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            sendChunk(producer, "m", 0, 3);
            sendChunk(producer, "m", 1, 3);
            producer.send("whole".getBytes());
            Message<byte[]> whole = receive(consumer);
            assertEquals("whole", text(whole));
            consumer.acknowledge(whole);
            waitForBacklog(0);
            // Too late.
            sendChunk(producer, "m", 2, 3);
            nothingMore(consumer);
        }
    }

    @Test
    void theOldestIsAckedWhenTooManyAreIncomplete() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts().maxPendingChunkedMessage(1)
                .autoAckOldestChunkedMessageOnQueueFull(true).subscribe();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            for (String message : List.of("a", "b", "c")) {
                sendChunk(producer, message, 0, 2);
            }
            waitForBacklog(1);
            sendChunk(producer, "c", 1, 2);
            Message<byte[]> message = receive(consumer);
            assertEquals("c0c1", text(message));
            consumer.acknowledge(message);
            waitForBacklog(0);
        }
        consumer.close();
        try (Consumer<byte[]> again = consumer().subscribe()) {
            nothingMore(again);
        }
    }

    @Test
    void theOldestComesAgainIfItIsNotAcked() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts().maxPendingChunkedMessage(1)
                .ackTimeout(1, TimeUnit.SECONDS).subscribe();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            for (int chunk = 0; chunk < 2; chunk++) {
                sendChunk(producer, "a", chunk, 2);
                sendChunk(producer, "b", chunk, 2);
            }
        }
        // The second pushes the first out, and is whole; then the first comes again.
        for (String whole : List.of("b0b1", "a0a1")) {
            Message<byte[]> message = receive(consumer);
            assertEquals(whole, text(message));
            consumer.acknowledge(message);
        }
        waitForBacklog(0);
    }

    @Test
    void aNackedMessageComesAgainWhole() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts()
                .negativeAckRedeliveryDelay(10, TimeUnit.MILLISECONDS).subscribe();
        sendMessages(1);
        Message<byte[]> message = receive(consumer);
        consumer.negativeAcknowledge(message);
        message = receive(consumer);
        assertPayload(0, message);
        consumer.acknowledge(message);
        waitForBacklog(0);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aSeekToAMessageInChunksFindsItsFirst(boolean isDeduplicating) throws Exception {
        deduplicate(isDeduplicating);
        List<MessageId> ids = sendMessages(4);
        for (boolean isInclusive : new boolean[] {true, false}) {
            ConsumerBuilder<byte[]> builder = consumerWithReceipts();
            if (isInclusive) {
                builder.startMessageIdInclusive();
            }
            try (Consumer<byte[]> consumer = builder.subscribe()) {
                for (int to : new int[] {2, 1}) {
                    consumer.seek(ids.get(to));
                    for (int n = isInclusive ? to : to + 1; n < 4; n++) {
                        Message<byte[]> message = receive(consumer);
                        assertPayload(n, message);
                        assertEquals(ids.get(n), message.getMessageId());
                        consumer.acknowledge(message);
                    }
                    nothingMore(consumer);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aReaderBeginsAtAMessageInChunks(boolean isDeduplicating) throws Exception {
        deduplicate(isDeduplicating);
        List<MessageId> ids = sendMessages(4);
        try (Reader<byte[]> at = client.newReader().topic(topic).startMessageId(ids.get(1))
                        .startMessageIdInclusive().create();
                Reader<byte[]> behind = client.newReader().topic(topic).startMessageId(ids.get(1)).create()) {
            for (int n = 1; n < 4; n++) {
                assertTrue(at.hasMessageAvailable());
                assertPayload(n, at.readNext(20, TimeUnit.SECONDS));
            }
            assertFalse(at.hasMessageAvailable());
            for (int n = 2; n < 4; n++) {
                assertTrue(behind.hasMessageAvailable());
                assertPayload(n, behind.readNext(20, TimeUnit.SECONDS));
            }
            assertFalse(behind.hasMessageAvailable());
            at.seek(ids.get(3));
            assertPayload(3, at.readNext(20, TimeUnit.SECONDS));
        }
    }
}
