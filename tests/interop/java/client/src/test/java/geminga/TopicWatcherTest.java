package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.impl.MultiTopicsConsumerImpl;
import org.junit.jupiter.api.Test;

/** Consumers of a pattern that are told of topics, instead of asking for them: they would ask after an hour. */
class TopicWatcherTest extends Namespace {
    private Consumer<byte[]> subscribeToAll() throws PulsarClientException {
        return client.newConsumer()
                .topicsPattern(Pattern.compile("persistent://" + namespace + "/wanted-.*"))
                .patternAutoDiscoveryPeriod(1, TimeUnit.HOURS)
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest)
                .subscriptionName("s")
                .subscribe();
    }

    private String named(String name) {
        return "persistent://" + namespace + "/" + name;
    }

    private void sendOneTo(String name) throws PulsarClientException {
        topic = named(name);
        sendNumbers(0, 1);
    }

    private static Set<String> topicsOf(Consumer<byte[]> consumer) {
        return new TreeSet<>(((MultiTopicsConsumerImpl<byte[]>) consumer).getPartitions());
    }

    @Test
    void aTopicThatComesLaterIsConsumed() throws Exception {
        Consumer<byte[]> consumer = subscribeToAll();
        for (String name : List.of("wanted-1", "other", "wanted-2")) {
            sendOneTo(name);
        }
        Set<String> found = new TreeSet<>();
        for (int count = 0; count < 2; count++) {
            found.add(receive(consumer).getTopicName());
        }
        assertEquals(Set.of(named("wanted-1"), named("wanted-2")), found);
        nothingMore(consumer);
    }

    @Test
    void aPartitionedTopicThatComesLaterIsConsumed() throws Exception {
        sendOneTo("wanted-1");
        Consumer<byte[]> consumer = subscribeToAll();
        receiveNumbers(consumer, 0, 1);
        admin.topics().createPartitionedTopic(named("wanted-2"), 2);
        topic = named("wanted-2");
        sendNumbers(0, 10);
        Set<Integer> numbers = new TreeSet<>();
        Set<String> partitions = new TreeSet<>();
        for (int count = 0; count < 10; count++) {
            var message = receive(consumer);
            numbers.add(number(message));
            partitions.add(message.getTopicName());
        }
        assertEquals(10, numbers.size());
        assertEquals(Set.of(topic + "-partition-0", topic + "-partition-1"), partitions);
        nothingMore(consumer);
    }

    @Test
    void aTopicThatIsDeletedIsLeftAndMayComeAgain() throws Exception {
        sendOneTo("wanted-1");
        sendOneTo("wanted-2");
        Consumer<byte[]> consumer = subscribeToAll();
        for (int count = 0; count < 2; count++) {
            consumer.acknowledge(receive(consumer));
        }
        assertEquals(Set.of(named("wanted-1"), named("wanted-2")), topicsOf(consumer));
        admin.topics().delete(named("wanted-1"), true);
        waitFor("only one is left", () -> topicsOf(consumer).equals(Set.of(named("wanted-2"))));
        assertEquals(List.of(named("wanted-2")), admin.topics().getList(namespace));
        sendOneTo("wanted-1");
        assertEquals(named("wanted-1"), receive(consumer).getTopicName());
        nothingMore(consumer);
    }

    @Test
    void aRestartIsNoReasonToMissATopic() throws Exception {
        sendOneTo("wanted-1");
        Consumer<byte[]> consumer = subscribeToAll();
        consumer.acknowledge(receive(consumer));
        restartServer();
        sendOneTo("wanted-2");
        waitFor("the new topic", () -> receive(consumer).getTopicName().equals(named("wanted-2")));
    }
}
