//! The store on a real embedded state, whole and cut short.
