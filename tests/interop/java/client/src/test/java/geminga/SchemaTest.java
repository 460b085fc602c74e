package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Objects;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClientException.IncompatibleSchemaException;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.schema.GenericRecord;
import org.apache.pulsar.common.schema.KeyValue;
import org.apache.pulsar.common.schema.KeyValueEncodingType;
import org.apache.pulsar.common.schema.SchemaType;
import org.junit.jupiter.api.Test;

/** Schemas are stored, given back, and keep other types out. */
class SchemaTest extends Topic {
    public static class Example {
        public String a;
        public int b;

        public Example() {
        }

        Example(String a, int b) {
            this.a = a;
            this.b = b;
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Example example && example.a.equals(a) && example.b == b;
        }

        @Override
        public int hashCode() {
            return Objects.hash(a, b);
        }
    }

    private <T> Consumer<T> subscribe(Schema<T> schema) throws Exception {
        return client.newConsumer(schema).topic(topic).subscriptionName("s" + System.nanoTime()).subscribe();
    }

    private <T> void valuesComeOut(Schema<T> schema, T value) throws Exception {
        Consumer<T> consumer = subscribe(schema);
        Producer<T> producer = producerOf(topic, schema);
        producer.send(value);
        assertEquals(value, receive(consumer).getValue());
        String stored = rest("GET", "/admin/v2/schemas/" + topic.replace("persistent://", "") + "/schema", "");
        assertTrue(stored.contains("\"type\":\"" + schema.getSchemaInfo().getType() + "\""), stored);
    }

    @Test
    void stringsComeOut() throws Exception {
        valuesComeOut(Schema.STRING, "zażółć");
    }

    @Test
    void numbersComeOut() throws Exception {
        valuesComeOut(Schema.INT64, Long.MIN_VALUE);
    }

    @Test
    void jsonComesOut() throws Exception {
        valuesComeOut(Schema.JSON(Example.class), new Example("x", 3));
    }

    @Test
    void avroComesOut() throws Exception {
        valuesComeOut(Schema.AVRO(Example.class), new Example("x", 3));
    }

    @Test
    void keysAndValuesComeOut() throws Exception {
        Schema<KeyValue<String, Integer>> schema =
                Schema.KeyValue(Schema.STRING, Schema.INT32, KeyValueEncodingType.SEPARATED);
        valuesComeOut(schema, new KeyValue<>("k", 7));
    }

    @Test
    void aSchemaOfAnotherTypeIsRefused() throws Exception {
        producerOf(topic, Schema.JSON(Example.class)).send(new Example("x", 3));
        assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, Schema.AVRO(Example.class)));
        assertThrows(IncompatibleSchemaException.class, () -> producerOf(topic, Schema.STRING));
        assertThrows(IncompatibleSchemaException.class, () -> subscribe(Schema.INT32));
        producerOf(topic, Schema.JSON(Example.class));
    }

    @Test
    void aConsumerThatKnowsNoSchemaFindsIt() throws Exception {
        Producer<Example> producer = producerOf(topic, Schema.AVRO(Example.class));
        Consumer<GenericRecord> consumer = subscribe(Schema.AUTO_CONSUME());
        producer.send(new Example("x", 3));
        Message<GenericRecord> message = receive(consumer);
        assertEquals(SchemaType.AVRO, message.getReaderSchema().orElseThrow().getSchemaInfo().getType());
        assertEquals("x", message.getValue().getField("a").toString());
        assertEquals(3, message.getValue().getField("b"));
    }

    @Test
    void aProducerThatKnowsNoSchemaIsChecked() throws Exception {
        Consumer<Example> consumer = subscribe(Schema.JSON(Example.class));
        Producer<byte[]> producer = client.newProducer(Schema.AUTO_PRODUCE_BYTES()).topic(topic).create();
        producer.send("{\"a\":\"y\",\"b\":4}".getBytes());
        assertEquals(new Example("y", 4), receive(consumer).getValue());
    }
}
