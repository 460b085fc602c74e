package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.TableView;
import org.junit.jupiter.api.Test;

/** Table views follow their topic. */
class TableViewTest extends Topic {
    private TableView<String> view() throws PulsarClientException {
        return client.newTableView(Schema.STRING).topic(topic)
                .autoUpdatePartitionsInterval(1, TimeUnit.SECONDS).create();
    }

    private static void put(Producer<String> producer, String key, String value) throws PulsarClientException {
        producer.newMessage().key(key).value(value).send();
    }

    private static Map<String, String> copyOf(TableView<String> view) {
        Map<String, String> copy = new TreeMap<>();
        view.forEach(copy::put);
        return copy;
    }

    @Test
    void whatIsWrittenLaterIsSeenAndToldOf() throws Exception {
        try (Producer<String> producer = producerOf(topic, Schema.STRING); TableView<String> view = view()) {
            List<String> told = new CopyOnWriteArrayList<>();
            view.listen((key, value) -> told.add(key + "=" + value));
            put(producer, "a", "1");
            put(producer, "b", "2");
            put(producer, "a", "3");
            waitFor("three changes", () -> told.size() == 3);
            assertEquals(List.of("a=1", "b=2", "a=3"), told);
            assertEquals(Map.of("a", "3", "b", "2"), copyOf(view));
        }
    }

    @Test
    void aNullValueRemovesAKey() throws Exception {
        try (Producer<String> producer = producerOf(topic, Schema.STRING)) {
            put(producer, "a", "1");
            put(producer, "b", "2");
            put(producer, "b", null);
            try (TableView<String> view = view()) {
                assertEquals(Set.of("a"), view.keySet());
                put(producer, "a", null);
                waitFor("empty", view::isEmpty);
                assertNull(view.get("a"));
            }
        }
    }

    @Test
    void aPartitionThatIsAddedIsFollowed() throws Exception {
        makePartitions(1);
        try (TableView<String> view = view()) {
            rest("POST", restPath() + "/partitions", "2");
            String added = topic + "-partition-1";
            try (Producer<String> producer = producerOf(added, Schema.STRING)) {
                put(producer, "a", "1");
            }
            Map<String, String> seen = new ConcurrentSkipListMap<>();
            view.forEachAndListen(seen::put);
            waitFor("the key of the new partition", () -> seen.equals(Map.of("a", "1")));
        }
    }
}
