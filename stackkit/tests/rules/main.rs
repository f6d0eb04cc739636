//! The engine's rules, one by one, on a mocked cloud.

mod components;
mod diff;
mod failure;
mod hooks;
mod order;
mod protection;
mod reality;
mod scale;
mod secrets;
mod toys;
mod transforms;
