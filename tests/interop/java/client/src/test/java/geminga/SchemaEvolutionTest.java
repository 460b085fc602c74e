package geminga;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.client.admin.Schemas;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.PulsarClientException.IncompatibleSchemaException;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.schema.GenericRecord;
import org.apache.pulsar.common.policies.data.SchemaAutoUpdateCompatibilityStrategy;
import org.apache.pulsar.common.policies.data.SchemaCompatibilityStrategy;
import org.apache.pulsar.common.schema.KeyValue;
import org.apache.pulsar.common.schema.KeyValueEncodingType;
import org.junit.jupiter.api.Test;

/** Schemas that change while producers and consumers are there, by policies that act at once. */
class SchemaEvolutionTest extends Namespace {
    public static class First {
        public String a;

        public First() {
        }

        First(String a) {
            this.a = a;
        }
    }

    /** Reads what was written as {@link First}, and is read as it. */
    public static class Second {
        public String a;
        public Integer b;

        public Second() {
        }

        Second(String a, int b) {
            this.a = a;
            this.b = b;
        }
    }

    /** Neither reads the others, nor is read. */
    public static class Other {
        public int a;
    }

    private static <T> Schema<T> avro(Class<T> kind) {
        return Schema.AVRO(kind);
    }

    private <T> Consumer<T> subscribe(Schema<T> schema) throws PulsarClientException {
        return client.newConsumer(schema).topic(topic).subscriptionName("s" + System.nanoTime())
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest).subscribe();
    }

    private static long version(Message<?> message) {
        return ByteBuffer.wrap(message.getSchemaVersion()).getLong();
    }

    private static Schemas schemas() {
        return admin.schemas();
    }

    @Test
    void oldAndNewReadersReadOldAndNewMessages() throws Exception {
        try (Producer<First> first = producerOf(topic, avro(First.class));
                Producer<Second> second = producerOf(topic, avro(Second.class))) {
            first.send(new First("x"));
            second.send(new Second("y", 7));
        }
        try (Consumer<Second> consumer = subscribe(avro(Second.class))) {
            Message<Second> old = receive(consumer);
            assertEquals(0, version(old));
            assertEquals("x", old.getValue().a);
            assertEquals(null, old.getValue().b);
            Message<Second> recent = receive(consumer);
            assertEquals(1, version(recent));
            assertEquals(7, recent.getValue().b);
        }
        try (Consumer<First> consumer = subscribe(avro(First.class))) {
            assertEquals("x", receive(consumer).getValue().a);
            assertEquals("y", receive(consumer).getValue().a);
        }
        assertEquals(2, schemas().getAllSchemas(topic).size());
        assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, avro(Other.class)));
        assertThrows(IncompatibleSchemaException.class, () -> subscribe(avro(Other.class)));
        assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, Schema.JSON(First.class)));
    }

    @Test
    void jsonEvolvesToo() throws Exception {
        try (Producer<First> first = producerOf(topic, Schema.JSON(First.class));
                Producer<Second> second = producerOf(topic, Schema.JSON(Second.class));
                Consumer<Second> consumer = subscribe(Schema.JSON(Second.class))) {
            first.send(new First("x"));
            second.send(new Second("y", 7));
            assertEquals("x", receive(consumer).getValue().a);
            assertEquals(7, receive(consumer).getValue().b);
        }
        assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, Schema.JSON(Other.class)));
    }

    @Test
    void aConsumerThatKnowsNoSchemaFollowsTheVersions() throws Exception {
        // It is there before the first schema, and does not keep it from being set.
        try (Consumer<GenericRecord> consumer = subscribe(Schema.AUTO_CONSUME());
                Consumer<Second> typed = subscribe(avro(Second.class));
                Producer<First> first = producerOf(topic, avro(First.class));
                Producer<Second> second = producerOf(topic, avro(Second.class))) {
            first.send(new First("x"));
            second.send(new Second("y", 7));
            GenericRecord old = receive(consumer).getValue();
            assertEquals(List.of("a"), old.getFields().stream().map(field -> field.getName()).toList());
            GenericRecord recent = receive(consumer).getValue();
            assertEquals(7, recent.getField("b"));
            assertEquals("x", receive(typed).getValue().a);
        }
    }

    @Test
    void aProducerOfManySchemasRegistersThem() throws Exception {
        try (Producer<First> producer = client.newProducer(avro(First.class)).topic(topic).enableMultiSchema(true)
                .create();
                Consumer<GenericRecord> consumer = subscribe(Schema.AUTO_CONSUME())) {
            producer.send(new First("x"));
            producer.newMessage(avro(Second.class)).value(new Second("y", 7)).send();
            producer.send(new First("z"));
            long[] versions = new long[3];
            for (int n = 0; n < versions.length; n++) {
                versions[n] = version(receive(consumer));
            }
            assertArrayEquals(new long[] {0, 1, 0}, versions);
            assertThrows(IncompatibleSchemaException.class,
                    () -> producer.newMessage(avro(Other.class)).value(new Other()).send());
            assertThrows(IncompatibleSchemaException.class,
                    () -> producer.newMessage(Schema.STRING).value("x").send());
        }
        assertEquals(2, schemas().getAllSchemas(topic).size());
    }

    @Test
    void aProducerThatKnowsNoSchemaIsHeldToTheTopics() throws Exception {
        try (Producer<First> first = producerOf(topic, avro(First.class));
                Producer<byte[]> any = producerOf(topic, Schema.AUTO_PRODUCE_BYTES());
                Consumer<First> consumer = subscribe(avro(First.class))) {
            any.send(avro(First.class).encode(new First("x")));
            Message<First> message = receive(consumer);
            assertEquals("x", message.getValue().a);
            assertEquals(0, version(message));
            assertThrows(RuntimeException.class, () -> any.send(new byte[] {(byte) 0xff}));
            first.flush();
        }
        assertEquals(1, schemas().getAllSchemas(topic).size());
    }

    @Test
    void keysAndValuesEvolve() throws Exception {
        for (KeyValueEncodingType encoding : KeyValueEncodingType.values()) {
            topic = topic + "-" + encoding;
            Schema<KeyValue<First, First>> old = Schema.KeyValue(avro(First.class), avro(First.class), encoding);
            Schema<KeyValue<First, Second>> recent = Schema.KeyValue(avro(First.class), avro(Second.class), encoding);
            try (Producer<KeyValue<First, First>> producer = producerOf(topic, old);
                    Producer<KeyValue<First, Second>> second = producerOf(topic, recent);
                    Consumer<KeyValue<First, Second>> consumer = subscribe(recent)) {
                producer.send(new KeyValue<>(new First("k"), new First("x")));
                second.send(new KeyValue<>(new First("k"), new Second("y", 7)));
                assertEquals("x", receive(consumer).getValue().getValue().a);
                assertEquals(7, receive(consumer).getValue().getValue().b);
            }
            for (Schema<?> wrong : List.of(
                    Schema.KeyValue(avro(Other.class), avro(First.class), encoding),
                    Schema.KeyValue(avro(First.class), avro(Other.class), encoding),
                    Schema.KeyValue(Schema.STRING, avro(First.class), encoding))) {
                assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, wrong));
            }
            assertEquals(2, schemas().getAllSchemas(topic).size());
        }
    }

    /** The definitions of such pairs are the same bytes. */
    @Test
    void keysAndValuesKeepTheirTypes() throws Exception {
        producerOf(topic, Schema.KeyValue(Schema.STRING, Schema.STRING, KeyValueEncodingType.INLINE)).close();
        for (Schema<?> wrong : List.of(
                Schema.KeyValue(Schema.INT32, Schema.STRING, KeyValueEncodingType.INLINE),
                Schema.KeyValue(Schema.STRING, Schema.INT64, KeyValueEncodingType.INLINE))) {
            assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, wrong));
            assertThrows(IncompatibleSchemaException.class, () -> subscribe(wrong));
        }
        producerOf(topic, Schema.KeyValue(Schema.STRING, Schema.STRING, KeyValueEncodingType.SEPARATED)).close();
        assertEquals(1, schemas().getAllSchemas(topic).size());
    }

    @Test
    void producersThatComeAtOnceAgreeOnTheVersions() throws Exception {
        producer().create().close();
        List<CompletableFuture<Producer<?>>> coming = new ArrayList<>();
        for (int n = 0; n < 20; n++) {
            Schema<?> schema = n % 2 == 0 ? avro(First.class) : avro(Second.class);
            coming.add(client.newProducer(schema).topic(topic).createAsync().thenApply(producer -> producer));
        }
        for (CompletableFuture<Producer<?>> producer : coming) {
            producer.get().close();
        }
        assertEquals(2, schemas().getAllSchemas(topic).size());
    }

    @Test
    void protobufKeepsItsMessage() throws Exception {
        Schema<Timestamp> schema = Schema.PROTOBUF_NATIVE(Timestamp.class);
        try (Producer<Timestamp> producer = producerOf(topic, schema);
                Consumer<Timestamp> consumer = subscribe(schema);
                Consumer<GenericRecord> any = subscribe(Schema.AUTO_CONSUME())) {
            producer.send(Timestamp.newBuilder().setSeconds(3).build());
            assertEquals(3, receive(consumer).getValue().getSeconds());
            assertEquals(3L, receive(any).getValue().getField("seconds"));
        }
        assertThrows(IncompatibleSchemaException.class,
                () -> producerOf(topic, Schema.PROTOBUF_NATIVE(Duration.class)));
        assertThrows(IncompatibleSchemaException.class,
                () -> subscribe(Schema.PROTOBUF_NATIVE(Duration.class)));
    }

    @Test
    void protobufByAvroIsComparedAsAvro() throws Exception {
        Schema<Timestamp> schema = Schema.PROTOBUF(Timestamp.class);
        try (Producer<Timestamp> producer = producerOf(topic, schema);
                Consumer<Timestamp> consumer = subscribe(schema)) {
            producer.send(Timestamp.newBuilder().setSeconds(3).build());
            assertEquals(3, receive(consumer).getValue().getSeconds());
        }
    }

    @Test
    void producersNeedASchemaWhereThatIsEnforced() throws Exception {
        producerOf(topic, avro(First.class)).close();
        producer().create().close();
        assertFalse(admin.namespaces().getSchemaValidationEnforced(namespace));
        admin.namespaces().setSchemaValidationEnforced(namespace, true);
        assertTrue(admin.namespaces().getSchemaValidationEnforced(namespace));
        assertThrows(IncompatibleSchemaException.class, () -> producer().create());
        consumer().subscribe().close();
        admin.namespaces().setSchemaValidationEnforced(namespace, false);
        producer().create().close();
    }

    @Test
    void onlyKnownSchemasComeWhereUpdatesAreOff() throws Exception {
        assertTrue(admin.namespaces().getIsAllowAutoUpdateSchema(namespace));
        admin.namespaces().setIsAllowAutoUpdateSchema(namespace, false);
        assertFalse(admin.namespaces().getIsAllowAutoUpdateSchema(namespace));
        assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, avro(First.class)));
        schemas().createSchema(topic, avro(First.class).getSchemaInfo());
        producerOf(topic, avro(First.class)).close();
        assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, avro(Second.class)));
        admin.namespaces().setIsAllowAutoUpdateSchema(namespace, true);
        producerOf(topic, avro(Second.class)).close();
    }

    @Test
    void strategiesAreSetAndShown() throws Exception {
        assertEquals(SchemaCompatibilityStrategy.UNDEFINED,
                admin.namespaces().getSchemaCompatibilityStrategy(namespace));
        for (SchemaCompatibilityStrategy strategy : SchemaCompatibilityStrategy.values()) {
            admin.namespaces().setSchemaCompatibilityStrategy(namespace, strategy);
            assertEquals(strategy, admin.namespaces().getSchemaCompatibilityStrategy(namespace));
        }
        admin.namespaces().setSchemaCompatibilityStrategy(namespace, SchemaCompatibilityStrategy.UNDEFINED);
        for (SchemaAutoUpdateCompatibilityStrategy older : SchemaAutoUpdateCompatibilityStrategy.values()) {
            admin.namespaces().setSchemaAutoUpdateCompatibilityStrategy(namespace, older);
            assertEquals(older, admin.namespaces().getSchemaAutoUpdateCompatibilityStrategy(namespace));
        }
    }

    @Test
    void theAdminClientKnowsAllThereIs() throws Exception {
        var first = avro(First.class).getSchemaInfo();
        var second = avro(Second.class).getSchemaInfo();
        var other = avro(Other.class).getSchemaInfo();
        schemas().createSchema(topic, first);
        assertEquals(first.getSchemaDefinition(), schemas().getSchemaInfo(topic).getSchemaDefinition());
        var verdict = schemas().testCompatibility(topic, second);
        assertTrue(verdict.isCompatibility());
        assertEquals("FULL", verdict.getSchemaCompatibilityStrategy());
        assertFalse(schemas().testCompatibility(topic, other).isCompatibility());
        assertThrows(PulsarAdminException.ConflictException.class, () -> schemas().createSchema(topic, other));
        schemas().createSchema(topic, second);
        assertEquals(1L, schemas().getVersionBySchema(topic, second));
        assertEquals(-1L, schemas().getVersionBySchema(topic, other));
        assertEquals(1, schemas().getSchemaInfoWithVersion(topic).getVersion());
        assertEquals(first.getSchemaDefinition(), schemas().getSchemaInfo(topic, 0).getSchemaDefinition());
        assertEquals(2, schemas().getAllSchemas(topic).size());
        assertEquals(1, schemas().getSchemaMetadata(topic).getInfo().getVersion());
        assertEquals(2, schemas().getSchemaMetadata(topic).getIndex().size());

        schemas().deleteSchema(topic);
        assertThrows(PulsarAdminException.NotFoundException.class, () -> schemas().getSchemaInfo(topic));
        assertThrows(PulsarAdminException.NotFoundException.class, () -> schemas().getSchemaInfo(topic, 0));
        schemas().createSchema(topic, other);
        assertEquals(3, schemas().getSchemaInfoWithVersion(topic).getVersion());
        schemas().deleteSchema(topic, true);
        schemas().createSchema(topic, first);
        assertEquals(0, schemas().getSchemaInfoWithVersion(topic).getVersion());
    }

    @Test
    void aPairTravelsOverRestAndComesBack() throws Exception {
        var pair = Schema.KeyValue(Schema.STRING, avro(First.class), KeyValueEncodingType.INLINE);
        schemas().createSchema(topic, pair.getSchemaInfo());
        producerOf(topic, pair).close();
        assertEquals(1, schemas().getAllSchemas(topic).size());
        assertArrayEquals(pair.getSchemaInfo().getSchema(), schemas().getSchemaInfo(topic).getSchema());
    }
}
