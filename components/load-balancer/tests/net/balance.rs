//! Connections go to backends that are open, from wherever they come; what is established stays.

use std::io::ErrorKind;

use mesos_messages::v1::TaskState;

use crate::cluster::{Control, lab, leads_to, vip, wait};
use crate::master::Task;
use crate::traffic::{Connection, UdpClient, ask, tcp_server, udp_server, who};

#[test]
fn connections_follow_tasks_and_their_health() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let control = Control::start(&mut lab, &[&a, &b]);
    let _daemons = [control.node(&a), control.node(&b)];
    let web = vip("web.marathon", 80);
    wait("the table", || !crate::cluster::rules(&a).is_empty());
    assert_eq!(ask(&a, web).unwrap_err().kind(), ErrorKind::ConnectionRefused, "at once");

    tcp_server(&a, "a", 31000);
    tcp_server(&b, "b", 31000);
    let (on_a, on_b) = (
        std::net::SocketAddrV4::new(a.address(), 31000),
        std::net::SocketAddrV4::new(b.address(), 31000),
    );
    control.add("a", &a, 31000, "/web:80");
    let took = wait("the first backend", || leads_to(&a, on_a) && leads_to(&b, on_a));
    eprintln!("a task is reached after {took:?}");
    assert_eq!(who(&a, web, 3), ["a"]);
    assert_eq!(ask(&b, web).unwrap(), ("a".to_owned(), b.address().to_string()), "its own source");
    control.add("b", &b, 31000, "/web:80");
    wait("the second backend", || leads_to(&a, on_b) && leads_to(&b, on_b));
    assert_eq!(who(&a, web, 40), ["a", "b"]);
    assert_eq!(who(&b, web, 40), ["a", "b"]);

    let mut established = loop {
        let mut one = Connection::open(&a, web).unwrap();
        if one.ask().unwrap().0 == "b" {
            break one;
        }
    };
    control.healthy("b", false);
    let took = wait("the unhealthy one's leave", || !leads_to(&a, on_b));
    eprintln!("a task that is not healthy is left after {took:?}");
    assert_eq!(who(&a, web, 20), ["a"]);
    assert_eq!(established.ask().unwrap().0, "b", "what is established lives on");
    control.healthy("b", true);
    wait("the recovery", || leads_to(&a, on_b));
    control.master.update("b", TaskState::TaskKilling, None);
    wait("the leave of the one that is killed", || !leads_to(&a, on_b));
    assert_eq!(established.ask().unwrap().0, "b", "what is established lives on");
    control.kill("b");
    control.kill("a");
    wait("the end", || !leads_to(&a, on_a) && !leads_to(&b, on_a));
    assert_eq!(ask(&a, web).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn addresses_of_labels_and_other_ports_are_told_apart() {
    let Some(mut lab) = lab() else { return };
    let a = lab.node("a").unwrap();
    let control = Control::start(&mut lab, &[&a]);
    let _daemon = control.node(&a);
    tcp_server(&a, "one", 31001);
    tcp_server(&a, "two", 31002);
    control.add("one", &a, 31001, "1.2.3.4:5000");
    control.add("two", &a, 31002, "1.2.3.4:5001");
    let at = |port| std::net::SocketAddrV4::new([1, 2, 3, 4].into(), port);
    wait("both", || ask(&a, at(5000)).is_ok() && ask(&a, at(5001)).is_ok());
    assert_eq!(who(&a, at(5000), 5), ["one"]);
    assert_eq!(who(&a, at(5001), 5), ["two"]);
    assert_eq!(ask(&a, at(5002)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    control.kill("one");
    control.kill("two");
    // There is no way to it any more, as there was none before.
    wait("the end", || ask(&a, at(5000)).is_err_and(|e| e.kind() == ErrorKind::NetworkUnreachable));
}

#[test]
fn a_client_of_udp_does_not_stay_with_who_is_gone() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let control = Control::start(&mut lab, &[&a, &b]);
    let _daemon = control.node(&a);
    let _servers = [udp_server(&a, "a", 31053), udp_server(&b, "b", 31053)];
    let task = |id: &str, node: &network_lab::Node| Task {
        protocol: "udp",
        ..Task::new(id, node.address(), 31053, "/dns:53")
    };
    control.master.add(&task("a", &a));
    control.master.add(&task("b", &b));
    let on = |node: &network_lab::Node| std::net::SocketAddrV4::new(node.address(), 31053);
    wait("both", || leads_to(&a, on(&a)) && leads_to(&a, on(&b)));
    let client = UdpClient::new(&a, vip("dns.marathon", 53));
    let mut first = None;
    wait("an answer", || {
        first = client.ask();
        first.is_some()
    });
    let first = first.unwrap();
    for _ in 0..10 {
        assert_eq!(client.ask().as_ref(), Some(&first), "it stays");
    }
    control.healthy(&first, false);
    let node = if first == "a" { &a } else { &b };
    wait("its leave", || !leads_to(&a, on(node)));
    assert_eq!(client.ask().as_ref(), Some(&first), "what is established lives on");
    control.kill(&first);
    // From the same port, which the kernel remembers.
    wait("another answer", || client.ask().is_some_and(|name| name != first));
}
