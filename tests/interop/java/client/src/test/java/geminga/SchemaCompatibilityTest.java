package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.PulsarClientException.IncompatibleSchemaException;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.common.policies.data.SchemaCompatibilityStrategy;
import org.apache.pulsar.common.schema.SchemaInfo;
import org.apache.pulsar.common.schema.SchemaType;
import org.apache.pulsar.shade.org.apache.avro.SchemaValidationException;
import org.apache.pulsar.shade.org.apache.avro.SchemaValidatorBuilder;
import org.junit.jupiter.api.Test;

/**
 * The table of what may follow what, which the server's own tests have too: held to the client's Avro
 * library, which is also the one of Pulsar's brokers, and to what a producer meets.
 */
class SchemaCompatibilityTest extends Namespace {
    private static final Path TABLE = Path.of(System.getProperty("geminga.schemas"), "compatibility.json");
    private static final List<SchemaCompatibilityStrategy> OF_AVRO = List.of(
            SchemaCompatibilityStrategy.BACKWARD, SchemaCompatibilityStrategy.FORWARD,
            SchemaCompatibilityStrategy.FULL, SchemaCompatibilityStrategy.BACKWARD_TRANSITIVE,
            SchemaCompatibilityStrategy.FORWARD_TRANSITIVE, SchemaCompatibilityStrategy.FULL_TRANSITIVE);

    /** A schema that is sent as it is. */
    private record Raw(SchemaInfo info) implements Schema<byte[]> {
        Raw(String kind, JsonNode definition) {
            this(SchemaInfo.builder().name("s").type(SchemaType.valueOf(kind)).properties(Map.of())
                    .schema(definition.toString().getBytes(StandardCharsets.UTF_8)).build());
        }

        @Override
        public byte[] encode(byte[] message) {
            return message;
        }

        @Override
        public SchemaInfo getSchemaInfo() {
            return info;
        }

        @Override
        public Schema<byte[]> clone() {
            return this;
        }
    }

    private static JsonNode table() throws Exception {
        return new ObjectMapper().readTree(TABLE.toFile());
    }

    private static org.apache.pulsar.shade.org.apache.avro.Schema parsed(JsonNode definition) {
        var parser = new org.apache.pulsar.shade.org.apache.avro.Schema.Parser();
        parser.setValidateDefaults(false);
        parser.setValidate(false);
        return parser.parse(definition.toString());
    }

    private static boolean isAccepted(SchemaCompatibilityStrategy strategy, JsonNode row) {
        var builder = new SchemaValidatorBuilder();
        var reading = switch (strategy) {
            case BACKWARD, BACKWARD_TRANSITIVE -> builder.canReadStrategy();
            case FORWARD, FORWARD_TRANSITIVE -> builder.canBeReadStrategy();
            default -> builder.mutualReadStrategy();
        };
        boolean countsAll = strategy.name().endsWith("TRANSITIVE");
        var validator = countsAll ? reading.validateAll() : reading.validateLatest();
        List<org.apache.pulsar.shade.org.apache.avro.Schema> newestFirst = new ArrayList<>();
        row.get("versions").forEach(version -> newestFirst.add(0, parsed(version)));
        try {
            validator.validate(parsed(row.get("new")), newestFirst);
            return true;
        } catch (SchemaValidationException | RuntimeException refused) {
            return false;
        }
    }

    @Test
    void theTableIsWhatTheClientsAvroSays() throws Exception {
        for (JsonNode row : table()) {
            TreeSet<String> accepting = new TreeSet<>();
            OF_AVRO.stream().filter(strategy -> isAccepted(strategy, row)).forEach(it -> accepting.add(it.name()));
            TreeSet<String> told = new TreeSet<>();
            row.get("accepted_by").forEach(strategy -> told.add(strategy.asText()));
            assertEquals(accepting, told, row.get("name").asText());
        }
    }

    @Test
    void aProducerMeetsTheTable() throws Exception {
        List<String> wrong = new ArrayList<>();
        for (SchemaCompatibilityStrategy strategy : SchemaCompatibilityStrategy.values()) {
            if (strategy != SchemaCompatibilityStrategy.UNDEFINED) {
                wrong.addAll(wrongVerdicts(strategy));
            }
        }
        assertEquals(List.of(), wrong);
    }

    private List<String> wrongVerdicts(SchemaCompatibilityStrategy strategy) throws Exception {
        // What there is need not follow each other by the strategy that is tried.
        admin.namespaces().setSchemaCompatibilityStrategy(namespace, SchemaCompatibilityStrategy.ALWAYS_COMPATIBLE);
        for (JsonNode row : table()) {
            for (JsonNode kind : row.get("kinds")) {
                for (JsonNode version : row.get("versions")) {
                    assertTrue(isTaken(topicOf(strategy, row, kind), new Raw(kind.asText(), version)));
                }
            }
        }
        admin.namespaces().setSchemaCompatibilityStrategy(namespace, strategy);
        List<String> wrong = new ArrayList<>();
        for (JsonNode row : table()) {
            for (JsonNode kind : row.get("kinds")) {
                boolean taken = isTaken(topicOf(strategy, row, kind), new Raw(kind.asText(), row.get("new")));
                if (taken != isExpected(strategy, row)) {
                    wrong.add(strategy + ", " + kind + ", " + row.get("name") + ": taken is " + taken);
                }
            }
        }
        return wrong;
    }

    private static boolean isExpected(SchemaCompatibilityStrategy strategy, JsonNode row) {
        JsonNode versions = row.get("versions");
        return switch (strategy) {
            case ALWAYS_COMPATIBLE -> true;
            case ALWAYS_INCOMPATIBLE -> versions.get(versions.size() - 1).equals(row.get("new"))
                    || row.get("name").asText().startsWith("documentation");
            default -> {
                for (JsonNode accepting : row.get("accepted_by")) {
                    if (accepting.asText().equals(strategy.name())) {
                        yield true;
                    }
                }
                yield false;
            }
        };
    }

    private String topicOf(SchemaCompatibilityStrategy strategy, JsonNode row, JsonNode kind) {
        String name = row.get("name").asText().replaceAll("[^a-z]+", "-");
        return topic + "-" + strategy + "-" + kind.asText() + "-" + name;
    }

    private static boolean isTaken(String topic, Schema<byte[]> schema) throws PulsarClientException {
        try (Producer<byte[]> producer = producerOf(topic, schema)) {
            return true;
        } catch (IncompatibleSchemaException refused) {
            return false;
        }
    }
}
