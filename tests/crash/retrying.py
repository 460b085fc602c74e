"""A producer that sends numbers, each with itself as its sequence id, until it is told to stop.

It begins behind the last one that the broker has, and retries for ever. A line on its standard input
stops it; then it waits for all receipts and says how many numbers there are.
"""

import sys
import threading

import pulsar


def main(url, topic, name, batches):
    logger = pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
    client = pulsar.Client(url, logger=logger, operation_timeout_seconds=60)
    producer = client.create_producer(
        topic, producer_name=name, send_timeout_millis=0, block_if_queue_full=True,
        max_pending_messages=500, batching_enabled=batches == "batches",
        batching_max_publish_delay_ms=2,
    )
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    number = producer.last_sequence_id() + 1
    print(f"from {number}", flush=True)
    failed = []
    while not stop.is_set():
        def sent(result, _, number=number):
            if result != pulsar.Result.Ok:
                failed.append((number, result))
        producer.send_async(str(number).encode(), sent, sequence_id=number)
        number += 1
    producer.flush()
    print(f"end {number} failed {failed[:3]}", flush=True)
    client.close()


main(*sys.argv[1:])
