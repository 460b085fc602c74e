package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.ConsumerCryptoFailureAction;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.SubscriptionType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Encrypted messages, and consumers that cannot read them. */
class EncryptionTest extends Topic {
    /** Sends as batches of ten, or one by one. */
    private void sendEncrypted(Keyring keyring, boolean isBatched, int from, int to) throws Exception {
        try (Producer<byte[]> producer = producer().cryptoKeyReader(keyring).addEncryptionKey("k")
                .enableBatching(isBatched).batchingMaxMessages(10).create()) {
            List<CompletableFuture<MessageId>> sends = new ArrayList<>();
            for (int n = from; n < to; n++) {
                sends.add(producer.sendAsync(number(n)));
            }
            for (CompletableFuture<MessageId> send : sends) {
                send.get(20, TimeUnit.SECONDS);
            }
        }
    }

    @Test
    void whoHasTheKeyReadsWhatWasEncrypted() throws Exception {
        Keyring keyring = new Keyring();
        Consumer<byte[]> consumer = consumer().cryptoKeyReader(keyring).subscribe();
        sendEncrypted(keyring, true, 0, 20);
        sendEncrypted(keyring, false, 20, 30);
        receiveNumbers(consumer, 0, 30);
    }

    /**
     * Goal: what a client cannot decrypt and gives up, with a validation error in the ack, is acked, a
     * batch as a whole, and costs it no permits for ever.
     */
    @ParameterizedTest
    @EnumSource(value = SubscriptionType.class, names = {"Exclusive", "Shared"})
    void whatCannotBeDecryptedCountsAsAcked(SubscriptionType kind) throws Exception {
        Consumer<byte[]> consumer = consumer().subscriptionType(kind).receiverQueueSize(2)
                .cryptoFailureAction(ConsumerCryptoFailureAction.DISCARD).subscribe();
        Keyring keyring = new Keyring();
        sendEncrypted(keyring, true, 0, 20);
        sendEncrypted(keyring, false, 20, 30);
        sendNumbers(30, 31);
        Message<byte[]> readable = receiveNumbers(consumer, 30, 31).get(0);
        waitFor("only the readable one is left", () -> backlog() == 1);
        consumer.acknowledge(readable);
        waitFor("no backlog", () -> backlog() == 0);
        assertEquals(0, consumer.getStats().getTotalAcksFailed());
    }
}
