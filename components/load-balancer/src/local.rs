//! What a node hears of the view of its own process.

use std::sync::Arc;

use crate::node::Source;
use crate::view::{Listener, View};
use crate::wire::Line;

/// Hears of changes of a view.
#[derive(Debug)]
pub(crate) struct Local {
    listener: Listener,
    view: Arc<View>,
}

// === impl Local ===

impl Local {
    pub(crate) fn new(view: Arc<View>) -> Option<Local> {
        let listener = view.listen(usize::MAX)?;
        Some(Local { listener, view })
    }
}

impl Source for Local {
    async fn next(&mut self) -> Option<Vec<Line>> {
        loop {
            let lines = self.listener.services(&self.view);
            if !lines.is_empty() {
                return Some(lines);
            }
            self.listener.changed().await;
        }
    }
}
