//! Which service ports are in use, and the lowest that is not.

use crate::App;
use imbl::OrdMap;

/// Service ports of all apps. Persistent: a clone costs nothing, a change the logarithm.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServicePorts {
    /// How often each is used: only those assigned by us are sure to be unique.
    uses: OrdMap<u16, u32>,
    /// Runs of used ports: first to last, none touching another.
    runs: OrdMap<u16, u16>,
}

// === impl ServicePorts ===

impl ServicePorts {
    /// One more use. Port 0 is none.
    pub(crate) fn take(&mut self, port: u16) {
        if port == 0 {
            return;
        }
        let uses = self.uses.get(&port).copied().unwrap_or_default();
        self.uses.insert(port, uses + 1);
        if uses == 0 {
            self.extend_run(port);
        }
    }

    /// One use less.
    pub(crate) fn release(&mut self, port: u16) {
        match self.uses.get(&port).copied() {
            None => {}
            Some(1) => {
                self.uses.remove(&port);
                self.split_run(port);
            }
            Some(uses) => drop(self.uses.insert(port, uses - 1)),
        }
    }

    /// The lowest port of `min..=max` that nobody uses.
    pub(crate) fn lowest_free(&self, min: u16, max: u16) -> Option<u16> {
        let min = min.max(1);
        let after = match self.runs.get_prev(&min) {
            Some((_, &last)) if last >= min => last.checked_add(1)?,
            _ => min,
        };
        (after <= max).then_some(after)
    }

    fn extend_run(&mut self, port: u16) {
        let (mut first, mut last) = (port, port);
        if let Some((&before, &end)) = self.runs.get_prev(&port)
            && end.checked_add(1) == Some(port)
        {
            first = before;
        }
        if let Some(next) = port.checked_add(1)
            && let Some(end) = self.runs.remove(&next)
        {
            last = end;
        }
        self.runs.insert(first, last);
    }

    fn split_run(&mut self, port: u16) {
        let Some((&first, &last)) = self.runs.get_prev(&port) else { return };
        self.runs.remove(&first);
        if first < port {
            self.runs.insert(first, port - 1);
        }
        if port < last {
            self.runs.insert(port + 1, last);
        }
    }
}

/// Gives the app these service ports, in the order of [`App::service_ports`].
pub(crate) fn set_service_ports(app: &mut App, ports: &[u16]) {
    let mappings = app.container.iter_mut().flat_map(|container| &mut container.port_mappings);
    let mappings = mappings.map(|mapping| &mut mapping.service_port);
    let definitions = app.port_definitions.iter_mut().map(|definition| &mut definition.port);
    for (place, port) in mappings.chain(definitions).zip(ports) {
        *place = *port;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn as_a_plain_count_of_uses(
            steps in proptest::collection::vec((any::<bool>(), 1u16..40), 0..200),
            min in 0u16..30,
        ) {
            let (mut ports, mut plain) = (ServicePorts::default(), BTreeMap::<u16, u32>::new());
            for (take, port) in steps {
                if take {
                    ports.take(port);
                    *plain.entry(port).or_default() += 1;
                } else {
                    ports.release(port);
                    if let Some(uses) = plain.get_mut(&port) {
                        *uses -= 1;
                    }
                    plain.retain(|_, uses| *uses > 0);
                }
                let free = (min.max(1)..=35).find(|port| !plain.contains_key(port));
                prop_assert_eq!(ports.lowest_free(min, 35), free);
                prop_assert!(ports.runs.len() <= plain.len());
            }
        }
    }

    #[test]
    fn the_end_of_the_range() {
        let mut ports = ServicePorts::default();
        assert_eq!(ports.lowest_free(65_535, 65_535), Some(65_535));
        ports.take(65_535);
        ports.take(0);
        assert_eq!(ports.lowest_free(65_535, 65_535), None);
        ports.release(65_535);
        ports.release(65_535);
        assert_eq!(ports, ServicePorts::default());
    }
}
