package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.SizeUnit;
import org.junit.jupiter.api.Test;

/**
 * The load of `tests/crash/test_deduplication_java.py`, which kills the server under it; not run otherwise.
 *
 * <p>Goal: with deduplication, what a producer retries over kills is stored exactly once, in order.
 *
 * <p>Method: producers of all kinds, in one JVM for all rounds, send numbers with their sequence ids, which
 * grow by more than one now and then. Those that last retry through all kills, for ever. Those that come
 * and go are closed with sends on their way and made again under their name, and go on behind the sequence
 * id that the broker says is their last. Once the folder has a file `stop`, all of them get their receipts;
 * then the topic is read, and must have of each producer all that it sent for good, once and in order.
 */
class RetryingLoad {
    private static final Path FOLDER = Path.of(System.getenv().getOrDefault("GEMINGA_LOAD_DIR", ""));
    private static final String TOPIC = System.getenv("GEMINGA_LOAD_TOPIC");
    private static final int CHUNK_BYTES = 20_000;

    private final PulsarClient client;
    private final AtomicLong confirmed = new AtomicLong();

    RetryingLoad() throws PulsarClientException {
        client = PulsarClient.builder().serviceUrl(System.getenv("PULSAR_URL")).statsInterval(0, TimeUnit.SECONDS)
                .maxBackoffInterval(500, TimeUnit.MILLISECONDS).memoryLimit(64, SizeUnit.MEGA_BYTES)
                .operationTimeout(60, TimeUnit.SECONDS).build();
    }

    /** How a producer sends. */
    private enum Shape {
        SINGLE, BATCHES, CHUNKS;

        ProducerBuilder<byte[]> of(ProducerBuilder<byte[]> builder) {
            return switch (this) {
                case SINGLE -> builder.enableBatching(false);
                case BATCHES -> builder.enableBatching(true).batchingMaxMessages(20)
                        .batchingMaxPublishDelay(2, TimeUnit.MILLISECONDS);
                case CHUNKS -> builder.enableBatching(false).enableChunking(true).chunkMaxMessageSize(CHUNK_BYTES);
            };
        }

        /** Of a message in chunks, which are few, every part is full but the last. */
        int bytes(long number) {
            return this == CHUNKS && number % 3 != 0 ? CHUNK_BYTES * (1 + (int) (number % 4)) : 8;
        }
    }

    /** Sends under one name until it is told to stop. */
    private final class Load extends Thread {
        private final String name;
        private final Shape shape;
        private final boolean comesAndGoes;
        private final Random random;
        /** By sequence id, what the broker confirmed; more may be stored. */
        private final Map<Long, Boolean> receipts = new ConcurrentHashMap<>();
        /** Every sequence id that was ever sent. */
        private final List<Long> sent = new ArrayList<>();
        private final List<Throwable> failures = new ArrayList<>();
        private long lives;

        Load(Shape shape, boolean comesAndGoes, long seed) {
            this.name = shape.name().toLowerCase() + (comesAndGoes ? "-comes-and-goes" : "-lasts");
            this.shape = shape;
            this.comesAndGoes = comesAndGoes;
            this.random = new Random(seed + name.hashCode());
        }

        @Override
        public void run() {
            try {
                boolean hasAll = false;
                while (!hasAll || !isOver()) {
                    hasAll = live();
                }
            } catch (PulsarClientException | InterruptedException | RuntimeException | AssertionError e) {
                failures.add(e);
            }
        }

        /** From its making to its closing; whether all that it sent was confirmed. */
        private boolean live() throws PulsarClientException, InterruptedException {
            Producer<byte[]> producer = create();
            lives++;
            long last = producer.getLastSequenceId();
            boolean isBehind = !receipts.keySet().stream().allMatch(id -> id <= last);
            assertTrue(!isBehind, () -> name + ": confirmed messages behind the last sequence id " + last);
            // What is behind was never stored: the application sends it again, under other ids or the same.
            sent.removeIf(id -> last < id);
            long sequence = last;
            long sends = comesAndGoes ? random.nextInt(1, shape == Shape.CHUNKS ? 100 : 1_000) : Long.MAX_VALUE;
            for (long n = 0; n < sends && !isOver(); n++) {
                sequence += random.nextInt(10) == 0 ? random.nextInt(1, 5) : 1;
                send(producer, sequence);
            }
            if (isOver() || random.nextBoolean()) {
                producer.flush();
                producer.close();
                return true;
            }
            // Those on their way fail; some of them are stored all the same, which the next life finds out.
            producer.closeAsync().join();
            return false;
        }

        private void send(Producer<byte[]> producer, long sequence) throws InterruptedException {
            sent.add(sequence);
            ByteBuffer value = ByteBuffer.allocate(shape.bytes(sequence));
            value.putLong(sequence);
            producer.newMessage().sequenceId(sequence).value(value.array()).sendAsync().whenComplete((id, failure) -> {
                if (failure == null) {
                    receipts.put(sequence, true);
                    confirmed.incrementAndGet();
                } else if (!comesAndGoes) {
                    failures.add(failure);
                }
            });
            // What is read in the end must not take longer than the kills.
            if (shape == Shape.CHUNKS || sequence % 4 == 0) {
                Thread.sleep(shape == Shape.CHUNKS ? 5 : 2);
            }
        }

        /** The broker may still have the one before, or be down. */
        private Producer<byte[]> create() throws PulsarClientException, InterruptedException {
            ProducerBuilder<byte[]> builder = shape.of(client.newProducer()).topic(TOPIC).producerName(name)
                    .sendTimeout(0, TimeUnit.SECONDS).blockIfQueueFull(true).maxPendingMessages(500);
            while (true) {
                try {
                    return builder.create();
                } catch (PulsarClientException.ProducerBusyException | PulsarClientException.TimeoutException e) {
                    Thread.sleep(20);
                }
            }
        }

        void check(List<Long> stored) {
            assertEquals(List.of(), failures, name);
            for (int n = 1; n < stored.size(); n++) {
                long before = stored.get(n - 1);
                long at = stored.get(n);
                assertTrue(before < at, () -> name + ": " + at + " is stored behind " + before);
            }
            // What was sent last of all is confirmed, so there is nothing that may be missing.
            assertEquals(List.of(), without(stored, sent), () -> name + ": stored and never sent");
            assertEquals(List.of(), without(receipts.keySet(), stored), () -> name + ": confirmed and gone");
            assertEquals(List.of(), without(sent, stored), () -> name + ": sent for good and gone");
        }
    }

    private static List<Long> without(Collection<Long> all, Collection<Long> known) {
        Set<Long> set = new HashSet<>(known);
        return all.stream().filter(id -> !set.contains(id)).sorted().toList();
    }

    private static boolean isOver() {
        return Files.exists(FOLDER.resolve("stop"));
    }

    @Test
    void runsUntilItIsStopped() throws Exception {
        long seed = Long.parseLong(System.getenv("GEMINGA_LOAD_SEED"));
        List<Load> loads = new ArrayList<>();
        for (Shape shape : Shape.values()) {
            loads.add(new Load(shape, false, seed));
            loads.add(new Load(shape, true, seed));
        }
        loads.forEach(Thread::start);
        while (!isOver()) {
            Files.writeString(FOLDER.resolve("confirmed.new"), Long.toString(confirmed.get()));
            Files.move(FOLDER.resolve("confirmed.new"), FOLDER.resolve("confirmed"),
                    StandardCopyOption.ATOMIC_MOVE);
            Thread.sleep(20);
        }
        for (Load load : loads) {
            load.join(60_000);
            assertTrue(!load.isAlive(), () -> load.name + " has not got its receipts");
        }
        Map<String, List<Long>> stored = read();
        StringBuilder report = new StringBuilder();
        for (Load load : loads) {
            load.check(stored.getOrDefault(load.name, List.of()));
            report.append(load.name).append(' ').append(load.sent.size()).append(" messages, ")
                    .append(load.lives).append(" lives; ");
        }
        Files.writeString(FOLDER.resolve("report"), report);
        client.close();
    }

    /** The sequence ids in the topic, by producer, from the beginning. */
    private Map<String, List<Long>> read() throws IOException {
        Map<String, List<Long>> stored = new TreeMap<>();
        try (Reader<byte[]> reader = client.newReader().topic(TOPIC).startMessageId(MessageId.earliest)
                .receiverQueueSize(2_000).create()) {
            while (reader.hasMessageAvailable()) {
                Message<byte[]> message = reader.readNext(60, TimeUnit.SECONDS);
                if (message == null) {
                    break; // Chunks of a message that was never finished are at the end.
                }
                long number = ByteBuffer.wrap(message.getData()).getLong();
                assertEquals(number, message.getSequenceId());
                stored.computeIfAbsent(message.getProducerName(), name -> new ArrayList<>()).add(number);
            }
        }
        return stored;
    }
}
