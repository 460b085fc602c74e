package geminga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.Reader;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What clients see of what the broker notes of entries. */
class BrokerMetadataTest extends Topic {
    private static final String INTERCEPTORS = "brokerEntryMetadataInterceptors";
    private static final String EXPOSING = "exposingBrokerEntryMetadataToClientEnabled";
    private static final String BOTH = "org.apache.pulsar.common.intercept.AppendBrokerTimestampMetadataInterceptor,"
            + "org.apache.pulsar.common.intercept.AppendIndexMetadataInterceptor";

    private static void restart(String interceptors, boolean isExposing) throws Exception {
        restartServer(Map.of(INTERCEPTORS, interceptors, EXPOSING, Boolean.toString(isExposing)));
    }

    /** Others share the server. */
    @AfterEach
    void setDefaults() throws Exception {
        restart("", false);
    }

    /** What is stored, from the beginning on. */
    private void expectIndexes(List<Optional<Long>> expected) throws Exception {
        try (Reader<byte[]> reader = client.newReader().topic(topic).startMessageId(MessageId.earliest).create()) {
            for (Optional<Long> index : expected) {
                Message<byte[]> message = reader.readNext(20, TimeUnit.SECONDS);
                assertEquals(index, message.getIndex());
                assertEquals(index.isPresent(), message.hasIndex());
                assertEquals(index.isPresent(), message.hasBrokerPublishTime());
                assertEquals(index.isPresent(), message.getBrokerPublishTime().isPresent());
            }
            assertFalse(reader.hasMessageAvailable());
        }
    }

    private static List<Optional<Long>> indexes(long from, long to) {
        return java.util.stream.LongStream.range(from, to).mapToObj(Optional::of).toList();
    }

    /**
     * Goal: each message has the next index, alone, in a batch or in chunks, and the broker's time is between
     * when it was sent and when its receipt came; also after a restart, from storage.
     */
    @Test
    void messagesHaveAnIndexAndTheBrokersTime() throws Exception {
        restart(BOTH, true);
        Consumer<byte[]> consumer = consumer().subscribe();
        long before = System.currentTimeMillis();
        sendNumbers(0, 3);
        sendBatch(5);
        sendNumbers(8, 9);
        long after = System.currentTimeMillis();
        for (int n = 0; n < 9; n++) {
            Message<byte[]> message = receive(consumer);
            assertEquals(Optional.of((long) n), message.getIndex());
            long taken = message.getBrokerPublishTime().orElseThrow();
            assertTrue(before <= taken && taken <= after, before + " <= " + taken + " <= " + after);
            // The producer's own, as it was sent.
            assertTrue(before <= message.getPublishTime() && message.getPublishTime() <= taken);
        }
        restartServer();
        expectIndexes(indexes(0, 9));
        sendNumbers(9, 12);
        expectIndexes(indexes(0, 12));
    }

    /** Each chunk counts; a message in chunks has the index of its last one. */
    @Test
    void aMessageInChunksHasTheIndexOfItsLast() throws Exception {
        restart(BOTH, true);
        Consumer<byte[]> consumer = consumer().subscribe();
        byte[] large = new byte[250_000];
        try (Producer<byte[]> producer =
                producer().enableBatching(false).enableChunking(true).chunkMaxMessageSize(100_000).create()) {
            producer.send(large);
            producer.send(number(1));
        }
        Message<byte[]> message = receive(consumer);
        assertArrayEquals(large, message.getData());
        long chunks = ((MessageIdAdv) receive(consumer).getMessageId()).getEntryId();
        assertEquals(Optional.of(chunks - 1), message.getIndex());
    }

    /** Without the configuration there is no index; what is stored with one and without mixes. */
    @Test
    void theSettingChangesAndIndexesGoOn() throws Exception {
        sendNumbers(0, 2);
        restart(BOTH, true);
        sendNumbers(2, 5);
        restart("", true);
        sendNumbers(5, 7);
        restart(BOTH, true);
        sendBatch(3);
        Optional<Long> none = Optional.empty();
        List<Optional<Long>> expected = new java.util.ArrayList<>(List.of(none, none));
        expected.addAll(indexes(0, 3));
        expected.addAll(List.of(none, none));
        expected.addAll(indexes(3, 6));
        expectIndexes(expected);
        // What is not exposed is stored all the same.
        restart(BOTH, false);
        expectIndexes(java.util.Collections.nCopies(10, none));
        sendNumbers(10, 11);
        restart(BOTH, true);
        expected.addAll(indexes(6, 7));
        expectIndexes(expected);
    }

    /** `pulsar-admin topics get-message-id-by-index`, which is one GET. */
    @Test
    void aMessageIsFoundByItsIndex() throws Exception {
        restart(BOTH, false);
        List<MessageId> ids = sendNumbers(0, 3);
        ids.addAll(sendBatch(4));
        for (int index = 0; index < ids.size(); index++) {
            MessageIdAdv id = (MessageIdAdv) ids.get(index);
            String expected = String.format("{\"ledgerId\":%d,\"entryId\":%d,\"partitionIndex\":-1}",
                    id.getLedgerId(), id.getEntryId());
            assertEquals(expected, rest("GET", restPath() + "/getMessageIdByIndex?index=" + index, ""));
        }
    }
}
