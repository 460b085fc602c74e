package geminga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
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
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.SubscriptionType;
import org.junit.jupiter.api.Test;

/** Messages in chunks on a Shared subscription: each as a whole at one consumer. */
class SharedChunksTest extends Topic {
    private static final int CHUNK_BYTES = 10_000;
    private static final int PRODUCERS = 3;
    private static final int MESSAGES = 20;

    /** What a producer sends as its n-th message: of up to eight chunks, and some that are none. */
    private static byte[] payload(int producer, int n) {
        byte[] payload = new byte[1 + (producer * 7 + n * 13) % 8 * CHUNK_BYTES];
        new Random(producer * 1_000L + n).nextBytes(payload);
        return payload;
    }

    private void send() throws Exception {
        List<Producer<byte[]>> producers = new ArrayList<>();
        for (int p = 0; p < PRODUCERS; p++) {
            producers.add(producer().producerName("p" + p).enableBatching(false).enableChunking(true)
                    .chunkMaxMessageSize(CHUNK_BYTES).create());
        }
        List<CompletableFuture<MessageId>> sends = new ArrayList<>();
        for (int n = 0; n < MESSAGES; n++) {
            for (int p = 0; p < PRODUCERS; p++) {
                sends.add(producers.get(p).newMessage().key("p" + p + "-" + n).value(payload(p, n)).sendAsync());
            }
        }
        for (CompletableFuture<MessageId> send : sends) {
            send.get(20, TimeUnit.SECONDS);
        }
        for (Producer<byte[]> producer : producers) {
            producer.close();
        }
    }

    private ConsumerBuilder<byte[]> shared() {
        return consumerWithReceipts().subscriptionType(SubscriptionType.Shared);
    }

    private static void check(Message<byte[]> message) {
        String[] words = message.getKey().substring(1).split("-");
        byte[] expected = payload(Integer.parseInt(words[0]), Integer.parseInt(words[1]));
        assertArrayEquals(expected, message.getData(), message.getKey());
    }

    /** Goal: three consumers get all messages of three producers, each whole, and all of them get some. */
    @Test
    void eachMessageComesWholeToOneOfTheConsumers() throws Exception {
        List<Consumer<byte[]>> consumers = new ArrayList<>();
        for (int c = 0; c < 3; c++) {
            consumers.add(shared().receiverQueueSize(5).maxPendingChunkedMessage(100).subscribe());
        }
        send();
        Map<String, Integer> counts = new HashMap<>();
        waitFor("all messages", () -> {
            for (Consumer<byte[]> consumer : consumers) {
                Message<byte[]> message = consumer.receive(10, TimeUnit.MILLISECONDS);
                if (message != null) {
                    check(message);
                    assertTrue(counts.merge(message.getKey(), 1, Integer::sum) == 1, message.getKey());
                    consumer.acknowledge(message);
                }
            }
            return counts.size() == PRODUCERS * MESSAGES;
        });
        for (Consumer<byte[]> consumer : consumers) {
            assertTrue(0 < consumer.getStats().getTotalMsgsReceived() + consumer.getStats().getNumMsgsReceived());
        }
        assertEquals(0, backlog());
    }

    /** Goal: when a consumer leaves that has the first chunks of messages, another gets these messages whole. */
    @Test
    void whoLeavesInTheMidstOfMessagesLeavesThemWhole() throws Exception {
        Consumer<byte[]> first = shared().receiverQueueSize(4).subscribe();
        send();
        first.acknowledge(receive(first));
        receive(first);
        Consumer<byte[]> second = shared().maxPendingChunkedMessage(100).subscribe();
        first.close();
        Map<String, Message<byte[]>> found = receiveAll(second, PRODUCERS * MESSAGES - 1);
        for (Message<byte[]> message : found.values()) {
            second.acknowledge(message);
        }
        assertEquals(0, backlog());
    }

    /** Goal: who asks for everything again gets every message whole again. */
    @Test
    void whatIsAskedForAgainComesWhole() throws Exception {
        Consumer<byte[]> consumer = shared().maxPendingChunkedMessage(100).subscribe();
        send();
        receiveAll(consumer, PRODUCERS * MESSAGES);
        consumer.redeliverUnacknowledgedMessages();
        for (Message<byte[]> message : receiveAll(consumer, PRODUCERS * MESSAGES).values()) {
            consumer.acknowledge(message);
        }
        assertEquals(0, backlog());
    }

    /** Goal: a message in chunks that is given back comes whole again. Java's client names its last chunk only. */
    @Test
    void whatIsGivenBackComesWhole() throws Exception {
        Consumer<byte[]> consumer = shared().maxPendingChunkedMessage(100)
                .negativeAckRedeliveryDelay(100, TimeUnit.MILLISECONDS).subscribe();
        send();
        receiveAll(consumer, PRODUCERS * MESSAGES).values().forEach(consumer::negativeAcknowledge);
        for (Message<byte[]> message : receiveAll(consumer, PRODUCERS * MESSAGES).values()) {
            consumer.acknowledge(message);
        }
        assertEquals(0, backlog());
    }

    private static Map<String, Message<byte[]>> receiveAll(Consumer<byte[]> consumer, int count) throws Exception {
        Map<String, Message<byte[]>> found = new HashMap<>();
        while (found.size() < count) {
            Message<byte[]> message = receive(consumer);
            check(message);
            assertNull(found.put(message.getKey(), message), message.getKey());
        }
        return found;
    }
}
