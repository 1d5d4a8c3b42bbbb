//! Brings a task's URIs into its sandbox: download, cache, extraction.
//!
//! It is not: a package manager; it never writes outside the sandbox and the cache.
//!
//! * The agent's side (`Fetcher`) decides which URI goes through the cache; a helper process per
//!   fetch (`helper`) does the work as the task's user, and writes what it does into the
//!   sandbox's `stdout` and `stderr`.
//! * A URI's content is foreign: an archive that tries to leave the sandbox is refused.
#![forbid(unsafe_code)]

mod cache;
mod config;
mod error;
mod fetcher;
#[doc(hidden)]
pub mod fuzz;
pub mod helper;
mod job;
mod uri;
mod users;

pub use config::{FetchRequest, FetcherConfig};
pub use error::FetchError;
pub use fetcher::Fetcher;
