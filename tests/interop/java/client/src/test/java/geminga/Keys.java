package geminga;

import java.nio.charset.StandardCharsets;
import org.apache.pulsar.client.api.KeySharedPolicy;
import org.apache.pulsar.client.api.Range;
import org.apache.pulsar.common.util.Murmur3_32Hash;

/** Where Pulsar puts a key. */
final class Keys {
    private static final int SLOTS = 65536;

    private Keys() {
    }

    static int slot(String key) {
        return Murmur3_32Hash.getInstance().makeHash(key.getBytes(StandardCharsets.UTF_8)) % SLOTS;
    }

    static boolean isIn(String key, Range... ranges) {
        int slot = slot(key);
        for (Range range : ranges) {
            if (range.getStart() <= slot && slot <= range.getEnd()) {
                return true;
            }
        }
        return false;
    }

    static KeySharedPolicy sticky(Range... ranges) {
        return KeySharedPolicy.stickyHashRange().ranges(ranges);
    }
}
