//! The addresses of names, kept in the cluster's state: each name's address under the name, and
//! each address's name under the address, so that no two controllers can give one twice.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use cluster_state::{Change, ClusterState, Op, StateError, Watch, When};

use crate::vips::address::Pool;

const NAMES: &str = "/vips/addresses/";
const TAKEN: &str = "/vips/taken/";
/// Names in one transaction; each takes two steps.
const AT_ONCE: usize = 256;
/// Others may give addresses at the same moment; more often than that they do not.
const TRIES: usize = 64;

/// The addresses of names, and where they are kept.
#[derive(Debug)]
pub(crate) struct Addresses {
    pool: Pool,
    state: Arc<dyn ClusterState>,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("all addresses are taken")]
    Full,
}

// === impl Addresses ===

impl Addresses {
    /// Reads what there is, and follows it from then on.
    pub(crate) async fn open(
        state: Arc<dyn ClusterState>,
        range: (Ipv4Addr, Ipv4Addr),
    ) -> Result<(Addresses, Watch), StateError> {
        let mut watch = state.watch(NAMES).await?;
        let mut pool = Pool::new(range);
        for entry in watch.take_initial() {
            enter(&mut pool, &entry.key, &entry.value);
        }
        Ok((Addresses { pool, state }, watch))
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What somebody wrote, this process included.
    pub(crate) fn heard(&mut self, changes: Vec<Change>) {
        for change in changes {
            match (&change.value, change.key.strip_prefix(NAMES)) {
                (Some(value), _) => enter(&mut self.pool, &change.key, value),
                (None, Some(name)) => {
                    self.pool.remove(name);
                }
                (None, None) => {}
            }
        }
    }

    /// Gives addresses to names that have none. When this returns they are on disk.
    pub(crate) async fn give(
        &mut self,
        names: Vec<Arc<str>>,
        reserved: impl Fn(Ipv4Addr) -> bool,
    ) -> Result<(), AddressError> {
        let names: Vec<_> =
            names.into_iter().filter(|name| self.pool.get(name).is_none()).collect();
        for some in names.chunks(AT_ONCE) {
            let mut given = Vec::with_capacity(some.len());
            for name in some {
                let address = self.pool.candidate(name, &reserved).ok_or(AddressError::Full)?;
                self.pool.insert(name.clone(), address);
                given.push((name, address));
            }
            let ops = given.iter().flat_map(|(name, address)| puts(name, *address)).collect();
            match self.state.transact(ops).await {
                Ok(_) => {}
                Err(error) => {
                    for (name, _) in &given {
                        self.pool.remove(name);
                    }
                    let StateError::Conflict { .. } = error else { return Err(error.into()) };
                    for name in some {
                        self.give_one(name, &reserved).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where another may have given it, or the address, meanwhile.
    async fn give_one(
        &mut self,
        name: &Arc<str>,
        reserved: impl Fn(Ipv4Addr) -> bool,
    ) -> Result<(), AddressError> {
        for _ in 0..TRIES {
            let key = format!("{NAMES}{name}");
            if let Some(entry) = self.state.get(&key).await? {
                enter(&mut self.pool, &entry.key, &entry.value);
            }
            if self.pool.get(name).is_some() {
                return Ok(());
            }
            let address = self.pool.candidate(name, &reserved).ok_or(AddressError::Full)?;
            match self.state.transact(puts(name, address).into()).await {
                Ok(_) => {
                    self.pool.insert(name.clone(), address);
                    return Ok(());
                }
                Err(StateError::Conflict { .. }) => self.look_at(address).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AddressError::Full)
    }

    /// Whose an address is by now.
    async fn look_at(&mut self, address: Ipv4Addr) -> Result<(), StateError> {
        if let Some(entry) = self.state.get(&format!("{TAKEN}{address}")).await?
            && let Ok(owner) = std::str::from_utf8(&entry.value)
        {
            self.pool.insert(owner.into(), address);
        }
        Ok(())
    }

    /// Lets names go: whoever asks for one later may get another address.
    pub(crate) async fn release(&mut self, names: &[Arc<str>]) -> Result<(), StateError> {
        for some in names.chunks(AT_ONCE) {
            let known = some.iter().filter_map(|name| Some((name, self.pool.get(name)?)));
            let delete = |key| Op::Delete { key, when: When::Any };
            let ops = known.flat_map(|(name, address)| {
                [delete(format!("{NAMES}{name}")), delete(format!("{TAKEN}{address}"))]
            });
            self.state.transact(ops.collect()).await?;
            for name in some {
                self.pool.remove(name);
            }
        }
        Ok(())
    }
}

fn puts(name: &str, address: Ipv4Addr) -> [Op; 2] {
    let put = |key, value: String| Op::Put { key, value: Bytes::from(value), when: When::Absent };
    [
        put(format!("{NAMES}{name}"), address.to_string()),
        put(format!("{TAKEN}{address}"), name.to_owned()),
    ]
}

fn enter(pool: &mut Pool, key: &str, value: &[u8]) {
    let address = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    match (key.strip_prefix(NAMES), address) {
        (Some(name), Some(address)) => {
            if pool.get(name).is_some_and(|known| known != address) {
                pool.remove(name);
            }
            if !pool.insert(name.into(), address) {
                tracing::error!(key, %address, "two names have one address");
            }
        }
        _ => tracing::error!(key, "what is kept there is no address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: (Ipv4Addr, Ipv4Addr) =
        (Ipv4Addr::new(11, 0, 0, 0), Ipv4Addr::new(11, 255, 255, 254));

    async fn store(folder: &tempfile::TempDir) -> Arc<dyn ClusterState> {
        cluster_state::embedded::open(folder.path().join("state")).unwrap()
    }

    #[tokio::test]
    async fn an_address_survives_whoever_gave_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = store(&folder).await;
        let (mut one, _watch) = Addresses::open(Arc::clone(&state), RANGE).await.unwrap();
        let names: Vec<Arc<str>> = (0..600).map(|n| format!("web{n}.marathon").into()).collect();
        one.give(names.clone(), |_| false).await.unwrap();
        let (other, _watch) = Addresses::open(state, RANGE).await.unwrap();
        assert_eq!(other.pool().len(), 600);
        assert!(names.iter().all(|name| other.pool().get(name) == one.pool().get(name)));
    }

    #[tokio::test]
    async fn two_controllers_never_give_one_address_twice() {
        let folder = tempfile::tempdir().unwrap();
        let state = store(&folder).await;
        let (mut one, _watch) = Addresses::open(Arc::clone(&state), RANGE).await.unwrap();
        let (mut other, mut watch) = Addresses::open(state, RANGE).await.unwrap();
        // The other does not know yet that the address of its name is taken.
        let wanted = other.pool().candidate("web.marathon", |_| false).unwrap();
        let before = Ipv4Addr::from(u32::from(wanted) - 1);
        one.give(vec!["web.marathon".into(), "db.marathon".into()], |_| false).await.unwrap();
        other.give(vec!["web.marathon".into()], |_| false).await.unwrap();
        assert_eq!(
            other.pool().get("web.marathon"),
            Some(wanted),
            "the same name, the same address"
        );
        let (mut third, _watch) = Addresses::open(Arc::clone(&one.state), RANGE).await.unwrap();
        third.pool.remove("web.marathon");
        let reserved = |address| {
            address != before && address != wanted && u32::from(address) != u32::from(wanted) + 1
        };
        third.give(vec!["clash.marathon".into()], reserved).await.unwrap();
        let clash = third.pool().get("clash.marathon").unwrap();
        assert_ne!(clash, wanted);
        other.heard(watch.next().await.unwrap());
        assert!(other.pool().get("db.marathon").is_some());
    }

    #[tokio::test]
    async fn what_is_released_is_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = store(&folder).await;
        let (mut one, _watch) = Addresses::open(Arc::clone(&state), RANGE).await.unwrap();
        let name: Arc<str> = "web.marathon".into();
        one.give(vec![name.clone()], |_| false).await.unwrap();
        one.release(std::slice::from_ref(&name)).await.unwrap();
        assert!(state.list("/vips/").await.unwrap().is_empty());
        one.give(vec![name.clone()], |_| false).await.unwrap();
        assert!(one.pool().get(&name).is_some());
    }
}
