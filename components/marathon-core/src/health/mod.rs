//! Judgement of health and readiness.
