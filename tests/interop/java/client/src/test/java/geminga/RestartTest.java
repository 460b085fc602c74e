package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.Schema;
import org.junit.jupiter.api.Test;

/** What clients see when the server is killed. */
class RestartTest extends Topic {
    /**
     * Goal: nothing that had its receipt is lost, no ack that had its own is undone, and clients go on
     * by themselves.
     *
     * <p>Method: send, acknowledge a part, kill the server while more is being sent, and read to the end
     * with the same consumer and with a new one.
     */
    @Test
    void clientsComeBackAndLoseNothing() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts().subscribe();
        Producer<byte[]> producer = producer().enableBatching(false).sendTimeout(0, TimeUnit.SECONDS).create();
        for (int n = 0; n < 100; n++) {
            producer.send(number(n));
        }
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 40)) {
            if (number(message) < 30) {
                consumer.acknowledge(message);
            }
        }
        List<CompletableFuture<MessageId>> sends = new ArrayList<>();
        for (int n = 100; n < 200; n++) {
            sends.add(producer.sendAsync(number(n)));
        }
        restartServer();
        for (CompletableFuture<MessageId> send : sends) {
            send.get(20, TimeUnit.SECONDS);
        }
        Set<Integer> seen = new TreeSet<>();
        while (seen.size() < 160 || !seen.contains(199)) {
            int n = number(receive(consumer));
            assertTrue(30 <= n, "acknowledged before the kill: " + n);
            if (40 <= n) {
                seen.add(n);
            }
        }
        consumer.close();
        consumer = consumer().subscribe();
        // What was in flight at the kill may be there twice, but in order.
        int last = 29;
        while (last < 199) {
            int n = number(receive(consumer));
            assertTrue(n <= last + 1, n + " after " + last);
            last = Math.max(last, n);
        }
    }

    @Test
    void aReaderGoesOnWhereItWas() throws Exception {
        sendNumbers(0, 10);
        try (Reader<byte[]> reader = client.newReader().topic(topic).startMessageId(MessageId.earliest)
                .receiverQueueSize(2).create()) {
            for (int n = 0; n < 5; n++) {
                assertEquals(n, number(reader.readNext(20, TimeUnit.SECONDS)));
            }
            restartServer();
            for (int n = 5; n < 10; n++) {
                assertEquals(n, number(reader.readNext(20, TimeUnit.SECONDS)));
            }
        }
    }

    @Test
    void partitionsAndSchemasAreKept() throws Exception {
        makePartitions(4);
        producerOf(topic, Schema.STRING).send("x");
        restartServer();
        assertEquals(4, client.getPartitionsForTopic(topic).get().size());
        String stored = rest("GET", "/admin/v2/schemas/" + topic.replace("persistent://", "") + "/schema", "");
        assertTrue(stored.contains("\"type\":\"STRING\""), stored);
    }
}
