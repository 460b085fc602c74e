package geminga;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;

/** Runs last: how much of `pulsar-admin` the scripts have used. */
@Order(Integer.MAX_VALUE)
class OperationsTest {
    private static final int AT_LEAST = 150;

    @Test
    void theScriptsUseMostOfTheTool() {
        Set<String> operations = Tool.operations();
        System.out.println(operations.size() + " operations of pulsar-admin, each with a look at what it did");
        assertTrue(AT_LEAST <= operations.size(), () -> operations.size() + " operations: " + operations);
    }
}
