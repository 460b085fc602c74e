package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.Reader;
import org.junit.jupiter.api.Test;

/** The order of receipts is the order of what is stored. */
class PublishOrderTest extends Topic {
    private static final int PRODUCERS = 8;
    private static final int EACH = 1_500;
    private static final int PIPELINED = 100_000;

    /** What a producer was told, in the order in which it was told. */
    private static final class Receipts {
        private final String producer;
        private final int expected;
        private final List<String> sent = Collections.synchronizedList(new ArrayList<>());
        private final List<MessageId> ids = Collections.synchronizedList(new ArrayList<>());
        private final CountDownLatch all;
        private volatile Throwable failure;

        Receipts(String producer, int expected) {
            this.producer = producer;
            this.expected = expected;
            this.all = new CountDownLatch(expected);
        }

        void send(Producer<byte[]> to, int n) {
            String text = producer + " " + n;
            to.sendAsync(text.getBytes()).whenComplete((id, error) -> {
                if (error == null) {
                    sent.add(text);
                    ids.add(id);
                } else {
                    failure = error;
                }
                all.countDown();
            });
        }

        /** Waits for all, which must be in the order of sending, as the ids must. */
        void check() throws InterruptedException {
            assertTrue(all.await(60, TimeUnit.SECONDS), () -> producer + " has " + ids.size());
            assertEquals(null, failure);
            for (int n = 0; n < expected; n++) {
                assertEquals(producer + " " + n, sent.get(n));
                assertTrue(n == 0 || ids.get(n - 1).compareTo(ids.get(n)) < 0, producer + " " + n);
            }
        }
    }

    /** Reads the topic, which must hold just these messages in the order of their ids. */
    private void assertStored(List<Receipts> all) throws Exception {
        Map<MessageId, String> expected = new TreeMap<>();
        for (Receipts each : all) {
            for (int n = 0; n < each.expected; n++) {
                assertEquals(null, expected.put(each.ids.get(n), each.sent.get(n)), "an id twice");
            }
        }
        try (Reader<byte[]> reader = client.newReader().topic(topic).startMessageId(MessageId.earliest)
                .receiverQueueSize(10_000).create()) {
            for (Map.Entry<MessageId, String> entry : expected.entrySet()) {
                Message<byte[]> message = reader.readNext(20, TimeUnit.SECONDS);
                assertEquals(entry.getValue(), new String(message.getData()));
                assertEquals(entry.getKey(), message.getMessageId());
            }
            assertEquals(false, reader.hasMessageAvailable());
        }
    }

    /**
     * Goal: whoever publishes at the same time, the topic is in the order of the receipts' ids, and a
     * producer's receipts are in the order of its sends.
     *
     * <p>Method: batching and single producers on three connections send at once, from threads of their own.
     */
    @Test
    void manyProducersReceiptsAreInTheOrderOfWhatIsStored() throws Exception {
        PulsarClient several = PulsarClient.builder().serviceUrl(System.getenv("PULSAR_URL"))
                .connectionsPerBroker(3).build();
        List<Receipts> all = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int at = 0; at < PRODUCERS; at++) {
            Producer<byte[]> producer = several.newProducer().topic(topic).enableBatching(at % 2 == 0)
                    .batchingMaxMessages(1 + 3 * at).blockIfQueueFull(true).create();
            Receipts receipts = new Receipts(producer.getProducerName(), EACH);
            all.add(receipts);
            threads.add(new Thread(() -> {
                for (int n = 0; n < EACH; n++) {
                    receipts.send(producer, n);
                }
                producer.flushAsync();
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        for (Receipts receipts : all) {
            receipts.check();
        }
        assertStored(all);
        several.shutdown();
    }

    /** The producer's own queue has no limit, and the server asks for none. */
    @Test
    void aHundredThousandSendsAreOnTheirWayAtOnce() throws Exception {
        ProducerBuilder<byte[]> builder = producer().maxPendingMessages(0).enableBatching(false)
                .sendTimeout(0, TimeUnit.SECONDS);
        try (Producer<byte[]> producer = builder.create()) {
            Receipts receipts = new Receipts("p", PIPELINED);
            AtomicLong waiting = new AtomicLong();
            for (int n = 0; n < PIPELINED; n++) {
                receipts.send(producer, n);
                waiting.set(Math.max(waiting.get(), receipts.all.getCount() - (PIPELINED - n - 1)));
            }
            assertTrue(10_000 < waiting.get(), () -> waiting + " at once");
            receipts.check();
            assertEquals(PIPELINED - 1, producer.getLastSequenceId());
            assertStored(List.of(receipts));
        }
    }
}
