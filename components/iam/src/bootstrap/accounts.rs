//! The accounts of the cluster's own components, and exactly what each may do.

use identity::Action;

/// A component's account.
pub(crate) struct Account {
    pub(crate) uid: &'static str,
    pub(crate) description: &'static str,
    pub(crate) grants: &'static [Grant],
}

/// A resource (with everything below it), and what may be done with it.
pub(crate) type Grant = (&'static str, Action);

use Action::{Create, Delete, Full, Read, Update};

/// Everybody judges requests by the policy, and so has to read it.
const POLICY: Grant = ("dcos:iam:policy", Read);

/// Made at the first start; a grant that is new here is added at the next one, and one that an
/// operator took away stays away.
pub(crate) const ACCOUNTS: &[Account] = &[
    Account {
        uid: "dcos_adminrouter",
        description: "The gateway: its certificate, and what it has to know to route requests",
        grants: &[
            POLICY,
            ("dcos:iam:gateway", Full),
            ("dcos:adminrouter:ops:ca:rw", Full),
            ("dcos:mesos:master:agent", Read),
            ("dcos:mesos:master:executor:app_id", Read),
            ("dcos:mesos:master:flags", Read),
            ("dcos:mesos:master:framework:role", Read),
            ("dcos:mesos:master:task:app_id", Read),
            ("dcos:service:marathon:marathon:admin:config", Read),
            ("dcos:service:marathon:marathon:admin:events", Read),
            ("dcos:service:marathon:marathon:admin:leader", Read),
            ("dcos:service:marathon:marathon:services", Read),
        ],
    },
    Account { uid: "dcos_mesos_master", description: "The Mesos master", grants: &[POLICY] },
    Account {
        uid: "dcos_mesos_agent",
        description: "The Mesos agents: they join the cluster",
        grants: &[POLICY, ("dcos:mesos:master:agent", Create)],
    },
    Account {
        uid: "dcos_marathon",
        description: "Marathon: it registers at the master and runs services",
        grants: &[
            POLICY,
            ("dcos:mesos:master:framework:principal:dcos_marathon", Delete),
            ("dcos:mesos:master:framework:role", Create),
        ],
    },
    Account {
        uid: "dcos_cosmos",
        description: "The package service: it ends what it uninstalls when nobody waits any more",
        grants: &[
            POLICY,
            ("dcos:mesos:master:framework:principal", Delete),
            ("dcos:mesos:master:framework:role", Read),
            ("dcos:mesos:master:task:app_id", Read),
            ("dcos:service:marathon:marathon:services", Delete),
            ("dcos:service:marathon:marathon:services", Read),
            ("dcos:service:marathon:marathon:services", Update),
        ],
    },
    Account {
        uid: "dcos_mesos_dns",
        description: "The name server: it follows what the master tells",
        grants: CLUSTER,
    },
    Account {
        uid: "dcos_net",
        description: "Virtual addresses: they follow what the master tells, and their controllers",
        grants: NET,
    },
    Account {
        uid: "dcos_edge",
        description: "Traffic from outside: it follows the services' labels, tasks and health",
        grants: &[
            POLICY,
            ("dcos:service:marathon:marathon:admin:events", Read),
            ("dcos:service:marathon:marathon:services", Read),
        ],
    },
];

/// All frameworks, agents and tasks that the master tells of.
const CLUSTER: &[Grant] = &[
    POLICY,
    ("dcos:mesos:master:agent", Read),
    ("dcos:mesos:master:executor:app_id", Read),
    ("dcos:mesos:master:flags", Read),
    ("dcos:mesos:master:framework:role", Read),
    ("dcos:mesos:master:task:app_id", Read),
];

/// The same, and where virtual addresses lead.
const NET: &[Grant] = &[
    POLICY,
    ("dcos:mesos:master:agent", Read),
    ("dcos:mesos:master:executor:app_id", Read),
    ("dcos:mesos:master:flags", Read),
    ("dcos:mesos:master:framework:role", Read),
    ("dcos:mesos:master:task:app_id", Read),
    ("dcos:adminrouter:ops:networking:vips", Read),
];
