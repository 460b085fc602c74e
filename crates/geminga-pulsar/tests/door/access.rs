//! PRODUCER with an access mode.

use geminga_wire::proto::{CommandProducer, ProducerAccessMode, ServerError};

use crate::{client::Client, client::producer, server::Server};

async fn ask(client: &mut Client, id: u64, mode: ProducerAccessMode) -> u64 {
    let request_id = client.request_id();
    let command = CommandProducer {
        producer_access_mode: Some(mode as i32),
        ..producer("t", id, request_id)
    };
    client.send(command).await;
    request_id
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_waits_is_answered_twice() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    let request_id = ask(&mut one, 1, ProducerAccessMode::Exclusive).await;
    let success = one.producer_success(request_id).await;
    assert_eq!((success.producer_ready(), success.topic_epoch), (true, Some(0)));
    let request_id = ask(&mut two, 1, ProducerAccessMode::WaitForExclusive).await;
    assert!(!two.producer_success(request_id).await.producer_ready());
    two.quiet().await;
    one.publish(1, 0, b"m").await;
    one.close_producer(1).await;
    let success = two.producer_success(request_id).await;
    assert_eq!((success.producer_ready(), success.topic_epoch), (true, Some(1)));
    two.publish(1, 0, b"m").await;
}

#[tokio::test(start_paused = true)]
async fn refusals_have_the_codes_that_clients_act_on() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    one.open_producer("t", 1).await;
    ask(&mut two, 1, ProducerAccessMode::Exclusive).await;
    assert_eq!(two.error_code().await, ServerError::ProducerFenced);
    one.close_producer(1).await;
    let request_id = ask(&mut two, 2, ProducerAccessMode::Exclusive).await;
    two.producer_success(request_id).await;
    ask(&mut one, 2, ProducerAccessMode::Shared).await;
    let error = one.error().await;
    assert_eq!(error.error(), ServerError::ProducerBusy);
    assert!(error.message.contains("ProducerBusy"), "{}", error.message);
}

/// Goal: whoever waits when another takes over by force hears it as the answer to its request, and its
/// id is free again.
#[tokio::test(start_paused = true)]
async fn a_producer_that_waits_is_fenced_out() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    let mut three = server.connect().await;
    let request_id = ask(&mut one, 1, ProducerAccessMode::Exclusive).await;
    one.producer_success(request_id).await;
    let waiting = ask(&mut two, 1, ProducerAccessMode::WaitForExclusive).await;
    assert!(!two.producer_success(waiting).await.producer_ready());
    let request_id = ask(&mut three, 1, ProducerAccessMode::ExclusiveWithFencing).await;
    assert_eq!(three.producer_success(request_id).await.topic_epoch, Some(1));
    let error = two.error().await;
    assert_eq!((error.request_id, error.error()), (waiting, ServerError::ProducerFenced));
    let again = ask(&mut two, 1, ProducerAccessMode::WaitForExclusive).await;
    assert!(!two.producer_success(again).await.producer_ready());
    three.publish(1, 0, b"m").await;
}
