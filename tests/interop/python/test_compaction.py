"""Compacted topics: readers and table views of the C++ client."""

import time

import pulsar
import pytest

PATIENCE_S = 20


def compact(server, topic):
    path = f"/admin/v2/{topic.replace('://', '/')}/compaction"
    assert server.rest("PUT", path)[0] == 204
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = server.get(path)
        if status["status"] == "SUCCESS":
            return
        assert status["status"] == "RUNNING", status
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read_all(client, topic):
    reader = client.create_reader(topic, pulsar.MessageId.earliest, is_read_compacted=True)
    found = []
    while reader.has_message_available():
        message = reader.read_next(timeout_millis=PATIENCE_S * 1000)
        found.append((message.partition_key(), message.data(), message.message_id()))
    reader.close()
    return found


@pytest.mark.parametrize("batched", [False, True])
def test_a_reader_gets_the_last_of_each_key_with_its_id(shared_server, client, topic, batched):
    """The C++ client hands out what is compacted out of a batch, without key and payload."""
    producer = client.create_producer(
        topic, batching_enabled=batched, batching_max_publish_delay_ms=1000)
    ids = {}

    def note(key, value):
        def done(result, message_id):
            assert result == pulsar.Result.Ok
            ids[(key, value)] = message_id
        return done

    sent = [(f"k{n % 10}", str(n).encode()) for n in range(100)] + [("k3", b""), ("last", b"x")]
    for key, value in sent:
        producer.send_async(value, note(key, value), partition_key=key)
    producer.flush()
    producer.close()
    compact(shared_server, topic)
    expected = [it for it in sent[90:] if it[0] != "k3"]
    found = [it for it in read_all(client, topic) if not batched or it[:2] != ("", b"")]
    assert [it[:2] for it in found] == expected
    places = [(it[2].ledger_id(), it[2].entry_id(), it[2].batch_index()) for it in found]
    of = [ids[it] for it in expected]
    assert places == [(it.ledger_id(), it.entry_id(), it.batch_index()) for it in of]


def test_a_table_view_before_and_after(shared_server, client, topic):
    producer = client.create_producer(topic)
    for n in range(50):
        producer.send(str(n).encode(), partition_key=f"k{n % 7}")
    expected = {f"k{n % 7}": str(n).encode() for n in range(50)}
    for _ in range(2):
        table = client.create_table_view(topic)
        found = {}
        table.for_each(found.__setitem__)
        assert found == expected
        table.close()
        compact(shared_server, topic)
