//! Who may do what with the components: every endpoint, asked by everybody; and a cluster that
//! lives on tokens alone. All of it runs in this process, on real sockets.

mod matrix;
mod people;
mod samples;
mod whole;
mod world;
