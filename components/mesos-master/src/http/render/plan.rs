//! What an answer consists of, and making it on several threads.
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use super::{End, Rendering, proto};
use crate::model::Snapshot;

/// Writes a stretch of the answer.
type Work = Box<dyn Fn(&Snapshot, &mut Vec<u8>) + Send + Sync>;

/// Pieces below this are joined with their neighbours.
const SMALL: usize = 16 * 1024;
/// More threads than this would only contend with the rest of the process.
const MOST_THREADS: usize = 4;

/// The parts of an answer, in order.
#[derive(Default)]
pub(crate) struct Plan {
    parts: Vec<Part>,
    weight: usize,
    framed: bool,
}

enum Part {
    Text(Vec<u8>),
    /// The next bytes written by work lose their first one: a list begins, and
    /// each element is written with a comma before it.
    List,
    ListEnd,
    Work(Work),
    /// A protobuf field of this number holds all parts up to the matching end.
    Open(u32),
    Close,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({} parts, weight {})", self.parts.len(), self.weight)
    }
}

// === impl Plan ===

impl Plan {
    /// Appends bytes.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.extend_from_slice(text.as_ref()),
            _ => self.parts.push(Part::Text(text.as_ref().to_vec())),
        }
    }

    /// Appends what `write` writes now.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::new();
        write(&mut text);
        self.text(text);
    }

    /// A JSON list; the work in it writes each element with a comma before it.
    pub(crate) fn list(&mut self, fill: impl FnOnce(&mut Plan)) {
        self.text("[");
        self.parts.push(Part::List);
        fill(self);
        self.parts.push(Part::ListEnd);
        self.text("]");
    }

    /// Appends what `work` will write; `weight` is about the number of records.
    pub(crate) fn work(
        &mut self,
        weight: usize,
        work: impl Fn(&Snapshot, &mut Vec<u8>) + Send + Sync + 'static,
    ) {
        self.weight += weight;
        self.parts.push(Part::Work(Box::new(work)));
    }

    /// Everything that `fill` appends is the protobuf field `tag`.
    pub(crate) fn field(&mut self, tag: u32, fill: impl FnOnce(&mut Plan)) {
        self.framed = true;
        self.parts.push(Part::Open(tag));
        fill(self);
        self.parts.push(Part::Close);
    }

    /// About how many records the answer shows.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }
}

/// Makes the whole answer on this thread.
pub(crate) fn render_now(plan: Plan, snapshot: &Arc<Snapshot>) -> Vec<u8> {
    let rendering = Arc::new(Rendering::default());
    Run::new(plan, Arc::clone(snapshot), Arc::clone(&rendering)).work();
    rendering.state().pieces.concat()
}

/// A plan being carried out.
pub(super) struct Run {
    parts: Vec<Part>,
    framed: bool,
    /// Places of the parts that are work.
    jobs: Vec<usize>,
    next: AtomicUsize,
    /// The longest text so far: the next one is probably not much longer.
    longest: AtomicUsize,
    snapshot: Arc<Snapshot>,
    output: Mutex<Output>,
    rendering: Arc<Rendering>,
}

#[derive(Default)]
struct Output {
    written: Vec<Option<Vec<u8>>>,
    remaining: usize,
    published: usize,
    list_begins: bool,
    tail: Vec<u8>,
}

impl Run {
    pub(super) fn new(plan: Plan, snapshot: Arc<Snapshot>, rendering: Arc<Rendering>) -> Run {
        let jobs: Vec<usize> = plan
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| matches!(part, Part::Work(_)))
            .map(|(place, _)| place)
            .collect();
        let output = Output {
            written: plan.parts.iter().map(|_| None).collect(),
            remaining: jobs.len(),
            ..Output::default()
        };
        Run {
            parts: plan.parts,
            framed: plan.framed,
            jobs,
            next: AtomicUsize::new(0),
            longest: AtomicUsize::new(0),
            snapshot,
            output: Mutex::new(output),
            rendering,
        }
    }

    /// How many threads are worth it.
    pub(super) fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        cores.min(MOST_THREADS).min(self.jobs.len()).max(1)
    }

    /// Carries out jobs until none is left; several threads may do so at once.
    pub(super) fn work(&self) {
        let _guard = FailOnPanic(&self.rendering);
        if self.jobs.is_empty() {
            self.publish(None);
        }
        loop {
            let job = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&place) = self.jobs.get(job) else { return };
            // Growing step by step would copy everything once more.
            let expected = self.longest.load(Ordering::Relaxed);
            let mut text = Vec::with_capacity(expected + expected / 16);
            if let Some(Part::Work(work)) = self.parts.get(place) {
                work(&self.snapshot, &mut text);
            }
            if text.len() < text.capacity() / 2 {
                text.shrink_to_fit();
            }
            self.longest.fetch_max(text.len(), Ordering::Relaxed);
            self.publish(Some((place, text)));
            // The owner of the state shares these cores; it must not wait for long.
            std::thread::yield_now();
        }
    }

    fn publish(&self, done: Option<(usize, Vec<u8>)>) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((place, text)) = done {
            if let Some(slot) = output.written.get_mut(place) {
                *slot = Some(text);
            }
            output.remaining = output.remaining.saturating_sub(1);
        }
        if self.framed {
            if output.remaining == 0 {
                self.publish_framed(&mut output);
            }
        } else {
            self.publish_ready(&mut output);
        }
    }

    /// Hands on everything up to the first part that is not there yet.
    fn publish_ready(&self, output: &mut Output) {
        while let Some(part) = self.parts.get(output.published) {
            match part {
                Part::Text(text) => output.tail.extend_from_slice(text),
                Part::List => output.list_begins = true,
                // An enclosing list is past its first element.
                Part::ListEnd => output.list_begins = false,
                Part::Work(_) => {
                    let place = output.published;
                    let Some(text) = output.written.get_mut(place).and_then(Option::take) else {
                        return;
                    };
                    let skipped = usize::from(output.list_begins && !text.is_empty());
                    output.list_begins &= text.is_empty();
                    self.put(output, text, skipped);
                }
                Part::Open(_) | Part::Close => {}
            }
            output.published += 1;
        }
        self.finish(output);
    }

    fn publish_framed(&self, output: &mut Output) {
        let heads = self.heads(output);
        for (part, head) in self.parts.iter().zip(heads) {
            match part {
                Part::Text(text) => output.tail.extend_from_slice(text),
                Part::Open(_) => output.tail.extend_from_slice(&head),
                Part::Work(_) => {
                    let place = output.published;
                    let text = output.written.get_mut(place).and_then(Option::take);
                    self.put(output, text.unwrap_or_default(), 0);
                }
                Part::List | Part::ListEnd | Part::Close => {}
            }
            output.published += 1;
        }
        self.finish(output);
    }

    /// Key and length of every field that is opened.
    fn heads(&self, output: &Output) -> Vec<Vec<u8>> {
        let mut heads: Vec<Vec<u8>> = self.parts.iter().map(|_| Vec::new()).collect();
        let mut open: Vec<(usize, u32, usize)> = Vec::new();
        for (place, part) in self.parts.iter().enumerate() {
            let length = match part {
                Part::Text(text) => text.len(),
                Part::Work(_) => {
                    output.written.get(place).and_then(Option::as_ref).map_or(0, Vec::len)
                }
                Part::List | Part::ListEnd => 0,
                Part::Open(tag) => {
                    open.push((place, *tag, 0));
                    continue;
                }
                Part::Close => {
                    let Some((begin, tag, inner)) = open.pop() else { continue };
                    let mut head = Vec::new();
                    proto::head(&mut head, tag, inner);
                    let all = head.len() + inner;
                    if let Some(slot) = heads.get_mut(begin) {
                        *slot = head;
                    }
                    all
                }
            };
            if let Some((_, _, inner)) = open.last_mut() {
                *inner += length;
            }
        }
        heads
    }

    fn put(&self, output: &mut Output, text: Vec<u8>, skipped: usize) {
        if text.len() < SMALL {
            output.tail.extend_from_slice(text.get(skipped..).unwrap_or_default());
            if output.tail.len() >= SMALL {
                self.rendering.push(std::mem::take(&mut output.tail).into());
            }
        } else {
            self.rendering.push(std::mem::take(&mut output.tail).into());
            self.rendering.push(Bytes::from(text).slice(skipped..));
        }
    }

    fn finish(&self, output: &mut Output) {
        self.rendering.push(std::mem::take(&mut output.tail).into());
        self.rendering.end(End::Complete);
    }
}

/// Readers must not wait for ever for a part whose thread died.
struct FailOnPanic<'a>(&'a Rendering);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(End::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Arc<Snapshot> {
        Arc::new(crate::http::testing::empty_snapshot())
    }

    #[test]
    fn lists_have_commas_between_elements_only() {
        for pattern in [vec![0, 2, 0, 3], vec![0, 0], vec![1], vec![]] {
            let mut plan = Plan::default();
            plan.list(|plan| {
                for count in pattern.clone() {
                    plan.work(1, move |_, out| {
                        for _ in 0..count {
                            out.extend_from_slice(b",x");
                        }
                    });
                }
            });
            let text = String::from_utf8(render_now(plan, &snapshot())).unwrap();
            let total = pattern.iter().sum();
            assert_eq!(text, format!("[{}]", vec!["x"; total].join(",")));
        }
    }

    #[test]
    fn an_empty_inner_list_takes_no_comma_of_the_outer() {
        let mut plan = Plan::default();
        plan.list(|plan| {
            for _ in 0..2 {
                plan.work(1, |_, out| out.extend_from_slice(b",{\"a\":"));
                plan.list(|_| {});
                plan.work(1, |_, out| out.push(b'}'));
            }
        });
        let text = String::from_utf8(render_now(plan, &snapshot())).unwrap();
        assert_eq!(text, r#"[{"a":[]},{"a":[]}]"#);
    }

    #[test]
    fn frames_nest() {
        let mut plan = Plan::default();
        plan.text([8, 1]);
        plan.field(2, |plan| {
            plan.field(1, |plan| plan.work(1, |_, out| out.extend_from_slice(&[b'a'; 200])));
            plan.field(3, |_| {});
        });
        let bytes = render_now(plan, &snapshot());
        let mut expected = vec![8, 1, 0x12];
        expected.extend_from_slice(&[0xcd, 0x01, 0x0a, 0xc8, 0x01]);
        expected.extend_from_slice(&[b'a'; 200]);
        expected.extend_from_slice(&[0x1a, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn threads_keep_the_order() {
        let mut plan = Plan::default();
        plan.list(|plan| {
            for n in 0..500 {
                plan.work(1, move |_, out| {
                    out.push(b',');
                    out.extend_from_slice(n.to_string().as_bytes());
                    out.resize(out.len() + n * 70, b' ');
                });
            }
        });
        let rendering = Arc::new(Rendering::default());
        let run = Run::new(plan, snapshot(), Arc::clone(&rendering));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| run.work());
            }
        });
        let text = rendering.state().pieces.concat();
        let numbers: Vec<usize> = serde_json::from_slice(&text).unwrap();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    }
}
