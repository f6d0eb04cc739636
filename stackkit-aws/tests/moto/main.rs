//! The types against moto, a server that answers as AWS does.

mod connect;
mod ec2;
mod faults;
#[rustfmt::skip]
mod migrated;
mod migration;
mod programs;
mod rds;
mod s3;
mod support;
