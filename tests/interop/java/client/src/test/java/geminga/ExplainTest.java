package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.TreeMap;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.common.util.ObjectMapperFactory;
import org.apache.pulsar.shade.com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;

/** The server says why a subscription does not move. */
class ExplainTest extends Namespace {
    /** What it says, one explanation for each partition. */
    private JsonNode explanations() throws Exception {
        String answer = rest("GET", restPath() + "/subscription/s/explain", "");
        return ObjectMapperFactory.getMapper().reader().readTree(answer);
    }

    private JsonNode explain() throws Exception {
        JsonNode all = explanations();
        assertEquals(1, all.size());
        return all.get(0);
    }

    private void waitForState(String state) throws Exception {
        waitFor(state, () -> explain().get("state").asText().equals(state));
    }

    @Test
    void aPausedConsumerHasNotAskedForMore() throws Exception {
        Consumer<byte[]> consumer = consumerWithReceipts().consumerName("sleeper").receiverQueueSize(2).subscribe();
        waitForState("NothingToDeliver");
        // The client asks for its first messages in the background.
        waitFor("permits", () -> explain().get("consumers").get(0).get("permits").asInt() == 2);
        consumer.pause();
        sendNumbers(0, 5);
        waitForState("NoConsumerReady");
        JsonNode explained = explain();
        assertEquals(topic, explained.get("topic").asText());
        assertEquals("Exclusive", explained.get("type").asText());
        assertEquals(5, explained.get("backlogEntries").asInt());
        assertFalse(explained.get("because").asText().isEmpty());
        JsonNode sleeper = explained.get("consumers").get(0);
        assertEquals("sleeper", sleeper.get("name").asText());
        assertEquals("ForPermits", sleeper.get("waits").asText());
        assertEquals(0, sleeper.get("permits").asInt());
        assertEquals(2, sleeper.get("unackedMessages").asInt());
        consumer.resume();
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 5)) {
            consumer.acknowledge(message);
        }
        waitForState("NothingToDeliver");
        assertEquals("ForMessages", explain().get("consumers").get(0).get("waits").asText());
        consumer.close();
        assertEquals("NoConsumers", explain().get("state").asText());
    }

    @Test
    void aConsumerAtItsLimitWaitsForItsAcks() throws Exception {
        admin.namespaces().setMaxUnackedMessagesPerConsumer(namespace, 3);
        Consumer<byte[]> consumer = consumer().subscriptionType(SubscriptionType.Shared).subscribe();
        sendNumbers(0, 5);
        receiveNumbers(consumer, 0, 3);
        waitForState("NoConsumerReady");
        JsonNode waiting = explain().get("consumers").get(0);
        assertEquals("ForAcks", waiting.get("waits").asText());
        assertEquals(3, waiting.get("unackedMessages").asInt());
    }

    @Test
    void eachPartitionIsExplained() throws Exception {
        makePartitions(3);
        consumer().subscribe();
        JsonNode all = explanations();
        assertEquals(3, all.size());
        for (int partition = 0; partition < 3; partition++) {
            assertEquals(topic + "-partition-" + partition, all.get(partition).get("topic").asText());
        }
    }

    /**
     * Goal: of a key that moved to another consumer, one is told who holds which message of it.
     *
     * <p>Method: one consumer holds a message of each key, another joins, and a second round is sent.
     */
    @Test
    void aKeyThatMovedWaitsForAMessageOfItsFormerConsumer() throws Exception {
        ConsumerBuilder<byte[]> builder = consumerWithReceipts().subscriptionType(SubscriptionType.Key_Shared);
        Consumer<byte[]> former = builder.clone().consumerName("former").subscribe();
        Map<Integer, MessageIdAdv> firsts = sendARound();
        var held = receiveNumbers(former, 0, 20);
        long before = System.currentTimeMillis();
        Consumer<byte[]> next = builder.clone().consumerName("next").subscribe();
        sendARound();
        JsonNode[] draining = {null};
        waitFor("keys that wait", () -> {
            draining[0] = explain().get("draining");
            return 0 < draining[0].size();
        });
        nothingMore(next);
        for (JsonNode each : draining[0]) {
            MessageIdAdv first = firsts.get(each.get("slot").asInt());
            assertEquals("former", each.get("holder").asText());
            assertEquals(first.getLedgerId(), each.get("held").get("ledgerId").asLong());
            assertEquals(first.getEntryId(), each.get("held").get("entryId").asLong());
            assertEquals(1, each.get("waitingEntries").asInt());
            long since = each.get("since").asLong();
            assertTrue(before <= since && since <= System.currentTimeMillis(), "since " + since);
        }
        for (Message<byte[]> message : held) {
            former.acknowledge(message);
        }
        receive(next);
        waitFor("nothing waits", () -> explain().get("draining").isEmpty());
    }

    /** Sends a message of each of twenty keys; their ids by their slots. */
    private Map<Integer, MessageIdAdv> sendARound() throws Exception {
        Map<Integer, MessageIdAdv> ids = new TreeMap<>();
        try (Producer<byte[]> producer = producer().enableBatching(false).create()) {
            for (int n = 0; n < 20; n++) {
                String key = "k" + n;
                ids.put(Keys.slot(key), (MessageIdAdv) producer.newMessage().key(key).value(number(n)).send());
            }
        }
        return ids;
    }
}
