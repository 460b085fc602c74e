package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Schema;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/**
 * A topic of its own for each test, and a client.
 *
 * <p>`serve.py` has started the server, which all tests share, one at a time.
 */
abstract class Topic {
    private static final Duration PATIENCE = Duration.ofSeconds(20);
    /** How long a consumer is watched that must get nothing. */
    private static final int SILENCE_MS = 200;
    private static final AtomicInteger TOPICS = new AtomicInteger();
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    static PulsarClient client;

    String topic;

    /** Closing a client takes seconds, so the tests of a class share one. */
    @BeforeAll
    static void open() throws PulsarClientException {
        client = PulsarClient.builder()
                .serviceUrl(System.getenv("PULSAR_URL"))
                .operationTimeout(10, TimeUnit.SECONDS)
                .statsInterval(1, TimeUnit.SECONDS)
                .build();
    }

    @AfterAll
    static void close() throws PulsarClientException {
        client.close();
    }

    @BeforeEach
    void nameTheTopic() {
        String unique = ProcessHandle.current().pid() + "-" + TOPICS.incrementAndGet();
        topic = "persistent://public/default/java-" + unique;
    }

    ConsumerBuilder<byte[]> consumer() {
        return client.newConsumer().topic(topic).subscriptionName("s");
    }

    ProducerBuilder<byte[]> producer() {
        return client.newProducer().topic(topic);
    }

    /** Its acks are sent at once, and return when the server has them on disk. */
    ConsumerBuilder<byte[]> consumerWithReceipts() {
        return consumer().isAckReceiptEnabled(true).acknowledgmentGroupTime(0, TimeUnit.MILLISECONDS);
    }

    /** Sends `from`, …, `to - 1`, an entry each. */
    List<MessageId> sendNumbers(int from, int to) throws PulsarClientException {
        List<MessageId> ids = new ArrayList<>();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            for (int n = from; n < to; n++) {
                ids.add(producer.send(number(n)));
            }
        }
        return ids;
    }

    /** Sends 0, …, `count - 1` as one batch. */
    List<MessageId> sendBatch(int count) throws Exception {
        ProducerBuilder<byte[]> builder = producer()
                .batchingMaxMessages(count)
                .batchingMaxPublishDelay(1, TimeUnit.MINUTES);
        try (Producer<byte[]> producer = builder.create()) {
            List<CompletableFuture<MessageId>> sends = new ArrayList<>();
            for (int n = 0; n < count; n++) {
                sends.add(producer.sendAsync(number(n)));
            }
            List<MessageId> ids = new ArrayList<>();
            for (CompletableFuture<MessageId> send : sends) {
                ids.add(send.get(PATIENCE.toSeconds(), TimeUnit.SECONDS));
            }
            return ids;
        }
    }

    static byte[] number(int n) {
        return Integer.toString(n).getBytes();
    }

    static int number(Message<byte[]> message) {
        return Integer.parseInt(new String(message.getData()));
    }

    static <T> Message<T> receive(Consumer<T> consumer) throws PulsarClientException {
        Message<T> message = consumer.receive((int) PATIENCE.toSeconds(), TimeUnit.SECONDS);
        assertNotNull(message, "no message");
        return message;
    }

    /** Receives `from`, …, `to - 1` in this order. */
    static List<Message<byte[]>> receiveNumbers(Consumer<byte[]> consumer, int from, int to)
            throws PulsarClientException {
        List<Message<byte[]>> messages = new ArrayList<>();
        for (int n = from; n < to; n++) {
            Message<byte[]> message = receive(consumer);
            assertEquals(n, number(message));
            messages.add(message);
        }
        return messages;
    }

    static void nothingMore(Consumer<?> consumer) throws PulsarClientException {
        assertNull(consumer.receive(SILENCE_MS, TimeUnit.MILLISECONDS), "one message too many");
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    /** Polls until the condition is true. */
    static void waitFor(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            assertTrue(System.nanoTime() < deadline, () -> what + ": not in " + PATIENCE);
            Thread.sleep(10);
        }
    }

    /** The body of an admin request's answer, which must be a success. */
    static String rest(String method, String path, String body) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder()
                .uri(URI.create(System.getenv("PULSAR_WEB") + path))
                .header("Content-Type", "application/json")
                .method(method, HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        assertTrue(answer.statusCode() < 300, () -> method + " " + path + ": " + answer.statusCode() + answer.body());
        return answer.body();
    }

    String restPath() {
        return "/admin/v2/" + topic.replace("://", "/");
    }

    void makePartitions(int count) throws IOException, InterruptedException {
        rest("PUT", restPath() + "/partitions", Integer.toString(count));
    }

    /** How many messages the only subscription of the topic has not acknowledged. */
    long backlog() throws IOException, InterruptedException {
        String stats = rest("GET", restPath() + "/stats", "");
        Matcher matcher = Pattern.compile("\"msgBacklog\":(\\d+)").matcher(stats);
        assertTrue(matcher.find(), stats);
        return Long.parseLong(matcher.group(1));
    }

    /** Kills the server with SIGKILL and returns when it is up again, with the same data and ports. */
    static void restartServer() throws Exception {
        restartServer(Map.of());
    }

    /** The same with other settings, which stay. */
    static void restartServer(Map<String, String> settings) throws Exception {
        Path flag = Path.of(System.getenv("GEMINGA_RESTART"));
        Path written = Path.of(flag + ".new");
        Files.write(written, settings.entrySet().stream().map(it -> it.getKey() + "=" + it.getValue()).toList());
        Files.move(written, flag, StandardCopyOption.ATOMIC_MOVE);
        waitFor("restart", () -> !Files.exists(flag));
    }

    static <T> Producer<T> producerOf(String topic, Schema<T> schema) throws PulsarClientException {
        return client.newProducer(schema).topic(topic).enableBatching(false).create();
    }
}
