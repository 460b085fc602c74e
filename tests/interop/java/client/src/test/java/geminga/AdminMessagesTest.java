package geminga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.api.CompressionType;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.common.naming.TopicName;
import org.apache.pulsar.common.stats.AnalyzeSubscriptionBacklogResult;
import org.junit.jupiter.api.Test;

/** Messages that an administrator looks at, and cursors that he moves. */
class AdminMessagesTest extends Namespace {
    private static List<Integer> numbers(List<Message<byte[]>> messages) {
        return messages.stream().map(Topic::number).toList();
    }

    private static boolean isOf(Message<byte[]> message, MessageId id) {
        MessageIdAdv found = (MessageIdAdv) message.getMessageId();
        MessageIdAdv wanted = (MessageIdAdv) id;
        return found.getLedgerId() == wanted.getLedgerId() && found.getEntryId() == wanted.getEntryId();
    }

    /** Single entries and a batch come as messages, with their properties; what is acknowledged does not. */
    @Test
    void aBacklogIsPeekedAt() throws Exception {
        admin.topics().createSubscription(topic, "s", MessageId.earliest);
        sendNumbers(0, 3);
        sendBatch(4);
        assertEquals(List.of(0, 1, 2, 0, 1), numbers(admin.topics().peekMessages(topic, "s", 5)));
        admin.topics().skipMessages(topic, "s", 2);
        assertEquals(List.of(2, 0, 1, 2, 3), numbers(admin.topics().peekMessages(topic, "s", 50)));
        assertThrows(PulsarAdminException.class, () -> admin.topics().peekMessages(topic, "none", 0));
    }

    @Test
    void aMessageComesWithAllThatIsKnownOfIt() throws Exception {
        MessageId id;
        byte[] payload = "much of the same, much of the same, much of the same".getBytes();
        long before = System.currentTimeMillis();
        try (Producer<byte[]> producer = producer().producerName("known").enableBatching(false)
                .compressionType(CompressionType.LZ4).create()) {
            id = producer.newMessage().key("k").property("plain", "a b").property("Größe", "¼ 😀\n")
                    .eventTime(1_234).value(payload).send();
        }
        MessageIdAdv place = (MessageIdAdv) id;
        List<Message<byte[]>> found =
                admin.topics().getMessagesById(topic, place.getLedgerId(), place.getEntryId());
        assertEquals(1, found.size());
        Message<byte[]> message = found.get(0);
        assertTrue(isOf(message, id));
        assertArrayEquals(payload, message.getData());
        assertEquals("k", message.getKey());
        assertEquals("a b", message.getProperty("plain"));
        assertEquals("¼ 😀\n", message.getProperty("Größe"));
        assertEquals("known", message.getProducerName());
        assertEquals(1_234, message.getEventTime());
        assertTrue(before <= message.getPublishTime() && message.getPublishTime() <= System.currentTimeMillis());
        assertThrows(PulsarAdminException.NotFoundException.class,
                () -> admin.topics().getMessagesById(topic, place.getLedgerId(), place.getEntryId() + 1));
    }

    @Test
    void messagesAreExaminedAndFoundByTheirTime() throws Exception {
        List<MessageId> ids = sendNumbers(0, 5);
        assertEquals(0, number(admin.topics().examineMessage(topic, "earliest", 1)));
        assertEquals(3, number(admin.topics().examineMessage(topic, "latest", 2)));
        Message<byte[]> third = admin.topics().examineMessage(topic, "earliest", 3);
        MessageIdAdv found = (MessageIdAdv) admin.topics().getMessageIdByTimestamp(topic, third.getPublishTime());
        // Others may have been published in the same millisecond.
        assertTrue(found.compareTo(ids.get(2)) <= 0, found + " is behind " + ids.get(2));
        assertTrue(((MessageIdAdv) ids.get(0)).getEntryId() <= found.getEntryId());
    }

    @Test
    void aCursorIsResetAndMessagesExpire() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts().subscribe();
        List<MessageId> ids = sendNumbers(0, 6);
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 6)) {
            consumer.acknowledge(message);
        }
        consumer.close();
        admin.topics().resetCursor(topic, "s", 1);
        assertEquals(6, backlog());
        admin.topics().resetCursor(topic, "s", ids.get(2));
        assertEquals(4, backlog());
        admin.topics().resetCursor(topic, "s", ids.get(2), true);
        assertEquals(3, backlog());
        admin.topics().expireMessages(topic, "s", ids.get(3), false);
        assertEquals(2, backlog());
        admin.topics().expireMessages(topic, "s", 3_600);
        assertEquals(2, backlog());
        admin.topics().resetCursor(topic, "s", MessageId.latest);
        assertThrows(PulsarAdminException.ConflictException.class,
                () -> admin.topics().expireMessages(topic, "s", 1));
        restartServer();
        assertEquals(0, backlog());
    }

    @Test
    void aBacklogIsAnalyzedAndPropertiesAreReplaced() throws Exception {
        admin.topics().createSubscription(topic, "s", MessageId.earliest, false, Map.of("made", "with"));
        assertEquals(Map.of("made", "with"), admin.topics().getSubscriptionProperties(topic, "s"));
        sendNumbers(0, 2);
        List<MessageId> batch = sendBatch(3);
        AnalyzeSubscriptionBacklogResult all =
                admin.topics().analyzeSubscriptionBacklog(topic, "s", Optional.empty());
        assertEquals(3, all.getEntries());
        assertEquals(5, all.getMessages());
        assertFalse(all.isAborted());
        AnalyzeSubscriptionBacklogResult last =
                admin.topics().analyzeSubscriptionBacklog(topic, "s", Optional.of(batch.get(0)));
        assertEquals(3, last.getMessages());
        long size = admin.topics().getBacklogSizeByMessageId(topic, MessageId.earliest);
        assertEquals(admin.topics().getStats(topic).getStorageSize(), size);
        admin.topics().updateSubscriptionProperties(topic, "s", Map.of("k", "v"));
        admin.namespaces().clearNamespaceBacklogForSubscription(namespace, "s");
        assertEquals(0, backlog());
        admin.topics().trimTopic(topic);
        restartServer();
        assertEquals(Map.of("k", "v"), admin.topics().getSubscriptionProperties(topic, "s"));
        assertEquals(0, backlog());
        admin.namespaces().unsubscribeNamespace(namespace, "s");
        assertEquals(List.of(), admin.topics().getSubscriptions(topic));
    }

    /** What is left of a batch is delivered. */
    @Test
    void aCursorIsResetIntoABatch() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        List<MessageId> ids = sendBatch(5);
        receiveNumbers(consumer, 0, 5);
        consumer.close();
        admin.topics().resetCursor(topic, "s", ids.get(2), false);
        try (Consumer<byte[]> again = consumer().subscribe()) {
            receiveNumbers(again, 2, 5);
        }
    }

    @Test
    void aPartitionedTopicIsResetByTimeAndItsPartitionsByMessage() throws Exception {
        makePartitions(2);
        admin.topics().createSubscription(topic, "s", MessageId.earliest);
        String partition = TopicName.get(topic).getPartition(1).toString();
        sendNumbers(0, 8);
        admin.topics().skipAllMessages(topic, "s");
        admin.topics().resetCursor(topic, "s", 1);
        assertEquals(8, admin.topics().getPartitionedStats(topic, false).getSubscriptions().get("s").getMsgBacklog());
        assertThrows(PulsarAdminException.class,
                () -> admin.topics().resetCursor(topic, "s", MessageId.latest));
        admin.topics().resetCursor(partition, "s", MessageId.latest);
        assertEquals(0, admin.topics().getStats(partition).getSubscriptions().get("s").getMsgBacklog());
        assertFalse(admin.topics().peekMessages(TopicName.get(topic).getPartition(0).toString(), "s", 1).isEmpty());
    }
}
