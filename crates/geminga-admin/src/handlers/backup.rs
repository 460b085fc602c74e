//! Backups of the process.

use super::Answered;
use crate::{Options, answer::Answer, failure::Failure, request::Request};

pub(super) fn start(options: &Options, request: &Request) -> Answered {
    let process = options.process.as_ref().ok_or(Failure::NoProcess)?;
    let body = request.json()?;
    let body = body.ok_or_else(|| Failure::InvalidBody("dataDir and to are missing".to_owned()))?;
    process.start_backup(&body).map_err(Failure::Refused)?;
    Ok(Answer::done())
}

pub(super) fn status(options: &Options) -> Answered {
    let process = options.process.as_ref().ok_or(Failure::NoProcess)?;
    Ok(Answer::json(&process.backup_status()))
}
