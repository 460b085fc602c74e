package geminga;

import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import org.apache.pulsar.client.api.CryptoKeyReader;
import org.apache.pulsar.client.api.EncryptionKeyInfo;

/** One pair of keys, whatever the name. */
final class Keyring implements CryptoKeyReader {
    /** What PKCS #8 puts before a key of this size; the client knows the key alone, PKCS #1. */
    private static final int BEFORE_KEY = 26;

    private final byte[] publicKey;
    private final byte[] privateKey;

    Keyring() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        KeyPair pair = generator.generateKeyPair();
        publicKey = pem("PUBLIC KEY", pair.getPublic().getEncoded());
        byte[] inside = pair.getPrivate().getEncoded();
        privateKey = pem("RSA PRIVATE KEY", Arrays.copyOfRange(inside, BEFORE_KEY, inside.length));
    }

    private static byte[] pem(String what, byte[] key) {
        String text = Base64.getMimeEncoder().encodeToString(key);
        return String.format("-----BEGIN %s-----%n%s%n-----END %s-----%n", what, text, what).getBytes();
    }

    @Override
    public EncryptionKeyInfo getPublicKey(String name, Map<String, String> metadata) {
        return new EncryptionKeyInfo(publicKey, metadata);
    }

    @Override
    public EncryptionKeyInfo getPrivateKey(String name, Map<String, String> metadata) {
        return new EncryptionKeyInfo(privateKey, metadata);
    }
}
