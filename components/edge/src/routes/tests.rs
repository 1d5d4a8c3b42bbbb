//! Configurations, as a table.
