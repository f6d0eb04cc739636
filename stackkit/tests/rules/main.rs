//! The engine's rules, one by one, on a mocked cloud.

mod diff;
mod failure;
mod imports;
mod order;
mod protection;
mod reads;
mod reality;
mod scale;
mod secrets;
mod toys;
