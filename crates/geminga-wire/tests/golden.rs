//! Frames of real clients are read as their clients meant them. See `fixtures/README.md`.
#![cfg(test)]

#[path = "golden/fixtures.rs"]
mod fixtures;
#[path = "golden/mutations.rs"]
mod mutations;

use bytes::{Bytes, BytesMut};
use fixtures::{Fixture, fixture, fixtures};
use geminga_types::Position;
use geminga_wire::{
    batch::BatchReader,
    entry::{EntryError, EntryHeader, EntryMeta, encode_entry, key_hash},
    frame::{
        AckCommand, Command, Frame, FrameDecoder, FrameError, SendCommand, encode_ack,
        encode_command, encode_flow, encode_send,
    },
    proto::{
        BaseCommand, Body, CompressionType, MessageMetadata,
        base_command::Type,
        command_subscribe::{InitialPosition, SubType},
        schema,
    },
};
use prost::Message;

const TOPIC: &str = "persistent://public/default/golden";
const CLIENTS: [&str; 2] = ["python-3.13.0", "go-0.19.0"];

fn decode(bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut buf = BytesMut::from(bytes);
    let frame = FrameDecoder::default().decode(&mut buf)?.expect("the frame is whole");
    assert!(buf.is_empty());
    Ok(frame)
}

/// The command of `{client}-{name}.bin`, which is none of the frequent ones.
fn body(client: &str, name: &str) -> Body {
    let frame = decode(&fixture(client, name)).unwrap();
    assert_eq!(frame.payload, None);
    let Command::Other(body) = frame.command else { panic!("{client}-{name}: {frame:?}") };
    *body
}

fn send(client: &str, name: &str) -> (SendCommand, Bytes) {
    let frame = decode(&fixture(client, name)).unwrap();
    let Command::Send(send) = frame.command else { panic!("{client}-{name}: {frame:?}") };
    (send, frame.payload.expect("a SEND has an entry"))
}

fn ack(client: &str, name: &str) -> AckCommand {
    let frame = decode(&fixture(client, name)).unwrap();
    let Command::Ack(ack) = frame.command else { panic!("{client}-{name}: {frame:?}") };
    ack
}

fn acked(ack: &AckCommand) -> Vec<Position> {
    ack.message_ids.iter().map(|id| id.position).collect()
}

#[test]
fn each_frame_is_the_command_that_its_name_says() {
    let kinds = [
        ("connect", Type::Connect),
        ("partitioned-metadata", Type::PartitionedMetadata),
        ("lookup", Type::Lookup),
        ("producer", Type::Producer),
        ("send", Type::Send),
        ("subscribe", Type::Subscribe),
        ("flow", Type::Flow),
        ("ack", Type::Ack),
        ("redeliver", Type::RedeliverUnacknowledgedMessages),
        ("get-last-message-id", Type::GetLastMessageId),
        ("seek", Type::Seek),
        ("close-producer", Type::CloseProducer),
        ("close-consumer", Type::CloseConsumer),
        ("unsubscribe", Type::Unsubscribe),
    ];
    for Fixture { client, name, bytes } in fixtures() {
        let (_, kind) = kinds.iter().find(|(prefix, _)| name.starts_with(prefix)).unwrap();
        assert_eq!(decode(&bytes).unwrap().command.kind(), *kind, "{client}-{name}");
    }
}

/// Goal: what the hand-written encoders write means what the client wrote.
/// Method: the generated code reads both.
#[test]
fn what_is_encoded_again_means_the_same() {
    for Fixture { client, name, bytes } in fixtures() {
        let frame = decode(&bytes).unwrap();
        let mut buf = BytesMut::new();
        match frame.command {
            Command::Send(send) => encode_send(&send, &frame.payload.unwrap(), &mut buf),
            Command::Ack(ack) => encode_ack(&ack, &mut buf),
            Command::Flow(flow) => encode_flow(&flow, &mut buf),
            Command::Other(body) => encode_command(&BaseCommand::from(*body), &mut buf),
            Command::Ping | Command::Pong => unreachable!("not among the fixtures"),
        }
        assert_eq!(parts(&buf), parts(&bytes), "{client}-{name}");
    }
}

/// The command as the generated code reads it, and the bytes after it.
fn parts(frame: &[u8]) -> (BaseCommand, &[u8]) {
    let (sizes, rest) = frame.split_at(8);
    let size = u32::from_be_bytes(sizes[4..].try_into().unwrap());
    let (command, payload) = rest.split_at(usize::try_from(size).unwrap());
    (BaseCommand::decode(command).unwrap(), payload)
}

#[test]
fn clients_introduce_themselves() {
    for (client, version) in CLIENTS.into_iter().zip(["Pulsar-CPP-v4.2.0", "Pulsar-Go-v0.19.0"]) {
        let Body::Connect(connect) = body(client, "connect") else { panic!("{client}") };
        assert_eq!((connect.client_version.as_str(), connect.protocol_version()), (version, 20));
        let features = connect.feature_flags.unwrap();
        assert!(features.supports_auth_refresh() && features.supports_broker_entry_metadata());
        assert!(!features.supports_scalable_topics());
    }
}

#[test]
fn topics_are_looked_up() {
    for client in CLIENTS {
        let Body::PartitionMetadata(metadata) = body(client, "partitioned-metadata") else {
            panic!("{client}")
        };
        assert_eq!(metadata.topic, TOPIC);
        assert!(metadata.metadata_auto_creation_enabled(), "not said means yes");
        let Body::LookupTopic(lookup) = body(client, "lookup") else { panic!("{client}") };
        assert_eq!((lookup.topic.as_str(), lookup.authoritative()), (TOPIC, false));
    }
}

#[test]
fn producers_are_created() {
    for client in CLIENTS {
        let Body::Producer(producer) = body(client, "producer") else { panic!("{client}") };
        assert_eq!((producer.topic.as_str(), producer.producer_name), (TOPIC, None));
        assert_eq!(producer.schema, None);
        let Body::Producer(producer) = body(client, "producer-schema-json") else {
            panic!("{client}")
        };
        let schema = producer.schema.unwrap();
        assert_eq!(schema.r#type(), schema::Type::Json);
        assert!(schema.schema_data.starts_with(b"{"), "{client}");
    }
}

#[test]
fn consumers_subscribe() {
    let subscribe = |client, name| {
        let Body::Subscribe(subscribe) = body(client, name) else { panic!("{client}-{name}") };
        subscribe
    };
    for client in CLIENTS {
        let shared = subscribe(client, "subscribe-shared");
        assert_eq!((shared.subscription.as_str(), shared.sub_type()), ("sub", SubType::Shared));
        assert_eq!(shared.initial_position(), InitialPosition::Earliest);
        assert!(shared.durable());
        assert_eq!(subscribe(client, "subscribe-failover").sub_type(), SubType::Failover);
        assert_eq!(subscribe(client, "subscribe-key-shared").sub_type(), SubType::KeyShared);
        let reader = subscribe(client, "subscribe-reader");
        assert!(!reader.durable());
        assert_eq!(reader.start_message_id.unwrap().position(), Position::EARLIEST);
        let frame = decode(&fixture(client, "flow")).unwrap();
        assert!(matches!(frame.command, Command::Flow(flow) if flow.message_permits == 100));
    }
}

#[test]
fn single_messages_are_read() {
    for client in CLIENTS {
        let (send, entry) = send(client, "send-single");
        assert_eq!((send.sequence_id, send.num_messages, send.highest_sequence_id), (0, 1, None));
        let header = EntryHeader::check(&entry).unwrap().header;
        assert_eq!(&entry[header.payload..], b"hello single");
        let meta = EntryMeta::parse(&entry).unwrap();
        assert_eq!((meta.producer_name, meta.sequence_id), (&b"fake-1"[..], 0));
        assert_eq!((meta.messages, meta.is_batch), (1, false));
        assert_eq!((meta.partition_key, meta.ordering_key), (Some(&b"the-key"[..]), None));
        assert_eq!(meta.event_time, 1_700_000_000_000);
        assert_eq!((meta.key_hash(), meta.deliver_at), (key_hash(b"the-key"), None));
    }
}

#[test]
fn ordering_keys_and_delays_are_read() {
    for client in CLIENTS {
        let (_, entry) = send(client, "send-ordering-key");
        let meta = EntryMeta::parse(&entry).unwrap();
        assert_eq!(meta.partition_key, Some(&b"k"[..]));
        assert_eq!(meta.ordering_key, Some(&b"order"[..]));
        assert_eq!(meta.key_hash(), key_hash(b"order"));
        let (_, entry) = send(client, "send-delayed");
        let meta = EntryMeta::parse(&entry).unwrap();
        let delay = meta.deliver_at.unwrap() - meta.publish_time.cast_signed();
        assert!((3_599_000..=3_600_001).contains(&delay), "{client}: {delay}");
        assert_eq!(meta.key_hash(), key_hash(b"fake-1-2"));
    }
}

#[test]
fn chunks_are_read() {
    let (send, entry) = send("python-3.13.0", "send-chunk");
    assert!(send.is_chunk);
    let header = EntryHeader::check(&entry).unwrap().header;
    let chunk = EntryMeta::parse(&entry).unwrap().chunk.unwrap();
    assert_eq!((chunk.uuid, chunk.chunk_id, chunk.num_chunks), (&b"fake-1-0"[..], 0, 2));
    assert_eq!(chunk.total_size, 500);
    let payload = &entry[header.payload..];
    assert!(payload.iter().zip(0_u8..=249).all(|(byte, expected)| *byte == expected));
}

#[test]
fn batches_of_every_compression_are_read() {
    let compressions = [
        ("send-batch-none", CompressionType::None),
        ("send-batch-lz4", CompressionType::Lz4),
        ("send-batch-zlib", CompressionType::Zlib),
        ("send-batch-zstd", CompressionType::Zstd),
        ("send-batch-snappy", CompressionType::Snappy),
    ];
    for client in CLIENTS {
        for (name, compression) in compressions {
            let (send, entry) = send(client, name);
            assert_eq!(send.num_messages, 5, "{client}-{name}");
            EntryHeader::check(&entry).unwrap();
            let meta = EntryMeta::parse(&entry).unwrap();
            assert_eq!(meta.compression(), Some(compression), "{client}-{name}");
            assert_eq!((meta.messages, meta.is_batch), (5, true), "{client}-{name}");
            if compression != CompressionType::None {
                assert_eq!(meta.uncompressed_size, 1120, "{client}-{name}");
            }
        }
    }
}

#[test]
fn the_messages_of_a_batch_are_read() {
    for client in CLIENTS {
        let (_, entry) = send(client, "send-batch-none");
        let header = EntryHeader::parse(&entry).unwrap();
        let messages: Result<Vec<_>, _> =
            BatchReader::new(entry.slice(header.payload..), 5).collect();
        let messages = messages.unwrap();
        assert_eq!(messages.len(), 5);
        for (index, message) in messages.iter().enumerate() {
            assert_eq!(message.payload, format!("message {index} ").repeat(20));
            assert_eq!(message.metadata.partition_key, Some(format!("key-{index}")));
            assert_eq!(message.metadata.sequence_id, Some(index as u64), "{client}");
        }
    }
}

#[test]
fn every_entry_is_built_again_and_every_flipped_byte_noticed() {
    for Fixture { client, name, bytes } in fixtures() {
        let Some(entry) = decode(&bytes).unwrap().payload else { continue };
        let checked = EntryHeader::check(&entry).unwrap();
        let header = checked.header;
        let metadata = MessageMetadata::decode(&entry[header.metadata.clone()]).unwrap();
        assert_eq!(encode_entry(&metadata, &entry[header.payload..]), entry, "{client}-{name}");
        for at in header.checked..entry.len() {
            let mut bytes = BytesMut::from(&entry[..]);
            bytes[at] ^= 0x10;
            let error = EntryHeader::check(&bytes.freeze()).unwrap_err();
            let noticed =
                matches!(error, EntryError::Checksum { .. } | EntryError::Truncated { .. });
            assert!(noticed, "{client}-{name}, byte {at}");
        }
    }
}

#[test]
fn acks_are_read() {
    for client in CLIENTS {
        let individual = ack(client, "ack-individual");
        assert!(!individual.cumulative);
        assert_eq!(acked(&individual), [Position::new(3, 0)]);
        assert!(individual.message_ids[0].ack_set.is_empty());
        let cumulative = ack(client, "ack-cumulative");
        assert!(cumulative.cumulative);
        assert_eq!(acked(&cumulative), [Position::new(3, 1)]);
        let batch_index = ack(client, "ack-batch-index");
        assert_eq!(acked(&batch_index), [Position::new(3, 3)]);
        assert_eq!(batch_index.message_ids[0].ack_set[..], [0b11110]);
        assert_eq!(batch_index.message_ids[0].batch_size, 0, "clients do not say");
    }
    assert_eq!(ack("go-0.19.0", "ack-individual").request_id, Some(29));
    assert_eq!(ack("python-3.13.0", "ack-individual").request_id, None);
    let list = ack("go-0.19.0", "ack-list");
    assert_eq!(acked(&list), [0, 1, 2].map(|entry| Position::new(3, entry)));
}

#[test]
fn redelivery_is_asked_for() {
    let redeliver = |client, name| {
        let Body::RedeliverUnacknowledgedMessages(redeliver) = body(client, name) else {
            panic!("{client}-{name}")
        };
        redeliver.message_ids.iter().map(|id| id.position()).collect::<Vec<_>>()
    };
    for client in CLIENTS {
        assert_eq!(redeliver(client, "redeliver-ids"), [Position::new(3, 3)]);
    }
    assert_eq!(redeliver("python-3.13.0", "redeliver-all"), []);
}

#[test]
fn consumers_seek() {
    let seek = |client, name| {
        let Body::Seek(seek) = body(client, name) else { panic!("{client}-{name}") };
        (seek.message_id.map(|id| (id.position(), id.batch_index())), seek.message_publish_time)
    };
    let [python, go] = CLIENTS;
    for client in CLIENTS {
        assert_eq!(seek(client, "seek-time"), (None, Some(1_700_000_000_000)));
    }
    assert_eq!(seek(python, "seek-earliest"), (Some((Position::EARLIEST, -1)), None));
    assert_eq!(seek(python, "seek-id"), (Some((Position::new(3, 2), -1)), None));
    assert_eq!(seek(go, "seek-id"), (Some((Position::new(3, 3), 1)), None));
}
