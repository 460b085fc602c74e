use std::sync::Arc;

use clap::Parser as _;
use geminga_client::{Message, MessageId};
use geminga_env::{Timestamp, sim::World};
use geminga_types::Position;

use super::*;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    command: ClientCommand,
}

fn parsed(line: &str) -> Result<ClientCommand, clap::Error> {
    Cli::try_parse_from(["client"].into_iter().chain(line.split(' '))).map(|cli| cli.command)
}

fn payloads(line: &str) -> anyhow::Result<Vec<String>> {
    let Verb::Produce(produce) = parsed(line)?.verb else { panic!("not produce") };
    let messages = produce.messages()?;
    Ok(messages.iter().map(|message| String::from_utf8_lossy(message).into_owned()).collect())
}

fn message() -> Message {
    Message {
        id: MessageId::of_entry(Position::new(1, 2), None),
        topic: Arc::from("t"),
        payload: "hello".into(),
        key: None,
        key_is_base64: false,
        ordering_key: None,
        properties: Vec::new(),
        publish_time: Timestamp(5),
        event_time: None,
        producer_name: Arc::from("p"),
        sequence_id: 0,
        null_value: false,
        redelivery_count: 0,
        schema_version: None,
        replicated_from: None,
    }
}

fn printed(message: &Message, hex: bool) -> String {
    let mut out = Vec::new();
    print::print(message, hex, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn messages_are_split_at_the_separator() {
    assert_eq!(payloads("produce t -m a,b -m c").unwrap(), ["a", "b", "c"]);
    assert_eq!(payloads("produce t -m a,b;c --separator ;").unwrap(), ["a,b", "c"]);
    assert_eq!(payloads("produce t -m a,b --separator=").unwrap(), ["a,b"]);
    let nothing = payloads("produce t").unwrap_err();
    assert!(nothing.to_string().contains("-m"), "{nothing}");
    let missing = payloads("produce t -f /no/such/file").unwrap_err();
    assert!(missing.to_string().contains("/no/such/file"), "{missing}");
}

#[test]
fn options_are_checked() {
    for line in [
        "produce t -m a -n 0",
        "produce t -m a -r -1",
        "produce t -m a -r inf",
        "produce t -m a -p =v",
        "produce t -m a --compression rar",
        "consume t",
        "consume t -s s -t Some",
        "consume t -s s -q 0",
        "listen t",
        "consume t -s s --hex --json",
        "produce t -m a --schema-type rar",
        "produce t -m a --schema-file f",
        "read t -m 3",
        "read t -q 0",
    ] {
        assert!(parsed(line).is_err(), "{line}");
    }
    for line in [
        "--url pulsar://a:1 produce t -m a -n 3 -k key -p a=b,c=d -r 0.5 --compression zstd",
        "consume t -s s -n 0 -t Key_Shared -p Earliest --hex -q 5 --url pulsar://a:1",
        "consume t -s s -t shared -m NonDurable --hide-content",
        "consume t -s s --schema-type AVRO --schema-file f --json",
        "read t -m 3:4 -i -n 0 --hex",
        "read t -m earliest --schema-type auto_consume",
    ] {
        parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn messages_are_printed_as_pulsar_client_does() {
    let plain = printed(&message(), false);
    assert_eq!(
        plain,
        "----- got message -----\n\
         publishTime:[5], eventTime:[0], key:[null], properties:[], content:hello\n"
    );
    let properties = vec![("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d".to_owned())];
    let told = Message { key: Some("k".to_owned()), properties, ..message() };
    let told = printed(&told, false);
    assert!(told.contains("key:[k], properties:[a=b, c=d], content:hello\n"), "{told}");
    let hex = printed(&Message { payload: vec![0, b'a', 0xff].into(), ..message() }, true);
    let line = format!("content:00000000 {:<48}.a.\n", "00 61 FF");
    assert!(hex.contains(&line), "{hex}");
    let null = printed(&Message { null_value: true, ..message() }, false);
    assert!(null.ends_with("content:null\n"), "{null}");
}

#[test]
fn messages_are_objects_for_programs() {
    let plain = print::json_of(&message());
    assert_eq!(plain["messageId"], "1:2:-1");
    assert_eq!(plain["payload"], "hello");
    for absent in ["key", "eventTime", "schemaVersion", "payloadBase64"] {
        assert_eq!(plain.get(absent), None, "{absent}");
    }
    let told = Message {
        payload: vec![0xff].into(),
        key: Some("k".to_owned()),
        event_time: Some(Timestamp(7)),
        schema_version: Some(3_u64.to_be_bytes().to_vec().into()),
        ..message()
    };
    let told = print::json_of(&told);
    assert_eq!(told["payloadBase64"], "/w==");
    assert_eq!((&told["key"], &told["eventTime"]), (&"k".into(), &7.into()));
    assert_eq!(told["schemaVersion"], 3);
    let null = print::json_of(&Message { null_value: true, ..message() });
    assert!(null["payload"].is_null() && null.get("payload").is_some(), "{null}");
}

#[test]
fn short_names_of_several_letters_are_understood_but_not_in_messages() {
    let named = |line: &str| {
        let words = with_long_names(line.split(' ').map(OsString::from).collect());
        words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let long = "geminga client produce t -m -db --disable-batching";
    assert_eq!(named("geminga client produce t -m -db -db"), long);
    let long = "geminga client consume t -s s --schema-type bytes";
    assert_eq!(named("geminga client consume t -s s -st bytes"), long);
    assert_eq!(named("geminga perf -st"), "geminga perf -st");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_named_with_what_to_do() {
    let world = World::new(1);
    let command = parsed("--url pulsar://localhost:7 produce t -m a").unwrap();
    let error = run(world.env(), command).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("no server answers at pulsar://localhost:7; start one"), "{text}");
    assert_eq!(text.matches("refused").count(), 1, "{text}");
    let command = parsed("--url http://localhost:7 produce t -m a").unwrap();
    let text = format!("{:#}", run(world.env(), command).await.unwrap_err());
    assert!(text.contains("expected pulsar://host:port"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_pace_spaces_events() {
    let world = World::new(1);
    let env = world.env();
    let mut pace = pace::Pace::new(&env, 10.0);
    let before = env.clock.now();
    for _ in 0..11 {
        pace.turn(&env).await;
    }
    assert_eq!((env.clock.now() - before).as_millis(), 1_000);
    let mut unbounded = pace::Pace::new(&env, 0.0);
    unbounded.turn(&env).await;
    assert_eq!((env.clock.now() - before).as_millis(), 1_000);
}
