//! What each change comes to.
