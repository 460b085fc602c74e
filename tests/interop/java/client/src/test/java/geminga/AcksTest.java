package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.DeadLetterPolicy;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.SubscriptionType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Acks, negative acks, and the topics for what was never acknowledged. */
class AcksTest extends Topic {
    @ParameterizedTest
    @EnumSource(SubscriptionType.class)
    void anAckWithAReceiptSurvivesTheConsumer(SubscriptionType kind) throws Exception {
        ConsumerBuilder<byte[]> builder = consumerWithReceipts().subscriptionType(kind);
        Consumer<byte[]> consumer = builder.subscribe();
        sendNumbers(0, 10);
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 10)) {
            if (number(message) % 2 == 0) {
                consumer.acknowledge(message);
            }
        }
        assertEquals(5, backlog());
        consumer.close();
        consumer = builder.subscribe();
        for (int n = 1; n < 10; n += 2) {
            assertEquals(n, number(receive(consumer)));
        }
        nothingMore(consumer);
    }

    @Test
    void aCumulativeAckAndAnAckOfAList() throws Exception {
        ConsumerBuilder<byte[]> builder = consumerWithReceipts();
        Consumer<byte[]> consumer = builder.subscribe();
        sendNumbers(0, 10);
        List<Message<byte[]>> messages = receiveNumbers(consumer, 0, 10);
        consumer.acknowledgeCumulative(messages.get(3));
        consumer.acknowledge(List.of(messages.get(5).getMessageId(), messages.get(6).getMessageId()));
        assertEquals(4, backlog());
        consumer.close();
        consumer = builder.subscribe();
        for (int n : new int[] {4, 7, 8, 9}) {
            assertEquals(n, number(receive(consumer)));
        }
        nothingMore(consumer);
    }

    @ParameterizedTest
    @EnumSource(value = SubscriptionType.class, names = {"Exclusive", "Shared"})
    void anAckOfMessagesInABatch(SubscriptionType kind) throws Exception {
        ConsumerBuilder<byte[]> builder = consumerWithReceipts().subscriptionType(kind)
                .enableBatchIndexAcknowledgment(true);
        Consumer<byte[]> consumer = builder.subscribe();
        sendBatch(10);
        for (Message<byte[]> message : receiveNumbers(consumer, 0, 10)) {
            if (number(message) != 3 && number(message) != 7) {
                consumer.acknowledge(message);
            }
        }
        consumer.close();
        consumer = builder.subscribe();
        for (int n : new int[] {3, 7}) {
            Message<byte[]> message = receive(consumer);
            assertEquals(n, number(message));
            consumer.acknowledge(message);
        }
        nothingMore(consumer);
        assertEquals(0, backlog());
    }

    @Test
    void aCumulativeAckIntoABatch() throws Exception {
        ConsumerBuilder<byte[]> builder = consumerWithReceipts().enableBatchIndexAcknowledgment(true);
        Consumer<byte[]> consumer = builder.subscribe();
        sendBatch(10);
        consumer.acknowledgeCumulative(receiveNumbers(consumer, 0, 10).get(5));
        consumer.close();
        consumer = builder.subscribe();
        receiveNumbers(consumer, 6, 10);
        nothingMore(consumer);
    }

    @ParameterizedTest
    @EnumSource(SubscriptionType.class)
    void aNegativeAckRedelivers(SubscriptionType kind) throws Exception {
        Consumer<byte[]> consumer = consumer().subscriptionType(kind)
                .negativeAckRedeliveryDelay(100, TimeUnit.MILLISECONDS).subscribe();
        sendNumbers(0, 1);
        boolean counts = kind == SubscriptionType.Shared || kind == SubscriptionType.Key_Shared;
        for (int count = 0; count < 4; count++) {
            Message<byte[]> message = receive(consumer);
            assertEquals(counts ? count : message.getRedeliveryCount(), message.getRedeliveryCount());
            if (count < 3) {
                consumer.negativeAcknowledge(message);
            } else {
                consumer.acknowledge(message);
            }
        }
        nothingMore(consumer);
    }

    @Test
    void anAckTimeoutRedelivers() throws Exception {
        Consumer<byte[]> consumer = consumer().subscriptionType(SubscriptionType.Shared)
                .ackTimeout(1, TimeUnit.SECONDS).ackTimeoutTickTime(100, TimeUnit.MILLISECONDS).subscribe();
        sendNumbers(0, 1);
        receiveNumbers(consumer, 0, 1);
        assertEquals(1, receiveNumbers(consumer, 0, 1).get(0).getRedeliveryCount());
    }

    @Test
    void aMessageThatIsNeverAckedGoesToTheDeadLetterTopic() throws Exception {
        String dead = topic + "-dead";
        Consumer<byte[]> graveyard = client.newConsumer().topic(dead).subscriptionName("s").subscribe();
        Consumer<byte[]> consumer = consumer()
                .subscriptionType(SubscriptionType.Shared)
                .negativeAckRedeliveryDelay(100, TimeUnit.MILLISECONDS)
                .deadLetterPolicy(DeadLetterPolicy.builder()
                        .maxRedeliverCount(2)
                        .deadLetterTopic(dead)
                        .initialSubscriptionName("early")
                        .build())
                .subscribe();
        MessageId id = sendNumbers(0, 1).get(0);
        for (int count = 0; count < 3; count++) {
            Message<byte[]> message = receive(consumer);
            assertEquals(count, message.getRedeliveryCount());
            consumer.negativeAcknowledge(message);
        }
        Message<byte[]> message = receive(graveyard);
        assertEquals(0, number(message));
        assertEquals(topic, message.getProperty("REAL_TOPIC"));
        assertEquals(id.toString(), message.getProperty("ORIGIN_MESSAGE_ID"));
        nothingMore(consumer);
        waitFor("acknowledged when dead", () -> backlog() == 0);
        Consumer<byte[]> early = client.newConsumer().topic(dead).subscriptionName("early").subscribe();
        receiveNumbers(early, 0, 1);
    }

    @Test
    void aMessageIsRetriedAndThenDead() throws Exception {
        String dead = topic + "-dead";
        Consumer<byte[]> graveyard = client.newConsumer().topic(dead).subscriptionName("s").subscribe();
        Consumer<byte[]> consumer = consumer()
                .subscriptionType(SubscriptionType.Shared)
                .enableRetry(true)
                .deadLetterPolicy(DeadLetterPolicy.builder()
                        .maxRedeliverCount(2)
                        .retryLetterTopic(topic + "-retry")
                        .deadLetterTopic(dead)
                        .build())
                .subscribe();
        sendNumbers(0, 1);
        for (int attempt = 0; attempt < 3; attempt++) {
            Message<byte[]> message = receive(consumer);
            assertEquals(attempt == 0 ? null : "" + attempt, message.getProperty("RECONSUMETIMES"));
            assertEquals(attempt != 0, message.getTopicName().endsWith("-retry"));
            consumer.reconsumeLater(message, 50, TimeUnit.MILLISECONDS);
        }
        assertEquals(0, number(receive(graveyard)));
        nothingMore(consumer);
        assertTrue(consumer.isConnected());
    }
}
