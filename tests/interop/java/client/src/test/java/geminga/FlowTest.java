package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.SubscriptionType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Consumers that take no more than they ask for. */
class FlowTest extends Namespace {
    private ConsumerBuilder<byte[]> zeroQueue() {
        return consumer().receiverQueueSize(0);
    }

    /** A zero-queue consumer cannot wait for a time only: another thread waits for ever. */
    private static CompletableFuture<Message<byte[]>> taken(Consumer<byte[]> consumer) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return consumer.receive();
            } catch (PulsarClientException failed) {
                throw new CompletionException(failed);
            }
        });
    }

    private static Message<byte[]> take(Consumer<byte[]> consumer) throws Exception {
        return taken(consumer).get(20, TimeUnit.SECONDS);
    }

    @ParameterizedTest
    @EnumSource(SubscriptionType.class)
    void aZeroQueueConsumerIsSentOneForEachReceive(SubscriptionType kind) throws Exception {
        Consumer<byte[]> consumer = zeroQueue().subscriptionType(kind).subscribe();
        sendNumbers(0, 5);
        for (int n = 0; n < 5; n++) {
            assertEquals(n, stats("s").getMsgOutCounter());
            Message<byte[]> message = take(consumer);
            assertEquals(n, number(message));
            consumer.acknowledge(message);
        }
        CompletableFuture<Message<byte[]>> next = taken(consumer);
        sendNumbers(5, 7);
        assertEquals(5, number(next.get(20, TimeUnit.SECONDS)));
        assertEquals(6, stats("s").getMsgOutCounter());
    }

    @Test
    void zeroQueueConsumersLeaveEachOtherTheRest() throws Exception {
        ConsumerBuilder<byte[]> builder = zeroQueue().subscriptionType(SubscriptionType.Shared);
        Consumer<byte[]> slow = builder.subscribe();
        Consumer<byte[]> fast = builder.subscribe();
        sendNumbers(0, 10);
        Set<Integer> got = new TreeSet<>();
        got.add(number(take(slow)));
        for (int count = 0; count < 9; count++) {
            got.add(number(take(fast)));
        }
        assertEquals(IntStream.range(0, 10).boxed().toList(), new ArrayList<>(got));
    }

    @Test
    void aZeroQueueConsumerGoesOnAfterAnUnload() throws Exception {
        Consumer<byte[]> consumer = zeroQueue().subscribe();
        sendNumbers(0, 3);
        consumer.acknowledge(take(consumer));
        waitFor("acked", () -> backlog() == 2);
        admin.topics().unload(topic);
        for (int n = 1; n < 3; n++) {
            Message<byte[]> message = take(consumer);
            assertEquals(n, number(message));
            consumer.acknowledge(message);
        }
        assertEquals(2, stats("s").getMsgOutCounter());
    }

    /** The client asks for its first messages in the background: paused too early, it asks for none. */
    private void waitForPermits(int count) throws Exception {
        waitFor("permits", () -> stats("s").getConsumers().get(0).getAvailablePermits() == count);
    }

    @ParameterizedTest
    @EnumSource(SubscriptionType.class)
    void aPausedConsumerGetsWhatItHadAskedForAndTheRestOnceItResumes(SubscriptionType kind) throws Exception {
        Consumer<byte[]> consumer = consumer().subscriptionType(kind).receiverQueueSize(4).subscribe();
        waitForPermits(4);
        consumer.pause();
        sendNumbers(0, 20);
        receiveNumbers(consumer, 0, 4);
        nothingMore(consumer);
        consumer.resume();
        receiveNumbers(consumer, 4, 20);
    }

    @Test
    void whileOneConsumerPausesTheOtherGetsEverything() throws Exception {
        ConsumerBuilder<byte[]> builder = consumer().subscriptionType(SubscriptionType.Shared);
        Consumer<byte[]> paused = builder.clone().startPaused(true).subscribe();
        Consumer<byte[]> other = builder.clone().subscribe();
        sendNumbers(0, 20);
        List<Integer> got = new ArrayList<>();
        for (int count = 0; count < 20; count++) {
            Message<byte[]> message = receive(other);
            got.add(number(message));
            other.acknowledge(message);
        }
        assertEquals(IntStream.range(0, 20).boxed().toList(), got);
        other.close();
        paused.resume();
        sendNumbers(20, 22);
        receiveNumbers(paused, 20, 22);
        assertTrue(paused.isConnected());
    }
}
