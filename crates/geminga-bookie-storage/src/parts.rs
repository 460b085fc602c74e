//! What each writer of files is built from.

use std::sync::Arc;

use geminga_env::Random;

use crate::{directory::Directory, options::Options, stats::Counters};

#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) directory: Directory,
    pub(crate) options: Arc<Options>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) counters: Arc<Counters>,
}
