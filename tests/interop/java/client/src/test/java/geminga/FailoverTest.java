package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.stream.IntStream;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerEventListener;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.SubscriptionType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Failover on a topic with four partitions. */
class FailoverTest extends Topic {
    private static final int PARTITIONS = 4;
    private static final int EACH = 25;

    /** Who is active on each partition, by what the server told them. */
    private static final class Active implements ConsumerEventListener {
        final Map<Integer, String> names = new ConcurrentSkipListMap<>();

        @Override
        public void becameActive(Consumer<?> consumer, int partition) {
            names.put(partition, consumer.getConsumerName());
        }

        @Override
        public void becameInactive(Consumer<?> consumer, int partition) {
            names.remove(partition, consumer.getConsumerName());
        }
    }

    private final Active active = new Active();

    @BeforeEach
    void makeThePartitions() throws Exception {
        makePartitions(PARTITIONS);
    }

    private Consumer<byte[]> subscribe(String name, int priority) throws Exception {
        return consumerWithReceipts().subscriptionType(SubscriptionType.Failover).consumerName(name)
                .priorityLevel(priority).consumerEventListener(active).subscribe();
    }

    private void waitForActive(String... names) throws Exception {
        Map<Integer, String> expected = new TreeMap<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            expected.put(partition, names[partition]);
        }
        waitFor("active are " + expected, () -> active.names.equals(expected));
    }

    @Test
    void partitionsAreSpreadOverTheConsumersByPriorityAndName() throws Exception {
        subscribe("m", 1);
        waitForActive("m", "m", "m", "m");
        subscribe("z", 1);
        waitForActive("m", "z", "m", "z");
        subscribe("a", 1);
        waitForActive("a", "m", "z", "a");
        Consumer<byte[]> preferred = subscribe("x", 0);
        waitForActive("x", "x", "x", "x");
        preferred.close();
        waitForActive("a", "m", "z", "a");
    }

    /**
     * Goal: what a consumer held is handed over when it closes, in order, and what it had acknowledged
     * is not.
     *
     * <p>Method: two consumers have two partitions each; one acknowledges a part of its partitions,
     * holds more, and closes.
     */
    @Test
    void partitionsAreHandedOverWithoutLossAndInOrder() throws Exception {
        Consumer<byte[]> stays = subscribe("a", 0);
        Consumer<byte[]> goes = subscribe("b", 0);
        waitForActive("a", "b", "a", "b");
        sendToEachPartition();
        Map<Integer, List<Integer>> got = new TreeMap<>();
        for (int count = 0; count < 2 * EACH; count++) {
            Message<byte[]> message = receive(goes);
            assertEquals(1, partitionOf(message) % 2);
            if (number(message) < EACH / 2) {
                note(message, got);
                goes.acknowledge(message);
            }
        }
        nothingMore(goes);
        goes.close();
        waitForActive("a", "a", "a", "a");
        int left = PARTITIONS * EACH - 2 * (EACH / 2);
        for (int count = 0; count < left; count++) {
            Message<byte[]> message = receive(stays);
            note(message, got);
            stays.acknowledge(message);
        }
        nothingMore(stays);
        for (int partition = 0; partition < PARTITIONS; partition++) {
            assertEquals(IntStream.range(0, EACH).boxed().toList(), got.get(partition));
        }
    }

    private void sendToEachPartition() throws Exception {
        String whole = topic;
        for (int partition = 0; partition < PARTITIONS; partition++) {
            topic = whole + "-partition-" + partition;
            sendNumbers(0, EACH);
        }
        topic = whole;
    }

    private static int partitionOf(Message<byte[]> message) {
        String name = message.getTopicName();
        int at = name.lastIndexOf('-');
        assertTrue(0 < at, name);
        return Integer.parseInt(name.substring(at + 1));
    }

    private static void note(Message<byte[]> message, Map<Integer, List<Integer>> got) {
        got.computeIfAbsent(partitionOf(message), partition -> new ArrayList<>()).add(number(message));
    }
}
