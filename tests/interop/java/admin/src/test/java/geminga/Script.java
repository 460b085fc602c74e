package geminga;

import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pulsar.client.admin.PulsarAdmin;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.common.policies.data.TenantInfo;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/**
 * A tenant of its own for each test, a namespace in it, and the name of a topic.
 *
 * <p>In commands TENANT, NS and TOPIC stand for them; a check by another means has the admin client.
 */
abstract class Script {
    /** What is printed of `-md 5 -bd 6 -dt 2`. */
    static final String DISPATCH_RATE = "{ 'dispatchThrottlingRateInMsg' : 5, "
            + "'dispatchThrottlingRateInByte' : 6, 'relativeToPublishRate' : false, 'ratePeriodInSecond' : 2 }";

    private static final AtomicInteger TENANTS = new AtomicInteger();

    static PulsarAdmin admin;

    String tenant;
    String namespace;
    String topic;

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
        tenant = "tool-" + ProcessHandle.current().pid() + "-" + TENANTS.incrementAndGet();
        namespace = tenant + "/n";
        topic = "persistent://" + namespace + "/t";
        admin.tenants().createTenant(tenant, TenantInfo.builder().allowedClusters(Set.of("standalone")).build());
        admin.namespaces().createNamespace(namespace, 4);
    }

    @AfterEach
    void deleteTheTenant() throws PulsarAdminException {
        admin.namespaces().deleteNamespace(namespace, true);
        admin.tenants().deleteTenant(tenant);
        Tool.nothingUnseen();
    }

    /** Unset, set, looked at, removed, unset. */
    void policy(String noun, String of, String name, String options, String printed) {
        prints(noun + " get-" + name + " " + of, "null");
        run(noun + " set-" + name + " " + of + " " + options);
        prints(noun + " get-" + name + " " + of, printed);
        run(noun + " remove-" + name + " " + of);
        prints(noun + " get-" + name + " " + of, "null");
    }

    String run(String command) {
        return Tool.run(named(command));
    }

    void prints(String command, String expected) {
        Tool.prints(named(command), named(expected));
    }

    String finds(String command, String pattern) {
        return Tool.finds(named(command), named(pattern));
    }

    void refuses(String command, String why) {
        Tool.refuses(named(command), why);
    }

    void holds(String what, Tool.Condition condition) throws Exception {
        Tool.holds(what, condition);
    }

    /** Quotes are written as apostrophes, so that JSON can be read. */
    private String named(String text) {
        return text.replace('\'', '"').replace("TENANT", tenant).replace("NS", namespace).replace("TOPIC", topic);
    }
}
