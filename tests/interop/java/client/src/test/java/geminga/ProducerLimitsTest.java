package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.common.policies.data.DelayedDeliveryPolicies;
import org.apache.pulsar.common.policies.data.PublishRate;
import org.junit.jupiter.api.Test;

/** What a namespace asks of producers: set by the admin client, seen by producers, removed. */
class ProducerLimitsTest extends Namespace {
    @Test
    void oneProducerTooManyIsRefusedAsBusy() throws Exception {
        assertNull(admin.namespaces().getMaxProducersPerTopic(namespace));
        admin.namespaces().setMaxProducersPerTopic(namespace, 2);
        assertEquals(2, admin.namespaces().getMaxProducersPerTopic(namespace));
        Consumer<byte[]> consumer = consumer().subscribe();
        Producer<byte[]> first = producer().create();
        Producer<byte[]> second = producer().create();
        assertThrows(PulsarClientException.ProducerBusyException.class, () -> producer().create());
        first.send(number(0));
        second.close();
        producer().create().send(number(1));
        admin.namespaces().removeMaxProducersPerTopic(namespace);
        assertNull(admin.namespaces().getMaxProducersPerTopic(namespace));
        waitFor("there is no limit", this::isOneMoreLetIn);
        receiveNumbers(consumer, 0, 3);
    }

    private boolean isOneMoreLetIn() throws PulsarClientException {
        try {
            producer().create().send(number(2));
            return true;
        } catch (PulsarClientException.ProducerBusyException refused) {
            return false;
        }
    }

    /**
     * Goal: where encryption is required only who encrypts gets in; it can be switched on and off; what
     * was encrypted is read by who has the key.
     */
    @Test
    void whoDoesNotEncryptIsRefusedWhereThatIsRequired() throws Exception {
        assertFalse(admin.namespaces().getEncryptionRequiredStatus(namespace));
        admin.namespaces().setEncryptionRequiredStatus(namespace, true);
        assertTrue(admin.namespaces().getEncryptionRequiredStatus(namespace));
        try (PulsarClient impatient = impatientClient()) {
            PulsarClientException refused = assertThrows(PulsarClientException.class,
                    () -> impatient.newProducer().topic(topic).create());
            assertTrue(refused.getMessage().contains("Encryption is required in " + topic), refused.getMessage());
        }
        Keyring keyring = new Keyring();
        Consumer<byte[]> consumer = consumer().cryptoKeyReader(keyring).subscribe();
        producer().cryptoKeyReader(keyring).addEncryptionKey("k").create().send(number(0));
        admin.namespaces().setEncryptionRequiredStatus(namespace, false);
        assertFalse(admin.namespaces().getEncryptionRequiredStatus(namespace));
        sendNumbers(1, 2);
        receiveNumbers(consumer, 0, 2);
    }

    /** Goal: its producer goes on, and what is delayed for less is taken. */
    @Test
    void whatIsDelayedForTooLongIsRefused() throws Exception {
        admin.namespaces().setDelayedDeliveryMessages(namespace, DelayedDeliveryPolicies.builder()
                .active(true).tickTime(1_000).maxDeliveryDelayInMillis(10_000).build());
        assertEquals(10_000, admin.namespaces().getDelayedDelivery(namespace).getMaxDeliveryDelayInMillis());
        Consumer<byte[]> consumer = consumer().subscriptionType(SubscriptionType.Shared).subscribe();
        Producer<byte[]> producer = producer().create();
        PulsarClientException refused = assertThrows(PulsarClientException.NotAllowedException.class,
                () -> producer.newMessage().value(number(0)).deliverAfter(30, TimeUnit.SECONDS).send());
        assertTrue(refused.getMessage().contains("max allowed delivery delay of 10000 ms"), refused.getMessage());
        producer.newMessage().value(number(0)).deliverAfter(100, TimeUnit.MILLISECONDS).send();
        admin.namespaces().removeDelayedDeliveryMessages(namespace);
        waitFor("there is no limit", () -> isTakenForLater(producer));
        receiveNumbers(consumer, 0, 1);
    }

    private static boolean isTakenForLater(Producer<byte[]> producer) throws PulsarClientException {
        try {
            producer.newMessage().value(number(1)).deliverAfter(30, TimeUnit.SECONDS).send();
            return true;
        } catch (PulsarClientException.NotAllowedException refused) {
            return false;
        }
    }

    @Test
    void thePublishRateIsSetAndRemoved() throws Exception {
        assertNull(admin.namespaces().getPublishRate(namespace));
        PublishRate rate = new PublishRate(50, -1);
        admin.namespaces().setPublishRate(namespace, rate);
        assertEquals(rate, admin.namespaces().getPublishRate(namespace));
        Consumer<byte[]> consumer = consumer().subscribe();
        long start = System.nanoTime();
        sendNumbers(0, 100);
        assertTrue(1_800_000_000L < System.nanoTime() - start, "it takes two seconds");
        admin.namespaces().removePublishRate(namespace);
        assertNull(admin.namespaces().getPublishRate(namespace));
        receiveNumbers(consumer, 0, 100);
    }
}
