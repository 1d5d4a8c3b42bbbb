//! Real containers of both launchers, with real processes. What this machine cannot do is skipped
//! aloud.
// Tests may panic; that is how they fail.
#![allow(clippy::unwrap_used)]

mod containers {
    mod ending;
    mod launching;
    mod limits;
    mod recovery;
    mod support;
    mod volumes;
}
