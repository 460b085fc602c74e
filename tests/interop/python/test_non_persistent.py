"""Topics that store nothing, where more is on its way than may be."""

import threading

import pulsar
from server import Server

COUNT = 500


def test_what_is_too_much_on_a_connection_is_dropped(new_client):
    """Goal: of many messages in flight at once some are dropped, each send is answered in order, the
    receipts say which were dropped, and a consumer gets all others; a stored topic takes everything."""
    with Server({"maxConcurrentNonPersistentMessagePerConnection": 1}) as server:
        client = new_client(server)
        for name, drops in (("non-persistent://public/default/t", True), ("t", False)):
            consumer = client.subscribe(name, "s")
            producer = client.create_producer(name, batching_enabled=False, max_pending_messages=COUNT)
            answers, all_answered = [], threading.Event()

            def answered(n):
                def note(result, message_id):
                    answers.append((n, result, message_id))
                    if len(answers) == COUNT:
                        all_answered.set()
                return note

            for n in range(COUNT):
                producer.send_async(b"%d" % n, answered(n))
            assert all_answered.wait(30)
            assert [n for n, _, _ in answers] == list(range(COUNT))
            assert all(result == pulsar.Result.Ok for _, result, _ in answers)
            taken = [n for n, _, message_id in answers if 0 <= message_id.ledger_id()]
            assert (len(taken) < COUNT) == drops, len(taken)
            assert [int(consumer.receive(10_000).data()) for _ in taken] == taken
