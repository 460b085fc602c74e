package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a topic has already is not stored again. */
class DeduplicationTest extends Namespace {
    /** How often the server is killed: more for a long run. */
    private static final int KILLS = Integer.parseInt(System.getenv().getOrDefault("GEMINGA_DEDUP_KILLS", "3"));

    @BeforeEach
    void switchOn() throws PulsarAdminException {
        admin.namespaces().setDeduplicationStatus(namespace, true);
    }

    private void waitForStatus(String status) throws Exception {
        waitFor(status, () -> admin.topics().getStats(topic).getDeduplicationStatus().equals(status));
    }

    private ProducerBuilder<byte[]> named(String name) {
        return producer().producerName(name).sendTimeout(0, TimeUnit.SECONDS).enableBatching(false);
    }

    private static void send(Producer<byte[]> producer, int n) throws PulsarClientException {
        producer.newMessage().sequenceId(n).value(number(n)).send();
    }

    private List<Integer> stored() throws Exception {
        List<Integer> numbers = new ArrayList<>();
        try (Reader<byte[]> reader =
                client.newReader().topic(topic).startMessageId(MessageId.earliest).create()) {
            while (reader.hasMessageAvailable()) {
                numbers.add(number(reader.readNext(20, TimeUnit.SECONDS)));
            }
        }
        return numbers;
    }

    private static List<Integer> upTo(int end) {
        List<Integer> numbers = new ArrayList<>();
        for (int n = 0; n < end; n++) {
            numbers.add(n);
        }
        return numbers;
    }

    @Test
    void aNewProducerOfTheSameNameGoesOnBehindTheLastMessage() throws Exception {
        try (Consumer<byte[]> keeper = consumer().subscribe()) {
            try (Producer<byte[]> producer = named("p").create()) {
                assertEquals(-1, producer.getLastSequenceId());
                for (int n = 0; n < 5; n++) {
                    send(producer, n);
                }
                // An application that begins again further back.
                for (int n = 2; n < 8; n++) {
                    send(producer, n);
                }
            }
            restartServer();
            try (Producer<byte[]> producer = named("p").create()) {
                assertEquals(7, producer.getLastSequenceId());
                // Sequence ids that the client gives out itself go on, too.
                producer.send(number(8));
                assertEquals(8, producer.getLastSequenceId());
                send(producer, 3);
            }
            assertEquals(upTo(9), stored());
        }
    }

    @Test
    void batchesAndChunksAreStoredOnce() throws Exception {
        Consumer<byte[]> consumer =
                consumer().subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).subscribe();
        ProducerBuilder<byte[]> batching = named("batches").enableBatching(true).batchingMaxMessages(10)
                .batchingMaxPublishDelay(1, TimeUnit.MINUTES);
        for (int round = 0; round < 2; round++) {
            try (Producer<byte[]> producer = batching.create()) {
                assertEquals(round == 0 ? -1 : 9, producer.getLastSequenceId());
                List<CompletableFuture<MessageId>> sends = new ArrayList<>();
                for (int n = 0; n < 10; n++) {
                    sends.add(producer.newMessage().sequenceId(n).value(number(n)).sendAsync());
                }
                producer.flush();
                for (CompletableFuture<MessageId> send : sends) {
                    send.get(20, TimeUnit.SECONDS);
                }
            }
        }
        receiveNumbers(consumer, 0, 10);
        nothingMore(consumer);

        byte[] large = new byte[100_000];
        ThreadLocalRandom.current().nextBytes(large);
        ProducerBuilder<byte[]> chunking = named("chunks").enableChunking(true).chunkMaxMessageSize(30_000);
        for (int round = 0; round < 2; round++) {
            try (Producer<byte[]> producer = chunking.create()) {
                producer.newMessage().sequenceId(5).value(large).send();
            }
        }
        Message<byte[]> message = receive(consumer);
        assertEquals(large.length, message.getData().length);
        nothingMore(consumer);
        consumer.close();
    }

    @Test
    void aBatchThatIsStoredInPartIsRefused() throws Exception {
        try (Producer<byte[]> producer = named("p").create()) {
            send(producer, 0);
            send(producer, 1);
        }
        ProducerBuilder<byte[]> batching = named("p").enableBatching(true).batchingMaxMessages(2)
                .batchingMaxPublishDelay(1, TimeUnit.MINUTES);
        try (Producer<byte[]> producer = batching.create()) {
            CompletableFuture<MessageId> known = producer.newMessage().sequenceId(1).value(number(1)).sendAsync();
            CompletableFuture<MessageId> fresh = producer.newMessage().sequenceId(2).value(number(2)).sendAsync();
            producer.flushAsync();
            assertThrows(ExecutionException.class, () -> fresh.get(20, TimeUnit.SECONDS));
            assertThrows(ExecutionException.class, () -> known.get(20, TimeUnit.SECONDS));
            CompletableFuture<MessageId> alone = producer.newMessage().sequenceId(2).value(number(2)).sendAsync();
            producer.flush();
            alone.get(20, TimeUnit.SECONDS);
        }
        assertEquals(upTo(3), stored());
    }

    @Test
    void thePolicyActsAtOnce() throws Exception {
        try (Producer<byte[]> producer = named("p").create()) {
            send(producer, 0);
            send(producer, 0);
            waitForStatus("Enabled");
            admin.namespaces().setDeduplicationStatus(namespace, false);
            waitForStatus("Disabled");
            send(producer, 0);
            admin.namespaces().setDeduplicationStatus(namespace, true);
            waitForStatus("Enabled");
            send(producer, 1);
            send(producer, 1);
            assertTrue(admin.namespaces().getDeduplicationStatus(namespace));
            admin.namespaces().removeDeduplicationStatus(namespace);
            waitForStatus("Disabled");
            assertNull(admin.namespaces().getDeduplicationStatus(namespace));
        }
        assertEquals(List.of(0, 0, 1), stored());
    }

    /**
     * Goal: what a producer retries over kills is stored exactly once, and in order.
     *
     * <p>Method: it sends numbers with their sequence ids as fast as it can while the server is killed
     * again and again; then all is read.
     */
    @Test
    void retriesOverKillsAreStoredExactlyOnce() throws Exception {
        AtomicBoolean ends = new AtomicBoolean();
        int[] sent = {0};
        List<CompletableFuture<MessageId>> sends = new ArrayList<>();
        try (Consumer<byte[]> keeper = consumer().subscribe();
                Producer<byte[]> producer = named("p").blockIfQueueFull(true).maxPendingMessages(500).create()) {
            Thread sender = new Thread(() -> {
                while (!ends.get()) {
                    int n = sent[0]++;
                    sends.add(producer.newMessage().sequenceId(n).value(number(n)).sendAsync());
                }
            });
            sender.start();
            for (int kill = 0; kill < KILLS; kill++) {
                Thread.sleep(ThreadLocalRandom.current().nextInt(100, 1000));
                restartServer();
            }
            ends.set(true);
            sender.join();
            producer.flush();
            for (CompletableFuture<MessageId> send : sends) {
                assertNotNull(send.get(20, TimeUnit.SECONDS));
            }
            assertEquals(sent[0] - 1, producer.getLastSequenceId());
            assertEquals(upTo(sent[0]), stored());
        }
    }
}
