//! Commands of features that are not served: each is told so, with its own request id, in the form
//! that its client waits for.

use geminga_wire::proto::{
    Body, CommandAddPartitionToTxnResponse, CommandAddSubscriptionToTxnResponse,
    CommandEndTxnOnPartitionResponse, CommandEndTxnOnSubscriptionResponse, CommandEndTxnResponse,
    CommandNewTxnResponse, CommandScalableTopicSubscribeResponse, CommandScalableTopicUpdate,
    CommandTcClientConnectResponse, CommandWatchScalableTopicsUpdate,
    CommandWatchTcAssignmentsUpdate, ServerError,
};

const NO_COORDINATOR: &str = "Transactions are not enabled on this server";
const NOT_SCALABLE: &str = "Scalable topics are not enabled on this server";

/// The answer to `body` if it belongs to a feature that is not served; what needs no answer has
/// `None` inside.
pub(super) fn refuse(body: &Body) -> Option<Option<Body>> {
    transactions(body).or_else(|| scalable(body))
}

/// Builds a transaction's response with the error in it.
macro_rules! txn_refused {
    ($response:ident, $request:expr) => {
        $response {
            request_id: $request.request_id,
            error: Some(ServerError::TransactionCoordinatorNotFound.into()),
            message: Some(NO_COORDINATOR.to_owned()),
            ..$response::default()
        }
        .into()
    };
}

fn transactions(body: &Body) -> Option<Option<Body>> {
    let response: Body = match body {
        Body::TcClientConnectRequest(it) => {
            let error = Some(ServerError::NotAllowedError.into());
            let message = Some(NO_COORDINATOR.to_owned());
            let request_id = it.request_id;
            CommandTcClientConnectResponse { request_id, error, message }.into()
        }
        Body::NewTxn(it) => txn_refused!(CommandNewTxnResponse, it),
        Body::AddPartitionToTxn(it) => txn_refused!(CommandAddPartitionToTxnResponse, it),
        Body::AddSubscriptionToTxn(it) => txn_refused!(CommandAddSubscriptionToTxnResponse, it),
        Body::EndTxn(it) => txn_refused!(CommandEndTxnResponse, it),
        Body::EndTxnOnPartition(it) => txn_refused!(CommandEndTxnOnPartitionResponse, it),
        Body::EndTxnOnSubscription(it) => txn_refused!(CommandEndTxnOnSubscriptionResponse, it),
        Body::WatchTcAssignments(it) => CommandWatchTcAssignmentsUpdate {
            watch_id: it.watch_id,
            snapshot: None,
            error: Some(ServerError::NotAllowedError.into()),
            message: Some(NO_COORDINATOR.to_owned()),
        }
        .into(),
        Body::WatchTcAssignmentsClose(_) => return Some(None),
        _ => return None,
    };
    Some(Some(response))
}

fn scalable(body: &Body) -> Option<Option<Body>> {
    let code = Some(ServerError::NotAllowedError.into());
    let message = Some(NOT_SCALABLE.to_owned());
    let response: Body = match body {
        Body::ScalableTopicLookup(it) => CommandScalableTopicUpdate {
            session_id: it.session_id,
            error: code,
            message,
            ..CommandScalableTopicUpdate::default()
        }
        .into(),
        Body::ScalableTopicSubscribe(it) => CommandScalableTopicSubscribeResponse {
            request_id: it.request_id,
            error: code,
            message,
            assignment: None,
        }
        .into(),
        Body::WatchScalableTopics(it) => CommandWatchScalableTopicsUpdate {
            watch_id: it.watch_id,
            error: code,
            message,
            change: None,
        }
        .into(),
        Body::ScalableTopicClose(_) | Body::WatchScalableTopicsClose(_) => return Some(None),
        _ => return None,
    };
    Some(Some(response))
}

#[cfg(test)]
mod tests {
    use geminga_wire::proto::{
        CommandEndTxn, CommandNewTxn, CommandPing, CommandWatchTcAssignmentsClose,
    };

    use super::*;

    #[test]
    fn refusals_carry_the_request_id() {
        let new = CommandNewTxn { request_id: 7, ..CommandNewTxn::default() };
        let Some(Some(Body::NewTxnResponse(answer))) = refuse(&new.into()) else { panic!() };
        assert_eq!(answer.request_id, 7);
        assert_eq!(answer.error(), ServerError::TransactionCoordinatorNotFound);

        let end = CommandEndTxn { request_id: 8, ..CommandEndTxn::default() };
        let Some(Some(Body::EndTxnResponse(answer))) = refuse(&end.into()) else { panic!() };
        assert_eq!(answer.request_id, 8);
    }

    #[test]
    fn what_is_served_is_not_refused() {
        assert_eq!(refuse(&CommandPing::default().into()), None);
        let close = CommandWatchTcAssignmentsClose::default();
        assert_eq!(refuse(&close.into()), Some(None));
    }
}
