//! The engine's rules, one by one, on a mocked cloud.

mod ceiling;
mod checks;
mod diff;
mod failure;
mod imports;
mod order;
mod policies;
mod protection;
mod reads;
mod reality;
mod remedies;
mod saved_plans;
mod scale;
mod screens;
mod secrets;
mod timeline;
mod toys;
