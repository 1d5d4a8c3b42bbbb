//! Who is offered what: the allocator of the master as a pure state machine.
//!
//! It is not: aware of sockets, clocks or offers' ids; time and ids come in as arguments.
