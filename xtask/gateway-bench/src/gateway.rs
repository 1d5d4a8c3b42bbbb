//! The gateway itself, as it runs in a cluster.

use anyhow::Result;

use crate::proxies::{Proxy, Setup};

pub(crate) fn start_both(_setup: &Setup) -> Result<Vec<Proxy>> {
    Ok(Vec::new())
}
