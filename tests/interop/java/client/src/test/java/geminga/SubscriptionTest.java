package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.pulsar.client.api.BatcherBuilder;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.ConsumerEventListener;
import org.apache.pulsar.client.api.KeySharedPolicy;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Range;
import org.apache.pulsar.client.api.SubscriptionMode;
import org.apache.pulsar.client.api.SubscriptionType;
import org.junit.jupiter.api.Test;

/** Who gets which message. */
class SubscriptionTest extends Topic {
    @Test
    void exclusiveIsExclusive() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        assertThrows(PulsarClientException.ConsumerBusyException.class, () -> consumer().subscribe());
        assertThrows(PulsarClientException.ConsumerBusyException.class,
                () -> consumer().subscriptionType(SubscriptionType.Shared).subscribe());
        consumer.close();
        consumer().subscriptionType(SubscriptionType.Shared).subscribe();
    }

    @Test
    void failoverHandsOverInOrder() throws Exception {
        AtomicReference<String> active = new AtomicReference<>("");
        ConsumerEventListener listener = new ConsumerEventListener() {
            @Override
            public void becameActive(Consumer<?> consumer, int partition) {
                active.set(consumer.getConsumerName());
            }

            @Override
            public void becameInactive(Consumer<?> consumer, int partition) {
            }
        };
        ConsumerBuilder<byte[]> builder = consumerWithReceipts()
                .subscriptionType(SubscriptionType.Failover).consumerEventListener(listener);
        Consumer<byte[]> first = builder.clone().consumerName("a").subscribe();
        Consumer<byte[]> second = builder.clone().consumerName("b").subscribe();
        waitFor("the first is active", () -> active.get().equals("a"));
        sendNumbers(0, 10);
        List<Message<byte[]>> messages = receiveNumbers(first, 0, 10);
        for (Message<byte[]> message : messages.subList(0, 4)) {
            first.acknowledge(message);
        }
        nothingMore(second);
        first.close();
        waitFor("the second is active", () -> active.get().equals("b"));
        receiveNumbers(second, 4, 10);
        nothingMore(second);
    }

    @Test
    void sharedSpreadsAndGivesOnWhatAClosedConsumerHeld() throws Exception {
        ConsumerBuilder<byte[]> builder = consumer().subscriptionType(SubscriptionType.Shared).receiverQueueSize(10);
        Consumer<byte[]> first = builder.subscribe();
        Consumer<byte[]> second = builder.subscribe();
        sendNumbers(0, 20);
        Set<Integer> held = new HashSet<>();
        Set<Integer> own = new HashSet<>();
        for (int count = 0; count < 10; count++) {
            held.add(number(receive(first)));
            Message<byte[]> message = receive(second);
            own.add(number(message));
            second.acknowledge(message);
        }
        assertEquals(10, held.size());
        assertEquals(10, own.size());
        first.close();
        for (int count = 0; count < 10; count++) {
            assertTrue(held.remove(number(receive(second))));
        }
        nothingMore(second);
    }

    @Test
    void keySharedKeepsAKeyAtOneConsumerInOrder() throws Exception {
        ConsumerBuilder<byte[]> builder = consumer().subscriptionType(SubscriptionType.Key_Shared);
        List<Consumer<byte[]>> consumers = List.of(builder.subscribe(), builder.subscribe());
        Producer<byte[]> producer = producer().batcherBuilder(BatcherBuilder.KEY_BASED).create();
        int keys = 20;
        int each = 5;
        for (int n = 0; n < keys * each; n++) {
            producer.newMessage().key("k" + n % keys).value(number(n / keys)).sendAsync();
        }
        producer.flush();
        Map<String, Integer> owners = new HashMap<>();
        Map<String, String> got = new HashMap<>();
        int[] count = {0};
        waitFor("all messages", () -> {
            for (int at = 0; at < 2; at++) {
                Message<byte[]> message = consumers.get(at).receive(1, TimeUnit.MILLISECONDS);
                if (message != null) {
                    Integer before = owners.put(message.getKey(), at);
                    assertTrue(before == null || before == at, "two consumers have " + message.getKey());
                    got.merge(message.getKey(), new String(message.getData()), String::concat);
                    consumers.get(at).acknowledge(message);
                    count[0]++;
                }
            }
            return count[0] == keys * each;
        });
        got.forEach((key, numbers) -> assertEquals("01234", numbers, key));
        assertEquals(Set.of(0, 1), new HashSet<>(owners.values()));
    }

    @Test
    void stickyRangesThatMeetAreRefused() throws Exception {
        ConsumerBuilder<byte[]> builder = consumer().subscriptionType(SubscriptionType.Key_Shared);
        Consumer<byte[]> all = builder.clone()
                .keySharedPolicy(KeySharedPolicy.stickyHashRange().ranges(Range.of(0, 65535))).subscribe();
        assertThrows(PulsarClientException.class, () -> builder.clone()
                .keySharedPolicy(KeySharedPolicy.stickyHashRange().ranges(Range.of(100, 200))).subscribe());
        sendNumbers(0, 5);
        receiveNumbers(all, 0, 5);
    }

    @Test
    void aPriorityLevelComesFirst() throws Exception {
        ConsumerBuilder<byte[]> builder = consumer().subscriptionType(SubscriptionType.Shared);
        Consumer<byte[]> spare = builder.clone().priorityLevel(1).subscribe();
        Consumer<byte[]> preferred = builder.clone().priorityLevel(0).subscribe();
        sendNumbers(0, 20);
        receiveNumbers(preferred, 0, 20);
        nothingMore(spare);
    }

    @Test
    void aNonDurableSubscriptionIsForgotten() throws Exception {
        ConsumerBuilder<byte[]> builder = consumer().subscriptionMode(SubscriptionMode.NonDurable);
        Consumer<byte[]> consumer = builder.subscribe();
        sendNumbers(0, 3);
        receiveNumbers(consumer, 0, 3);
        consumer.close();
        consumer = builder.subscribe();
        sendNumbers(3, 5);
        receiveNumbers(consumer, 3, 5);
    }

    @Test
    void unsubscribeForgetsThePosition() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        sendNumbers(0, 3);
        receiveNumbers(consumer, 0, 1);
        consumer.unsubscribe();
        consumer = consumer().subscribe();
        sendNumbers(3, 4);
        receiveNumbers(consumer, 3, 4);
    }
}
