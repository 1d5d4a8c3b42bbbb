//! Packages in the Universe format: repositories, search, options, rendering.
//!
//! 1. [`Repository::parse`] reads a repository document and names what is wrong with each package.
//! 2. [`Collection`] merges several repositories by priority: lookups, search, upgrades.
//! 3. [`options`] takes defaults from a package's schema and merges; [`schema`] validates.
//! 4. [`mustache`] renders templates in the dialect of the original, [`render`] makes the
//!    Marathon app of a package, with the labels by which an installed package is known.
//! 5. [`describe`], [`resource`] and [`media_type`] hold the forms in which packages are shown.
//!
//! It is not: a service. Every function is pure; `cosmos` fetches, keeps and serves.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod check;
pub mod collection;
pub mod describe;
pub mod fuzz;
pub mod label;
pub mod media_type;
pub mod mustache;
pub mod options;
pub mod package;
pub mod render;
pub mod repository;
pub mod resource;
pub mod schema;
mod search;

pub use collection::{Collection, Entry, Found, LookupError, Source};
pub use media_type::{Accept, MediaType};
pub use package::{Manager, Package, PackageFault, Packaging};
pub use render::{RenderError, marathon_app};
pub use repository::{Limits, Repository, RepositoryError};

/// A JSON object; keys keep their order.
pub type Object = serde_json::Map<String, serde_json::Value>;
