package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.KeySharedPolicy;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.Range;
import org.apache.pulsar.client.api.SubscriptionType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Key_Shared beyond its default: ranges that stay, ordering keys, keys that need not wait. */
class KeySharedTest extends Topic {
    private static final Range[] OUTSIDE = {Range.of(0, 9999), Range.of(50000, 65535)};
    private static final Range[] INSIDE = {Range.of(10000, 49999)};
    private static final int KEYS = 20;

    private Consumer<byte[]> subscribe(String name, KeySharedPolicy policy) throws Exception {
        return consumer().consumerName(name).subscriptionType(SubscriptionType.Key_Shared)
                .keySharedPolicy(policy).subscribe();
    }

    /** Sends `from`, …, `to - 1` with twenty keys in turn. */
    private void sendKeyed(int from, int to) throws Exception {
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            for (int n = from; n < to; n++) {
                producer.newMessage().key(key(n)).value(number(n)).sendAsync();
            }
            producer.flush();
        }
    }

    private static String key(int n) {
        return "k" + n % KEYS;
    }

    private static List<Integer> expectedIn(IntFunction<String> key, int count, Range... ranges) {
        return IntStream.range(0, count).filter(n -> Keys.isIn(key.apply(n), ranges)).boxed().toList();
    }

    /** Receives and acknowledges as many as are expected, in order of the numbers. */
    private static void receiveJust(List<Integer> expected, Consumer<byte[]> consumer) throws Exception {
        assertFalse(expected.isEmpty());
        List<Integer> numbers = new ArrayList<>();
        for (int count = 0; count < expected.size(); count++) {
            Message<byte[]> message = receive(consumer);
            numbers.add(number(message));
            consumer.acknowledge(message);
        }
        assertInOrderOfKeys(numbers);
        Collections.sort(numbers);
        assertEquals(expected, numbers);
        nothingMore(consumer);
    }

    private static void assertInOrderOfKeys(List<Integer> numbers) {
        int[] last = new int[KEYS];
        for (int n : numbers) {
            assertTrue(last[n % KEYS] <= n, () -> "order: " + numbers);
            last[n % KEYS] = n;
        }
    }

    @Test
    void stickyConsumersGetTheKeysOfTheirRanges() throws Exception {
        Consumer<byte[]> outside = subscribe("outside", Keys.sticky(OUTSIDE));
        Consumer<byte[]> inside = subscribe("inside", Keys.sticky(INSIDE));
        sendKeyed(0, 100);
        receiveJust(expectedIn(KeySharedTest::key, 100, OUTSIDE), outside);
        receiveJust(expectedIn(KeySharedTest::key, 100, INSIDE), inside);
        waitFor("no backlog", () -> backlog() == 0);
    }

    @Test
    void keysOfARangeThatNobodyHasWaitForItsConsumer() throws Exception {
        Consumer<byte[]> outside = subscribe("outside", Keys.sticky(OUTSIDE));
        sendKeyed(0, 60);
        receiveJust(expectedIn(KeySharedTest::key, 60, OUTSIDE), outside);
        Consumer<byte[]> inside = subscribe("inside", Keys.sticky(INSIDE));
        receiveJust(expectedIn(KeySharedTest::key, 60, INSIDE), inside);
        inside.close();
        sendKeyed(0, 60);
        receiveJust(expectedIn(KeySharedTest::key, 60, OUTSIDE), outside);
        receiveJust(expectedIn(KeySharedTest::key, 60, INSIDE), subscribe("next", Keys.sticky(INSIDE)));
    }

    @Test
    void anOrderingKeyCountsInsteadOfTheKey() throws Exception {
        Consumer<byte[]> outside = subscribe("outside", Keys.sticky(OUTSIDE));
        Consumer<byte[]> inside = subscribe("inside", Keys.sticky(INSIDE));
        IntFunction<String> orderingKey = n -> "o" + n % KEYS;
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            for (int n = 0; n < 60; n++) {
                byte[] ordering = orderingKey.apply(n).getBytes();
                producer.newMessage().key(key(n)).orderingKey(ordering).value(number(n)).send();
            }
        }
        List<Integer> expected = expectedIn(orderingKey, 60, OUTSIDE);
        assertNotEquals(expectedIn(KeySharedTest::key, 60, OUTSIDE), expected);
        receiveJust(expected, outside);
        receiveJust(expectedIn(orderingKey, 60, INSIDE), inside);
    }

    /**
     * Goal: a key that moves to another consumer waits there for what its former one has not
     * acknowledged, unless out of order delivery is allowed.
     *
     * <p>Method: one consumer holds a message of each key; another joins, and a second round is sent.
     */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aKeyThatMovesWaitsUnlessItNeedNot(boolean mayOvertake) throws Exception {
        KeySharedPolicy policy = KeySharedPolicy.autoSplitHashRange().setAllowOutOfOrderDelivery(mayOvertake);
        Consumer<byte[]> first = subscribe("first", policy);
        sendKeyed(0, KEYS);
        List<Message<byte[]>> held = receiveNumbers(first, 0, KEYS);
        Consumer<byte[]> second = subscribe("second", policy);
        sendKeyed(KEYS, 2 * KEYS);
        List<Integer> got = new ArrayList<>();
        if (mayOvertake) {
            got.add(number(receive(second)));
        } else {
            nothingMore(second);
        }
        for (Message<byte[]> message : held) {
            first.acknowledge(message);
        }
        int[] seconds = {got.size()};
        waitFor("the second round", () -> {
            for (Consumer<byte[]> consumer : List.of(first, second)) {
                Message<byte[]> message = consumer.receive(1, TimeUnit.MILLISECONDS);
                if (message != null) {
                    got.add(number(message));
                    seconds[0] += consumer == second ? 1 : 0;
                }
            }
            return got.size() == KEYS;
        });
        Collections.sort(got);
        assertEquals(IntStream.range(KEYS, 2 * KEYS).boxed().toList(), got);
        assertTrue(0 < seconds[0] && seconds[0] < KEYS, seconds[0] + " of " + KEYS + " moved");
        nothingMore(first);
        nothingMore(second);
    }
}
