//! Who listens knows, in the end, what who asks is told.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::kernel::Vip;
use crate::vips::label::Protocol;
use crate::wire::Target;

fn service(number: u8) -> Service {
    let host = Host::Name(format!("web{}.marathon", number / 2).into());
    Service { host, protocol: Protocol::Tcp, port: 80 + u16::from(number % 2) }
}

fn entry(number: u8, ip: u8, backends: u8) -> Arc<Entry> {
    let service = service(number);
    let Host::Name(name) = service.host else { panic!("a name") };
    let target = |last| {
        let ip = Ipv4Addr::new(10, 0, 0, last);
        Target { ip, port: 31000, weight: 1, agent: ip, inside: None }
    };
    Arc::new(Entry {
        vip: name.to_string(),
        protocol: service.protocol,
        ip: Ipv4Addr::new(11, 0, number / 2, ip),
        port: service.port,
        backends: (0..backends).map(target).collect(),
    })
}

#[derive(Default)]
struct Heard {
    services: HashMap<Vip, Entry>,
    names: HashMap<String, Ipv4Addr>,
}

impl Heard {
    fn services(&mut self, lines: Vec<Line>) {
        for line in lines {
            if let Some(all) = line.vips {
                self.services = all.into_iter().map(|entry| (entry.key(), entry)).collect();
            }
            if let Some(gone) = line.gone {
                assert!(self.services.remove(&gone.key()).is_some());
            }
            if let Some(entry) = line.put {
                self.services.insert(entry.key(), entry);
            }
        }
    }

    fn names(&mut self, lines: Vec<NameLine>) {
        for line in lines {
            if let Some(all) = line.vips {
                self.names = all.into_iter().map(|one| (one.name, one.ip)).collect();
            }
            if let Some(gone) = line.gone {
                self.names.remove(&gone);
            }
            if let Some(one) = line.put {
                self.names.insert(one.name, one.ip);
            }
        }
    }
}

proptest! {
    #[test]
    fn listeners_catch_up(
        steps in prop::collection::vec((0u8..6, prop::option::of((0u8..2, 0u8..3)), any::<bool>()), 0..60),
    ) {
        let view = View::default();
        let (mut services, mut names) = (view.listen(2).unwrap(), view.listen(2).unwrap());
        prop_assert!(view.listen(2).is_none());
        prop_assert!(services.services(&view).is_empty(), "nothing is known yet");
        let mut heard = Heard::default();
        // A name has one address, whatever its service.
        let mut addresses = HashMap::new();
        for (number, update, listens) in steps {
            let update = update.map(|(ip, backends)| {
                let ip = *addresses.entry(number / 2).or_insert(ip);
                entry(number, ip, backends)
            });
            view.publish(vec![(service(number), update)]);
            if listens {
                heard.services(services.services(&view));
                heard.names(names.names(&view, |ip| ip));
            }
        }
        view.publish(Vec::new());
        heard.services(services.services(&view));
        heard.names(names.names(&view, |ip| ip));
        let all = view.snapshot().services;
        let wanted = all.iter().map(|entry| (entry.key(), Entry::clone(entry))).collect();
        prop_assert_eq!(heard.services, wanted);
        let wanted: HashMap<_, _> = all.iter().map(|entry| (entry.vip.clone(), entry.ip)).collect();
        prop_assert_eq!(heard.names, wanted);
        prop_assert!(services.services(&view).is_empty(), "nothing is heard twice");
    }
}

#[tokio::test]
async fn a_change_wakes_who_waits() {
    let view = View::default();
    let mut listener = view.listen(1).unwrap();
    view.publish(Vec::new());
    listener.changed().await;
    let first = listener.services(&view);
    assert_eq!(first, [Line { vips: Some(Vec::new()), ..Line::default() }]);
    view.publish(vec![(service(1), Some(entry(1, 1, 1)))]);
    listener.changed().await;
    assert!(matches!(&listener.services(&view)[..], [Line { put: Some(_), .. }]));
    let moved = vec![(service(1), Some(entry(1, 2, 1)))];
    view.publish(moved);
    let lines = listener.services(&view);
    assert!(
        matches!(&lines[..], [Line { gone: Some(_), .. }, Line { put: Some(_), .. }]),
        "{lines:?}"
    );
}
