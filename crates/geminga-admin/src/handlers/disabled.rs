//! Services that Pulsar's broker has and this one has not: each answers as Pulsar's does where the
//! service is switched off.

use super::Answered;
use crate::{failure::Failure, request::Request};

/// The first parts of paths below `/admin/v2` and `/admin/v3` that belong to them.
pub(crate) const SERVICES: [&str; 9] = [
    "functions",
    "packages",
    "sink",
    "sinks",
    "source",
    "sources",
    "transactions",
    "worker",
    "worker-stats",
];

pub(super) fn handle(request: &Request) -> Answered {
    Err(match request.part(0) {
        "packages" => {
            Failure::Disabled("Package Management Service is not enabled in the broker.")
        }
        "transactions" => Failure::Disabled(
            "This Broker is not configured with transactionCoordinatorEnabled=true.",
        ),
        _ => Failure::Refused(
            "Pulsar Function Worker is not enabled, probably functionsWorkerEnabled is set to false"
                .to_owned(),
        ),
    })
}
