//! What signals, clocks, disks, terminals and other processes do to a run: nothing is lost, nothing is made twice, and
//! the run says what happened. A test waits for events and opens doors; it never counts on how long something takes.

mod clouds;
mod disks;
mod folder;
mod others;
mod signals;
mod terminals;
