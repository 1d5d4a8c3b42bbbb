//! What the kernel is told adds up to what is wanted.

use proptest::prelude::*;

use super::*;

const RANGE: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(11, 0, 0, 0), Ipv4Addr::new(11, 255, 255, 254));

fn vip(number: u8) -> Vip {
    let address = match number % 3 {
        0 => Ipv4Addr::new(1, 2, 3, 4),
        _ => Ipv4Addr::new(11, 0, 0, number % 3),
    };
    let protocol = if number.is_multiple_of(2) { Protocol::Tcp } else { Protocol::Udp };
    Vip { protocol, address, port: 80 + u16::from(number / 3) }
}

fn to(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, number % 4), 31000 + u16::from(number))
}

/// The elements of a kernel that does what it is told, and minds when that makes no sense.
#[derive(Debug, Default, PartialEq)]
struct Kernel {
    elements: BTreeSet<(String, String)>,
    chains: BTreeSet<String>,
}

impl Kernel {
    fn run(&mut self, script: &str) {
        for line in script.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["add", "chain", "ip", TABLE, name] => {
                    assert!(self.chains.insert((*name).to_owned()))
                }
                [verb @ ("add" | "delete"), "element", "ip", TABLE, set, ..] => {
                    let (_, list) = line.split_once("{ ").unwrap();
                    for element in list.trim_end_matches(" }").split(", ") {
                        self.element(verb, set, element);
                    }
                }
                _ => {}
            }
        }
    }

    fn element(&mut self, verb: &str, set: &str, element: &str) {
        let key = element.split(" : ").next().unwrap().to_owned();
        let known = self
            .elements
            .iter()
            .find(|(of, one)| of == set && one.split(" : ").next() == Some(key.as_str()));
        let known = known.cloned();
        if verb == "delete" {
            assert!(self.elements.remove(&known.unwrap()), "{set} {element}");
            return;
        }
        assert_eq!(known, None, "{set} {element}");
        if let Some((_, chain)) = element.split_once("goto ") {
            assert!(self.chains.contains(chain), "{chain}");
        }
        self.elements.insert((set.to_owned(), element.to_owned()));
    }
}

/// Runs the whole script into an empty kernel.
fn whole(rules: &mut Rules) -> Kernel {
    let mut kernel = Kernel::default();
    kernel.run(&rules.full());
    kernel
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let all = || prop::collection::btree_set(0u8..8, 0..6);
    let targets = prop::option::of((all(), all()));
    prop::collection::btree_map(0u8..6, targets, 0..5).prop_map(|all| {
        let targets = |(open, closed): (BTreeSet<u8>, BTreeSet<u8>)| Targets {
            closed: closed.difference(&open).copied().map(to).collect(),
            open: open.into_iter().map(to).collect(),
        };
        all.into_iter().map(|(number, all)| (vip(number), all.map(targets))).collect()
    })
}

fn sets(targets: &Targets) -> (BTreeSet<SocketAddrV4>, BTreeSet<SocketAddrV4>) {
    (targets.open.iter().copied().collect(), targets.closed.iter().copied().collect())
}

proptest! {
    /// Step by step the kernel has what it would have if it were told all at once.
    #[test]
    fn changes_add_up(steps in prop::collection::vec(wanted(), 1..30)) {
        let mut rules = Rules::new(RANGE);
        let mut kernel = whole(&mut rules);
        let mut routes = BTreeSet::new();
        for step in steps {
            let before = rules.services().clone();
            let plan = rules.change(step.clone());
            kernel.run(&plan.script);
            for (vip, targets) in &step {
                prop_assert_eq!(rules.services().get(vip).map(sets), targets.as_ref().map(sets));
            }
            for (address, has) in plan.routes {
                let right = if has { routes.insert(address) } else { routes.remove(&address) };
                prop_assert!(right);
            }
            prop_assert_eq!(&routes, &rules.literal_addresses().collect());
            for (vip, backend) in plan.forget {
                prop_assert_eq!(vip.protocol, Protocol::Udp);
                prop_assert!(before[&vip].all().any(|one| *one == backend));
                let now = rules.services().get(&vip).cloned().unwrap_or_default();
                prop_assert!(!now.all().any(|one| *one == backend));
            }
            prop_assert_eq!(&rules.change(step).script, "", "nothing is told twice");
            let mut anew = Rules::new(RANGE);
            let all = rules.services().iter().map(|(vip, all)| (*vip, Some(all.clone())));
            anew.change(all.collect());
            // In another order, perhaps: which backend is under which number is of no meaning.
            let numbers = |kernel: &Kernel| {
                let keys = kernel.elements.iter().map(|(set, one)| (set.clone(), one.clone()));
                keys.map(|(set, one)| (set, one.split(" : ").next().unwrap().to_owned())).collect()
            };
            let (one, other): (BTreeSet<_>, BTreeSet<_>) = (numbers(&kernel), numbers(&whole(&mut anew)));
            prop_assert_eq!(one, other);
            prop_assert_eq!(&kernel.elements, &whole(&mut rules.clone()).elements);
        }
    }

    #[test]
    fn who_stays_keeps_its_place(old in prop::collection::btree_set(0u8..10, 0..8), gone in 0u8..10) {
        let old: Vec<SocketAddrV4> = old.into_iter().map(to).collect();
        let new: Vec<_> = old.iter().copied().filter(|one| *one != to(gone)).collect();
        let targets = Targets { open: old.clone(), closed: Vec::new() };
        let arranged = arranged(Some(&targets), new.clone());
        let moved = arranged.iter().zip(&old).filter(|(now, before)| now != before).count();
        prop_assert!(moved <= 1);
        prop_assert_eq!(arranged.len(), new.len());
    }
}

#[test]
fn a_service_without_backends_is_refused_not_unknown() {
    let mut rules = Rules::new(RANGE);
    let plan = rules.change([(vip(1), Some(Targets::default()))].into());
    assert_eq!(plan.script, "add element ip dais_l4lb vips { 11.0.0.1 }\n");
    let plan = rules.change([(vip(1), None)].into());
    assert_eq!(plan.script, "delete element ip dais_l4lb vips { 11.0.0.1 }\n");
}

#[test]
fn interfaces_come_and_go() {
    let mut rules = Rules::new(RANGE);
    let links = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        rules.set_links(links(&["br0", "eth0"])),
        "add element ip dais_l4lb same_link { \"br0\" . \"br0\", \"eth0\" . \"eth0\" }\n"
    );
    assert_eq!(
        rules.set_links(links(&["eth0"])),
        "delete element ip dais_l4lb same_link { \"br0\" . \"br0\" }\n"
    );
    assert_eq!(rules.set_links(links(&["eth0"])), "");
}
