package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.PulsarClientException.ProducerBlockedQuotaExceededError;
import org.apache.pulsar.client.api.PulsarClientException.ProducerBlockedQuotaExceededException;
import org.apache.pulsar.common.policies.data.BacklogQuota;
import org.apache.pulsar.common.policies.data.BacklogQuota.BacklogQuotaType;
import org.apache.pulsar.common.policies.data.BacklogQuota.RetentionPolicy;
import org.junit.jupiter.api.Test;

/** A quota of ten messages of a KiB, and what happens beyond. */
class BacklogQuotaTest extends Namespace {
    private static final int SIZE = 1024;
    private static final int FITS = 10;

    private void setQuota(RetentionPolicy beyond) throws Exception {
        assertEquals(Map.of(), admin.namespaces().getBacklogQuotaMap(namespace));
        BacklogQuota quota = BacklogQuota.builder().limitSize(FITS * SIZE).retentionPolicy(beyond).build();
        admin.namespaces().setBacklogQuota(namespace, quota);
        BacklogQuota stored = admin.namespaces().getBacklogQuotaMap(namespace)
                .get(BacklogQuotaType.destination_storage);
        assertEquals(FITS * SIZE, stored.getLimitSize());
        assertEquals(beyond, stored.getPolicy());
    }

    private void removeQuota() throws Exception {
        admin.namespaces().removeBacklogQuota(namespace);
        assertEquals(Map.of(), admin.namespaces().getBacklogQuotaMap(namespace));
    }

    /** Has no time limit for a send, so that only the server ends one. */
    private Producer<byte[]> patientProducer() throws PulsarClientException {
        return producer().enableBatching(false).sendTimeout(0, TimeUnit.SECONDS).create();
    }

    /** The number, padded to a KiB. */
    private static byte[] padded(int n) {
        return String.format("%0" + SIZE + "d", n).getBytes();
    }

    private void refusesNewProducers(Class<? extends PulsarClientException> error) throws Exception {
        try (PulsarClient client = impatientClient()) {
            assertThrows(error, () -> client.newProducer().topic(topic).create());
        }
    }

    @Test
    void producersFailUntilTheQuotaIsGone() throws Exception {
        setQuota(RetentionPolicy.producer_exception);
        Consumer<byte[]> consumer = consumer().subscribe();
        Producer<byte[]> producer = patientProducer();
        int stored = sendUntilItFails(producer);
        assertTrue(FITS / 2 <= stored && stored <= FITS, stored + " stored");
        refusesNewProducers(ProducerBlockedQuotaExceededException.class);
        removeQuota();
        waitFor("sends again", () -> {
            try {
                producer.send(padded(stored));
                return true;
            } catch (ProducerBlockedQuotaExceededException stillOver) {
                return false;
            }
        });
        receiveNumbers(consumer, 0, stored + 1);
        nothingMore(consumer);
        producer().create();
    }

    private static int sendUntilItFails(Producer<byte[]> producer) throws Exception {
        for (int n = 0; n < 10 * FITS; n++) {
            try {
                producer.send(padded(n));
            } catch (ProducerBlockedQuotaExceededException exceeded) {
                return n;
            }
        }
        throw new AssertionError("never over the quota");
    }

    @Test
    void producersWaitUntilThereIsLessBacklog() throws Exception {
        setQuota(RetentionPolicy.producer_request_hold);
        Consumer<byte[]> consumer = consumer().subscribe();
        Producer<byte[]> producer = patientProducer();
        List<CompletableFuture<MessageId>> sends = new ArrayList<>();
        for (int n = 0; n < 2 * FITS; n++) {
            sends.add(producer.sendAsync(padded(n)));
            waitFor("stored, or the producer waits",
                    () -> sends.get(sends.size() - 1).isDone() || !producer.isConnected());
        }
        long stored = sends.stream().filter(CompletableFuture::isDone).count();
        assertTrue(FITS / 2 <= stored && stored <= FITS, stored + " stored");
        refusesNewProducers(ProducerBlockedQuotaExceededError.class);
        for (int n = 0; n < 2 * FITS; n++) {
            consumer.acknowledge(receiveNumbers(consumer, n, n + 1).get(0));
        }
        nothingMore(consumer);
        for (CompletableFuture<MessageId> send : sends) {
            send.get(20, TimeUnit.SECONDS);
        }
    }

    @Test
    void theOldestMessagesOfASlowSubscriptionAreEvicted() throws Exception {
        setQuota(RetentionPolicy.consumer_backlog_eviction);
        consumer().subscriptionName("slow").subscribe().close();
        Consumer<byte[]> fast = consumerWithReceipts().subscriptionName("fast").subscribe();
        try (Producer<byte[]> producer = patientProducer()) {
            for (int n = 0; n < 3 * FITS; n++) {
                producer.send(padded(n));
                fast.acknowledge(receiveNumbers(fast, n, n + 1).get(0));
            }
        }
        waitFor("evicted", () -> stats("slow").getMsgBacklog() < FITS);
        Message<byte[]> oldest = receive(consumer().subscriptionName("slow").subscribe());
        assertTrue(2 * FITS < number(oldest) && number(oldest) <= 2 * FITS + FITS / 2, "oldest: " + number(oldest));
        nothingMore(fast);
    }

    @Test
    void theOldestMessagesAreEvictedWhenTheQuotaComesLater() throws Exception {
        consumer().subscribe().close();
        try (Producer<byte[]> producer = patientProducer()) {
            for (int n = 0; n < 2 * FITS; n++) {
                producer.send(padded(n));
            }
        }
        assertEquals(2 * FITS, stats("s").getMsgBacklog());
        setQuota(RetentionPolicy.consumer_backlog_eviction);
        waitFor("evicted", () -> stats("s").getMsgBacklog() < FITS);
    }
}
