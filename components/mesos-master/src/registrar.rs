//! The registry: which agents were admitted and which were given up, one small key each.
//!
//! Read once at the start; written in transactions that hold as many changes as
//! have come up while the one before was under way.
use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use cluster_state::{ClusterState, Op, StateError, When};
use libprocess::Upid;
use mesos_messages::v1;
use prost::Message;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::{
    core::{Admitted, Change, Registry},
    model::Id,
    run::MasterError,
};

const AGENTS: &str = "/mesos/master/agents/";
const UNREACHABLE: &str = "/mesos/master/unreachable/";
const GONE: &str = "/mesos/master/gone/";
const CLUSTER: &str = "/mesos/cluster";
/// Well below what one transaction may have.
const MAX_STEPS: usize = 500;
const MAX_BYTES: usize = 500_000;

/// Reads everything back.
pub(crate) async fn load(state: &dyn ClusterState) -> Result<Registry, MasterError> {
    let mut registry = Registry::default();
    for entry in state.list(AGENTS).await? {
        let admitted = read_admitted(&entry.value);
        registry.admitted.push(admitted.ok_or(MasterError::Corrupt { key: entry.key })?);
    }
    registry.unreachable = load_times(state, UNREACHABLE).await?;
    registry.gone = load_times(state, GONE).await?;
    Ok(registry)
}

/// The id of the cluster, made on the first start.
pub(crate) async fn cluster_id(state: &dyn ClusterState) -> Result<String, MasterError> {
    if let Some(entry) = state.get(CLUSTER).await? {
        return Ok(String::from_utf8_lossy(&entry.value).into_owned());
    }
    let id = uuid::Uuid::new_v4().to_string();
    match state.put(CLUSTER, Bytes::from(id.clone()), When::Absent).await {
        Ok(_) => Ok(id),
        Err(StateError::Conflict { .. }) => {
            let entry = state.get(CLUSTER).await?;
            let found = entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
            found.ok_or(MasterError::Corrupt { key: CLUSTER.to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

async fn load_times(state: &dyn ClusterState, prefix: &str) -> Result<Vec<(Id, i64)>, MasterError> {
    let mut times = Vec::new();
    for entry in state.list(prefix).await? {
        let time = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok());
        let id = entry.key.strip_prefix(prefix).map(Id::from);
        let (Some(id), Some(time)) = (id, time) else {
            return Err(MasterError::Corrupt { key: entry.key });
        };
        times.push((id, time));
    }
    Ok(times)
}

/// An admitted agent as it is stored.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, required, tag = "1")]
    info: v1::AgentInfo,
    #[prost(string, optional, tag = "2")]
    pid: Option<String>,
}

fn read_admitted(value: &[u8]) -> Option<Admitted> {
    let stored = Stored::decode(value).ok()?;
    stored.info.id.as_ref()?;
    Some(Admitted { info: stored.info, pid: stored.pid.and_then(|pid| pid.parse().ok()) })
}

fn write_admitted(admitted: &Admitted) -> Bytes {
    let pid = admitted.pid.as_ref().map(Upid::to_string);
    Stored { info: admitted.info.clone(), pid }.encode_to_vec().into()
}

/// Changes that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// As they will be written, which is smaller than as they came.
    steps: VecDeque<(u64, Vec<Op>)>,
}

// === impl Waiting ===

impl Waiting {
    pub(crate) fn push(&mut self, ticket: u64, changes: SmallVec<[Change; 1]>) {
        let mut all = Vec::with_capacity(changes.len());
        changes.iter().for_each(|change| all.extend(steps(change)));
        self.steps.push_back((ticket, all));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// As many waiting changes as fit one transaction, with their tickets.
    pub(crate) fn take(&mut self) -> (Vec<u64>, Vec<Op>) {
        let (mut tickets, mut ops) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut keys: FxHashSet<String> = FxHashSet::default();
        while let Some((ticket, steps)) = self.steps.front_mut() {
            let size: usize = steps.iter().map(size).sum();
            let full = ops.len() + steps.len() > MAX_STEPS || bytes + size > MAX_BYTES;
            // A key may be changed once in a transaction.
            if !ops.is_empty() && (full || steps.iter().any(|step| keys.contains(key(step)))) {
                break;
            }
            bytes += size;
            keys.extend(steps.iter().map(|step| key(step).to_owned()));
            ops.append(steps);
            tickets.push(*ticket);
            self.steps.pop_front();
        }
        (tickets, ops)
    }
}

/// Writes one transaction and gives the tickets it fulfils.
pub(crate) async fn write(
    state: Arc<dyn ClusterState>,
    tickets: Vec<u64>,
    ops: Vec<Op>,
) -> Result<Vec<u64>, StateError> {
    state.transact(ops).await?;
    Ok(tickets)
}

fn steps(change: &Change) -> SmallVec<[Op; 2]> {
    let put = |key: String, value: Bytes| Op::Put { key, value, when: When::Any };
    let delete = |key: String| Op::Delete { key, when: When::Any };
    let mut steps = SmallVec::new();
    match change {
        Change::Put(admitted) => {
            let id = admitted.info.id.as_ref().map_or("", |id| &id.value);
            steps.push(put(format!("{AGENTS}{id}"), write_admitted(admitted)));
        }
        Change::Remove(id) => steps.push(delete(format!("{AGENTS}{id}"))),
        Change::Unreachable(id, since_ns) => {
            steps.push(delete(format!("{AGENTS}{id}")));
            steps.push(put(format!("{UNREACHABLE}{id}"), since_ns.to_string().into()));
        }
        Change::Reachable(id) => steps.push(delete(format!("{UNREACHABLE}{id}"))),
        Change::Forget(id) => {
            steps.push(delete(format!("{UNREACHABLE}{id}")));
            steps.push(delete(format!("{GONE}{id}")));
        }
    }
    steps
}

fn key(op: &Op) -> &str {
    match op {
        Op::Put { key, .. } | Op::Delete { key, .. } | Op::Check { key, .. } => key,
        Op::Fence { election, .. } => election,
    }
}

fn size(op: &Op) -> usize {
    match op {
        Op::Put { key, value, .. } => key.len() + value.len(),
        other => key(other).len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    #[test]
    fn an_agent_is_read_back_as_it_was_written() {
        let info = v1::AgentInfo {
            hostname: "host".into(),
            id: Some(v1::AgentId { value: "m-S0".into() }),
            ..v1::AgentInfo::default()
        };
        let pid = "slave(1)@127.0.0.1:5051".parse().ok();
        let admitted = Admitted { info, pid };
        let back = read_admitted(&write_admitted(&admitted)).unwrap();
        assert_eq!((back.info, back.pid), (admitted.info, admitted.pid));
        assert!(read_admitted(b"nonsense").is_none());
        assert!(read_admitted(b"").is_none());
    }

    #[test]
    fn a_transaction_changes_no_key_twice() {
        let mut waiting = Waiting::default();
        waiting.push(1, smallvec![Change::Remove("a".into())]);
        waiting.push(2, smallvec![Change::Remove("b".into())]);
        waiting.push(3, smallvec![Change::Unreachable("a".into(), 5)]);
        let (tickets, ops) = waiting.take();
        assert_eq!((tickets, ops.len()), (vec![1, 2], 2));
        let (tickets, ops) = waiting.take();
        assert_eq!((tickets, ops.len()), (vec![3], 2));
        assert!(waiting.is_empty());
    }

    #[test]
    fn large_batches_are_cut() {
        let mut waiting = Waiting::default();
        for ticket in 0..1200 {
            waiting.push(ticket, smallvec![Change::Remove(ticket.to_string().into())]);
        }
        let sizes: Vec<usize> = std::iter::from_fn(|| {
            let (tickets, _) = waiting.take();
            (!tickets.is_empty()).then_some(tickets.len())
        })
        .collect();
        assert_eq!(sizes, [500, 500, 200]);
    }
}
