//! Which virtual addresses there are and where they lead: pure, fed by the picture of the cluster.

pub mod address;
pub mod cluster;
pub mod label;
pub mod name;
pub mod offer;
pub mod table;
