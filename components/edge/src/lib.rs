//! Traffic from outside the cluster to its services, as the labels of apps say.
//!
//! It is not: the gateway of the cluster's own APIs, which is `admin-router`.

#![forbid(unsafe_code)]
