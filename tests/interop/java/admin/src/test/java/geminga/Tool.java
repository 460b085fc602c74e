package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.pulsar.admin.cli.PulsarAdminTool;

/**
 * The official `pulsar-admin`, whose commands all run in this JVM.
 *
 * <p>An operation is a command's noun and verb. It counts once its effect was seen: what a command prints was
 * compared, or a check came after it.
 */
final class Tool extends PulsarAdminTool {
    private static final Duration PATIENCE = Duration.ofSeconds(10);
    /** Of all tests, of which one runs at a time. */
    private static final Set<String> SEEN = new TreeSet<>();
    private static final Set<String> UNSEEN = new TreeSet<>();
    private static final Set<String> REFUSED = new TreeSet<>();
    private static final Tool TOOL = open();

    private Tool(Properties properties) throws Exception {
        super(properties);
    }

    private static Tool open() {
        Properties properties = new Properties();
        properties.setProperty("webServiceUrl", System.getenv("PULSAR_WEB"));
        try {
            return new Tool(properties);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** The operations whose effect was seen. */
    static Set<String> operations() {
        return SEEN;
    }

    /** The operations of the tool that were neither seen nor refused: those that nobody has tried. */
    static Set<String> untried() {
        Set<String> untried = new TreeSet<>();
        TOOL.commander.getSubcommands().forEach((noun, verbs) -> verbs.getSubcommands().values().forEach(verb -> {
            String operation = noun + " " + verb.getCommandName();
            if (!SEEN.contains(operation) && !REFUSED.contains(operation)) {
                untried.add(operation);
            }
        }));
        return untried;
    }

    /** Runs a command that must succeed, and returns what it prints. Its effect is to be checked next. */
    static String run(String command) {
        Run run = TOOL.execute(command);
        assertEquals(0, run.status, () -> "`" + command + "` failed: " + run.output);
        UNSEEN.add(operation(command));
        return run.output;
    }

    /** Runs a command that must succeed, and print exactly this, whatever its white space. */
    static void prints(String command, String expected) {
        String output = run(command);
        assertEquals(squeezed(expected), squeezed(output), () -> "what `" + command + "` prints");
        seen();
    }

    /** Runs a command that must succeed and print what the pattern finds; returns its first group, if any. */
    static String finds(String command, String pattern) {
        String output = run(command);
        Matcher matcher = Pattern.compile(pattern).matcher(output);
        assertTrue(matcher.find(), () -> "`" + command + "` prints no " + pattern + ": " + output);
        seen();
        return matcher.groupCount() > 0 ? matcher.group(1) : "";
    }

    /** Runs a command that must fail and say why: what those before it did. It is no operation that counts. */
    static void refuses(String command, String why) {
        Run run = TOOL.execute(command);
        assertNotEquals(0, run.status, () -> "`" + command + "` succeeds: " + run.output);
        assertTrue(run.output.contains(why), () -> "`" + command + "` says no " + why + ": " + run.output);
        REFUSED.add(operation(command));
        seen();
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    /** Waits for the effect of the commands before, which is seen by other means than this tool. */
    static void holds(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            assertTrue(System.nanoTime() < deadline, () -> "after " + UNSEEN + ", not in " + PATIENCE + ": " + what);
            Thread.sleep(10);
        }
        seen();
    }

    /** That nothing was run without a look at what it did; the end of each test. */
    static void nothingUnseen() {
        Set<String> unseen = Set.copyOf(UNSEEN);
        UNSEEN.clear();
        assertEquals(Set.of(), unseen, "operations whose effect nobody looked at");
    }

    private static void seen() {
        SEEN.addAll(UNSEEN);
        UNSEEN.clear();
    }

    private static String operation(String command) {
        String[] words = command.split(" ");
        return words[0] + " " + words[1];
    }

    private static String squeezed(String text) {
        return text.strip().replaceAll("\\s+", " ");
    }

    private record Run(int status, String output) {}

    /** Some commands print by the command line's streams, some by the process's, and some close them. */
    private Run execute(String command) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        PrintStream capture = new PrintStream(written, true);
        commander.setOut(new PrintWriter(capture, true));
        commander.setErr(new PrintWriter(capture, true));
        System.setOut(capture);
        System.setErr(capture);
        try {
            int status = commander.execute(command.split(" +"));
            return new Run(status, written.toString());
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
    }
}
