//! Which host ports an instance gets.

use super::{Detail, seed::Seeded};
use marathon_model::App;
use mesos_messages::{
    resources::{Entry, Range, Ranges, ResourceError, Resources, Value},
    v1,
};

/// What an app asks for, in the order of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// This one and no other.
    Fixed(u16),
    Any,
    /// The mapping is not published.
    Unpublished,
}

/// The ports of an instance in the order of the app's ports, and the resources they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    pub chosen: Vec<Option<u16>>,
    pub resources: Resources,
}

/// Some offered ports, and in which entry of the resources they are.
#[derive(Clone, Copy, Debug)]
struct Piece {
    entry: usize,
    range: Range,
}

/// Chooses from those of `accepted`, all of which are of roles the app takes.
pub(super) fn choose(app: &App, accepted: &Resources, seed: u64) -> Result<Ports, Detail> {
    let wanted = wanted(app);
    if wanted.iter().all(|port| *port == Wanted::Unpublished) {
        let chosen = vec![None; wanted.len()];
        return Ok(Ports { chosen, resources: Resources::new() });
    }
    let offered = accepted.named("ports");
    let entries: Vec<Entry<'_>> = offered.iter().collect();
    let fixed: Vec<u16> = wanted.iter().filter_map(|port| port.fixed()).collect();
    let mut random = Walk::new(pieces(&entries), seed);
    let mut taken: Vec<(usize, u16)> = Vec::with_capacity(wanted.len());
    let mut chosen = Vec::with_capacity(wanted.len());
    for port in &wanted {
        let pick = match *port {
            Wanted::Unpublished => None,
            Wanted::Fixed(port) => Some(find(&entries, port).ok_or(Detail::Port(port))?),
            Wanted::Any => Some(random.next(&fixed).ok_or_else(|| short(&wanted, &offered))?),
        };
        taken.extend(pick);
        chosen.push(pick.map(|(_, port)| port));
    }
    let resources = resources(&entries, &taken).map_err(|error| {
        // Parts of valid resources are valid; this is here so that nothing can panic.
        Detail::Text(error.to_string().into())
    })?;
    Ok(Ports { chosen, resources })
}

/// How many host ports an instance needs, and which of them it insists on.
pub(super) fn needs(app: &App) -> (u32, Vec<u16>) {
    let wanted = wanted(app);
    let count = wanted.iter().filter(|port| **port != Wanted::Unpublished).count();
    let fixed = wanted.iter().filter_map(|port| port.fixed()).collect();
    (u32::try_from(count).unwrap_or(u32::MAX), fixed)
}

fn wanted(app: &App) -> Vec<Wanted> {
    let mappings = app.container.as_ref().map(|container| &container.port_mappings);
    if let Some(mappings) = mappings.filter(|mappings| !mappings.is_empty()) {
        let one = |port: Option<u16>| match port {
            None => Wanted::Unpublished,
            Some(0) => Wanted::Any,
            Some(port) => Wanted::Fixed(port),
        };
        return mappings.iter().map(|mapping| one(mapping.host_port)).collect();
    }
    let one = |port: u16| match port {
        0 => Wanted::Any,
        port if app.require_ports => Wanted::Fixed(port),
        _ => Wanted::Any,
    };
    app.port_definitions.iter().map(|definition| one(definition.port)).collect()
}

fn short(wanted: &[Wanted], offered: &Resources) -> Detail {
    let need = wanted.iter().filter(|port| **port != Wanted::Unpublished).count();
    let left = offered.ports().map_or(0, |ports| ports.count());
    Detail::Ports { need: u32::try_from(need).unwrap_or(u32::MAX), left }
}

fn find(entries: &[Entry<'_>], port: u16) -> Option<(usize, u16)> {
    let has = |entry: &Entry<'_>| match entry.value() {
        Value::Ranges(ranges) => ranges.contains_number(u64::from(port)),
        _ => false,
    };
    entries.iter().position(has).map(|at| (at, port))
}

fn pieces(entries: &[Entry<'_>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let Value::Ranges(ranges) = entry.value() else { continue };
        let within = |range: Range| Range { begin: range.begin, end: range.end.min(65_535) };
        let ranges = ranges.iter().map(within).filter(|range| range.begin <= range.end);
        pieces.extend(ranges.map(|range| Piece { entry: at, range }));
    }
    pieces
}

/// All offered ports once: the ranges in random order as one sequence, from a random start to the
/// end and then from the beginning. Ports of an instance are next to each other that way, and a
/// port that became free is not soon given to another app.
struct Walk {
    pieces: Vec<Piece>,
    at: usize,
    port: u64,
    left: u64,
}

impl Walk {
    fn new(mut pieces: Vec<Piece>, seed: u64) -> Self {
        let mut random = Seeded::new(seed);
        random.shuffle(&mut pieces);
        let left = pieces.iter().map(Piece::len).sum();
        let mut skip = random.below(left);
        let mut start = (0, pieces.first().map_or(0, |piece| piece.range.begin));
        for (at, piece) in pieces.iter().enumerate() {
            if skip < piece.len() {
                start = (at, piece.range.begin + skip);
                break;
            }
            skip -= piece.len();
        }
        Self { pieces, at: start.0, port: start.1, left }
    }

    /// The next port that is none of `fixed`.
    fn next(&mut self, fixed: &[u16]) -> Option<(usize, u16)> {
        while self.left > 0 {
            self.left -= 1;
            let piece = *self.pieces.get(self.at)?;
            let port = u16::try_from(self.port).ok()?;
            if self.port < piece.range.end {
                self.port += 1;
            } else {
                self.at = (self.at + 1).checked_rem(self.pieces.len()).unwrap_or(0);
                self.port = self.pieces.get(self.at)?.range.begin;
            }
            if !fixed.contains(&port) {
                return Some((piece.entry, port));
            }
        }
        None
    }
}

impl Piece {
    fn len(&self) -> u64 {
        self.range.end - self.range.begin + 1
    }
}

impl Wanted {
    fn fixed(self) -> Option<u16> {
        match self {
            Self::Fixed(port) => Some(port),
            Self::Any | Self::Unpublished => None,
        }
    }
}

/// The ports as parts of the entries they were found in: reservations and all.
fn resources(entries: &[Entry<'_>], taken: &[(usize, u16)]) -> Result<Resources, ResourceError> {
    let mut parts = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let mine = taken.iter().filter(|(entry, _)| *entry == at);
        let ranges: Vec<Range> =
            mine.map(|(_, port)| Range { begin: (*port).into(), end: (*port).into() }).collect();
        if ranges.is_empty() {
            continue;
        }
        let mut part = entry.to_proto();
        let pair = |range: Range| v1::value::Range { begin: range.begin, end: range.end };
        let range = Ranges::new(ranges).iter().map(pair).collect();
        part.ranges = Some(v1::value::Ranges { range });
        parts.push(part);
    }
    Resources::from_proto(&parts)
}
