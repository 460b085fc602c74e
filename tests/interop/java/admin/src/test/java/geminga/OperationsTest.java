package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;

/** Runs last: how much of `pulsar-admin` the scripts have used. */
@Order(Integer.MAX_VALUE)
class OperationsTest {
    private static final int AT_LEAST = 150;

    /** Not of this server, or not to be seen by what the tool prints; why, each. */
    private static final Map<String, String> LEFT_OUT = Map.of(
            "documents generate", "asks no server",
            "functions localrun", "runs here",
            "sinks localrun", "runs here",
            "sink localrun", "runs here",
            "sources localrun", "runs here",
            "source localrun", "runs here",
            "schemas compatibility", "prints nothing, whatever the answer",
            "topicPolicies get-dispatcher-pause-on-ack-state-persistent", "prints a future");

    @Test
    void theScriptsUseMostOfTheTool() {
        Set<String> operations = Tool.operations();
        System.out.println(operations.size() + " operations of pulsar-admin, each with a look at what it did");
        assertTrue(AT_LEAST <= operations.size(), () -> operations.size() + " operations: " + operations);
    }

    @Test
    void whatIsLeftOutIsNamed() {
        assertEquals(new TreeSet<>(LEFT_OUT.keySet()), Tool.untried());
    }
}
