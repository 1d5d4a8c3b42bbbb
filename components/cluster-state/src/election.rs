//! What it means to lead.

use std::fmt;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// A number that grows with every election of the same name.
///
/// Whoever receives orders from a leader may remember the highest token seen
/// and refuse lower ones; the store itself does so for [`crate::Op::Fence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub u64);

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub identity: Bytes,
    pub token: FencingToken,
}

/// An election won. Dropping it resigns.
pub struct Leadership {
    token: FencingToken,
    lost: CancellationToken,
    /// Undoes the election when dropped; each implementation brings its own.
    _hold: Box<dyn Send + Sync>,
}

impl Leadership {
    pub(crate) fn new(
        token: FencingToken,
        lost: CancellationToken,
        hold: Box<dyn Send + Sync>,
    ) -> Self {
        Leadership { token, lost, _hold: hold }
    }

    /// The token to put into every fenced write.
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Resolves when the leadership is gone without having been given up.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether the leadership is known to be gone. A `false` may be outdated:
    /// only a fenced write tells for certain.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("token", &self.token).finish_non_exhaustive()
    }
}
