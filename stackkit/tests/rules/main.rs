//! The engine's rules, one by one, on a mocked cloud.

mod ceiling;
mod checks;
mod diff;
mod failure;
mod order;
mod policies;
mod protection;
mod reality;
mod remedies;
mod saved_plans;
mod scale;
mod screens;
mod secrets;
mod toys;
