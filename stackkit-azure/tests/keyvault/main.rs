//! Key Vault, against answers written from the documentation of its REST API, given to the SDK in the place of its
//! network. Nothing here meets the real service.

mod keys;
mod secrets;
mod transport;
