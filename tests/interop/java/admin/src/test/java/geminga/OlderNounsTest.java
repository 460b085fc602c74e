package geminga;

import java.util.List;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.impl.MessageIdImpl;
import org.junit.jupiter.api.Test;

/** The nouns from before `topics` and `tenants`, which scripts still use. */
class OlderNounsTest extends MessageScript {
    @Test
    void properties() {
        String name = tenant + "-2";
        run("properties create " + name + " -r app -c standalone");
        finds("properties list", name);
        finds("properties get " + name, "'adminRoles' : \\[ 'app' \\]");
        run("properties update " + name + " -r other -c standalone");
        finds("tenants get " + name, "'adminRoles' : \\[ 'other' \\]");
        run("properties delete " + name);
        refuses("properties get " + name, "does not exist");
    }

    @Test
    void subscriptions() throws Exception {
        List<MessageId> ids = send("apple", "bread", "cheese");
        run("persistent create-subscription TOPIC -s sub -m earliest");
        prints("persistent subscriptions TOPIC", "sub");
        finds("persistent stats TOPIC", "'msgBacklog' : 3");
        MessageIdImpl first = (MessageIdImpl) ids.get(0);
        finds("persistent peek-messages TOPIC -s sub -n 2", "(?s)apple.*bread");
        finds("persistent get-message-by-id TOPIC -l " + first.getLedgerId() + " -e " + first.getEntryId(), "apple");
        finds("persistent last-message-id TOPIC", "'entryId' : " + (first.getEntryId() + 2));
        run("persistent skip TOPIC -s sub -n 1");
        backlogIs("sub", 2);
        run("persistent skip-all TOPIC -s sub");
        backlogIs("sub", 0);
        run("persistent reset-cursor TOPIC -s sub -t 1h");
        backlogIs("sub", 3);
        Thread.sleep(1100); // The age is in whole seconds.
        run("persistent expire-messages TOPIC -s sub -t 1");
        backlogIs("sub", 0);
        run("persistent reset-cursor TOPIC -s sub -t 1h");
        subscribe("two");
        run("persistent expire-messages-all-subscriptions TOPIC -t 1");
        backlogIs("sub", 0);
        holds("two too", () -> backlog("two") == 0);
        run("persistent unsubscribe TOPIC -s sub");
        prints("topics subscriptions TOPIC", "two");
    }

    @Test
    void topics() throws Exception {
        subscribe("sub");
        send("a1", "a2", "b1");
        finds("persistent list NS", "TOPIC");
        finds("persistent lookup TOPIC", "pulsar://.+:\\d+");
        finds("persistent bundle-range TOPIC", "0x[0-9a-f]{8}_0x[0-9a-f]{8}");
        finds("persistent stats-internal TOPIC", "'entriesAddedCounter' : 3");
        finds("persistent info-internal TOPIC", "ledgerId");
        run("persistent compact TOPIC");
        finds("persistent compaction-status TOPIC -w", "Compaction was a success");
        holds("the two last", () -> admin.topics().getInternalStats(topic).compactedLedger.entries == 2);
        run("persistent unload TOPIC");
        holds("it counts anew", () -> admin.topics().getStats(topic).getMsgInCounter() == 0);
        run("persistent truncate TOPIC");
        backlogIs("sub", 0);
        run("persistent grant-permission TOPIC --role app --actions produce");
        finds("persistent permissions TOPIC", "app +\\[produce\\]");
        run("persistent revoke-permission TOPIC --role app");
        prints("persistent permissions TOPIC", "");
        run("persistent terminate TOPIC");
        holds("no more messages", () -> admin.topics().getInternalStats(topic).state.equals("Terminated"));
        run("persistent unsubscribe TOPIC -s sub");
        run("persistent delete TOPIC");
        prints("topics list NS", "");
    }

    @Test
    void partitions() {
        run("persistent create-partitioned-topic TOPIC -p 2");
        finds("persistent list-partitioned-topics NS", "TOPIC");
        run("persistent update-partitioned-topic TOPIC -p 3");
        finds("persistent get-partitioned-topic-metadata TOPIC", "'partitions' : 3");
        finds("persistent partitioned-stats TOPIC --per-partition", "TOPIC-partition-2");
        finds("persistent partitioned-stats-internal TOPIC", "TOPIC-partition-2");
        run("persistent delete-partitioned-topic TOPIC");
        prints("persistent list-partitioned-topics NS", "");
    }

    @Test
    void nonPersistent() throws Exception {
        run("non-persistent create-partitioned-topic non-TOPIC -p 2");
        finds("non-persistent get-partitioned-topic-metadata non-TOPIC", "'partitions' : 2");
        finds("non-persistent lookup non-TOPIC-2", "pulsar://.+:\\d+");
        String used = "non-" + topic + "-2";
        try (Producer<String> producer = client.newProducer(Schema.STRING).topic(used).create()) {
            producer.send("a");
            finds("non-persistent stats " + used, "'producerName' : '" + producer.getProducerName() + "'");
            finds("non-persistent list NS", used);
            String bundle = run("topics bundle-range " + used).strip();
            finds("non-persistent list-in-bundle NS -b " + bundle, used);
        }
    }
}
