//! Balancing by the kernel: rules of nftables, told by the program `nft`.

mod rules;

pub use rules::{Plan, Rules, TABLE, Vip, Wanted};
