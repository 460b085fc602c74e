//! Exit codes of the tools.
//!
//! | code | what |
//! |---|---|
//! | 0 | done |
//! | 1 | refused by the server, or failed; `doctor` found a problem |
//! | 2 | the command line is wrong; nothing was asked |
//! | 3 | no server answers |

/// The command line is wrong.
pub const USAGE: u8 = 2;
/// No server answers.
pub const NO_SERVER: u8 = 3;

/// No server answers: nothing is known of what was asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no server answers at {url}; start one with `geminga standalone`, or name another with {option}"
)]
pub(crate) struct NoServer {
    pub(crate) url: String,
    pub(crate) option: &'static str,
}

/// The command line is wrong in a way that its grammar does not tell.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The code of a command that failed.
#[must_use]
pub fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<NoServer>().is_some() {
        return NO_SERVER;
    }
    if error.downcast_ref::<Usage>().is_some() {
        return USAGE;
    }
    1
}
