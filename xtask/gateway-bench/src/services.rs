//! Services whose tasks come and go, and whether an answer came from a task that may give it.
//!
//! Every service has two running tasks. A change ends the older one, to which the gateway leads,
//! and starts another, as a rolling change does: there is always one that runs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Each task of a service has another backend than the 63 before it, so that an answer tells by
/// its backend which task gave it.
pub(crate) const BACKENDS: usize = 64;
/// How long after its end a task may still be led to: the word of it is on its way.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Service {
    number: usize,
    /// The last of them, the oldest first.
    tasks: VecDeque<Task>,
}

#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) id: String,
    /// How many tasks of its service were before it.
    pub(crate) number: usize,
    pub(crate) backend: usize,
    started: Instant,
    ended: Option<Instant>,
}

/// A task ends, and another one starts.
pub(crate) struct Change {
    pub(crate) started: Task,
    pub(crate) ended: Option<Task>,
}

/// What an answer is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its task ran.
    Current,
    /// Its task had ended so long before the request, which is not too long.
    Late(Duration),
    /// Its task had ended long before, or there never was one.
    Wrong,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(number: usize, now: Instant) -> Service {
        let mut service = Service { number, tasks: VecDeque::with_capacity(BACKENDS) };
        service.start(now);
        service.start(now);
        service
    }

    pub(crate) fn name(&self) -> String {
        name(self.number)
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.ended.is_none())
    }

    pub(crate) fn change(&mut self, now: Instant) -> Change {
        let started = self.start(now);
        let oldest = self.tasks.iter_mut().find(|task| task.ended.is_none());
        let ended = oldest.map(|task| {
            task.ended = Some(now);
            task.clone()
        });
        Change { started, ended }
    }

    fn start(&mut self, now: Instant) -> Task {
        let number = self.tasks.back().map_or(0, |last| last.number + 1);
        let id = format!(
            "{}.instance-00000000-0000-0000-{:04x}-{number:012x}._app.1",
            self.name(),
            self.number
        );
        // Services do not begin at the same backend, so that an answer of another service's task
        // is one of a wrong backend too.
        let backend = (self.number + number) % BACKENDS;
        let task = Task { id, number, backend, started: now, ended: None };
        self.tasks.push_back(task.clone());
        if self.tasks.len() > BACKENDS {
            self.tasks.pop_front();
        }
        task
    }

    /// Judges an answer of that backend to a request that began and was answered then.
    pub(crate) fn judge(&self, backend: usize, began: Instant, answered: Instant) -> Verdict {
        let given = |task: &&Task| task.backend == backend && task.started <= answered;
        let Some(task) = self.tasks.iter().rev().find(given) else { return Verdict::Wrong };
        match task.ended.map(|ended| began.saturating_duration_since(ended)) {
            None | Some(Duration::ZERO) => Verdict::Current,
            Some(late) if late <= GRACE => Verdict::Late(late),
            Some(_) => Verdict::Wrong,
        }
    }
}

pub(crate) fn name(service: usize) -> String {
    format!("bench-{service}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(service: &Service) -> Vec<usize> {
        service.running().map(|task| task.backend).collect()
    }

    #[test]
    fn a_change_starts_one_and_ends_the_oldest() {
        let now = Instant::now();
        let mut service = Service::new(7, now);
        assert_eq!(backends(&service), [7, 8]);
        let change = service.change(now);
        assert_eq!((change.started.backend, change.ended.map(|task| task.backend)), (9, Some(7)));
        assert_eq!(backends(&service), [8, 9]);
        assert_eq!(
            change.started.id,
            "bench-7.instance-00000000-0000-0000-0007-000000000002._app.1"
        );
    }

    #[test]
    fn what_is_kept_has_each_backend_once() {
        let now = Instant::now();
        let mut service = Service::new(60, now);
        for _ in 0..3 * BACKENDS {
            service.change(now);
        }
        let mut kept: Vec<usize> = service.tasks.iter().map(|task| task.backend).collect();
        kept.sort_unstable();
        assert_eq!(kept, (0..BACKENDS).collect::<Vec<_>>());
        assert_eq!(service.running().count(), 2);
    }

    #[test]
    fn answers_of_tasks_that_ended_are_late_and_then_wrong() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut service = Service::new(0, at(0));
        service.change(at(1000));
        let judge = |backend, from, to| service.judge(backend, at(from), at(to));
        assert_eq!(judge(0, 500, 510), Verdict::Current);
        assert_eq!(judge(0, 990, 1500), Verdict::Current, "it ended during the request");
        assert_eq!(judge(0, 1200, 1210), Verdict::Late(Duration::from_millis(200)));
        assert_eq!(judge(0, 2001, 2002), Verdict::Wrong);
        assert_eq!(judge(1, 2001, 2002), Verdict::Current);
        assert_eq!(judge(2, 900, 999), Verdict::Wrong, "not even started");
        assert_eq!(judge(2, 900, 1000), Verdict::Current);
        assert_eq!(judge(3, 2001, 2002), Verdict::Wrong, "no task of this service");
    }
}
