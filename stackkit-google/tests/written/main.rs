//! Cloud KMS and Secret Manager, against a server on this machine that answers as their documentation says. Nothing here
//! meets the real services.

mod kms;
mod secretmanager;
mod service;
