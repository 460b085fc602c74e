package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.BatcherBuilder;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.junit.jupiter.api.Test;

/** What a batch holds, and what its receipt says. */
class BatchingTest extends Topic {
    private static final int KEYS = 12;
    private static final int EACH = 5;

    /** Its batches are sent when they are full or by a flush. */
    private ProducerBuilder<byte[]> batching() {
        return producer().batchingMaxPublishDelay(1, TimeUnit.MINUTES);
    }

    private static List<MessageIdAdv> receipts(List<CompletableFuture<MessageId>> sends) throws Exception {
        List<MessageIdAdv> ids = new ArrayList<>();
        for (CompletableFuture<MessageId> send : sends) {
            ids.add((MessageIdAdv) send.get(20, TimeUnit.SECONDS));
        }
        return ids;
    }

    private static String key(int n) {
        return "k" + n % KEYS;
    }

    /** Sends numbers with twelve keys in turn, a batch for each key. */
    private List<MessageIdAdv> sendByKey() throws Exception {
        try (Producer<byte[]> producer = batching().batcherBuilder(BatcherBuilder.KEY_BASED).create()) {
            List<CompletableFuture<MessageId>> sends = new ArrayList<>();
            for (int n = 0; n < KEYS * EACH; n++) {
                sends.add(producer.newMessage().key(key(n)).value(number(n)).sendAsync());
            }
            producer.flush();
            return receipts(sends);
        }
    }

    @Test
    void aKeyBasedBatchIsOfOneKeyInOrder() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        List<MessageIdAdv> ids = sendByKey();
        Set<Long> entries = new HashSet<>();
        for (int n = 0; n < ids.size(); n++) {
            entries.add(ids.get(n).getEntryId());
            assertEquals(ids.get(n % KEYS).getEntryId(), ids.get(n).getEntryId(), ids::toString);
            assertEquals(n / KEYS, ids.get(n).getBatchIndex());
        }
        assertEquals(KEYS, entries.size());
        // Delivered by entry, with the ids of the receipts.
        MessageId last = MessageId.earliest;
        for (int count = 0; count < ids.size(); count++) {
            Message<byte[]> message = receive(consumer);
            assertEquals(ids.get(number(message)), message.getMessageId());
            assertEquals(key(number(message)), message.getKey());
            assertEquals(number(message), message.getSequenceId());
            assertTrue(last.compareTo(message.getMessageId()) < 0);
            last = message.getMessageId();
        }
    }

    @Test
    void aReceiptIsForTheWholeBatch() throws Exception {
        Consumer<byte[]> consumer = consumer().subscribe();
        try (Producer<byte[]> producer = batching().create()) {
            List<CompletableFuture<MessageId>> sends = new ArrayList<>();
            // Sequence ids with gaps, within a batch and between two.
            for (int n = 0; n < 20; n++) {
                sends.add(producer.newMessage().sequenceId(100 + 7 * n).value(number(n)).sendAsync());
                if (n % 10 == 9) {
                    producer.flush();
                    assertEquals(100 + 7 * n, producer.getLastSequenceId());
                }
            }
            List<MessageIdAdv> ids = receipts(sends);
            for (int n = 0; n < 20; n++) {
                assertEquals(n / 10, ids.get(n).getEntryId());
                assertEquals(n % 10, ids.get(n).getBatchIndex());
            }
            List<Message<byte[]>> messages = receiveNumbers(consumer, 0, 20);
            for (int n = 0; n < 20; n++) {
                assertEquals(100 + 7 * n, messages.get(n).getSequenceId());
                assertEquals(ids.get(n), messages.get(n).getMessageId());
            }
            // A receipt that a client does not take would have made it send again.
            nothingMore(consumer);
        }
    }

    @Test
    void aBatchOfOneIsOneMessage() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts().subscribe();
        try (Producer<byte[]> producer = batching().batchingMaxMessages(1).create()) {
            for (int n = 0; n < 5; n++) {
                MessageIdAdv id = (MessageIdAdv) producer.newMessage().sequenceId(n).value(number(n)).send();
                assertEquals(n, id.getEntryId());
                assertEquals(n, producer.getLastSequenceId());
                Message<byte[]> message = receive(consumer);
                assertEquals(n, number(message));
                assertEquals(id, message.getMessageId());
                consumer.acknowledge(message);
                assertEquals(0, backlog());
            }
            consumer.seek(MessageId.earliest);
            receiveNumbers(consumer, 0, 5);
        }
    }
}
