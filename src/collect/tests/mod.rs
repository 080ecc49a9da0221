//! Tests of the room as a whole: real files, real sockets, a journal with faults. I/O.

mod files;
mod journal;
mod model;
mod rotation;
mod sockets;
