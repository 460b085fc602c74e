"""Schemas that change, with the official Python client."""

import pulsar
import pytest
from pulsar.schema import AvroSchema, Integer, JsonSchema, Record, String

TIMEOUT = 10_000


class First(Record):
    a = String()


class Second(Record):
    a = String()
    b = Integer(required_default=True)


class Other(Record):
    a = Integer(required=True)


# The same class, as its users change it.
Second.__name__ = Other.__name__ = First.__name__


@pytest.mark.parametrize("schema", [JsonSchema, AvroSchema])
def test_old_and_new_readers_read_old_and_new_messages(client, shared_server, topic, schema):
    first = client.create_producer(topic, schema=schema(First))
    second = client.create_producer(topic, schema=schema(Second))
    new_reader = client.subscribe(topic, "new", schema=schema(Second))
    old_reader = client.subscribe(topic, "old", schema=schema(First))
    first.send(First(a="x"))
    second.send(Second(a="y", b=3))
    assert [old_reader.receive(TIMEOUT).value().a for _ in range(2)] == ["x", "y"]
    values = [new_reader.receive(TIMEOUT).value() for _ in range(2)]
    assert [value.a for value in values] == ["x", "y"]
    assert values[1].b == 3
    with pytest.raises(pulsar.IncompatibleSchema):
        client.create_producer(topic, schema=schema(Other))
    with pytest.raises(pulsar.IncompatibleSchema):
        client.subscribe(topic, "other", schema=schema(Other))
    path = topic.replace("persistent://", "/admin/v2/schemas/")
    versions = shared_server.get(f"{path}/schemas")["getSchemaResponses"]
    assert [version["version"] for version in versions] == [0, 1]


def test_a_schema_of_the_administrators_is_the_topics(client, shared_server, topic):
    path = topic.replace("persistent://", "/admin/v2/schemas/")
    body = {"type": "STRING", "schema": "", "properties": {}}
    status, text = shared_server.rest("POST", f"{path}/schema", body)
    assert status == 200, text
    with pytest.raises(pulsar.IncompatibleSchema):
        client.create_producer(topic, schema=JsonSchema(First))
    from pulsar.schema import StringSchema
    client.create_producer(topic, schema=StringSchema()).send("x")
    status, text = shared_server.rest("DELETE", f"{path}/schema")
    assert status == 200, text
    client.create_producer(topic, schema=JsonSchema(First)).send(First(a="x"))
