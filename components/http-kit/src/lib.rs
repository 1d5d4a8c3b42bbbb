//! What every HTTP API here shares: serving, error bodies, authentication, limits, graceful stop.
//!
//! It is not: aware of any one component's routes.
