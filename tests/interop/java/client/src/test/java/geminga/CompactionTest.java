package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.CompressionType;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.client.api.TableView;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Topic compaction, and who reads compacted. */
class CompactionTest extends Topic {
    private Producer<String> plainProducer() throws PulsarClientException {
        return producerOf(topic, Schema.STRING);
    }

    private static MessageId send(Producer<String> producer, String key, String value) throws PulsarClientException {
        return producer.newMessage().key(key).value(value).send();
    }

    /** Sends `key=value` pairs as one batch; a pair without a value deletes its key. */
    private List<MessageId> sendBatch(CompressionType compression, String... pairs) throws Exception {
        try (Producer<String> producer = client.newProducer(Schema.STRING).topic(topic)
                .compressionType(compression)
                .batchingMaxMessages(pairs.length).batchingMaxPublishDelay(1, TimeUnit.MINUTES).create()) {
            List<CompletableFuture<MessageId>> sends = new ArrayList<>();
            for (String pair : pairs) {
                String[] parts = pair.split("=");
                String value = parts.length == 1 ? null : parts[1];
                sends.add(producer.newMessage().key(parts[0]).value(value).sendAsync());
            }
            List<MessageId> ids = new ArrayList<>();
            for (CompletableFuture<MessageId> send : sends) {
                ids.add(send.get(20, TimeUnit.SECONDS));
            }
            return ids;
        }
    }

    private void compact() throws Exception {
        rest("PUT", restPath() + "/compaction", "");
        waitFor("compaction", () -> {
            String status = rest("GET", restPath() + "/compaction", "");
            assertFalse(status.contains("ERROR"), status);
            return status.contains("\"status\":\"SUCCESS\"");
        });
    }

    private Reader<String> reader() throws PulsarClientException {
        return client.newReader(Schema.STRING).topic(topic).readCompacted(true)
                .startMessageId(MessageId.earliest).create();
    }

    private static List<String> readAll(Reader<String> reader) throws PulsarClientException {
        List<String> found = new ArrayList<>();
        while (reader.hasMessageAvailable()) {
            Message<String> message = reader.readNext(20, TimeUnit.SECONDS);
            found.add(message.getKey() + "=" + message.getValue());
        }
        return found;
    }

    private Map<String, Long> numberOf(String path, String... fields) throws Exception {
        String stats = rest("GET", path, "");
        Map<String, Long> found = new HashMap<>();
        for (String field : fields) {
            var matcher = java.util.regex.Pattern.compile("\"" + field + "\":(-?\\d+)").matcher(stats);
            assertTrue(matcher.find(), field + " in " + stats);
            found.put(field, Long.parseLong(matcher.group(1)));
        }
        return found;
    }

    @Test
    void aReaderGetsTheLastOfEachKeyWithItsId() throws Exception {
        String status = rest("GET", restPath() + "/partitions?checkAllowAutoCreation=true", "");
        assertTrue(status.contains("0"), status);
        List<String> expected = new ArrayList<>();
        List<MessageId> ids = new ArrayList<>();
        try (Producer<String> producer = plainProducer()) {
            assertTrue(rest("GET", restPath() + "/compaction", "").contains("NOT_RUN"));
            for (int round = 0; round < 3; round++) {
                for (int key = 0; key < 50; key++) {
                    MessageId id = send(producer, "k" + key, round + "." + key);
                    if (round == 2) {
                        expected.add("k" + key + "=" + round + "." + key);
                        ids.add(id);
                    }
                }
            }
            compact();
            ids.add(send(producer, "k0", "new"));
            expected.add("k0=new");
        }
        try (Reader<String> reader = reader()) {
            for (int n = 0; n < expected.size(); n++) {
                assertTrue(reader.hasMessageAvailable());
                Message<String> message = reader.readNext(20, TimeUnit.SECONDS);
                assertEquals(expected.get(n), message.getKey() + "=" + message.getValue());
                assertEquals(ids.get(n), message.getMessageId());
            }
            assertFalse(reader.hasMessageAvailable());
        }
        try (Reader<String> plain = client.newReader(Schema.STRING).topic(topic)
                .startMessageId(MessageId.earliest).create()) {
            assertEquals(151, readAll(plain).size());
        }
        assertTrue(0 < numberOf(restPath() + "/stats", "lastCompactionSucceedTimestamp")
                .get("lastCompactionSucceedTimestamp"));
        String internal = rest("GET", restPath() + "/internalStats", "");
        assertTrue(internal.contains("\"compactedLedger\":{\"ledgerId\":"), internal);
        assertTrue(internal.replaceAll(".*\"compactedLedger\"", "").contains("\"entries\":50"), internal);
    }

    /** Batches of every compression: messages leave their batch, and the others keep their indexes. */
    @ParameterizedTest
    @EnumSource(CompressionType.class)
    void messagesLeaveTheirBatches(CompressionType compression) throws Exception {
        List<MessageId> first = sendBatch(compression, "a=1", "b=1", "c=1", "d=1");
        List<MessageId> second = sendBatch(compression, "a=2", "c", "e=1", "e=2");
        sendBatch(compression, "f=1", "f");
        compact();
        try (Reader<String> reader = reader()) {
            Map<String, MessageId> found = new TreeMap<>();
            while (reader.hasMessageAvailable()) {
                Message<String> message = reader.readNext(20, TimeUnit.SECONDS);
                found.put(message.getKey() + "=" + message.getValue(), message.getMessageId());
            }
            assertEquals(
                    Map.of("b=1", first.get(1), "d=1", first.get(3), "a=2", second.get(0), "e=2", second.get(3)),
                    found);
        }
    }

    @Test
    void whatIsDeletedIsGone() throws Exception {
        try (Producer<String> producer = plainProducer()) {
            send(producer, "a", "1");
            send(producer, "b", "1");
            send(producer, "a", null);
            send(producer, "c", "1");
            send(producer, "c", null);
        }
        try (Reader<String> reader = reader()) {
            assertEquals(List.of("a=1", "b=1", "a=null", "c=1", "c=null"), readAll(reader));
        }
        compact();
        try (Reader<String> reader = reader()) {
            assertEquals(List.of("b=1"), readAll(reader));
            assertFalse(reader.hasMessageAvailable());
        }
        try (Producer<String> producer = plainProducer()) {
            send(producer, "b", null);
        }
        compact();
        try (Reader<String> reader = reader()) {
            assertFalse(reader.hasMessageAvailable());
            try (Producer<String> producer = plainProducer()) {
                send(producer, "d", "1");
            }
            assertEquals(List.of("d=1"), readAll(reader));
        }
    }

    @ParameterizedTest
    @EnumSource(value = SubscriptionType.class, names = {"Exclusive", "Failover"})
    void aConsumerReadsCompacted(SubscriptionType kind) throws Exception {
        try (Producer<String> producer = plainProducer()) {
            for (int n = 0; n < 40; n++) {
                send(producer, "k" + n % 4, Integer.toString(n));
            }
            compact();
            Consumer<String> consumer = client.newConsumer(Schema.STRING).topic(topic).subscriptionName("s")
                    .subscriptionType(kind).readCompacted(true)
                    .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).subscribe();
            for (int n = 36; n < 39; n++) {
                Message<String> message = receive(consumer);
                assertEquals(Integer.toString(n), message.getValue());
                consumer.acknowledge(message);
            }
            consumer.close();
            consumer = client.newConsumer(Schema.STRING).topic(topic).subscriptionName("s")
                    .subscriptionType(kind).readCompacted(true).subscribe();
            assertEquals("39", receive(consumer).getValue());
            nothingMore(consumer);
            send(producer, "k0", "40");
            assertEquals("40", receive(consumer).getValue());
            consumer.close();
        }
    }

    @Test
    void onlyExclusiveAndFailoverMayReadCompacted() throws Exception {
        sendNumbers(0, 1);
        assertThrows(PulsarClientException.class, () -> consumer().readCompacted(true)
                .subscriptionType(SubscriptionType.Shared).subscribe());
    }

    /**
     * Goal: a reader that is connected while the topic is compacted misses nothing and gets nothing twice.
     *
     * <p>Method: it reads a part, then the topic is compacted twice around further messages.
     */
    @Test
    void aReaderThatIsConnectedMeanwhile() throws Exception {
        try (Producer<String> producer = plainProducer()) {
            for (int n = 0; n < 30; n++) {
                send(producer, "k" + n, Integer.toString(n));
            }
            compact();
            try (Reader<String> reader = client.newReader(Schema.STRING).topic(topic).readCompacted(true)
                    .receiverQueueSize(1).startMessageId(MessageId.earliest).create()) {
                for (int n = 0; n < 10; n++) {
                    assertEquals(Integer.toString(n), reader.readNext(20, TimeUnit.SECONDS).getValue());
                }
                send(producer, "k0", null);
                send(producer, "k29", "again");
                compact();
                List<String> rest = readAll(reader);
                assertEquals("k10=10", rest.get(0));
                assertEquals(List.of("k29=29", "k0=null", "k29=again"), rest.subList(19, rest.size()));
            }
            try (Reader<String> reader = reader()) {
                List<String> all = readAll(reader);
                assertEquals(29, all.size());
                assertEquals("k1=1", all.get(0));
                assertEquals("k29=again", all.get(28));
            }
        }
    }

    /** Goal: a table is what was last said of each key, before a compaction, after it and after a kill. */
    @Test
    void aTableView() throws Exception {
        Map<String, String> expected = new ConcurrentHashMap<>();
        try (Producer<String> producer = plainProducer()) {
            for (int n = 0; n < 100; n++) {
                send(producer, "k" + n % 20, Integer.toString(n));
                expected.put("k" + n % 20, Integer.toString(n));
            }
            send(producer, "k3", null);
            expected.remove("k3");
            compact();
            try (TableView<String> table = client.newTableViewBuilder(Schema.STRING).topic(topic).create()) {
                waitFor("the table", () -> expected.equals(entries(table)));
                send(producer, "k4", null);
                send(producer, "k5", "new");
                expected.remove("k4");
                expected.put("k5", "new");
                waitFor("what is new", () -> expected.equals(entries(table)));
                compact();
            }
            try (TableView<String> table = client.newTableViewBuilder(Schema.STRING).topic(topic).create()) {
                waitFor("the table again", () -> expected.equals(entries(table)));
                assertNull(table.get("k4"));
            }
        }
        restartServer();
        try (TableView<String> table = client.newTableViewBuilder(Schema.STRING).topic(topic).create()) {
            waitFor("the table after a kill", () -> expected.equals(entries(table)));
        }
    }

    private static Map<String, String> entries(TableView<String> table) {
        Map<String, String> found = new HashMap<>();
        table.forEach(found::put);
        return found;
    }

    /** Goal: a kill during a compaction costs nothing but that compaction. */
    @Test
    void aKillDuringACompaction() throws Exception {
        try (Producer<String> producer = client.newProducer(Schema.STRING).topic(topic).create()) {
            List<CompletableFuture<MessageId>> sends = new ArrayList<>();
            for (int n = 0; n < 20_000; n++) {
                sends.add(producer.newMessage().key("k" + n % 5_000).value(Integer.toString(n)).sendAsync());
            }
            for (CompletableFuture<MessageId> send : sends) {
                send.get(20, TimeUnit.SECONDS);
            }
        }
        rest("PUT", restPath() + "/compaction", "");
        restartServer();
        for (int round = 0; round < 2; round++) {
            Map<String, String> last = new HashMap<>();
            int messages = 0;
            try (Reader<String> reader = reader()) {
                while (reader.hasMessageAvailable()) {
                    Message<String> message = reader.readNext(20, TimeUnit.SECONDS);
                    last.put(message.getKey(), message.getValue());
                    messages++;
                }
            }
            assertEquals(5_000, last.size());
            assertEquals("19999", last.get("k4999"));
            if (round == 1) {
                assertEquals(5_000, messages);
            }
            compact();
        }
    }

    @Test
    void aNamespaceHasAThreshold() throws Exception {
        String path = "/admin/v2/namespaces/public/default/compactionThreshold";
        assertEquals("", rest("GET", path, ""));
        rest("PUT", path, "1000000000");
        assertEquals("1000000000", rest("GET", path, ""));
        rest("DELETE", path, "");
        assertEquals("", rest("GET", path, ""));
    }

    @Test
    void allPartitionsAreCompacted() throws Exception {
        makePartitions(3);
        try (Producer<String> producer = plainProducer()) {
            for (int n = 0; n < 60; n++) {
                send(producer, "k" + n % 6, Integer.toString(n));
            }
        }
        rest("PUT", restPath() + "/compaction", "");
        for (int n = 0; n < 3; n++) {
            String path = restPath() + "-partition-" + n + "/compaction";
            waitFor("compaction", () -> rest("GET", path, "").contains("SUCCESS"));
        }
        try (Reader<String> reader = reader()) {
            assertEquals(6, readAll(reader).size());
        }
    }
}
