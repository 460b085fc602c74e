"""Just enough of Pulsar's binary protocol to see single frames. Standard library only."""

import socket
import struct

CONNECT, CONNECTED, SUBSCRIBE, PRODUCER, SEND, SEND_RECEIPT = 2, 3, 4, 5, 6, 7
MESSAGE, ACK, FLOW, SUCCESS, ERROR, CLOSE_PRODUCER = 9, 10, 11, 13, 14, 15
PRODUCER_SUCCESS, PING, PONG, ACK_RESPONSE = 17, 18, 19, 38


def varint(number):
    out = bytearray()
    while True:
        low = number & 0x7F
        number >>= 7
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(fields):
    return b"".join(field(number, value) for number, value in fields)


def parse(data):
    """Fields by number, the last one wins: ints and bytes."""
    found, at = {}, 0

    def read_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        tag = read_varint()
        kind = tag & 7
        if kind == 0:
            value = read_varint()
        elif kind == 2:
            length = read_varint()
            value = data[at:at + length]
            at += length
        elif kind == 1:
            value, at = data[at:at + 8], at + 8
        else:
            value, at = data[at:at + 4], at + 4
        found[tag >> 3] = value
    return found


def frame(kind, body, payload=b""):
    # Every command's field number in BaseCommand is its type, for the commands used here.
    command = message([(1, kind), (kind, body)])
    size = 4 + len(command) + len(payload)
    return struct.pack(">II", size, len(command)) + command + payload


def frames(data):
    """Splits a byte stream into (type, body fields, payload); an incomplete end is left out."""
    at = 0
    while at + 8 <= len(data):
        size, command_size = struct.unpack_from(">II", data, at)
        if at + 4 + size > len(data):
            return
        base = parse(data[at + 8:at + 8 + command_size])
        payload = data[at + 8 + command_size:at + 4 + size]
        yield base[1], parse(base.get(base[1], b"")), payload
        at += 4 + size


class Connection:
    def __init__(self, url, timeout=30):
        host, port = url.removeprefix("pulsar://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.buffer = b""
        self.send(CONNECT, [(1, "raw"), (4, 21)])
        self.expect(CONNECTED)

    def send(self, kind, fields, payload=b""):
        self.socket.sendall(frame(kind, message(fields), payload))

    def receive(self):
        while True:
            for kind, body, payload in frames(self.buffer):
                size = struct.unpack_from(">I", self.buffer)[0]
                self.buffer = self.buffer[4 + size:]
                if kind != PING:
                    return kind, body, payload
                self.send(PONG, [])
                break
            else:
                part = self.socket.recv(1 << 20)
                if not part:
                    raise ConnectionError("closed by the server")
                self.buffer += part

    def expect(self, kind):
        while True:
            got, body, payload = self.receive()
            if got == kind:
                return body, payload
            assert got != ERROR, body

    def close(self):
        self.socket.close()


def entry(producer, sequence_id, payload):
    """A message without checksum."""
    import time
    metadata = message([(1, producer), (2, sequence_id), (3, int(time.time() * 1000))])
    return struct.pack(">I", len(metadata)) + metadata + payload
