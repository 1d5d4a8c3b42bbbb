//! Progress on a terminal as bars that move, elsewhere as lines when something changed.

use super::progress::AppProgress;
use crate::terminal::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};

/// Where progress is shown.
pub(super) struct Screen {
    bars: Option<MultiProgress>,
    apps: BTreeMap<String, ProgressBar>,
    /// What was said last of each app.
    said: BTreeMap<String, String>,
    /// Which apps waited at the last look.
    waited: BTreeSet<String>,
}

// === impl Screen ===

impl Screen {
    pub(super) fn new(redraw: bool) -> Screen {
        let bars = redraw.then(MultiProgress::new);
        Screen { bars, apps: BTreeMap::new(), said: BTreeMap::new(), waited: BTreeSet::new() }
    }

    /// Shows it, and gives the lines that are left to be printed.
    pub(super) fn show(&mut self, apps: &[AppProgress]) -> Vec<String> {
        // Between being wanted and being launched everything waits for a moment: who waits still
        // at the next look has a reason worth telling.
        let waiting = apps.iter().filter(|app| app.is_waiting()).map(|app| app.id.clone());
        let before = std::mem::replace(&mut self.waited, waiting.collect());
        let apps: Vec<AppProgress> =
            apps.iter().map(|app| app.clone().telling_why(before.contains(&app.id))).collect();
        if let Some(bars) = &self.bars {
            for app in &apps {
                let name = printable(&app.id).into_owned();
                let new = || bars.add(ProgressBar::new(1).with_style(style()).with_prefix(name));
                let bar = self.apps.entry(app.id.clone()).or_insert_with(new);
                bar.set_length(app.wanted.max(1));
                bar.set_position(app.ready.min(app.wanted));
                let remark = app.remark();
                let dash = if remark.is_empty() { "" } else { " - " };
                bar.set_message(
                    printable(&format!("{}{dash}{remark}", app.numbers())).into_owned(),
                );
                bar.tick();
            }
            return Vec::new();
        }
        let lines = apps.iter().map(|app| (app.id.clone(), app.line()));
        lines
            .filter_map(|(id, line)| {
                let before = self.said.insert(id, line.clone());
                (before.as_deref() != Some(line.as_str())).then_some(line)
            })
            .collect()
    }

    /// Leaves no bar behind.
    pub(super) fn clear(&mut self) {
        for bar in std::mem::take(&mut self.apps).values() {
            bar.finish_and_clear();
        }
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix} [{bar:24}] {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_said_once() {
        let app = |ready: u64| {
            let app = json!({"id": "/a", "instances": 2, "tasksRunning": ready});
            [AppProgress::of(&app, None, None)]
        };
        let mut screen = Screen::new(false);
        assert_eq!(screen.show(&app(0)), ["/a: 0/2 ready"]);
        assert!(screen.show(&app(0)).is_empty());
        assert_eq!(screen.show(&app(1)), ["/a: 1/2 ready"]);
    }

    #[test]
    fn a_reason_is_told_when_it_lasts() {
        let item = json!({"pendingReasons": [{"message": "too few cpus"}]});
        let app = json!({"id": "/a", "instances": 1});
        let waiting = [AppProgress::of(&app, None, Some(&item))];
        let mut screen = Screen::new(false);
        assert_eq!(screen.show(&waiting), ["/a: 0/1 ready"]);
        assert_eq!(screen.show(&waiting), ["/a: 0/1 ready (waiting: too few cpus)"]);
    }
}
