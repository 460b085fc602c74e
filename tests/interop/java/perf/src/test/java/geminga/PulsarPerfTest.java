package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Pulsar's own load tool, as it is published, in processes of its own. */
@Execution(ExecutionMode.CONCURRENT) // The tool waits at its end, for its statistics.
class PulsarPerfTest {
    private static final String URL = System.getenv("PULSAR_URL");
    private static final String WEB = System.getenv("PULSAR_WEB");

    @TempDir
    Path directory;

    private final List<Process> running = new ArrayList<>();

    @AfterEach
    void endWhatRuns() {
        running.forEach(Process::destroyForcibly);
    }

    @Test
    void batchedMessagesAreProducedAndConsumed() throws Exception {
        String topic = "persistent://public/default/perf-batched";
        Perf consumer = new Perf("consume", "-u", URL, "-sp", "Earliest", "-m", "20000", topic);
        Perf producer = new Perf("produce", "-u", URL, "-r", "10000", "-s", "256", "-m", "20000", topic);
        producer.assertCounted(20_000, "sent");
        consumer.assertCounted(20_000, "received");
    }

    @Test
    void compressedSinglesOfPartitionsAreProducedAndConsumed() throws Exception {
        String topic = "persistent://public/default/perf-single";
        HttpRequest request = HttpRequest.newBuilder()
                .uri(URI.create(WEB + topic.replace("persistent://", "/admin/v2/persistent/") + "/partitions"))
                .header("Content-Type", "application/json")
                .PUT(HttpRequest.BodyPublishers.ofString("3"))
                .build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        assertEquals(204, answer.statusCode(), answer.body());
        Perf consumer = new Perf("consume", "-u", URL, "-st", "Shared", "-ss", "s", "-sp", "Earliest",
                "-m", "3000", topic);
        Perf producer = new Perf("produce", "-u", URL, "-r", "1000", "-s", "1024", "-m", "3000", "-db",
                "-z", "LZ4", topic);
        producer.assertCounted(3_000, "sent");
        consumer.assertCounted(3_000, "received");
    }

    /** A run of the tool. */
    private final class Perf {
        private final Process process;
        private final Path output;

        Perf(String... arguments) throws Exception {
            Path configuration = Files.createTempFile(directory, "client", ".conf");
            output = Files.createTempFile(directory, "output", ".txt");
            List<String> command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-Xmx512m",
                    "-XX:TieredStopAtLevel=1",
                    "-cp", System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
                    "org.apache.pulsar.testclient.PulsarPerfTestTool",
                    configuration.toString()));
            command.addAll(List.of(arguments));
            process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile()).start();
            running.add(process);
        }

        /** Waits for the end, which must be a success after at least `count` messages. */
        void assertCounted(long count, String verb) throws Exception {
            boolean hasEnded = process.waitFor(60, TimeUnit.SECONDS);
            String text = Files.readString(output);
            assertTrue(hasEnded, () -> "still running: " + text);
            assertEquals(0, process.exitValue(), text);
            assertTrue(count <= records(text, verb), text);
        }
    }

    private static long records(String output, String verb) {
        Matcher matcher = Pattern.compile("Aggregated throughput stats --- (\\d+) records " + verb).matcher(output);
        assertTrue(matcher.find(), () -> "no summary: " + output);
        return Long.parseLong(matcher.group(1));
    }
}
