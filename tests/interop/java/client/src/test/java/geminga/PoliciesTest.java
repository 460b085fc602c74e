package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.admin.Namespaces;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.common.policies.data.RetentionPolicies;
import org.junit.jupiter.api.Test;

/** Policies of a namespace: set by the admin client, seen by consumers, removed. */
class PoliciesTest extends Namespace {
    private static final int LIMIT = 10;

    private static Namespaces policies() {
        return admin.namespaces();
    }

    private ConsumerBuilder<byte[]> shared() {
        return consumerWithReceipts().subscriptionType(SubscriptionType.Shared);
    }

    private static void acknowledgeAll(Consumer<byte[]> consumer, List<Message<byte[]>> messages) throws Exception {
        for (Message<byte[]> message : messages) {
            consumer.acknowledge(message);
        }
    }

    @Test
    void aConsumerGetsNoMoreThanItMayHoldUnacked() throws Exception {
        assertNull(policies().getMaxUnackedMessagesPerConsumer(namespace));
        policies().setMaxUnackedMessagesPerConsumer(namespace, LIMIT);
        assertEquals(LIMIT, policies().getMaxUnackedMessagesPerConsumer(namespace));
        Consumer<byte[]> consumer = shared().subscribe();
        sendNumbers(0, 4 * LIMIT);
        List<Message<byte[]>> held = receiveNumbers(consumer, 0, LIMIT);
        nothingMore(consumer);
        assertTrue(stats("s").getConsumers().get(0).isBlockedConsumerOnUnackedMsgs());
        acknowledgeAll(consumer, held);
        receiveNumbers(consumer, LIMIT, 2 * LIMIT);
        nothingMore(consumer);
        policies().removeMaxUnackedMessagesPerConsumer(namespace);
        assertNull(policies().getMaxUnackedMessagesPerConsumer(namespace));
        receiveNumbers(consumer, 2 * LIMIT, 4 * LIMIT);
        assertFalse(stats("s").getConsumers().get(0).isBlockedConsumerOnUnackedMsgs());
    }

    @Test
    void aSubscriptionsConsumersTogetherGetNoMoreThanItMayHoldUnacked() throws Exception {
        assertNull(policies().getMaxUnackedMessagesPerSubscription(namespace));
        policies().setMaxUnackedMessagesPerSubscription(namespace, LIMIT);
        assertEquals(LIMIT, policies().getMaxUnackedMessagesPerSubscription(namespace));
        List<Consumer<byte[]>> consumers = List.of(shared().subscribe(), shared().subscribe());
        sendNumbers(0, 4 * LIMIT);
        List<List<Message<byte[]>>> held = receiveTogether(consumers, LIMIT);
        assertTrue(stats("s").isBlockedSubscriptionOnUnackedMsgs());
        acknowledgeAll(consumers.get(0), held.get(0));
        acknowledgeAll(consumers.get(1), held.get(1));
        receiveTogether(consumers, LIMIT);
        policies().removeMaxUnackedMessagesPerSubscription(namespace);
        assertNull(policies().getMaxUnackedMessagesPerSubscription(namespace));
        receiveTogether(consumers, 2 * LIMIT);
        assertFalse(stats("s").isBlockedSubscriptionOnUnackedMsgs());
    }

    /** What each consumer gets until there are `count`, which is all that there is to get. */
    private static List<List<Message<byte[]>>> receiveTogether(List<Consumer<byte[]>> consumers, int count)
            throws Exception {
        List<List<Message<byte[]>>> got = List.of(new ArrayList<>(), new ArrayList<>());
        waitFor(count + " messages", () -> {
            for (int at = 0; at < 2; at++) {
                Message<byte[]> message = consumers.get(at).receive(1, TimeUnit.MILLISECONDS);
                if (message != null) {
                    got.get(at).add(message);
                }
            }
            return count <= got.get(0).size() + got.get(1).size();
        });
        nothingMore(consumers.get(0));
        nothingMore(consumers.get(1));
        return got;
    }

    /**
     * Goal: a message past its time is not delivered and not in the backlog, one within it is, and
     * without the policy none expires.
     */
    @Test
    void aMessagePastItsTimeIsNotDelivered() throws Exception {
        assertNull(policies().getNamespaceMessageTTL(namespace));
        policies().setNamespaceMessageTTL(namespace, 2);
        assertEquals(2, policies().getNamespaceMessageTTL(namespace));
        consumerWithReceipts().subscribe().close();
        sendNumbers(0, 5);
        waitUntilOlderThan(2_000);
        sendNumbers(5, 6);
        Consumer<byte[]> consumer = consumerWithReceipts().subscribe();
        consumer.acknowledge(receiveNumbers(consumer, 5, 6).get(0));
        nothingMore(consumer);
        assertEquals(0, backlog());
        consumer.close();
        policies().removeNamespaceMessageTTL(namespace);
        assertNull(policies().getNamespaceMessageTTL(namespace));
        sendNumbers(6, 9);
        waitUntilOlderThan(2_000);
        assertEquals(3, backlog());
        receiveNumbers(consumer().subscribe(), 6, 9);
    }

    /** Waits until all that has been sent is older. */
    private static void waitUntilOlderThan(long milliseconds) throws Exception {
        long sent = System.currentTimeMillis();
        waitFor("time goes by", () -> milliseconds < System.currentTimeMillis() - sent);
    }

    @Test
    void retentionIsSetAndRemoved() throws Exception {
        assertNull(policies().getRetention(namespace));
        RetentionPolicies retention = new RetentionPolicies(60, 100);
        policies().setRetention(namespace, retention);
        assertEquals(retention, policies().getRetention(namespace));
        assertThrows(PulsarAdminException.PreconditionFailedException.class,
                () -> policies().setRetention(namespace, new RetentionPolicies(0, 100)));
        assertEquals(retention, policies().getRetention(namespace));
        policies().removeRetention(namespace);
        assertNull(policies().getRetention(namespace));
    }

    @Test
    void theExpirationOfSubscriptionsIsSetAndRemoved() throws Exception {
        assertNull(policies().getSubscriptionExpirationTime(namespace));
        policies().setSubscriptionExpirationTime(namespace, 5);
        assertEquals(5, policies().getSubscriptionExpirationTime(namespace));
        assertThrows(PulsarAdminException.PreconditionFailedException.class,
                () -> policies().setSubscriptionExpirationTime(namespace, -1));
        assertEquals(5, policies().getSubscriptionExpirationTime(namespace));
        policies().removeSubscriptionExpirationTime(namespace);
        assertNull(policies().getSubscriptionExpirationTime(namespace));
    }
}
