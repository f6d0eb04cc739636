//! The engine's rules, one by one, on a mocked cloud.

mod diff;
mod failure;
mod names;
mod options;
mod order;
mod protection;
mod reality;
mod refresh;
mod scale;
mod secrets;
mod select;
mod toys;
