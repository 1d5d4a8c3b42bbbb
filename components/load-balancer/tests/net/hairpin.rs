//! Containers behind a bridge: as clients, as backends, and as both at once.

use std::net::SocketAddrV4;

use network_lab::{Lab, Node};

use crate::cluster::{Control, Daemon, lab, leads_to, vip, wait};
use crate::master::Task;
use crate::traffic::{ask, tcp_server, who};

/// Two containers of `a`, and `b` beside it.
struct Scene {
    a: Node,
    b: Node,
    one: Node,
    two: Node,
    control: Control,
    _daemons: [Daemon; 2],
}

fn scene(lab: &mut Lab, bridged: bool) -> Scene {
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let (one, two) = (lab.container(&a, "c1", 2).unwrap(), lab.container(&a, "c2", 3).unwrap());
    lab.route(&b, &a).unwrap();
    if a.sysctl("net.bridge.bridge-nf-call-iptables", if bridged { "1" } else { "0" }).is_err() {
        eprintln!("this kernel's bridges do not know of rules");
    }
    if bridged {
        // As whoever attaches containers to a bridge must.
        for port in ["port2", "port3"] {
            let set = ["link", "set", "dev", port, "hairpin", "on"];
            assert!(a.command("bridge").args(set).status().unwrap().success());
        }
    }
    let control = Control::start(lab, &[&a, &b]);
    let _daemons = [control.node(&a), control.node(&b)];
    tcp_server(&one, "one", 8080);
    tcp_server(&two, "two", 8080);
    Scene { a, b, one, two, control, _daemons }
}

impl Scene {
    fn add(&self, id: &str, container: &Node, label: &str) {
        let address = Some(container.address());
        self.control.master.add(&Task { address, ..Task::new(id, self.a.address(), 8080, label) });
        let at = SocketAddrV4::new(container.address(), 8080);
        wait("it leads there", || leads_to(&self.a, at) && leads_to(&self.b, at));
    }
}

fn containers_reach_themselves_and_each_other(bridged: bool) {
    let Some(mut lab) = lab() else { return };
    let scene = scene(&mut lab, bridged);
    scene.add("one", &scene.one, "/one:80");
    let one = vip("one.marathon", 80);
    // Itself: it would not take its own packets as somebody's answer.
    wait("its own voice", || ask(&scene.one, one).is_ok());
    assert_eq!(who(&scene.one, one, 10), ["one"]);
    // Its neighbour: the answer must not go past the node.
    assert_eq!(who(&scene.two, one, 10), ["one"]);
    // Its node, and another machine, which are seen as who they are.
    assert_eq!(who(&scene.a, one, 3), ["one"]);
    assert_eq!(ask(&scene.b, one).unwrap(), ("one".to_owned(), scene.b.address().to_string()));
    // From a container to another machine it is the container that is seen.
    tcp_server(&scene.b, "b", 31000);
    scene.control.add("b", &scene.b, 31000, "/far:80");
    let far = vip("far.marathon", 80);
    wait("the far one", || ask(&scene.one, far).is_ok());
    let seen = ask(&scene.one, far).unwrap();
    assert_eq!(seen, ("b".to_owned(), scene.one.address().to_string()));
    // Balanced, whoever asks.
    scene.add("two", &scene.two, "/one:80");
    for client in [&scene.one, &scene.two, &scene.a, &scene.b] {
        assert_eq!(who(client, one, 40), ["one", "two"], "{client:?}");
    }
}

#[test]
fn hairpin() {
    containers_reach_themselves_and_each_other(false);
}

#[test]
fn hairpin_where_bridges_know_of_rules() {
    containers_reach_themselves_and_each_other(true);
}
