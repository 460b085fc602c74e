package geminga;

import java.util.ArrayList;
import java.util.List;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.Schema;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** A script whose topics have messages, so that what happens to them shows. */
abstract class MessageScript extends Script {
    static PulsarClient client;

    @BeforeAll
    static void connect() throws Exception {
        client = PulsarClient.builder().serviceUrl(System.getenv("PULSAR_URL")).build();
    }

    @AfterAll
    static void disconnect() throws Exception {
        client.close();
    }

    /** One message in each entry. */
    List<MessageId> send(String... texts) throws Exception {
        List<MessageId> ids = new ArrayList<>();
        try (Producer<String> producer = client.newProducer(Schema.STRING).topic(topic).enableBatching(false).create()) {
            for (String text : texts) {
                ids.add(producer.newMessage().key(text.substring(0, 1)).property("p", text).value(text).send());
            }
        }
        return ids;
    }

    void subscribe(String... names) throws Exception {
        for (String name : names) {
            admin.topics().createSubscription(topic, name, MessageId.earliest);
        }
    }

    long backlog(String subscription) throws Exception {
        return admin.topics().getStats(topic, true).getSubscriptions().get(subscription).getMsgBacklog();
    }

    void backlogIs(String subscription, long count) throws Exception {
        holds("a backlog of " + count + " in " + subscription, () -> backlog(subscription) == count);
    }
}
