package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.BatcherBuilder;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.Range;
import org.apache.pulsar.client.api.Reader;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Readers that share a topic by the hashes of keys. */
class HashRangeReaderTest extends Topic {
    private static final Range LOWER = Range.of(0, 32767);
    private static final Range UPPER = Range.of(32768, 65535);
    private static final int COUNT = 200;

    private Reader<byte[]> readerOf(Range range) throws Exception {
        return client.newReader().topic(topic).startMessageId(MessageId.earliest).keyHashRange(range).create();
    }

    private void sendKeyed(boolean isBatched, int from, int to) throws Exception {
        ProducerBuilder<byte[]> builder = producer().enableBatching(isBatched)
                .batcherBuilder(BatcherBuilder.KEY_BASED);
        try (Producer<byte[]> producer = builder.create()) {
            for (int n = from; n < to; n++) {
                producer.newMessage().key(key(n)).value(number(n)).sendAsync();
            }
            producer.flush();
        }
    }

    private static String key(int n) {
        return "k" + n % 40;
    }

    private static List<Integer> expectedIn(Range range) {
        List<Integer> numbers = new ArrayList<>();
        for (int n = 0; n < COUNT; n++) {
            if (Keys.isIn(key(n), range)) {
                numbers.add(n);
            }
        }
        return numbers;
    }

    /** In the order of the numbers: batches by key change it. */
    private static List<Integer> readAsMany(Reader<byte[]> reader, int count) throws Exception {
        List<Integer> numbers = new ArrayList<>();
        for (int at = 0; at < count; at++) {
            Message<byte[]> message = reader.readNext(20, TimeUnit.SECONDS);
            assertNotNull(message, () -> "only " + numbers);
            numbers.add(number(message));
        }
        Collections.sort(numbers);
        return numbers;
    }

    /**
     * Goal: readers of the two halves get each message once, in the half of its key, from what was
     * there before them and from what comes later.
     */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void readersOfTheHalvesShareAllKeys(boolean isBatched) throws Exception {
        sendKeyed(isBatched, 0, COUNT / 2);
        Reader<byte[]> lower = readerOf(LOWER);
        Reader<byte[]> upper = readerOf(UPPER);
        sendKeyed(isBatched, COUNT / 2, COUNT);
        for (Reader<byte[]> reader : List.of(lower, upper)) {
            List<Integer> expected = expectedIn(reader == lower ? LOWER : UPPER);
            assertFalse(expected.isEmpty());
            assertEquals(expected, readAsMany(reader, expected.size()));
            assertNull(reader.readNext(200, TimeUnit.MILLISECONDS));
        }
    }
}
