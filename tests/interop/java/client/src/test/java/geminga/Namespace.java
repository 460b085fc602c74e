package geminga;

import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.admin.PulsarAdmin;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.common.policies.data.SubscriptionStats;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/** A namespace of its own for each test, with the topic in it, and the official admin client. */
abstract class Namespace extends Topic {
    static PulsarAdmin admin;

    String namespace;

    @BeforeAll
    static void openAdmin() throws PulsarClientException {
        admin = PulsarAdmin.builder().serviceHttpUrl(System.getenv("PULSAR_WEB")).build();
    }

    @AfterAll
    static void closeAdmin() {
        admin.close();
    }

    @BeforeEach
    void makeTheNamespace() throws PulsarAdminException {
        namespace = "public/" + topic.substring(topic.lastIndexOf('/') + 1);
        admin.namespaces().createNamespace(namespace);
        topic = "persistent://" + namespace + "/t";
    }

    /** What the server says of the subscription of that name. */
    SubscriptionStats stats(String subscription) throws PulsarAdminException {
        return admin.topics().getStats(topic).getSubscriptions().get(subscription);
    }

    /** Gives up retrying after a second. */
    static PulsarClient impatientClient() throws PulsarClientException {
        return PulsarClient.builder().serviceUrl(System.getenv("PULSAR_URL"))
                .operationTimeout(1, TimeUnit.SECONDS).build();
    }
}
