//! The verbosity of a running process: read, raised for a while, reverted.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use tokio::task::AbortHandle;

use crate::{Params, Response, respond};

/// Applies a verbosity to the process's logger; 0 is the ordinary one.
pub type ApplyLevel = Arc<dyn Fn(u32) + Send + Sync>;

/// The verbosity of this process and its pending return to the ordinary one.
#[derive(Clone)]
pub struct LevelControl(Arc<Inner>);

struct Inner {
    apply: ApplyLevel,
    original: u32,
    state: Mutex<State>,
}

struct State {
    level: u32,
    revert: Option<AbortHandle>,
}

impl std::fmt::Debug for LevelControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LevelControl({})", self.level())
    }
}

impl Default for LevelControl {
    /// Reports the level that was set and changes no logger.
    fn default() -> LevelControl {
        LevelControl::new(0, Arc::new(|_| {}))
    }
}

impl LevelControl {
    /// A control that starts at `original` and calls `apply` on every change.
    pub fn new(original: u32, apply: ApplyLevel) -> LevelControl {
        LevelControl(Arc::new(Inner {
            apply,
            original,
            state: Mutex::new(State { level: original, revert: None }),
        }))
    }

    /// The verbosity now.
    pub fn level(&self) -> u32 {
        self.state().level
    }

    /// Sets the verbosity and returns to the original one after `duration`. Must
    /// be called within the runtime.
    pub fn set(&self, level: u32, duration: Duration) {
        let control = self.clone();
        let revert = tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            let original = control.0.original;
            control.state().level = original;
            (control.0.apply)(original);
        });
        let mut state = self.state();
        state.level = level;
        if let Some(earlier) = state.revert.replace(revert.abort_handle()) {
            earlier.abort();
        }
        drop(state);
        (self.0.apply)(level);
    }

    /// `/logging/toggle`: without parameters the level, with both a change. The original takes
    /// changes by GET too; any page could make a browser send those.
    /// `parse_duration` reads the original's duration text.
    pub fn toggle(
        &self,
        method: &Method,
        params: &Params,
        parse_duration: impl Fn(&str) -> Result<Duration, String>,
    ) -> Response {
        let (level, duration) = match (params.get("level"), params.get("duration")) {
            (None, None) => {
                return respond::text(http::StatusCode::OK, format!("{}\n", self.level()));
            }
            (Some(_), None) => {
                return respond::bad_request("Expecting 'duration=value' in query.\n");
            }
            (None, Some(_)) => return respond::bad_request("Expecting 'level=value' in query.\n"),
            (Some(_), Some(_)) if *method != Method::POST => {
                return respond::method_not_allowed(&["POST"], method);
            }
            (Some(level), Some(duration)) => (level, duration),
        };
        let Ok(number) = level.trim().parse::<i64>() else {
            return respond::bad_request(format!("Failed to convert '{level}' to number.\n"));
        };
        let Ok(number) = u32::try_from(number) else {
            return respond::bad_request(format!("Invalid level '{number}'.\n"));
        };
        if number < self.0.original {
            return respond::bad_request(format!("'{number}' < original level.\n"));
        }
        match parse_duration(duration) {
            Ok(duration) => {
                self.set(number, duration);
                respond::ok()
            }
            Err(error) => respond::bad_request(format!("{error}.\n")),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_raised_level_returns() {
        let applied = Arc::new(AtomicU32::new(9));
        let seen = Arc::clone(&applied);
        let control =
            LevelControl::new(0, Arc::new(move |level| seen.store(level, Ordering::SeqCst)));
        let seconds = |text: &str| match text.strip_suffix("secs").and_then(|n| n.parse().ok()) {
            Some(n) => Ok(Duration::from_secs(n)),
            None => Err(format!("Invalid duration '{text}'")),
        };
        let answer =
            control.toggle(&Method::POST, &Params::parse("level=3&duration=5secs"), seconds);
        assert_eq!(answer.status(), 200);
        assert_eq!((control.level(), applied.load(Ordering::SeqCst)), (3, 3));
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!((control.level(), applied.load(Ordering::SeqCst)), (0, 0));
        for bad in [
            "level=3",
            "duration=5secs",
            "level=x&duration=5secs",
            "level=-1&duration=5secs",
            "level=1&duration=x",
        ] {
            let answer = control.toggle(&Method::POST, &Params::parse(bad), seconds);
            assert_eq!(answer.status(), 400, "{bad}");
        }
    }

    #[tokio::test]
    async fn reading_changes_nothing() {
        let control = LevelControl::default();
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let params = Params::parse("level=3&duration=5secs");
            let answer = control.toggle(&method, &params, |_| Ok(Duration::from_secs(5)));
            assert_eq!((answer.status().as_u16(), control.level()), (405, 0), "{method}");
            assert_eq!(answer.headers()["allow"], "POST");
        }
        let level = control.toggle(&Method::GET, &Params::parse(""), |_| Err(String::new()));
        assert_eq!(level.status(), 200);
    }
}
