//! The engine's rules, one by one, on a mocked cloud.

mod diff;
mod failure;
mod order;
mod protection;
mod reality;
mod scale;
mod secrets;
mod timeline;
mod toys;
