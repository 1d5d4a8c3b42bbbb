//! Rules that hold for what messages contain wherever they arrive, with the original's error texts.
pub mod ids;
