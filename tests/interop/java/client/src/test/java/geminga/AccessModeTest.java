package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerAccessMode;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.junit.jupiter.api.Test;

/** Producers that want a topic for themselves. */
class AccessModeTest extends Topic {
    private CompletableFuture<Producer<byte[]>> open(ProducerAccessMode mode) {
        return producer().accessMode(mode).enableBatching(false).createAsync();
    }

    @Test
    void exclusiveKeepsOthersOut() throws Exception {
        try (Producer<byte[]> producer = open(ProducerAccessMode.Exclusive).get(20, TimeUnit.SECONDS)) {
            producer.send(number(0));
            assertThrows(PulsarClientException.ProducerFencedException.class, () ->
                    producer().accessMode(ProducerAccessMode.Exclusive).create());
            assertThrows(PulsarClientException.ProducerBusyException.class, () -> producer().create());
            producer.send(number(1));
        }
        try (Producer<byte[]> shared = producer().create()) {
            assertThrows(PulsarClientException.ProducerFencedException.class, () ->
                    producer().accessMode(ProducerAccessMode.Exclusive).create());
            shared.send(number(2));
        }
    }

    @Test
    void whoWaitsGetsInWhenTheOtherLeaves() throws Exception {
        Producer<byte[]> first = open(ProducerAccessMode.Exclusive).get(20, TimeUnit.SECONDS);
        first.send(number(0));
        CompletableFuture<Producer<byte[]>> second = open(ProducerAccessMode.WaitForExclusive);
        first.send(number(1));
        assertFalse(second.isDone());
        first.close();
        try (Producer<byte[]> producer = second.get(20, TimeUnit.SECONDS)) {
            producer.send(number(2));
        }
        try (Consumer<byte[]> consumer = consumer()
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).subscribe()) {
            receiveNumbers(consumer, 0, 3);
        }
    }

    @Test
    void fencingTakesOver() throws Exception {
        Producer<byte[]> first = open(ProducerAccessMode.Exclusive).get(20, TimeUnit.SECONDS);
        first.send(number(0));
        Producer<byte[]> second = open(ProducerAccessMode.ExclusiveWithFencing).get(20, TimeUnit.SECONDS);
        assertThrows(PulsarClientException.class, () -> first.send(number(99)));
        second.send(number(1));
        first.close();
        second.close();
        try (Consumer<byte[]> consumer = consumer()
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).subscribe()) {
            receiveNumbers(consumer, 0, 2);
        }
    }

    @Test
    void fencingRefusesWhoWaits() throws Exception {
        Producer<byte[]> shared = open(ProducerAccessMode.Shared).get(20, TimeUnit.SECONDS);
        CompletableFuture<Producer<byte[]>> waiting = open(ProducerAccessMode.WaitForExclusive);
        waitFor("a producer that waits keeps new ones out", this::isBusy);
        assertFalse(waiting.isDone());
        try (Producer<byte[]> fencing = open(ProducerAccessMode.ExclusiveWithFencing).get(20, TimeUnit.SECONDS)) {
            ExecutionException refused = assertThrows(ExecutionException.class, () ->
                    waiting.get(20, TimeUnit.SECONDS));
            assertTrue(refused.getCause() instanceof PulsarClientException.ProducerFencedException);
            fencing.send(number(0));
        }
        shared.close();
    }

    private boolean isBusy() throws PulsarClientException {
        try (Producer<byte[]> another = producer().create()) {
            return false;
        } catch (PulsarClientException.ProducerBusyException busy) {
            return true;
        }
    }

    @Test
    void accessSurvivesARestartOfTheServer() throws Exception {
        try (Producer<byte[]> producer = open(ProducerAccessMode.Exclusive).get(20, TimeUnit.SECONDS)) {
            producer.send(number(0));
            restartServer();
            producer.send(number(1));
            assertThrows(PulsarClientException.ProducerFencedException.class, () ->
                    producer().accessMode(ProducerAccessMode.Exclusive).create());
            assertTrue(producer.isConnected());
        }
        try (Consumer<byte[]> consumer = consumer()
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).subscribe()) {
            assertEquals(0, number(receive(consumer)));
            assertEquals(1, number(receive(consumer)));
        }
    }
}
