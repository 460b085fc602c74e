package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.ReaderBuilder;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.client.api.TopicMessageId;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Readers, seek and the last message id. */
class PositionsTest extends Topic {
    private ReaderBuilder<byte[]> reader(MessageId start) {
        return client.newReader().topic(topic).startMessageId(start);
    }

    private static int next(Reader<byte[]> reader) throws PulsarClientException {
        Message<byte[]> message = reader.readNext(20, TimeUnit.SECONDS);
        return message == null ? -1 : number(message);
    }

    private static void readNumbers(Reader<byte[]> reader, int from, int to) throws PulsarClientException {
        for (int n = from; n < to; n++) {
            assertTrue(reader.hasMessageAvailable());
            assertEquals(n, next(reader));
        }
        assertFalse(reader.hasMessageAvailable());
    }

    @Test
    void aReaderFromTheStartReadsEverything() throws Exception {
        Reader<byte[]> reader = reader(MessageId.earliest).create();
        assertFalse(reader.hasMessageAvailable());
        sendNumbers(0, 10);
        readNumbers(reader, 0, 10);
    }

    @Test
    void aReaderAtLatestWaitsForTheNext() throws Exception {
        sendNumbers(0, 3);
        Reader<byte[]> reader = reader(MessageId.latest).create();
        assertFalse(reader.hasMessageAvailable());
        sendNumbers(3, 4);
        readNumbers(reader, 3, 4);
    }

    @Test
    void aReaderAtTheLastMessageInclusive() throws Exception {
        sendNumbers(0, 3);
        readNumbers(reader(MessageId.latest).startMessageIdInclusive().create(), 2, 3);
    }

    @Test
    void aReaderAtTheLastMessageOfAnEmptyTopicWaitsForTheFirst() throws Exception {
        for (boolean isInclusive : new boolean[] {false, true}) {
            topic = topic + "-" + isInclusive;
            ReaderBuilder<byte[]> builder = reader(MessageId.latest);
            Reader<byte[]> reader = (isInclusive ? builder.startMessageIdInclusive() : builder).create();
            assertFalse(reader.hasMessageAvailable());
            sendNumbers(0, 2);
            readNumbers(reader, 0, 2);
        }
    }

    @Test
    void aReaderBehindTheLastMessageWaitsForTheNext() throws Exception {
        List<MessageId> ids = sendNumbers(0, 3);
        Reader<byte[]> reader = reader(ids.get(2)).create();
        assertFalse(reader.hasMessageAvailable());
        sendNumbers(3, 5);
        readNumbers(reader, 3, 5);
    }

    /** Goal: whether there is more for a reader has nothing to do with what others have acknowledged. */
    @Test
    void aReaderOfWhatOthersHaveConsumed() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts().subscribe();
        sendNumbers(0, 3);
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 3)) {
            consumer.acknowledge(message);
        }
        assertEquals(0, backlog());
        readNumbers(reader(MessageId.earliest).create(), 0, 3);
        readNumbers(reader(MessageId.latest).startMessageIdInclusive().create(), 2, 3);
        assertFalse(reader(MessageId.latest).create().hasMessageAvailable());
    }

    @Test
    void aReaderFromAnIdBeginsBehindItOrAtIt() throws Exception {
        List<MessageId> ids = sendNumbers(0, 10);
        MessageId saved = MessageId.fromByteArray(ids.get(4).toByteArray());
        readNumbers(reader(saved).create(), 5, 10);
        readNumbers(reader(saved).startMessageIdInclusive().create(), 4, 10);
    }

    @Test
    void aReaderIntoABatch() throws Exception {
        List<MessageId> ids = sendBatch(10);
        readNumbers(reader(ids.get(4)).create(), 5, 10);
        readNumbers(reader(ids.get(4)).startMessageIdInclusive().create(), 4, 10);
        assertFalse(reader(ids.get(9)).create().hasMessageAvailable());
    }

    @Test
    void aReaderRollsBackToATime() throws Exception {
        sendNumbers(0, 5);
        Reader<byte[]> reader = client.newReader().topic(topic)
                .startMessageFromRollbackDuration(1, TimeUnit.HOURS).create();
        readNumbers(reader, 0, 5);
    }

    @Test
    void aReaderSeeks() throws Exception {
        List<MessageId> ids = sendNumbers(0, 10);
        Reader<byte[]> reader = reader(MessageId.earliest).create();
        assertEquals(0, next(reader));
        reader.seek(ids.get(6));
        readNumbers(reader, 7, 10);
        reader.seek(MessageId.earliest);
        readNumbers(reader, 0, 10);
        reader.seek(MessageId.latest);
        assertFalse(reader.hasMessageAvailable());
    }

    @Test
    void aReaderOfPartitions() throws Exception {
        makePartitions(3);
        Reader<byte[]> reader = reader(MessageId.earliest).create();
        assertFalse(reader.hasMessageAvailable());
        sendNumbers(0, 9);
        int sum = 0;
        while (reader.hasMessageAvailable()) {
            sum += next(reader);
        }
        assertEquals(36, sum);
    }

    @ParameterizedTest
    @EnumSource(SubscriptionType.class)
    void seekByIdAndToTheEnds(SubscriptionType kind) throws Exception {
        Consumer<byte[]> consumer = consumer().subscriptionType(kind).subscribe();
        List<MessageId> ids = sendNumbers(0, 10);
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 10)) {
            consumer.acknowledge(message);
        }
        consumer.seek(ids.get(6));
        receiveNumbers(consumer, 7, 10);
        consumer.seek(MessageId.earliest);
        receiveNumbers(consumer, 0, 10);
        consumer.seek(MessageId.latest);
        nothingMore(consumer);
        sendNumbers(10, 12);
        receiveNumbers(consumer, 10, 12);
    }

    @Test
    void seekIntoABatch() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        List<MessageId> ids = sendBatch(10);
        receiveNumbers(consumer, 0, 10);
        consumer.seek(ids.get(6));
        receiveNumbers(consumer, 7, 10);
        nothingMore(consumer);
    }

    @Test
    void seekByTime() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        sendNumbers(0, 5);
        long last = receiveNumbers(consumer, 0, 5).get(4).getPublishTime();
        waitFor("a later millisecond", () -> last < System.currentTimeMillis());
        long middle = System.currentTimeMillis();
        sendNumbers(5, 10);
        consumer.seek(middle);
        receiveNumbers(consumer, 5, 10);
        consumer.seek(1);
        receiveNumbers(consumer, 0, 10);
        consumer.seek(System.currentTimeMillis() + 60_000);
        nothingMore(consumer);
    }

    @Test
    void theLastMessageIds() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        assertEquals(-1, ((MessageIdAdv) consumer.getLastMessageIds().get(0)).getEntryId());
        for (int n = 0; n < 3; n++) {
            MessageId sent = sendNumbers(n, n + 1).get(0);
            List<TopicMessageId> ids = consumer.getLastMessageIds();
            assertEquals(1, ids.size());
            assertEquals(topic, ids.get(0).getOwnerTopic());
            assertEquals(0, sent.compareTo(ids.get(0)));
        }
    }

    @Test
    void theLastMessageIdOfABatchNamesItsLastMessage() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        sendBatch(7);
        assertEquals(6, ((MessageIdAdv) consumer.getLastMessageIds().get(0)).getBatchIndex());
    }

    @Test
    void theLastMessageIdsOfPartitions() throws Exception {
        makePartitions(2);
        Consumer<byte[]> consumer = consumer().subscribe();
        String whole = topic;
        topic = whole + "-partition-1";
        sendNumbers(0, 4);
        Map<String, Long> entries = new HashMap<>();
        for (TopicMessageId id : consumer.getLastMessageIds()) {
            entries.put(id.getOwnerTopic(), ((MessageIdAdv) id).getEntryId());
        }
        assertEquals(Map.of(whole + "-partition-0", -1L, whole + "-partition-1", 3L), entries);
    }
}
