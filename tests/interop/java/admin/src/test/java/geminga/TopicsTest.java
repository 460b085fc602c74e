package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.impl.MessageIdImpl;
import org.junit.jupiter.api.Test;

/** Topics, partitions, subscriptions and messages. */
class TopicsTest extends MessageScript {
    private String id(MessageId id) {
        MessageIdImpl found = (MessageIdImpl) id;
        return found.getLedgerId() + ":" + found.getEntryId();
    }

    @Test
    void aTopicIsMadeListedAndDeleted() {
        run("topics create TOPIC -m a=b");
        finds("topics list NS", "TOPIC");
        finds("topics get-properties TOPIC", "a +b");
        run("topics update-properties TOPIC -p c=d");
        finds("topics get-properties TOPIC", "c +d");
        run("topics remove-properties TOPIC -k a");
        prints("topics get-properties TOPIC", "c d");
        finds("topics lookup TOPIC", "pulsar://.+:\\d+");
        finds("topics bundle-range TOPIC", "0x[0-9a-f]{8}_0x[0-9a-f]{8}");
        run("topics delete TOPIC");
        prints("topics list NS", "");
    }

    @Test
    void partitions() throws Exception {
        run("topics create-partitioned-topic TOPIC -p 2 -m a=b");
        finds("topics list-partitioned-topics NS", "TOPIC");
        finds("topics get-partitioned-topic-metadata TOPIC", "'partitions' : 2");
        run("topics update-partitioned-topic TOPIC -p 3");
        finds("topics get-partitioned-topic-metadata TOPIC", "'partitions' : 3");
        finds("topics partitioned-lookup TOPIC", "TOPIC-partition-2");
        finds("topics partitioned-stats TOPIC --per-partition", "TOPIC-partition-1");
        finds("topics partitioned-stats-internal TOPIC", "TOPIC-partition-1");
        run("topics create-subscription TOPIC -s sub");
        prints("topics subscriptions TOPIC", "sub");
        admin.topics().delete(topic + "-partition-1", true);
        run("topics create-missed-partitions TOPIC");
        holds("partition 1 is back", () -> admin.topics().getList(namespace).contains(topic + "-partition-1"));
        run("topics partitioned-terminate TOPIC");
        holds("no more messages", () -> admin.topics().getInternalStats(topic + "-partition-0").state.equals("Terminated"));
        run("topics delete-partitioned-topic TOPIC -f");
        prints("topics list-partitioned-topics NS", "");
    }

    @Test
    void aSubscriptionIsMadeChangedAndRemoved() throws Exception {
        send("a", "b", "c");
        run("topics create-subscription TOPIC -s sub -m earliest -p x=y");
        prints("topics subscriptions TOPIC", "sub");
        finds("topics get-subscription-properties TOPIC -s sub", "'x':'y'");
        run("topics update-subscription-properties TOPIC -s sub -p z=1");
        finds("topics get-subscription-properties TOPIC -s sub", "'z':'1'");
        backlogIs("sub", 3);
        run("topics skip TOPIC -s sub -n 1");
        backlogIs("sub", 2);
        run("topics clear-backlog TOPIC -s sub");
        backlogIs("sub", 0);
        run("topics reset-cursor TOPIC -s sub -t 1h");
        backlogIs("sub", 3);
        run("topics unsubscribe TOPIC -s sub");
        prints("topics subscriptions TOPIC", "");
    }

    @Test
    void messagesAreLookedAt() throws Exception {
        subscribe("sub");
        List<MessageId> ids = send("apple", "bread", "cheese");
        MessageIdImpl second = (MessageIdImpl) ids.get(1);
        finds("topics peek-messages TOPIC -s sub -n 2", "(?s)apple.*bread");
        finds("topics examine-messages TOPIC -i latest -m 1", "cheese");
        finds("topics get-message-by-id TOPIC -l " + second.getLedgerId() + " -e " + second.getEntryId(), "bread");
        finds("topics get-message-id TOPIC -d 2020-01-01T00:00:00Z", "(?s)'ledgerId' : " + second.getLedgerId() + ",.*'entryId' : " + (second.getEntryId() - 1));
        finds("topics last-message-id TOPIC", "(?s)" + second.getLedgerId() + ".*" + (second.getEntryId() + 1));
        finds("topics analyze-backlog TOPIC -s sub", "'entries' : 3");
        finds("topics stats TOPIC -gpb", "'msgBacklog' : 3");
        finds("topics stats-internal TOPIC", "'entriesAddedCounter' : 3");
        finds("topics info-internal TOPIC", "'ledgerId': " + second.getLedgerId());
        String size = run("topics get-backlog-size TOPIC -m " + id(ids.get(0))).strip();
        assertEquals(admin.topics().getBacklogSizeByMessageId(topic, ids.get(0)), Long.parseLong(size));
        holds("a size", () -> Long.parseLong(size) > 0);
    }

    @Test
    void messagesExpire() throws Exception {
        subscribe("one", "two");
        List<MessageId> ids = send("a", "b", "c");
        run("topics expire-messages TOPIC -s one -p " + id(ids.get(1)));
        backlogIs("one", 1);
        Thread.sleep(1100); // The age is in whole seconds.
        run("topics expire-messages-all-subscriptions TOPIC -t 1");
        backlogIs("one", 0);
        holds("two too", () -> backlog("two") == 0);
    }

    @Test
    void aTopicIsCompactedUnloadedTruncatedAndEnded() throws Exception {
        subscribe("sub");
        send("a1", "a2", "b1");
        run("topics compact TOPIC");
        finds("topics compaction-status TOPIC -w", "Compaction was a success");
        finds("topics offload-status TOPIC", "Offload has not been run");
        holds("what it counted", () -> admin.topics().getStats(topic).getMsgInCounter() == 3);
        run("topics unload TOPIC");
        holds("it counts anew", () -> admin.topics().getStats(topic).getMsgInCounter() == 0);
        holds("it has its messages", () -> backlog("sub") == 3);
        run("topics truncate TOPIC");
        backlogIs("sub", 0);
        send("c1");
        run("topics clear-backlog TOPIC -s sub");
        run("topics trim-topic TOPIC");
        backlogIs("sub", 0);
        finds("topics terminate TOPIC", "terminated at \\d+:\\d+");
        try (Consumer<String> consumer = client.newConsumer(Schema.STRING).topic(topic).subscriptionName("sub").subscribe()) {
            holds("its end is reached", consumer::hasReachedEndOfTopic);
        }
    }

    @Test
    void permissions() {
        run("topics create TOPIC");
        run("topics grant-permission TOPIC -r app -a produce,consume");
        finds("topics permissions TOPIC", "app +\\[(produce, consume|consume, produce)\\]");
        run("topics revoke-permission TOPIC -r app");
        prints("topics permissions TOPIC", "");
        run("namespaces grant-permission NS --role app --actions produce");
        finds("namespaces permissions NS", "app +\\[produce\\]");
        run("namespaces revoke-permission NS --role app");
        prints("namespaces permissions NS", "");
        run("namespaces grant-subscription-permission NS --subscription sub --roles app");
        finds("namespaces subscription-permission NS", "sub +\\[app\\]");
        run("namespaces revoke-subscription-permission NS --subscription sub --role app");
        prints("namespaces subscription-permission NS", "");
    }
}
