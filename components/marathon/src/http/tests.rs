//! The API over a scripted service.
