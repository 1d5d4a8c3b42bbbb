//! Starting, stopping, being replaced, being cut off, and rules that somebody else throws away.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::{Control, lab, leads_to, rules, vip, wait};
use crate::traffic::{Connection, ask, tcp_server, who};

#[test]
fn a_partition_leaves_what_was_known_at_work() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let control = Control::start(&mut lab, &[&a, &b]);
    let _daemons = [control.node(&a), control.node(&b)];
    tcp_server(&a, "a", 31000);
    tcp_server(&b, "b", 31000);
    tcp_server(&b, "late", 31001);
    control.add("b", &b, 31000, "/web:80");
    let at = |node: &network_lab::Node, port| SocketAddrV4::new(node.address(), port);
    wait("the backend", || leads_to(&a, at(&b, 31000)) && leads_to(&b, at(&b, 31000)));
    let web = vip("web.marathon", 80);
    assert_eq!(who(&a, web, 3), ["b"]);

    lab.cut(&b).unwrap();
    control.kill("b");
    control.add("a", &a, 31000, "/web:80");
    control.add("late", &b, 31001, "/web:80");
    wait("those that hear it", || leads_to(&a, at(&a, 31000)) && !leads_to(&a, at(&b, 31000)));
    assert!(leads_to(&b, at(&b, 31000)), "who does not hear of it keeps what it knows");
    assert_eq!(who(&b, web, 3), ["b"]);
    lab.mend(&b).unwrap();
    wait("the rest", || leads_to(&b, at(&a, 31000)) && !leads_to(&b, at(&b, 31000)));
    assert_eq!(who(&b, web, 40), ["a", "late"]);
    assert_eq!(who(&a, web, 40), ["a", "late"]);
}

#[test]
fn whoever_comes_next_takes_over_without_a_gap() {
    let Some(mut lab) = lab() else { return };
    let a = lab.node("a").unwrap();
    let control = Control::start(&mut lab, &[&a]);
    tcp_server(&a, "one", 31000);
    control.add("one", &a, 31000, "/web:80");
    let web = vip("web.marathon", 80);
    let first = control.node_with(&a, |config| config.node.leave_rules = true);
    wait("the backend", || ask(&a, web).is_ok());
    let mut established = Connection::open(&a, web).unwrap();
    established.ask().unwrap();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = {
        let (a, stop, asked) = (a.clone(), Arc::clone(&stop), Arc::clone(&asked));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                ask(&a, web).unwrap();
                asked.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    first.stop();
    assert!(rules(&a).contains("services"), "they are left");
    let second = control.node(&a);
    tcp_server(&a, "two", 31001);
    control.add("two", &a, 31001, "/web:80");
    wait("the new backend", || leads_to(&a, SocketAddrV4::new(a.address(), 31001)));
    stop.store(true, Ordering::Relaxed);
    client.join().expect("no connection fails");
    assert!(asked.load(Ordering::Relaxed) > 0);
    assert_eq!(established.ask().unwrap().0, "one");

    second.stop();
    assert_eq!(rules(&a), "", "this one takes them back");
    let routes = a.command("ip").args(["route", "show", "proto", "188"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&routes.stdout), "");
}

#[test]
fn rules_that_are_thrown_away_are_made_again() {
    let Some(mut lab) = lab() else { return };
    let a = lab.node("a").unwrap();
    let control = Control::start(&mut lab, &[&a]);
    let _daemon = control.node(&a);
    tcp_server(&a, "one", 31000);
    control.add("one", &a, 31000, "/web:80");
    let web = vip("web.marathon", 80);
    wait("the backend", || ask(&a, web).is_ok());
    assert!(a.command("nft").args(["flush", "ruleset"]).status().unwrap().success());
    wait("the rules", || ask(&a, web).is_ok());
    let flush = ["route", "flush", "proto", "188"];
    assert!(a.command("ip").args(flush).status().unwrap().success());
    wait("the routes", || ask(&a, web).is_ok());
    // A change that finds nothing to change makes everything.
    assert!(a.command("nft").args(["flush", "ruleset"]).status().unwrap().success());
    tcp_server(&a, "two", 31001);
    control.add("two", &a, 31001, "/web:80");
    wait("both", || leads_to(&a, SocketAddrV4::new(a.address(), 31001)));
    assert_eq!(who(&a, web, 40), ["one", "two"]);
}

/// A thousand changes a second, while connections are made all the time.
#[test]
fn many_changes_lose_no_connection() {
    const SERVICES: usize = 200;
    const CHANGES: usize = 3000;
    let Some(mut lab) = lab() else { return };
    let a = lab.node("a").unwrap();
    let control = Control::start(&mut lab, &[&a]);
    let _daemon = control.node(&a);
    tcp_server(&a, "steady", 31000);
    tcp_server(&a, "coming", 31001);
    control.add("steady", &a, 31000, "/web:80");
    for service in 0..SERVICES {
        control.add(&format!("s{service}"), &a, 31000, &format!("/s{service}:80"));
    }
    let web = vip("web.marathon", 80);
    wait("the steady one", || ask(&a, web).is_ok());
    control.add("coming", &a, 31001, "/web:80");
    let done = Arc::new(AtomicBool::new(false));
    let client = {
        let (a, done) = (a.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                ask(&a, web).unwrap();
                asked += 1;
            }
            asked
        })
    };
    let begun = Instant::now();
    for change in 0..CHANGES {
        let pace = Duration::from_millis(u64::try_from(change).unwrap());
        std::thread::sleep(pace.saturating_sub(begun.elapsed()));
        let healthy = change / SERVICES % 2 == 1;
        match change % SERVICES {
            0 => control.healthy("coming", healthy),
            service => control.healthy(&format!("s{service}"), healthy),
        }
    }
    let took = begun.elapsed();
    control.add("last", &a, 31009, "/last:80");
    let behind = wait("the last one", || leads_to(&a, SocketAddrV4::new(a.address(), 31009)));
    done.store(true, Ordering::Relaxed);
    let asked = client.join().expect("no connection fails");
    eprintln!(
        "{CHANGES} changes in {took:?}, the last at work {behind:?} later; {asked} connections"
    );
    let closed = (CHANGES / SERVICES - 1).is_multiple_of(2);
    let open = rules(&a).matches(&format!(": {} . 31000", a.address())).count();
    assert_eq!(open, if closed { 2 } else { SERVICES + 1 });
}
