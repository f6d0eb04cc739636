//! The types against moto, a server that answers as AWS does.

mod connect;
mod ec2;
mod faults;
mod programs;
mod rds;
mod s3;
mod support;
