//! Brings a task's URIs into its sandbox: download, cache, extraction.
//!
//! It is not: a package manager; it never writes outside the sandbox and the cache.
